"""What a person says to the mirror for the LAN, and is told of it: words in, a sentence out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.errors import FloconError, MirrorError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Protocol

    from flocon.snapshots.snapshots import Snapshots
    from flocon.snapshots.whereabouts import Whereabouts
    from flocon.wanted.wanting import Wanting

    class Steered(Protocol):
        """The mirror, as far as a person has a say."""

        @property
        def serves(self) -> bool: ...

        @property
        def wanting(self) -> Wanting | None: ...

        async def refresh(self) -> str: ...

        async def clean(self, *, dry: bool) -> str: ...
        @property
        def snapshots(self) -> Snapshots: ...

        def describe(self) -> dict[str, Any]: ...

        @property
        def whereabouts(self) -> Callable[[], Whereabouts]: ...

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
        self._demand_mirror()
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
        self._demand_mirror()
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
            self._demand_mirror()
            return {"refused": "", **await tell()}
        except FloconError as error:
            return {"refused": str(error)}

    def _wanting(self) -> Wanting:
        if self._mirror.wanting is None:
            raise MirrorError("the mirror has not begun yet", "try again in a moment")
        return self._mirror.wanting

    def questions(self) -> dict[str, Callable[[Mapping[str, str]], Awaitable[Any]]]:
        """Return what can be asked about states and their packages, by path."""

        async def generation(fields: Mapping[str, str]) -> Any:
            if not self._mirror.serves:
                return {"problem": "this node is no mirror for the LAN; ask where that runs"}
            return await self._mirror.whereabouts().generation(fields)

        return {
            "/generation.json": generation,
            "/whereabouts.json": lambda fields: self._mirror.whereabouts().whereabouts(fields),
            "/names.json": lambda fields: self._mirror.whereabouts().names(fields),
        }

    def _demand_mirror(self) -> None:
        if not self._mirror.serves:
            problem = "this node is no mirror for the LAN"
            raise MirrorError(problem, "set serve = true in [mirror] of flocon.toml, and restart")
