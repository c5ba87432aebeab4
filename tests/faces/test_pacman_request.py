"""What is told of a file whose bytes nobody wants."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.attempts import Attempt, Limits
from flocon.asking.heads import Told
from flocon.asking.source import Origin, Source
from flocon.errors import Unreachable
from flocon.faces.pacman_request import happened
from tests.faces.pacman_case import (
    CONTENT,
    DATA,
    DB,
    MIRROR_A,
    NAME,
    PATH,
    SIGNATURE,
    THEN,
    HeldFile,
    LoopbackTestCase,
)
from tests.faces.web import Answer


class Heads(LoopbackTestCase):
    """Nobody wants the bytes: what the database says is told, else what a mirror says."""

    def head(self, path: str, **headers: str) -> Answer:
        exchange = self.browser.ask(path, "HEAD", **headers)
        self.assertEqual((list(self.desk.transfers), self.desk.tools.agents), ([], {}))
        return exchange.answer

    def tell(self, status: int, **fields: str) -> None:
        pairs = tuple((name.replace("_", "-"), value) for name, value in fields.items())
        self.desk.telling.callback(Told(status, MIRROR_A if status < 400 else None, pairs))

    def test_of_a_listed_package_the_database_tells(self) -> None:
        for path in (PATH, f"/{NAME}"):
            found = self.head(path, Range="bytes=5-")
            self.assertEqual((found.status, found.body), (200, b""))
            self.assertEqual(found.headers["content-length"], str(len(DATA)))
            self.assertEqual(found.headers["etag"], f'"{CONTENT.sha256.hex()}"')
            self.assertIn("repr-digest", found.headers)
            self.assertEqual(found.headers["flocon-source"], "database")
        self.assertEqual(self.desk.heads, [])

    def test_of_a_held_one_it_is_what_a_get_says(self) -> None:
        self.desk.here[NAME] = HeldFile()
        got, found = self.get(PATH), self.head(PATH)
        self.assertEqual((found.headers, found.body), (got.headers, b""))

    def test_of_one_that_is_coming_the_mirrors_date_is_told_and_nobody_joins(self) -> None:
        exchange = self.browser.ask(PATH)
        response = self.asked(MIRROR_A).head(len(DATA), Last_Modified=THEN)
        response.send(DATA[:10])
        found = self.browser.ask(PATH, "HEAD").answer
        self.assertEqual(found.headers["last-modified"], THEN)
        response.send(DATA[10:])
        response.end()
        self.assertEqual(exchange.answer.body, DATA)
        self.assertEqual(len(self.desk.tools.agent(MIRROR_A).requests), 1)

    def test_of_a_signature_in_the_database_its_length(self) -> None:
        self.desk.embedded = SIGNATURE
        found = self.head(PATH + ".sig")
        self.assertEqual(found.headers["content-length"], str(len(SIGNATURE)))

    def test_of_anything_else_a_mirror_tells(self) -> None:
        self.desk.listed.clear()
        for path in (PATH, f"{PATH}.sig", DB, f"{DB}.sig"):
            self.desk.telling = Deferred()
            exchange = self.browser.ask(path, "HEAD", If_Modified_Since=THEN)
            self.assertFalse(exchange.answered)
            self.tell(200, Content_Length="7", Last_Modified=THEN)
            found = exchange.answer
            self.assertEqual((found.status, found.headers["content-length"]), (200, "7"))
            self.assertEqual(found.headers["last-modified"], THEN)
            self.assertEqual(self.desk.heads[-1], (path.rpartition("/")[2], THEN))
        self.assertEqual(self.desk.tools.agents, {})

    def test_what_has_not_changed_and_what_is_nowhere(self) -> None:
        for status in (304, 404, 503):
            self.desk.telling = Deferred()
            exchange = self.browser.ask(DB, "HEAD")
            self.tell(status)
            self.assertEqual((exchange.answer.status, exchange.answer.body), (status, b""))

    def test_it_is_remembered_as_a_request(self) -> None:
        self.head(PATH)
        (one,) = self.recent
        self.assertEqual((one.status, one.source, one.bytes), (200, "database", 0))


class Failed(SynchronousTestCase):
    def test_who_was_asked_is_named_once_and_another_one_beside_it(self) -> None:
        source = Source(Origin.MIRROR, "nas:9129", "nas:9129", "http://nas:9129/x", parent="flexo")
        for at, told in (("nas:9129", "is silent"), ("elsewhere", "elsewhere: is silent")):
            attempt = Attempt(source, Limits(1.0, 1.0), Unreachable(at, "is silent"))
            self.assertEqual(happened(attempt), told)
