"""A datagram and the frozen ``Announcement`` it stands for: the format, nothing that acts on it.

A datagram is at most 1,200 bytes: the magic line ``flocon 1`` and its line feed, then one JSON
object in UTF-8. Its keys:

===== ==================================== =====================================================
key   field                                value
===== ==================================== =====================================================
``k`` kind                                 ``"hello"``, ``"beat"`` or ``"bye"``
``n`` node                                 16 lower-case hexadecimal digits
``e`` epoch                                8 lower-case hexadecimal digits, random at each start
``s`` sequence                             1 and up, growing with each datagram of an epoch
``h`` name                                 1 to 64 printable characters
``p`` port                                 1 to 65535
``o`` system                               ``ID`` of os-release(5)
``b`` beat                                 seconds until the next datagram at most, 0.2 to 3600
``g`` generation                           of the inventory, 0 and up
``f`` files                                in the inventory, 0 and up
``a`` architectures                        a list of at most 8 words; may be left out when empty
``d`` databases                            an object, repository to 11 characters of base64
``r`` abilities                            a list of at most 8 words
``t`` savings                              ``[saved, crossed]``, MiB of 30 days; may be left out
``w`` own                                  a list of at most 4 ``[name, signed]``: own
                                           repositories, and the second in which the newest
                                           generation was signed; may be left out when empty
``i`` addresses                            a list of at most 2 numeric addresses by which other
                                           networks may reach it; may be left out when empty
``c`` changes                              a list of ``[name, size, base64]`` for a file that
                                           came, ``[name, size, base64, 0]`` for one that left
===== ==================================== =====================================================

Base64 is the URL-safe alphabet of RFC 4648 without padding. Any other key is ignored, so that a
later version can add some. What such values mean for who is there is decided in ``presence``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Any

from flocon.datagrams import values
from flocon.datagrams.values import (
    LARGEST_NUMBER,
    LONGEST_BEAT,
    MOST_CHANGES,
    MOST_CLAIMED,
    MOST_DATABASES,
    SHORTEST_BEAT,
    pack,
)
from flocon.errors import DatagramError, InventoryError
from flocon.files import is_repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flocon.holdings.inventory import Change

__all__ = [
    "LARGEST_DATAGRAM",
    "LARGEST_NUMBER",
    "LONGEST_BEAT",
    "MAGIC",
    "MOST_CLAIMED",
    "SHORTEST_BEAT",
    "SITES",
    "TOLD_MAGIC",
    "Announcement",
    "Kind",
    "check",
    "decode",
    "encode",
    "room_for",
]

MAGIC = b"flocon 1\n"
#: What begins a datagram that tells of another node (``introductions``).
TOLD_MAGIC = b"flocon told 1\n"
#: The ability to hear of nodes of other networks, and to answer them.
SITES = "sites"
#: Passes every link that carries IPv6 (1,280 bytes) unfragmented, tunnels included.
LARGEST_DATAGRAM = 1_200

_ANY_VERSION = re.compile(rb"flocon [0-9]{1,9}\n")
_NODE = re.compile(r"[0-9a-f]{16}")
_EPOCH = re.compile(r"[0-9a-f]{8}")
_DATABASE_DIGEST = re.compile(r"[0-9a-f]{16}")
_SYSTEM = re.compile(r"[a-z0-9._-]{1,32}")


class Kind(Enum):
    """Why a datagram was sent."""

    HELLO = "hello"
    BEAT = "beat"
    BYE = "bye"


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a node says of itself in one datagram.

    ``beat`` is in seconds, to the millisecond. ``databases`` pairs a repository with the first 8
    bytes of its database's SHA-256 in hexadecimal. ``changes`` are the newest of the inventory,
    oldest first; the last of them made ``generation``. ``savings`` are MiB of the last 30 days that
    came from other nodes' holdings, and that crossed the WAN to this node. ``own`` are repositories
    that are made on this LAN, each with the Unix second in which the newest generation was signed
    that this node has. ``addresses`` are where it can be asked from other networks, beside the one
    from which it was heard.
    """

    kind: Kind
    node: str
    epoch: str
    sequence: int
    name: str
    port: int
    system: str
    architectures: tuple[str, ...]
    beat: float
    generation: int
    files: int
    databases: tuple[tuple[str, str], ...] = ()
    abilities: frozenset[str] = frozenset()
    changes: tuple[Change, ...] = ()
    savings: tuple[int, int] = (0, 0)
    own: tuple[tuple[str, int], ...] = ()
    addresses: tuple[str, ...] = ()


def encode(announcement: Announcement, largest: int = LARGEST_DATAGRAM) -> bytes:
    """Return the datagram, at most ``largest`` bytes.

    What does not fit is left out: the oldest changes first, then databases from the end, then
    architectures, then own repositories. Raises DatagramError("field") for a value no reader
    would take.
    """
    check(announcement)
    head, own, architectures, databases, changes = _parts(announcement)
    room = largest - len(head)
    own, room = _prefix(own, room)
    architectures, room = _prefix(architectures, room)
    databases, room = _prefix(databases, room)
    newest_first, room = _prefix(changes[::-1], room)
    return head + b"".join(
        (
            _list(b',"w":[', own, b"]"),
            _list(b',"a":[', architectures, b"]"),
            _list(b',"d":{', databases, b"}"),
            _list(b',"c":[', newest_first[::-1], b"]"),
            b"}",
        )
    )


def room_for(announcement: Announcement, changes: Iterable[Change]) -> int:
    """Count how many of ``changes``, from the first on, fit beside all else it says."""
    head, own, architectures, databases, _ = _parts(announcement)
    room = LARGEST_DATAGRAM - len(head)
    for items in (own, architectures, databases):
        fitting, room = _prefix(items, room)
        if len(fitting) < len(items):
            return 0
    return len(_prefix([_change(change) for change in islice(changes, MOST_CHANGES)], room)[0])


def _parts(
    announcement: Announcement,
) -> tuple[bytes, list[bytes], list[bytes], list[bytes], list[bytes]]:
    document: dict[str, Any] = {
        "k": announcement.kind.value,
        "n": announcement.node,
        "e": announcement.epoch,
        "s": announcement.sequence,
        "h": announcement.name,
        "p": announcement.port,
        "o": announcement.system,
        "b": _shortest(announcement.beat),
        "g": announcement.generation,
        "f": announcement.files,
        "r": sorted(announcement.abilities),
    }
    if any(announcement.savings):
        document["t"] = list(announcement.savings)
    if announcement.addresses:
        document["i"] = list(announcement.addresses)
    return (
        MAGIC + _json(document)[:-1],
        [_json([name, signed]) for name, signed in announcement.own],
        [_json(one) for one in announcement.architectures],
        [_json({name: pack(bytes.fromhex(hexa))})[1:-1] for name, hexa in announcement.databases],
        [_change(change) for change in announcement.changes[-MOST_CHANGES:]],
    )


def _shortest(seconds: float) -> float:
    rounded = round(seconds, 3)
    return int(rounded) if rounded.is_integer() else rounded


def _change(change: Change) -> bytes:
    row = [change.file_name, change.content.size, pack(change.content.sha256)]
    return _json(row if change.held else [*row, 0])


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


#: What a list costs beside its items and their commas: ``,"a":[`` and ``]``, and once ``}``.
_FRAME = len(',"a":[]')


def _prefix(items: list[bytes], room: int) -> tuple[list[bytes], int]:
    """Return the first items that fit into ``room`` bytes as a list, and the room that is left."""
    used = _FRAME - 1  # the first item has no comma before it
    fitting = []
    for item in items:
        used += len(item) + 1
        if used + len("}") > room:
            used -= len(item) + 1
            break
        fitting.append(item)
    return fitting, room - used if fitting else room


def _list(opening: bytes, items: list[bytes], closing: bytes) -> bytes:
    return opening + b",".join(items) + closing if items else b""


def decode(data: bytes) -> Announcement:
    """Return what ``data`` says.

    Raises DatagramError; its reason is ``oversized``, ``foreign`` (not flocon's), ``version``
    (another version's), ``malformed`` (not the JSON it should be) or ``field`` (its detail names
    the key).
    """
    if len(data) > LARGEST_DATAGRAM:
        raise DatagramError("oversized")
    if not data.startswith(MAGIC):
        raise DatagramError("version" if _ANY_VERSION.match(data) else "foreign")
    document = _document(data[len(MAGIC) :])
    said = {field: _read(document, key, reader) for field, key, reader in _FIELDS}
    return Announcement(**said)


def check(announcement: Announcement) -> None:
    """Raise DatagramError("field") where a reader would refuse ``announcement``."""
    for field, _, reader in _FIELDS[:_PLAIN]:
        value = getattr(announcement, field)
        _guard(field, reader, value.value if isinstance(value, Kind) else value)
    _guard("architectures", values.architectures, list(announcement.architectures))
    _guard("abilities", values.abilities, list(announcement.abilities))
    _guard("savings", values.savings, list(announcement.savings))
    _guard("addresses", values.addresses, list(announcement.addresses))
    _guard("own", values.own, [[name, signed] for name, signed in announcement.own])
    databases = dict(announcement.databases)
    if len(databases) != len(announcement.databases) or len(databases) > MOST_DATABASES:
        raise DatagramError("field", "databases")
    for name, digest in databases.items():
        if not is_repository(name) or _DATABASE_DIGEST.fullmatch(digest) is None:
            raise DatagramError("field", "databases")


def _document(text: bytes) -> dict[str, Any]:
    try:
        document = json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise DatagramError("malformed", type(error).__name__) from None
    if not isinstance(document, dict):
        raise DatagramError("malformed", "not an object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key twice")
    return result


def _no_constant(name: str) -> float:
    raise ValueError(name)


_MISSING = object()


def _read(document: dict[str, Any], key: str, reader: Callable[[Any], Any]) -> Any:
    value = document.get(key, _MISSING)
    if value is _MISSING:
        default = _DEFAULTS.get(key, _MISSING)
        if default is _MISSING:
            raise DatagramError("field", key)
        return default
    return _guard(key, reader, value)


def _guard(name: str, reader: Callable[[Any], Any], value: Any) -> Any:
    try:
        return reader(value)
    except (ValueError, TypeError, InventoryError):
        raise DatagramError("field", name) from None


_FIELDS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("kind", "k", Kind),
    ("node", "n", values.text(_NODE)),
    ("epoch", "e", values.text(_EPOCH)),
    ("sequence", "s", values.integer(1, LARGEST_NUMBER)),
    ("name", "h", values.name),
    ("port", "p", values.integer(1, 65_535)),
    ("system", "o", values.text(_SYSTEM)),
    ("beat", "b", values.beat),
    ("generation", "g", values.integer(0, LARGEST_NUMBER)),
    ("files", "f", values.integer(0, LARGEST_NUMBER)),
    ("architectures", "a", values.architectures),
    ("databases", "d", values.databases),
    ("abilities", "r", values.abilities),
    ("changes", "c", values.changes),
    ("savings", "t", values.savings),
    ("own", "w", values.own),
    ("addresses", "i", values.addresses),
)
#: The fields before this one are kept as JSON gives them.
_PLAIN = 10
#: What a key that may be left out stands for then.
_DEFAULTS: dict[str, Any] = {
    **dict.fromkeys("adciw", ()),
    "r": frozenset(),
    "t": (0, 0),
}
