"""Where a package's signature comes from: its database, a holder that proves it, or a mirror.

Only packages that arrived here; a database's signature comes from where its database came from,
see ``databases``. What is done with a signature is the transfers' affair.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from flocon.asking.patience import PACMAN, PEERS, stagger
from flocon.asking.small import fetch_signature
from flocon.asking.source import Origin
from flocon.errors import Contradicted, Refused, SourceError
from flocon.files import parse_file_name
from flocon.pacman.configuration import package_servers_for
from flocon.pacman.entries import Entry
from flocon.pacman.keyring import Keyring, Verdict
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from flocon.sources.choosing import LIMITS
from flocon.sources.tried import is_missing
from flocon.sources.unsigned import Unsigned
from flocon.transfers.staggered import first_good

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flocon.asking.attempts import Limits
    from flocon.asking.source import Source
    from flocon.books.traffic import Traffic
    from flocon.neighbours.standing import Standing
    from flocon.pacman.watch import PacmanWatch
    from flocon.sources.candidates import Candidates
    from flocon.sources.means import Agents
    from flocon.sources.reporter import Reporter
    from flocon.transfers.transfer import Transfer

#: Signatures are asked of a few peers, each some time after the one before; in seconds.
PEERS_STAGGER = 0.5
SIGNATURE_PATIENCE = PACMAN - PEERS


class PacmanKeyring:
    """Returns pacman's keyring: another one once pacman.conf names another folder."""

    def __init__(self, reactor: Any, pacman: PacmanWatch) -> None:
        self._reactor = reactor
        self._pacman = pacman
        self._made: tuple[Path, Keyring] | None = None

    def __call__(self) -> Keyring:
        directory = self._pacman.configuration.gpg_directory
        if self._made is None or self._made[0] != directory:
            self._made = (directory, Keyring(self._reactor, directory))
        return self._made[1]


class Signatures:
    """Finds the signatures of packages that arrived; ``unsigned`` are those that have none."""

    def __init__(
        self,
        reactor: Any,
        *,
        pacman: PacmanWatch,
        keyring: Callable[[], Keyring],
        candidates: Candidates,
        agents: Agents,
        standing: Standing,
        reporter: Reporter,
        traffic: Traffic,
    ) -> None:
        self._reactor = reactor
        self._pacman = pacman
        self.keyring = keyring
        self._candidates = candidates
        self._agents = agents
        self._standing = standing
        self._reporter = reporter
        self._traffic = traffic
        self.unsigned = Unsigned()

    def is_unsigned(self, entry: Entry) -> bool:
        """Whether the mirrors have just said that they have no signature of a package."""
        return self.unsigned.knows(entry, self._reactor.seconds())

    async def find(self, transfer: Transfer) -> bytes | None:
        """Return the signature of a package that arrived; None where the mirrors have none."""
        name, content = transfer.subject.file_name, transfer.subject.content
        listing = self._pacman.listing
        own = [one for one in listing.find(name) if one.content == content]
        entries = own or [one for one in listing.mirrored_entries(name) if one.content == content]
        if not entries:
            return await self._unlisted(transfer)
        entry = entries[0]
        embedded = entry.read_signature()
        if embedded is not None:
            return embedded
        if own and not self._pacman.signature_wanted(entry.repository):
            return None
        source = transfer.source
        if source is not None and source.origin is Origin.PEER:
            signature = await self._peers_signature(transfer, entry, source)
            if signature is not None:
                return signature
        return await self._mirrors_signature(transfer, entry)

    async def _unlisted(self, transfer: Transfer) -> bytes | None:
        """Return what a holder has for the signature of a package that no database here lists.

        Such a one comes by its content, for a person alone; the name that it has is anybody's.
        """
        content, source = transfer.subject.content, transfer.source
        file = parse_file_name(transfer.subject.file_name)
        if content is None or source is None or source.origin is not Origin.PEER or file is None:
            return None
        entry = Entry("", file.subject, file.name, file.version, content.size, content.sha256)
        return await self._peers_signature(transfer, entry, source)

    async def _peers_signature(
        self, transfer: Transfer, entry: Entry, source: Source
    ) -> bytes | None:
        """Return what a holder has for a signature, if pacman's keyring says that it is right."""
        now = self._reactor.seconds()
        holders = self._candidates.holders(entry.file_name, entry, now)
        others = [one for one in holders if one.key != source.key]

        async def ask(holder: Source) -> bytes:
            # That of another content under this name would be no good one, and nobody's fault.
            signature = await self._small(holder, LIMITS, entry.sha256.hex())
            verdict = await self.keyring().verify(
                transfer.incoming.fileno(), signature, peer=holder.label
            )
            if verdict is Verdict.GOOD:
                return signature
            if verdict is Verdict.BAD:
                self._reporter.contradicted(entry.file_name + ".sig", [holder])
            raise Contradicted(holder.label, f"has no good signature of {entry.file_name}")

        tries = [partial(ask, holder) for holder in (source, *others[:2])]
        try:
            return await first_good(self._reactor, tries, stagger=PEERS_STAGGER, patience=PEERS)
        except SourceError:
            return None

    async def of_held(self, entry: Entry, descriptor: int) -> bytes | None:
        """Return the signature of a package that lies here without one, None where there is none.

        Raises a SourceError.
        """
        embedded = entry.read_signature()
        if embedded is not None or self.is_unsigned(entry):
            return embedded
        servers = (
            *self._candidates.parents_for(entry, ""),
            *package_servers_for(self._pacman.configuration, entry.repository, ""),
        )
        now = self._reactor.seconds()
        mirrors = self._candidates.mirrors(entry.file_name, servers, now)
        return await self._from_mirrors(entry, mirrors, descriptor)

    def _mirrors(self, transfer: Transfer, entry: Entry) -> Sequence[Source]:
        """Return the mirrors that may have a signature.

        Of what is for other machines they are its package's: a repository may have this name here.
        """
        own = self._pacman.listing.find(entry.file_name)
        if not any(one.content == entry.content for one in own):
            return transfer.mirrors
        servers = (
            *self._candidates.parents_for(entry, ""),
            *package_servers_for(self._pacman.configuration, entry.repository, ""),
        )
        return self._candidates.mirrors(entry.file_name, servers, self._reactor.seconds())

    async def _mirrors_signature(self, transfer: Transfer, entry: Entry) -> bytes | None:
        """Return what a mirror has that does not plainly belong to something else.

        None where those that answer have none: one that may be dead is not waited for then.
        """
        mirrors = self._mirrors(transfer, entry)
        return await self._from_mirrors(entry, mirrors, transfer.incoming.fileno())

    async def _from_mirrors(
        self, entry: Entry, mirrors: Sequence[Source], descriptor: int
    ) -> bytes | None:
        name = entry.file_name
        now = self._reactor.seconds()
        failures: list[SourceError] = []

        async def ask(mirror: Source) -> bytes:
            try:
                signature = await self._small(mirror, LIMITS)
                verdict = await self.keyring().verify(descriptor, signature, size=entry.size)
                if verdict is Verdict.BAD:
                    raise Contradicted(mirror.label, f"has a wrong signature of {name}")
            except SourceError as failure:
                failures.append(failure)
                raise
            return signature

        alive = [one for one in mirrors if not self._standing.demoted(one.key, now)]
        tries = [partial(ask, mirror) for mirror in alive or mirrors]
        try:
            return await first_good(
                self._reactor,
                tries,
                stagger=stagger(len(tries)),
                patience=SIGNATURE_PATIENCE,
            )
        except SourceError as failure:
            if mirrors and len(failures) == len(tries) and all(map(is_missing, failures)):
                self.unsigned.note(entry, self._reactor.seconds())
                return None
            raise next((one for one in failures if not is_missing(one)), failure) from None

    async def _small(self, source: Source, limits: Limits, if_match: str | None = None) -> bytes:
        agent = self._agents.of(source)
        try:
            data, giver = await fetch_signature(
                agent, self._reactor, source, limits, most=LARGEST_SIGNATURE, if_match=if_match
            )
        except Refused as refused:
            self._reporter.refused(source, refused)
            raise
        self._traffic.take(giver.came, len(data))
        return data
