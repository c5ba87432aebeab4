"""What a person says to the keeper, and is told: words in, a text out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flocon.builds.describing import line_of
from flocon.errors import BuildError

if TYPE_CHECKING:
    from typing import Protocol

    from flocon.builds.deciding import Deciding
    from flocon.builds.looking import Looking
    from flocon.jobs.book import Book
    from flocon.jobs.watched import Watched

    class Steered(Protocol):
        """The keeper, as far as a person has a say."""

        @property
        def book(self) -> Book: ...

        @property
        def looking(self) -> Looking: ...

        @property
        def deciding(self) -> Deciding: ...

        async def add(
            self, words: list[str], body: bytes, *, dry: bool
        ) -> list[tuple[Watched, str]]: ...

        async def check(self, bases: list[str]) -> str: ...


_LONGEST_NUMBER = 15


class Steering:
    """Takes the words of ``POST /build/...``; raises FloconError."""

    def __init__(self, keeper: Steered) -> None:
        self._keeper = keeper

    async def steer(self, words: list[str], who: str, body: bytes = b"") -> str:
        """Do what ``/build/...`` says, by the word of a user ``who``."""
        match words:
            case ["add" | "add-dry" as verb, *names]:
                added = await self._keeper.add(names, body, dry=verb == "add-dry")
                return "\n".join(line_of(one, said) for one, said in added)
            case ["check", *bases]:
                return await self._keeper.check([self._demand(base).base for base in bases])
            case ["look", base]:
                told = await self._keeper.looking.look(self._demand(base))
                return json.dumps(told)
            case ["diff", base]:
                return await self._keeper.looking.differences(self._demand(base))
            case ["log", base]:
                return await self._log(base, 0)
            case ["log", base, begin] if begin.isdecimal() and len(begin) <= _LONGEST_NUMBER:
                return await self._log(base, int(begin))
            case ["history", *bases] if len(bases) <= 1:
                base = bases[0] if bases else ""
                events = await self._keeper.deciding.history(base)
                return "\n".join(json.dumps(one, ensure_ascii=False) for one in events)
            case [verb, base, *rest]:
                return await self._decide(verb, self._demand(base), rest, who)
        raise _nothing()

    async def _decide(self, verb: str, one: Watched, rest: list[str], who: str) -> str:
        keeper = self._keeper.deciding
        match [verb, *rest]:
            case ["approve"]:
                return await keeper.approve(one, "", who)
            case ["approve", commit]:
                return await keeper.approve(one, commit, who)
            case ["reject"]:
                return await keeper.reject(one, "", who)
            case ["reject", commit]:
                return await keeper.reject(one, commit, who)
            case ["hold"]:
                return await keeper.hold(one, who)
            case ["hold", "off"]:
                return await keeper.release(one, who)
            case ["rebuild"]:
                return await keeper.rebuild(one, who)
            case ["cancel"]:
                return await keeper.cancel(one, who)
            case ["remove"]:
                return await keeper.remove(one, who)
        raise _nothing()

    async def _log(self, base: str, begin: int) -> str:
        head, text = await self._keeper.deciding.log(self._demand(base), begin)
        return f"{json.dumps(head)}\n{text}"

    def _demand(self, base: str) -> Watched:
        return self._keeper.book.demand(base)


def _nothing() -> BuildError:
    return BuildError("this is nothing that can be done with builds", "see 'flocon build --help'")
