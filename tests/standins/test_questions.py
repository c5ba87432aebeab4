"""What a body asks is read within bounds, and never anything else."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.standins.questions import (
    LARGEST_QUESTION,
    MOST_PATHS,
    DirectoryListing,
    FileCheck,
    Nudge,
    Unknown,
    file_at,
    listing_entry,
    parse_question,
    root_listing,
)

NAME = "gtk++-1:2.0-1-x86_64.pkg.tar.zst"
PATH = f"pkg/{NAME}"


def body(said: object) -> bytes:
    return f"json={quote(json.dumps(said))}".encode()


class Reading(SynchronousTestCase):
    def check(self, **said: Any) -> FileCheck:
        found = parse_question(body({"type": "file check", "hops": 0, **said}))
        assert isinstance(found, FileCheck)
        return found

    def test_a_file_check_has_the_names_of_packages_and_signatures(self) -> None:
        found = self.check(paths=[PATH, f"{PATH}.sig", f"/{PATH}"], hops=1)
        self.assertEqual(found.hops, 1)
        files = [one.text for one in map(file_at, found.paths) if one is not None]
        self.assertEqual(files, [NAME, f"{NAME}.sig", NAME])

    def test_nothing_else_is_a_file_here(self) -> None:
        paths: list[Any] = ["pkg/../../etc/passwd", "pkg/core.db", "etc/passwd", NAME, "pkg/", 7]
        paths += [None, ["pkg"], f"pkg//{NAME}", f"pkg/x/{NAME}", "pkg/\ud800", f"pkg/{NAME}\n"]
        self.assertEqual({file_at(one) for one in self.check(paths=paths).paths}, {None})

    def test_it_is_read_as_forms_are_quoted(self) -> None:
        said = {"type": "file check", "paths": [PATH], "hops": 0}
        for form in (
            f"json={quote_plus(json.dumps(said))}",
            urlencode({"json": json.dumps(said)}),
            urlencode({"other": "x", "json": json.dumps(said), "last": "y"}),
        ):
            found = parse_question(form.encode())
            assert isinstance(found, FileCheck), form
            self.assertEqual(list(found.paths), [PATH])

    def test_so_many_paths_are_looked_up_and_no_more(self) -> None:
        paths = [f"pkg/a-{at}-1-any.pkg.tar.zst" for at in range(MOST_PATHS + 5)]
        self.assertEqual(list(self.check(paths=paths).paths), paths[:MOST_PATHS])

    def test_a_listing_is_of_the_packages_or_of_the_root(self) -> None:
        for path, root in (("", True), ("/", True), ("pkg", False), ("/pkg/", False)):
            said = body({"type": "directory listing", "path": path, "hops": 0})
            self.assertEqual(parse_question(said), DirectoryListing(root))

    def test_a_nudge_tells_a_port_alone(self) -> None:
        for uri, port in (
            ("http://ungabunga:15678/", 15678),
            ("http://10.0.0.1:80", 80),
            ("http://[::1]:9/", 9),
            ("http://x/", 8_000),
        ):
            self.assertEqual(parse_question(body({"type": "nudge", "uri": uri})), Nudge(port))

    def test_what_nobody_can_answer_is_told_apart_from_what_asks_nothing(self) -> None:
        for said in (
            {"type": "nudge", "uri": "https://x:1/"},
            {"type": "nudge", "uri": "http://x:99999/"},
            {"type": "nudge", "uri": "http://x:0/"},
            {"type": "nudge", "uri": "http:///"},
            {"type": "nudge", "uri": "http://[x/"},
            {"type": "nudge"},
            {"type": "directory listing", "path": "etc"},
            {"type": "directory listing"},
            {"type": "file check", "paths": PATH},
            {"type": "file check", "paths": [], "hops": "1"},
            {"type": ["file check"]},
            {"type": None},
        ):
            self.assertEqual(parse_question(body(said)), Unknown(), said)
        for nothing in (
            *(b"", b"json", b"json=", b"json=x", b"json=[]", b"json={}", b"x=1", b"json=%ff"),
            b"json=" + b"[" * 60_000,
            b"json=" + b'{"type":' * 8_000,
            b"json=\xff",
            body({"type": "nudge", "uri": "http://x:1/", "more": "x" * LARGEST_QUESTION}),
            b"&" * 100 + body({"type": "nudge", "uri": "http://x:1/"}),
        ):
            self.assertIsNone(parse_question(nothing), nothing[:40])

    def test_no_number_is_too_long_to_be_refused(self) -> None:
        self.assertIsNone(
            parse_question(b'json={"type":"file check","hops":' + b"9" * 9_000 + b"}")
        )

    @given(st.binary(max_size=200) | st.text(max_size=200).map(lambda one: b"json=" + one.encode()))
    def test_whatever_a_stranger_sends_is_read(self, data: bytes) -> None:
        parse_question(data)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
            max_leaves=12,
        ),
        st.sampled_from(["file check", "directory listing", "nudge"]),
        st.sampled_from(["paths", "hops", "path", "uri"]),
    )
    def test_and_whatever_a_member_is(self, value: object, kind: str, member: str) -> None:
        found = parse_question(body({"type": kind, "hops": 0, "paths": [], member: value}))
        self.assertIsInstance(found, FileCheck | DirectoryListing | Nudge | Unknown)


class Answers(SynchronousTestCase):
    def test_an_entry_is_as_pacserves_are(self) -> None:
        read = json.loads("{" + listing_entry(NAME, 12, 1_700_000_000) + "}")
        (entry,) = read[NAME]
        self.assertEqual(entry["href"], "/pkg/gtk%2B%2B-1%3A2.0-1-x86_64.pkg.tar.zst")
        self.assertEqual((entry["size"], entry["mtime"], entry["dir"]), (12, 1_700_000_000, False))

    def test_at_the_root_there_is_one_folder(self) -> None:
        self.assertEqual(json.loads(root_listing())["pkg"][0]["dir"], True)
