"""The node's own lines in pacman.conf: what they say, and a file's text with them or without.

Bytes in, bytes out; every line that is not the node's own passes through untouched. Where a line
belongs is ``set_up_plan``'s to say.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flocon.leading.pacman_conf import BLANKS, HEADER, Place, read_line, split_lines

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

#: The first version that knows ``CacheServer``.
CACHE_SERVER_SINCE = (6, 1)
_NODE_HOSTS = {"localhost", "127.0.0.1", "::1"}
_VERSION = re.compile(r"\bPacman v([0-9]{1,4})\.([0-9]{1,4})")


class Method(Enum):
    """Which lines lead pacman to the node: its value is their keys, in the order written."""

    CACHE_SERVER = ("CacheServer",)
    SERVER = ("Server",)
    BOTH = ("CacheServer", "Server")


@dataclass(frozen=True, slots=True)
class OwnLine:
    """A line of the node's: the section it stands in, as its own file tells it, and its content."""

    section: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Insertion:
    """A line to be put before the line at ``place``."""

    place: Place
    line: OwnLine


def parse_version(text: str) -> tuple[int, int] | None:
    """Read major and minor from what ``pacman --version`` prints."""
    match = _VERSION.search(text)
    return (int(match[1]), int(match[2])) if match else None


def method_for(version: tuple[int, int], *, databases: bool) -> Method:
    """Return what a pacman of that version is best told; before 6.1 databases come with it."""
    if version < CACHE_SERVER_SINCE:
        return Method.SERVER
    return Method.BOTH if databases else Method.CACHE_SERVER


def node_url(port: int) -> str:
    """Return the address to write, with pacman's own variables in it."""
    return f"http://localhost:{port}/$repo/os/$arch"


def is_node(url: str, ports: Collection[int]) -> bool:
    """Whether ``url`` leads to this machine's node, in whatever way it is written."""
    try:
        parts = urlsplit(url)
        port = parts.port or 80
    except ValueError:
        return False
    return parts.scheme == "http" and parts.hostname in _NODE_HOSTS and port in ports


def own_ports(lines: Iterable[OwnLine]) -> frozenset[int]:
    """Return the ports that lines written by an earlier set-up lead to."""
    found = set()
    for line in lines:
        read = read_line(line.content)
        if read and (port := urlsplit(read[1] or "").port):
            found.add(port)
    return frozenset(found)


def put_in(text: bytes, insertions: Iterable[Insertion]) -> bytes:
    """Return ``text`` of one file with the lines in it, each ended as its neighbour is."""
    lines = split_lines(text)
    at: dict[int, list[bytes]] = {}
    for one in insertions:
        at.setdefault(one.place.index, []).append(one.line.content)
    result = []
    for index in range(len(lines) + 1):
        result += [content + _ending(lines, index) for content in at.get(index, ())]
        result += lines[index : index + 1]
    return b"".join(result)


def _ending(lines: Sequence[bytes], index: int) -> bytes:
    """Return the line ending in use at ``index``."""
    for line in (*lines[index : index + 1], *lines[max(index - 1, 0) : index]):
        if line.endswith(b"\n"):
            return b"\r\n" if line.endswith(b"\r\n") else b"\n"
    return b"\n"


def take_out(text: bytes, own: Iterable[OwnLine]) -> tuple[bytes, tuple[OwnLine, ...]]:
    """Return ``text`` of one file without these lines, and those that were not there any more."""
    left = Counter(own)
    section = ""
    result = []
    for line in split_lines(text):
        said = read_line(line)
        if said and said[0] == HEADER:
            section = said[1] or ""
        found = OwnLine(section, line.strip(BLANKS))
        if left[found] > 0:
            left[found] -= 1
        else:
            result.append(line)
    return b"".join(result), tuple(left.elements())
