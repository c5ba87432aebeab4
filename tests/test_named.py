"""Which names of tests there are, before trial looks for them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.named import is_there


class Named(SynchronousTestCase):
    def test_what_is_there_is_and_nothing_else(self) -> None:
        here = "tests.test_named"
        for name in ("tests", here, f"{here}.Named", f"{here}.Named.{self.id().rsplit('.')[-1]}"):
            self.assertTrue(is_there(name), name)
        for name in (
            "tests.nosuch",
            "nosuch.test",
            f"{here}.Named.test_nothing",
            "tests/nosuch.py",
        ):
            self.assertFalse(is_there(name), name)
        self.assertTrue(is_there(__file__))
