"""What is known of the files of each folder, and what of it has to be looked at again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from flocon.store.folder import Found, Identity
    from flocon.store.index import Remembered

Origin = Literal["cache", "adopted", "store"]
#: More single names than this are looked at by scanning the folder.
MOST_NAMES = 2_000
#: Packages in all folders of other tools together: some 600 bytes each, and whoever may write there
#: may lay down as many as he likes. A whole mirror has 15,000.
MOST_ADOPTED = 50_000


class KnownFile:
    """A package file of one folder, offered or not; it is a ``judgement.Known``."""

    __slots__ = ("confirmed", "faulty", "found", "reported", "sha256")

    def __init__(self, found: Found) -> None:
        self.found = found
        self.sha256: bytes | None = None
        self.confirmed = False
        self.faulty = False
        self.reported = False

    def name_on_disk(self, name: str) -> str:
        """Return what the file of a package of this ``name`` is called where it lies."""
        return self.found.on_disk or name

    @property
    def size(self) -> int:
        return self.found.stamp.size

    @property
    def content(self) -> tuple[int, bytes | None]:
        """Its size and its SHA-256, where that is known."""
        return self.size, self.sha256

    @property
    def modified(self) -> float:
        return self.found.stamp.modified

    @property
    def signed(self) -> bool:
        return self.found.signature is not None

    def recall(self, known: Remembered) -> None:
        if known.stamp == self.found.stamp:
            self.sha256, self.confirmed = known.sha256, known.confirmed

    def inherit(self, earlier: KnownFile) -> None:
        """Take over what was known of the same file."""
        if earlier.found.stamp == self.found.stamp:
            self.sha256, self.confirmed = earlier.sha256, earlier.confirmed
            self.faulty, self.reported = earlier.faulty, earlier.reported


class KnownFolder:
    """One folder and what is known of it."""

    _log = Logger()

    def __init__(self, path: Path, origin: Origin, root: Path | None = None) -> None:
        self.path = path
        #: What it is one of, where it is one of several that come and go together.
        self.root = root or path
        self.origin: Origin = origin
        self.files: dict[str, KnownFile] = {}
        #: What has to be looked at: everything, or some names.
        self.rescan = True
        self.names: set[str] = set()
        #: Names that changed under our own hands since the last look began.
        self.touched: set[str] = set()
        self.read = False
        self.watched = False
        self.gone = False
        #: Whether it is not on this machine's own disks, so that it may hang at any time.
        self.far = False
        #: Whether it hangs. Nothing of it is offered then.
        self.silent = False
        #: Whether it is to be looked at whether it is still the same.
        self.comparing = False
        self.problem = ""
        #: Which folder it was when it was last read: it can be another one without an event, where
        #: something was mounted over it.
        self.identity: Identity | None = None

    @property
    def adopted(self) -> bool:
        """Whether it is another tool's."""
        return self.origin == "adopted"

    def note(self, name: str, found: Found | None, remembered: Remembered | None) -> None:
        """Take note of what is on disk under ``name`` now."""
        earlier = self.files.get(name)
        if found is None:
            self.files.pop(name, None)
        elif earlier is None or earlier.found != found:
            file = self.files[name] = KnownFile(found)
            if earlier is not None:
                file.inherit(earlier)
            if remembered is not None:
                file.recall(remembered)

    def report_damage(self, name: str, file: KnownFile, expected: bytes, actual: bytes) -> None:
        """Say of a file, once, that it is not what it should be."""
        if not file.reported:
            file.reported = True
            self._log.warn(
                "{path} is damaged and not offered: its SHA-256 should be {expected} and is"
                " {actual}; remove it, pacman will fetch it again",
                path=self.path / name,
                expected=expected.hex(),
                actual=actual.hex(),
            )


class KnownFolders:
    """pacman's CacheDirs, the first one first, other tools' folders, and the store's packages."""

    def __init__(self, store: Path) -> None:
        self.store = KnownFolder(store, "store")
        self._folders = [self.store]
        self._caches: list[Path] = []
        #: Each with what it lies beneath.
        self._adopted: dict[Path, Path] = {}
        #: Called when something has to be looked at.
        self.wake: Callable[[], None] = lambda: None

    def __iter__(self) -> Iterator[KnownFolder]:
        return iter(self._folders)

    def __reversed__(self) -> Iterator[KnownFolder]:
        return reversed(self._folders)

    def replace_caches(self, directories: Iterable[Path]) -> list[KnownFolder]:
        """Take these as pacman's CacheDirs; return those that are none any more."""
        self._caches = [path for path in dict.fromkeys(directories) if path != self.store.path]
        return self._replace()

    def replace_adopted(self, directories: Mapping[Path, Path]) -> list[KnownFolder]:
        """Take these as other tools' folders, each with its root; return what is none any more."""
        self._adopted = {one: root for one, root in directories.items() if one != self.store.path}
        return self._replace()

    def _replace(self) -> list[KnownFolder]:
        origins: dict[Path, Origin] = dict.fromkeys(self._caches, "cache")
        for path in self._adopted:
            origins.setdefault(path, "adopted")
        known = {folder.path: folder for folder in self._folders if folder is not self.store}
        stay = {
            path: known[path]
            for path, origin in origins.items()
            if path in known and known[path].origin == origin
        }
        left = [folder for path, folder in known.items() if path not in stay]
        others = [
            stay.get(path)
            or KnownFolder(path, one, self._adopted.get(path) if one == "adopted" else None)
            for path, one in origins.items()
        ]
        self._folders = [*others, self.store]
        for folder in left:
            folder.gone = True
        return left

    def at(self, path: Path) -> KnownFolder | None:
        # Mostly the very path that it was given, which is found out in no time.
        for folder in self._folders:
            if folder.path is path:
                return folder
        return next((folder for folder in self._folders if folder.path == path), None)

    def is_unjudged(self, name: str) -> bool:
        """Whether the store may have a package of which nothing is known yet."""
        if not self.store.read:
            return True
        own = self.store.files.get(name)
        return own is not None and own.sha256 is None and not own.faulty

    def names(self) -> set[str]:
        return set().union(*(folder.files for folder in self._folders))

    def room_in(self, folder: KnownFolder) -> int | None:
        """Return how many packages a folder may have; None where it is this machine's to say."""
        if not folder.adopted:
            return None
        others = (one for one in self._folders if one.adopted and one is not folder)
        return max(0, MOST_ADOPTED - sum(len(one.files) for one in others))

    def look_again(self, folder: KnownFolder, name: str) -> None:
        """Have one file of a folder looked at."""
        folder.names.add(name)
        if len(folder.names) > MOST_NAMES:
            folder.rescan = True
        self.wake()

    def look_at(self, folders: Iterable[KnownFolder]) -> None:
        """Have all of these folders looked at."""
        for folder in folders:
            folder.rescan = True
        self.wake()

    def compare(self) -> None:
        """Have it looked at whether they are still the same folders."""
        for folder in self._folders:
            folder.comparing = folder.read
        self.wake()

    def beneath(self, root: Path) -> list[KnownFolder]:
        """Return those that come and go together."""
        return [folder for folder in self._folders if folder.root == root]
