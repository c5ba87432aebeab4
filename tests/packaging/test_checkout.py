"""What README has a person do in a clone, makepkg apart: on a copy, so this one stays clean."""

from __future__ import annotations

import functools
import os
import re
import shutil
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon import __version__
from tests.lan.lan import unavailable
from tests.packaging.workshop import PROJECT, folder, need, succeed


@functools.cache
def clone() -> Path:
    """Return a copy of this checkout."""
    copy = folder() / "clone"
    names = ["LICENSE", "Makefile", "README.rst", "pyproject.toml", "setup.cfg", "ruff.toml"]
    copy.mkdir()
    for name in names:
        shutil.copy(PROJECT / name, copy)
    left_out = shutil.ignore_patterns("__pycache__", "dropin.cache")
    for name in ("flocon", "tests", "twisted"):
        shutil.copytree(PROJECT / name, copy / name, ignore=left_out)
    return copy


class Making(SynchronousTestCase):
    """The environment of these very tests stands for the one that make sets up."""

    def make(self, *arguments: str) -> str:
        need("make")
        done = [f"VENV={sys.prefix}"]
        for name in ("installed", "installed-dev"):
            done += ["--old-file", f"{sys.prefix}/{name}"]
        if not Path(sys.prefix, "bin", "python").exists():
            self.skipTest("this Python is not called python")
        return succeed("make", "--directory", str(clone()), *done, *arguments)

    def test_the_demo_proves_what_it_shows(self) -> None:
        if not unavailable():
            self.assertIn("The demo proved all of it", self.make("demo"))
        else:
            self.assertIn("-m tests.lan.demo", self.make("--dry-run", "demo"))

    def test_the_tests_are_all_tests(self) -> None:
        # What runs this is `make test` itself.
        self.assertIn("-m twisted.trial tests\n", self.make("--dry-run", "test"))


class Installing(SynchronousTestCase):
    def test_pip_installs_a_node_and_a_command_into_an_environment(self) -> None:
        need(modules=("ensurepip", "setuptools", "wheel"))
        home = folder()
        # What it needs is there already, as if fetched: the test goes to no network.
        fetched = [path for path in sys.path if re.search("(site|dist)-packages$", path)]
        places = {"HOME": str(home), "PYTHONPATH": os.pathsep.join(fetched), "PIP_NO_INDEX": "1"}
        places |= {"PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        line = "python -m venv ~/flocon && ~/flocon/bin/pip install ."
        self.assertIn(line, (PROJECT / "README.rst").read_text())
        python = f'python() {{ {sys.executable} "$@"; }}; cd {clone()}; '
        succeed("sh", "-c", python + line, **places)
        programs = home / "flocon/bin"
        version = succeed(str(programs / "flocon"), "--version", **places)
        self.assertEqual(version, f"flocon {__version__}\n")
        where = "import flocon, twisted.plugins.flocon_plugin as plugin; print(plugin.__file__)"
        told = succeed(str(programs / "python"), "-P", "-c", where, **places)
        self.assertTrue(told.startswith(str(home)), told)
