"""``flocon build add``: recipes are watched from now on, shown one after the other, and decided."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flocon.builds.reviews import decided
from flocon.reviewing.deciding import ask, look, show
from flocon.reviewing.folders import packed
from flocon.terminal.asking import Node, NodeError
from flocon.terminal.printing import advise, printable, say, say_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

#: Seconds for what asks the AUR and fetches recipes, and all that they need of it.
PATIENCE = 15 * 60.0


async def add(reactor: Any, options: argparse.Namespace) -> None:
    """Have each watched, then show what waits of them, in the order in which they are built."""
    node = Node(reactor, options.port)
    folders = [Path(word) for word in options.words if is_folder(word)]
    others = [word for word in options.words if not is_folder(word)]
    said = ""
    for folder in folders:
        place = str(folder.resolve())
        said += await node.hand("build", "add", place, body=packed(folder), patience=PATIENCE)
    if others:
        try:
            said += await node.hand("build", "add", *others, patience=PATIENCE)
        except NodeError as error:
            raise NodeError(f"{error}{_perhaps(others)}") from None
    if options.json:
        say_json({"said": said.strip(), "recipes": bases(said)})
        return
    for line in said.splitlines():
        say(line)
    waiting = [base for base in bases(said) if not await _decide(node, base)]
    for base in waiting:
        advise(f"{base} waits: 'flocon build approve {printable(base)}' decides")


def is_folder(word: str) -> bool:
    """Whether a folder of this machine is meant: by a path, or ``.``; a bare name is the AUR's."""
    looks_so = word in {".", ".."} or ("/" in word and "://" not in word)
    if looks_so and not Path(word).is_dir():
        raise NodeError(f"{word} is no folder; a git repository is named like https://HOST/PATH")
    return looks_so


def _perhaps(words: Iterable[str]) -> str:
    """Return how a folder is named that was perhaps meant by one of these words."""
    here = [word for word in words if Path(word).is_dir()]
    return f"; the folder of that name here is './{here[0]}'" if here else ""


def bases(said: str) -> list[str]:
    """Return the recipes that an answer tells of, each the first word of a line."""
    return list(dict.fromkeys(_first_words(said)))


def _first_words(said: str) -> Iterable[str]:
    for line in said.splitlines():
        first, *_ = line.split() or [""]
        if first and not line[0].isspace():
            yield first.rstrip(":")


async def _decide(node: Node, base: str) -> bool:
    """Show what waits of a recipe and ask; return whether nothing waits any more."""
    told = await look(node, base)
    waits = decided(told)
    if not waits:
        return True
    show(told)
    if not ask("approve", told):
        return False
    for line in (await node.tell("build", "approve", base, waits)).splitlines():
        say(line)
    return True
