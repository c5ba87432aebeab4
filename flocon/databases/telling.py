"""Which state the followed node tells of: who that is, what it says, and what is wrong with it.

One run of pacman is given one state, also if there is another one while it asks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.web import http

from flocon.asking.attempts import Limits
from flocon.asking.fetch import Wanted
from flocon.asking.small import fetch_small
from flocon.databases import following
from flocon.databases.following import Place
from flocon.databases.lan_state import LARGEST_TEXT, load
from flocon.errors import Refused, SourceError
from flocon.settings.settings import LAN_PORT
from flocon.sources.places import state_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Protocol

    from flocon.databases.lan_state import LanState
    from flocon.neighbours.neighbourhood import Neighbourhood
    from flocon.store.folder import Opened

    class OwnState(Protocol):
        """The state that this node itself gives to the LAN."""

        def state(self) -> LanState | None:
            """Return it, None where this node gives none."""

        async def open(self, identity: str, architecture: str, file_name: str) -> Opened:
            """Open a file of it; raises StoreError."""


#: Seconds for which a node has its state told.
STATE_LIMITS = Limits(first_byte=2.0, stall=1.0)
#: Seconds for which one run of pacman goes on asking for databases.
ONE_RUN = 30.0
#: Seconds in which a node that was silent is not asked again.
SILENT = 5.0
#: Nodes that are named to a person.
MOST_NAMED = 8


@dataclass(slots=True)
class Told:
    """A state as it was told, when (the clock's seconds), and which files were asked for since."""

    place: Place
    state: LanState
    at: float
    asked: set[tuple[str, str]] = field(default_factory=set)


class Telling:
    """Asks for the state, by ``agent``; ``databases`` is that setting, as it is now.

    ``name`` is this node's own name, ``own`` returns what it gives the LAN itself, if it does.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        databases: Callable[[], str],
        name: Callable[[], str],
        agent: Any,
        neighbourhood: Neighbourhood,
        own: Callable[[], OwnState | None],
    ) -> None:
        self._reactor = reactor
        self._databases = databases
        self._name = name
        self._agent = agent
        self._neighbourhood = neighbourhood
        self.own = own
        self._lock = DeferredLock()
        self._told: Told | None = None
        #: The last one that was heard of.
        self.last: LanState | None = None
        self._silent: tuple[Place, float] | None = None
        #: Why the followed node gave nothing when it was asked last, "" where it did.
        self.problem = ""

    def places(self) -> Sequence[Place]:
        """Return the nodes that are meant; see ``following.meant``."""
        own = None if self._own_state() is None else Place(self._name())
        mirrors = self._neighbourhood.mirrors()
        return following.meant(self._databases(), mirrors, own, LAN_PORT)

    async def _place(self) -> Place | None:
        if not self.places():
            # A node that has just started has heard nobody yet.
            await self._neighbourhood.acquainted()
        return following.followed(self._databases(), self.places())

    def describe(self) -> dict[str, Any]:
        """Return whose state is followed, and of when the last one is that was heard of.

        ``named`` is the one that is to be followed, ``node`` the one that is, each "" for none;
        ``of`` and ``since`` are seconds since 1970, None where nothing was heard yet.
        """
        databases = self._databases()
        place = following.followed(databases, self.places())
        last = self._own_state() if place is not None and place.is_own else self.last
        return {
            "named": following.named(databases),
            "node": "" if place is None else str(place),
            "of": None if last is None else last.of,
            "since": None if last is None else last.since,
        }

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what is wrong with whom is followed, as the doctor's ``tellers`` do."""
        databases = self._databases()
        name, places = following.named(databases), self.places()
        told = ", ".join(map(str, places[:MOST_NAMED]))
        wrong, problem = True, ""
        if not following.follows(databases):
            return
        if len(places) > 1:
            wrong = bool(name)
            problem = (
                f"several nodes are called {name}, and none of them is followed: {told}"
                if name
                else f"several nodes give the LAN a state of databases: {told}; {places[0]} is"
                " followed"
            )
            remedy = 'write the address of one into flocon.toml: databases = "node:ADDRESS"'
        elif name and not places:
            problem = (
                f"no node called {name} is here that gives the LAN a state of databases, so"
                " pacman's stay as they are"
            )
            remedy = f"start flocon on {name}, with serve = true in [mirror] of its flocon.toml"
        elif places and self.problem:
            problem = f"{places[0]} gives no databases: {self.problem}"
            remedy = f"look there with 'flocon doctor', and at [mirror] in {name}'s flocon.toml"
        if problem:
            yield {"check": "databases", "wrong": wrong, "reason": problem, "remedy": remedy}

    def state(self, key: tuple[str, str], patience: float) -> Deferred[Told | None]:
        """Return the state of which this run of pacman is given a file, by architecture and name.

        None where nobody tells of one within ``patience`` seconds.
        """
        asking: Deferred[Told | None] = self._lock.run(
            lambda: Deferred.fromCoroutine(self._state(key))
        )
        return asking.addTimeout(patience, self._reactor, lambda *_: None)

    def distrust(self) -> None:
        """Have the state read anew: what it was said to have cannot be had."""
        self._told = None

    async def _state(self, key: tuple[str, str]) -> Told | None:
        place = await self._place()
        if place is None:
            return None
        now, told = self._reactor.seconds(), self._told
        if told is None or told.place != place or key in told.asked or now - told.at > ONE_RUN:
            state = self._own_state() if place.is_own else await self._ask(place)
            told = self._told = None if state is None else Told(place, state, now)
        if told is not None and key in told.state.files:
            told.asked.add(key)
        return told

    def _own_state(self) -> LanState | None:
        own = self.own()
        return None if own is None else own.state()

    async def _ask(self, place: Place) -> LanState | None:
        now = self._reactor.seconds()
        if self._silent is not None and self._silent[0] == place and now < self._silent[1]:
            return None
        wanted = Wanted(state_url(place.address, place.port), place.address)
        problem = "what it says of its state is no state"
        state = None
        try:
            text = await fetch_small(self._agent, self._reactor, wanted, STATE_LIMITS, LARGEST_TEXT)
            state = load(text)
        except Refused as error:
            problem = "it has none yet" if error.status == http.NOT_FOUND else str(error)
        except SourceError as error:
            problem = str(error)
        self.last = state or self.last
        self.problem = "" if state is not None else problem[:200]
        self._silent = None if state is not None else (place, self._reactor.seconds() + SILENT)
        return state
