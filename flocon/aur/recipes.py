"""The recipes' histories, as git has them: fetched, and read at a commit.

They come from the AUR, or from its copy where the AUR is away, or from an address that a person
named. A commit that was the newest once is kept, whatever its maintainer or the AUR's staff make of
the history later: what is compared with it is told from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import DeferredLock, DeferredSemaphore

from flocon.aur.folder import MOST_PACKS, count_packs, prepare, remove, replace, repository
from flocon.aur.following import Following
from flocon.aur.git import FETCH, NOT_FOUND, Git, Spoilt
from flocon.aur.objects import COMMIT, NOTE_FORMAT, parse_blobs, parse_notes, parse_tree
from flocon.aur.origins import Origin, Origins, is_away, parse_origin
from flocon.errors import BuildError, Refused, SourceError, ToolError
from flocon.files import is_package_name
from flocon.log import logger
from flocon.machine.reactor_threads import in_thread
from flocon.machine.whole import see_through
from flocon.recipes.recipe import Recipe, TreeFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import TypeVar

    from flocon.recipes.recipe import CommitNote

    T = TypeVar("T")

#: Seconds of one fetch, and how many there are at a time.
LONGEST_FETCH = 300.0
AT_A_TIME = 3
#: Commits that are told of at once.
MOST_NOTES = 500
#: Commits kept that were the newest once and are no ancestors of what came then.
MOST_SEEN = 64

#: What is behind a base's name while its history is fetched anew: no package has that in its name.
_ANEW = "~anew"
_HEAD, _NEW, _SEEN = "refs/flocon/head", "refs/flocon/new", "refs/flocon/seen"


class Recipes:
    """Histories below ``folder``; ``aur`` is the AUR's address, ``copy`` its copy's, "" for none.

    ``environment`` is what ``git.git_environment`` made. ``permit`` says whether something may be
    asked at an address and a port: a recipe's sources, and recipes that are not the AUR's.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        *,
        aur: str,
        copy: str = "",
        environment: Mapping[str, str],
        permit: Callable[[str, int], bool],
    ) -> None:
        self._reactor = reactor
        self._folder = folder
        self._origins = Origins(aur, copy)
        self._git = Git(reactor, environment)
        self._fetching = DeferredSemaphore(AT_A_TIME)
        self._locks: dict[str, DeferredLock] = {}
        self._following = Following(reactor, folder, environment=environment, permit=permit)
        #: What upstream's histories are at, and what is in them.
        self.heads, self.reaches = self._following.head, self._following.reaches

    async def fetch(self, base: str, address: str = "", *, urgent: bool = False) -> str:
        """Bring a base's history up to date; return its newest commit.

        ``address`` is another repository's than the AUR's, ``#branch=NAME`` behind it maybe. The
        AUR is left alone for a while where it failed, unless a person waits for it (``urgent``).
        Raises a SourceError, which is Refused with the status 404 where there is no such recipe; or
        a BuildError, StoreError or ToolError.
        """
        if not is_package_name(base):
            raise BuildError(f"{base!r} is no name of a package", "write it as the AUR does")
        origins = [parse_origin(address)] if address else self._origins.of(base)
        async with self._locks.setdefault(base, DeferredLock()), self._fetching:
            return await self._fetch(base, origins, urgent=urgent)

    async def _fetch(self, base: str, origins: list[Origin], *, urgent: bool) -> str:
        most = await self._in_thread(prepare, self._folder, base)
        known = await self._known(base)
        first, *others = origins
        try:
            first.demand_asked(self._reactor.seconds(), urgent=urgent)
            new = await self._bring(base, first, most)
        except Spoilt as failure:
            if not known:
                await self._in_thread(remove, self._place(base))
                raise
            new, known = await self._bring_anew(base, first, failure), ""
        except SourceError as failure:
            if not is_away(failure) or not others:
                raise
            new = await self._bring_copy(base, others[0], most, known, failure)
        await self._take(base, known, new)
        if await self._in_thread(count_packs, self._folder, base) > MOST_PACKS:
            await self._git.local(self._place(base), "repack", "-a", "-d", "--quiet")
        return new

    async def _known(self, base: str) -> str:
        """Return the newest commit that is here, "" for none; begin anew where it is damaged."""
        known = await self._resolve(base, _HEAD)
        place = self._place(base)
        if not known:
            done = await self._git.local(place, "rev-parse", "--quiet", "--verify", _HEAD)
            if done.status == 0:
                self._log.warn("the history of {base} is damaged, and fetched anew", base=base)
                await self._in_thread(remove, place)
                await self._in_thread(prepare, self._folder, base)
        return known

    async def _bring(self, base: str, origin: Origin, most: int) -> str:
        """Fetch a ref; return the commit."""
        try:
            await self._fetch_from(origin, base, most)
        except SourceError as failure:
            origin.failed(failure, self._reactor.seconds())
            raise
        origin.pauses.answered()
        new = await self._resolve(base, _NEW)
        if not new:
            raise Refused(origin.remote.name, NOT_FOUND)
        return new

    async def _bring_anew(self, base: str, origin: Origin, failure: Spoilt) -> str:
        """Fetch a history from its beginning, and let go of what filled or spoilt the one here.

        That goes only where there is a better one: what was compared with may be in it. Where the
        new one is no better, ``failure`` is raised.
        """
        fresh = f"{base}{_ANEW}"
        await self._in_thread(remove, self._place(fresh))
        try:
            most = await self._in_thread(prepare, self._folder, fresh)
            new = await self._bring(fresh, origin, most)
        except Spoilt:
            await self._in_thread(remove, self._place(fresh))
            raise failure from None
        await self._in_thread(replace, self._place(fresh), self._place(base))
        self._log.info("the history of {base} is begun anew: {failure}", base=base, failure=failure)
        return new

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        """Have something of a repository done: nobody else comes to it before that has ended."""
        return await see_through(in_thread(self._reactor, function, *arguments))

    async def _fetch_from(self, origin: Origin, base: str, most: int) -> None:
        words, remote = [*FETCH, "--", f"+{origin.ref}:{_NEW}"], origin.remote
        place, seconds = self._place(base), LONGEST_FETCH
        if origin.is_set:
            await self._git.remote(remote, words, folder=place, seconds=seconds, most=most)
        else:
            ask = self._following.ask
            await ask(remote.url, words, folder=place, seconds=seconds, most=most)

    async def _bring_copy(
        self, base: str, copy: Origin, most: int, known: str, failure: SourceError
    ) -> str:
        """Fetch from the AUR's copy, which may be behind it: what leads back counts as nothing."""
        try:
            copy.demand_asked(self._reactor.seconds(), urgent=False)
            new = await self._bring(base, copy, most)
        except SourceError as error:
            self._log.info("the copy of {base} fails too: {error}", base=base, error=error)
            raise failure from None
        if known and not await self.is_ancestor(base, known, new):
            raise failure
        self._log.info("{base} is taken from the AUR's copy: {failure}", base=base, failure=failure)
        return new

    async def _take(self, base: str, known: str, new: str) -> None:
        """Have ``new`` be the newest, and keep the one before it where it leads no more to it."""
        changes = [f"update {_HEAD} {new}", f"delete {_NEW}"]
        if known and known != new and not await self.is_ancestor(base, known, new):
            changes += await self._keep(base, known)
        given = "".join(f"{line}\n" for line in changes).encode()
        await self._git.read(self._place(base), "update-ref", "--stdin", given=given)

    async def _keep(self, base: str, commit: str) -> list[str]:
        """Return the changes by which a commit is kept, and the one kept longest is let go."""
        printed = await self._git.read(
            self._place(base), "for-each-ref", "--format=%(refname) %(objectname)", _SEEN
        )
        seen = sorted(line.split() for line in printed.decode().splitlines())
        if any(kept == commit for _, kept in seen):
            return []
        number = int(seen[-1][0].rpartition("/")[2]) + 1 if seen else 0
        gone = seen[: max(0, len(seen) + 1 - MOST_SEEN)]
        return [f"create {_SEEN}/{number:012d} {commit}", *(f"delete {ref}" for ref, _ in gone)]

    async def read(self, base: str, commit: str) -> Recipe:
        """Return a recipe as it was at a commit.

        Raises RecipeError where that is none, or too large; BuildError where it is not here.
        """
        await self._check(base, commit)
        place = self._place(base)
        printed = await self._git.read(place, "ls-tree", "-r", "-l", "-z", "--full-tree", commit)
        entries = parse_tree(printed)
        given = "".join(f"{entry.name}\n" for entry in entries).encode()
        printed = await self._git.read(place, "cat-file", "--batch", given=given)
        contents = parse_blobs(printed, entries)
        files = {
            entry.path: TreeFile(entry.mode, data)
            for entry, data in zip(entries, contents, strict=True)
        }
        return Recipe(base, commit, files)

    async def notes(self, base: str, since: str = "", until: str = "") -> list[CommitNote]:
        """Return what lies between two commits, newest first: all of it but ``since``.

        ``until`` is the newest where it is "", ``since`` the beginning.
        """
        until = until or await self._resolve(base, _HEAD)
        for commit in filter(None, (since, until)):
            await self._check(base, commit)
        if not until:
            return []
        words = ["log", "-z", f"--format={NOTE_FORMAT}", f"--max-count={MOST_NOTES}"]
        words += ["--encoding=UTF-8", "--no-color", until, *([f"^{since}"] if since else [])]
        return parse_notes(await self._git.read(self._place(base), *words, "--"))

    async def is_ancestor(self, base: str, old: str, new: str) -> bool:
        """Whether ``old`` is ``new`` or leads to it; False where it is not here any more."""
        if not COMMIT.fullmatch(old) or not COMMIT.fullmatch(new):
            return False
        done = await self._git.local(self._place(base), "merge-base", "--is-ancestor", old, new)
        return done.status == 0

    async def forget(self, base: str) -> None:
        """Remove a base's history."""
        async with self._locks.setdefault(base, DeferredLock()):
            await self._in_thread(remove, self._place(base))
            await self._in_thread(remove, self._place(f"{base}{_ANEW}"))

    async def _check(self, base: str, commit: str) -> None:
        """Raise BuildError where a commit is not here."""
        is_one = bool(COMMIT.fullmatch(commit))
        if not is_one or await self._resolve(base, commit) != commit:
            problem = f"{base} has no commit {commit[:40]!a} here"
            raise BuildError(problem, f"'flocon build check {base}' fetches what there is")

    async def _resolve(self, base: str, name: str) -> str:
        """Return the commit that a name means, "" for none."""
        if not self._place(base).exists():
            return ""
        done = await self._git.local(
            self._place(base), "rev-parse", "--quiet", "--verify", "--end-of-options",
            f"{name}^{{commit}}",
        )  # fmt: skip
        found = done.output.decode("ascii", "replace").strip()
        if done.status == 0 and not COMMIT.fullmatch(found):
            raise ToolError("git", "says of a commit what none is called")
        return found if done.status == 0 else ""

    def _place(self, base: str) -> Path:
        return repository(self._folder, base)
