"""Nobody in flocon asks by HTTP but over connections that have bounds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import flocon

#: Reads over a connection to the command that has it read, and is ended with that.
_BY_ITSELF = {"flocon/snapshots/importing.py": "http.client"}
#: Clients without bounds of their own.
_UNBOUNDED = {"http.client", "urllib.request", "requests"}
_POOL = 2


def calls_of_agents(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in {"Agent", "ProxyAgent", "Agent.usingEndpointFactory"}:
                yield node


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{one.name}" for one in node.names)


class Everywhere(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(flocon.__file__).parent
        self.trees: dict[str, ast.AST] = {}
        for path in folder.rglob("*.py"):
            text = path.read_text()
            if any(word in text for word in ("Agent", "http.client", "urllib", "requests")):
                self.trees[str(path.relative_to(folder.parent))] = ast.parse(text)

    def test_each_agent_has_a_pool_that_was_chosen(self) -> None:
        seen = 0
        for name, tree in self.trees.items():
            for call in calls_of_agents(tree):
                seen += 1
                given = len(call.args) > _POOL or any(one.arg == "pool" for one in call.keywords)
                self.assertTrue(given, f"{name}: {ast.unparse(call)}")
        self.assertGreater(seen, 5)

    def test_no_client_without_bounds_is_there(self) -> None:
        for name, tree in self.trees.items():
            found = _UNBOUNDED.intersection(imported(tree)) - {_BY_ITSELF.get(name, "")}
            self.assertEqual(found, set(), name)
