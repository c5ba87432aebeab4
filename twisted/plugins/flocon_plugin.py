"""Makes ``twistd flocon`` and ``twist flocon`` known."""

import gc
from typing import Any

from twisted.application.service import ServiceMaker


class _Maker(ServiceMaker):
    @property
    def options(self) -> Any:
        """What is taken on the command line; a node needs more memory than twistd to know it."""
        from flocon.machine.limits import NODES_MEMORY, demand_memory  # noqa: PLC0415 - when chosen

        demand_memory(NODES_MEMORY)
        # None of what is imported is garbage, and looking through it takes a seventh of the start.
        gc.disable()
        try:
            return super().options
        finally:
            gc.freeze()
            gc.enable()


flocon = _Maker(
    "flocon", "flocon.node.service", "A peer node for Arch Linux: the LAN is the mirror", "flocon"
)
