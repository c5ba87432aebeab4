"""Who has a file of ours open."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from flocon.store.accounts import Loan

if TYPE_CHECKING:
    from flocon.store.room import Lessee


class Lender(Protocol):
    """The accounts, or a store with them."""

    def account(self, file_name: str, size: int | None) -> None: ...

    def lend(self, file_name: str, lessee: Lessee) -> Loan | None: ...

    def end(self, loan: Loan) -> None: ...


class Stranger:
    """Has something open, and closes it when it is cut off."""

    own = False

    def __init__(self) -> None:
        self.cuts = 0
        self.close: Callable[[], None] = lambda: None

    def cut(self) -> None:
        self.cuts += 1
        self.close()


def lent(lender: Lender, name: str, size: int) -> Stranger:
    """Return who has a package of this size open from now on."""
    lender.account(name, size)
    stranger = Stranger()
    loan = lender.lend(name, stranger)
    assert loan is not None
    stranger.close = lambda: lender.end(loan)
    return stranger
