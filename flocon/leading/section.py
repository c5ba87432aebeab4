"""A repository's own section in pacman.conf, by which pacman asks the node for it; and out again.

The section is put at the end, behind all repositories that are there, and it is always the same: so
it is known again without a record. Nothing here needs a reactor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.errors import ConfigurationError
from flocon.leading import pacman_conf
from flocon.leading.look import look
from flocon.leading.node_lines import node_url
from flocon.leading.pacman_conf import HEADER, Place, refusal, split_lines
from flocon.leading.printable import difference, printable
from flocon.leading.programs import repositories_read
from flocon.leading.replacing import Writing, alone, check_writable, sweep

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

#: Packages and databases count with a signature by a key that was trusted by hand, and no other.
SIGNATURES = "SigLevel = Required TrustedOnly"
_ANY_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Change:
    """What was done, or would be: a unified diff, "" where nothing is to be changed."""

    diff: str

    def __bool__(self) -> bool:
        return bool(self.diff)


def section(name: str, port: int) -> bytes:
    """Return the text of a section, with the empty line before it."""
    return f"\n[{name}]\n{SIGNATURES}\nServer = {node_url(port)}\n".encode()


def put_in(path: Path, name: str, *, port: int, dry_run: bool) -> Change:
    """Have the pacman that reads ``path`` know the repository; twice is once.

    Raises ConfigurationError, with everything as it was, for what cannot be done.
    """
    with alone(path, dry_run=dry_run):
        state = look(path)
        text = state.now[state.root]
        there = _header(state.now, state.included, state.root, name)
        if section(name, port) in text:
            return Change("")
        if there is not None:
            _demand_port(text, name, there)
            problem = f"has a section [{name}] already"
            raise refusal(there, problem, f"take it out, if it is another's than {name}'s here")
        if text and not text.endswith(b"\n"):
            last = Place(state.root, len(split_lines(text)) - 1)
            raise refusal(last, "ends the file without a newline", "add one")
        return _change(state.root, text, text + section(name, port), name, dry_run=dry_run)


def take_out(path: Path, name: str, *, port: int, dry_run: bool) -> Change:
    """Take the section out again, to the byte; what somebody else wrote stays, and is said."""
    with alone(path, dry_run=dry_run):
        state = look(path)
        text = state.now[state.root]
        bare = text.replace(section(name, port), b"", 1)
        there = _header({**state.now, state.root: bare}, state.included, state.root, name)
        if there is not None:
            _demand_port(text, name, there)
            problem = f"the section [{name}] is not as flocon wrote it"
            raise refusal(there, problem, "take it out by hand")
        if bare == text:
            return Change("")
        return _change(state.root, text, bare, name, dry_run=dry_run)


def repositories_of(path: Path) -> list[str]:
    """Return the repositories of the pacman that reads ``path``, in its order.

    Raises ConfigurationError.
    """
    said = pacman_conf.repositories(look(path).configuration)
    return [one.name for one in said]


def joined(path: Path, ports: Collection[int]) -> tuple[str, ...]:
    """Return the repositories whose sections lead the pacman that reads ``path`` to a node here.

    Only sections as they were written here.
    """
    try:
        state = look(path)
        said = list(pacman_conf.statements(state.configuration))
    except ConfigurationError:
        return ()
    text = state.now[state.root]
    names = dict.fromkeys(one.section for one in said if one.key == HEADER)
    return tuple(name for name in names if any(section(name, one) in text for one in ports))


def _demand_port(text: bytes, name: str, place: Place) -> None:
    """Raise ConfigurationError where a section is ours, and leads to a node at another port."""
    pattern = re.escape(section(name, _ANY_PORT)).replace(b"%d" % _ANY_PORT, rb"([0-9]{1,5})")
    if found := re.search(pattern, text):
        port = found[1].decode()
        remedy = f"take it out by 'flocon repo join {name} --undo --port {port}', or say --port"
        raise refusal(place, f"the section [{name}] leads to port {port}", remedy)


def _header(
    texts: Mapping[str, bytes], included: Mapping[str, tuple[str, ...]], root: str, name: str
) -> Place | None:
    """Return where a section of this name begins; None where there is none."""
    said = pacman_conf.statements(pacman_conf.Configuration(root, texts, included))
    for one in said:
        if one.key == HEADER and one.section == name:
            return one.place
    return None


def _change(root: str, before: bytes, after: bytes, name: str, *, dry_run: bool) -> Change:
    change = Change(difference(root, before, after))
    if dry_run:
        return change
    sweep({root})
    check_writable(root, before)
    was_read = repositories_read(root)
    with Writing() as writing:
        writing.write(root, after, root)
        is_read = repositories_read(root)
        if was_read is not None and is_read is not None:
            _demand_only(root, name, was_read, is_read)
    return change


def _demand_only(root: str, name: str, before: list[str], after: list[str]) -> None:
    """Raise ConfigurationError where pacman reads anything else than that one is new, or gone."""
    if [one for one in before if one != name] != [one for one in after if one != name]:
        problem = "pacman would read other repositories than before"
        remedy = "everything was put back; write the section by hand, and tell flocon's authors"
        raise ConfigurationError(printable(root), problem, remedy)
