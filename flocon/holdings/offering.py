"""What is offered of all that is known: the best of a name, and an inventory that tells of them.

Memory only. When a file may be offered is decided by ``judgement``; here its verdicts have
their consequences. A file that is not what it should be is reported once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from twisted.logger import Logger

from flocon.files import Content, known_as, sum_of
from flocon.holdings.inventory import Inventory
from flocon.holdings.judgement import Next, Place, judge, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from flocon.holdings.inventory import Change
    from flocon.holdings.judgement import Verdict
    from flocon.holdings.known import KnownFile, KnownFolder, KnownFolders, Origin
    from flocon.holdings.recollection import Recollection
    from flocon.store.accounts import Accounts
    from flocon.store.folder import Found, Stamp
    from flocon.store.index import Remembered

    class Listed(Protocol):
        """What a sync database says of a file: size in bytes, raw SHA-256, and its signature."""

        @property
        def size(self) -> int: ...

        @property
        def sha256(self) -> bytes: ...

        @property
        def is_signed(self) -> bool:
            """Whether the database has its signature."""

        def read_signature(self) -> bytes | None:
            """Return the signature; None where there is none, or it cannot be had."""


#: What a folder is to who judges its files, by its origin.
PLACES = {"cache": Place.CACHE, "adopted": Place.ADOPTED, "store": Place.STORE}


@dataclass(frozen=True, slots=True)
class Held:
    """A package that is offered.

    ``verified`` if ``content.sha256`` was computed here and not only taken from a sync database;
    ``stamp`` and ``signature`` are what the two files must still be like when they are opened, and
    ``on_disk`` what the first is called there, where that is not ``file_name``.
    """

    file_name: str
    content: Content
    directory: Path
    origin: Origin
    verified: bool
    stamp: Stamp
    signature: Stamp | None
    on_disk: str = ""
    #: What it comes and goes with, where it is not on this machine's own disks and may hang.
    far: Path | None = None

    @property
    def signed(self) -> bool:
        return self.signature is not None


class Offering:
    """The packages that are held, by name, and the ``inventory`` of those told to others.

    ``listed(file_name)`` returns what the sync databases list under a name, and
    ``signature_needed(file_name)`` whether such a package counts only with its signature.
    ``offered`` tells which of the held are for others, ``changed`` gets every change of
    ``inventory``. All are asked in the reactor's thread.
    """

    _log = Logger()

    def __init__(
        self,
        folders: KnownFolders,
        accounts: Accounts,
        recollection: Recollection,
        *,
        listed: Callable[[str], Sequence[Listed]],
        signature_needed: Callable[[str], bool],
        changed: Callable[[list[Change]], None],
        offered: Callable[[str, Content], bool],
        wall: Callable[[], float],
    ) -> None:
        self._folders = folders
        self._accounts = accounts
        self._recollection = recollection
        self._listed = listed
        self._signature_needed = signature_needed
        self._changed = changed
        self._offered = offered
        self._wall = wall
        self.inventory = Inventory()
        self._held: dict[str, Held] = {}
        #: What else is held under a name, and what lies in the store beside the file of that name.
        self._others: dict[str, list[Held]] = {}
        self._beside: dict[str, set[str]] = {}
        self._has_news = False
        #: Changes of the inventory that were not told yet.
        self._untold: list[Change] = []
        #: Has a file hashed, urgently or not.
        self.hash: Callable[[KnownFolder, str, bool], None] = lambda *_: None
        #: Has a file looked at again when it has had time to settle.
        self.let_settle: Callable[[KnownFolder, str], None] = lambda *_: None
        #: Called with a folder that was adopted, and what is verified in it but for a signature.
        self.lacks_signature: Callable[[KnownFolder, str], None] = lambda *_: None
        #: Returns the signature of what lies there without one, where it was fetched.
        self.late_signature: Callable[[Content], bytes | None] = lambda _: None
        #: Called when something came to be held, or is no more, of which peers are told nothing.
        self.others_changed: Callable[[], None] = lambda: None
        #: Called with every name of the store that was judged.
        self.judged_in_store: Callable[[str], None] = lambda _: None

    def find(self, file_name: str, content: Content | None = None) -> Held | None:
        """Return the package of this name, or of this name and content, if it is held.

        Never touches the disk.
        """
        held = self._held.get(file_name)
        if content is None or (held is not None and held.content == content):
            return held
        return next(
            (one for one in self._others.get(file_name, ()) if one.content == content), None
        )

    def holds(self, file_name: str, content: Content) -> bool:
        return self.find(file_name, content) is not None

    def names(self) -> set[str]:
        """Return every name that is held or known."""
        return self._folders.names().union(self._held)

    def in_caches(self) -> list[str]:
        """Return the names of the files that are held in pacman's own folders."""
        return [name for name, held in self._held.items() if held.origin == "cache"]

    def contents(self, file_name: str) -> list[Content]:
        """Return what is listed under a name."""
        return [Content(one.size, one.sha256) for one in self._listed(file_name)]

    def note(
        self,
        folder: KnownFolder,
        name: str,
        found: Found | None,
        remembered: Remembered | None = None,
    ) -> None:
        """Take note of what is on disk under ``name``, and offer it or not."""
        folder.note(name, found, remembered)
        if folder is self._folders.store:
            self._accounts.account(name, _size_of(found))
        self.update(name)

    def note_ours(
        self, names: Iterable[str], found: Found | None, remembered: Remembered | None = None
    ) -> None:
        """Take note of what we did to packages of the store, whatever a look at them finds."""
        for name in names:
            self._folders.store.touched.add(name)
            self.note(self._folders.store, name, found, remembered)

    def lose(self, held: Held) -> None:
        """Offer a file no longer that could not be opened, until it was looked at again."""
        name = held.file_name
        for folder in self._folders:
            file = folder.files.get(name)
            if folder.path == held.directory and file and file.found.stamp == held.stamp:
                self.note(folder, name, None)
                folder.touched.add(name)
                self._folders.look_again(folder, name)
        self.tell()

    def update(self, name: str) -> None:
        """Offer the best file of this name, to be told of; others have to be asked for."""
        if known_as(name) != name:
            self._note_beside(name)
            name = known_as(name)
        listed = self.contents(name)
        found = [
            held
            for one in (name, *sorted(self._beside.get(name, ())))
            for folder in self._folders
            if not folder.silent
            and (file := folder.files.get(one)) is not None
            and (held := self._judge(folder, one, file, self.contents(one))) is not None
        ]
        # The first of the best.
        best = max(found, key=lambda held: _rank(held, listed), default=None)
        others = self._others.pop(name, [])
        if len(found) > 1:
            self._others[name] = [held for held in found if held is not best]
        self._has_news |= self._others.get(name, []) != others
        if best is None:
            if self._held.pop(name, None) is not None:
                self._untold += self.inventory.remove(name)
        else:
            if best != self._held.get(name):
                self._held[name] = best
            if self._offered(name, best.content):
                self._untold += self.inventory.put(name, best.content)
            else:
                self._untold += self.inventory.remove(name)
        for one in (name, *self._beside.get(name, ())):
            if one in self._folders.store.files:
                self.judged_in_store(one)

    def _note_beside(self, name: str) -> None:
        """Take note of whether a file of the store is there that lies beside another one."""
        names = self._beside.setdefault(known_as(name), set())
        if name in self._folders.store.files:
            names.add(name)
        else:
            names.discard(name)
        if not names:
            del self._beside[known_as(name)]

    def _judge(
        self, folder: KnownFolder, name: str, file: KnownFile, listed: Sequence[Content]
    ) -> Held | None:
        """Return the file as it may be offered; see to what its verdict asks for."""
        verdict = judge(
            file,
            listed,
            place=PLACES[folder.origin],
            needs_signature=not file.signed and self._lacks_signature(folder, name, file),
            now=self._wall(),
        )
        if verdict.next is not Next.NOTHING:
            self._follow(folder, name, verdict.next)
        if verdict.confirms or verdict.expected is not None:
            self._note_verdict(folder, name, file, verdict)
        if verdict.content is None:
            return None
        return Held(
            name,
            verdict.content,
            folder.path,
            folder.origin,
            file.sha256 is not None,
            file.found.stamp,
            file.found.signature,
            file.found.on_disk,
            folder.root if folder.far else None,
        )

    def _lacks_signature(self, folder: KnownFolder, name: str, file: KnownFile) -> bool:
        """Whether a file without a signature beside it is nothing for others.

        Where other tools' folders have none, that in the database counts: it is what is given.
        """
        if not self._signature_needed(name):
            return False
        if not folder.adopted or file.sha256 is None:
            return not folder.adopted
        own = [one for one in self._listed(name) if (one.size, one.sha256) == file.content]
        content = Content(file.size, file.sha256)
        lacking = not any(one.is_signed for one in own) and self.late_signature(content) is None
        if lacking and own:
            self.lacks_signature(folder, name)
        return lacking

    def _follow(self, folder: KnownFolder, name: str, step: Next) -> None:
        if step is Next.LET_SETTLE:
            self.let_settle(folder, name)
        else:
            self.hash(folder, name, step is Next.HASH_FIRST)

    def _note_verdict(
        self, folder: KnownFolder, name: str, file: KnownFile, verdict: Verdict
    ) -> None:
        """Keep what a verdict says of a file that was hashed."""
        if verdict.confirms:
            file.confirmed = True
            self._recollection.remember(folder.path, name, file)
        if verdict.expected is not None:
            folder.report_damage(name, file, verdict.expected, file.sha256 or b"")
            file.faulty = verdict.damaged

    def tell(self) -> None:
        """Hand the changes of the inventory on."""
        has_news, self._has_news = self._has_news, False
        if has_news:
            self.others_changed()
        changes, self._untold = self._untold, []
        if changes:
            try:
                self._changed(changes)
            except Exception:  # noqa: BLE001 - whoever listens must not stop the scan
                self._log.failure("changes of the inventory were not taken")


def _size_of(found: Found | None) -> int | None:
    if found is None:
        return None
    return found.stamp.size + (found.signature.size if found.signature else 0)


def _rank(held: Held, listed: Sequence[Content]) -> tuple[bool, bool]:
    return rank(held.content, verified=held.verified, listed=listed)


def listed_beside(listed: Callable[[str], Sequence[Listed]]) -> Callable[[str], Sequence[Listed]]:
    """Return what tells what is listed under a file's name in a folder.

    What is built anew, or for another architecture, may be listed under the same name. Where one
    stays there, the other lies beside it (``files.beside``), and of it that content alone is.
    """

    def find(file_name: str) -> Sequence[Listed]:
        own = sum_of(file_name)
        if own is None:
            return listed(file_name)
        return [one for one in listed(known_as(file_name)) if one.sha256 == own]

    return find


def needed_beside(needed: Callable[[str], bool]) -> Callable[[str], bool]:
    """Return what tells whether a file in a folder counts with its signature alone."""
    return lambda file_name: needed(known_as(file_name))
