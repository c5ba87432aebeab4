"""What stands in the place of the mirror, or of the keeper of builds, on a node that has none.

It knows nothing and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.errors import BuildError, MirrorError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from flocon.machine.links import Link
    from flocon.settings.settings import Settings


#: What ``/builds.json`` says where nothing is built.
NOTHING: Mapping[str, Any] = {
    "used": False,
    "problem": "",
    "polled": 0.0,
    "next_poll": 0.0,
    "metered": False,
    "repository": "",
    "running": None,
    "waiting": 0,
    "watched": [],
}


class Unmirrored:
    """Is asked and told what ``Mirroring`` is, and has none of it."""

    services = ()
    mirror = site = giving = None
    gives = False

    def questions(self) -> dict[str, Callable[[Mapping[str, str]], Awaitable[Any]]]:
        """Return the answers to what is asked about a mirror, by path."""
        refused = {"refused": str(_none())}
        problem = "this node is no mirror for the LAN; ask where that runs"
        return {
            "/mirror.json": _always({"serves": False, "problem": ""}),
            "/snapshots.json": _always(refused),
            "/snapshots/diff.json": _always(refused),
            "/generation.json": _always({"problem": problem}),
        }

    def commands(self) -> dict[str, Callable[[list[str]], Awaitable[str]]]:
        """Return what refuses the words of a person, by the first one."""
        return {"mirror": _refuse, "snapshot": _refuse}

    def status(self) -> None:
        """Say nothing in ``/status.json``."""

    def tell(self) -> tuple[()]:
        return ()

    def held(self) -> None:
        """Nothing is wanted here."""

    def allow(self, *, metered: bool) -> None:
        """Nothing is read here."""

    def settings_changed(self, old: Settings, settings: Settings) -> None:
        """Nothing is done by them here; to become a mirror needs a restart."""

    def links_changed(self, links: tuple[Link, ...]) -> None:
        """Nobody is let in here."""

    def stop(self) -> None:
        """Nothing runs here."""


class Unbuilding:
    """Is asked and told what ``Building`` is, and has none of it."""

    services = ()
    keeper = None

    def questions(self) -> dict[str, Callable[[Mapping[str, str]], Awaitable[Any]]]:
        """Return the answers to what is asked about builds, by path."""
        return {"/builds.json": _nothing}

    async def steer(self, words: list[str], who: str, body: bytes = b"") -> str:
        """Refuse the words of a person."""
        problem = "this node builds nothing"
        remedy = (
            "'systemctl enable --now flocon-sign.socket flocon-build.socket' starts what signs and"
            " builds; then restart the node"
        )
        raise BuildError(problem, remedy)

    def status(self) -> None:
        """Say nothing in ``/status.json``."""

    def tell(self) -> tuple[()]:
        return ()

    def allow(self, *, metered: bool) -> None:
        """Nothing is asked for here."""

    def settings_changed(self, old: Settings, settings: Settings) -> None:
        """Nothing is done by them here; to build something needs a restart."""

    def stop(self) -> None:
        """Nothing runs here."""


def _none() -> MirrorError:
    problem = "this node is no mirror for the LAN"
    return MirrorError(problem, "set serve = true in [mirror] of flocon.toml, and restart")


def _always(told: dict[str, Any]) -> Callable[[Mapping[str, str]], Awaitable[dict[str, Any]]]:
    async def answer(_: Mapping[str, str]) -> dict[str, Any]:
        return dict(told)

    return answer


async def _refuse(_: list[str]) -> str:
    raise _none()


async def _nothing(_: Mapping[str, str]) -> dict[str, Any]:
    return dict(NOTHING)
