"""What the doctor is told of the builder: that it cannot be asked, or lacks something here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from flocon.errors import BuildError
from flocon.jobs.builder import build

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Seconds in which it says what it can; systemd may have to start it first.
PATIENCE = 20.0
#: Seconds for which its answer is taken for true: each question may start a program.
LASTS = 3_600.0
MOST_SAID, LONGEST_SAID = 8, 400


class BuilderTold:
    """Asks the builder now and then, where the doctor looks; ``problems`` is what it said last."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._path = ""
        self._asked = 0.0
        self.problems: tuple[dict[str, Any], ...] = ()

    async def look(self, path: str) -> None:
        """Ask the builder at the socket ``path``, unless all was well there a little while ago.

        Where there is no socket nothing is asked: that is told without.
        """
        now = self._reactor.seconds()
        fresh = self._asked and now - self._asked < LASTS and not self.problems
        if path == self._path and fresh:
            return
        self._path, self._asked, self.problems = path, now, ()
        if _is_socket(path):
            self.problems = tuple(await self._ask(path))

    async def _ask(self, path: str) -> list[dict[str, Any]]:
        asking = build(
            self._reactor,
            path,
            {"do": "describe"},
            (),
            seconds=PATIENCE,
            log=lambda _: None,
            step=lambda _: None,
        )
        try:
            answer = await Deferred.fromCoroutine(asking).addTimeout(
                PATIENCE, self._reactor, _too_late
            )
        except BuildError as error:
            reason = f"the builder does not say what it can: {error.problem}"
            return [_warning(reason, error.remedy)]
        answer.close()
        return list(lacking(answer.values))


def _is_socket(path: str) -> bool:
    return Path(path).is_socket()


def lacking(said: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what the doctor is to tell of what a builder says of itself."""
    for one in _sentences(said.get("missing")):
        yield _warning(one, said.get("remedy", ""))
    for one in _sentences(said.get("lacks")):
        yield _warning(
            f"what is built here is not walled in as it could be: {one}",
            "see 'What a build may do' in docs/building.rst, or build on another machine",
        )


def _sentences(said: object) -> list[str]:
    """Return what may be shown: it is another program's word."""
    texts = [one for one in said if isinstance(one, str)] if isinstance(said, list) else []
    return [_plain(one) for one in texts[:MOST_SAID]]


def _plain(text: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in text[:LONGEST_SAID])


def _warning(reason: str, remedy: object) -> dict[str, Any]:
    said = _plain(remedy) if isinstance(remedy, str) else ""
    return {"check": "builds", "reason": reason, "remedy": said, "wrong": False}


def _too_late(_: Any, seconds: float) -> Any:
    raise BuildError(f"it is silent for {seconds:g} s", "'journalctl -u flocon-build' says why")
