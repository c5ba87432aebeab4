"""Where the node's lines go in any pacman.conf, and that they come out again to the byte."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import ConfigurationError
from flocon.leading.node_lines import Method, is_node, put_in, take_out
from flocon.leading.pacman_conf import Configuration, Repository, repositories, split_lines
from flocon.leading.plan import Plan, contradiction, plan
from tests.leading.configurations import (
    CONFIGURATIONS,
    LIST,
    METHODS,
    OPTIONS,
    PORT,
    URL,
    configuration,
)


def carry_out(before: Configuration, outcome: Plan) -> Configuration:
    texts = {
        path: put_in(text, [one for one in outcome.insertions if one.place.path == path])
        for path, text in before.texts.items()
    }
    return Configuration(before.root, texts, before.included)


def set_up(before: Configuration, method: Method) -> tuple[dict[str, bytes], Plan]:
    outcome = plan(before, method, PORT)
    return dict(carry_out(before, outcome).texts), outcome


def asks_first(repository: Repository, method: Method) -> bool:
    """Whether the node is asked before every http mirror, in each way the method has."""
    for key in method.value:
        urls = [one.value for one in repository.servers if one.key == key]
        urls = [url for url in urls if url.lower().startswith(("http:", "https:"))]
        ask = [is_node(url, {PORT}) for url in urls]
        if not (any(ask) if key == "CacheServer" else ask[:1] == [True]):
            return False
    return True


class Deciding(SynchronousTestCase):
    def test_a_server_goes_before_the_first_mirror_of_the_mirrorlist(self) -> None:
        root = OPTIONS + b"[core]\nInclude = m\n[extra]\nInclude = m\n"
        after, outcome = set_up(configuration(root, m=LIST), Method.SERVER)
        self.assertEqual(root, after["pacman.conf"])
        expected = LIST.replace(b"Server", b"Server = " + URL + b"\nServer", 1)
        self.assertEqual(expected, after["m"])
        self.assertEqual(("core", "extra"), outcome.repositories)

    def test_a_cache_server_goes_first_into_each_section(self) -> None:
        root = OPTIONS + b"[core]\nSigLevel = Never\nInclude = m\n[own]\nServer = http://o\n"
        after, _ = set_up(configuration(root, m=LIST), Method.CACHE_SERVER)
        line = b"CacheServer = " + URL + b"\n"
        expected = root.replace(b"[core]\n", b"[core]\n" + line)
        expected = expected.replace(b"[own]\n", b"[own]\n" + line)
        self.assertEqual({"pacman.conf": expected, "m": LIST}, after)

    def test_both_go_into_the_section_and_local_servers_keep_their_rank(self) -> None:
        root = OPTIONS + b"[core]\nServer = file:///stick\nInclude = m\n"
        after, _ = set_up(configuration(root, m=LIST), Method.BOTH)
        expected = OPTIONS + (
            b"[core]\nCacheServer = %b\nServer = file:///stick\nServer = %b\nInclude = m\n"
        ) % (URL, URL)
        self.assertEqual({"pacman.conf": expected, "m": LIST}, after)

    def test_a_cache_server_stands_before_a_server(self) -> None:
        root = OPTIONS + b"[core]\nServer = http://o\n"
        after, _ = set_up(configuration(root), Method.BOTH)
        lines = split_lines(after["pacman.conf"])[3:5]
        self.assertEqual([b"CacheServer = " + URL + b"\n", b"Server = " + URL + b"\n"], lines)

    def test_what_is_set_up_by_hand_is_kept(self) -> None:
        for text, method in (
            (b"CacheServer = http://[::1]:19433/$repo\nServer = http://o\n", Method.CACHE_SERVER),
            (b"Server = http://127.0.0.1:19433/$repo\nServer = http://o\n", Method.SERVER),
            (b"Server=http://localhost:19433\nServer = http://o\n", Method.CACHE_SERVER),
        ):
            outcome = plan(configuration(OPTIONS + b"[core]\n" + text), method, PORT)
            self.assertEqual((), outcome.insertions)

    def test_a_server_line_is_named_where_a_cache_server_would_be_better(self) -> None:
        root = OPTIONS + b"[core]\nServer=http://localhost:19433\nServer = http://o\n"
        outcome = plan(configuration(root), Method.CACHE_SERVER, PORT)
        self.assertIn("pacman.conf line 4: [core] reaches the node", outcome.notes[0])

    def test_a_hand_made_line_behind_a_mirror_is_kept_and_named(self) -> None:
        root = OPTIONS + b"[core]\nServer = http://o\nServer = http://localhost:19433/$repo\n"
        outcome = plan(configuration(root), Method.SERVER, PORT)
        self.assertEqual((), outcome.insertions)
        self.assertEqual((), outcome.repositories)
        self.assertIn("pacman.conf line 5: the node is asked after a mirror", outcome.notes[0])

    def test_where_the_node_stands_alone_it_is_said_when_that_is_right(self) -> None:
        root = (
            OPTIONS + b"[home]\nServer = http://localhost:19433/$repo\n[core]\nServer = http://o\n"
        )
        outcome = plan(configuration(root), Method.SERVER, PORT)
        self.assertEqual(("core",), outcome.repositories)
        self.assertIn("[home] is asked of the node alone, as an own repository", outcome.notes[0])

    def test_a_second_section_of_one_name_is_left_as_pacman_leaves_it(self) -> None:
        root = OPTIONS + b"[core]\nServer = http://a\n[core]\nServer = http://b\n"
        after, outcome = set_up(configuration(root), Method.SERVER)
        expected = root.replace(b"Server = http://a", b"Server = " + URL + b"\nServer = http://a")
        self.assertEqual(expected, after["pacman.conf"])
        self.assertIn("line 5: pacman goes on without this second [core]", outcome.notes[0])

    def test_nothing_is_put_behind_a_line_without_an_end(self) -> None:
        before = configuration(OPTIONS + b"Include = head\nServer = http://a\n", head=b"[core]")
        error = self.assertRaises(ConfigurationError, plan, before, Method.CACHE_SERVER, PORT)
        self.assertIn("head line 1: ends the file without a newline", str(error))
        self.assertEqual(("core",), plan(before, Method.SERVER, PORT).repositories)

    def test_a_name_the_node_refuses_is_left_out(self) -> None:
        root = OPTIONS + b"[ core ]\nServer = http://a\n[extra]\nServer = http://a\n"
        self.assertEqual(
            ("extra",), plan(configuration(root), Method.CACHE_SERVER, PORT).repositories
        )


class Judging(SynchronousTestCase):
    BEFORE = "[options]\nColor\n[core]\nServer = http://a/core\n"
    NODE = "http://localhost:19433/core/os/x86_64"
    PLAN = Plan((), (), ("core",))

    def judge(self, after: str, method: Method) -> str:
        return contradiction(self.BEFORE, after, self.PLAN, method, port=PORT, ports={PORT})

    def test_what_was_meant_is_accepted(self) -> None:
        server, cache = f"Server = {self.NODE}\n", f"CacheServer = {self.NODE}\n"
        for lines, method in (
            (server, Method.SERVER),
            (cache, Method.CACHE_SERVER),
            (cache + server, Method.BOTH),
            ("", Method.CACHE_SERVER),  # a pacman-conf that does not print them
        ):
            after = self.BEFORE.replace("[core]\n", "[core]\n" + lines)
            self.assertEqual("", self.judge(after, method))

    def test_a_node_behind_a_mirror_is_not(self) -> None:
        self.assertTrue(self.judge(f"{self.BEFORE}Server = {self.NODE}\n", Method.SERVER))

    def test_a_missing_node_is_not(self) -> None:
        self.assertTrue(self.judge(self.BEFORE, Method.SERVER))

    def test_any_other_change_is_not(self) -> None:
        good = self.BEFORE.replace("[core]\n", f"[core]\nServer = {self.NODE}\n")
        self.assertEqual("", self.judge(good, Method.SERVER))
        self.assertTrue(self.judge(good.replace("Color\n", ""), Method.SERVER))
        self.assertTrue(self.judge(good + "Server = http://b/core\n", Method.SERVER))


class AnyText(SynchronousTestCase):
    def attempt(self, before: Configuration, method: Method) -> tuple[Configuration, Plan] | None:
        try:
            outcome = plan(before, method, PORT)
        except ConfigurationError:
            return None
        return carry_out(before, outcome), outcome

    @staticmethod
    def others(text: bytes) -> list[bytes]:
        return [line for line in split_lines(text) if URL not in line]

    @settings(max_examples=200, deadline=None)
    @given(CONFIGURATIONS, METHODS)
    def test_set_up_then_undo_is_what_was(self, before: Configuration, method: Method) -> None:
        if done := self.attempt(before, method):
            after, outcome = done
            for path, text in after.texts.items():
                mine = [one.line for one in outcome.insertions if one.place.path == path]
                self.assertEqual((before.texts[path], ()), take_out(text, mine))
                self.assertEqual(self.others(before.texts[path]), self.others(text))

    @settings(max_examples=200, deadline=None)
    @given(CONFIGURATIONS, METHODS)
    def test_twice_is_once(self, before: Configuration, method: Method) -> None:
        if done := self.attempt(before, method):
            self.assertEqual((), plan(done[0], method, PORT).insertions)

    @settings(max_examples=200, deadline=None)
    @given(CONFIGURATIONS, METHODS)
    def test_whoever_asks_the_node_asks_it_first(
        self, before: Configuration, method: Method
    ) -> None:
        if done := self.attempt(before, method):
            after, outcome = done
            found: Iterable[Repository] = repositories(after)
            for one in found:
                if one.name in outcome.repositories:
                    self.assertTrue(asks_first(one, method), one)
