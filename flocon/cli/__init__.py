"""``flocon``: what this machine's node says and is told, for a person at a terminal or a script.

``parser`` reads the command line, ``asking`` talks to the node, ``printing`` makes everything fit
for a terminal and a pipe; each other module is a few commands. Reading needs no rights; what
changes the node goes through its unix socket.
"""

from flocon.host.limits import COMMANDS_MEMORY, demand_memory

# Before what takes so much is imported.
demand_memory(COMMANDS_MEMORY)

from flocon.cli.main import main  # noqa: E402

__all__ = ["main"]
