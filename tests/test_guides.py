"""What docs/architecture.rst and CONTRIBUTING.rst say of the code is there."""

from __future__ import annotations

import configparser
import re
from importlib.util import find_spec
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.test_documents import is_test

TOP = Path(__file__).parent.parent
GUIDES = ("CONTRIBUTING.rst", "docs/architecture.rst")
ROOMS = {path.parent.name for path in TOP.glob("flocon/*/__init__.py")}
_LITERAL = re.compile(r"``([^`]+)``")
#: A file or a folder of the clone, and a module of a room.
_PATH = re.compile(r"\.?[\w-]+(?:/[\w.-]*)+|[\w-]+\.(?:rst|cfg|py)")
_MODULE = re.compile(r"([a-z]+)\.([a-z_]+)")
_RUN = re.compile(r"python -m ([\w.]+)(?: (tests[\w.]*))?")
_TARGET = re.compile(r"\bmake ([a-z]+)(?: TESTS=([\w.]+))?")
#: A line of the picture.
_ROOM = re.compile(r"^    ([a-z]+)  +\S", re.MULTILINE)


def texts() -> list[str]:
    return [(TOP / name).read_text() for name in GUIDES]


def literals() -> set[str]:
    return {literal for text in texts() for literal in _LITERAL.findall(text)}


def layers() -> list[str]:
    """Return the layers of the import contract, the topmost first."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(TOP / "setup.cfg")
    return parser["importlinter:contract:rooms"]["layers"].split()


class Names(SynchronousTestCase):
    def test_each_path_is_there(self) -> None:
        named = {literal for literal in literals() if _PATH.fullmatch(literal)}
        self.assertGreater(len(named), 20)
        named.discard("__init__.py")
        if not (TOP / ".ci").exists():
            # The package is built from a copy without what is CI's alone.
            named -= {name for name in named if name.startswith(".")}
        # The guide in docs names what lies beside it.
        missing = [
            name
            for name in sorted(named)
            if not (TOP / name).exists() and not (TOP / "docs" / name).exists()
        ]
        self.assertEqual(missing, [])

    def test_each_module_is_there(self) -> None:
        found = [match for literal in literals() if (match := _MODULE.fullmatch(literal))]
        modules = {f"{match[1]}/{match[2]}.py" for match in found if match[1] in ROOMS}
        self.assertGreater(len(modules), 30)
        missing = [name for name in sorted(modules) if not (TOP / "flocon" / name).exists()]
        self.assertEqual(missing, [])

    def test_each_program_and_test_is_there(self) -> None:
        runs = [match for text in texts() for match in _RUN.finditer(text)]
        self.assertGreater(len(runs), 4)
        for match in runs:
            self.assertIsNotNone(find_spec(match[1]), match[0])
            if match[2]:
                self.assertTrue(self.is_there(match[2]), match[0])

    def test_each_target_of_make_is_there(self) -> None:
        targets = set(re.findall(r"^([a-z]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
        named = [match for text in texts() for match in _TARGET.finditer(text)]
        self.assertGreater(len(named), 4)
        self.assertEqual({match[1] for match in named} - targets, set())
        self.assertTrue(all(self.is_there(match[2]) for match in named if match[2]))

    def test_one_that_is_not_is_seen(self) -> None:
        for name in ("tests.nothing", "tests.test_guides.Nothing.test_x"):
            self.assertFalse(self.is_there(name), name)

    def is_there(self, name: str) -> bool:
        """Whether trial would find it: a folder of tests, a module, or a test."""
        try:
            return find_spec(name) is not None
        except ModuleNotFoundError:
            return is_test(name)


class Pictures(SynchronousTestCase):
    def setUp(self) -> None:
        text = (TOP / "docs/architecture.rst").read_text()
        self.rooms = _ROOM.findall(text.partition(".. code-block:: text")[2].partition("\nThe ")[0])

    def test_it_has_every_room_in_order(self) -> None:
        self.assertEqual(self.rooms, layers())

    def test_each_room_is_a_folder_or_a_module(self) -> None:
        self.assertEqual(ROOMS - set(self.rooms), set())
        missing = [name for name in self.rooms if find_spec(f"flocon.{name}") is None]
        self.assertEqual(missing, [])
