"""Which packages nobody else is told of: those of repositories that the operator keeps private.

A package's file that no database lists any more, as an old version in pacman's cache, is known by
its package's name. No I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.files import parse_file_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from flocon.files import Content
    from flocon.pacman.listing import Listing


class Privacy:
    """``listing`` returns what is listed now; ``repositories`` are the private ones."""

    def __init__(self, listing: Callable[[], Listing], repositories: Collection[str] = ()) -> None:
        self._listing = listing
        self.repositories = frozenset(repositories)
        #: Whether a file lies where this machine publishes a private one: be it listed or not.
        self.publishes: Callable[[str], bool] = lambda _: False

    def keeps(self, repository: str) -> bool:
        """Whether nothing is told of a repository."""
        return repository in self.repositories

    def allows(self, file_name: str, content: Content) -> bool:
        """Whether others may be told that this file is held.

        Until the databases of all private repositories were read, only what others list may.
        """
        if not self.repositories:
            return True
        listing = self._listing()
        entries = [one for one in listing.find(file_name) if one.content == content]
        if entries:
            return not all(self.keeps(one.repository) for one in entries)
        if self.publishes(file_name):
            return False
        file = parse_file_name(file_name)
        if file is None or any(listing.database(one) is None for one in self.repositories):
            return False
        return not any(self.keeps(one.repository) for one in listing.named(file.name))
