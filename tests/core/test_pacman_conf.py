"""Where the node's lines go in any pacman.conf, and that they come out again to the byte."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.core.pacman_conf import (
    Configuration,
    Method,
    OwnLine,
    Plan,
    Repository,
    contradiction,
    flattened,
    is_node,
    method_for,
    node_url,
    parse_version,
    plan,
    put_in,
    read_line,
    repositories,
    split_lines,
    statements,
    take_out,
)
from flocon.errors import ConfigurationError

PORT = 19433
URL = node_url(PORT).encode()
OPTIONS = b"[options]\nArchitecture = auto\n"
LIST = b"# mirrors\n\nServer = http://a/$repo/$arch\nServer = http://b/$repo/$arch\n"


def configuration(root: bytes, **included: bytes) -> Configuration:
    """Return a pacman.conf that includes files by their bare names."""
    files = {name: (name,) for name in included}
    return Configuration("pacman.conf", {"pacman.conf": root, **included}, files)


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


class Deciding(SynchronousTestCase):
    def test_the_version_decides_what_is_written(self) -> None:
        self.assertIs(Method.SERVER, method_for((6, 0), databases=True))
        self.assertIs(Method.CACHE_SERVER, method_for((6, 1), databases=False))
        self.assertIs(Method.BOTH, method_for((7, 0), databases=True))

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

    def test_flattened_says_the_same(self) -> None:
        root = OPTIONS + b"[core]\nInclude = m\n\n[x]\nServer=http://x"
        before = configuration(root, m=b"#c\nServer = http://a")
        text = flattened(before)
        self.assertEqual(OPTIONS + b"[core]\nServer = http://a\n[x]\nServer=http://x\n", text)


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


LINES = st.sampled_from(
    [
        b"[core]",
        b" [extra]\t",
        b"[a b]",
        b"[options]",
        b"Architecture = auto",
        b"#[core]",
        b"Include = one",
        b"Include=two",
        b"Server = http://a/$repo",
        b"\tServer=https://b/$arch # c",
        b"Server = file:///c",
        b"Server = ftp://d",
        b"#Server = http://localhost:19433/$repo/os/$arch",
        b"Server = " + URL,
        b"CacheServer = " + URL,
        b"CacheServer = http://127.0.0.1:19433/",
        b"CacheServer = http://c",
        b"SigLevel = Never\0Server = http://x",
        b"",
        b"\xff\xfe",
    ]
)
ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b" \n"])
TEXTS = st.builds(
    lambda lines, last: b"".join(a + b for a, b in lines) + last,
    st.lists(st.tuples(LINES | st.binary(max_size=4), ENDS), max_size=12),
    LINES | st.just(b""),
)
CONFIGURATIONS = st.builds(
    lambda head, root, tail, one, two: configuration(head + root + tail, one=one, two=two),
    st.sampled_from(
        [
            OPTIONS,
            OPTIONS + b"[core]\nInclude = one\n",
            OPTIONS + b"[core]\nServer = http://m/$repo\n",
            b"",
        ]
    ),
    TEXTS,
    st.sampled_from([b"", b"\n[last]\nInclude = two", b"\n[last]\r\nServer = http://m"]),
    TEXTS.filter(lambda text: b"Include" not in text),
    TEXTS.filter(lambda text: b"Include" not in text),
)
METHODS = st.sampled_from(list(Method))


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
