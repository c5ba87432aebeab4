"""Whom to ask: for a package, a signature, a database, and on whose behalf.

The order is decided by the modules without I/O (``ranking``, ``redirects``, ``relays``,
``strangers``); the desk gathers what they need from the rooms below and begins transfers. Bytes are
not seen here.
"""
