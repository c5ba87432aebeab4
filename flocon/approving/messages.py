"""What a person is told of things that wait, as a text. No I/O.

Reasons are partly strangers' words: each is one line, of signs that show.
"""

from __future__ import annotations

from binascii import b2a_qp
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flocon.books.units import counted, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: Recipes, and reasons for one, that are told at length; signs of a line.
MOST_RECIPES, MOST_REASONS, LONGEST_LINE = 20, 8, 300


@dataclass(frozen=True, slots=True)
class Message:
    """A title in one line, a text, and the recipes that are meant."""

    title: str
    text: str
    bases: tuple[str, ...]


def message(waiting: Sequence[Mapping[str, Any]], host: str) -> Message:
    """Return what is told of recipes that wait, as ``/builds.json`` has them."""
    bases = tuple(_line(one["base"]) for one in waiting)
    what = bases[0] if len(bases) == 1 else counted(len(bases), "recipe")
    waits = "waits" if len(bases) == 1 else "wait"
    title = f"flocon on {_line(host)}: {what} {waits} for you"
    lines = [line for one in waiting[:MOST_RECIPES] for line in _told(one)]
    if len(waiting) > MOST_RECIPES:
        lines.append(f"and {len(waiting) - MOST_RECIPES} more")
    lines += ["", f"To decide, on {_line(host)}: flocon build approve NAME, or flocon build web"]
    return Message(title, "\n".join(lines) + "\n", bases)


def _told(one: Mapping[str, Any]) -> Iterator[str]:
    yield _line(f"{one['base']} {one['version']}: {one['stage']}")
    reasons = one["reasons"]
    for reason in reasons[:MOST_REASONS]:
        yield f"  {_line(reason)}"
    if len(reasons) > MOST_REASONS:
        yield f"  and {counted(len(reasons) - MOST_REASONS, 'reason')} more"


def _line(text: object) -> str:
    shown = plain(text)
    return shown if len(shown) <= LONGEST_LINE else f"{shown[:LONGEST_LINE]}..."


def mail(told: Message, to: str) -> bytes:
    """Return a message as ``sendmail`` takes it."""
    title = told.title.encode("ascii", "replace").decode()
    head = (
        *(f"To: {to}", f"Subject: {title}", "MIME-Version: 1.0"),
        *("Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: quoted-printable"),
        "Auto-Submitted: auto-generated",
    )
    # A line of mail has no more than 998 bytes (RFC 5322, 2.1.1), and not everybody takes 8 bits.
    return ("\n".join(head) + "\n\n").encode("ascii") + b2a_qp(told.text.encode("utf-8", "replace"))
