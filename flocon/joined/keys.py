"""Public keys as OpenPGP has them: taken apart into one part for each key, with its fingerprint.

What a stranger sent never reaches gpg before it was looked at here: it is packets of public keys,
their names, signatures and subkeys, and nothing else; and of several keys only the one that was
chosen is kept (RFC 9580, 4.2 and 5.5.4). Whether a subkey belongs to its key is for gpg to say.
No I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from hashlib import sha1

from flocon.errors import RepositoryError
from flocon.joined.lifetimes import lifetime, made

#: Bytes of a file of keys, keys in it, and packets of one.
LARGEST_KEYS = 64 << 10
MOST_KEYS = 8
_MOST_PACKETS = 64
_LONGEST_NAME = 255

_SIGNATURE, _KEY, _USER, _SUBKEY = 2, 6, 13, 14
_VERSION = 4
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key: its fingerprint (40 hex digits), the names it gives itself, its packets.

    ``made`` is when, in Unix seconds, and ``lives`` for how many from then on, 0 for ever: what it
    says of itself by the signature of the second ``said``.
    """

    fingerprint: str
    names: tuple[str, ...]
    data: bytes
    made: int = 0
    lives: int = 0
    said: int = 0

    @property
    def expires(self) -> int:
        """When nothing that it signs is good any more, in Unix seconds; 0 for never."""
        return self.made + self.lives if self.lives else 0


def read_keys(data: bytes) -> list[PublicKey]:
    """Return the keys of a file, binary as ``gpg --export`` writes it; raise RepositoryError."""
    if not 0 < len(data) <= LARGEST_KEYS:
        raise _none(f"it has {len(data)} bytes")
    keys: list[PublicKey] = []
    position = count = 0
    while position < len(data):
        tag, body, end = _packet(data, position)
        count += 1
        if tag == _KEY:
            if len(keys) == MOST_KEYS:
                raise _none(f"it has more than {MOST_KEYS} keys")
            keys.append(PublicKey(_fingerprint(body), (), b"", made(body)))
            count = 0
        elif tag not in {_SIGNATURE, _USER, _SUBKEY} or not keys or count > _MOST_PACKETS:
            raise _none("it has what belongs to no public key")
        last = keys[-1]
        names = (*last.names, _name(body)) if tag == _USER else last.names
        last = replace(last, names=names, data=last.data + data[position:end])
        says = lifetime(body, last.fingerprint) if tag == _SIGNATURE else None
        if says is not None and says[0] >= last.said:
            last = replace(last, said=says[0], lives=says[1])
        keys[-1] = last
        position = end
    if len({one.fingerprint for one in keys}) < len(keys):
        raise _none("it has one key twice")
    return keys


def as_fingerprint(text: str) -> str:
    """Return a fingerprint as it is compared, of how a person wrote it; raise RepositoryError."""
    plain = "".join(text.split()).replace(":", "").upper().removeprefix("0X")
    if not _FINGERPRINT.fullmatch(plain):
        raise RepositoryError(
            f"{text!r} is no fingerprint", "write all of its 40 digits, as 'flocon repo key' does"
        )
    return plain


def shown(fingerprint: str) -> str:
    """Return a fingerprint as a person compares it, in groups of four digits."""
    groups = [fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4)]
    return " ".join(groups)


def _none(why: str) -> RepositoryError:
    return RepositoryError(f"this is no file of public keys: {why}", "")


def _fingerprint(body: bytes) -> str:
    if body[:1] != bytes([_VERSION]):
        raise _none("it has a key of another version than 4")
    framed = b"\x99" + len(body).to_bytes(2) + body
    return sha1(framed, usedforsecurity=False).hexdigest().upper()


def _name(body: bytes) -> str:
    text = body[:_LONGEST_NAME].decode("utf-8", "replace")
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _packet(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Return the tag and the body of the packet at a place, and where the next one begins."""
    first = data[at]
    if first < 0b1000_0000:  # noqa: PLR2004 - each packet's first bit
        raise _none("it is not binary OpenPGP")
    if first & 0b0100_0000:
        tag, (start, length) = first & 0b11_1111, _new_length(data, at + 1)
    else:
        kind = first & 0b11
        if kind == 0b11:  # noqa: PLR2004 - of unknown length
            raise _none("it has a packet without a length")
        tag, width = first >> 2 & 0b1111, 1 << kind
        start = at + 1 + width
        length = int.from_bytes(data[at + 1 : start])
    end = start + length
    # A fingerprint counts the length in two bytes.
    if not 0 < length < 1 << 16 or end > len(data):
        raise _none("it ends within a packet")
    return tag, data[start:end], end


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    """Return where the body begins, and its length, of a header in the newer form."""
    octets = data[at : at + 5]
    if octets[:1] < b"\xc0":
        return at + 1, int.from_bytes(octets[:1])
    if octets[:1] < b"\xe0":
        return at + 2, (int.from_bytes(octets[:2]) - (0xC0 << 8)) + 0xC0
    if octets[:1] == b"\xff":
        return at + 5, int.from_bytes(octets[1:5])
    raise _none("it has a packet in parts")
