"""Whom this node may ask at all, whoever says that something is there. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flocon.machine.links import Link

#: Seconds for which it is remembered at which addresses nodes are.
NODES_FOR = 1.0


class Reach:
    """Tells whether an address may be asked.

    ``seconds`` is a clock, ``links`` gives this machine's own, ``admits`` tells who is on their
    networks, ``nodes`` at which addresses nodes are, ``term`` for how long one is in quarantine.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        *,
        links: Callable[[], Iterable[Link]],
        admits: Callable[[str], bool],
        nodes: Callable[[], Iterable[str]],
        term: Callable[[str], str],
    ) -> None:
        self._seconds = seconds
        self._links = links
        self._admits = admits
        self._nodes = nodes
        self._term = term
        self._known: tuple[float, frozenset[str]] = (float("-inf"), frozenset())

    def __call__(self, address: str, named: bool) -> bool:
        """Whether nothing speaks against asking there; ``named`` by the operator.

        Nodes are asked by their own ways, which know what they hold; and nobody but whom the
        operator names is asked outside the networks that this node is present on.
        """
        if self._term(address):
            return False
        if named:
            return True
        host = address.partition("%")[0]
        return not self._is_own(host) and self._admits(address) and not self._is_node(host)

    def _is_own(self, host: str) -> bool:
        own = {str(one.ip) for link in self._links() for one in link.addresses}
        return not host or host in own or host.startswith("127.") or host == "::1"

    def _is_node(self, host: str) -> bool:
        now = self._seconds()
        if now - self._known[0] >= NODES_FOR:
            self._known = now, frozenset(one.partition("%")[0] for one in self._nodes())
        return host in self._known[1]
