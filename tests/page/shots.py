"""``python -m tests.page.shots FOLDER``: pictures of the status page, for a person to look at.

``python -m tests.page.shots --readme`` makes the one in ``docs/`` anew, which README shows.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.page.chromium import Chromium
from tests.page.content import hostile, told
from tests.page.server import Server

PHONE, DESKTOP = 390, 1280
README = Path(__file__).parents[2] / "docs/status-page.png"
#: The size of README's picture, in pixels: what matters, and little to fetch.
WIDTH, HEIGHT = 880, 770


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "empty": told(0, empty=True),
        "peers-1": told(1),
        "peers-60": told(60),
        "hostile": told(3, text=hostile),
    }
    server = Server()
    browser = Chromium()
    try:
        for name, content in contents.items():
            server.tell(content)
            for width, device in ((PHONE, "phone"), (DESKTOP, "desktop")):
                for dark in (False, True):
                    with browser.tab(width=width, dark=dark) as tab:
                        tab.open(f"{server.address}?part=l")
                        tab.picture(folder / f"{name}-{device}-{'dark' if dark else 'light'}.png")
    finally:
        browser.close()
        server.close()


def for_readme() -> None:
    server = Server()
    browser = Chromium()
    try:
        server.tell(told(4))
        with browser.tab(width=WIDTH) as tab:
            tab.open(server.address)
            tab.picture(README, HEIGHT)
    finally:
        browser.close()
        server.close()


if __name__ == "__main__":
    if sys.argv[1:] == ["--readme"]:
        for_readme()
    else:
        main(Path(sys.argv[1]))
