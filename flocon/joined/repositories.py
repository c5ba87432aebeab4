"""The own repositories of this LAN that this machine trusts: the newest generation of each is here.

It comes from this machine's own signer, or from whichever node has it: a signature by a trusted key
is all that counts, and that it is later than any before. One thing is done at a time. Whom to ask
is decided in ``offers``, what is taken in ``candidate``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet import defer
from twisted.internet.task import deferLater

from flocon.asking.source import Origin, Source
from flocon.errors import FloconError, RepositoryError, StoreError
from flocon.joined import published as own
from flocon.joined.asking import Asking, OfferError
from flocon.joined.candidate import examine
from flocon.joined.known import Known, Trusted
from flocon.joined.offers import Offer, Offers, Wrong
from flocon.joined.shelf import FOLDER, Shelf
from flocon.joined.signed import Verifier
from flocon.joined.told import time_of
from flocon.log import logger
from flocon.machine.inotify import FolderWatch
from flocon.machine.reactor_threads import in_thread
from flocon.machine.threads import Delay
from flocon.machine.worker import Worker
from flocon.repository.published import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from twisted.internet.defer import Deferred

    from flocon.files import Content
    from flocon.joined.candidate import Candidate, Examined
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.pacman.listing import Database
    from flocon.presence.peer import Peer

#: Seconds from a change of the published folder to looking at it.
PAUSE = 0.1
#: Seconds from news of what peers have to looking whether any of them may be asked now.
NEWS_PAUSE = 0.2
#: Seconds between two looks at it where the system tells of no change.
POLL = 60.0
#: Seconds for which a generation of this machine's own waits until its packages are found here,
#: and between two looks: who is told of one can have it then.
FOUND_WITHIN, LOOK_AGAIN = 6.0, 0.1
#: Where this machine's own come from, as it is told.
HERE = "this machine"


class OwnRepositories(Service):
    """Keeps ``known`` up to date; ``changed`` is called when one of them is another one.

    ``keys`` is the folder of trusted keys, ``published`` that of this machine's signer; what is
    taken lies below ``store``. Peers are asked by ``agent``, and ``offence`` told of who lies.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        *,
        keys: Path,
        published: Path,
        store: Path,
        agent: Any,
        neighbourhood: Neighbourhood,
        offence: Callable[[Source, str], None],
        changed: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._keys = keys
        self._published = published
        self._neighbourhood = neighbourhood
        self._offence = offence
        self._changed = changed
        #: Whether a package, by file name and content, can be given here.
        self.has: Callable[[str, Content], bool] = lambda *_: True
        self.known: dict[str, Known] = {}
        #: Why nobody's signatures are taken for a repository whose keys lie there.
        self.problems: dict[str, str] = {}
        self.offers = Offers()
        self.shelf = Shelf(store)
        self._folder = store / FOLDER
        self._asking = Asking(reactor, agent, self._folder)
        self._verifier = Verifier(reactor)
        self._look_due = True
        self._worker = Worker(reactor, self._step)
        self._fetching: Deferred[Candidate] | None = None
        #: When somebody was looked for last because of a datagram.
        self._woken = float("-inf")
        self._watch = FolderWatch(reactor, lambda *_: self._look_soon.begin(PAUSE))
        # What was published may be signed by another key.
        self._look_soon = Delay(reactor, self._look_anew)
        self._poll = Delay(reactor, self._poll_published)
        self._again = Delay(reactor, self._worker.wake)
        self._news = Delay(reactor, self._wake_for_offers)

    def startService(self) -> None:
        super().startService()
        before = self._neighbourhood.news

        def news(changes: Any) -> None:
            before(changes)
            if self.running:
                self._news.begin(NEWS_PAUSE)

        self._neighbourhood.news = news
        self._worker.start()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        self._watch.close()
        for delay in (self._look_soon, self._poll, self._again, self._news):
            delay.stop()
        if self._fetching is not None:
            self._fetching.cancel()
        return self._worker.stop()

    def look(self) -> Deferred[None]:
        """Read trusted keys and the published folder anew; fires when that is done."""
        self._look_anew()
        return self._worker.idle()

    def _look_anew(self) -> None:
        self._look_due = True
        self._worker.wake()

    def heard(self, peer: Peer) -> None:
        """Learn what a peer says of its own repositories.

        Datagrams cost who sends them nothing: what of all is newest is looked up some times a
        second, not with each.
        """
        now = self._reactor.seconds()
        if not any(
            name in self.known and signed > self.known[name].have for name, signed in peer.own
        ):
            return
        if now >= self._woken + NEWS_PAUSE:
            self._woken = now
            self._worker.wake()
        elif self.running:
            self._news.begin(NEWS_PAUSE)

    def settled(self, patience: float) -> Deferred[None]:
        """Fire once all is here that is known of, or after ``patience`` seconds; never fails."""
        return defer.Deferred.fromCoroutine(self._settled(patience))

    async def _settled(self, patience: float) -> None:
        until = self._reactor.seconds() + patience
        for wait in (self._worker.idle, self._neighbourhood.acquainted, self._worker.idle):
            left = until - self._reactor.seconds()
            if left > 0:
                await wait().addTimeout(left, self._reactor, lambda *_: None)

    def _wake_for_offers(self) -> None:
        if next(self._newer_offers(), None) is not None:
            self._worker.wake()

    # One thing after the other

    async def _step(self) -> bool:
        if self._look_due:
            self._look_due = False
            await self._look()
            return True
        for known in self.known.values():
            if known.trusted.publishes and await self._look_at_published(known):
                return True
        return await self._ask_somebody()

    async def _look(self) -> None:
        found, problems = await in_thread(self._reactor, _trusted, self._keys, self._published)
        for name, problem in problems.items():
            if self.problems.get(name) != problem:
                self._log.warn("{name}: {problem}", name=name, problem=problem)
        self.problems = problems
        for name in [name for name in self.known if name not in found]:
            del self.known[name]
        for name, trusted in found.items():
            known = self.known.get(name)
            if known is not None and known.trusted == trusted:
                continue
            self.offers.trust_anew(name)
            self.known[name] = Known(trusted)
            await self._recall(self.known[name])
        for name in await in_thread(self._reactor, self.shelf.names):
            if name not in self.known and name not in problems:
                await in_thread(self._reactor, self.shelf.drop, name)
        self._follow()
        self._changed()

    def _follow(self) -> None:
        """Hear of what this machine's signer publishes, if it does."""
        folders = [one.name for one in self.known.values() if one.trusted.publishes]
        watched = [self._watch.follow(self._published / name) for name in folders]
        if not all(watched):
            self._poll.begin(POLL)

    def _poll_published(self) -> None:
        self._look_anew()
        self._poll.begin(POLL)

    async def _recall(self, known: Known) -> None:
        """Take what lies here from before, where a key that is trusted now has signed it."""
        newest = await in_thread(self._reactor, self.shelf.newest, known.name)
        if newest is None:
            return
        if newest.fingerprint in known.trusted.fingerprints:
            known.newest = newest.signed
        try:
            candidate = await in_thread(self._reactor, self.shelf.candidate, newest)
        except StoreError as error:
            self._log.debug("{name}: {error}", name=known.name, error=error)
            return
        try:
            examined = await self._examine(known, candidate)
        finally:
            candidate.close()
        if examined.generation is not None and examined.database is not None:
            known.took(examined.generation, examined.database, HERE)

    async def _look_at_published(self, known: Known) -> bool:
        """Take what this machine's signer published last; return whether that was another one."""
        sequence = await in_thread(self._reactor, own.current, self._published, known.name)
        if sequence == known.looked_at or not sequence:
            return False
        known.looked_at = sequence
        try:
            candidate = await in_thread(
                self._reactor, own.open_current, self._published, known.name, self._folder
            )
        except FloconError as error:
            known.problem = str(error)
            return True
        try:
            wrong, fingerprint = await self._take(known, candidate, HERE)
        finally:
            candidate.close()
        here = known.generation
        if wrong is Wrong.OLDER and here is not None and here.sequence == sequence:
            # After a restart it is the one that lies here.
            return True
        if wrong is not None:
            by = f" ({fingerprint})" if fingerprint else ""
            known.problem = f"what this machine publishes is not given out: {wrong.value}{by}"
            self._log.warn("{name}: {problem}", name=known.name, problem=known.problem)
        return True

    async def _ask_somebody(self) -> bool:
        now = self._reactor.seconds()
        for name, known in self.known.items():
            offers = list(self._offers(name))
            chosen = self.offers.choose(offers, known.have, now)
            if chosen is not None:
                await self._ask(known, chosen)
                return True
            again = self.offers.next_try(offers, known.have, now)
            if again is not None:
                self._again.begin(max(1.0, again - now))
        return False

    def _offers(self, name: str) -> Iterator[Offer]:
        """Yield what peers say that they have; of whom only a datagram has told nobody is asked.

        Nobody is asked for what is private either: that would tell of it.
        """
        if self._neighbourhood.is_private(name):
            return
        for peer in self._neighbourhood.proved():
            for called, signed in peer.own:
                if called == name:
                    yield Offer(name, peer.node, peer.address, peer.port, signed)

    def _newer_offers(self) -> Iterator[Offer]:
        for name, known in self.known.items():
            yield from (one for one in self._offers(name) if one.signed > known.have)

    async def _ask(self, known: Known, offer: Offer) -> None:
        self._fetching = defer.Deferred.fromCoroutine(self._asking.candidate(offer))
        try:
            candidate = await self._fetching
        except OfferError as error:
            self._disappointed(known, offer, error.wrong, "", str(error))
            return
        except defer.CancelledError:
            return
        finally:
            self._fetching = None
        try:
            wrong, fingerprint = await self._take(known, candidate, offer.address)
        finally:
            candidate.close()
        if wrong is None:
            self.offers.came(offer)
        else:
            self._disappointed(known, offer, wrong, fingerprint, wrong.value)

    def _disappointed(
        self, known: Known, offer: Offer, wrong: Wrong, fingerprint: str, reason: str
    ) -> None:
        self.offers.disappointed(offer, wrong, self._reactor.seconds(), fingerprint)
        known.problem = f"{offer.address} offers a newer one that is not taken: {reason}"
        self._log.debug("{name}: {problem}", name=known.name, problem=known.problem)
        if wrong.is_offence:
            source = Source(Origin.PEER, offer.address, offer.address, "", node=offer.node)
            self._offence(source, f"the own repository {known.name}: {wrong.value}")

    async def _take(
        self, known: Known, candidate: Candidate, source: str
    ) -> tuple[Wrong | None, str]:
        """Take a generation that is right; return what was wrong, and the key that it bears."""
        examined = await self._examine(known, candidate)
        generation, database = examined.generation, examined.database
        if generation is None or database is None:
            wrong, by = examined.wrong or Wrong.AWAY, examined.fingerprint
            if wrong is Wrong.FOREIGN and by in known.trusted.fingerprints:
                wrong = Wrong.UNUSABLE
            return wrong, by
        try:
            await in_thread(self._reactor, self.shelf.place, generation, candidate.descriptors())
        except StoreError as error:
            self._log.warn("{name} is not kept: {error}", name=known.name, error=error)
            return Wrong.AWAY, examined.fingerprint
        if source == HERE:
            await self._found(database)
        known.took(generation, database, source)
        self._log.info(
            "{name}: generation {sequence}, signed {signed}, with {count} packages, from {source}",
            name=known.name,
            sequence=generation.sequence,
            signed=time_of(generation.signed),
            count=len(database),
            source=source,
        )
        kept = [one.signed for one in (known.generation, known.before) if one is not None]
        await in_thread(self._reactor, self.shelf.sweep, known.name, kept)
        self._changed()
        return None, examined.fingerprint

    async def _found(self, database: Database) -> None:
        """Return once all packages of a database are found here, or after a while."""
        until = self._reactor.seconds() + FOUND_WITHIN
        left = [(name, entry.content) for name, entry in database.entries.items()]
        while self.running and self._reactor.seconds() < until:
            left = [one for one in left if not self.has(*one)]
            if not left:
                return
            await deferLater(self._reactor, LOOK_AGAIN)

    def _examine(self, known: Known, candidate: Candidate) -> Deferred[Examined]:
        keyring = known.trusted.keyring
        return defer.Deferred.fromCoroutine(
            examine(self._reactor, self._verifier, keyring, candidate, known.have)
        )


def _trusted(keys: Path, published: Path) -> tuple[dict[str, Trusted], dict[str, str]]:
    """Return whose signatures are taken for each repository, and why nobody's are; blocks.

    An operator's word comes before what this machine's own signer says of its keys.
    """
    joined, publishes = own.joined_names(keys), own.published_names(published)
    found: dict[str, Trusted] = {}
    problems: dict[str, str] = {}
    for name in dict.fromkeys([*joined, *publishes]):
        made = published / name / KEY
        path = keys / f"{name}{own.KEYS}" if name in joined else made
        told = None
        try:
            all_keys = tuple(own.read_keyring(path))
            if name in publishes and name in joined:
                # Whoever makes it tells of a key that is to take the place of the one here, too.
                told = tuple(own.read_keyring(made))
        except OSError as error:
            problems[name] = f"{path} cannot be read ({error.strerror})"
        except RepositoryError as error:
            problems[name] = f"{path}: {error.problem}"
        else:
            found[name] = Trusted(name, path, all_keys, name in publishes, name in joined, told)
    return found, problems
