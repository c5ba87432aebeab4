"""What is read of datagrams that anybody may have sent."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.foreign.heard import LARGEST, PREFIX, Heard, announcement, paclan_word, port_of, read
from flocon.foreign.heard import PING as PING_WORD
from flocon.foreign.place import Tool

SEEN = b"ThreadedServers.Pacserve/2013.05.12 http://ungabunga:15678/"
PING = {"TYPE": "PING", "PORT": "15678", "ID": "00112233aabbccdd", "NONCE": "x", "PEERS": []}


class Pacserve(SynchronousTestCase):
    def test_the_datagram_that_was_seen_is_read(self) -> None:
        self.assertEqual(len(SEEN), 59)
        self.assertEqual(read(SEEN), Heard(Tool.PACSERVE, 15_678, prefix=PREFIX))

    def test_another_release_has_another_prefix(self) -> None:
        heard = read(b"ThreadedServers.Pacserve/2021 http://x:1/")
        self.assertEqual(heard, Heard(Tool.PACSERVE, 1, prefix="ThreadedServers.Pacserve/2021"))

    def test_a_missing_port_is_8000(self) -> None:
        self.assertEqual(port_of("http://ungabunga/"), 8_000)

    def test_what_cannot_be_asked_is_nobody(self) -> None:
        for data in (
            b"",
            b"x",
            b"prefix https://x:1/",
            b"prefix http://x:0/",
            b"prefix http://x:70000/",
            b"prefix http:///",
            b"prefix file:///x",
            b"two words http://x:1/",
            "pr\u00e4fix http://x:1/".encode(),
            b"p http://x:1/" + b" " * LARGEST,
            b"\x00" * 20,
        ):
            self.assertIsNone(read(data), data)

    def test_a_nodes_own_stand_in_is_no_pacserve(self) -> None:
        self.assertIsNone(read(announcement(PREFIX, 15_678)))
        self.assertIsNone(port_of("http://flocon:15678/"))


class Paclan(SynchronousTestCase):
    def test_its_ping_tells_port_and_id(self) -> None:
        self.assertEqual(
            read(json.dumps(PING).encode()),
            Heard(Tool.PACLAN, 15_678, identity="00112233aabbccdd", asks=True),
        )

    def test_a_nodes_own_word_is_no_paclan(self) -> None:
        self.assertIsNone(read(paclan_word(PING_WORD, "00112233aabbccdd", 15_678, "1")))

    def test_versions_write_the_port_in_two_ways(self) -> None:
        heard = read(json.dumps({**PING, "PORT": 15_678, "TYPE": "PONG"}).encode())
        self.assertEqual(heard and heard.port, 15_678)

    def test_what_is_not_whole_is_nobody(self) -> None:
        for change in (
            {"PORT": "0"},
            {"PORT": "99999"},
            {"PORT": True},
            {"PORT": ""},
            {"ID": ""},
            {"ID": "../../etc"},
            {"TYPE": "BYE"},
            {"TYPE": None},
        ):
            self.assertIsNone(read(json.dumps({**PING, **change}).encode()), change)
        self.assertIsNone(read(b'{"TYPE": "PING"'))
        self.assertIsNone(read(b"{" * 500))


class Anything(SynchronousTestCase):
    @given(st.binary(max_size=600))
    def test_no_datagram_is_not_survived(self, data: bytes) -> None:
        heard = read(data)
        if heard is not None:
            self.assertTrue(0 < heard.port < 1 << 16)

    @given(st.text(max_size=80))
    def test_no_url_is_not_survived(self, url: str) -> None:
        port = port_of(url)
        self.assertTrue(port is None or 0 < port < 1 << 16)
