"""A folder that this machine's node reads while a command runs: on 127.0.0.1, behind a word.

What is served are the files that were found beforehand, and nothing else of the folder.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data, File

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class _Shelf(Resource):
    isLeaf = True

    def __init__(
        self, word: str, files: Mapping[str, Path | bytes], asked: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._before = f"/{word}/"
        self._files = files
        self._asked = asked

    def render_GET(self, request: Any) -> Any:
        path = unquote(request.path.decode("ascii", "replace"))
        name = path.removeprefix(self._before)
        found = self._files.get(name) if name != path else None
        if found is None:
            request.setResponseCode(404)
            return b""
        self._asked(name)
        if isinstance(found, bytes):
            return Data(found, "application/octet-stream").render(request)
        return File(str(found), defaultType="application/octet-stream").render(request)


class Serving:
    """Serves files by their paths; ``asked`` is called with each that is asked for."""

    def __init__(
        self,
        reactor: Any,
        files: Mapping[str, Path | bytes],
        asked: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._reactor = reactor
        self.word = secrets.token_hex(16)
        self._site = Site(_Shelf(self.word, files, asked))
        self._site.noisy = False
        self._listening: Any = None
        #: Where it listens, once it has begun.
        self.port = 0

    async def start(self) -> int:
        """Begin to listen; return the port."""
        endpoint = TCP4ServerEndpoint(self._reactor, 0, interface="127.0.0.1")
        self._listening = await endpoint.listen(self._site)
        self.port = self._listening.getHost().port
        return self.port

    async def stop(self) -> None:
        """Listen no more; again is no error."""
        listening, self._listening = self._listening, None
        if listening is not None:
            await listening.stopListening()
