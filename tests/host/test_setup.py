"""What setup does to real files and undoes again, as real pacman-conf reads it; and borrow."""

from __future__ import annotations

import fcntl
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock, skipUnless

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon import cli, reading
from flocon.core.node_lines import Method
from flocon.errors import ConfigurationError, ToolMissing
from flocon.host import setup
from tests.host.pacman_shapes import CORE, EXTRA, HAND, MIRRORLIST, REFUSED, SHAPES, Shape, stock

PORT = 19433
NODE = "http://localhost:19433/"
HAS_PACMAN = bool(shutil.which("pacman") and shutil.which("pacman-conf"))
NEEDS_PACMAN = "pacman and pacman-conf are not installed"
NEEDS_ROOT = "only root can become somebody else"
MAIN = "from flocon.cli import main; main()"
NOBODY = 65534


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below ``folder``, by name; a link is not one."""
    files = (one for one in sorted(folder.rglob("*")) if one.is_file() and not one.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def ask_pacman_conf(path: Path, *arguments: str) -> list[str]:
    done = subprocess.run(
        ["pacman-conf", "--config", str(path), *arguments], capture_output=True, check=True
    )
    return os.fsdecode(done.stdout).splitlines()


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


class Shapes(Case):
    def each(self) -> Iterator[tuple[str, Shape, Path]]:
        for name, shape in SHAPES.items():
            folder = self.base / name.replace(" ", "-").replace("*", "")
            folder.mkdir()
            yield name, shape, shape.write(folder)

    def test_there_are_twenty_and_more(self) -> None:
        self.assertGreaterEqual(len(SHAPES), 25)

    def test_undo_restores_every_byte_and_leaves_nothing_behind(self) -> None:
        for method in Method:
            for name, _, path in self.each():
                before = contents(path.parent)
                change(path, method)
                setup.undo(path, dry_run=False)
                self.assertEqual(before, contents(path.parent), name)
                shutil.rmtree(path.parent)

    def test_twice_is_once(self) -> None:
        for method in Method:
            for name, _, path in self.each():
                change(path, method)
                once = contents(path.parent)
                self.assertEqual((), change(path, method).changed, name)
                self.assertEqual(once, contents(path.parent), name)
                shutil.rmtree(path.parent)

    def test_a_server_line_goes_into_these_files_only(self) -> None:
        for name, shape, path in self.each():
            report = change(path)
            changed = {str(one.relative_to(path.parent)) for one in report.changed}
            self.assertEqual(set(shape.changed), changed, name)

    def test_a_cache_server_goes_into_the_sections_and_no_mirrorlist(self) -> None:
        for name, shape, path in self.each():
            change(path, Method.CACHE_SERVER)
            after = contents(path.parent)
            text = b"".join(text for one, text in after.items() if "flocon" not in one)
            wanted = len(shape.served) - len(shape.by_hand)
            self.assertEqual(wanted, text.count(b"CacheServer = " + HAND), name)
            for one in after:
                if "mirror" in one and "flocon" not in one:
                    self.assertNotIn(b"CacheServer", after[one], name)

    def test_what_is_left_out_is_named_with_its_place(self) -> None:
        for name, shape, path in self.each():
            notes = change(path).notes
            for repository in shape.left:
                said = [note for note in notes if f"[{repository}]" in note]
                self.assertEqual(1, len(said), name)
                self.assertRegex(said[0], r"pacman\.conf line [0-9]+: ")

    @skipUnless(HAS_PACMAN, NEEDS_PACMAN)
    def test_pacman_reads_the_node_first_and_all_else_as_before(self) -> None:
        for name, shape, path in self.each():
            before = ask_pacman_conf(path)
            change(path)
            after = ask_pacman_conf(path)
            self.assertEqual(
                [line for line in before if ":19433/" not in line],
                [line for line in after if ":19433/" not in line],
                name,
            )
            for repository in shape.served:
                servers = ask_pacman_conf(path, "--repo", repository, "Server")
                first = next(url for url in servers if url.startswith("http"))
                self.assertRegex(
                    first, rf"^http://(localhost|127\.0\.0\.1|\[::1\]):19433/{repository}/os/", name
                )
                # A mirrorlist after an own server brings the node once more: for the others.
                asked = sum(":19433/" in url for url in servers)
                self.assertLessEqual(asked, max(1, len(shape.changed)), name)
            for repository in shape.left:
                servers = ask_pacman_conf(path, "--repo", repository, "Server")
                self.assertFalse(any(":19433/" in url for url in servers), name)

    def test_what_cannot_be_done_is_refused_with_the_place_and_a_remedy(self) -> None:
        for name, (files, words) in REFUSED.items():
            self.etc = self.base / name.replace(" ", "-")
            self.etc.mkdir()
            path = self.write(files)
            self.assertIn(words, self.refusal(partial(change, path)))


class Setting(Case):
    def test_a_dry_run_shows_the_change_and_makes_none(self) -> None:
        path = self.write(stock(CORE))
        before = contents(self.etc)
        report = setup.set_up(path, port=PORT, method=Method.SERVER, dry_run=True)
        self.assertIn(f"\n+Server = {NODE}$repo/os/$arch\n Server = https://de2", report.diff)
        self.assertEqual(before, contents(self.etc))
        self.assertEqual(report.diff, change(path).diff)

    def test_the_backup_is_the_file_as_it_was(self) -> None:
        path = self.write(stock(CORE))
        change(path)
        self.assertEqual(MIRRORLIST, (self.etc / "pacman.d/mirrorlist.flocon-backup").read_bytes())

    def test_a_backup_is_hidden_where_an_include_would_read_it(self) -> None:
        path = SHAPES["backups that an Include would read"].write(self.etc)
        change(path)
        self.assertIn("pacman.d/.mirrorlist.flocon-backup", contents(self.etc))
        self.assertNotIn("pacman.d/mirrorlist.flocon-backup", contents(self.etc))

    def test_mode_and_owner_stay(self) -> None:
        path = self.write(stock(CORE))
        mirrorlist = self.etc / "pacman.d/mirrorlist"
        mirrorlist.chmod(0o640)
        if os.geteuid() == 0:
            os.chown(mirrorlist, 12, 34)
        before = mirrorlist.stat()
        change(path)
        after = mirrorlist.stat()
        self.assertNotEqual(before.st_ino, after.st_ino)
        self.assertEqual(
            (before.st_mode, before.st_uid, before.st_gid),
            (after.st_mode, after.st_uid, after.st_gid),
        )

    def test_a_link_stays_a_link(self) -> None:
        path = SHAPES["a symlinked mirrorlist and pacman.conf"].write(self.etc)
        change(path)
        self.assertTrue(path.is_symlink())
        self.assertTrue((self.etc / "pacman.d/mirrorlist").is_symlink())

    def test_another_method_takes_the_place_of_the_first(self) -> None:
        path = self.write(stock(CORE + EXTRA))
        before = contents(self.etc)
        change(path, Method.SERVER)
        change(path, Method.CACHE_SERVER)
        after = contents(self.etc)
        self.assertEqual(MIRRORLIST, after["pacman.d/mirrorlist"])
        self.assertNotIn("pacman.d/mirrorlist.flocon-backup", after)
        self.assertEqual(2, after["pacman.conf"].count(b"CacheServer"))
        setup.undo(path, dry_run=False)
        self.assertEqual(before, contents(self.etc))

    def test_another_port_takes_the_place_of_the_first(self) -> None:
        path = self.write(stock(CORE))
        before = contents(self.etc)
        change(path)
        change(path, port=4711)
        text = (self.etc / "pacman.d/mirrorlist").read_bytes()
        self.assertIn(b"localhost:4711", text)
        self.assertNotIn(b"localhost:19433", text)
        setup.undo(path, dry_run=False)
        self.assertEqual(before, contents(self.etc))

    def test_a_repository_added_later_is_added(self) -> None:
        path = self.write(stock(CORE))
        change(path)
        grown = path.read_bytes() + b"\n[mine]\nServer = https://mine.example\n"
        path.write_bytes(grown)
        self.assertEqual((path,), change(path).changed)
        setup.undo(path, dry_run=False)
        self.assertEqual(grown, path.read_bytes())
        self.assertEqual(MIRRORLIST, (self.etc / "pacman.d/mirrorlist").read_bytes())

    def test_a_mirrorlist_that_was_ranked_anew_is_set_up_anew(self) -> None:
        path = self.write(stock(CORE))
        change(path)
        mirrorlist = self.etc / "pacman.d/mirrorlist"
        ranked = b"Server = https://best.example/$repo/os/$arch\n"
        mirrorlist.write_bytes(ranked)
        self.assertEqual((mirrorlist,), change(path).changed)
        setup.undo(path, dry_run=False)
        self.assertEqual(ranked, mirrorlist.read_bytes())

    def test_the_version_decides_where_nothing_is_said(self) -> None:
        path = self.write(stock(CORE))
        for version, databases, expected in (
            ((6, 0), False, {"Server"}),
            ((6, 1), False, {"CacheServer"}),
            ((7, 1), True, {"CacheServer", "Server"}),
        ):
            with mock.patch.object(setup, "pacman_version", return_value=version):
                report = setup.set_up(path, port=PORT, databases=databases, dry_run=True)
            added = [line for line in report.diff.splitlines() if NODE in line]
            self.assertEqual(expected, {line[1:].partition(" ")[0] for line in added})

    def test_without_pacman_the_method_must_be_named(self) -> None:
        path = self.write(stock(CORE))
        with mock.patch.dict(os.environ, {"PATH": str(self.base)}):
            said = self.refusal(lambda: setup.set_up(path, port=PORT, dry_run=False))
            self.assertIn("--server or --cache-server", said)
            self.assertTrue(change(path).changed)

    def test_cache_server_is_put_back_where_pacman_does_not_know_it(self) -> None:
        path = self.write(stock(CORE))
        with (
            mock.patch.object(setup, "pacman_version", return_value=(7, 0)),
            tools(
                self.base / "bin",
                pacman_conf="grep -q ^CacheServer $2 &&"
                " echo \"directive 'CacheServer' in section 'core' not recognized.\" >&2; cat $2",
            ),
        ):
            said = self.refusal(lambda: setup.set_up(path, port=PORT, dry_run=False))
        self.assertIn("pacman does not know CacheServer", said)

    def test_what_pacman_reads_otherwise_than_meant_is_put_back(self) -> None:
        path = self.write(stock(CORE))
        mark = self.base / "asked"
        with tools(self.base / "bin", pacman_conf=f"test -e {mark} && echo Color; : >{mark}"):
            self.assertIn("everything was put back", self.refusal(lambda: change(path)))

    def test_what_pacman_cannot_read_is_refused_before(self) -> None:
        path = self.write(stock(CORE))
        with tools(self.base / "bin", pacman_conf="echo 'error: line 3: no' >&2; exit 1"):
            said = self.refusal(lambda: change(path))
        self.assertIn("pacman itself cannot read it (error: line 3: no)", said)

    def test_a_failure_halfway_puts_all_back(self) -> None:
        path = self.write(SHAPES["endeavouros"].files)
        write = setup._write
        for failing in range(5):
            count = iter(range(100))

            def flaky(name: str, text: bytes, *, like: str) -> None:
                if next(count) == failing:  # noqa: B023 - used within this turn
                    raise ConfigurationError(name, "cannot be written", "try again")
                write(name, text, like=like)

            with mock.patch.object(setup, "_write", flaky):
                self.assertIn("cannot be written", self.refusal(lambda: change(path)))

    @skipUnless(os.geteuid() == 0, NEEDS_ROOT)
    def test_a_file_or_folder_that_is_read_only_is_refused(self) -> None:
        self.base.chmod(0o755)
        path = self.write(stock(CORE))
        self.etc.chmod(0o755)
        folder = self.etc / "pacman.d"
        for mode_of_file, mode_of_folder in ((0o644, 0o777), (0o666, 0o755)):
            (folder / "mirrorlist").chmod(mode_of_file)
            folder.chmod(mode_of_folder)
            os.seteuid(NOBODY)
            try:
                said = self.refusal(lambda: change(path))
            finally:
                os.seteuid(0)
            self.assertIn("mirrorlist: cannot be written (no permission for", said)
            self.assertIn("run this as root", said)

    def test_neither_a_fifo_nor_a_device_is_read(self) -> None:
        path = self.write(stock(CORE))
        mirrorlist = self.etc / "pacman.d/mirrorlist"
        for put in (os.mkfifo, lambda one: one.symlink_to("/dev/zero")):
            mirrorlist.unlink()
            put(mirrorlist)
            self.assertIn("is not a regular file", self.refusal(lambda: change(path)))

    def test_a_file_with_another_hard_link_is_refused(self) -> None:
        path = self.write(stock(CORE))
        os.link(self.etc / "pacman.d/mirrorlist", self.base / "other")
        self.assertIn("has another hard link", self.refusal(lambda: change(path)))

    def test_a_strangers_backup_is_not_overwritten(self) -> None:
        path = self.write(stock(CORE))
        (self.etc / "pacman.d/mirrorlist.flocon-backup").write_bytes(b"precious")
        self.assertIn("move it away", self.refusal(lambda: change(path)))

    def test_a_record_of_a_stranger_is_refused(self) -> None:
        path = self.write(stock(CORE))
        for text in ("{", "[]", '{"version": 2, "files": []}', "[" * 5000):
            (self.etc / "pacman.conf.flocon-setup").write_text(text)
            self.assertIn("is not a record", self.refusal(lambda: change(path)))


#: What changes something on the disk, one call each.
CALLS = ("open", "fsync", "replace", "unlink", "fchmod")


def killed_at(number: int, call: Callable[[], object]) -> bool:
    """Run ``call`` in a process that ends before its nth step on the disk; whether it did."""
    process = os.fork()
    if process == 0:
        steps = iter(range(1, number))
        status = 1

        def counted(function: Callable[..., object]) -> Callable[..., object]:
            def step(*arguments: object, **named: object) -> object:
                if next(steps, None) is None:
                    os._exit(9)
                return function(*arguments, **named)

            return step

        try:
            for name in CALLS:
                setattr(os, name, counted(getattr(os, name)))
            call()
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert status in {0, 9}, status
    return status == 9


class Killed(Case):
    """A run that ends at any moment, as with kill -9: the next finds whatever it left."""

    def each(self, prepare: Callable[[Path], object], call: Callable[[Path], object]) -> list[Path]:
        """Return one folder for each moment, as the killed run left it."""
        left = []
        for number in range(1, 400):
            self.etc = self.base / str(number)
            self.etc.mkdir()
            path = self.write(stock(CORE + EXTRA))
            prepare(path)
            if not killed_at(number, partial(call, path)):
                break
            left.append(path)
        self.assertGreaterEqual(len(left), 10)
        return left

    def assert_undone(self, path: Path) -> None:
        setup.undo(path, dry_run=False)
        wanted = {
            name: text.replace(b"@/", os.fsencode(f"{path.parent}/"))
            for name, text in stock(CORE + EXTRA).items()
        }
        self.assertEqual(wanted, contents(path.parent))

    def setting(self, path: Path) -> None:
        change(path, Method.BOTH)

    def test_a_first_setting_is_undone(self) -> None:
        for path in self.each(lambda _: None, self.setting):
            self.assert_undone(path)

    def test_a_first_setting_is_taken_up_and_undone(self) -> None:
        wanted = None
        for path in self.each(lambda _: None, self.setting):
            self.setting(path)
            wanted = wanted or {name for name in contents(path.parent) if "new" not in name}
            self.assertEqual(wanted, set(contents(path.parent)))
            self.assert_undone(path)

    def test_another_setting_is_undone(self) -> None:
        for path in self.each(self.setting, lambda path: change(path, Method.SERVER, 4711)):
            self.assert_undone(path)

    def test_another_setting_is_taken_up_and_undone(self) -> None:
        for path in self.each(self.setting, lambda path: change(path, Method.SERVER, 4711)):
            change(path, Method.SERVER, 4711)
            self.assertEqual((), change(path, Method.SERVER, 4711).changed)
            self.assert_undone(path)

    def test_undoing_is_done_again(self) -> None:
        for path in self.each(self.setting, lambda path: setup.undo(path, dry_run=False)):
            self.assert_undone(path)

    def test_two_at_a_time_are_refused(self) -> None:
        path = self.write(stock(CORE))
        folder = os.open(path.parent, os.O_RDONLY)
        self.addCleanup(os.close, folder)
        fcntl.flock(folder, fcntl.LOCK_EX)
        self.assertIn("another 'flocon setup'", self.refusal(partial(change, path)))
        self.assertIn(
            "another 'flocon setup'", self.refusal(partial(setup.undo, path, dry_run=False))
        )


class Undoing(Case):
    def test_only_the_own_lines_go_where_the_file_was_changed_since(self) -> None:
        path = self.write(stock(CORE))
        change(path)
        mirrorlist = self.etc / "pacman.d/mirrorlist"
        mirrorlist.write_bytes(b"# mine\n" + mirrorlist.read_bytes() + b"Server = http://z\n")
        report = setup.undo(path, dry_run=False)
        self.assertEqual(b"# mine\n" + MIRRORLIST + b"Server = http://z\n", mirrorlist.read_bytes())
        self.assertIn("was changed since", report.notes[0])

    def test_a_line_that_is_gone_is_told(self) -> None:
        path = self.write(stock(CORE))
        change(path)
        mirrorlist = self.etc / "pacman.d/mirrorlist"
        mirrorlist.write_bytes(b"Server = http://z\n")
        report = setup.undo(path, dry_run=False)
        self.assertIn("had been taken out by somebody else", report.notes[0])
        self.assertEqual({"pacman.conf", "pacman.d/mirrorlist"}, set(contents(self.etc)))

    def test_a_mirrorlist_that_is_gone_is_told(self) -> None:
        path = self.write(stock(CORE))
        change(path)
        (self.etc / "pacman.d/mirrorlist").unlink()
        self.assertIn("is gone", setup.undo(path, dry_run=False).notes[0])
        self.assertEqual({"pacman.conf"}, set(contents(self.etc)))

    def test_a_set_up_by_hand_stays(self) -> None:
        path = SHAPES["set up by hand for one repository"].write(self.etc)
        before = contents(self.etc)
        change(path)
        setup.undo(path, dry_run=False)
        self.assertEqual(before, contents(self.etc))

    def test_without_a_record_there_is_nothing_to_undo(self) -> None:
        path = SHAPES["a stock set-up by hand in the mirrorlist"].write(self.etc)
        report = setup.undo(path, dry_run=False)
        self.assertEqual((), report.changed)
        self.assertIn("no set-up is on record", report.notes[0])

    def test_a_dry_run_shows_and_leaves(self) -> None:
        path = self.write(stock(CORE))
        change(path)
        before = contents(self.etc)
        self.assertIn(f"\n-Server = {NODE}", setup.undo(path, dry_run=True).diff)
        self.assertEqual(before, contents(self.etc))

    def test_lines_elsewhere_go_where_pacman_conf_itself_is_gone(self) -> None:
        path = self.write(stock(CORE))
        change(path)
        path.unlink()
        report = setup.undo(path, dry_run=False)
        self.assertEqual((self.etc / "pacman.d/mirrorlist",), report.changed)
        self.assertEqual({"pacman.d/mirrorlist": MIRRORLIST}, contents(self.etc))

    def test_lines_elsewhere_go_where_pacman_conf_with_lines_is_gone(self) -> None:
        path = self.write(stock(CORE))
        change(path, Method.BOTH)
        path.unlink()
        report = setup.undo(path, dry_run=False)
        self.assertIn("is gone", report.notes[0])
        self.assertEqual({"pacman.d/mirrorlist": MIRRORLIST}, contents(self.etc))

    def test_what_cannot_be_read_is_not_taken_for_gone(self) -> None:
        path = self.write(stock(CORE))
        change(path)
        read = reading.read_plain

        def refuse(one: str, most: int) -> bytes:
            if one.endswith("mirrorlist"):
                raise PermissionError(13, "Permission denied")
            return read(one, most)

        before = contents(self.etc)
        with mock.patch.object(setup, "read_plain", refuse):
            self.assertRaises(ConfigurationError, setup.undo, path, dry_run=False)
        self.assertEqual(before, contents(self.etc))

    @settings(max_examples=25, deadline=None)
    @given(
        st.lists(st.sampled_from(sorted(SHAPES))), st.binary(max_size=30), st.sampled_from(Method)
    )
    def test_any_mirrorlist_comes_back(self, names: list[str], odd: bytes, method: Method) -> None:
        lists = [SHAPES[name].files.get("pacman.d/mirrorlist", b"") for name in names]
        with TemporaryDirectory() as folder:
            files = stock(CORE + EXTRA, b"#" + odd.join(lists) + odd)
            path = Shape(files, ()).write(Path(folder))
            before = contents(Path(folder))
            try:
                change(path, method)
            except ConfigurationError:
                self.assertEqual(before, contents(Path(folder)))
                return
            setup.undo(path, dry_run=False)
            self.assertEqual(before, contents(Path(folder)))


class Node(http.server.BaseHTTPRequestHandler):
    """Answers ``/check`` as a node does, everything else with 404, and keeps the paths."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = b"OK\n" if self.path == "/check" else b""
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def node() -> Iterator[tuple[int, list[str]]]:
    """Run something that answers as a node; yield its port and what it was asked."""
    asked: list[str] = []
    handler = type("Handler", (Node,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            thread.join()


class Borrowing(Case):
    #: Stands in for pacman: notes its arguments and configuration, and fails in its own way.
    STUB = """
if [ "$1" = --version ]; then echo " Pacman v$VERSION - libalpm"; exit 0; fi
echo "$@" >"$OUT/arguments"; env >"$OUT/environment"
[ "$1" = --config ] && cat "$2" >"$OUT/configuration"
exit 7"""

    def run_cli(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        with tools(self.base / "bin", pacman=self.STUB):
            return subprocess.run(
                [sys.executable, "-c", MAIN, *arguments],
                env={**os.environ, "OUT": str(self.base), "VERSION": "7.0.0", **environment},
                cwd=Path(setup.__file__).parents[2],
                capture_output=True,
                check=False,
            )

    def said(self, name: str) -> str:
        return (self.base / name).read_text()

    def test_pacman_runs_once_with_the_node_and_the_files_stay(self) -> None:
        path = self.write(stock(CORE + EXTRA))
        before = contents(self.etc)
        with node() as (port, _):
            done = self.run_cli("--port", str(port), "pacman", "-Syu", "--config", str(path), "a=b")
        self.assertEqual((7, b""), (done.returncode, done.stderr))
        self.assertRegex(self.said("arguments"), r"^--config /proc/self/fd/[0-9]+ -Syu a=b\n$")
        line = f"CacheServer = http://localhost:{port}/$repo/os/$arch\n"
        self.assertIn(f"[core]\n{line}Server = https://de2", self.said("configuration"))
        self.assertEqual(before, contents(self.etc))

    def test_an_older_pacman_gets_a_server(self) -> None:
        path = self.write(stock(CORE))
        with node() as (port, _):
            self.run_cli(f"--port={port}", "pacman", f"--config={path}", "-Sy", VERSION="6.0.2")
        line = f"\nServer = http://localhost:{port}/$repo/os/$arch\nServer = https://de2"
        self.assertIn(line, self.said("configuration"))

    def test_a_proxy_is_not_asked_for_the_node(self) -> None:
        path = self.write(stock(CORE))
        with node() as (port, _):
            environment = {"http_proxy": "http://proxy.example:1", "no_proxy": "x.example"}
            self.run_cli(f"--port={port}", "pacman", "--config", str(path), "-Sy", **environment)
        self.assertIn("no_proxy=x.example,localhost\n", self.said("environment"))

    def test_pacman_is_plain_and_says_so_where_no_node_answers(self) -> None:
        path = self.write(stock(CORE))
        with node() as (port, _):
            pass
        done = self.run_cli(f"--port={port}", "pacman", "--config", str(path), "--", "--config")
        self.assertEqual(7, done.returncode)
        self.assertIn(b"pacman goes on without the node", done.stderr)
        self.assertEqual(f"--config {path} -- --config\n", self.said("arguments"))

    def test_a_configuration_that_cannot_be_led_is_used_as_it_is(self) -> None:
        path = self.write({"pacman.conf": b"[options]\n"})
        with node() as (port, _):
            done = self.run_cli(f"--port={port}", "pacman", "--config", str(path), "-Q")
        self.assertEqual(7, done.returncode)
        self.assertIn(b"nothing can be set up", done.stderr)
        self.assertEqual(f"--config {path} -Q\n", self.said("arguments"))

    def test_a_set_up_pacman_runs_as_it_is(self) -> None:
        path = self.write(stock(CORE))
        with node() as (port, _):
            change(path, Method.CACHE_SERVER, port=port)
            done = self.run_cli(f"--port={port}", "pacman", "--config", str(path), "-Sy")
        self.assertEqual(b"", done.stderr)
        self.assertEqual(f"--config {path} -Sy\n", self.said("arguments"))

    def test_every_argument_is_pacmans(self) -> None:
        with node() as (port, _):
            pass
        self.run_cli("--port", str(port), "pacman", "--help", "--json", "--port", "-h", "--undo")
        self.assertEqual("--help --json --port -h --undo\n", self.said("arguments"))

    def test_something_else_on_the_port_is_not_a_node(self) -> None:
        def refuse(self: Node) -> None:
            self.send_error(503)

        with node() as (port, _):
            self.assertTrue(setup.node_answers(port))
            with mock.patch.object(Node, "do_GET", refuse):
                self.assertFalse(setup.node_answers(port))

    def test_without_pacman_there_is_nothing_to_run(self) -> None:
        with mock.patch.dict(os.environ, {"PATH": str(self.base)}):
            self.assertRaises(ToolMissing, setup.borrow, ["-Q"], port=1, tell=self.fail)

    @skipUnless(HAS_PACMAN, NEEDS_PACMAN)
    def test_a_real_pacman_asks_the_node_first(self) -> None:
        folders = ("RootDir", "DBPath", "CacheDir", "GPGDir", "HookDir")
        options = "[options]\nArchitecture = x86_64\nSigLevel = Never\n"
        for name in folders:
            (self.base / name).mkdir()
            options += f"{name} = {self.base / name}\n"
        options += f"LogFile = {self.base / 'log'}\n"
        mirrorlist = b"Server = http://127.0.0.1:9/$repo\n"
        path = self.write(stock(CORE, mirrorlist, options=options.encode()))
        # Below folders of its own it needs no more than to believe that it is root.
        root = ["fakeroot"] if os.geteuid() else []
        if root and not shutil.which("fakeroot"):
            self.skipTest("pacman needs root here, or fakeroot")
        arguments = ("pacman", "-Sy", f"--config={path}")
        with node() as (port, asked):
            done = subprocess.run(
                [*root, sys.executable, "-c", MAIN, f"--port={port}", *arguments],
                cwd=Path(setup.__file__).parents[2],
                capture_output=True,
                check=False,
            )
        self.assertEqual(["/check", "/core/os/x86_64/core.db"], asked, done.stderr)
        self.assertEqual(1, done.returncode)


class Command(Case):
    def run_cli(self, *arguments: str) -> tuple[int, str, str]:
        errors = StringIO()
        with redirect_stdout(StringIO()) as output, mock.patch("sys.stderr", errors):
            try:
                cli.main(["setup", "--pacman-conf", str(self.etc / "pacman.conf"), *arguments])
            except SystemExit as end:
                return int(str(end.code)), output.getvalue(), errors.getvalue()
        return 0, output.getvalue(), errors.getvalue()

    def test_setup_undo_and_again(self) -> None:
        self.write(stock(CORE))
        before = contents(self.etc)
        status, output, _ = self.run_cli("--server")
        self.assertEqual(0, status)
        self.assertIn(f"+Server = {NODE}", output)
        self.assertIn("nothing to change", self.run_cli("--server")[1])
        status, output, _ = self.run_cli("--undo")
        self.assertIn(f"-Server = {NODE}", output)
        self.assertEqual(before, contents(self.etc))
        status, output, errors = self.run_cli("--undo")
        self.assertEqual(0, status)
        self.assertIn("nothing to change", output)
        self.assertIn("no set-up is on record", errors)

    def test_a_refusal_is_one_sentence_and_status_1(self) -> None:
        self.write({"pacman.conf": b""})
        status, output, errors = self.run_cli("--cache-server")
        self.assertEqual((1, ""), (status, output))
        self.assertEqual(1, errors.count("\n"))

    def test_options_choose_the_lines(self) -> None:
        self.write(stock(CORE))
        for options, expected in (
            (["--cache-server"], {"CacheServer"}),
            (["--cache-server", "--databases"], {"CacheServer", "Server"}),
            (["--server"], {"Server"}),
        ):
            _, output, _ = self.run_cli("--dry-run", "--port", "4711", *options)
            added = [line for line in output.splitlines() if "localhost:4711" in line]
            self.assertEqual(expected, {line[1:].partition(" ")[0] for line in added})

    def test_a_record_is_text_that_a_person_can_read(self) -> None:
        self.write(stock(CORE))
        self.run_cli("--server")
        record = json.loads((self.etc / "pacman.conf.flocon-setup").read_text())
        self.assertEqual(str(self.etc / "pacman.d/mirrorlist"), record["files"][0]["path"])
