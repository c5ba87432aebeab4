"""``flocon``: what this machine's node says and is told, for a person at a terminal or a script.

``parser`` reads the command line, ``main`` runs what it says, by ``asking`` what needs the reactor;
each other module is a few commands. Reading needs no rights; what changes the node goes through its
unix socket. How a node is asked and a person told is ``terminal``'s, what becomes of states that
are carried ``carrying``'s.
"""

import gc
import sys

from flocon.machine.limits import COMMANDS_MEMORY, demand_memory

# Before what takes so much is imported.
demand_memory(COMMANDS_MEMORY)

# None of what is imported is garbage, and looking through it takes a fifth of a command's start.
gc.disable()
try:
    from flocon.cli.main import main
except KeyboardInterrupt:
    # On a slow machine that takes a while; main would say the same.
    print("flocon: interrupted", file=sys.stderr)
    raise SystemExit(130) from None
finally:
    gc.freeze()
    gc.enable()

__all__ = ["main"]
