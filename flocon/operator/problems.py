"""What a node lives with and has said in its log, told again to ``flocon doctor``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from flocon.asking.proxies import read_proxies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flocon.faces.doors import Doors
    from flocon.operator.reloading import Reloading


class Problems:
    """Reads the environment anew each time, as who mends it expects."""

    def __init__(self, doors: Doors, reloading: Reloading) -> None:
        self._doors = doors
        self._reloading = reloading

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield dicts as the doctor's ``tellers`` do: what to look at, why, and what mends it."""
        told = []
        if self._doors.uncontrolled:
            reason = "what changes the node, like flocon ban and prefetch, has no socket to come by"
            remedy = "name another place for it: control in /etc/flocon.toml"
            told.append(("control", f"{reason}: {self._doors.uncontrolled}", remedy))
        if self._reloading.problem:
            reason = f"the settings before are in use: {self._reloading.problem}"
            told.append(("settings", reason, "mend that, then systemctl reload flocon"))
        for name in read_proxies(os.environ, self._reloading.settings.proxy)[1]:
            reason = f"{name} in the node's environment is not used: it names no http proxy"
            remedy = f'mend {name}, or write proxy = "http://HOST:PORT" into /etc/flocon.toml'
            told.append(("proxy", reason, remedy))
        for place in self._doors.unused():
            reason = f"systemd holds {place}, which no setting names: nobody answers there"
            remedy = "systemctl edit flocon.socket: change ListenStream; or disable its own unit"
            told.append(("socket", reason, remedy))
        for check, reason, remedy in told:
            yield {"check": check, "reason": reason, "remedy": remedy, "wrong": False}
