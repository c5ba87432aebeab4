"""Says in a sentence which of the tests that somebody named are not there, before trial does."""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.python.reflect import InvalidName, namedAny


def is_there(name: str) -> bool:
    """Whether a file or a dotted name is; what a module of that name fails with is raised."""
    if "/" in name or name.endswith(".py"):
        return Path(name).exists()
    try:
        namedAny(name)
    except InvalidName:
        return False
    except AttributeError as error:
        # One in a module itself is for trial to show.
        return error.name not in name.split(".")
    return True


if __name__ == "__main__":
    sys.path.insert(0, "")
    for one in sys.argv[1:]:
        if not is_there(one):
            sys.exit(f"there is no test called {one}; a room's are called like tests.transfers")
