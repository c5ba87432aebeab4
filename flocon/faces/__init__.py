"""Who asks: pacman and the person at this machine, the peers of the LAN.

``loopback``, ``lan`` and ``control`` are the faces; ``site`` is the server on which they stand, and
that of ``clients``. A face reads the request, checks who asks, and has what it needs looked up by
what it was given: how an answer leaves is known to ``answering``, and where a file comes from is
decided in ``sources``.
"""
