"""What stands for own repositories on every node: next to nothing, until there is one.

There is one once this machine's operator trusts its keys, or its signer publishes it. Then
``joined`` is made, also while the node runs.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet import defer

from flocon.errors import RepositoryError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from twisted.internet.defer import Deferred

    from flocon.holdings.inventory import Change
    from flocon.joined.giving import Giving
    from flocon.node.joined import Joined
    from flocon.node.parts import Parts
    from flocon.pacman.entries import Entry


class Joining(Service):
    """Has the own repositories; ``parts`` are complete once it is started."""

    def __init__(self, reactor: Any, parts: Parts) -> None:
        self._reactor = reactor
        self._parts = parts
        self._joined: Joined | None = None

    def startService(self) -> None:
        super().startService()
        self.look()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return defer.succeed(None) if self._joined is None else self._joined.stop()

    def look(self) -> Deferred[None]:
        """Look whose keys are trusted now, and what is published; fires when that is known."""
        repo = self._parts.settings.repo
        if not self.running or (self._joined is None and not _is_any(repo.keys, repo.published)):
            return defer.succeed(None)
        if self._joined is None:
            from flocon.node.joined import Joined  # noqa: PLC0415 - by few nodes alone

            self._joined = Joined(self._reactor, self._parts)
            self._joined.start()
        return self._joined.look()

    # What others ask it

    @property
    def giving(self) -> Giving | None:
        """What gives own repositories to peers, None where there are none."""
        return None if self._joined is None else self._joined.giving

    @property
    def publishes(self) -> bool:
        """Whether this machine makes one."""
        return bool(self.folders)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the packages lie that this machine's signer publishes."""
        return () if self._joined is None else self._joined.folders()

    def listed(self, name: str) -> Mapping[str, Entry] | None:
        """Return what the newest generation of a repository lists, by file name; None for none."""
        return None if self._joined is None else self._joined.listed(name)

    def describe(self) -> list[dict[str, Any]]:
        """Return how each stands, see ``joined.telling``."""
        return [] if self._joined is None else self._joined.describe()

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of them."""
        if self._joined is not None:
            yield from self._joined.tell()

    def questions(self) -> dict[str, Callable[[Mapping[str, str]], Awaitable[Any]]]:
        return {"/own.json": self._answer}

    async def _answer(self, fields: Mapping[str, str]) -> dict[str, Any]:
        from flocon.joined.finding import find_keys, heard  # noqa: PLC0415 - seldom asked

        peers = self._parts.neighbourhood.proved()
        answer: dict[str, Any] = {"repositories": self.describe(), "heard": heard(peers)}
        answer["refused"] = {} if self._joined is None else self._joined.refused()
        name = fields.get("name")
        if name is not None:
            await self._parts.neighbourhood.acquainted()
            peers = self._parts.neighbourhood.proved()
            agent = self._parts.desk.agents.peers
            here = [] if self._joined is None else self._joined.keys_of(name)
            answer["found"] = [*here, *await find_keys(self._reactor, agent, peers, name)]
        return answer

    def commands(self) -> dict[str, Callable[[list[str]], Awaitable[str]]]:
        """Return what a person can have it do, by the first word."""
        return {"repo": self._steer}

    async def _steer(self, words: list[str]) -> str:
        if words != ["look"]:
            raise RepositoryError("the node knows no such word of own repositories", "say look")
        await self.look()
        names = [one["name"] for one in self.describe()]
        return f"own repositories here: {', '.join(names)}" if names else "none is trusted here"

    # What it is told

    def held(self, changes: Iterable[Change]) -> None:
        """Learn what came to be held here, or is no more."""
        if self._joined is not None:
            self._joined.copies.held(changes)

    def allow(self, *, metered: bool) -> None:
        """Keep copies of packages, or rest while each byte costs."""
        if self._joined is not None:
            self._joined.copies.allow(free=not metered)

    def settings_changed(self) -> None:
        """Look anew: keys may have come with other settings, and others may be private."""
        self.look()
        if self._joined is not None:
            self._joined.changed()


def _is_any(keys: Path, published: Path) -> bool:
    """Whether there may be a repository: files of keys, or what a signer published."""
    for folder, ending in ((keys, ".gpg"), (published, "")):
        with suppress(OSError), os.scandir(folder) as entries:
            if any(one.name.endswith(ending) for one in entries):
                return True
    return False
