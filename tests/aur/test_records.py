"""Answers of the AUR's RPC, taken apart."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.aur import records
from flocon.aur.records import AUR_SAYS, NO_ANSWER, Record, parse_records
from flocon.errors import ProtocolError

#: One record, as the AUR sends it.
FOO: dict[str, Any] = {
    "ID": 1,
    "Name": "foo-bin",
    "PackageBaseID": 2,
    "PackageBase": "foo",
    "Maintainer": "someone",
    "Submitter": "another",
    "Version": "1:1.0-1",
    "Description": "A foo",
    "URL": "https://example.org",
    "URLPath": "/cgit/aur.git/snapshot/foo-bin.tar.gz",
    "NumVotes": 12,
    "Popularity": 0.25,
    "OutOfDate": None,
    "FirstSubmitted": 1_500_000_000,
    "LastModified": 1_600_000_000,
    "CoMaintainers": ["third"],
    "Depends": ["bar>=1", "baz"],
    "MakeDepends": ["git"],
    "Provides": ["foo"],
    "License": ["MIT"],
    "Keywords": [],
    "PendingRequests": [],
}


def answer(*results: Any, **fields: Any) -> bytes:
    said = {"version": 5, "type": "multiinfo", "resultcount": len(results), "results": results}
    return json.dumps({**said, **fields}).encode()


class Answers(SynchronousTestCase):
    def one(self, **fields: Any) -> Record | None:
        found, others = parse_records(answer({**FOO, **fields}))
        self.assertEqual(len(found) + others, 1)
        return found[0] if found else None

    def test_a_record_is_read(self) -> None:
        expected = Record(
            "foo-bin",
            "foo",
            "1:1.0-1",
            maintainer="someone",
            submitter="another",
            description="A foo",
            url="https://example.org",
            votes=12,
            popularity=0.25,
            first_submitted=1_500_000_000,
            last_modified=1_600_000_000,
            co_maintainers=("third",),
            depends=("bar>=1", "baz"),
            make_depends=("git",),
            provides=("foo",),
            licenses=("MIT",),
        )
        self.assertEqual(self.one(), expected)

    def test_an_orphan_has_no_maintainer(self) -> None:
        found = self.one(Maintainer=None)
        assert found is not None
        self.assertEqual(found.maintainer, "")

    def test_what_is_out_of_date_says_since_when(self) -> None:
        found = self.one(OutOfDate=1_650_000_000)
        assert found is not None
        self.assertEqual(found.out_of_date, 1_650_000_000)

    def test_a_record_that_is_none_is_left_out_and_counted(self) -> None:
        for fields in (
            {"Name": "../foo"},
            {"PackageBase": "foo/bar"},
            {"PackageBase": ".git"},
            {"Name": 1},
            {"Version": ""},
            {"Version": "1\n-1"},
            {"LastModified": "yesterday"},
            {"LastModified": -1},
            {"LastModified": True},
            {"NumVotes": 1 << 60},
            {"Depends": "bar"},
            {"Depends": [1]},
            {"Depends": ["bar"] * 2_001},
            {"Maintainer": 7},
            {"Maintainer": "x" * 65},
            {"CoMaintainers": ["third", "x" * 65]},
            {"CoMaintainers": [str(number) for number in range(201)]},
        ):
            self.assertEqual(parse_records(answer({**FOO, **fields}, FOO))[1], 1, fields)

    def test_signs_that_no_line_could_show_are_replaced(self) -> None:
        found = self.one(Description="a\x1b[2Jb\u202ec\ud800", Depends=["x\ny"])
        assert found is not None
        self.assertEqual((found.description, found.depends), ("a?[2Jb?c?", ("x?y",)))

    def test_a_long_text_is_cut(self) -> None:
        found = self.one(Description="x" * 10_000)
        assert found is not None
        self.assertEqual(len(found.description), records.LONGEST_TEXT)

    def test_what_the_aur_says_is_wrong_is_told(self) -> None:
        said = answer(type="error", error="Too many package results.\x07")
        with self.assertRaises(ProtocolError) as caught:
            parse_records(said)
        self.assertEqual(caught.exception.reason, AUR_SAYS)
        self.assertIn("Too many package results.?", str(caught.exception))

    def test_what_is_no_answer_is_said_to_be_none(self) -> None:
        for data in (
            b"<html>sign in first</html>",
            b"[]",
            b"{}",
            b'{"results": {}}',
            b'{"results": ' + b"[" * 100_000,
            b"\xff",
            answer(*[FOO] * (records.MOST_RECORDS + 1)),
        ):
            with self.assertRaises(ProtocolError) as caught:
                parse_records(data)
            self.assertEqual(caught.exception.reason, NO_ANSWER)

    @given(st.binary() | st.builds(answer, st.dictionaries(st.text(), st.text() | st.integers())))
    def test_whatever_comes_is_read_or_refused(self, data: bytes) -> None:
        with contextlib.suppress(ProtocolError):
            parse_records(data)

    @given(
        st.sampled_from(sorted(FOO)),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text()
        | st.lists(st.text() | st.none()) | st.dictionaries(st.text(), st.text()),
    )  # fmt: skip
    def test_any_field_may_be_anything(self, field: str, value: Any) -> None:
        found, others = parse_records(answer({**FOO, field: value}))
        self.assertEqual(len(found) + others, 1)
        for record in found:
            texts = (record.name, record.maintainer, record.description, *record.depends)
            self.assertTrue(all(text.isprintable() for text in texts))
