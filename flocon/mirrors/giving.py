"""What other nodes are given of the LAN's state: what is told of it, and its files.

Whoever follows this node learns which generation is published, and then asks for that one's files,
also if there is a later one by then. Of private repositories nobody hears.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.databases import lan_state
from flocon.databases.lan_state import LanState, StateFile
from flocon.errors import StoreError
from flocon.log import logger
from flocon.states.generation import Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from flocon.states.generation import DatabaseFiles, Generation, Piece
    from flocon.states.publication import Published
    from flocon.states.states import States
    from flocon.store.folder import Opened


class Giving:
    """Gives what ``states`` publish, but for repositories that are ``private``.

    ``with_files`` brings the list of files of a repository for a state, see ``Mirror.with_files``.
    """

    _log = logger()

    def __init__(
        self,
        states: States,
        private: Callable[[str], bool],
        with_files: Callable[[Generation, Where], Deferred[Generation | None]],
    ) -> None:
        self._states = states
        self._private = private
        self._with_files = with_files
        #: What is told, as of what is published and what of that is private.
        self._told: tuple[Generation, Published, LanState, bytes] | None = None

    def state(self) -> LanState | None:
        """Return the state that is published, None where there is none."""
        told = self._now()
        return None if told is None else told[0]

    def told(self) -> bytes | None:
        """Return what other nodes are told of it."""
        told = self._now()
        return None if told is None else told[1]

    def _now(self) -> tuple[LanState, bytes] | None:
        published = self._states.published
        if published is None:
            return None
        generation, since = published
        known = self._told
        # A generation may get lists of files later.
        if known is None or known[0] is not generation or known[1] != since:
            state = self._describe(generation, since)
            known = self._told = generation, since, state, lan_state.dump(state)
        return known[2], known[3]

    def forget(self) -> None:
        """Tell anew what is told: others may be private now."""
        self._told = None

    def _describe(self, generation: Generation, published: Published) -> LanState:
        files = {
            (where.architecture, name): StateFile(piece.sha256, piece.size)
            for where, one in generation.databases.items()
            if not self._private(where.repository)
            for name, piece in _named(where, one)
        }
        return LanState(generation.identity, published.since, generation.age_from, files)

    async def open(self, identity: str, architecture: str, file_name: str) -> Opened:
        """Open a file of a generation that is or was lately published; raises StoreError.

        It is dated by when that was published last.
        """
        given = [one for one in self._states.state.published if one.identity == identity]
        generation = self._states.find(identity) if given else None
        piece = None if generation is None else self._piece(generation, architecture, file_name)
        if piece is None:
            raise StoreError(file_name, "it is of no state that is given out")
        opened = await self._states.open_piece(piece)
        opened.modified = float(given[-1].since)
        return opened

    def _piece(self, generation: Generation, architecture: str, file_name: str) -> Piece | None:
        repository = file_name.removesuffix(".sig").rpartition(".")[0]
        where = Where(architecture, repository)
        one = generation.databases.get(where)
        if one is None or self._private(repository):
            return None
        if one.files is None and file_name == f"{repository}.files":
            # Told of once it is here: who asks comes again, and has mirrors until then.
            self._with_files(generation, where).addErrback(self._failed)
            return None
        return dict(_named(where, one)).get(file_name)

    def _failed(self, reason: Failure) -> None:
        self._log.failure("a list of files was not fetched", reason)


def _named(where: Where, files: DatabaseFiles) -> Iterator[tuple[str, Piece]]:
    """Yield the files of a database by the names under which pacman asks for them."""
    for suffix, piece in (
        ("db", files.database),
        ("db.sig", files.signature),
        ("files", files.files),
        ("files.sig", files.files_signature),
    ):
        if piece is not None:
            yield f"{where.repository}.{suffix}", piece
