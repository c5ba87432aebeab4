"""Takes folders away in which strangers' programs have written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.errors import ToolError
from flocon.machine.process import run

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds that a folder may take to go.
_GONE_WITHIN = 3_600.0


async def clear(reactor: Any, folder: Path) -> None:
    """Take a folder away with all in it, however deep; raise ToolError where that cannot be."""
    words = ["rm", "-rf", "--", str(folder)]
    for _ in range(2):
        outcome = await run(reactor, words, seconds=_GONE_WITHIN)
        if not outcome.status:
            return
        # A folder that its owner may not read is read by root alone.
        await run(reactor, ["chmod", "-R", "u+rwX", "--", str(folder)], seconds=_GONE_WITHIN)
    raise ToolError("rm", outcome.errors.decode("utf-8", "replace")[:500])
