"""What pacman says on this machine: its configuration and what its sync databases list.

``pacman-conf`` reads pacman.conf; only the ``# flocon: Server = URL`` comments, which it drops,
are looked for here. ``PacmanWatch`` keeps both as they are on disk now. Which of two servers is
asked, and what a listing is good for, is decided elsewhere.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections import defaultdict
from dataclasses import dataclass, replace
from enum import Enum
from fnmatch import fnmatchcase
from glob import glob, has_magic
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from flocon.core.addresses import shown
from flocon.core.listing import Listing
from flocon.core.names import is_architecture, is_repository
from flocon.core.sent import SentDatabases
from flocon.errors import SyncDatabaseError, ToolError, ToolMissing
from flocon.host.databases import Loaded, Stamp, digest_of, load, load_sent, stamp_of
from flocon.host.memory import give_back
from flocon.host.process import run
from flocon.host.watch import FolderWatch
from flocon.reading import open_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from typing import TypeVar

    from twisted.internet.interfaces import IDelayedCall, IReactorThreads
    from twisted.python.failure import Failure

    from flocon.core.listing import Database
    from flocon.host.process import ProcessReactor

    T = TypeVar("T")

    class PacmanReactor(ProcessReactor, IReactorThreads):
        """A reactor that also has threads; watching folders needs an IReactorFDSet, too."""


#: Seconds that pacman-conf may take; it reads a few small files.
TIMEOUT = 10.0
#: Seconds from the first change on disk to looking at it: several come together.
PAUSE = 0.1
#: Seconds to wait for databases that are being read; pacman itself waits 10 for a first byte.
PATIENCE = 3.0
#: Seconds between two looks at the files without any sign: some file systems make no events.
POLL = 60.0
#: Files of one configuration, how deep they may include each other (pacman's own bound, ``conf.c``)
#: and how long each may be.
MOST_FILES = 256
DEEPEST_INCLUDE = 10
LONGEST_FILE = 1 << 20
#: Seconds after which what a mirror sent is read, if pacman here has not taken it by then. Who asks
#: for a package has it read at once.
SENT_PAUSE = 5.0
#: Databases that were sent and wait for that, and their bytes, which may lie in memory.
MOST_WAITING = 8
MOST_WAITING_BYTES = 64 << 20
#: Looks at the databases in one go; what changes still more often is seen with the next event.
_ROUNDS = 5

_OWN_COMMENT = re.compile(r"#\s*flocon:\s*Server\s*=\s*(\S+)")
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "localhost6"})


class SignatureLevel(Enum):
    """Whether pacman asks for a signature."""

    NEVER = "Never"
    OPTIONAL = "Optional"
    REQUIRED = "Required"


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository of pacman.conf.

    ``servers`` and ``cache_servers`` are http(s) addresses in the order to ask them, with $repo
    and $arch filled in and no slash at the end; this node's own are not among them.
    """

    name: str
    servers: tuple[str, ...] = ()
    cache_servers: tuple[str, ...] = ()
    #: Whether pacman has servers for it that only pacman can ask: ``file://``, mostly.
    has_others: bool = False
    package_signature: SignatureLevel = SignatureLevel.OPTIONAL
    database_signature: SignatureLevel = SignatureLevel.OPTIONAL


@dataclass(frozen=True, slots=True)
class PacmanConfiguration:
    """What of pacman.conf matters here, resolved.

    ``general_servers`` keep their $repo and $arch: a machine without pacman knows no repository.
    ``files`` are pacman.conf and what it includes; ``unusable`` are servers that are not http(s).
    """

    repositories: tuple[Repository, ...] = ()
    cache_directories: tuple[Path, ...] = ()
    database_path: Path = Path("/var/lib/pacman")
    gpg_directory: Path = Path("/etc/pacman.d/gnupg")
    architectures: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    general_servers: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()

    @property
    def sync_directory(self) -> Path:
        """Where pacman keeps its sync databases."""
        return self.database_path / "sync"

    @property
    def caches(self) -> frozenset[str]:
        """The servers that CacheServer lines name and no Server line does."""
        servers = {one for repository in self.repositories for one in repository.servers}
        named = {one for repository in self.repositories for one in repository.cache_servers}
        return frozenset(named - servers)

    def repository(self, name: str) -> Repository | None:
        return next((each for each in self.repositories if each.name == name), None)


def configuration_from_mirrors(
    mirrors: Sequence[str], own_ports: Collection[int] = ()
) -> PacmanConfiguration:
    """Return the configuration of a machine without pacman, whose mirrors flocon.toml names."""
    servers, unusable = _sort_out(mirrors, own_ports)
    return PacmanConfiguration(general_servers=servers, unusable=unusable)


def servers_for(
    configuration: PacmanConfiguration, repository: str, architecture: str
) -> tuple[str, ...]:
    """Return the servers to ask for a file of ``repository``, in order, complete but for the file.

    A repository of pacman.conf has its own, resolved for this machine's architecture whatever is
    asked for; any other has the general ones.
    """
    known = configuration.repository(repository)
    if known is not None:
        return known.servers
    if not is_repository(repository) or not is_architecture(architecture):
        return ()
    return tuple(
        _fill_in(server, repository, architecture) for server in configuration.general_servers
    )


def package_servers_for(
    configuration: PacmanConfiguration, repository: str, architecture: str
) -> tuple[str, ...]:
    """Return the servers to ask for a package or its signature: caches first, as pacman does."""
    known = configuration.repository(repository)
    caches = known.cache_servers if known is not None else ()
    servers = servers_for(configuration, repository, architecture)
    return tuple(dict.fromkeys((*caches, *servers)))


def _fill_in(server: str, repository: str, architecture: str) -> str:
    return server.replace("$repo", repository).replace("$arch", architecture)


async def read_configuration(
    reactor: PacmanReactor, pacman_conf: Path, own_ports: Collection[int] = ()
) -> PacmanConfiguration:
    """Return what pacman-conf says, with this node's own lines left out.

    A server on this machine's loopback with a port of ``own_ports`` is this node. Raises
    ToolMissing without pacman-conf, and ToolError with its own words where it fails.
    """
    return await _resolve(reactor, await _in_thread(reactor, _scan, pacman_conf), own_ports)


async def _resolve(
    reactor: PacmanReactor, scan: _Scan, own_ports: Collection[int]
) -> PacmanConfiguration:
    arguments = ["pacman-conf", "--config", str(scan.pacman_conf)]
    outcome = await run(reactor, arguments, seconds=TIMEOUT)
    if outcome.status:
        lines = outcome.errors.decode("utf-8", "replace").splitlines()
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error")]
        reason = "; ".join(errors)[:1000] or f"ended with status {outcome.status}"
        raise ToolError("pacman-conf", reason)
    text = outcome.output.decode("utf-8", "surrogateescape")
    return _configuration(_sections(text), scan, own_ports)


def _in_thread(
    reactor: PacmanReactor, function: Callable[..., T], *arguments: object
) -> Deferred[T]:
    result: Deferred[T] = deferToThreadPool(reactor, reactor.getThreadPool(), function, *arguments)
    return result


# What pacman-conf prints: "[section]" and "Key = Value" or just "Key", a line for each value.


def _sections(text: str) -> dict[str, dict[str, list[str]]]:
    """Return the values of each key of each section; what is unknown does no harm."""
    sections: dict[str, dict[str, list[str]]] = {"options": defaultdict(list)}
    current = sections["options"]
    for line in text.splitlines():
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], defaultdict(list))
        else:
            key, _, value = line.partition(" = ")
            current[key.strip()].append(value.strip())
    return sections


def _configuration(
    sections: Mapping[str, Mapping[str, list[str]]], scan: _Scan, own_ports: Collection[int]
) -> PacmanConfiguration:
    options = sections["options"]
    architectures = tuple(filter(is_architecture, options.get("Architecture", ())))
    repositories = []
    unusable: dict[str, None] = {}
    for name, section in sections.items():
        if name == "options" or not is_repository(name):
            continue
        first = [
            _fill_in(server, name, architectures[0] if architectures else "")
            for server in scan.first_servers.get(name, ())
        ]
        servers, left_out = _sort_out([*first, *section.get("Server", ())], own_ports)
        cache_servers, left_out_too = _sort_out(section.get("CacheServer", ()), own_ports)
        unusable.update(dict.fromkeys(left_out + left_out_too))
        levels = section.get("SigLevel", options.get("SigLevel", []))
        package, database = _level("Package", levels), _level("Database", levels)
        others = bool(left_out)
        repositories.append(Repository(name, servers, cache_servers, others, package, database))
    default = PacmanConfiguration()
    return PacmanConfiguration(
        repositories=tuple(repositories),
        cache_directories=tuple(Path(path) for path in options.get("CacheDir", ())),
        database_path=Path(_last(options.get("DBPath")) or default.database_path),
        gpg_directory=Path(_last(options.get("GPGDir")) or default.gpg_directory),
        architectures=architectures,
        files=tuple(scan.stamps),
        unusable=tuple(unusable),
    )


def _last(values: Sequence[str] | None) -> str:
    return values[-1] if values else ""


def _level(kind: str, values: Collection[str]) -> SignatureLevel:
    """Return the level of ``kind`` ("Package" or "Database"); pacman's default is Optional."""
    level = SignatureLevel.OPTIONAL
    for candidate in SignatureLevel:
        if f"{kind}{candidate.value}" in values:
            level = candidate
    return level


def _sort_out(
    servers: Iterable[str], own_ports: Collection[int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the servers that can be asked, each once, and those that are not http(s)."""
    usable: dict[str, None] = {}
    unusable: dict[str, None] = {}
    for server in servers:
        try:
            url = urlsplit(server)
            host, port = url.hostname, url.port
        except ValueError:
            host, port = None, None
        if not host or url.scheme not in {"http", "https"} or not re.fullmatch("[!-~]+", server):
            unusable[server] = None
            continue
        if port is None:
            port = 443 if url.scheme == "https" else 80
        if port not in own_ports or not _is_loopback(host):
            usable[server.rstrip("/")] = None
    return tuple(usable), tuple(unusable)


def _is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine by any of the ways to write that; nothing is looked up."""
    host = host.rstrip(".")
    if host in _LOOPBACK_NAMES or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))  # 127.1, as curl reads it
        except OSError:
            return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    # Connecting to the unspecified address reaches this machine, too.
    return address.is_loopback or address.is_unspecified


# pacman.conf itself, for what pacman-conf does not tell: our comments, and which files there are.


@dataclass(frozen=True, slots=True)
class _Scan:
    """The files of a configuration, as of their stamps; and what our comments in them say.

    ``patterns`` are the Include lines' values; ``first_servers`` are by section, not filled in.
    """

    pacman_conf: Path
    stamps: Mapping[Path, Stamp | None]
    patterns: tuple[str, ...]
    first_servers: Mapping[str, tuple[str, ...]]

    def folders(self) -> set[Path]:
        """Return where a change can be one of this configuration."""
        folders = set()
        for path in self.stamps:
            # A link's target changes elsewhere.
            folders |= {path.absolute().parent, path.resolve().parent}
        for pattern in self.patterns:
            parent = str(Path(pattern).absolute().parent)
            matches = glob(parent) if has_magic(parent) else [parent]  # noqa: PTH207
            folders |= {Path(match) for match in matches}
        return folders

    def concerns(self, path: Path) -> bool:
        """Whether a change of ``path`` can be one of this configuration."""
        ours = chain(self.stamps, (file.resolve() for file in self.stamps))
        return any(path == file.absolute() for file in ours) or any(
            fnmatchcase(str(path), str(Path(pattern).absolute())) for pattern in self.patterns
        )

    def is_current(self) -> bool:
        return all(stamp_of(path) == stamp for path, stamp in self.stamps.items())


class _Scanner:
    """Reads pacman.conf and what it includes the way pacman does (``parse_ini``, ``conf.c``)."""

    def __init__(self) -> None:
        self.stamps: dict[Path, Stamp | None] = {}
        self.patterns: dict[str, None] = {}
        self.servers: dict[str, dict[str, None]] = defaultdict(dict)
        self._read = 0
        # An included file's section goes on behind its Include line: pacman keeps it so.
        self._section = ""

    def read(self, path: Path, depth: int = 0) -> None:
        self._read += 1
        if self._read > MOST_FILES or depth > DEEPEST_INCLUDE:
            return
        self.stamps.setdefault(path, stamp_of(path))
        try:
            file = os.fdopen(open_plain(path), encoding="utf-8", errors="surrogateescape")
            with file:
                text = file.read(LONGEST_FILE)
        except OSError:
            return  # pacman-conf says so, in better words
        for line in map(str.strip, text.splitlines()):
            if line.startswith("[") and line.endswith("]"):
                self._section = line[1:-1]
            elif comment := _OWN_COMMENT.match(line):
                self.servers[self._section][comment[1]] = None
            elif not line.startswith("#"):
                key, _, value = line.partition("=")
                if key.strip() == "Include":
                    self._include(value.strip(), depth)

    def _include(self, pattern: str, depth: int) -> None:
        self.patterns[pattern] = None
        for match in sorted(glob(pattern)):  # noqa: PTH207 - any path, as glob(3)
            self.read(Path(match), depth + 1)


def _scan(pacman_conf: Path) -> _Scan:
    scanner = _Scanner()
    scanner.read(pacman_conf)
    servers = {section: tuple(values) for section, values in scanner.servers.items()}
    return _Scan(pacman_conf, scanner.stamps, tuple(scanner.patterns), servers)


class PacmanWatch(Service):
    """Keeps ``configuration`` and ``listing`` as they are on disk, and tells when they change.

    A machine without pacman has the configuration of ``mirrors``, and so has one whose pacman.conf
    has never been right since the start; when it becomes so, that is noticed like every change.
    """

    log = Logger()

    def __init__(
        self,
        reactor: PacmanReactor,
        pacman_conf: Path,
        configuration_changed: Callable[[PacmanConfiguration], None],
        listing_changed: Callable[[Listing], None],
        *,
        own_ports: Collection[int] = (),
        mirrors: Sequence[str] = (),
        is_peers: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """``is_peers`` tells by its digest whether a database was given by a peer."""
        self._reactor = reactor
        self._is_peers = is_peers
        self._sent = SentDatabases()
        #: Repository and open file of what mirrors sent, and when to read it.
        self._waiting_sent: list[tuple[str, int]] = []
        self._sent_due: IDelayedCall | None = None
        self._pacman_conf = pacman_conf
        self._configuration_changed = configuration_changed
        self._listing_changed = listing_changed
        self._own_ports = own_ports
        self.configuration = configuration_from_mirrors(mirrors, own_ports)
        self.listing = Listing()
        self._paths: tuple[PacmanConfiguration, Sequence[tuple[str, Path]]] | None = None
        self._scan = _Scan(pacman_conf, {pacman_conf: None}, (), {})
        self._loaded: dict[str, Loaded] = {}
        self._watch = FolderWatch(reactor, self._changed)
        self._folders: set[Path] = set()
        self._configuration_is_stale = True
        self._said = ""
        self._pause: IDelayedCall | None = None
        self._poll: IDelayedCall | None = None
        self._work: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._configured = False
        self._unconfigured: list[Deferred[None]] = []

    def startService(self) -> None:
        super().startService()
        self._configuration_is_stale = True
        self._look()
        self._poll = self._reactor.callLater(POLL, self._look_around)

    def stopService(self) -> Deferred[None]:
        """Look no more; fire when nothing is under way."""
        super().stopService()
        stopped: Deferred[None] = succeed(None)
        self._watch.close()
        self._folders = set()
        for call in (self._pause, self._poll, self._sent_due):
            if call is not None and call.active():
                call.cancel()
        while self._waiting_sent:
            os.close(self._waiting_sent.pop()[1])
        if self._work is not None:
            stopped = Deferred()
            self._work.addBoth(lambda _: stopped.callback(None))
            self._work.cancel()
        return stopped

    def signature_needed(self, file_name: str) -> bool:
        """Whether pacman here refuses this package without its signature.

        So it is where any repository that lists it says Required; of a package that none lists,
        where any repository does.
        """
        repositories = {entry.repository for entry in self.listing.find(file_name)}
        levels = {
            repository.package_signature
            for repository in self.configuration.repositories
            if not repositories or repository.name in repositories
        }
        return not levels or SignatureLevel.REQUIRED in levels

    def signature_wanted(self, repository: str) -> bool:
        """Whether pacman here asks for signatures of ``repository``'s packages at all."""
        known = self.configuration.repository(repository)
        return known is None or known.package_signature is not SignatureLevel.NEVER

    def settled(self, timeout: float | None = PATIENCE) -> Deferred[None]:
        """Fire when the listing is that of the databases on disk, or after ``timeout`` seconds.

        Costs a few stats where nothing has changed. Never fails. Before the first configuration
        was read nothing is settled.
        """
        if not self.running or (self._work is None and self._is_settled()):
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        if timeout is not None:
            waiting.addTimeout(timeout, self._reactor, lambda *_: None)
        self._look()
        return waiting

    def configured(self, timeout: float = PATIENCE) -> Deferred[None]:
        """Fire once pacman's configuration was read, or after ``timeout`` seconds; never fails."""
        if self._configured or not self.running:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._unconfigured.remove)
        self._unconfigured.append(waiting)
        return waiting.addTimeout(timeout, self._reactor, lambda *_: None)

    def sent(self, repository: str, descriptor: int) -> None:
        """Have a database list that a mirror has just sent; its open file stays the caller's.

        Where pacman here is to check its signature nobody else's is taken for right.
        """
        known = self.configuration.repository(repository)
        required = known is not None and known.database_signature is SignatureLevel.REQUIRED
        if not self.running or required or not is_repository(repository):
            return
        size = os.fstat(descriptor).st_size
        if size > MOST_WAITING_BYTES:
            return
        while self._waiting_sent and not self._has_room(size):
            os.close(self._waiting_sent.pop(0)[1])
        self._waiting_sent.append((repository, os.dup(descriptor)))
        if self._sent_due is None or not self._sent_due.active():
            self._sent_due = self._reactor.callLater(SENT_PAUSE, self._look)

    def _is_settled(self) -> bool:
        return not self._configuration_is_stale and not self._stale() and not self._waiting_sent

    def _has_room(self, size: int) -> bool:
        """Whether one more database may wait to be read."""
        waiting = sum(os.fstat(descriptor).st_size for _, descriptor in self._waiting_sent)
        return len(self._waiting_sent) < MOST_WAITING and waiting + size <= MOST_WAITING_BYTES

    def _sent_is_due(self) -> bool:
        """Whether what mirrors sent is to be read: someone waits, or pacman has not taken it."""
        paused = self._sent_due is not None and self._sent_due.active()
        return bool(self._waiting_sent) and (bool(self._waiting) or not paused)

    def _changed(self, folder: Path, name: str) -> None:
        """Take a report of the watch: something about ``name`` (or anything) is different."""
        of_sync = folder == self.configuration.sync_directory
        if of_sync and (not name or name.endswith(".db")):
            self._look_soon()
        everything = not name and folder in self._scan.folders()
        if everything or (name and self._scan.concerns(folder / name)):
            self._configuration_is_stale = True
            self._look_soon()

    def _look_around(self) -> None:
        self._poll = self._reactor.callLater(POLL, self._look_around)
        watched = all(map(self._watch.watched, self._scan.folders()))
        if not watched or not self._scan.is_current():
            self._configuration_is_stale = True
        if not self._is_settled():
            self._look()
        elif self._sent:
            self._publish()

    def _look_soon(self) -> None:
        if self._pause is None or not self._pause.active():
            self._pause = self._reactor.callLater(PAUSE, self._look)

    def _look(self) -> None:
        """Begin to bring everything up to date, unless that is under way."""
        if self._work is None:
            if self._pause is not None and self._pause.active():
                self._pause.cancel()
            work = self._work = Deferred.fromCoroutine(self._catch_up())
            work.addErrback(self._failed)
            work.addBoth(lambda _: self._release())

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("pacman's files were not read", failure)

    def _release(self) -> None:
        self._work = None
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)
        if self.running and self._configuration_is_stale:
            self._look_soon()

    async def _catch_up(self) -> None:
        for _ in range(_ROUNDS):
            if self._configuration_is_stale:
                await self._read_configuration()
            elif stale := self._stale():
                await self._load(stale)
            elif self._sent_is_due():
                await self._load_sent()
            else:
                return

    async def _read_configuration(self) -> None:
        self._configuration_is_stale = False
        self._follow()
        self._scan = await _in_thread(self._reactor, _scan, self._pacman_conf)
        self._follow()
        try:
            configuration = await _resolve(self._reactor, self._scan, self._own_ports)
        except ToolError as error:
            self._complain(error)
        else:
            self._said = ""
            if configuration != self.configuration:
                self.configuration = configuration
                for server in configuration.unusable:
                    self.log.debug("{server} cannot be asked: not http(s)", server=shown(server))
                self._tell(self._configuration_changed, configuration)
                self._publish()
            self._follow()
        self._configured = True
        waiting, self._unconfigured = self._unconfigured, []
        for each in waiting:
            each.callback(None)
        # Between reading a file and following its folder it may have changed.
        if not self._scan.is_current():
            self._configuration_is_stale = True

    def _complain(self, error: ToolError) -> None:
        words = str(error)
        if words == self._said:
            return
        self._said = words
        if isinstance(error, ToolMissing):
            self.log.info("no pacman here ({error})", error=error)
        elif self.configuration.files:
            self.log.warn(
                "pacman's configuration is not taken over ({error}); the one before stays in use",
                error=error,
            )
        else:
            self.log.warn("pacman's configuration cannot be read ({error})", error=error)

    def _follow(self) -> None:
        folders = self._scan.folders()
        if self.configuration.files:
            folders.add(self.configuration.sync_directory)
        for folder in self._folders - folders:
            self._watch.forget(folder)
        for folder in folders - self._folders:
            self._watch.follow(folder)
        self._folders = folders

    def _databases(self) -> Sequence[tuple[str, Path]]:
        """Return each repository and its database's path; for every request, so made once."""
        configuration = self.configuration
        if self._paths is None or self._paths[0] is not configuration:
            names = [one.name for one in configuration.repositories if configuration.files]
            paths = [(name, configuration.sync_directory / f"{name}.db") for name in names]
            self._paths = configuration, paths
        return self._paths[1]

    def _stale(self) -> list[tuple[str, Path]]:
        """Return the databases whose file is another one than was read."""
        nothing = Loaded()
        return [
            (name, path)
            for name, path in self._databases()
            if stamp_of(path) != self._loaded.get(name, nothing).stamp
        ]

    async def _load(self, databases: Sequence[tuple[str, Path]]) -> None:
        results = await _in_thread(self._reactor, _load_all, databases, dict(self._loaded))
        for (name, path), loaded in zip(databases, results, strict=True):
            self._loaded[name] = loaded
            if loaded.problem:
                problem = loaded.problem
                self.log.warn("{path} cannot be used: {problem}", path=path, problem=problem)
        del results, loaded
        self._publish()
        # Now that the listing before is gone.
        await _in_thread(self._reactor, give_back)

    async def _load_sent(self) -> None:
        """Read what mirrors sent and pacman here has not, each once."""
        while self._waiting_sent:
            repository, descriptor = self._waiting_sent.pop(0)
            try:
                digest = await _in_thread(self._reactor, digest_of, descriptor)
                if digest in self._digests() or self._sent.renew(digest, self._reactor.seconds()):
                    continue
                database = await _in_thread(
                    self._reactor, load_sent, repository, descriptor, digest
                )
            except (OSError, SyncDatabaseError) as error:
                self.log.debug("{name}.db, as sent: {error}", name=repository, error=error)
            else:
                self._sent.add(database, self._reactor.seconds())
                del database
            finally:
                os.close(descriptor)
        self._publish()
        await _in_thread(self._reactor, give_back)

    def _digests(self) -> set[str]:
        return {one.database.digest for one in self._loaded.values() if one.database}

    def _publish(self) -> None:
        """Make the listing anew of what is loaded, in the configuration's order."""
        loaded = {name: self._loaded.get(name, Loaded()) for name, _ in self._databases()}
        self._loaded = loaded
        self._sent.drop(self._digests())
        own = (self._marked(one.database) for one in loaded.values() if one.database)
        listing = Listing(tuple(own), self._sent.current(self._reactor.seconds()))
        if listing != self.listing:
            self.listing = listing
            self._tell(self._listing_changed, listing)

    def _marked(self, database: Database) -> Database:
        from_peer = self._is_peers(database.digest)
        return (
            database if from_peer == database.from_peer else replace(database, from_peer=from_peer)
        )

    def _tell(self, callback: Callable[[T], None], value: T) -> None:
        try:
            callback(value)
        except Exception:  # noqa: BLE001 - the caller's fault must not end our looking
            self.log.failure("a change of pacman's was not handled")


def _load_all(databases: Sequence[tuple[str, Path]], known: Mapping[str, Loaded]) -> list[Loaded]:
    return [load(name, path, known.get(name)) for name, path in databases]
