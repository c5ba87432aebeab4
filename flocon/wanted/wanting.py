"""What the LAN wants of its mirror, put together: what is remembered of it, and what brings it.

Who asks says so here: a client by its request, a person by a word. What brings packages is imported
where this node is a mirror.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import succeed

from flocon.errors import MirrorError
from flocon.files import is_package_name
from flocon.machine.reactor_threads import in_thread
from flocon.machine.remember import Notebook, recall
from flocon.machine.threads import Delay
from flocon.states.archive import FOLDER
from flocon.wanted.requests import Requests, Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from twisted.internet.defer import Deferred

    from flocon.ahead.coming import Means
    from flocon.pacman.watch import PacmanWatch
    from flocon.settings.settings import Mirror as MirrorSettings
    from flocon.states.archive import Archive
    from flocon.states.generation import Where
    from flocon.states.states import States
    from flocon.wanted.fetching import Fetching

#: What was asked for, and is wanted by hand: in STORE/mirror.
REQUESTS_FILE = "requests.json"
#: Seconds for which that is collected before it is written.
WRITE_AFTER = 30.0
#: Names that a sentence tells.
MOST_TOLD = 8


class Wanting:
    """``store`` is the store's folder, ``most`` how many bytes it may have.

    ``arrived`` is called when something of what is wanted may be here now.
    """

    def __init__(
        self,
        reactor: Any,
        means: Means,
        *,
        settings: Callable[[], MirrorSettings],
        mirrored: Callable[[], Sequence[Where]],
        store: Path,
        most: int,
        states: States,
        archive: Archive,
        pacman: PacmanWatch,
        arrived: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._means = means
        self._settings = settings
        self._mirrored = mirrored
        self._path = store / FOLDER / REQUESTS_FILE
        self._most = most
        self._states = states
        self._archive = archive
        self._pacman = pacman
        self._arrived = arrived
        self._notes = Notebook(reactor, self._path)
        self._writing = Delay(reactor, self._remember)
        #: Whether the link costs nothing.
        self._free = False
        self.requests = Requests(self._unused)
        self._fetching: Fetching | None = None

    def _unused(self) -> float:
        return self._settings().unused

    async def open(self) -> None:
        """Recall what was wanted, and begin to bring it."""
        from flocon.wanted.fetching import Fetching  # noqa: PLC0415 - where there is a mirror

        remembered = await in_thread(self._reactor, recall, self._path)
        self.requests = Requests(self._unused, remembered)
        self.requests.changed = lambda: self._writing.begin(WRITE_AFTER)
        self._fetching = Fetching(
            self._reactor,
            self._means,
            states=self._states,
            archive=self._archive,
            pacman=self._pacman,
            requests=self.requests,
            mirrored=self._mirrored,
            pins=lambda: (*self._settings().pins, *self.requests.by_hand),
            most=self._most,
            arrived=self._arrived,
        )
        self._fetching.start(free=self._free)
        self.changed()

    def stop(self) -> Deferred[None]:
        """Bring nothing more, and remember what is wanted."""
        self._writing.stop()
        if self._fetching is None:
            return succeed(None)
        self._fetching.stop()
        self._fetching = None
        return self._notes.write(self.requests.dump())

    def _remember(self) -> None:
        self._notes.write(self.requests.dump())

    def allow(self, *, free: bool) -> None:
        """Learn whether the link costs nothing: otherwise nothing is brought."""
        self._free = free
        if self._fetching is not None:
            self._fetching.allow(free=free)

    def changed(self) -> None:
        """Learn that there is another state, or that something else is wanted."""
        if self._fetching is not None:
            self._fetching.wake()

    def held(self) -> None:
        """Learn that what is held here is not what it was."""
        if self._fetching is not None:
            self._fetching.held()

    def asked(self, client: str, where: Where, name: str) -> None:
        """Note that a client without a node asked for a package that a state lists."""
        scope = Scope(where.architecture, (where.repository,))
        self.requests.ask(client, scope, name, time.time())

    def is_complete(self, identity: str) -> bool:
        """Whether all that is wanted of a generation is here, as far as there is room for it."""
        return self._fetching is not None and self._fetching.is_complete(identity)

    # What a person says

    async def want(self, names: Sequence[str]) -> str:
        """Want packages and groups from now on; return a sentence, or raise MirrorError."""
        fetching = self._demand(names)
        published = self._states.published
        if published is not None:
            unknown = (await fetching.choose(published[0], names)).unknown
            if unknown:
                problem = f"the LAN's state has no package or group called {_told(sorted(unknown))}"
                raise MirrorError(problem, "'pacman -Ss WORD' finds what there is")
        taken = self.requests.want(names)
        left = [name for name in names if name not in taken]
        forgotten = await self._remember_now()
        if left:
            remedy = "let go of some by 'flocon mirror unwant NAME'"
            raise MirrorError(f"there is no room to remember {_told(left)}", remedy)
        return f"wanted from now on, whoever asks: {_told(taken)}{forgotten}"

    async def unwant(self, names: Sequence[str]) -> str:
        """Want these no more for their own sake; return a sentence, or raise MirrorError."""
        self._demand(names)
        pinned = [name for name in names if name in self._settings().pins]
        gone = self.requests.unwant(names)
        forgotten = await self._remember_now()
        if pinned:
            problem = f"flocon.toml wants {_told(pinned)}"
            raise MirrorError(problem, "take that out of pins in [mirror], and reload")
        if not gone:
            problem = f"nobody has said that {_told(names)} is wanted"
            raise MirrorError(problem, "'flocon mirror status' lists what is wanted by hand")
        return f"not wanted by hand any more: {_told(gone)}{forgotten}"

    async def _remember_now(self) -> str:
        """Write down what is wanted; return what is to be said where that could not be done."""
        await self._notes.write(self.requests.dump())
        self.changed()
        if not self._notes.failed:
            return ""
        return f"; that is forgotten at the next start, as {self._path} could not be written"

    def _demand(self, names: Sequence[str]) -> Fetching:
        wrong = [name for name in names if not is_package_name(name)]
        if wrong or not names:
            problem = f"{wrong[0]!r} is no package's name" if wrong else "no package is named"
            raise MirrorError(problem, "name packages or groups as pacman does")
        if self._fetching is None:
            raise MirrorError("the mirror has not begun yet", "try again in a moment")
        return self._fetching

    def describe(self) -> dict[str, Any]:
        """Return what ``/mirror.json`` says of it."""
        fetching = self._fetching
        known = {} if fetching is None else fetching.describe()
        return {
            "by_hand": list(self.requests.by_hand),
            "pins": list(self._settings().pins),
            "remembered": len(self.requests),
            "overflowed": self.requests.overflowed,
            **known,
        }


def _told(names: Sequence[str]) -> str:
    left = len(names) - MOST_TOLD
    more = f" and {left} more" if left > 0 else ""
    return ", ".join(names[:MOST_TOLD]) + more
