"""What a person says to the mirror for the LAN, and is told of it: words in, a sentence out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flocon.errors import MirrorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    class Steered(Protocol):
        """The mirror, as far as a person has a say."""

        @property
        def serves(self) -> bool: ...

        @property
        def problem(self) -> str: ...

        async def refresh(self) -> None: ...

        def describe(self) -> dict[str, Any]: ...

        async def take_in(self, name: str, port: int, word: str) -> str: ...


#: What a snapshot is called: a file's name, and no option's, path's or state's.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_RESERVED = frozenset({"latest", "now"})
_MOST_PORT = 65_535


def is_name(text: str) -> bool:
    """Whether a snapshot can be called so."""
    return _NAME.fullmatch(text) is not None and text not in _RESERVED


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
                await self._mirror.refresh()
                if self._mirror.problem:
                    raise MirrorError(self._mirror.problem, "")
                return "the mirror's databases are read"
        raise MirrorError("this is nothing that the mirror can do", "see 'flocon mirror --help'")

    async def snapshot(self, words: list[str]) -> str:
        """Do what ``/snapshot/...`` says."""
        self._demand_mirror()
        match words:
            case ["import", name, port, word] if _is_port(port) and is_name(name):
                return await self._mirror.take_in(name, int(port), word)
        raise MirrorError("this is nothing of a snapshot", "see 'flocon snapshot --help'")

    def _demand_mirror(self) -> None:
        if not self._mirror.serves:
            problem = "this node is no mirror for the LAN"
            raise MirrorError(problem, "set serve = true in [mirror] of flocon.toml, and restart")
