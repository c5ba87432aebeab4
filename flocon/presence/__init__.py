"""Who is there: hello, beat, bye and expiry, on every link of this machine.

The state machine and the tables have neither socket nor clock; ``multicast`` pumps datagrams
between them and the group. What a peer holds is for ``neighbours``.
"""
