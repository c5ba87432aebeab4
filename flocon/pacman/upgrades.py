"""Which of this machine's packages have newer versions: ``pacman -Qu`` knows, and only looks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flocon.errors import ToolError
from flocon.machine.process import run

if TYPE_CHECKING:
    from pathlib import Path

    from flocon.machine.process import ProcessReactor

#: Seconds; it reads every sync database and the whole of DBPath/local.
TIMEOUT = 30.0
#: What pacman -Qu ends with where there are none, and also where it cannot look: then it says why.
_NONE = 1
_ERROR = re.compile(r"^error: ", re.MULTILINE)
_LINE = re.compile(r"(?P<name>\S+) \S+ -> (?P<version>\S+)(?P<ignored> \[ignored\])?")


async def pending_upgrades(reactor: ProcessReactor, pacman_conf: Path) -> list[tuple[str, str]]:
    """Return name and new version of each installed package that ``pacman -Su`` would upgrade.

    Raises ToolError, or ToolMissing without pacman.
    """
    arguments = ["pacman", "--config", str(pacman_conf), "--color", "never", "-Qu"]
    outcome = await run(reactor, arguments, seconds=TIMEOUT)
    reason = outcome.errors.decode("utf-8", "replace").strip()
    if outcome.status not in {0, _NONE} or (outcome.status and _ERROR.search(reason)):
        raise ToolError("pacman -Qu", reason[:1000] or f"ended with status {outcome.status}")
    return read_upgrades(outcome.output.decode("utf-8", "replace"))


def read_upgrades(text: str) -> list[tuple[str, str]]:
    """Read what ``pacman -Qu`` printed; packages in IgnorePkg are left out."""
    matches = (_LINE.fullmatch(line.strip()) for line in text.splitlines())
    return [(one["name"], one["version"]) for one in matches if one and not one["ignored"]]
