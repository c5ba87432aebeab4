"""The keeper of builds, put together with a node; imported only where something may be built.

Elsewhere ``unmirrored`` has what stands in its place.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flocon.approving.notices import Notices
from flocon.aur.aur import Aur
from flocon.aur.git import git_environment
from flocon.aur.recipes import Recipes
from flocon.building.near import destinations
from flocon.builds import sayings
from flocon.builds.builder_told import BuilderTold
from flocon.builds.keeper import Keeper
from flocon.machine.endpoints import ports_of
from flocon.settings.defaults import host_name
from flocon.settings.settings import LOOPBACK_PORT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from twisted.application.service import Service

    from flocon.approving.pages import Approving
    from flocon.node.parts import Parts
    from flocon.settings.settings import Settings

#: Below the keeper's folder: what git has of recipes, and what a person was told.
GIT, TOLD = "git", "told.json"


class Building:
    """Has the keeper, who is told what waits, and pages on which to decide."""

    def __init__(self, reactor: Any, parts: Parts, settings: Settings) -> None:
        self._reactor = reactor
        self._parts = parts
        build = settings.build
        recipes = Recipes(
            reactor,
            build.state / GIT,
            aur=build.aur,
            copy=build.aur_copy,
            environment=git_environment(os.environ, settings.proxy),
            permit=self._permits,
        )
        self.keeper = keeper = Keeper(
            reactor,
            build=lambda: parts.reloading.settings.build,
            repo=lambda: parts.reloading.settings.repo,
            pacman=parts.pacman,
            aur=Aur(reactor, parts.desk.agents.mirrors, build.aur),
            git=recipes,
        )
        port = next(iter(ports_of(settings.loopback)), LOOPBACK_PORT)
        self._address = f"http://localhost:{port}"
        self._notices: Notices | None = None
        self._builder = BuilderTold(reactor)
        keeper.begun = self._begun
        self._approving: Approving | None = None
        metered = parts.metered
        keeper.allow(free=metered.known and not metered.metered)

    def _permits(self, address: str, port: int) -> bool:
        """Whether a recipe's sources may be asked there: near this machine where it was named."""
        networks = self._parts.reloading.settings.build.networks
        return destinations(networks).permit(address, port)

    def _begun(self) -> None:
        """Tell a person what waits, now that it is known."""
        settings = self._parts.reloading
        self._notices = notices = Notices(
            self._reactor,
            lambda: settings.settings.build,
            self.keeper.describe,
            host_name,
            settings.settings.build.state / TOLD,
        )
        self.keeper.changed.append(notices.changed)
        notices.changed()

    @property
    def services(self) -> tuple[Service, ...]:
        """What is started and stopped with the node."""
        return (self.keeper,)

    def questions(self) -> dict[str, Callable[[Mapping[str, str]], Awaitable[Any]]]:
        """Return what can be asked about builds, by path."""
        return {"/builds.json": self._described}

    async def _described(self, _: Mapping[str, str]) -> dict[str, Any]:
        return self.keeper.describe()

    async def steer(self, words: list[str], who: str, body: bytes = b"") -> str:
        """Do what a person says of builds; raises FloconError."""
        if words == ["web"]:
            return self._web().make_link(who)
        return await self.keeper.steer(words, who, body)

    def _web(self) -> Approving:
        """Return the pages on which to decide, which answer from now on."""
        if self._approving is None:
            from flocon.approving.pages import Approving  # noqa: PLC0415 - seldom needed

            self._approving = Approving(self._reactor, self.keeper, self._address)
            self._parts.loopback_face.review = self._approving.answer
        return self._approving

    def status(self) -> dict[str, Any]:
        """Return what ``/status.json`` says of builds."""
        return self.keeper.describe()

    async def look(self) -> None:
        """Find out what there is to tell the doctor of the builder."""
        await self._builder.look(self._parts.reloading.settings.build.builder)

    def tell(self) -> Iterator[dict[str, Any]]:
        """Yield what the doctor is to tell of builds."""
        settings = self._parts.reloading.settings
        yield from absent(settings.build.builder, settings.repo.signer)
        yield from self._builder.problems
        yield from sayings.problems(self.keeper.describe(), time.time())
        for way, reason in (self._notices.problems if self._notices else {}).items():
            yield {
                "check": "builds",
                "reason": f"nobody could be told what waits by {way}: {reason}",
                "remedy": "set it right in [build] of flocon.toml",
                "wrong": False,
            }

    def allow(self, *, metered: bool) -> None:
        """Look, fetch and build by itself only where the link costs nothing."""
        self.keeper.allow(free=not metered)

    def settings_changed(self, old: Settings, settings: Settings) -> None:
        if settings.build != old.build:
            self.keeper.settings_changed()

    def stop(self) -> None:
        """Let go of what would be told."""
        if self._notices is not None:
            self._notices.stop()


def absent(builder: str, signer: str) -> Iterator[dict[str, Any]]:
    """Yield what the doctor is to tell where nobody builds or signs at these sockets."""
    for does, path, unit in (("builds", builder, "flocon-build"), ("signs", signer, "flocon-sign")):
        if not Path(path).is_socket():
            yield {
                "check": "builds",
                "reason": f"nobody {does} here: there is no socket {path}",
                "remedy": f"systemctl enable --now {unit}.socket",
                "wrong": False,
            }
