"""A peer node for Arch Linux machines on a LAN: the LAN is the mirror.

Rooms are subjects, and each says of itself what lives there. ``node`` puts them together;
docs/architecture.rst has the picture.
"""

__version__ = "0.1.0"
