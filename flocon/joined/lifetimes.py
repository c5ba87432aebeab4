"""When a public key was made and when it expires, as its packets say (RFC 9580, 5.5.2 and 5.2.3).

Whether a signature of it is good is for gpg to say: here only a person is told. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Of a key packet: where its time begins, behind the version.
_MADE = slice(1, 5)
#: Signatures that a key has for itself and its names, and for nothing else.
_OF_ITSELF = frozenset({0x10, 0x11, 0x12, 0x13, 0x1F})
_SIGNED_AT, _EXPIRES_AFTER, _ISSUER = 2, 9, 33
_VERSION = 4
_SHORTEST = 6
_SHORT, _MIDDLE = 192, 255


def made(key: bytes) -> int:
    """Return when a key was made, by its packet's body, in Unix seconds."""
    return int.from_bytes(key[_MADE])


def lifetime(signature: bytes, fingerprint: str) -> tuple[int, int] | None:
    """Return when a signature was made, and how many seconds a key lives by it from its making.

    ``signature`` is its packet's body, and ``fingerprint`` the key's. 0 seconds are for ever; None
    is for what the key does not say of itself.
    """
    if len(signature) < _SHORTEST or signature[0] != _VERSION or signature[1] not in _OF_ITSELF:
        return None
    length = int.from_bytes(signature[4:6])
    said = dict(_subpackets(signature[6 : 6 + length]))
    # Behind the key's version; another one may vouch for it.
    issuer = said.get(_ISSUER, b"")[1:].hex().upper()
    if _SIGNED_AT not in said or issuer != fingerprint:
        return None
    return int.from_bytes(said[_SIGNED_AT]), int.from_bytes(said.get(_EXPIRES_AFTER, b""))


def _subpackets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kinds and bodies of what a signature says; what is cut off is left out."""
    at = 0
    while at < len(data):
        first, width = data[at], 1
        length = first
        if first == _MIDDLE:
            length, width = int.from_bytes(data[at + 1 : at + 5]), 5
        elif first >= _SHORT:
            length, width = (first - _SHORT << 8) + int.from_bytes(data[at + 1 : at + 2]) + 192, 2
        body = data[at + width : at + width + length]
        if not body or len(body) < length:
            return
        yield body[0] & 0x7F, body[1:]
        at += width + length
