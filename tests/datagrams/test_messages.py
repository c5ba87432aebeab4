"""The datagram format, from both sides."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.messages import (
    LARGEST_DATAGRAM,
    LARGEST_NUMBER,
    MAGIC,
    MOST_CLAIMED,
    Announcement,
    Kind,
    decode,
    encode,
    room_for,
)
from flocon.errors import DatagramError
from flocon.files import Content
from flocon.holdings.inventory import Change

REST = Announcement(
    kind=Kind.BEAT,
    node="0123456789abcdef",
    epoch="89abcdef",
    sequence=1234,
    name="workstation",
    port=19432,
    system="arch",
    architectures=("x86_64",),
    beat=29.7,
    generation=1234,
    files=3000,
    databases=(("core", "0123456789abcdef"), ("extra", "fedcba9876543210")),
    abilities=frozenset({"relay", "store"}),
)


def change(number: int, *, held: bool = True) -> Change:
    name = f"package-{number}-1:2.{number}-1-x86_64.pkg.tar.zst"
    return Change(name, Content(number * 1000, bytes([number % 256]) * 32), held)


hexadecimal = st.sampled_from("0123456789abcdef")
counts = st.integers(0, LARGEST_NUMBER)
words = st.from_regex(r"[a-z][a-z0-9-]{0,15}", fullmatch=True)
changes = st.builds(
    Change,
    st.from_regex(
        r"[a-z][a-z0-9+]{0,60}-[0-9]:[0-9.]{1,9}-[0-9]-x86_64\.pkg\.tar\.zst", fullmatch=True
    ),
    st.builds(Content, st.integers(0, 1 << 40), st.binary(min_size=32, max_size=32)),
    st.booleans(),
)
announcements = st.builds(
    Announcement,
    kind=st.sampled_from(Kind),
    node=st.text(hexadecimal, min_size=16, max_size=16),
    epoch=st.text(hexadecimal, min_size=8, max_size=8),
    sequence=st.integers(1, LARGEST_NUMBER),
    name=st.text(min_size=1, max_size=64).filter(str.isprintable),
    port=st.integers(1, 65535),
    system=st.from_regex(r"[a-z0-9._-]{1,32}", fullmatch=True),
    addresses=st.lists(st.ip_addresses().map(str), max_size=2, unique=True).map(tuple),
    architectures=st.lists(
        st.from_regex(r"[a-zA-Z0-9_]{1,32}", fullmatch=True), max_size=8, unique=True
    ).map(tuple),
    beat=st.integers(200, 3_600_000).map(lambda milliseconds: milliseconds / 1000),
    generation=counts,
    files=counts,
    databases=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9._-]{0,60}", fullmatch=True),
        st.text(hexadecimal, min_size=16, max_size=16),
        max_size=32,
    ).map(lambda pairs: tuple(pairs.items())),
    abilities=st.frozensets(words, max_size=8),
    changes=st.lists(changes, max_size=12).map(tuple),
    savings=st.tuples(*[st.integers(0, MOST_CLAIMED)] * 2),
    own=st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9._-]{0,60}", fullmatch=True),
        st.integers(1, LARGEST_NUMBER),
        max_size=4,
    ).map(lambda pairs: tuple(pairs.items())),
)


def with_key(key: str, value: Any) -> bytes:
    document = json.loads(encode(REST)[len(MAGIC) :])
    document[key] = value
    return MAGIC + json.dumps(document).encode()


class EncodeTests(SynchronousTestCase):
    def test_a_beat_at_rest_is_small(self) -> None:
        self.assertLess(len(encode(REST)), 240)

    @settings(max_examples=150, deadline=None)
    @given(announcements)
    def test_fits_and_keeps_all_but_what_may_be_dropped(self, said: Announcement) -> None:
        data = encode(said)
        self.assertLessEqual(len(data), LARGEST_DATAGRAM)
        heard = decode(data)
        kept = replace(
            heard,
            changes=said.changes,
            databases=said.databases,
            architectures=said.architectures,
            own=said.own,
        )
        self.assertEqual(kept, said)
        self.assertEqual(heard.architectures, said.architectures[: len(heard.architectures)])
        self.assertEqual(heard.databases, said.databases[: len(heard.databases)])
        self.assertEqual(heard.changes, said.changes[len(said.changes) - len(heard.changes) :])
        if len(heard.databases) < len(said.databases):
            self.assertEqual(heard.changes, ())
        if len(heard.architectures) < len(said.architectures):
            self.assertEqual(heard.databases, ())

    def test_drops_no_more_than_it_must(self) -> None:
        said = replace(REST, changes=tuple(change(number) for number in range(30)))
        data = encode(said)
        more = len(json.dumps(["x" * 60, 99000, "x" * 43]))
        self.assertGreater(len(data) + more, LARGEST_DATAGRAM)

    @settings(max_examples=100, deadline=None)
    @given(announcements, st.lists(changes, max_size=20))
    def test_room_is_counted_exactly(self, said: Announcement, more: list[Change]) -> None:
        bare = replace(said, changes=())
        count = room_for(bare, more)
        self.assertLessEqual(count, len(more))
        heard = decode(encode(replace(bare, changes=tuple(more[:count]))))
        self.assertEqual(heard.changes, tuple(more[:count]))
        if count < len(more) and heard.databases == bare.databases:
            beyond = decode(encode(replace(bare, changes=tuple(more[: count + 1]))))
            self.assertLess(len(beyond.changes), count + 1)

    def test_refuses_what_no_reader_would_take(self) -> None:
        wrong: list[dict[str, Any]] = [
            {"name": ""},
            {"name": "a\nb"},
            {"port": 0},
            {"beat": 0.1},
            {"system": "Arch Linux"},
            {"node": "x"},
            {"architectures": ("x86_64", "x86_64")},
            {"databases": (("core", "00" * 8), ("core", "00" * 8))},
            {"databases": (("core", "00"),)},
            {"databases": (("core", "not hexadecimal."),)},
            {"databases": tuple((f"r{number}", "00" * 8) for number in range(33))},
            {"abilities": frozenset({"Not A Word"})},
        ]
        for fields in wrong:
            error = self.assertRaises(DatagramError, encode, replace(REST, **fields))
            self.assertEqual(error.reason, "field", fields)


class DecodeTests(SynchronousTestCase):
    def assert_refused(self, reason: str, data: bytes) -> None:
        error = self.assertRaises(DatagramError, decode, data)
        self.assertEqual(error.reason, reason, data[:200])

    def test_a_departure_is_told_from_an_arrival(self) -> None:
        said = replace(REST, changes=(change(1), change(2, held=False)))
        self.assertEqual(decode(encode(said)), said)

    def test_says_whose_it_is(self) -> None:
        self.assert_refused("oversized", encode(REST) + b" " * LARGEST_DATAGRAM)
        self.assert_refused("foreign", b"")
        self.assert_refused("foreign", b"flocon")
        self.assert_refused("foreign", b"M-SEARCH * HTTP/1.1\r\n")
        self.assert_refused("version", b"flocon 2\n{}")
        self.assert_refused("version", b"flocon 10\nanything")

    def test_refuses_what_is_not_strict_json(self) -> None:
        for text in (
            b"",
            b"[]",
            b"{",
            b"\xff\xfe",
            b'{"k":"beat","k":"beat"}',
            b'{"x":{"a":1,"a":2}}',
            b'{"x":NaN}',
            b'{"x":-Infinity}',
            b"[" * 1150,
            b'{"x":' * 200,
            b"\xef\xbb\xbf{}",
        ):
            self.assert_refused("malformed", MAGIC + text)

    def test_refuses_values_out_of_their_bounds(self) -> None:
        raw = "A" * 43
        row = ["a-1-1-any.pkg.tar.zst", 1, raw]
        wrong: list[tuple[str, Any]] = [
            ("k", "hi"),
            ("k", []),
            ("n", "0123456789ABCDEF"),
            ("n", "0123456789abcdef0"),
            ("n", 1),
            ("n", "0123456789abcde\u0661"),
            ("e", None),
            ("s", 0),
            ("s", 1 << 53),
            ("s", 10**900),
            ("s", 1.0),
            ("s", True),
            ("h", ""),
            ("h", "x" * 65),
            ("h", "\ud800"),
            ("h", "\u202e"),
            ("h", ["a"]),
            ("p", 65536),
            ("p", "19432"),
            ("o", "Arch"),
            ("b", 0.1),
            ("b", 3601),
            ("b", 10**400),
            ("b", "30"),
            ("b", True),
            ("g", -1),
            ("f", -1),
            ("a", "x86_64"),
            ("a", ["x"] * 2),
            ("a", [str(number) for number in range(9)]),
            ("a", [[]]),
            ("a", ["../.."]),
            ("d", []),
            ("d", {"core": "short"}),
            ("d", {"../x": "ASNFZ4mrze8"}),
            ("d", {"core": "ASNFZ4mrze9"}),  # bits beyond the last byte
            ("d", {"core": "ASNFZ4m ze8"}),
            ("d", {f"r{number}": "ASNFZ4mrze8" for number in range(33)}),
            ("r", ["Relay"]),
            ("r", [{}]),
            ("t", {}),
            ("t", [1]),
            ("t", [1, 2, 3]),
            ("t", [1, -1]),
            ("t", [1, 1.5]),
            ("t", [True, 1]),
            ("t", [1, MOST_CLAIMED + 1]),
            ("w", {}),
            ("w", [["home"]]),
            ("w", [["home", 0]]),
            ("w", [["home", True]]),
            ("w", [["home", 1.0]]),
            ("w", [["home", 1 << 53]]),
            ("w", [["../x", 1]]),
            ("w", [["home", 1], ["home", 2]]),
            ("w", [[f"r{number}", 1] for number in range(5)]),
            ("c", {}),
            ("c", [row] * 33),
            ("c", [[*row, 1]]),
            ("c", [[*row, 0, 0]]),
            ("c", [["a.pkg", 1, raw]]),
            ("c", [["../a-1-1-any.pkg.tar.zst", 1, raw]]),
            ("c", [[row[0], -1, raw]]),
            ("c", [[row[0], 1 << 41, raw]]),
            ("c", [[row[0], 1, raw[1:]]]),
        ]
        for key, value in wrong:
            data = with_key(key, value)
            if len(data) <= LARGEST_DATAGRAM:
                self.assert_refused("field", data)
            else:
                self.assertRaises(DatagramError, decode, data)

    def test_an_overflowing_float_is_out_of_bounds(self) -> None:
        data = encode(REST).replace(b'"b":29.7', b'"b":1e999')
        self.assert_refused("field", data)

    def test_a_key_that_is_missing_is_named(self) -> None:
        data = encode(REST).replace(b'"p":19432,', b"")
        error = self.assertRaises(DatagramError, decode, data)
        self.assertEqual((error.reason, error.detail), ("field", "p"))

    def test_a_later_versions_key_is_ignored(self) -> None:
        self.assertEqual(decode(with_key("zz", {"any": [1, None]})), REST)

    @settings(max_examples=300, deadline=None)
    @given(
        st.one_of(
            st.binary(max_size=1300),
            st.binary(max_size=1200).map(MAGIC.__add__),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("knesha"), inner),
            ).map(lambda value: MAGIC + json.dumps(value).encode()),
        )
    )
    def test_nothing_else_is_ever_raised(self, data: bytes) -> None:
        try:
            decode(data)
        except DatagramError as error:
            self.assertIn(error.reason, {"oversized", "foreign", "version", "malformed", "field"})

    @settings(max_examples=200, deadline=None)
    @given(
        st.sampled_from("knesphobgfadrcw"),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner),
            max_leaves=8,
        ),
    )
    def test_whatever_stands_in_a_field_ends_as_an_announcement_or_is_refused(
        self, key: str, value: Any
    ) -> None:
        with contextlib.suppress(DatagramError):
            self.assertIsInstance(decode(with_key(key, value)), Announcement)

    @settings(max_examples=200, deadline=None)
    @given(st.integers(0, 239), st.integers(0, 255))
    def test_one_wrong_byte_raises_nothing_else(self, place: int, byte: int) -> None:
        data = bytearray(encode(REST))
        data[place % len(data)] = byte
        try:
            heard = decode(bytes(data))
        except DatagramError:
            return
        encode(heard)
