"""Tests that run on request: whole tables of the same attack, of which CI runs one of each kind.

    FLOCON_TESTS=all python -m twisted.trial tests.lan.test_hostile
    python -m twisted.trial tests.lan.test_hostile.Wrong7

What is named by its class or method is always run, and what a module does not leave out is, too.
"""

from __future__ import annotations

import os
import sys
import unittest
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from twisted.trial.runner import TestLoader, TestSuite

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Seeds = TypeVar("Seeds", bound=Sequence[int])
#: Whether all is run.
ALL = os.environ.get("FLOCON_TESTS") == "all"


def seeds_of(few: Seeds, whole: Seeds) -> Seeds:
    """Return the seeds of a test that does the same at many random moments: a ``few`` by default.

    What is by the hundred has a program of its own.
    """
    return whole if ALL else few


def suite_of(module: str, on_request: Collection[str]) -> unittest.TestSuite:
    """Return a module's tests without those ``on_request``, named ``Class`` or ``Class.test_x``.

    Raises ValueError where one of them is not there.
    """
    left_out = set() if ALL else set(on_request)
    suite = TestSuite()
    found = set()
    for case in _cases(sys.modules[module]):
        _, class_name, method = case.id().rsplit(".", 2)
        names = {class_name, f"{class_name}.{method}"}
        found |= names
        if not names & left_out:
            suite.addTest(case)
    if missing := set(on_request) - found:
        raise ValueError(f"no such tests: {', '.join(sorted(missing))}")
    return suite


def _cases(module: object) -> Iterator[unittest.TestCase]:
    loader = TestLoader()
    for each in loader.findTestClasses(module):
        yield from loader.loadClass(each)
