"""What this machine holds, in pacman's cache folders and in the store: found, hashed, offered.

Nothing here knows who asks, what a database lists, or that there are peers: what it must know of
them it is told by callables. How files lie on disk is known to ``store``.
"""
