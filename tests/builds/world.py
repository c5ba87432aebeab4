"""A keeper with an AUR, git, a builder and a signer of a test's own.

The AUR and git are in memory; builder and signer are at real sockets, and answer as a test says.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from flocon.aur.records import Record
from flocon.builds.keeper import Keeper
from flocon.errors import BuildError, Refused, Unreachable
from flocon.pacman.configuration import PacmanConfiguration, Repository
from flocon.pacman.entries import Entry
from flocon.pacman.listing import Database, Listing
from flocon.programs.talking import Conversation, Message
from flocon.recipes.recipe import CommitNote, Recipe, TreeFile
from flocon.settings.settings import Build, Repo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from flocon.jobs.watched import Watched

#: When everything in a test begins, in Unix seconds.
BEGINNING = 1_700_000_000.0
DAY = 86_400.0
#: Turns of the reactor, of a millisecond and more, in which what is waited for has to come.
PATIENCE = 2_000


def files_of(
    base: str, version: str, *needs: str, names: Sequence[str] = (), **more: str
) -> dict[str, str]:
    """Return the files of a recipe; ``more`` are further ones, by name."""
    pkgver, _, pkgrel = version.partition("-")
    sources = more.pop("source", "")
    lines = [f"pkgname={base}", f"pkgver={pkgver}", f"pkgrel={pkgrel}", "arch=('any')"]
    lines += [
        f"depends=({' '.join(map(repr, needs))})",
        f"source=({sources!r})",
        "package() { :; }",
    ]
    # As all of a history do that is followed.
    lines += ["pkgver() { git describe; }"] if "git+" in sources else []
    said = [f"pkgbase = {base}", f"\tpkgver = {pkgver}", f"\tpkgrel = {pkgrel}", "\tarch = any"]
    said += [f"\tdepends = {need}" for need in needs]
    said += [f"\tsource = {sources}"] if sources else []
    said += [f"\npkgname = {name}" for name in names or (base,)]
    return {"PKGBUILD": "\n".join([*lines, ""]), ".SRCINFO": "\n".join([*said, ""]), **more}


@dataclass
class Commit:
    recipe: Recipe
    note: CommitNote
    parent: str


class FakeAur:
    """The AUR's RPC and git at once."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.records: dict[str, Record] = {}
        self.commits: dict[str, dict[str, Commit]] = {}
        self.head: dict[str, str] = {}
        self.asked: list[tuple[str, ...]] = []
        self.away = False
        #: What time it is there, where it says so.
        self.says_time: Callable[[], float] = lambda: 0.0
        self.upstream: dict[str, str] = {}
        self.reachable: set[tuple[str, str]] = set()
        #: What was fetched: a base, and the address where that was a person's word.
        self.fetched: list[tuple[str, str]] = []
        #: Whether a person waited for each of them.
        self.waited_for: list[bool] = []
        #: What never ends, and how often that was broken off.
        self.dripping: set[str] = set()
        self.broken_off = 0

    def push(
        self,
        base: str,
        version: str,
        *needs: str,
        parent: str | None = None,
        mail: str = "alice@example",
        maintainer: str = "alice",
        names: Sequence[str] = (),
        provides: Sequence[str] = (),
        **more: str,
    ) -> str:
        """Have a new commit of a recipe; return it."""
        files = files_of(base, version, *needs, names=names, **more)
        if provides:
            lines = "".join(f"\tprovides = {one}\n" for one in provides)
            files[".SRCINFO"] = files[".SRCINFO"].replace("\tarch", f"{lines}\tarch", 1)
        tree = {name: TreeFile(0o100644, text.encode()) for name, text in files.items()}
        parent = self.head.get(base, "") if parent is None else parent
        told = f"{base}{sorted(files.items())}{parent}{len(self.commits.get(base, ()))}"
        commit = hashlib.sha1(told.encode()).hexdigest()
        note = CommitNote(
            commit, mail.partition("@")[0], mail, int(self._now()), f"{base} {version}"
        )
        self.commits.setdefault(base, {})[commit] = Commit(Recipe(base, commit, tree), note, parent)
        self.head[base] = commit
        for name in names or (base,):
            self.records[name] = Record(
                name,
                base,
                version,
                maintainer=maintainer,
                last_modified=int(self._now()),
                first_submitted=int(BEGINNING),
                provides=tuple(provides),
            )
        return commit

    def change(self, base: str, **more: Any) -> None:
        for name, record in self.records.items():
            if record.base == base:
                self.records[name] = replace(record, **more)

    def _demand(self) -> None:
        if self.away:
            raise Unreachable("aur.example", "nobody answers")

    async def info(self, names: Iterable[str], *, urgent: bool = False) -> dict[str, Record]:
        self._demand()
        self.asked.append(tuple(names))
        told = int(self.says_time())
        found = {name: self.records[name] for name in names if name in self.records}
        return {name: replace(record, told=told) for name, record in found.items()}

    async def search_provides(self, name: str, *, urgent: bool = False) -> tuple[Record, ...]:
        self._demand()
        found = (
            one
            for one in self.records.values()
            for said in one.provides
            if said.partition("=")[0] == name
        )
        return tuple(found)

    async def fetch(self, base: str, address: str = "", *, urgent: bool = False) -> str:
        self._demand()
        self.fetched.append((base, address))
        self.waited_for.append(urgent)
        if base in self.dripping:
            await self._never()
        if base not in self.head:
            raise Refused("aur.example", 404)
        return self.head[base]

    async def _never(self) -> None:
        try:
            await Deferred()
        except CancelledError:
            self.broken_off += 1
            raise

    async def read(self, base: str, commit: str) -> Recipe:
        try:
            return self.commits[base][commit].recipe
        except KeyError:
            raise BuildError(f"{base} has no commit {commit} here", "") from None

    async def notes(self, base: str, since: str = "", until: str = "") -> list[CommitNote]:
        found, commit = [], until or self.head[base]
        while commit and commit != since:
            found.append(self.commits[base][commit].note)
            commit = self.commits[base][commit].parent
        return found

    async def is_ancestor(self, base: str, old: str, new: str) -> bool:
        return old in {one.commit for one in await self.notes(base, "", new)}

    async def heads(self, source: str) -> str:
        self._demand()
        return self.upstream.get(source, "")

    async def reaches(self, source: str, commit: str) -> bool | None:
        return (source, commit) in self.reachable

    async def forget(self, base: str) -> None:
        self.commits.pop(base, None)


class Server:
    """A program at a Unix socket that answers as a test says."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._port: Any = None
        self.conversations: list[Conversation] = []
        self.requests: list[dict[str, Any]] = []
        #: Called with each request; what it returns is said, with files.
        self.answer: Callable[[Message, Conversation], None] = lambda *_: None
        self.waiting: list[Deferred[None]] = []

    def start(self) -> None:
        factory = Factory()
        factory.protocol = self._make
        self._port = reactor.listenUNIX(str(self._path), factory)  # type: ignore[attr-defined]

    def _make(self) -> Conversation:
        one = Conversation(self._received, self._ended)
        self.conversations.append(one)
        return one

    def _received(self, conversation: Conversation, message: Message) -> None:
        self.requests.append(dict(message.values))
        self.answer(message, conversation)
        message.close()

    def _ended(self, conversation: Conversation) -> None:
        self.conversations.remove(conversation)

    async def stop(self) -> None:
        """Be gone, as a program that was killed."""
        port, self._port = self._port, None
        if port is not None:
            await port.stopListening()
        for one in tuple(self.conversations):
            one.leave_now()


class FakeBuilder(Server):
    """Builds what it is told to: a package of a few bytes for each name of a recipe."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.answer = self._build
        #: What is answered instead of packages, by base.
        self.results: dict[str, dict[str, Any]] = {}
        #: The version that comes out, by base, where it is not the recipe's.
        self.versions: dict[str, str] = {}
        self.vcs: dict[str, dict[str, str]] = {}
        #: Bases that are never done.
        self.endless: set[str] = set()

    def _build(self, message: Message, conversation: Conversation) -> None:
        request = message.values
        base = request["base"]
        with os.fdopen(os.dup(message.files[request["recipe"]]), "rb") as file:
            file.seek(0)
            with tarfile.open(fileobj=file) as tar:
                member = tar.extractfile(".SRCINFO")
                assert member is not None
                srcinfo = member.read().decode()
        conversation.say({"step": "build"})
        conversation.say({"log": f"building {base}\n"})
        if base in self.endless:
            return
        if base in self.results:
            conversation.say({"done": True, "packages": [], **self.results[base]})
            return
        names = [line[10:] for line in srcinfo.splitlines() if line.startswith("pkgname = ")]
        values = dict(
            line.strip().split(" = ", 1) for line in srcinfo.splitlines() if " = " in line
        )
        release = request["versions"].get("pkgrel", values["pkgrel"])
        version = self.versions.get(base, f"{values['pkgver']}-{release}")
        printed = srcinfo.replace(
            f"pkgver = {values['pkgver']}", f"pkgver = {version.partition('-')[0]}"
        )
        printed = printed.replace(
            f"pkgrel = {values['pkgrel']}", f"pkgrel = {version.partition('-')[2]}"
        )
        self._say(conversation, names, version, printed, self.vcs.get(base, {}))

    def _say(
        self,
        conversation: Conversation,
        names: list[str],
        version: str,
        printed: str,
        vcs: dict[str, str],
    ) -> None:
        rows, files = [], []
        for name in names:
            data = f"{name} {version}".encode()
            file = os.memfd_create(name)
            os.write(file, data)
            files.append(file)
            digest = hashlib.sha256(data).hexdigest()
            rows.append(
                {"name": f"{name}-{version}-any.pkg.tar.zst", "size": len(data), "sha256": digest}
            )
        conversation.say(
            {"done": True, "result": "built", "packages": rows, "srcinfo": printed, "vcs": vcs},
            files,
        )
        for file in files:
            os.close(file)


class FakeSigner(Server):
    """Publishes what it is given: a database, and the packages."""

    def __init__(self, path: Path, published: Path) -> None:
        super().__init__(path)
        self.answer = self._publish
        self._published = published
        self.packages: dict[str, tuple[str, str, tuple[str, ...]]] = {}
        #: What is found, by base.
        self.surprises: dict[str, list[dict[str, str]]] = {}
        self.errors: dict[str, str] = {}
        (published / "home" / "packages").mkdir(parents=True)
        self._write()

    def _publish(self, message: Message, conversation: Conversation) -> None:
        build = message.values["build"]
        base = build["base"]
        if base in self.errors:
            conversation.say({"error": self.errors[base]})
            return
        digest = hashlib.sha256(base.encode()).hexdigest()
        if self.surprises.get(base) and message.values["accept"] != digest:
            conversation.say({"held": self.surprises[base], "digest": digest, "done": True})
            return
        provides = tuple(
            line.strip()[11:] for line in build["srcinfo"].splitlines() if "provides = " in line
        )
        for name, file in zip(message.values["names"], message.files, strict=True):
            data = os.pread(file, 1 << 20, 0)
            (self._published / "home" / "packages" / name).write_bytes(data)
            package, _, _ = name.rsplit("-", 3)[0], None, None
            self.packages[package] = (build["version"], name, provides)
        self._write()
        conversation.say({"done": True, "generation": 1})

    def _write(self) -> None:
        """Have a database of all packages."""
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w") as tar:
            for name, (version, file, provides) in self.packages.items():
                said = "".join(f"{one}\n" for one in provides)
                data = (
                    f"%FILENAME%\n{file}\n\n%NAME%\n{name}\n\n%VERSION%\n{version}\n\n"
                    f"%CSIZE%\n4\n\n%SHA256SUM%\n{'0' * 64}\n\n%ARCH%\nany\n\n%PROVIDES%\n{said}\n"
                ).encode()
                info = tarfile.TarInfo(f"{name}-{version}/desc")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        current = self._published / "home" / "current"
        current.mkdir(exist_ok=True)
        (current / "home.db").write_bytes(gzip.compress(target.getvalue()))


@dataclass
class FakePacman:
    """What pacman says on this machine."""

    sync: Path
    configuration: PacmanConfiguration = field(init=False)
    listing: Listing = field(default_factory=Listing)

    def __post_init__(self) -> None:
        self.configuration = PacmanConfiguration(
            repositories=(Repository("extra"),), database_path=self.sync, architectures=("x86_64",)
        )
        (self.sync / "sync").mkdir(parents=True)

    def has(self, *repositories: str, name: str) -> None:
        """Have these repositories list a package, and no other one."""
        entries = [
            Entry(one, f"{name}-9-1-any.pkg.tar.zst", name, "9-1", 1, bytes(32))
            for one in repositories
        ]
        self.listing = Listing(
            tuple(Database(one.repository, "", 0.0, {one.file_name: one}) for one in entries)
        )


class WorldTestCase(TestCase):
    """Has ``keeper``, ``aur``, ``builder`` and ``signer``; ``now`` is the time of them all."""

    #: Seconds; a machine may be slow.
    timeout = 60

    def setUp(self) -> None:
        # A socket's path has 107 bytes at most.
        folder = TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        self.addCleanup(self._wait_for, self._threads_ended)
        self.folder = Path(folder.name)
        self.now = BEGINNING
        #: Seconds by which somebody has set the clock.
        self.set_by = 0.0
        self.aur = FakeAur(lambda: self.now)
        self.builder = FakeBuilder(self.folder / "builder")
        self.signer = FakeSigner(self.folder / "signer", self.folder / "published")
        self.pacman = FakePacman(self.folder / "pacman")
        self.settings = Build(
            state=self.folder / "state", builder=str(self.folder / "builder"), poll=0.0
        )
        self.repo = Repo(published=self.folder / "published", signer=str(self.folder / "signer"))
        for server in (self.builder, self.signer):
            server.start()
            self.addCleanup(self._wait_for, server.stop)
        self.keeper = self.make()

    def _wait_for(self, action: Callable[[], Any]) -> Deferred[None]:
        return Deferred.fromCoroutine(action())

    async def _threads_ended(self) -> None:
        """Return when nothing writes any more: a thread goes on when nobody waits for it."""
        pool: Any = reactor.getThreadPool()  # type: ignore[attr-defined]
        # What one has written may have another begin, in the turn after.
        still = 0
        while still < 3:
            still = 0 if pool.working else still + 1
            await self.turn()

    def make(self) -> Keeper:
        """Return a keeper on the folder as it is, as a node that starts has one."""
        keeper = Keeper(
            reactor,
            build=lambda: self.settings,
            repo=lambda: self.repo,
            pacman=self.pacman,  # type: ignore[arg-type]
            aur=self.aur,
            git=self.aur,
            now=lambda: self.now,
            steady=lambda: self.now - self.set_by,
        )
        keeper.startService()
        self.addCleanup(self._stop, keeper)
        return keeper

    def _stop(self, keeper: Keeper) -> Deferred[None] | None:
        return keeper.stopService() if keeper.running else None

    async def restart(self) -> None:
        """End the keeper, and begin another one."""
        await self._stop(self.keeper)  # type: ignore[misc]
        self.keeper = self.make()

    def one(self, base: str) -> Watched:
        return self.keeper.book.demand(base)

    def stage(self, base: str) -> str:
        (row,) = [row for row in self.keeper.describe()["watched"] if row["base"] == base]
        return str(row["stage"])

    async def steer(self, *words: str, body: bytes = b"") -> str:
        return await self.keeper.steer([*words], "root", body)

    async def until(self, *right: tuple[str, str]) -> None:
        """Return when these bases are in these stages."""
        for _ in range(PATIENCE):
            told = self.keeper.describe()
            stages = {row["base"]: row["stage"] for row in told["watched"]}
            if all(stages.get(base) == stage for base, stage in right):
                return
            await self.turn()
        self.fail(f"{right} did not come: {told}")

    async def turn(self) -> None:
        """Let something happen."""
        later: Deferred[None] = Deferred()
        reactor.callLater(0.001, later.callback, None)
        await later

    async def wake(self) -> None:
        """Have it go on with whatever it was waiting for, as it does after some minutes."""
        while self.keeper._shift._running is not None:
            await self.turn()
        self.keeper._shift.wake()

    async def begun(self) -> None:
        """Return when the keeper knows what is watched."""
        while self.keeper.problem == "builds have not begun yet":
            await self.turn()

    async def have(self, *bases: str) -> None:
        """Have recipes added, approved and published."""
        await self.begun()
        for base in bases:
            await self.steer("add", base)
        for base in bases:
            await self.steer("approve", base)
        await self.until(*((base, "published") for base in bases))

    def set_clock(self, by: float) -> None:
        self.now += by
        self.set_by += by

    async def poll(self, *bases: str, after: float = 0.0) -> None:
        """Have time pass, and all looked at."""
        self.now += after
        await self.keeper._look(bases)
