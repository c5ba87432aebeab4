"""Which proxy a mirror is asked through: what curl would do with the same environment."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.addresses import Credentials
from flocon.asking.proxies import Proxies, Proxy, parse_proxy, read_proxies

P, Q = Proxy("http", "p", 1080), Proxy("http", "q", 8080)


def read(**environment: str) -> Proxies:
    return read_proxies(environment)[0]


class ParsingTests(SynchronousTestCase):
    def test_scheme_port_and_password_may_be_left_out(self) -> None:
        self.assertEqual(parse_proxy("p"), P)
        self.assertEqual(parse_proxy("http://p/"), P)
        self.assertEqual(parse_proxy("q:8080"), Q)
        self.assertEqual(parse_proxy("http://q:80"), Proxy("http", "q", 80))
        self.assertEqual(parse_proxy("[::1]"), Proxy("http", "::1", 1080))
        self.assertEqual(parse_proxy("https://[::1]:3128/"), Proxy("https", "::1", 3128))

    def test_a_password_is_unescaped_and_not_shown(self) -> None:
        proxy = parse_proxy("http://a%40b:se%3Acret@q:8080")
        self.assertEqual(proxy.credentials, Credentials(b"a@b", b"se:cret"))
        self.assertNotIn("cret", repr(proxy))

    def test_others_than_http_proxies_are_refused(self) -> None:
        for text in ("socks5://h:1", "http://", "h:x", "h h", ":", "http://u:secret@:1"):
            with self.assertRaises(ValueError) as caught:
                parse_proxy(text)
            self.assertNotIn("secret", str(caught.exception))

    @given(st.text(max_size=40))
    def test_whatever_it_is_it_is_one_or_refused(self, text: str) -> None:
        with contextlib.suppress(ValueError):
            self.assertTrue(parse_proxy(text).host)


class Environments(SynchronousTestCase):
    def test_an_empty_one_names_no_proxy(self) -> None:
        self.assertEqual(read(), Proxies())
        self.assertEqual(read(http_proxy="", https_proxy="", no_proxy=""), Proxies())

    def test_each_scheme_has_its_own(self) -> None:
        found = read(http_proxy="p", https_proxy="q:8080")
        self.assertEqual((found.find("http", "h"), found.find("https", "h")), (P, Q))

    def test_of_http_proxy_the_lower_case_alone_counts(self) -> None:
        found = read(HTTP_PROXY="p", HTTPS_PROXY="q:8080")
        self.assertEqual((found.http, found.https), (None, Q))

    def test_lower_case_comes_first(self) -> None:
        self.assertEqual(read(https_proxy="p", HTTPS_PROXY="q:8080").https, P)
        self.assertEqual(read(no_proxy="a", NO_PROXY="b").exempt, ("a",))
        self.assertEqual(read(NO_PROXY="b").exempt, ("b",))

    def test_one_for_all_stands_in(self) -> None:
        found = read(all_proxy="p", https_proxy="q:8080")
        self.assertEqual((found.http, found.https), (P, Q))
        self.assertEqual(read(ALL_PROXY="p").http, P)

    def test_what_cannot_be_used_is_named_and_left_out(self) -> None:
        found, unusable = read_proxies({"all_proxy": "socks5://u:secret@h"})
        self.assertEqual((found, unusable), (Proxies(), ["all_proxy"]))

    def test_the_operators_own_wins_and_may_be_none(self) -> None:
        environment = {"http_proxy": "p", "no_proxy": "x"}
        self.assertEqual(read_proxies(environment, "q:8080")[0], Proxies(Q, Q, ("x",)))
        self.assertIsNone(read_proxies(environment, "")[0].find("http", "h"))


class Exempt(SynchronousTestCase):
    def exempt(self, no_proxy: str, host: str) -> bool:
        return read(http_proxy="p", no_proxy=no_proxy).find("http", host) is None

    def test_a_name_and_what_is_below_it(self) -> None:
        for no_proxy in ("b.org", ".b.org", "x, b.org", "x b.org.", "B.ORG"):
            self.assertTrue(self.exempt(no_proxy, "b.org"), no_proxy)
            self.assertTrue(self.exempt(no_proxy, "a.B.org."), no_proxy)
            self.assertFalse(self.exempt(no_proxy, "ab.org"), no_proxy)
            self.assertFalse(self.exempt(no_proxy, "org"), no_proxy)

    def test_everybody(self) -> None:
        self.assertTrue(self.exempt("*", "a.org"))
        self.assertTrue(self.exempt("x,*", "10.0.0.1"))

    def test_addresses_and_networks(self) -> None:
        self.assertTrue(self.exempt("10.0.0.1", "10.0.0.1"))
        self.assertTrue(self.exempt("10.0.0.0/8,x", "10.1.2.3"))
        self.assertFalse(self.exempt("10.0.0.0/8", "11.1.2.3"))
        self.assertTrue(self.exempt("[::1],fd00::/8", "fd00::7"))
        self.assertTrue(self.exempt("[::1]", "::1"))
        self.assertFalse(self.exempt("0.1", "10.0.0.1"))

    def test_nothing_that_is_none(self) -> None:
        for no_proxy in (",", ".", "10.0.0.0/99", "  "):
            self.assertFalse(self.exempt(no_proxy, "10.0.0.1"), no_proxy)
            self.assertFalse(self.exempt(no_proxy, "a.org"), no_proxy)
