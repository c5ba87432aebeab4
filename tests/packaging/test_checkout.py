"""What README has a person do in a clone, makepkg apart: on a copy, so this one stays clean."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

from flocon import __version__
from tests.lan.lan import unavailable
from tests.needs import leave_out
from tests.packaging.workshop import PROJECT, folder, need, run, succeed

#: make in a folder, with nothing of the make that these tests are run by.
_MAKE = (
    *("env", "--unset=MAKEFLAGS", "--unset=MAKEOVERRIDES", "--unset=MFLAGS"),
    *("make", "--no-print-directory", "--directory"),
)


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

    def command(self, *arguments: str) -> list[str]:
        need("make")
        if not Path(sys.prefix, "bin", "python").exists():
            self.skipTest("this Python is not called python")
        # make has no way to say a name with a blank in it, and needs none for its own `.venv`.
        venv = clone() / "venv"
        if not venv.exists():
            venv.symlink_to(sys.prefix)
        done = ["VENV=venv"]
        for name in ("installed", "installed-dev"):
            done += ["--old-file", f"venv/{name}"]
        return [*_MAKE, str(clone()), *done, *arguments]

    def make(self, *arguments: str) -> str:
        return succeed(*self.command(*arguments))

    def test_the_demo_proves_what_it_shows(self) -> None:
        if not unavailable():
            # A temporary folder that is not there, as an environment names one now and then.
            said = succeed(*self.command("demo"), TMPDIR="/nonexistent")
            self.assertIn("The demo proved all of it", said)
        else:
            self.assertIn("-m tests.lan.demo", self.make("--dry-run", "demo"))

    def test_the_nodes_stay_up_until_enter(self) -> None:
        with self.demo("KEEP=1") as process:
            said = self.read_until(process, "Enter ends")
            pages = re.findall(r"http://\S+/", said.partition("stay up")[2])
            self.assertEqual(len(pages), 2, said)
            for page in pages:
                with urlopen(page, timeout=10) as answer:
                    self.assertIn(b"<html", answer.read())
            rest, _ = process.communicate("\n", timeout=60)
        self.assertIn("The demo proved all of it", rest)
        self.assertEqual(process.returncode, 0)

    def test_an_interrupt_ends_the_demo_in_one_sentence(self) -> None:
        with self.demo() as process:
            self.read_until(process, "2. Two nodes")
            os.killpg(process.pid, signal.SIGINT)
            rest, _ = process.communicate(timeout=60)
        self.assertIn("\nStopped, and nothing left behind.\n", rest)
        self.assertNotIn("Traceback", rest)
        self.assertNotEqual(process.returncode, 0)

    def test_a_reader_who_goes_is_no_traceback(self) -> None:
        with subprocess.Popen(
            self.command("demo"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            self.read_until(process, "1. A repository")
            assert process.stdout is not None
            process.stdout.close()
            assert process.stderr is not None
            self.assertNotIn("Traceback", process.stderr.read())
        self.assertNotEqual(process.returncode, 0)

    @contextmanager
    def demo(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run the demo in a group of its own, as a terminal has it."""
        process = subprocess.Popen(
            # Whoever runs these tests in the background of a script ignores what a terminal sends.
            ["env", "--default-signal=INT", *self.command("demo", *arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.communicate()

    def read_until(self, process: subprocess.Popen[str], words: str) -> str:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if words in line:
                return said
        raise AssertionError(said)

    def test_a_python_that_is_not_there_is_called_that(self) -> None:
        said = self.fails("PYTHON=no-such-python", "VENV=other")
        self.assertIn("there is no program called no-such-python", said)

    def test_a_python_that_is_too_old_is_called_that(self) -> None:
        old = folder() / "old"
        old.write_text("#!/bin/sh\nexit 1\n")
        old.chmod(0o755)
        self.assertIn("is older than", self.fails(f"PYTHON={old}", "VENV=other"))

    def test_without_an_index_the_last_sentence_is_ours(self) -> None:
        venv = clone() / "empty"
        succeed(sys.executable, "-m", "venv", str(venv))
        said = self.fails(f"VENV={venv.name}", "PYTHON=python3", PIP_NO_INDEX="1")
        ours = [line for line in said.splitlines() if not line.startswith("make")][-1]
        self.assertIn("pip could not install what flocon needs", ours)
        self.assertFalse((venv / "installed").exists())

    def fails(self, *arguments: str, **environment: str) -> str:
        need("make", modules=("ensurepip",))
        done = run(*_MAKE, str(clone()), "demo", *arguments, **environment)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("Traceback", done.stdout)
        return done.stdout

    def test_twistd_of_the_environment_knows_flocon_wherever_it_is_started(self) -> None:
        made = Path(sys.prefix, "installed-dev")
        if not made.exists() or made.stat().st_mtime < (PROJECT / "Makefile").stat().st_mtime:
            leave_out("this environment is not one that this Makefile made")
        variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [str(Path(sys.prefix, "bin", "twistd")), "-n", "flocon", "--help"],
            cwd=folder(),
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertIn("--pacman-conf", done.stdout, done.stderr)

    def test_the_tests_are_all_tests(self) -> None:
        # What runs this is `make test` itself.
        runs = self.trials("test")
        self.assertEqual(len(runs), 3)
        for path in (clone() / "tests").rglob("test_*.py"):
            file = path.relative_to(clone())
            modules = (file.with_suffix(""), *file.parents)
            names = {str(file), *(".".join(module.parts) for module in modules)}
            self.assertEqual([len(names & run) for run in runs].count(1), 1, file)

    def test_nothing_runs_beside_a_test_on_the_lan(self) -> None:
        beside, unmeasured, alone = self.trials("test")
        self.assertIn("--jobs=2", beside)
        self.assertLess({"tests.packaging", "tests.states_on_lan.test_snapshots"}, unmeasured)
        self.assertEqual(
            {name for name in beside if re.match(r"tests\.(lan|\w+_on_lan)", name)}, set()
        )
        # What says how long something took.
        measured = ("main_job", "one_crossing", "hostile", "disk", "precedence", "presence")
        self.assertLess({f"tests.lan.test_{name}" for name in measured}, alone)

    def test_its_parts_together_are_the_whole(self) -> None:
        parts = ("two-at-a-time", "installed", "unmeasured", "own-interop", "one-by-one")
        runs = [run for part in parts for run in self.trials(f"test-{part}")]
        self.assertEqual(self.tests(*runs), self.tests(*self.trials("test")))

    def tests(self, *runs: set[str]) -> list[str]:
        """Return what some runs of trial are given, sorted."""
        return sorted(name for run in runs for name in run if name.startswith("tests"))

    def test_some_tests_alone_can_be_run(self) -> None:
        self.assertEqual(
            self.trials("test", "TESTS=tests.sources tests.faces"),
            [{"tests.sources", "tests.faces"}],
        )

    def trials(self, *arguments: str) -> list[set[str]]:
        """Return what make would give to trial, each run's."""
        said = self.make("--dry-run", *arguments)
        return [set(run.split()) for run in re.findall(r"-m twisted\.trial ([^;&|\n]+)", said)]


class Installing(SynchronousTestCase):
    def test_pip_installs_a_node_and_a_command_into_an_environment(self) -> None:
        need(modules=("ensurepip", "setuptools", "wheel"))
        home = folder()
        # What it needs is there already, as if fetched: the test goes to no network.
        fetched = [path for path in sys.path if re.search("(site|dist)-packages$", path)]
        places = {"HOME": str(home), "PYTHONPATH": os.pathsep.join(fetched), "PIP_NO_INDEX": "1"}
        places |= {"PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        place = "~/.local/share/flocon"
        line = f"python -m venv {place} && {place}/bin/pip install ."
        self.assertIn(line, (PROJECT / "README.rst").read_text())
        python = f'python() {{ "{sys.executable}" "$@"; }}; cd "{clone()}"; '
        succeed("sh", "-c", python + line, **places)
        programs = home / ".local/share/flocon/bin"
        version = succeed(str(programs / "flocon"), "--version", **places)
        self.assertEqual(version, f"flocon {__version__}\n")
        where = "import flocon, twisted.plugins.flocon_plugin as plugin; print(plugin.__file__)"
        told = succeed(str(programs / "python"), "-P", "-c", where, **places)
        self.assertTrue(told.startswith(str(home)), told)
