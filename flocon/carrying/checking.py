"""``flocon snapshot check``: whether all that an upgrade or an installation needs is on the LAN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.carrying.needing import Wanted, find_needed
from flocon.carrying.states import find_state, total, whereabouts
from flocon.terminal.asking import Node, package_name
from flocon.terminal.printing import advise, counted, say, say_json, say_rows, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from flocon.carrying.needing import Needed
    from flocon.carrying.states import State
    from flocon.pacman.entries import Entry

#: Rows of missing packages that a person is shown.
MOST_ROWS = 40


async def check(reactor: Any, options: argparse.Namespace) -> None:
    """Say whether a state is complete for a machine, for packages or for all machines here.

    Exits 1 where it is not.
    """
    node = Node(reactor, options.port)
    wanted = Wanted(
        tuple(package_name(name) for name in options.packages),
        options.machine,
        options.downgrade,
        options.architecture,
        options.pacman_conf,
    )
    state = await find_state(node, options.name)
    needed = await find_needed(reactor, node, state, wanted)
    where = await whereabouts(node, list(needed.packages))
    missing = [entry for entry in needed.packages if not where[entry]]
    if options.json:
        say_json(_told(state, needed, missing))
    else:
        _print(state, wanted, needed, missing)
    if missing or needed.problems:
        raise SystemExit(1)


def _told(state: State, needed: Needed, missing: Sequence[Entry]) -> dict[str, Any]:
    return {
        "state": state.name,
        "generation": state.generation.identity,
        "complete": not missing and not needed.problems,
        "needed": len(needed.packages),
        "bytes": total(needed.packages),
        "problems": needed.problems,
        "missing": [
            {
                "repository": entry.repository,
                "architecture": needed.packages[entry].architecture,
                "file": entry.file_name,
                "size": entry.size,
                "sha256": entry.sha256.hex(),
            }
            for entry in missing
        ],
    }


def _print(state: State, wanted: Wanted, needed: Needed, missing: Sequence[Entry]) -> None:
    number, whom = len(needed.packages), _whom(wanted)
    if needed.problems:
        say(f"{state.name} is not complete for {whom}:")
        for problem in needed.problems:
            say(problem, indent=2)
    if missing:
        are = f"{len(missing)} of {counted(number, 'package')}, {size(total(missing))},"
        say(f"{state.name} is not complete for {whom}: {are} nobody on the LAN holds")
        rows = [(one.name, one.version, size(one.size), one.repository) for one in missing]
        say_rows(rows[:MOST_ROWS], indent=2)
        if len(rows) > MOST_ROWS:
            say(f"... and {len(rows) - MOST_ROWS} more", indent=2)
        advise("'flocon mirror want NAME' fetches them while the mirrors have them")
    elif not needed.problems:
        what = f"{counted(number, 'package')}, {size(total(needed.packages))}," if number else ""
        rest = f"{what} needed, and all on the LAN" if number else "nothing is needed"
        say(f"{state.name} is complete for {whom}: {rest}")


def _whom(wanted: Wanted) -> str:
    if wanted.packages:
        names = ", ".join(wanted.packages[:3]) + (", ..." if len(wanted.packages) > 3 else "")  # noqa: PLR2004
        return f"{names} on this machine" if wanted.machine else names
    return "this machine" if wanted.machine else "all machines here"
