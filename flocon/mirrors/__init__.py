"""A mirror for the whole LAN: its databases as one state, which goes forward and back as a whole.

What clients without a node are given, and who decides when they are given a newer state. Here lives
what a state is (``generation``), where it lies (``archive``), what of it is listed (``catalogue``),
how the next one is read from a mirror and when it is published. How a request is answered is
``faces``'s, how a package comes ``sources``'s and ``transfers``'s.
"""
