"""One job after the other: built by the builder, kept, and handed to the signer.

What stage it brings a recipe to is ``passing``'s to say; here it is done. Each step is written
down before the next one begins, so whatever ends this node in between, the job goes on from there.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError

from flocon.errors import (
    BuilderAway,
    BuildError,
    FloconError,
    RepositoryError,
    SignerAway,
    SignerEnded,
    StoreError,
)
from flocon.jobs import passing
from flocon.jobs.builder import build
from flocon.jobs.handing import Signer, manifest_of
from flocon.jobs.keeping import keep, said_of
from flocon.jobs.logs import BuildLog
from flocon.jobs.packing import pack
from flocon.jobs.plan import is_ours, relations
from flocon.jobs.releases import finds_version, written_over
from flocon.jobs.standing import libraries, rebuilt
from flocon.jobs.watched import Phase, Stage
from flocon.machine.reactor_threads import in_thread
from flocon.programs.talking import MOST_FILES
from flocon.recipes.recipe import PKGBUILD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
    from typing import Protocol

    from flocon.jobs.archive import Archive
    from flocon.jobs.builder import Answer
    from flocon.jobs.handing import Manifest
    from flocon.jobs.resolving import Fetched
    from flocon.jobs.stock import OwnPackage, Stock
    from flocon.jobs.watched import Job, Watched
    from flocon.pacman.relations import Relation
    from flocon.settings.settings import Build

    class Ledger(Protocol):
        """Where what is watched is written down."""

        def get(self, base: str) -> Watched | None: ...

        def all(self) -> tuple[Watched, ...]: ...

        async def put(self, one: Watched, what: str, **said: Any) -> None: ...


#: Results of a builder that may be others the next time.
_MAY_PASS = frozenset({"unreachable", "dependencies"})


class Working:
    """``fetched`` reads the recipe of a commit, ``stock`` what is here; ``now`` gives Unix time.

    ``libraries`` reads those of our own packages alone.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        settings: Callable[[], Build],
        archive: Archive,
        ledger: Ledger,
        signer: Signer,
        fetched: Callable[[Watched], Awaitable[Fetched]],
        stock: Callable[[], Awaitable[Stock]],
        libraries: Callable[[], Awaitable[Mapping[str, Collection[str]]]],
        architecture: Callable[[], str],
        now: Callable[[], float],
        name: Callable[[], str],
    ) -> None:
        self._reactor = reactor
        self._settings = settings
        self._archive = archive
        self._ledger = ledger
        self._signer = signer
        self._fetched = fetched
        self._stock = stock
        self._libraries = libraries
        self._architecture = architecture
        self._now = now
        self._name = name
        #: What the builder is doing: a word of its own.
        self.step = ""
        #: Why no builder or signer is there, "" where they were when last asked.
        self.away = ""

    async def build(self, one: Watched) -> bool:
        """Do a queued job until it is kept; False where there is no builder now."""
        before, one = one, passing.begun(one, self._name(), self._now())
        await self._ledger.put(one, "begun", commit=one.commit)
        try:
            await self._build(one)
        except BuilderAway as error:
            return await self._is_away(before, error)
        except CancelledError:
            raise
        except FloconError as error:
            await self.failed(one.base, str(error), may_pass=not isinstance(error, BuildError))
        finally:
            self.step = ""
        return True

    async def _is_away(self, before: Watched, error: BuilderAway) -> bool:
        """Queue it once more: it counts only if the builder had begun."""
        one = self._ledger.get(before.base)
        if one is None or one.job is None or one.job.phase is not Phase.BUILDING:
            return True
        if not self.step:
            self.away = str(error)
            await self._ledger.put(before, "")
            return False
        one = passing.interrupted(one, self._now(), str(error))
        await self._ledger.put(one, "interrupted", reason=str(error))
        return True

    async def _build(self, one: Watched) -> None:
        assert one.job is not None  # noqa: S101 - it has just begun
        fetched = await self._fetched(one)
        stock = await self._stock()
        needed = await in_thread(self._reactor, _needed, one, fetched, stock)
        if len(needed.own) >= MOST_FILES:
            raise BuildError(f"it needs {len(needed.own)} packages that were built here", "")
        descriptor = await in_thread(self._reactor, self._archive.begin_log, one.base)
        log = BuildLog(self._reactor, descriptor)
        try:
            answer = await self._ask(one, fetched, needed, log)
            self.away = ""
            try:
                await self._take(one, one.job, fetched, answer, needed.stands_on)
            finally:
                answer.close()
        finally:
            await log.close()

    async def _ask(self, one: Watched, fetched: Fetched, needed: Needed, log: BuildLog) -> Answer:
        with ExitStack() as opened:
            recipe = pack(fetched.recipe, one.approval.when if one.approval else 0.0)
            files = [_in_memory(recipe)]
            opened.callback(_close, files)
            for package in needed.own:
                descriptor = _open(package)
                files.append(descriptor)
            return await build(
                self._reactor,
                self._settings().builder,
                self._request(one, fetched, needed),
                files,
                seconds=self._settings().time,
                log=log.write,
                step=self._begin_step,
            )

    def _begin_step(self, step: str) -> None:
        self.step = step

    def _request(self, one: Watched, fetched: Fetched, needed: Needed) -> dict[str, Any]:
        settings = self._settings()
        assert one.job is not None  # noqa: S101 - it has just begun
        return {
            "do": "build",
            "job": one.job.name,
            "base": one.base,
            "recipe": 0,
            "dependencies": [
                {"name": package.name, "file": package.path.name, "fd": at}
                for at, package in enumerate(needed.own, 1)
            ],
            "packages": list(needed.packages),
            "architecture": self._architecture(),
            "check": settings.check,
            "online": not {one.base, *fetched.srcinfo.names}.isdisjoint(settings.online),
            "root": settings.root,
            "bounds": {
                "memory": settings.memory,
                "disk": settings.disk,
                "processes": settings.processes,
                "time": settings.time,
            },
            "networks": [str(network) for network in settings.networks],
            "versions": dict(needed.versions),
            "epoch": int(one.approval.when) if one.approval else 0,
        }

    async def _take(
        self,
        one: Watched,
        job: Job,
        fetched: Fetched,
        answer: Answer,
        stands_on: Iterable[tuple[str, str]],
    ) -> None:
        """Keep what came out, or say why nothing did."""
        result = answer.text("result")
        if result != "built":
            reason = answer.text("reason") or f"the builder says: {result}"
            await self.failed(one.base, reason, may_pass=result in _MAY_PASS)
            return
        made = said_of(answer.values, len(answer.files))
        if not made:
            raise BuildError("nothing came out of it", f"see 'flocon build log {one.base}'")
        manifest = manifest_of(one, fetched, made, answer, self._architecture())
        ended = Event()
        try:
            await in_thread(self._reactor, self._keep, job.name, manifest, answer, ended)
        except CancelledError:
            ended.set()
            raise
        except OSError as error:
            raise StoreError(str(self._archive.folder), error.strerror or str(error)) from None
        current = self._ledger.get(one.base)
        if current is not None and current.job is not None and current.job.name == job.name:
            await self._ledger.put(passing.built(current, self._now(), stands_on), "built")

    def _keep(self, name: str, manifest: Manifest, answer: Answer, ended: Event) -> None:
        # The builder bounds one job; what is held of others must not fill the disk.
        left = 2 * self._settings().disk - self._archive.job_bytes()
        folder = self._archive.new_job(name)
        keep(folder, manifest.made, answer.files, left, ended)
        if not ended.is_set():
            self._archive.finish_job(name, manifest.to_json())

    async def examine(self, one: Watched) -> bool:
        """Hand to the signer what was built; False where there is no signer now."""
        assert one.job is not None  # noqa: S101 - only those at work come here
        try:
            manifest = await self._signer.read(one.job.name)
            done = await self._signer.publish(one, manifest)
        except SignerAway as error:
            self.away = str(error)
            current = self._ledger.get(one.base)
            if isinstance(error, SignerEnded) and current is not None:
                again = passing.unexamined(current, self._now(), str(error))
                what = "failed" if again.stage() is Stage.FAILED else ""
                await self._ledger.put(again, what, **({"reason": str(error)} if what else {}))
            return False
        except (RepositoryError, StoreError) as error:
            await self.failed(one.base, str(error))
            return True
        self.away = ""
        current = self._ledger.get(one.base)
        if current is None or current.job is None or current.job.name != one.job.name:
            return True
        if done.surprises:
            held = passing.held(current, self._now(), done.surprises, done.digest)
            await self._ledger.put(held, "held", digest=done.digest)
            return True
        published = passing.published(current, manifest.version, self._now(), manifest.heads)
        await self._ledger.put(
            published, "published", version=manifest.version, commit=manifest.commit
        )
        await self.renew()
        return True

    async def renew(self) -> None:
        """Queue what was built with libraries that our own packages do not have any more."""
        if not any(one.published and one.published.stands_on for one in self._ledger.all()):
            return
        provided = await self._libraries()
        for one in self._ledger.all():
            again = rebuilt(one, provided, self._settings().auto, self._now())
            if again is not one:
                reasons = list(again.reasons())
                await self._ledger.put(again, "libraries changed", reasons=reasons)

    async def clear(self, watched: Iterable[Watched]) -> None:
        """Remove what is kept of jobs that nobody goes on with."""
        names = {one.job.name for one in watched if one.job and one.job.phase is not Phase.FAILED}
        await in_thread(self._reactor, self._archive.clear_jobs, names)

    async def failed(self, base: str, reason: str, *, may_pass: bool = False) -> None:
        """Take note that a job has failed, if it still goes on."""
        one = self._ledger.get(base)
        if one is None or one.stage() not in {Stage.BUILDING, Stage.EXAMINING}:
            return
        failed = passing.failed(one, self._now(), [reason], may_pass=may_pass)
        await self._ledger.put(failed, "failed", reason=reason)


@dataclass(frozen=True, slots=True)
class Needed:
    """What a build needs: our own packages, with theirs, and the names of pacman's for all.

    ``versions`` is what is written over the recipe's own version.
    """

    own: list[OwnPackage]
    packages: list[str]
    versions: Mapping[str, str]
    #: Libraries of those of our own that it names itself.
    stands_on: tuple[tuple[str, str], ...]


def _needed(one: Watched, fetched: Fetched, stock: Stock) -> Needed:
    """Return what a build of a recipe needs.

    Raises BuildError where something is nowhere.
    """
    own: dict[str, None] = {}
    packages: dict[str, None] = {}
    others: list[Relation] = []
    for relation in relations(fetched.offer.needs):
        if fetched.offer.satisfies(relation):
            continue
        name = stock.own(relation)
        if is_ours(relation, name, stock.pacman(relation)):
            own[name] = None
        else:
            others.append(relation)
    built, theirs = stock.own_packages(own)
    # What ours need is there before them: they are installed without a network.
    for relation in (*others, *theirs):
        name = stock.pacman(relation)
        if not name:
            raise stock.lacks(relation)
        packages[name] = None
    stands_on = libraries(own, stock.libraries() if own else {})
    return Needed(built, list(packages), _versions(one, fetched, stock), stands_on)


def _versions(one: Watched, fetched: Fetched, stock: Stock) -> Mapping[str, str]:
    """Return what is written over the recipe's own version, so that what is built is newer."""
    known = stock.versions(fetched.srcinfo.names)
    current = one.published.version if one.published else ""
    finds = finds_version(fetched.recipe.read(PKGBUILD) or b"")
    return written_over(fetched.srcinfo.version, known, current, finds=finds)


def _in_memory(data: bytes) -> int:
    descriptor = os.memfd_create("recipe", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _open(package: OwnPackage) -> int:
    try:
        return os.open(package.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise StoreError(str(package.path), error.strerror or str(error)) from None


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
