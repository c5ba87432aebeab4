"""A datagram by which one node tells of another: that one's announcement, and where it is. No I/O.

Three parts, each ended by a line feed but the last: the magic line ``flocon told 1``; a JSON list
of two texts, the id of the node that tells and the address by which it says that the other one can
be asked; and the announcement, as in a datagram of its own. 1,200 bytes in all. Who does not know
this form takes it for none of flocon's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.datagrams.messages import LARGEST_DATAGRAM, TOLD_MAGIC, decode, encode
from flocon.datagrams.values import is_plain_address
from flocon.errors import DatagramError

if TYPE_CHECKING:
    from flocon.datagrams.messages import Announcement

#: The line with who tells and of where: an id and an IPv6 address at their longest.
_LONGEST_LINE = 80
_NODE = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Introduction:
    """What the node ``teller`` tells of another one: ``said``, and that it is at ``address``.

    ``address`` is numeric, in the one spelling that Python gives it, without a zone.
    """

    teller: str
    address: str
    said: Announcement


def encode_introduction(told: Introduction) -> bytes:
    """Return the datagram; what does not fit of the announcement is left out, as ``encode`` does.

    Raises DatagramError("field") for a value that no reader would take.
    """
    _check(told.teller, told.address)
    line = json.dumps([told.teller, told.address], separators=(",", ":")).encode("ascii")
    head = TOLD_MAGIC + line + b"\n"
    return head + encode(told.said, LARGEST_DATAGRAM - len(head))


def decode_introduction(data: bytes) -> Introduction:
    """Return what ``data`` tells; raises DatagramError with the reasons of ``decode``."""
    if len(data) > LARGEST_DATAGRAM:
        raise DatagramError("oversized")
    if not data.startswith(TOLD_MAGIC):
        raise DatagramError("foreign")
    line, _, announcement = data[len(TOLD_MAGIC) :].partition(b"\n")
    if len(line) > _LONGEST_LINE:
        raise DatagramError("malformed", "a long line")
    try:
        match json.loads(line.decode("ascii")):
            case [str(teller), str(address)]:
                _check(teller, address)
            case _:
                raise DatagramError("malformed", "no pair")
    except (ValueError, RecursionError) as error:
        raise DatagramError("malformed", type(error).__name__) from None
    return Introduction(teller, address, decode(announcement))


def _check(teller: str, address: str) -> None:
    if _NODE.fullmatch(teller) is None:
        raise DatagramError("field", "teller")
    if not is_plain_address(address):
        raise DatagramError("field", "address")
