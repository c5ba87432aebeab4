"""What is ordered, taken apart."""

from __future__ import annotations

import contextlib
from ipaddress import ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from flocon.building.orders import Bounds, Dependency, read_order
from flocon.errors import BuildError

WHOLE: dict[str, Any] = {
    "do": "build",
    "job": "7",
    "base": "foo",
    "recipe": 0,
    "dependencies": [{"name": "bar", "file": "bar-1-1-any.pkg.tar.zst", "fd": 1}],
    "packages": ["cmake", "git", "cmake"],
    "architecture": "x86_64",
    "check": False,
    "online": True,
    "bounds": {"memory": 1 << 30, "disk": 1 << 30, "processes": 64, "time": 60},
    "networks": ["10.0.0.0/8", "fd00::/8"],
    "versions": {"pkgrel": "1.1"},
    "epoch": 1_700_000_000,
    "keys": [2],
    "root": "clean",
}
ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(),
    lambda one: some.lists(one, max_size=3) | some.dictionaries(some.text(), one, max_size=3),
    max_leaves=5,
)


class OrderTests(SynchronousTestCase):
    """Whole orders are read, others refused."""

    def test_a_whole_order_is_read(self) -> None:
        order = read_order(WHOLE, 3)
        self.assertEqual(order.dependencies, (Dependency("bar-1-1-any.pkg.tar.zst", 1),))
        self.assertEqual(order.packages, ("cmake", "git"))
        self.assertEqual(order.bounds, Bounds(1 << 30, 1 << 30, 64, 60))
        self.assertEqual(order.networks, (ip_network("10.0.0.0/8"), ip_network("fd00::/8")))
        self.assertEqual((order.keys, order.root, order.check), ((2,), "clean", False))

    def test_what_may_be_left_out_may(self) -> None:
        needed = ("job", "base", "recipe", "architecture", "bounds", "epoch")
        order = read_order({key: WHOLE[key] for key in needed}, 1)
        self.assertEqual((order.packages, order.keys, order.root), ((), (), "auto"))
        self.assertEqual((order.check, order.online), (True, False))

    def test_odd_values_are_refused(self) -> None:
        odd: dict[str, Any] = {
            "job": ["", "../x", "a/b", 7, "x" * 65],
            "base": ["", "-x", "a b", None],
            "recipe": [3, -1, "0", None, True],
            "dependencies": [
                [{"file": "no package", "fd": 0}],
                [{"file": "../a-1-1-any.pkg.tar.zst", "fd": 0}],
                [{"file": "a-1-1-any.pkg.tar.zst", "fd": 3}],
                [{"file": "a-1-1-any.pkg.tar.zst", "fd": 0}] * 2,
                "x",
            ],
            "packages": [["--config=x"], ["a b"], [1], {"a": 1}],
            "architecture": ["", "x/86", 1],
            "check": ["yes", 1],
            "networks": [["everywhere"], ["10.0.0.1/8"], 1],
            "versions": [{"pkgver": "$(id)"}, {"pkgrel": "1 2"}, {"url": "x"}, {"pkgver": 1}, []],
            "epoch": [-1, "now", None, float("inf"), float("nan")],
            "keys": [[9], ["0"]],
            "root": ["/", 1, "overlay"],
            "bounds": [
                None,
                {},
                {**WHOLE["bounds"], "time": 0},
                {**WHOLE["bounds"], "memory": "x"},
            ],
        }
        for key, values in odd.items():
            for value in values:
                if key == "versions" and value == []:
                    continue
                with self.subTest(key=key, value=value):
                    self.assertRaises(BuildError, read_order, {**WHOLE, key: value}, 3)

    @given(some.sampled_from(sorted(WHOLE)), ANYTHING)
    def test_whatever_is_said_is_an_order_or_refused(self, key: str, value: Any) -> None:
        with contextlib.suppress(BuildError):
            read_order({**WHOLE, key: value}, 3)
