"""States that are carried from LAN to LAN: looked at, copied into a folder, taken in from one.

``porting`` has the words of it, ``needing`` finds out what an installation takes of a state. It is
the command's part: it has what it needs from this machine's node by its faces, checks it once more,
and ``terminal`` tells of it. What a node does with what is brought is ``snapshots``'s.
"""
