"""Who asks: pacman and the person at this machine, the peers of the LAN.

``loopback``, ``lan`` and ``control`` are the faces. A face reads the request, checks who asks, and
has what it needs looked up by what it was given: how it stands on a port is known to ``serving``,
how an answer leaves to ``answering``, and where a file comes from is decided in ``sources``.
"""
