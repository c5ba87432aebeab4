"""Makes ``twistd flocon`` and ``twist flocon`` known."""

from twisted.application.service import ServiceMaker

flocon = ServiceMaker(
    "flocon", "flocon.service", "A peer node for Arch Linux: the LAN is the mirror", "flocon"
)
