"""What a person says to the mirror for the LAN, and is told of it: words in, a sentence out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.errors import FloconError, MirrorError
from flocon.snapshots.whereabouts import tell

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Protocol

    from flocon.mirrors.repositories import Repositories
    from flocon.snapshots.snapshots import Snapshots
    from flocon.states.states import States
    from flocon.wanted.wanting import Wanting

    class Steered(Protocol):
        """The mirror, as far as a person has a say."""

        @property
        def wanting(self) -> Wanting | None: ...

        async def refresh(self) -> str: ...

        async def clean(self, *, dry: bool) -> str: ...
        @property
        def snapshots(self) -> Snapshots: ...

        def describe(self) -> dict[str, Any]: ...

        @property
        def states(self) -> States: ...

        @property
        def repositories(self) -> Repositories: ...

        async def take_in(self, name: str, port: int, word: str) -> str: ...


_MOST_PORT = 65_535


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text[:9]) <= _MOST_PORT


class Steering:
    """Takes the words of ``POST /mirror/...`` and ``/snapshot/...``; raises MirrorError."""

    def __init__(self, mirror: Steered) -> None:
        self._mirror = mirror

    async def described(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """Answer ``/mirror.json``."""
        return self._mirror.describe()

    async def steer(self, words: list[str]) -> str:
        """Do what ``/mirror/...`` says."""
        match words:
            case ["refresh"]:
                return await self._mirror.refresh()
            case ["clean"]:
                return await self._mirror.clean(dry=False)
            case ["clean", "dry-run"]:
                return await self._mirror.clean(dry=True)
            case ["want", *names]:
                return await self._wanting().want(names)
            case ["unwant", *names]:
                return await self._wanting().unwant(names)
        raise MirrorError("this is nothing that the mirror can do", "see 'flocon mirror --help'")

    async def snapshot(self, words: list[str]) -> str:
        """Do what ``/snapshot/...`` says.

        ``take[/NAME[/of/STATE | /dated/DAY]]``, ``use/STATE[/longer]``, ``drop/NAME``,
        ``import/NAME/PORT/WORD`` (see ``importing``). An empty
        NAME is the node's to choose.
        """
        snapshots = self._mirror.snapshots
        match words:
            case ["take"]:
                return await snapshots.take()
            case ["take", name]:
                return await snapshots.take(name)
            case ["take", name, "of", state]:
                return await snapshots.take(name, state)
            case ["take", name, "dated", day]:
                return await snapshots.take_day(day, name)
            case ["use", state]:
                return await snapshots.use(state)
            case ["use", state, "longer"]:
                return await snapshots.use(state, longer=True)
            case ["drop", name]:
                return await snapshots.drop(name)
            case ["import", name, port, word] if _is_port(port):
                return await self._mirror.take_in(name, int(port), word)
        raise MirrorError("this is nothing of a snapshot", "see 'flocon snapshot --help'")

    async def snapshots(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """Answer ``/snapshots.json``; ``refused`` says why there is nothing to tell, else ""."""
        return await self._told(self._describe)

    async def difference(self, fields: Mapping[str, str]) -> dict[str, Any] | None:
        """Answer ``/snapshots/diff.json?before=STATE&after=STATE``."""
        match dict(fields):
            case {"before": before, "after": after}:
                return await self._told(lambda: self._mirror.snapshots.compare(before, after))
        return None

    async def _describe(self) -> dict[str, Any]:
        return self._mirror.snapshots.describe()

    async def _told(self, tell: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        try:
            return {"refused": "", **await tell()}
        except FloconError as error:
            return {"refused": str(error)}

    def _wanting(self) -> Wanting:
        if self._mirror.wanting is None:
            raise MirrorError("the mirror has not begun yet", "try again in a moment")
        return self._mirror.wanting

    async def generation(self, fields: Mapping[str, str]) -> dict[str, Any]:
        """Answer ``/generation.json?name=STATE``."""
        mirror = self._mirror
        return tell(mirror.states, mirror.snapshots, mirror.repositories.order(), fields)

    def questions(self) -> dict[str, Callable[[Mapping[str, str]], Awaitable[Any]]]:
        """Return what can be asked about the mirror and its states, by path."""
        return {
            "/mirror.json": self.described,
            "/snapshots.json": self.snapshots,
            "/snapshots/diff.json": self.difference,
            "/generation.json": self.generation,
        }
