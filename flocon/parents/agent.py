"""The agent for caching proxies of the LAN: what they are asked, and where they may send to.

By what it was given alone it connects to addresses of the LAN, past any proxy of the operator's;
names stand in what it asks as they are. Where a parent sends it on, it asks as any mirror is asked,
bounded by ``MOST_REDIRECTS``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.asking.addresses import parse_address
from flocon.asking.mirrors import MirrorAgent
from flocon.asking.proxies import read_proxies
from flocon.asking.resolving import Sifted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.defer import Deferred
    from twisted.web.http_headers import Headers
    from twisted.web.iweb import IResponse

    from flocon.asking.addresses import Address
    from flocon.asking.proxies import Proxies
    from flocon.asking.resolving import Names


class ParentAgent(MirrorAgent):
    """Asks parents by their ``names``; ``is_near`` tells whether an address is the LAN's."""

    def __init__(
        self,
        reactor: Any,
        connect_timeout: float,
        *,
        names: Names,
        is_near: Callable[[str], bool],
        environment: Mapping[str, str],
        proxy: str,
    ) -> None:
        proxies, _ = read_proxies(environment, proxy)
        near = Sifted(names, lambda address: not is_near(address))
        super().__init__(reactor, connect_timeout, proxies, names, named_by=near)

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: Any = None,  # noqa: N803
    ) -> Deferred[IResponse]:
        """Ask for ``uri`` as it is written; raise ValueError where it is none."""
        return self._begin(method, parse_address(uri.decode("ascii")), headers)

    def _proxies_of(self, address: Address, named: Address) -> Proxies | None:
        """Return the proxies to ask by: none for what is on the LAN."""
        return None if address.place == named.place else self._proxies
