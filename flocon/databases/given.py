"""What whoever asks for a database is given, beside a transfer or bytes. Values alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flocon.store.folder import Opened
    from flocon.transfers.reader import Reader
    from flocon.transfers.transfer import Transfer


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Who asks has it already, by what ``source`` says; or it stands, as nobody says anything."""

    source: str


@dataclass(frozen=True, slots=True)
class Missing:
    """There is none, and nobody else is to be asked: an HTTP status."""

    status: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A transfer that has ended well, held open by a reader; ``close`` it once it is followed."""

    transfer: Transfer
    reader: Reader

    def close(self) -> None:
        self.reader.close()


@dataclass(frozen=True, slots=True)
class OwnCopy:
    """An open file of this node's own; ``dated`` unless it is to be given without a date.

    ``source`` is what ``Flocon-Source`` says of it.
    """

    opened: Opened
    dated: bool
    source: str = "state"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that is known to be right of a database, which was given last.

    ``modified`` is the second that the database bears, None where that is not known; ``is_new``
    unless pacman had that very database already.
    """

    data: bytes
    modified: float | None = None
    is_new: bool = True


Given = Unchanged | Missing | Arrived | OwnCopy | Signature
