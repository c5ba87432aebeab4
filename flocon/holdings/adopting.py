"""Other tools' folders of packages: which there are beneath one, and whether they can be read.

Nothing is written there, and no link leads out of one. What lies in them is looked at as what lies
in pacman's own folders, and offered once it is verified; see ``judgement``.
"""

from __future__ import annotations

import errno
import os
import shlex
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from flocon.errors import FolderSilent
from flocon.files import is_package
from flocon.machine.threads import Delay
from flocon.store.folder import MOST_NAMES, package_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from flocon.holdings.known import KnownFolders
    from flocon.holdings.late_signatures import LateSignatures
    from flocon.holdings.looking import Looking
    from flocon.store.waiting import Threads

#: Folders in folders that are looked into, and folders with packages of one that is adopted: each
#: is watched. ``CACHE/pkg/REPO/os/ARCH`` is the deepest of any tool's.
DEEPEST, MOST_FOLDERS = 5, 128
#: Folders and files that are looked at in one that is adopted.
MOST_LOOKED_AT = MOST_NAMES
NOT_READABLE = "has packages that this node may not read"
#: What the node's own unit hides from it, unless it is told otherwise.
HOMES = ("/home", "/root", "/run/user")
#: Seconds between two looks for new folders, and until one that was given up is looked at again.
AGAIN, SOON = 300.0, 1.0


@dataclass(frozen=True, slots=True)
class Tree:
    """The folders with packages beneath one; ``problem`` is why not all of it can be offered."""

    folders: tuple[Path, ...] = ()
    problem: str = ""


def survey(root: Path, beat: Callable[[], None] = lambda: None) -> Tree:
    """Return which folders beneath ``root`` have packages; in a thread.

    They are named without the links that may lead to it. ``beat`` is told of each thing found.
    """
    root = root.parent.resolve() / root.name
    folders: list[Path] = []
    problems: list[str] = []
    budget = _counting(MOST_LOOKED_AT, beat)
    for folder, first, problem in _walk(root, DEEPEST, budget):
        if problem:
            problems.append(problem)
        if first:
            if len(folders) >= MOST_FOLDERS:
                problems.append(f"has more than {MOST_FOLDERS} folders with packages")
                break
            folders.append(folder)
            if not _is_readable(folder / first):
                problems.append(f"{NOT_READABLE}, as {folder / first}")
        if next(budget, None) is None:
            # Those found so far are adopted all the same: others may have made the files.
            problems.append(f"has more than {MOST_LOOKED_AT} files")
            break
    return Tree(tuple(sorted(folders)), problems[0] if problems else "")


def _walk(folder: Path, depth: int, budget: Iterator[int]) -> Iterator[tuple[Path, str, str]]:
    """Yield each folder, a package in it or "", and why it could not be read.

    No more is looked at than ``budget`` has items.
    """
    package = ""
    inside: list[str] = []
    try:
        # No link is followed, so that nothing else of this machine is found by one.
        if not stat.S_ISDIR(os.lstat(folder).st_mode):
            yield folder, "", "is no folder"
            return
        with os.scandir(folder) as entries:
            for _, entry in zip(budget, entries, strict=False):
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    inside.append(entry.name)
                elif not package and is_package(package_name(entry.name)):
                    package = entry.name if entry.is_file(follow_symlinks=False) else ""
    except OSError as error:
        where = f", as {folder}" if depth < DEEPEST else ""
        yield folder, "", f"cannot be read ({error.strerror}){where}"
        return
    yield folder, package, ""
    for name in sorted(inside) if depth > 1 else ():
        yield from _walk(folder / name, depth - 1, budget)


def _counting(most: int, beat: Callable[[], None]) -> Iterator[int]:
    for number in range(most):
        beat()
        yield number


def _is_readable(path: Path) -> bool:
    return os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)


class Adopting:
    """Has the folders beneath ``roots`` looked at, now and as new ones come."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        roots: Sequence[Path],
        *,
        threads: Threads,
        folders: KnownFolders,
        looking: Looking,
        signatures: LateSignatures,
    ) -> None:
        self._roots: tuple[Path, ...] = ()
        self._threads = threads
        self._folders = folders
        self._looking = looking
        #: Those that do not lie beside their packages.
        self.signatures = signatures
        self._trees: dict[Path, Tree] = {}
        #: Those that are being looked at.
        self._looked_at: set[Path] = set()
        self._again = Delay(reactor, self.look)
        self._soon = Delay(reactor, self.look)
        self._started = self._stopped = False
        self.set_roots(roots)

    def start(self) -> None:
        self._started = True
        self.signatures.start()
        self.look()

    def set_roots(self, roots: Sequence[Path]) -> None:
        """Have these adopted, and no others."""
        roots = tuple(dict.fromkeys(roots))
        if roots != self._roots:
            self._roots = roots
            if self._started:
                self.look()

    def stop(self) -> Deferred[None]:
        self._stopped = True
        self._again.stop()
        self._soon.stop()
        return self.signatures.stop()

    def look(self) -> None:
        """Look which folders there are."""
        self._trees = {root: tree for root, tree in self._trees.items() if root in self._roots}
        self._adopt()
        for root in self._roots:
            # One that hangs is asked once.
            if root not in self._looked_at:
                self._looked_at.add(root)
                lane = self._threads.lanes.lane(root, "looking")
                looked = lane.run(survey, root, lane.beat)
                looked.addCallback(self._found, root)
                looked.addErrback(self._failed)
                looked.addBoth(self._over, root)
        if self._roots:
            self._again.begin(AGAIN)

    def _found(self, tree: Tree, root: Path) -> None:
        if self._stopped or root not in self._roots:
            # Others are looked at by now.
            return
        if tree.problem and tree.problem != self._trees.get(root, Tree()).problem:
            self._log.warn("{root} {problem}", root=root, problem=tree.problem)
        self._trees[root] = tree
        self._adopt()

    def _adopt(self) -> None:
        """Have those looked at that were found, one of several roots by the first."""
        found: dict[Path, Path] = {}
        for root in self._roots:
            for folder in self._trees.get(root, Tree()).folders:
                found.setdefault(folder, root)
        self._looking.set_adopted(found)

    def _failed(self, failure: Failure) -> None:
        if failure.check(FolderSilent):
            # The node stops; or another folder is there now.
            self._soon.begin(SOON)
        elif not self._stopped:
            self._log.failure("looking for adopted folders failed", failure)

    def _over(self, _: object, root: Path) -> None:
        self._looked_at.discard(root)

    def describe(self) -> list[dict[str, Any]]:
        """Return what ``/status.json`` says of each."""
        return [self._described(root) for root in self._roots]

    def _described(self, root: Path) -> dict[str, Any]:
        tree = self._trees.get(root, Tree())
        inside = set(tree.folders)
        known = [one for one in self._folders if one.adopted and one.path in inside]
        files = [file for folder in known for file in folder.files.values()]
        problems = [tree.problem, *(folder.problem for folder in known)]
        return {
            "path": str(root),
            "folders": len(tree.folders),
            "files": len(files),
            "verified": sum(file.confirmed for file in files),
            "bytes": sum(file.size for file in files if file.confirmed),
            "problem": next(filter(None, problems), ""),
        }

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of them."""
        for one in self.describe():
            if one["problem"]:
                yield {
                    "check": "adopt",
                    "wrong": False,
                    "reason": f"{one['path']}, which is adopted, {one['problem']}",
                    "remedy": _remedy(one["path"], one["problem"]),
                }


def _remedy(path: str, problem: str) -> str:
    """Return what mends it."""
    if NOT_READABLE in problem or os.strerror(errno.EACCES) in problem:
        quoted = shlex.quote(path)
        # What comes later is to be readable too; and what leads there has to be passed through.
        return f"setfacl -R -m u:flocon:rX -m d:u:flocon:rX {quoted}"
    if any(path == place or path.startswith(f"{place}/") for place in HOMES):
        return (
            "systemctl edit flocon, write [Service] and below it ProtectHome=read-only;"
            " then systemctl restart flocon"
        )
    return "name the folder that is meant in adopt, [store] of /etc/flocon.toml"
