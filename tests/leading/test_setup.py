"""What setup does to real files and undoes again, as real pacman-conf reads it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock, skipUnless

from hypothesis import given, settings
from hypothesis import strategies as st

from flocon import cli
from flocon.errors import ConfigurationError
from flocon.leading import setup
from flocon.leading.node_lines import Method
from tests.leading.pacman_shapes import CORE, EXTRA, HAND, MIRRORLIST, REFUSED, SHAPES, Shape, stock
from tests.leading.setup_case import HAS_PACMAN, NEEDS_PACMAN, NODE, PORT, Case, change, contents

NOBODY = 65534


def ask_pacman_conf(path: Path, *arguments: str) -> list[str]:
    done = subprocess.run(
        ["pacman-conf", "--config", str(path), *arguments], capture_output=True, check=True
    )
    return os.fsdecode(done.stdout).splitlines()


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

    def test_a_mirrorlist_that_became_a_link_stays_one(self) -> None:
        path = self.write(stock(CORE))
        change(path)
        link, kept = self.etc / "pacman.d/mirrorlist", self.base / "kept"
        link.rename(kept)
        link.symlink_to(kept)
        self.assertEqual((), change(path).changed)
        self.assertTrue(link.is_symlink())
        self.assertEqual(1, kept.read_bytes().count(NODE.encode()))
        self.assertEqual((kept,), setup.undo(path, dry_run=False).changed)
        self.assertEqual(MIRRORLIST, kept.read_bytes())
        self.assertTrue(link.is_symlink())
        self.assertEqual(
            {"pacman.conf", "pacman.d/mirrorlist"},
            {str(one.relative_to(self.etc)) for one in self.etc.rglob("*") if not one.is_dir()},
        )


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
