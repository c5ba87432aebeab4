"""Which keys are trusted of those that nodes tell of, and what pacman is told of them."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock, skipUnless

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.cli.parser import make_parser
from flocon.errors import ConfigurationError, RepositoryError, ToolError
from flocon.joined.finding import MOST_ASKED, UNASKED
from flocon.joined.keys import as_fingerprint, read_keys
from flocon.publishing.joining import (
    Found,
    again,
    ask,
    choose,
    demand_all_asked,
    demand_ours,
    find,
    join,
    renounce,
    unite,
)
from flocon.publishing.trusting import (
    certified,
    demand_tools,
    revoked,
    tell_of_revoked,
    trust,
    trust_no_more,
)
from tests.joined.maker import signer
from tests.leading.setup_case import tools
from tests.pgp import Signer

HAS_PACMAN_KEY = bool(shutil.which("pacman-key"))


def public(number: int) -> bytes:
    return signer(number).gpg("--export")


def fingerprint(number: int) -> str:
    return read_keys(public(number))[0].fingerprint


def row(node: str, *numbers: int, problem: str = "") -> dict[str, Any]:
    keys = [{"key": b64encode(public(number)).decode()} for number in numbers]
    return {"node": node, "address": "10.0.0.1", "keys": keys, "problem": problem}


class ChoosingTests(SynchronousTestCase):
    def choose(
        self,
        *rows: dict[str, Any],
        wanted: tuple[str, ...] = (),
        pinned: frozenset[str] = frozenset(),
    ) -> list[str]:
        return choose(*find(rows), wanted, set(pinned))

    def test_a_key_that_all_nodes_tell_of_is_asked_about(self) -> None:
        self.assertEqual(self.choose(row("a", 0), row("b", 0)), [fingerprint(0)])

    def test_where_not_all_were_asked_a_person_names_it(self) -> None:
        rows = row("a", 0), row("b", problem=UNASKED)
        with self.assertRaises(RepositoryError) as raised:
            demand_all_asked(rows)
        self.assertIn("--fingerprint", str(raised.exception))
        demand_all_asked([row("a", 0), row("b", problem="it is away")])

    def test_who_tells_nothing_does_not_disagree(self) -> None:
        rows = row("a", 0), row("b", problem="it is away")
        self.assertEqual(self.choose(*rows), [fingerprint(0)])

    def test_a_key_that_one_node_alone_adds_is_not_taken(self) -> None:
        self.assertEqual(self.choose(row("a", 0), row("b", 0, 1)), [fingerprint(0)])

    def test_nodes_that_do_not_agree_have_a_person_name_it(self) -> None:
        with self.assertRaises(RepositoryError) as raised:
            self.choose(row("a", 0), row("b", 1))
        self.assertIn("do not agree", str(raised.exception))
        self.assertEqual(
            self.choose(row("a", 0), row("b", 1), wanted=(fingerprint(1),)), [fingerprint(1)]
        )

    def test_a_key_that_was_named_and_nobody_has_is_refused(self) -> None:
        self.assertRaises(RepositoryError, self.choose, row("a", 0), wanted=(fingerprint(1),))

    def test_a_fingerprint_is_the_keys_own_whatever_a_node_says(self) -> None:
        lying = row("a", 0)
        lying["keys"][0]["fingerprint"] = fingerprint(1)
        self.assertEqual(self.choose(lying), [fingerprint(0)])


class _SuccessionCase(SynchronousTestCase):
    """Has a key, and another one with and without the first one's word for it."""

    def setUp(self) -> None:
        self.old, self.new = Signer(), Signer()
        self.addCleanup(self.old.close)
        self.addCleanup(self.new.close)
        self.old_key = read_keys(self.old.gpg("--export"))[0]
        plain = self.new.gpg("--export")
        path = self.old.home / "new"
        path.write_bytes(plain)
        self.uncertified = read_keys(plain)[0]
        self.old.gpg("--import", str(path))
        new = self.uncertified.fingerprint
        self.old.gpg("--yes", "--quick-sign-key", new)
        self.certified = read_keys(self.old.gpg("--export", new))[0]

    def row(self, node: str, *keys: bytes) -> dict[str, Any]:
        told = [{"key": b64encode(one).decode()} for one in keys]
        return {"node": node, "address": "10.0.0.1", "keys": told, "problem": ""}


class SuccessionTests(_SuccessionCase):
    """A key that the old one has certified is announced as its successor."""

    def test_gpg_says_which_key_vouches_for_which(self) -> None:
        old = self.old_key.fingerprint
        both = [self.old_key, self.certified]
        self.assertEqual(certified(both, {old}), {self.certified.fingerprint})
        self.assertEqual(certified(both, {self.certified.fingerprint}), set())
        self.assertEqual(certified([self.old_key, self.uncertified], {old}), set())

    def test_successor_is_chosen_beside_the_old_one(self) -> None:
        rows = [
            self.row("a", self.old_key.data),
            self.row("b", self.old_key.data, self.certified.data),
        ]
        self.assertEqual(
            choose(*find(rows), (), set()),
            [self.old_key.fingerprint, self.certified.fingerprint],
        )
        rows[1] = self.row("b", self.old_key.data, self.uncertified.data)
        self.assertEqual(choose(*find(rows), (), set()), [self.old_key.fingerprint])

    def test_a_revoked_key_vouches_for_the_next_and_is_not_taken_itself(self) -> None:
        self.old.revoke()
        gone = read_keys(self.old.gpg("--export", self.old_key.fingerprint))[0]
        bad = revoked([gone, self.certified])
        self.assertEqual(bad, {gone.fingerprint})
        self.assertEqual(revoked([self.old_key, self.certified]), set())
        found, asked = find([self.row("a", gone.data, self.certified.data)])
        pinned = {gone.fingerprint}
        self.assertEqual(choose(found, asked, (), pinned, bad), [self.certified.fingerprint])
        with self.assertRaisesRegex(RepositoryError, "is revoked"):
            choose(found, asked, (gone.fingerprint,), pinned, bad)


class FormsTests(_SuccessionCase):
    """One key as several nodes have it: the first to answer cannot leave out what others tell."""

    def united(self, *rows: dict[str, Any]) -> dict[str, Found]:
        found, _ = find(rows)
        unite(found)
        return found

    def test_who_vouches_for_it_is_not_left_out(self) -> None:
        old, new = self.old_key.fingerprint, self.certified.fingerprint
        for forms in ((self.uncertified, self.certified), (self.certified, self.uncertified)):
            rows = [self.row("a", self.old_key.data, one.data) for one in forms]
            found = self.united(*rows)
            self.assertEqual(certified([self.old_key, found[new].key], {old}), {new})

    def test_that_it_is_revoked_is_not_left_out(self) -> None:
        before = self.new.gpg("--export")
        self.new.revoke()
        revoked = self.new.gpg("--export")
        (name,) = (one.fingerprint for one in read_keys(before))
        found = self.united(self.row("a", before), self.row("b", revoked))
        self.assertGreaterEqual(len(found[name].key.data), len(revoked))

    def test_many_that_tell_of_it_otherwise_leave_nothing_out(self) -> None:
        before = self.new.gpg("--export")
        self.new.revoke()
        after = self.new.gpg("--export")
        # Something else each time that belongs to no key, and gpg leaves out.
        rows = [
            self.row(f"liar {number}", before + bytes([0xC2, 6, 4, 0x13, 1, 8, 0, number]))
            for number in range(MOST_ASKED - 1)
        ]
        found = self.united(*rows, self.row("honest", after))
        (one,) = found.values()
        self.assertEqual(revoked([one.key]), {one.key.fingerprint})


@skipUnless(HAS_PACMAN_KEY, "pacman-key is not installed")
@skipUnless(not os.geteuid(), "pacman-key is root's")
class TrustingTests(SynchronousTestCase):
    def setUp(self) -> None:
        # A short path: a socket lies in it.
        folder = TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        self.home = Path(folder.name, "gnupg")
        self.conf = self.home.parent / "pacman.conf"
        self.conf.write_text(f"[options]\nGPGDir = {self.home}\n")
        self.addCleanup(self._end_agent)

    def _end_agent(self) -> None:
        command = ["gpgconf", "--homedir", str(self.home), "--kill", "all"]
        subprocess.run(command, check=False, capture_output=True, timeout=10)

    def listing(self) -> str:
        command = ["gpg", "--homedir", str(self.home), "--with-colons", "--list-keys"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def test_key_is_trusted_fully_and_then_no_more(self) -> None:
        trust(self.conf, public(0), [fingerprint(0)])
        trust(self.conf, public(0), [fingerprint(0)])
        keys = [line.split(":") for line in self.listing().splitlines()]
        validity = {one[4]: one[1] for one in keys if one[0] == "pub"}
        self.assertEqual(validity[fingerprint(0)[-16:]], "f")
        trust_no_more(self.conf, [fingerprint(0), fingerprint(1)])
        self.assertNotIn(fingerprint(0), self.listing())

    def validity(self) -> dict[str, str]:
        """Return how far pacman trusts each key, by its id."""
        keys = [line.split(":") for line in self.listing().splitlines()]
        return {one[4]: one[1] for one in keys if one[0] == "pub"}

    def test_a_key_that_another_one_took_the_place_of_is_trusted_no_more(self) -> None:
        """Pacman would take it for any repository: a stolen one, too."""
        folder = self.conf.parent / "keys"
        folder.mkdir()
        for number in (0, 1, 2):
            trust(self.conf, public(number), [fingerprint(number)])
        (folder / "home.gpg").write_bytes(public(0) + public(1))
        (folder / "other.gpg").write_bytes(public(2))
        renounce(self.conf, {fingerprint(0), fingerprint(2)}, folder / "home.gpg")
        known = self.validity()
        self.assertNotIn(fingerprint(0)[-16:], known)
        # By this one another repository was joined.
        self.assertEqual([known[fingerprint(at)[-16:]] for at in (1, 2)], ["f", "f"])

    def test_one_that_was_revoked_is_so_for_pacman_if_it_has_it(self) -> None:
        key, stranger = Signer(), Signer()
        for one in (key, stranger):
            self.addCleanup(one.close)
        before = key.gpg("--export")
        (name,) = (one.fingerprint for one in read_keys(before))
        trust(self.conf, before, [name])
        for one in (key, stranger):
            one.revoke()
        tell_of_revoked(
            self.conf, [*read_keys(key.gpg("--export")), *read_keys(stranger.gpg("--export"))]
        )
        known = self.validity()
        self.assertEqual(known[name[-16:]], "r")
        self.assertNotIn(read_keys(stranger.gpg("--export"))[0].fingerprint[-16:], known)

    def test_a_keyring_that_pacman_does_not_tell_of_is_never_touched(self) -> None:
        self.conf.write_text("[options]\nNonsense\n[core]\nInclude = /nowhere/at/all\n")
        with tools(self.conf.parent / "bin", pacman_conf="exit 1"):
            self.assertRaises(ConfigurationError, trust, self.conf, public(0), [fingerprint(0)])
        with tools(self.conf.parent / "bin", pacman_conf="echo"):
            self.assertRaises(ConfigurationError, trust, self.conf, public(0), [fingerprint(0)])
        self.assertFalse(self.home.exists())

    def test_a_keyring_that_is_not_made_yet_is(self) -> None:
        said = f"error: 'failed to resolve path '{self.home}' passed to 'GPGDir': No such file'"
        with tools(self.conf.parent / "bin", pacman_conf=f'echo "{said}" >&2; exit 1'):
            trust(self.conf, public(0), [fingerprint(0)])
        self.assertIn(fingerprint(0), self.listing())

    def test_what_pacman_key_refuses_is_a_sentence(self) -> None:
        with self.assertRaises(ToolError) as raised:
            trust(self.conf, b"nonsense", ["0" * 40])
        self.assertIn("pacman-key", str(raised.exception))


class ToolsTests(SynchronousTestCase):
    def test_who_has_no_gpg_is_told_what_to_install_before_anything_is_done(self) -> None:
        there = TemporaryDirectory()
        self.addCleanup(there.cleanup)
        folder = Path(there.name)
        for tool, package in (("gpg", "gnupg"), ("pacman-key", "pacman")):
            with mock.patch.dict(os.environ, {"PATH": there.name}):
                error = self.assertRaises(RepositoryError, demand_tools)
            self.assertIn(f"{tool} is not installed here", str(error))
            self.assertIn(f"install {package}", str(error))
            (folder / tool).write_text("#!/bin/sh\n")
            (folder / tool).chmod(0o755)
        with mock.patch.dict(os.environ, {"PATH": there.name}):
            demand_tools()


class RightsTests(SynchronousTestCase):
    """Nobody is asked to compare keys who may not write them down."""

    @skipUnless(os.geteuid() == 0, "needs root, to be somebody else")
    def test_who_may_not_write_is_told_before_all_else(self) -> None:
        there = Path(self.mktemp())
        there.mkdir(mode=0o755)
        demand_ours(there / "keys/home.gpg")
        os.seteuid(65534)
        try:
            with self.assertRaisesRegex(ConfigurationError, "run this as root"):
                demand_ours(Path("/"), there / "keys/home.gpg")
        finally:
            os.seteuid(0)


class AgainTests(SynchronousTestCase):
    """What a person is told to run is about the same node, and the same files."""

    def options(self, *words: str) -> argparse.Namespace:
        parsed: argparse.Namespace = make_parser().parse_args([*words])
        return parsed

    def test_nothing_more_where_all_is_as_usual(self) -> None:
        options = self.options("repo", "join", "home")
        self.assertEqual(again(options, "repo", "join", "home"), "flocon repo join home")

    def test_all_that_was_said_is_said_again(self) -> None:
        words = ["repo", "join", "home", "--pacman-conf", "/a b/pacman.conf", "--config", "/c.toml"]
        options = self.options("--port", "1234", *words)
        said = again(options, "repo", "join", "home", "--undo")
        told = vars(self.options(*shlex.split(said)[1:]))
        self.assertEqual(told, {**vars(options), "undo": True})
        self.assertEqual(again(options, "peers", port_alone=True), "flocon peers --port 1234")

    def test_whom_nobody_can_ask_is_told_the_whole_command(self) -> None:
        options = self.options("--port", "1234", "repo", "join", "home")
        with mock.patch("sys.stdin", None):
            error = self.assertRaises(RepositoryError, ask, options, "home", [fingerprint(0)])
        command = str(error).partition("name it: ")[2].partition(")")[0]
        told = self.options(*shlex.split(command)[1:])
        self.assertEqual(told.port, 1234)
        self.assertEqual([as_fingerprint(one) for one in told.fingerprint], [fingerprint(0)])

    def test_no_repository_of_archs_is_joined(self) -> None:
        options = self.options("repo", "join", "core")
        error = self.failureResultOf(Deferred.fromCoroutine(join(None, options)), RepositoryError)
        self.assertIn("Arch's own", str(error.value))
