"""Who asks: pacman and the person at this machine, the peers of the LAN, machines without a node.

``loopback``, ``lan``, ``mirror`` and ``control`` are the faces; ``site`` is the server they stand
on; ``held``, ``growing`` and ``sendfile`` are how a file leaves. A face reads the request, checks
who asks, and has what it needs looked up by what it was given: where a file comes from is decided
in ``sources``.
"""
