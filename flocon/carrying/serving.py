"""A folder that this machine's node reads while a command runs: on 127.0.0.1, behind a word.

What is served are the files that were found beforehand, and nothing else of the folder.
"""

from __future__ import annotations

import errno
import os
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.protocols.policies import WrappingFactory
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data, File

from flocon.machine.beneath import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from twisted.protocols.policies import ProtocolWrapper


#: Connections that were given nothing: who knows the word asks at once.
MOST_STRANGERS = 64


class _Room(WrappingFactory):
    """Has the oldest who were given nothing make room: any local user can connect.

    ``known`` are the ports of those that were given something.
    """

    noisy = False

    def __init__(self, site: Site, known: set[int]) -> None:
        super().__init__(site)
        self._known = known

    def registerProtocol(self, protocol: ProtocolWrapper) -> None:  # noqa: N802 - Twisted's
        super().registerProtocol(protocol)
        strangers = [one for one in self.protocols if one.getPeer().port not in self._known]
        for one in strangers[:-MOST_STRANGERS]:
            one.abortConnection()

    def unregisterProtocol(self, protocol: ProtocolWrapper) -> None:  # noqa: N802 - Twisted's
        super().unregisterProtocol(protocol)
        self._known.discard(protocol.getPeer().port)


class _File(File):
    """A file as it was found: by now a link may have its name, or a fifo that nobody writes to."""

    def openForReading(self) -> Any:  # noqa: N802 - Twisted's
        try:
            return os.fdopen(open_regular(self.path, os.O_RDONLY), "rb")
        except OSError as error:
            # That alone is answered and not logged.
            raise PermissionError(errno.EACCES, str(error)) from None


class _Shelf(Resource):
    isLeaf = True

    def __init__(
        self,
        word: str,
        files: Mapping[str, Path | bytes],
        asked: Callable[[str], None],
        known: set[int],
    ) -> None:
        super().__init__()
        self._known = known
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
        self._known.add(request.getClientAddress().port)
        if isinstance(found, bytes):
            return Data(found, "application/octet-stream").render(request)
        return _File(str(found), defaultType="application/octet-stream").render(request)


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
        known: set[int] = set()
        site = Site(_Shelf(self.word, files, asked, known))
        site.noisy = False
        self._room = _Room(site, known)
        self._listening: Any = None
        #: Where it listens, once it has begun.
        self.port = 0

    async def start(self) -> int:
        """Begin to listen; return the port."""
        endpoint = TCP4ServerEndpoint(self._reactor, 0, interface="127.0.0.1")
        self._listening = await endpoint.listen(self._room)
        self.port = self._listening.getHost().port
        return self.port

    async def stop(self) -> None:
        """Listen no more; again is no error."""
        listening, self._listening = self._listening, None
        if listening is not None:
            await listening.stopListening()
