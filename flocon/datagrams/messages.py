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
``c`` changes                              a list of ``[name, size, base64]`` for a file that
                                           came, ``[name, size, base64, 0]`` for one that left
===== ==================================== =====================================================

Base64 is the URL-safe alphabet of RFC 4648 without padding. Any other key is ignored, so that a
later version can add some. What such values mean for who is there is decided in ``presence``.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Any

from flocon.errors import DatagramError, InventoryError
from flocon.files import DIGEST_SIZE, Content, is_architecture, is_repository
from flocon.holdings.inventory import Change, check_change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAGIC = b"flocon 1\n"
#: Passes every link that carries IPv6 (1,280 bytes) unfragmented, tunnels included.
LARGEST_DATAGRAM = 1_200
SHORTEST_BEAT = 0.2
LONGEST_BEAT = 3_600.0
LONGEST_NAME = 64
MOST_ARCHITECTURES = 8
MOST_DATABASES = 32
MOST_ABILITIES = 8
#: What every JSON reader keeps exactly.
LARGEST_NUMBER = (1 << 53) - 1
#: A database's digest: the first bytes of its SHA-256.
DATABASE_DIGEST_SIZE = 8
#: No datagram has room for more, the shortest change being some 70 bytes.
_MOST_CHANGES = 32
#: MiB that one node may claim for 30 days: what 50 Mbit/s bring without a pause.
MOST_CLAIMED = 1 << 24

_ANY_VERSION = re.compile(rb"flocon [0-9]{1,9}\n")
_NODE = re.compile(r"[0-9a-f]{16}")
_EPOCH = re.compile(r"[0-9a-f]{8}")
_DATABASE_DIGEST = re.compile(r"[0-9a-f]{16}")
_SYSTEM = re.compile(r"[a-z0-9._-]{1,32}")
_ABILITY = re.compile(r"[a-z][a-z0-9-]{0,15}")


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
    came from other nodes' holdings, and that crossed the WAN to this node.
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


def encode(announcement: Announcement) -> bytes:
    """Return the datagram, at most 1,200 bytes.

    What does not fit is left out: the oldest changes first, then databases from the end, then
    architectures from the end. Raises DatagramError("field") for a value no reader would take.
    """
    check(announcement)
    head, architectures, databases, changes = _parts(announcement)
    room = LARGEST_DATAGRAM - len(head)
    architectures, room = _prefix(architectures, room)
    databases, room = _prefix(databases, room)
    newest_first, room = _prefix(changes[::-1], room)
    return head + b"".join(
        (
            _list(b',"a":[', architectures, b"]"),
            _list(b',"d":{', databases, b"}"),
            _list(b',"c":[', newest_first[::-1], b"]"),
            b"}",
        )
    )


def room_for(announcement: Announcement, changes: Iterable[Change]) -> int:
    """Count how many of ``changes``, from the first on, fit beside all else it says."""
    head, architectures, databases, _ = _parts(announcement)
    room = LARGEST_DATAGRAM - len(head)
    for items in (architectures, databases):
        fitting, room = _prefix(items, room)
        if len(fitting) < len(items):
            return 0
    return len(_prefix([_change(change) for change in islice(changes, _MOST_CHANGES)], room)[0])


def _parts(announcement: Announcement) -> tuple[bytes, list[bytes], list[bytes], list[bytes]]:
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
    return (
        MAGIC + _json(document)[:-1],
        [_json(one) for one in announcement.architectures],
        [_json({name: _pack(bytes.fromhex(hexa))})[1:-1] for name, hexa in announcement.databases],
        [_change(change) for change in announcement.changes[-_MOST_CHANGES:]],
    )


def _shortest(seconds: float) -> float:
    rounded = round(seconds, 3)
    return int(rounded) if rounded.is_integer() else rounded


def _change(change: Change) -> bytes:
    row = [change.file_name, change.content.size, _pack(change.content.sha256)]
    return _json(row if change.held else [*row, 0])


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _pack(digest: bytes) -> str:
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


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
    values = {field: _read(document, key, reader) for field, key, reader in _FIELDS}
    return Announcement(**values)


def check(announcement: Announcement) -> None:
    """Raise DatagramError("field") where a reader would refuse ``announcement``."""
    for field, _, reader in _FIELDS[:_PLAIN]:
        value = getattr(announcement, field)
        _guard(field, reader, value.value if isinstance(value, Kind) else value)
    _guard("architectures", _architectures, list(announcement.architectures))
    _guard("abilities", _abilities, list(announcement.abilities))
    _guard("savings", _savings, list(announcement.savings))
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


# Readers take what JSON gave and return the field's value; ValueError or TypeError refuses it.


def _text(pattern: re.Pattern[str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if pattern.fullmatch(value) is None:
            raise ValueError
        return str(value)

    return read


def _integer(lowest: int, highest: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not lowest <= value <= highest:
            raise ValueError
        return value

    return read


def _name(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME or not value.isprintable():
        raise ValueError
    return value


def _beat(value: Any) -> float:
    if type(value) not in {int, float} or not SHORTEST_BEAT <= value <= LONGEST_BEAT:
        raise ValueError
    return float(value)


def _items(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError
    return value


def _words(values: Iterable[Any], fits: Callable[[str], object]) -> list[str]:
    words = list(values)
    if len(set(words)) != len(words) or not all(fits(word) for word in words):
        raise ValueError
    return words


def _architectures(value: Any) -> tuple[str, ...]:
    return tuple(_words(_items(value, MOST_ARCHITECTURES), is_architecture))


def _abilities(value: Any) -> frozenset[str]:
    return frozenset(_words(_items(value, MOST_ABILITIES), _ABILITY.fullmatch))


def _savings(value: Any) -> tuple[int, int]:
    saved, crossed = _items(value, 2)
    read = _integer(0, MOST_CLAIMED)
    return read(saved), read(crossed)


def _databases(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or len(value) > MOST_DATABASES:
        raise ValueError
    names = _words(value, is_repository)
    return tuple((name, _unpack(value[name], DATABASE_DIGEST_SIZE).hex()) for name in names)


def _changes(value: Any) -> tuple[Change, ...]:
    return tuple(_one_change(row) for row in _items(value, _MOST_CHANGES))


def _one_change(row: Any) -> Change:
    match row:
        case [str(name), size, digest]:
            held = True
        case [str(name), size, digest, 0]:
            held = False
        case _:
            raise ValueError
    content = Content(_integer(0, LARGEST_NUMBER)(size), _unpack(digest, DIGEST_SIZE))
    return check_change(Change(name, content, held))


def _unpack(text: Any, size: int) -> bytes:
    """Return the bytes of unpadded base64; only the one canonical spelling is taken."""
    if not isinstance(text, str) or len(text) != -(-size * 4 // 3):
        raise ValueError
    try:
        digest = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError from None
    if len(digest) != size or _pack(digest) != text:
        raise ValueError
    return digest


_FIELDS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("kind", "k", Kind),
    ("node", "n", _text(_NODE)),
    ("epoch", "e", _text(_EPOCH)),
    ("sequence", "s", _integer(1, LARGEST_NUMBER)),
    ("name", "h", _name),
    ("port", "p", _integer(1, 65_535)),
    ("system", "o", _text(_SYSTEM)),
    ("beat", "b", _beat),
    ("generation", "g", _integer(0, LARGEST_NUMBER)),
    ("files", "f", _integer(0, LARGEST_NUMBER)),
    ("architectures", "a", _architectures),
    ("databases", "d", _databases),
    ("abilities", "r", _abilities),
    ("changes", "c", _changes),
    ("savings", "t", _savings),
)
#: The fields before this one are kept as JSON gives them.
_PLAIN = 10
#: What a key that may be left out stands for then.
_DEFAULTS: dict[str, Any] = {"a": (), "d": (), "r": frozenset(), "c": (), "t": (0, 0)}
