"""``flocon repo list``, ``remove`` and ``rollback``: what is in a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.publishing.published import read_list
from flocon.publishing.signer import look, tell
from flocon.terminal.printing import advise, clock, complain, counted, say, say_json, say_rows, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


async def show_list(reactor: Any, options: argparse.Namespace) -> None:
    """List the packages of a repository."""
    folder = look(options)
    if folder is None:
        told = await tell(reactor, options, "list")
    else:
        told = read_list(folder, options.repository)
    if options.json:
        say_json(told)
    elif told["packages"]:
        say_rows([*map(_row, told["packages"])])
        packages = counted(len(told["packages"]), "package")
        signed = clock(told["signed"])
        complain(f"{told['name']}: {packages}, generation {told['generation']}, signed {signed}")
    else:
        advise(f"{told['name']}: no packages; 'flocon repo add FILE' signs and publishes one")


def _row(package: Mapping[str, Any]) -> tuple[str, ...]:
    older = ", ".join(package["older"])
    return (
        package["name"],
        package["version"],
        size(package["size"]),
        f"built {clock(package['built'])}" if package["built"] else "",
        f"also {older}" if older else "",
    )


async def remove(reactor: Any, options: argparse.Namespace) -> None:
    """Take packages out."""
    told = await tell(reactor, options, "remove", packages=options.packages)
    if options.json:
        say_json(told)
    else:
        names = ", ".join(told["removed"])
        say(f"{told['name']}: {names} taken out (generation {told['generation']})")
        complain("machines that have it keep it: 'pacman -R' is for each of them to say")


async def roll_back(reactor: Any, options: argparse.Namespace) -> None:
    """Go back to an older version of a package."""
    told = await tell(
        reactor, options, "rollback", package=options.package, version=options.version
    )
    if options.json:
        say_json(told)
    else:
        change = f"{told['before']} -> {told['version']}"
        say(f"{told['name']}: {options.package} {change} (generation {told['generation']})")
        complain("machines that have the other version go back by 'pacman -Syuu'")
