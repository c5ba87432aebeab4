"""Setting up real files in a folder of the test's own, with pacman's programs or stand-ins."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import ConfigurationError
from flocon.leading import setup
from flocon.leading.node_lines import Method
from tests.leading.pacman_shapes import Shape

PORT = 19433
NODE = "http://localhost:19433/"
HAS_PACMAN = bool(shutil.which("pacman") and shutil.which("pacman-conf"))
NEEDS_PACMAN = "pacman and pacman-conf are not installed"
NEEDS_ROOT = "only root can become somebody else"


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below ``folder``, by name; a link is not one."""
    files = (one for one in sorted(folder.rglob("*")) if one.is_file() and not one.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def change(path: Path, method: Method = Method.SERVER, port: int = PORT) -> setup.Report:
    return setup.set_up(path, port=port, method=method, dry_run=False)


@contextmanager
def tools(folder: Path, **scripts: str) -> Iterator[None]:
    """Have ``folder`` first in PATH, with these shell scripts in it."""
    folder.mkdir(exist_ok=True)
    for name, script in scripts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    with mock.patch.dict(os.environ, {"PATH": f"{folder}:{os.environ['PATH']}"}):
        yield


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.base = Path(os.path.realpath(folder.name))
        self.etc = self.base / "etc"
        self.etc.mkdir()

    def write(self, files: dict[str, bytes]) -> Path:
        return Shape(files, ()).write(self.etc)

    def refusal(self, call: Callable[[], object]) -> str:
        """Return the sentence; whatever is refused leaves every file as it was."""
        before = contents(self.etc)
        error = self.assertRaises(ConfigurationError, call)
        self.assertEqual(before, contents(self.etc))
        return str(error)
