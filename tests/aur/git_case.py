"""Real git, a stand-in for the AUR, and where histories are fetched to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as real_reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site as WebSite

from flocon.aur.git import git_environment
from flocon.aur.recipes import Recipes
from tests.aur.standin import StandIn
from tests.needs import leave_out

reactor: Any = real_reactor


class GitCase(TestCase):
    """``aur`` is the stand-in, ``site`` what answers for it, ``recipes`` fetches from it."""

    timeout = 60

    def setUp(self) -> None:
        lacking = [name for name in ("git", "setsid") if shutil.which(name) is None]
        leave_out(f"{' and '.join(lacking)} cannot be found" if lacking else "")
        self.aur = StandIn(Path(self.mktemp()).absolute())
        self.site = self.aur.serve()
        self.addCleanup(self.site.stop)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.recipes = self.make_recipes()

    def make_recipes(
        self,
        *,
        aur: str = "",
        permit: Callable[[str, int], bool] = lambda *_: True,
        **environment: str,
    ) -> Recipes:
        return Recipes(
            reactor,
            self.folder,
            aur=aur or self.site.address,
            copy=self.site.copy,
            environment=git_environment({**os.environ, **environment}),
            permit=permit,
        )

    def listen(self, factory: Any) -> str:
        """Have somebody else answer; return the address."""
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return f"http://127.0.0.1:{port.getHost().port}"

    def silent_site(self) -> str:
        """Return the address of who takes connections and says nothing."""
        factory = Factory.forProtocol(Silent)
        factory.noisy = False
        return self.listen(factory)

    def moved_site(self, target: str) -> str:
        """Return the address of who sends everybody to the same path at ``target``."""
        site = WebSite(Moved(target))
        site.noisy = False
        return self.listen(site)


class Silent(Protocol):
    """Says nothing."""


class Moved(Resource):
    """Sends to another address."""

    isLeaf = True

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = target

    def render_GET(self, request: Any) -> bytes:
        request.redirect(self._target.encode() + request.uri)
        return b""


def processes_with(word: str) -> list[str]:
    """Return the command lines of this machine's processes that have ``word`` in them."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if word in line:
            found.append(line)
    return found
