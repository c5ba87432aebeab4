"""Kills the signer at random moments while it publishes, and looks at what others then find.

``python -m tests.signing.kills [TIMES [SEED]]``: at each moment, killed or not, what is published
is whole and signed, and is what was published before or what was to be; what the signer said it has
published stays so. A reader looks all the time.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.signing.case import build, made, verified
from tests.signing.process import SignerProcess

#: Kills come at some moment of so many times what a publication took before, and a little after.
LATEST = 1.3


class Killing:
    """Publishes one version after the other, and kills in between."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.signer = SignerProcess(folder)
        self.random = random.Random(seed)
        self.seen = 0
        #: What was found wrong.
        self.wrong: list[str] = []
        self._reading = threading.Event()
        self._reader = threading.Thread(target=self._read)
        #: Versions that the signer has said are published, and the one that it was asked for last.
        self.published = 0
        self.asked = 0
        self.killed_in_work = 0
        #: How long one publication takes.
        self.seconds = 0.0

    def run(self, times: int) -> None:
        self.signer.start()
        self.signer.ask({"do": "init", "name": "home"})
        self._reader.start()
        try:
            self._time_one()
            for _ in range(times):
                self._once()
            self._finish()
        finally:
            self._reading.set()
            self._reader.join()
            self.signer.close()

    def _time_one(self) -> None:
        """Publish without a kill, to know how long that takes here."""
        self.asked = 1
        began = time.monotonic()
        if not self._publish().get("done"):
            self.wrong.append("it does not publish")
        self.seconds = time.monotonic() - began
        self.published = 1

    def _once(self) -> None:
        """Ask for the next version, kill at some moment, start again, and look."""
        if self.asked == self.published:
            self.asked += 1
        kill = threading.Timer(self.random.uniform(0, LATEST * self.seconds), self.signer.kill)
        kill.start()
        said = self._publish()
        kill.join()
        if said.get("done"):
            self.published = self.asked
        else:
            self.killed_in_work += 1
        self._look()
        self.signer.start()
        self._look()

    def _finish(self) -> None:
        """Ask again for what was killed: it is done then."""
        said = self._publish()
        if not said.get("done"):
            self.wrong.append(f"it does not go on: {said}")
        self.published = self.asked
        self._look()

    def _publish(self) -> dict[str, object]:
        version = f"{self.asked}.0-1"
        packages = [made(name, version, pkgbase="foo") for name in ("foo", "foo-doc")]
        request = {
            "do": "publish",
            "names": [name for name, _ in packages],
            "build": build("foo", "foo", "foo-doc", version=version),
        }
        return self.signer.ask(request, [data for _, data in packages])

    def _look(self) -> None:
        try:
            listed = verified(self.signer.published / "home")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            self.wrong.append(repr(error))
            return
        versions = set(listed.values())
        allowed = {f"{number}.0-1" for number in (self.published, self.asked) if number}
        if len(versions) > 1 or not versions <= allowed or (self.published and not versions):
            self.wrong.append(f"{listed} is published, and not one of {allowed}")

    def _read(self) -> None:
        """Look all the time at what is published, as somebody on the LAN does."""
        folder = self.signer.published / "home"
        while not self._reading.is_set():
            if (folder / "current").exists():
                try:
                    verified(folder)
                except Exception as error:  # noqa: BLE001 - as above
                    self.wrong.append(f"a reader found {error!r}")
                self.seen += 1
            time.sleep(0.02)


def main() -> None:
    """Run it so many times."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 30)
    with tempfile.TemporaryDirectory(prefix="flocon-") as folder:
        killing = Killing(Path(folder), seed)
        killing.run(times)
    print(
        f"seed {seed}: {times} kills, {killing.killed_in_work} of them at work;"
        f" {killing.published} versions published at {killing.seconds:.2f} s, {killing.seen} looks"
    )
    for one in killing.wrong:
        print(f"wrong: {one}")
    sys.exit(bool(killing.wrong))


if __name__ == "__main__":
    main()
