"""Each command that a message, a help or a guide names is one that the command line takes.

A message names a command within quotes, for a person to type; what it fills in stands for one word.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.cli.parser import make_parser

_PROJECT = Path(__file__).resolve().parents[2]
#: Where a message names a command, and where a guide does.
_QUOTED = re.compile(r"'(flocon(?: [^']+)?)'")
_LITERAL = re.compile(r"``(?:sudo )?(flocon [^`]+)``")
_LINE = re.compile(r"^ +(?:sudo )?(flocon [^#\n]+?) *(?:#.*)?$", re.MULTILINE)
#: What stands for all that a message fills in: a name, a file or a port.
_FILLED = "1"


def is_taken(command: str) -> bool:
    """Whether the command line takes a command as it is written."""
    words = shlex.split(command.replace("...", ""), comments=True)[1:]
    silence = io.StringIO()
    with contextlib.redirect_stderr(silence), contextlib.redirect_stdout(silence):
        try:
            make_parser().parse_args(words)
        except SystemExit as end:
            return not end.code
    return True


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module with their lines, but not what is said of the code itself."""
    tree = ast.parse(path.read_text())
    parts: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr):
                parts.add(first.value)
        elif isinstance(node, ast.JoinedStr):
            parts.update(one for one in ast.walk(node) if one is not node)
    for node in ast.walk(tree):
        if node in parts:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(map(_written, node.values))


def _written(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else _FILLED


class Named(SynchronousTestCase):
    def test_a_message_names_what_can_be_typed(self) -> None:
        for path in sorted(_PROJECT.glob("flocon/**/*.py")):
            for line, text in messages(path):
                for command in _QUOTED.findall(text):
                    place = f"{path.relative_to(_PROJECT)}:{line}"
                    self.assertTrue(is_taken(command), f"{place}: {command}")

    def test_a_guide_names_what_can_be_typed(self) -> None:
        for path in sorted([*_PROJECT.glob("docs/*.rst"), _PROJECT / "README.rst"]):
            text = path.read_text()
            if path.name == "protocol.rst":
                # What nodes say to each other, and nobody types.
                continue
            for command in [*_LITERAL.findall(text), *_LINE.findall(text)]:
                # A guide also speaks of a command, without the name that goes with it.
                is_known = is_taken(command) or is_taken(f"{command} {_FILLED}")
                self.assertTrue(is_known, f"{path.name}: {command}")

    def test_what_cannot_be_typed_is_told_from_it(self) -> None:
        for command in ("flocon repo key home", "flocon build rebuild", "flocon hold paru"):
            self.assertFalse(is_taken(command), command)
        for command in ("flocon build rebuild NAME", "flocon", "flocon repo key --switch"):
            self.assertTrue(is_taken(command), command)
