"""Whom to ask: for a package, a signature, a database, and on whose behalf.

Here lives how each kind of file gets its sources, in which order, and what is remembered of how
they did. What a request looks like is the faces' affair, how bytes come the transfers', and what
others hold the neighbourhood's: those are used from here, and nothing here is used by them.
``tried``, ``servers`` and ``unsigned`` decide without I/O; ``desk`` puts the parts together, and
whoever needs one of them is given that one.
"""
