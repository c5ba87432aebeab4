"""What pacman.conf and what it includes say, read as pacman reads it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import ConfigurationError
from flocon.leading.pacman_conf import (
    Configuration,
    flattened,
    read_line,
    repositories,
    split_lines,
    statements,
)
from tests.leading.configurations import CONFIGURATIONS, OPTIONS, configuration


class Reading(SynchronousTestCase):
    def test_a_line_is_read_as_pacman_reads_it(self) -> None:
        for line, expected in (
            (b"Server=http://x # y\n", ("Server", "http://x # y")),
            (b"\t Server \t=  a=b \r\n", ("Server", "a=b")),
            (b" [ core ] \n", ("[", " core ")),
            (b"[core] # no header\n", ("[core] # no header", None)),
            (b"CheckSpace", ("CheckSpace", None)),
            (b"  # Server = x\n", None),
            (b"Color\0Server = x\n", ("Color", None)),
            (b" \r\n", None),
        ):
            self.assertEqual(expected, read_line(line))

    @given(st.binary())
    def test_lines_are_the_text(self, text: bytes) -> None:
        self.assertEqual(text, b"".join(split_lines(text)))
        self.assertTrue(all(line.count(b"\n") <= 1 and line for line in split_lines(text)))

    def test_a_section_lasts_across_included_files(self) -> None:
        nested = b"Server = http://one\n[nested]\nServer = http://two\n"
        found = repositories(configuration(b"[core]\nInclude=f\nServer=http://three\n", f=nested))
        said = {one.name: [server.value for server in one.servers] for one in found}
        self.assertEqual({"core": ["http://one"], "nested": ["http://two", "http://three"]}, said)

    def test_as_many_files_within_files_as_pacman_follows(self) -> None:
        def chain(length: int) -> Configuration:
            inner = {f"f{n}": f"Include = f{n + 1}\n".encode() for n in range(1, length)}
            inner[f"f{length}"] = b"Server = http://end\n"
            return configuration(b"[core]\nInclude = f1\n", **inner)

        self.assertEqual("http://end", list(statements(chain(10)))[-1].value)
        self.assertRaises(ConfigurationError, list, statements(chain(11)))


class Flattening(SynchronousTestCase):
    def test_flattened_says_the_same(self) -> None:
        root = OPTIONS + b"[core]\nInclude = m\n\n[x]\nServer=http://x"
        before = configuration(root, m=b"#c\nServer = http://a")
        text = flattened(before)
        self.assertEqual(OPTIONS + b"[core]\nServer = http://a\n[x]\nServer=http://x\n", text)


class FlatteningAnyText(SynchronousTestCase):
    @settings(max_examples=200, deadline=None)
    @given(CONFIGURATIONS)
    def test_flattened_has_the_same_repositories(self, before: Configuration) -> None:
        try:
            expected = [
                (one.name, [(server.key, server.value) for server in one.servers])
                for one in repositories(before)
            ]
        except ConfigurationError:
            return
        flat = Configuration("flat", {"flat": flattened(before)}, {})
        found = [
            (one.name, [(server.key, server.value) for server in one.servers])
            for one in repositories(flat)
        ]
        self.assertEqual(expected, found)
