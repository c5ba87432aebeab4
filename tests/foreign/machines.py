"""Other tools' machines in memory: questions that a test answers by hand, in virtual time."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as Refusal
from twisted.internet.testing import StringTransport
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface import implementer

from flocon.foreign.place import Place, Tool
from tests.fakes import FakeResponse

NAME = "gtk++-1:2-1-any.pkg.tar.zst"
SIZE = 7
PACREDIR = Place(Tool.PACREDIR, "10.0.0.7", 7_078)
SECOND = Place(Tool.PACREDIR, "10.0.0.6", 7_078)
PACSERVE = Place(Tool.PACSERVE, "10.0.0.8", 15_678)
PACLAN = Place(Tool.PACLAN, "10.0.0.9", 15_678)


@dataclass
class Question:
    """One that waits for its answer."""

    method: str
    url: str
    said: Any
    deferred: Deferred[Any] = field(default_factory=Deferred)

    def head(self, code: int = 200, size: int | None = SIZE, **headers: str) -> None:
        fields = {name.replace("_", "-"): [value] for name, value in headers.items()}
        if size is not None:
            fields["Content-Length"] = [str(size)]
        self.deferred.callback(FakeResponse(code, Headers(fields), 0))

    def post(self, value: object, code: int = 200, server: str = "Pacserve/1") -> FakeResponse:
        response = FakeResponse(code, Headers({"Server": [server]}))
        self.deferred.callback(response)
        if not response.left:
            response.send(value if isinstance(value, bytes) else json.dumps(value).encode())
            response.end()
        return response

    def refuse(self) -> None:
        self.deferred.errback(Refusal())


@implementer(IAgent)
class Agent:
    """Keeps what was asked, oldest first."""

    def __init__(self) -> None:
        self.questions: list[Question] = []

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: Any = None,  # noqa: N803 - as Twisted calls it
    ) -> Deferred[Any]:
        said = None
        if bodyProducer is not None:
            assert headers is not None
            assert headers.getRawHeaders("Content-Type") == ["application/x-www-form-urlencoded"]
            sent = StringTransport()
            bodyProducer.startProducing(sent)
            assert len(sent.value()) == bodyProducer.length
            said = json.loads(unquote(sent.value().decode().removeprefix("json=")))
        question = Question(method.decode(), uri.decode(), said)
        self.questions.append(question)
        return question.deferred

    def take(self) -> list[Question]:
        """Return what was asked since the last time."""
        taken, self.questions = self.questions, []
        return taken

    def one(self) -> Question:
        [question] = self.take()
        return question


def listing(**files: int) -> dict[str, object]:
    """Return a pacserve's listing of packages of these names and sizes."""
    return {
        f"{name}-1-1-any.pkg.tar.zst": [{"mtime": 1, "size": size, "dir": False, "href": "/pkg/x"}]
        for name, size in files.items()
    }
