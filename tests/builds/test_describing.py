"""What is told of recipes goes by what their repository has, whoever changed that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.builds import sayings
from flocon.builds.describing import describe_watched
from flocon.builds.here import Here
from flocon.jobs.watched import Candidate, Published
from tests.builds.told import NOW, builds
from tests.jobs.recipes import watched
from tests.signing.case import SignerCase, made

FOO = watched("foo", published=Published("ab" * 20, "2.0-1", NOW))


def row(offered: Mapping[str, Any] | None, **more: Any) -> tuple[str, ...]:
    """Return what ``flocon build status`` says of foo, of which 2.0-1 was signed last."""
    told = builds(*describe_watched({"foo": replace(FOO, **more)}, offered))
    return next(sayings.rows(told, (), NOW))


class Describing(SynchronousTestCase):
    def test_what_was_signed_last_is_published(self) -> None:
        for offered in (None, {"foo": {"2.0-1"}}, {"foo": {"2.0-1"}, "bar": {"1.0-1"}}):
            self.assertEqual(row(offered), ("foo", "2.0-1", "published", ""))

    def test_after_somebody_went_back_it_is_what_there_is(self) -> None:
        said = "the repository went back to 1.0-1 from 2.0-1"
        self.assertEqual(row({"foo": {"1.0-1"}}), ("foo", "1.0-1", "published", said))
        self.assertEqual(row({"foo": {"1.0-1", "2.0-1"}})[1], "1.0-1")

    def test_what_is_proposed_then_stands_beside_it(self) -> None:
        proposed = Candidate("c" * 40, "3.0-1", NOW)
        self.assertEqual(row({"foo": {"1.0-1"}}, candidate=proposed)[1], "1.0-1 -> 3.0-1")

    def test_what_somebody_took_out_is_published_no_more(self) -> None:
        said = "the repository has 2.0-1 no more"
        self.assertEqual(row({"bar": {"1.0-1"}}), ("foo", "", "published", said))

    def test_what_is_published_and_not_noted_yet_is_no_way_back(self) -> None:
        self.assertEqual(row({"foo": {"3.0-1"}})[1], "2.0-1")


class Offered(SignerCase):
    """With what a real signer publishes."""

    def test_it_is_known_at_once_where_somebody_went_back(self) -> Deferred[None]:
        pacman: Any = None
        here = Here(reactor, pacman, lambda: self.published, lambda: "")

        async def run() -> None:
            self.assertIsNone(here.offered())
            await self.told("init", name="home")
            self.assertEqual(here.offered(), {})
            for version in ("1.0-1", "2.0-1"):
                await self.told("add", [made("foo", version)], trusted=True)
                self.assertEqual(here.offered(), {"foo": {version}})
            await self.told("rollback", package="foo")
            self.assertEqual(here.offered(), {"foo": {"1.0-1"}})
            await self.told("remove", packages=["foo"])
            self.assertEqual(here.offered(), {})

        return self.do(run())
