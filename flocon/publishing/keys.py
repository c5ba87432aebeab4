"""``flocon repo init`` and ``key``: a key made, shown, and replaced by another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.publishing.joining import tell_node
from flocon.publishing.published import read_key
from flocon.publishing.signer import look, tell
from flocon.terminal.asking import Node
from flocon.terminal.printing import clock, complain, say, say_json, say_rows

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping


async def init(reactor: Any, options: argparse.Namespace) -> None:
    """Make a key and an empty repository; say what comes next."""
    told = await tell(reactor, options, "init", repository=options.name)
    # It has heard of no repository yet, where this is the first.
    await tell_node(Node(reactor, options.port))
    if options.json:
        say_json(told)
        return
    say(f"{options.name}: an empty repository, signed by the key")
    say(grouped(told["fingerprint"]), indent=2)
    complain(f"who has {told['home']} can sign, and without it nobody can: keep a copy, locked up")
    complain(
        "next: 'flocon repo add FILE' or 'flocon build add NAME', and on each machine"
        f" 'flocon repo join {options.name}'"
    )


async def key(reactor: Any, options: argparse.Namespace) -> None:
    """Show the key; or have a new one made, or put in the place of the old."""
    do = "replace" if options.replace else "switch" if options.switch else "key"
    folder = look(options) if do == "key" else None
    if folder is None:
        told = await tell(reactor, options, do)
    else:
        told = await read_key(reactor, folder, options.repository)
    if options.json:
        say_json(told)
        return
    say_rows([*lines(told)])
    if options.replace:
        name = told["name"]
        complain(
            f"on each machine: 'flocon repo join {name}', so that it knows both; then here 'flocon"
            " repo key --switch', which signs all by the new one and revokes the old"
        )


def lines(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a person reads of the keys: each a word or two, and a text."""
    yield "repository", told["name"]
    yield "key", grouped(told["fingerprint"])
    if told["next"]:
        yield "takes its place", grouped(told["next"])
    for old in told["revoked"]:
        yield "revoked", grouped(old)
    if told["signed"]:
        yield "signed last", clock(told["signed"])
    if told.get("revocation"):
        yield "revoked by", told["revocation"]


def grouped(fingerprint: str) -> str:
    """Return a fingerprint as gpg shows it: in tens of four digits, a gap in the middle."""
    parts = [fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4)]
    half = len(parts) // 2
    return f"{' '.join(parts[:half])}  {' '.join(parts[half:])}"
