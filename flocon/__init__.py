"""A peer node for Arch Linux machines on a LAN: the LAN is the mirror.

Three rooms, and a front door: ``core`` decides (no I/O), ``net`` talks (Twisted), ``host``
touches this machine; ``service`` is the only place where they meet.
"""

__version__ = "0.1.0"
