"""What the faces have answered elsewhere: the parts that they are given, as they see them.

Types only. Who answers is put together in ``parts``; what is made of an answer is each face's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from twisted.internet.defer import Deferred

    from flocon.answering.held import Opened
    from flocon.asking.heads import Told
    from flocon.asking.source import Source
    from flocon.books.traffic import Traffic
    from flocon.databases.given import Given
    from flocon.files import Asked, Content
    from flocon.holdings.inventory import Inventory
    from flocon.machine.shares import Crowd
    from flocon.pacman.entries import Entry
    from flocon.pacman.privacy import Privacy
    from flocon.precedence import Precedence
    from flocon.transfers.transfer import Transfer
    from flocon.transfers.transfers import Transfers

    class Found(Protocol):
        """A held file as found by name; ``file_name`` is what it is called where it lies."""

        @property
        def file_name(self) -> str: ...

        @property
        def content(self) -> Content: ...

        @property
        def origin(self) -> str: ...

    class Offering(Protocol):
        """What this node holds."""

        @property
        def inventory(self) -> Inventory:
            """What others are told of."""

        def find(self, file_name: str, content: Content | None = None) -> Found | None:
            """Return the file, of this content if it is given, if it is held here."""

    class Opening(Protocol):
        def open(
            self, held: Any, *, signature: bool = False, own: bool = True
        ) -> Awaitable[Opened]:
            """Open a held file or its signature; raise StoreError if it is gone."""

        def read_at_once(
            self, held: Any, *, signature: bool, own: bool = True
        ) -> tuple[bytes, float] | None:
            """Return its bytes and its mtime, if it is small and no disk is needed to open it."""

    class Listed(Protocol):
        """What pacman's databases and configuration say."""

        def is_settled(self) -> bool:
            """Whether the sync databases are read as they are on disk."""

        def settled(self) -> Deferred[None]:
            """Wait, briefly, until the sync databases are read as they are on disk."""

        def acquainted(self, entry: Entry | None) -> Deferred[None]:
            """Wait, briefly and after the start alone, until it is known who holds a package."""

        def entry(self, asked: Asked) -> Entry | None:
            """Return what the sync database says of a package, None where it is not listed."""

        def has_others(self, repository: str) -> bool:
            """Whether pacman has servers for a repository that only pacman can ask."""

    class Packages(Protocol):
        @property
        def asked_for(self) -> Callable[[Entry], None]:
            """Is told of each listed package that pacman asks for."""

        def transfer(
            self, asked: Asked, entry: Entry | None, start: int, user: int | None
        ) -> Transfer | None:
            """Return what brings a package; None where a local user has too much coming."""

    class Redirecting(Protocol):
        """Sends pacman to holders."""

        @property
        def wanted(self) -> Callable[[], bool]:
            """Tells whether pacman may be sent to a holder."""

        def elsewhere(self, entry: Entry) -> Deferred[Source | None]:
            """Return the holder that pacman is to take a package from; None to bring it here."""

        def arrived(self, file_name: str) -> None:
            """Learn that pacman asks for the signature of a package, which it has then."""

    class Signatures(Protocol):
        def is_unsigned(self, entry: Entry) -> bool:
            """Whether the mirrors have just said that they have no signature of a package."""

    class FromMirrors(Protocol):
        """Answers from mirrors alone."""

        def transfer(self, asked: Asked, modified_since: str | None) -> Transfer:
            """Return a transfer of this very file from the mirrors, kept by nobody."""

        def told(self, asked: Asked, modified_since: str | None) -> Deferred[Told]:
            """Return what a mirror says of a file without sending it."""

    class Databases(Protocol):
        def transfer(self, asked: Asked, modified_since: str | None) -> Deferred[Transfer | Given]:
            """Return the transfer of a database or its signature; or the signature itself.

            Or what is given of the state that is followed.
            """

    class OwnDatabases(Protocol):
        def open(self, file_name: str) -> Opened:
            """Open a sync database; raise StoreError where there is none, or none is shared."""

    class LanStates(Protocol):
        """The state of all databases that this node gives to the LAN."""

        def told(self) -> bytes | None:
            """Return what peers are told of it, None where this node gives none."""

        async def open(self, identity: str, architecture: str, file_name: str) -> Opened:
            """Open a file of a state that is or was given out; raise StoreError."""

    class OwnRepositories(Protocol):
        """The own repositories of this LAN, as far as they are here and for others."""

        def told(self, name: str) -> bytes | None:
            """Return what peers are told of the newest generation, None where there is none."""

        def key(self, name: str) -> bytes | None:
            """Return the public keys that are trusted for it."""

        async def open(self, name: str, sequence: int, file_name: str) -> Opened:
            """Open a file of a generation that is given; raise StoreError."""

    class ForPeers(Protocol):
        """Fetches listed packages because peers ask for them."""

        def listed(self, asked: Asked, etag: str | None) -> tuple[Content, Transfer | None] | None:
            """Return what a peer would be relayed, and what brings it now; None where nothing."""

        def relay(
            self, asked: Asked, etag: str | None, asker: str, *, unhurried: bool = False
        ) -> Deferred[Transfer | None]:
            """Return what brings a listed package from this node's mirrors; None refuses."""

        def coming(self, asked: Asked, etag: str | None) -> Transfer | None:
            """Return what this node is fetching itself already; None where it is not."""

    class OwnNode(Protocol):
        @property
        def epoch(self) -> str:
            """What this node's inventory is of, now."""


@dataclass(frozen=True, slots=True)
class ForPacman:
    """What the face for pacman is given; ``status`` returns what ``/status.json`` says."""

    reactor: Any
    traffic: Traffic
    listed: Listed
    offering: Offering
    opening: Opening
    packages: Packages
    redirecting: Redirecting
    transfers: Transfers
    signatures: Signatures
    databases: Databases
    from_mirrors: FromMirrors
    precedence: Precedence
    status: Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Shelf:
    """What the face for peers is given: all that it may give away.

    ``crowd`` are those who are sent what nobody waits for; ``states`` is None where this node gives
    the LAN no state, and ``own_repositories`` returns None while there are none.
    """

    reactor: Any
    traffic: Traffic
    own: OwnNode
    offering: Offering
    opening: Opening
    privacy: Privacy
    databases: OwnDatabases
    states: LanStates | None
    for_peers: ForPeers
    transfers: Transfers
    precedence: Precedence
    crowd: Crowd
    own_repositories: Callable[[], OwnRepositories | None] = lambda: None
