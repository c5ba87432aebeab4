"""Programs of this machine and each other: how they talk, by Unix sockets, and how one is confined.

What they say to each other is for others to know.
"""
