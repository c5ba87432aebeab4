"""How a command is walled in: namespaces, bubblewrap, a filter of system calls, control groups.

What runs behind a wall, and what it is given, is for ``building``.
"""
