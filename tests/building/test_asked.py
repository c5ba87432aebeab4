"""Heads of requests to the gateway."""

from __future__ import annotations

import signal

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from flocon.building.asked import Asked, read_head


class HeadTests(SynchronousTestCase):
    """What is understood, and what is not."""

    def test_a_tunnel(self) -> None:
        self.assertEqual(
            read_head(b"CONNECT Example.org:443 HTTP/1.1\r\nHost: x"), Asked("example.org", 443)
        )
        self.assertEqual(
            read_head(b"CONNECT [2001:db8::1]:443 HTTP/1.1"), Asked("2001:db8::1", 443)
        )

    def test_an_address(self) -> None:
        head = b"GET http://a.org:8080/x?y=%20 HTTP/1.1\r\nHost: a.org:8080\r\nProxy-Connection: a"
        asked = read_head(head)
        self.assertEqual(
            asked,
            Asked(
                "a.org",
                8080,
                b"GET /x?y=%20 HTTP/1.1\r\nHost: a.org:8080\r\nConnection: close\r\n\r\n",
            ),
        )

    def test_an_address_without_a_path(self) -> None:
        asked = read_head(b"GET http://a.org?q HTTP/1.0")
        assert asked is not None
        self.assertEqual(asked.head.split(b"\r\n")[0], b"GET /?q HTTP/1.0")

    def test_a_user_of_the_address_is_not_told_as_its_host(self) -> None:
        asked = read_head(b"GET http://a.org@b.org/ HTTP/1.1")
        assert asked is not None
        self.assertEqual(asked.host, "b.org")

    def test_all_else_is_not_understood(self) -> None:
        for head in (
            b"",
            b"GET / HTTP/1.1",
            b"GET https://a.org/ HTTP/1.1",
            b"GET ftp://a.org/ HTTP/1.1",
            b"CONNECT a.org HTTP/1.1",
            b"CONNECT a.org:0 HTTP/1.1",
            b"CONNECT a.org:99999 HTTP/1.1",
            b"CONNECT a.org:-1 HTTP/1.1",
            b"CONNECT a b:443 HTTP/1.1",
            b"CONNECT [x]:443 HTTP/1.1",
            b"CONNECT a.org:443 HTTP/2",
            b"CONNECT \xff:443 HTTP/1.1",
            b"GET http://a.org/\x00 HTTP/1.1",
            b"get http://a.org/ HTTP/1.1",
        ):
            with self.subTest(head=head):
                self.assertIsNone(read_head(head))

    def test_a_name_that_is_none_is_told_at_once(self) -> None:
        def too_late(*_: object) -> None:
            raise AssertionError("it takes longer than 5 s")

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, too_late))
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 5)
        for name in (b"a" * 240 + b"!", b"a." * 120 + b"!", b"-" * 250, b"a" * 64 + b".org"):
            self.assertIsNone(read_head(b"CONNECT " + name + b":443 HTTP/1.1"))
            self.assertIsNone(read_head(b"GET http://" + name + b"/ HTTP/1.1"))

    def test_the_longest_name(self) -> None:
        name = ".".join(["a" * 63] * 3 + ["b" * 61])
        self.assertEqual(read_head(f"CONNECT {name}:443 HTTP/1.1".encode()), Asked(name, 443))

    @given(
        some.binary(max_size=200)
        | some.text(max_size=50).map(lambda one: f"GET http://{one} HTTP/1.1".encode())
    )
    def test_whatever_comes_is_a_place_or_nothing(self, head: bytes) -> None:
        asked = read_head(head)
        if asked is not None:
            self.assertTrue(asked.host and 0 < asked.port < 65_536)
            self.assertNotIn("/", asked.host)
            self.assertEqual(asked.head.count(b"\r\n\r\n"), 0 if asked.is_tunnel else 1)
