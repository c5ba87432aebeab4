"""Whether the machine's connection costs by the byte: what NetworkManager says, where it runs.

systemd-networkd has no such property to read (systemd 257), so a machine under it counts as
unmetered, and its operator writes ``relay = false``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.errors import ToolError
from flocon.host.process import run

if TYPE_CHECKING:
    from flocon.host.process import ProcessReactor

TIMEOUT = 5.0
_PROPERTY = (
    "org.freedesktop.NetworkManager",
    "/org/freedesktop/NetworkManager",
    "org.freedesktop.NetworkManager",
    "Metered",
)
#: NMMetered: 1 is "yes", 3 is "guessed, yes".
_METERED = ("u 1", "u 3")


async def is_metered(reactor: ProcessReactor) -> bool | None:
    """Ask NetworkManager over D-Bus, with systemd's ``busctl``; None where nobody can tell."""
    try:
        outcome = await run(
            reactor,
            ["busctl", "--system", "--auto-start=no", "get-property", *_PROPERTY],
            seconds=TIMEOUT,
        )
    except ToolError:
        return None
    if outcome.status:
        return None
    return outcome.output.decode("ascii", "replace").strip() in _METERED
