"""What pacman says on this machine, kept as it is on disk now: its configuration and its listing.

Here is when to look, and who is told. How the configuration is asked for is known to ``answers``,
which databases are read to ``databases``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger

from flocon.asking.addresses import without_user
from flocon.errors import NoDescriptors, ToolError, ToolMissing
from flocon.files import is_repository
from flocon.machine.inotify import FolderWatch
from flocon.machine.limits import lacks_descriptors
from flocon.machine.reactor_threads import in_thread
from flocon.pacman.answers import configuration_from_mirrors, resolve
from flocon.pacman.configuration import PacmanConfiguration, SignatureLevel
from flocon.pacman.databases import PacmanDatabases
from flocon.pacman.includes import Scan, scan

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path
    from typing import TypeVar

    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from flocon.pacman.listing import Database, Listing

    T = TypeVar("T")
    from flocon.pacman.answers import PacmanReactor

#: What pacman keeps in DBPath while it changes something.
LOCK = "db.lck"
#: Seconds from the first change on disk to looking at it: several come together.
PAUSE = 0.1
#: Seconds to wait for databases that are being read; pacman itself waits 10 for a first byte.
PATIENCE = 3.0
#: Seconds between two looks at the files without any sign: some file systems make no events.
POLL = 60.0
#: Seconds until what could not be read for want of descriptors is looked at again.
AGAIN = 5.0
#: Looks at the databases in one go; what changes still more often is seen with the next event.
_ROUNDS = 5
#: Seconds after which what a mirror sent is read, if pacman here has not taken it by then. Who asks
#: for a package has it read at once.
SENT_PAUSE = 5.0


class _Complaints:
    """Says why the configuration cannot be read, and the same once."""

    def __init__(self) -> None:
        self._said = ""

    def say(self, error: ToolError, *, has_one: bool) -> None:
        """Say it; ``has_one`` where one that was read before stays in use."""
        words = str(error)
        if words == self._said:
            return
        self._said = words
        log = PacmanWatch.log
        if isinstance(error, ToolMissing):
            log.info("no pacman here ({error})", error=error)
        elif has_one:
            log.warn(
                "pacman's configuration is not taken over ({error}); the one before stays in use",
                error=error,
            )
        else:
            log.warn("pacman's configuration cannot be read ({error})", error=error)

    def end(self) -> None:
        """Learn that it could be read: what is wrong the next time is said again."""
        self._said = ""


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
        #: When to read what mirrors sent.
        self._sent_due: IDelayedCall | None = None
        self._pacman_conf = pacman_conf
        self._configuration_changed = configuration_changed
        self._listing_changed = listing_changed
        self._own_ports = own_ports
        #: Called when pacman may have changed its databases, or what is installed.
        self.touched: Callable[[], None] = lambda: None
        self.configuration = configuration_from_mirrors(mirrors, own_ports)
        self._databases = PacmanDatabases(
            reactor, lambda listing: self._tell(self._listing_changed, listing), is_peers
        )
        self._scan = Scan(pacman_conf, {pacman_conf: None}, (), {})
        self._watch = FolderWatch(reactor, self._changed)
        self._folders: set[Path] = set()
        self._configuration_is_stale = True
        self._complaints = _Complaints()
        self._pause: IDelayedCall | None = None
        self._poll: IDelayedCall | None = None
        self._work: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._configured = False
        #: Whether the configuration is being read.
        self._reading = False
        self._unconfigured: list[Deferred[None]] = []

    @property
    def listing(self) -> Listing:
        """What the databases list."""
        return self._databases.listing

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
        self._databases.sent_files.close()
        if self._work is not None:
            stopped = Deferred()
            self._work.addBoth(lambda _: stopped.callback(None))
            self._work.cancel()
        return stopped

    def signature_needed(self, file_name: str) -> bool:
        """Whether pacman here refuses this package without its signature.

        So it is where any repository that lists it says Required; of a package that none lists,
        where any repository does. One for other machines alone is not this pacman's to refuse.
        """
        repositories = {entry.repository for entry in self.listing.find(file_name)}
        if not repositories and self.listing.mirrored_entries(file_name):
            return False
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

    def unusable(self) -> list[tuple[str, Path, str]]:
        """Return each repository whose database's file is there and lists nothing: file and why."""
        return self._databases.unusable()

    def is_settled(self) -> bool:
        """Whether configuration and listing are those on disk; costs a few stats."""
        self._notice()
        return not self.running or (self._work is None and self._is_settled())

    def settled(self, timeout: float | None = PATIENCE) -> Deferred[None]:
        """Fire when they are, or after ``timeout`` seconds.

        Never fails. Before the first configuration was read nothing is settled.
        """
        if self.is_settled():
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        if timeout is not None:
            waiting.addTimeout(timeout, self._reactor, lambda *_: None)
        self._look()
        return waiting

    def configured(self, timeout: float = PATIENCE) -> Deferred[None]:
        """Fire when the configuration is that on disk, or after ``timeout`` seconds; never fails.

        Costs a few stats where nothing has changed: pacman may be run as soon as its mirrorlist is
        written.
        """
        self._notice()
        is_known = self._configured and not (self._reading or self._configuration_is_stale)
        if is_known or not self.running:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._unconfigured.remove)
        self._unconfigured.append(waiting)
        if self._configured:
            self._look()
        return waiting.addTimeout(timeout, self._reactor, lambda *_: None)

    def _notice(self) -> None:
        """Look whether the configuration's files are still those that were read."""
        if self._configured and not (self._reading or self._scan.is_current()):
            self._configuration_is_stale = True

    def sent(self, repository: str, descriptor: int) -> None:
        """Have a database list that a mirror has just sent; its open file stays the caller's.

        Where pacman here is to check its signature nobody else's is taken for right.
        """
        known = self.configuration.repository(repository)
        required = known is not None and known.database_signature is SignatureLevel.REQUIRED
        if not self.running or required or not is_repository(repository):
            return
        waits = self._databases.sent_files.put(repository, descriptor)
        if waits and (self._sent_due is None or not self._sent_due.active()):
            self._sent_due = self._reactor.callLater(SENT_PAUSE, self._look)

    def mirror(self, databases: tuple[Database, ...], by: str = "mirror") -> None:
        """Have databases list that are for other machines, see ``Listing.mirrored``.

        They take the place of those that came ``by`` the same.
        """
        self._databases.mirror(databases, by)

    def _is_settled(self) -> bool:
        databases = self._databases
        return (
            not self._configuration_is_stale and not databases.stale() and not databases.sent_files
        )

    def _sent_is_due(self) -> bool:
        """Whether what mirrors sent is to be read: someone waits, or pacman has not taken it."""
        paused = self._sent_due is not None and self._sent_due.active()
        return bool(self._databases.sent_files) and (bool(self._waiting) or not paused)

    def _changed(self, folder: Path, name: str) -> None:
        """Take a report of the watch: something about ``name`` (or anything) is different."""
        of_sync = folder == self.configuration.sync_directory
        if of_sync and (not name or name.endswith(".db")):
            self._look_soon()
            self.touched()
        if folder == self.configuration.database_path and name in {"", LOCK}:
            # pacman has just begun something, or is done with it.
            self.touched()
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
        elif self._databases.any_sent:
            self._databases.publish()

    def _look_soon(self, seconds: float = PAUSE) -> None:
        if self.running and (self._pause is None or not self._pause.active()):
            self._pause = self._reactor.callLater(seconds, self._look)

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
        if self._configured and not self._configuration_is_stale:
            # Even if reading it failed.
            self._tell_configured()
        for each in waiting:
            each.callback(None)
        if self.running and self._configuration_is_stale:
            self._look_soon()

    async def _catch_up(self) -> None:
        for _ in range(_ROUNDS):
            if self._configuration_is_stale:
                try:
                    await self._read_configuration()
                except NoDescriptors:
                    self._configuration_is_stale = True
                    self._look_soon(AGAIN)
                    return
            elif stale := self._databases.stale():
                if not await self._databases.load(stale):
                    self._look_soon(AGAIN)
                    return
            elif self._sent_is_due():
                await self._databases.load_sent()
            else:
                return

    async def _read_configuration(self) -> None:
        self._configuration_is_stale, self._reading = False, True
        try:
            await self._read_configuration_now()
        finally:
            self._reading = False
        self._configured = True
        # Between reading a file and following its folder it may have changed.
        self._notice()
        if not self._configuration_is_stale:
            self._tell_configured()

    def _tell_configured(self) -> None:
        waiting, self._unconfigured = self._unconfigured, []
        for each in waiting:
            each.callback(None)

    async def _read_configuration_now(self) -> None:
        self._follow()
        self._scan = await in_thread(self._reactor, scan, self._pacman_conf)
        self._follow()
        try:
            configuration = await resolve(self._reactor, self._scan, self._own_ports)
        except ToolError as error:
            if error.__cause__ is not None and lacks_descriptors(error.__cause__):
                raise NoDescriptors(str(self._pacman_conf)) from None
            self._complaints.say(error, has_one=bool(self.configuration.files))
        else:
            self._complaints.end()
            if configuration != self.configuration:
                self.configuration = configuration
                self._databases.configure(configuration)
                for server in configuration.unusable:
                    self.log.debug(
                        "{server} cannot be asked: not http(s)", server=without_user(server)
                    )
                self._tell(self._configuration_changed, configuration)
                self._databases.publish()
            self._follow()

    def _follow(self) -> None:
        folders = self._scan.folders()
        if self.configuration.files:
            folders |= {self.configuration.sync_directory, self.configuration.database_path}
        for folder in self._folders - folders:
            self._watch.forget(folder)
        for folder in folders - self._folders:
            self._watch.follow(folder)
        self._folders = folders

    def _tell(self, callback: Callable[[T], None], value: T) -> None:
        try:
            callback(value)
        except Exception:  # noqa: BLE001 - the caller's fault must not end our looking
            self.log.failure("a change of pacman's was not handled")
