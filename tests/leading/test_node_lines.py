"""What the node's lines say, and that they go in and come out to the byte."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.leading.node_lines import Method, OwnLine, is_node, method_for, parse_version, take_out
from tests.leading.configurations import OPTIONS, PORT, URL, configuration
from tests.leading.test_plan import set_up


class Saying(SynchronousTestCase):
    def test_the_version_is_what_pacman_says_of_itself(self) -> None:
        banner = " .--.   Pacman v6.0.2 - libalpm v13.0.2\n/ _.-' .-."
        self.assertEqual((6, 0), parse_version(banner))
        self.assertEqual((7, 1), parse_version("Pacman v7.1.0.r9.g54d9411 - libalpm v16.0.1"))
        self.assertIsNone(parse_version("pacman: command not found"))

    def test_the_nodes_address_in_any_spelling(self) -> None:
        for url in ("http://localhost:19433", "http://127.0.0.1:19433/x", "http://[::1]:19433/"):
            self.assertTrue(is_node(url, {PORT}), url)
        for url in (
            "https://localhost:19433/",
            "http://localhost:19432/",
            "http://localhost/",
            "http://localhost.example:19433/",
            "http://127.0.0.1:99999/",
            "http://[::1:19433/",
            "file:///localhost:19433",
            "",
        ):
            self.assertFalse(is_node(url, {PORT}), url)


class Choosing(SynchronousTestCase):
    def test_the_version_decides_what_is_written(self) -> None:
        self.assertIs(Method.SERVER, method_for((6, 0), databases=True))
        self.assertIs(Method.CACHE_SERVER, method_for((6, 1), databases=False))
        self.assertIs(Method.BOTH, method_for((7, 0), databases=True))


class Editing(SynchronousTestCase):
    def test_a_line_ends_as_its_neighbours_do(self) -> None:
        before = configuration(OPTIONS + b"[core]\nInclude = m\n", m=b"# x\r\nServer = http://a")
        after, _ = set_up(before, Method.SERVER)
        self.assertEqual(b"# x\r\nServer = " + URL + b"\r\nServer = http://a", after["m"])

    def test_a_line_alone_gets_an_end(self) -> None:
        before = configuration(OPTIONS + b"[core]\nInclude = m\n", m=b"Server = http://a")
        after, _ = set_up(before, Method.SERVER)
        self.assertEqual(b"Server = " + URL + b"\nServer = http://a", after["m"])

    def test_only_the_line_of_its_own_section_is_taken_out(self) -> None:
        line = b"CacheServer = " + URL
        text = b"[core]\n" + line + b"\n[extra]\n" + line + b"\n"
        bare, lost = take_out(text, [OwnLine("extra", line), OwnLine("gone", line)])
        self.assertEqual(b"[core]\n" + line + b"\n[extra]\n", bare)
        self.assertEqual((OwnLine("gone", line),), lost)
