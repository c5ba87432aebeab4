"""What one node tells of another, from both sides."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.datagrams.introductions import (
    Introduction,
    decode_introduction,
    encode_introduction,
)
from flocon.datagrams.messages import (
    LARGEST_DATAGRAM,
    TOLD_MAGIC,
    Announcement,
    decode,
    encode,
)
from flocon.errors import DatagramError
from tests.datagrams.test_messages import REST, announcements, change, hexadecimal

TELLER = "a" * 16
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


class IntroductionTests(SynchronousTestCase):
    @settings(max_examples=150, deadline=None)
    @given(st.text(hexadecimal, min_size=16, max_size=16), addresses, announcements)
    def test_what_is_told_is_read_but_for_what_does_not_fit(
        self, teller: str, address: str, said: Announcement
    ) -> None:
        data = encode_introduction(Introduction(teller, address, said))
        self.assertLessEqual(len(data), LARGEST_DATAGRAM)
        told = decode_introduction(data)
        self.assertEqual((told.teller, told.address), (teller, address))
        plain = {"architectures": (), "databases": (), "changes": (), "own": ()}
        self.assertEqual(
            replace(told.said, **plain),  # type: ignore[arg-type]
            replace(decode(encode(said)), **plain),  # type: ignore[arg-type]
        )

    def test_the_oldest_changes_are_left_out_first(self) -> None:
        changes = tuple(map(change, range(12)))
        data = encode_introduction(Introduction(TELLER, "10.0.0.7", replace(REST, changes=changes)))
        left = decode_introduction(data).said.changes
        self.assertTrue(0 < len(left) < 12)
        self.assertEqual(left, changes[-len(left) :])

    def test_a_node_of_before_takes_it_for_none_of_flocons(self) -> None:
        data = encode_introduction(Introduction(TELLER, "10.0.0.7", REST))
        with self.assertRaises(DatagramError) as caught:
            decode(data)
        self.assertEqual(caught.exception.reason, "foreign")

    def test_an_address_has_one_spelling_and_no_zone(self) -> None:
        for address in ("fe80::1%eth0", "10.0.0.07", "FD00::1", "fd00:0::1", "ada", ""):
            with self.assertRaises(DatagramError):
                encode_introduction(Introduction(TELLER, address, REST))
            data = TOLD_MAGIC + f'["{TELLER}","{address}"]\n'.encode() + encode(REST)
            with self.assertRaises(DatagramError):
                decode_introduction(data)

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=1_300))
    def test_whatever_comes_is_read_or_refused(self, data: bytes) -> None:
        for one in (
            data,
            TOLD_MAGIC + data,
            TOLD_MAGIC + f'["{TELLER}","10.0.0.7"]\n'.encode() + data,
        ):
            with contextlib.suppress(DatagramError):
                decode_introduction(one)
