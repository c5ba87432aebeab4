"""What of pacman's answer is left when conflicts are looked at; ``pacman -Sp`` itself does not.

Where it only prints, pacman says what is needed and stops there; ``pacman -S`` then leaves out what
conflicts with another one that provides it, or ends. Everything blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.carrying.described import read_databases, read_installed
from flocon.wanted.transactions import machine_with, named, resolved, settled, upgrades

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flocon.pacman.configuration import PacmanConfiguration
    from flocon.pacman.listing import Target


def settle(
    database_path: Path,
    configuration: PacmanConfiguration,
    arguments: Sequence[str],
    targets: Sequence[Target],
) -> tuple[Sequence[Target], Sequence[str]]:
    """Return which of pacman's ``targets`` would be installed in the end, and what is in the way.

    ``arguments`` are pacman's: ``-Su``, ``-Suu`` or ``-S`` with names.
    """
    if not targets:
        return [], []
    order = [one.name for one in configuration.repositories]
    databases = read_databases(database_path / "sync", order)
    machine = machine_with(
        read_installed(database_path / "local"),
        configuration.ignored,
        configuration.ignored_groups,
        configuration.architectures,
    )
    operation, *names = arguments
    meant = (
        named(databases, machine, names)
        if names
        else upgrades(databases, machine, back=operation == "-Suu")
    )
    # pacman printed them sorted; which of two goes depends on the order before.
    ranks = {one: at for at, one in enumerate(resolved(databases, machine, meant).packages)}
    known = {}
    for target in targets:
        for listed in databases.named(target.name, [order.index(target.repository)]):
            known[listed] = target
    packages = sorted(known, key=lambda one: ranks.get(one, len(ranks)))
    result = settled(packages, machine, meant.replaced)
    return [known[one] for one in result.packages], result.problems
