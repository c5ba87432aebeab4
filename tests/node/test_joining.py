"""What a node has of own repositories where there are none, and how it begins."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import RepositoryError
from flocon.node.joining import Joining
from flocon.settings.settings import Repo, Settings


class Joined:
    """Stands for what is made once there is a repository."""

    made = 0

    def __init__(self, *_: Any) -> None:
        type(self).made += 1
        self.looks = 0
        self.giving = "giving"

    def start(self) -> None:
        """Begin."""

    def stop(self) -> Deferred[None]:
        return succeed(None)

    def look(self) -> Deferred[None]:
        self.looks += 1
        return succeed(None)

    def describe(self) -> list[dict[str, Any]]:
        return [{"name": "home"}]


class JoiningTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        self.keys, self.published = folder / "keys", folder / "published"
        repo = Repo(keys=self.keys, published=self.published)
        peer = SimpleNamespace(name="ada", address="10.0.0.1", own=(("home", 5),))
        neighbourhood = SimpleNamespace(proved=lambda: [peer])
        parts: Any = SimpleNamespace(settings=Settings(repo=repo), neighbourhood=neighbourhood)
        self.joining = Joining(None, parts)
        Joined.made = 0
        stand_in: Any = SimpleNamespace(Joined=Joined)
        patched = mock.patch.dict(sys.modules, {"flocon.node.joined": stand_in})
        patched.start()
        self.addCleanup(patched.stop)

    def start(self) -> None:
        self.joining.startService()
        self.addCleanup(self.joining.stopService)

    def steer(self, word: str) -> str:
        """Return what the node says to a word."""
        steering: Any = self.joining.commands()["repo"]([word])
        said: Deferred[str] = Deferred.fromCoroutine(steering)
        answers: list[Any] = []
        said.addBoth(answers.append)
        if isinstance(answers[0], Failure):
            answers[0].raiseException()
        return str(answers[0])

    def test_without_any_nothing_is_made(self) -> None:
        self.start()
        self.joining.look()
        self.assertEqual(Joined.made, 0)
        self.assertEqual((self.joining.giving, self.joining.folders), (None, ()))
        self.assertEqual((self.joining.describe(), [*self.joining.tell()]), ([], []))
        self.joining.held([])
        self.joining.allow(metered=True)

    def test_keys_that_come_while_it_runs_begin_it(self) -> None:
        self.start()
        self.keys.mkdir(parents=True)
        self.joining.look()
        self.assertEqual(Joined.made, 0)
        (self.keys / "home.gpg").touch()
        said = self.steer("look")
        self.assertEqual((Joined.made, self.joining.giving), (1, "giving"))
        self.assertIn("home", said)

    def test_what_this_machine_publishes_begins_it_too(self) -> None:
        (self.published / "home").mkdir(parents=True)
        self.start()
        self.assertEqual(Joined.made, 1)

    def test_nothing_begins_before_the_node(self) -> None:
        (self.published / "home").mkdir(parents=True)
        self.joining.look()
        self.assertEqual(Joined.made, 0)

    def test_whoever_asks_is_told_what_others_have(self) -> None:
        self.start()
        answer: Any = self.joining.questions()["/own.json"]({})
        told: Any = self.successResultOf(Deferred.fromCoroutine(answer))
        self.assertEqual(told["repositories"], [])
        self.assertEqual([one["name"] for one in told["heard"]], ["home"])

    def test_other_words_are_refused(self) -> None:
        self.assertRaises(RepositoryError, self.steer, "burn")
