"""Whom the face for pacman lets in, by where a request comes from and what it calls this machine.

What is answered to who is let in is not known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.answering.respond import is_for
from flocon.answering.visitors import Admission, Names, host_name, loopback_names
from flocon.faces.site import host_of

if TYPE_CHECKING:
    from twisted.web.http import Request


class Admitting:
    """``names`` are those of the face; ``admission`` are networks that may ask as this machine."""

    def __init__(self, names: Names | None, admission: Admission | None) -> None:
        self._names = names or loopback_names()
        self._admission = admission or Admission()

    def admits(self, request: Request) -> bool:
        return self._is_admitted(request) and self._is_meant(request)

    def _is_admitted(self, request: Request) -> bool:
        """Whether this machine asks, by whatever of its addresses, or a network that may."""
        client = host_of(request.client)
        return client == host_of(request.getHost()) or self._admission.admits(client)

    def _is_meant(self, request: Request) -> bool:
        """Whether ``Host`` is a name of this face, or the very address that was connected to."""
        if is_for(self._names, request):
            return True
        address = host_of(request.getHost())
        hosts = request.requestHeaders.getRawHeaders("Host", [])
        return bool(address) and all(host_name(one) == address for one in hosts)
