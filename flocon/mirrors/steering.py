"""What a person says to the mirror for the LAN, and is told of it: words in, a sentence out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.errors import MirrorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from flocon.mirrors.wanting import Wanting

    class Steered(Protocol):
        """The mirror, as far as a person has a say."""

        @property
        def serves(self) -> bool: ...

        @property
        def wanting(self) -> Wanting | None: ...

        async def refresh(self) -> str: ...

        def describe(self) -> dict[str, Any]: ...


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
            case ["want", *names]:
                return await self._wanting().want(names)
            case ["unwant", *names]:
                return await self._wanting().unwant(names)
        raise MirrorError("this is nothing that the mirror can do", "see 'flocon mirror --help'")

    async def snapshot(self, words: list[str]) -> str:
        """Do what ``/snapshot/...`` says."""
        self._demand_mirror()
        raise MirrorError("this is nothing of a snapshot", "see 'flocon snapshot --help'")

    def _wanting(self) -> Wanting:
        if self._mirror.wanting is None:
            raise MirrorError("the mirror has not begun yet", "try again in a moment")
        return self._mirror.wanting

    def _demand_mirror(self) -> None:
        if not self._mirror.serves:
            problem = "this node is no mirror for the LAN"
            raise MirrorError(problem, "set serve = true in [mirror] of flocon.toml, and restart")
