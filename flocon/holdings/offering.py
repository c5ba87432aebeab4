"""What is offered of all that is known: one package a name, and an inventory that tells of them.

Memory only. When a file may be offered is decided by ``judgement``; here its verdicts have
their consequences. A file that is not what it should be is reported once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from twisted.logger import Logger

from flocon.files import Content
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
        #: Called with every name of the store that was judged.
        self.judged_in_store: Callable[[str], None] = lambda _: None

    def find(self, file_name: str) -> Held | None:
        """Return the package of this name, if it is held; never touches the disk."""
        return self._held.get(file_name)

    def holds(self, file_name: str, content: Content) -> bool:
        held = self._held.get(file_name)
        return held is not None and held.content == content

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
        """Offer the best file of this name."""
        listed = self.contents(name)
        best: Held | None = None
        for folder in self._folders:
            file = None if folder.silent else folder.files.get(name)
            held = file and self._judge(folder, name, file, listed)
            if held and (best is None or _rank(held, listed) > _rank(best, listed)):
                best = held
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
        if name in self._folders.store.files:
            self.judged_in_store(name)

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
