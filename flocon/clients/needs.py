"""What the face for machines without a node has answered elsewhere, as it sees it.

Types only, as those of ``faces.needs``. Who answers is put together in ``node``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from twisted.internet.defer import Deferred

    from flocon.faces.needs import Offering, Opening
    from flocon.files import Asked
    from flocon.mirrors.clients import Clients
    from flocon.pacman.entries import Entry
    from flocon.precedence import Precedence
    from flocon.states.generation import Generation, Where
    from flocon.states.states import States
    from flocon.transfers.transfer import Transfer
    from flocon.transfers.transfers import Transfers

    class ForClients(Protocol):
        """Fetches listed packages because machines without a node ask for them."""

        def coming(self, entry: Entry) -> Transfer | None:
            """Return what brings a listed package now, None where nothing does."""

        def transfer(
            self, asked: Asked, entry: Entry, client: str, *, looks: bool
        ) -> Awaitable[Transfer | None]:
            """Return what brings a listed package; None where ``client`` has too much coming."""

    class ClientSignatures(Protocol):
        def find(self, asked: Asked, entry: Entry) -> Awaitable[bytes | None]:
            """Return what the mirrors have for a package's signature; raise SourceError."""


@dataclass(frozen=True, slots=True)
class ForMirror:
    """What the face for machines without a node is given.

    ``layouts`` returns those of other tools' paths, ``allows`` tells whether a repository is for
    others, ``is_ambiguous`` whether several packages have a name. ``asked_for`` is told of each
    package of a state that a client, by its address, asks for. ``with_files`` returns a state with
    the list of files of a repository, None where it cannot be had; that may take long. ``judged``
    waits, briefly, until it is known whether a package is held: a mirror may not have it any more.
    """

    reactor: Any
    states: States
    clients: Clients
    offering: Offering
    opening: Opening
    transfers: Transfers
    for_clients: ForClients
    signatures: ClientSignatures
    precedence: Precedence
    layouts: Callable[[], Mapping[str, str]]
    allows: Callable[[str], bool]
    asked_for: Callable[[str, Where, Entry], None]
    is_ambiguous: Callable[[str], bool]
    with_files: Callable[[Generation, Where], Deferred[Generation | None]]
    judged: Callable[[str], Awaitable[None]]
