"""The values of a datagram's keys: what each may be, read from what JSON gave. No I/O.

Each reader returns the field's value; ValueError or TypeError refuses it.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from flocon.files import DIGEST_SIZE, Content, is_architecture, is_repository
from flocon.holdings.inventory import Change, check_change

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SHORTEST_BEAT = 0.2
LONGEST_BEAT = 3_600.0
LONGEST_NAME = 64
MOST_ARCHITECTURES = 8
MOST_DATABASES = 32
MOST_ABILITIES = 8
MOST_OWN = 4
MOST_ADDRESSES = 2
#: What every JSON reader keeps exactly.
LARGEST_NUMBER = (1 << 53) - 1
#: A database's digest: the first bytes of its SHA-256.
DATABASE_DIGEST_SIZE = 8
#: No datagram has room for more, the shortest change being some 70 bytes.
MOST_CHANGES = 32
#: MiB that one node may claim for 30 days: what 50 Mbit/s bring without a pause.
MOST_CLAIMED = 1 << 24
_ABILITY = re.compile(r"[a-z][a-z0-9-]{0,15}")


def pack(digest: bytes) -> str:
    """Return bytes as unpadded base64."""
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def text(pattern: re.Pattern[str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if pattern.fullmatch(value) is None:
            raise ValueError
        return str(value)

    return read


def integer(lowest: int, highest: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not lowest <= value <= highest:
            raise ValueError
        return value

    return read


def name(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME or not value.isprintable():
        raise ValueError
    return value


def beat(value: Any) -> float:
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


def architectures(value: Any) -> tuple[str, ...]:
    return tuple(_words(_items(value, MOST_ARCHITECTURES), is_architecture))


def abilities(value: Any) -> frozenset[str]:
    return frozenset(_words(_items(value, MOST_ABILITIES), _ABILITY.fullmatch))


def savings(value: Any) -> tuple[int, int]:
    saved, crossed = _items(value, 2)
    read = integer(0, MOST_CLAIMED)
    return read(saved), read(crossed)


def own(value: Any) -> tuple[tuple[str, int], ...]:
    pairs = tuple(map(_one_own, _items(value, MOST_OWN)))
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError
    return pairs


def _one_own(pair: Any) -> tuple[str, int]:
    match pair:
        case [str(name), signed] if is_repository(name):
            return name, integer(1, LARGEST_NUMBER)(signed)
    raise ValueError


def is_plain_address(text: str) -> bool:
    """Whether it is an address in the one spelling that Python gives it, without a zone."""
    try:
        return str(ip_address(text)) == text and "%" not in text
    except ValueError:
        return False


def addresses(value: Any) -> tuple[str, ...]:
    return tuple(_words(_items(value, MOST_ADDRESSES), _is_address))


def _is_address(one: Any) -> bool:
    return isinstance(one, str) and is_plain_address(one)


def databases(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or len(value) > MOST_DATABASES:
        raise ValueError
    names = _words(value, is_repository)
    return tuple((name, _unpack(value[name], DATABASE_DIGEST_SIZE).hex()) for name in names)


def changes(value: Any) -> tuple[Change, ...]:
    return tuple(_one_change(row) for row in _items(value, MOST_CHANGES))


def _one_change(row: Any) -> Change:
    match row:
        case [str(name), size, digest]:
            held = True
        case [str(name), size, digest, 0]:
            held = False
        case _:
            raise ValueError
    content = Content(integer(0, LARGEST_NUMBER)(size), _unpack(digest, DIGEST_SIZE))
    return check_change(Change(name, content, held))


def _unpack(text: Any, size: int) -> bytes:
    """Return the bytes of unpadded base64; only the one canonical spelling is taken."""
    if not isinstance(text, str) or len(text) != -(-size * 4 // 3):
        raise ValueError
    try:
        digest = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError from None
    if len(digest) != size or pack(digest) != text:
        raise ValueError
    return digest
