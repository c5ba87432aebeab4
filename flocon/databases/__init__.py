"""Where a sync database comes from when pacman asks for one, and its signature.

From a mirror, or from a peer where the operator lets it; what a peer's may say is checked here
before pacman sees a byte. How databases are read is known to ``pacman``.
"""
