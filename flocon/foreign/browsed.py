"""Machines with pacredir as mDNS tells of them: whose are of this kind, who has gone. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.foreign.place import Place, Tool

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from flocon.mdns.services import Found


class Browsed:
    """Hands on who is there; ``came`` is given a place and its instance, ``gone`` an instance.

    ``own_id`` is what this machine calls its distribution, as os-release has it.
    """

    def __init__(
        self, own_id: str, came: Callable[[Place, str], None], gone: Callable[[str], None]
    ) -> None:
        self._own_id = own_id
        self._came = came
        self._gone = gone
        self._instances: frozenset[str] = frozenset()

    def tell(self, found: Sequence[Found], architectures: Collection[str]) -> None:
        """Take all whom mDNS tells of now, at their best addresses."""
        fitting = [one for one in found if self._fits(one, architectures)]
        instances = frozenset(one.instance for one in fitting)
        for instance in self._instances - instances:
            self._gone(instance)
        self._instances = instances
        for one in fitting:
            self._came(Place(Tool.PACREDIR, one.addresses[0], one.port), one.instance)

    def _fits(self, one: Found, architectures: Collection[str]) -> bool:
        """Whether it has packages for this machine, as far as it says; both must match."""
        idents, arches = one.values("id"), one.values("arch")
        is_ours = not idents or not self._own_id or self._own_id in idents
        return is_ours and (not arches or not set(arches).isdisjoint(architectures))
