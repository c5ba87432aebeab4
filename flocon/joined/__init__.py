"""Own repositories on the LAN: found at any node, verified by the key that was joined, never older.

How one is published is not known here.
"""
