"""Mirrors' addresses: passwords go to their server and nowhere else, and this machine is known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.addresses import (
    Credentials,
    follow,
    names_this_machine,
    network_location,
    other_spelling,
    parse_address,
    without_user,
)


class ParsingTests(SynchronousTestCase):
    def test_user_and_password_are_taken_out_and_unescaped(self) -> None:
        address = parse_address("http://al%40ce:s3%3Acret@h:81/a?b#c")
        self.assertEqual(address.url, "http://h:81/a?b")
        self.assertEqual(address.credentials, Credentials(b"al@ce", b"s3:cret"))
        self.assertEqual(address.place, ("h", 81))

    def test_an_address_without_them_has_none(self) -> None:
        for url in ("http://h/a@b", "http://h/", "http://@h/"):
            self.assertIsNone(parse_address(url).credentials)

    def test_a_password_may_contain_what_separates(self) -> None:
        self.assertEqual(
            parse_address("http://a:b:c@d@h/").credentials, Credentials(b"a", b"b:c@d")
        )

    def test_ports_are_those_of_the_scheme(self) -> None:
        self.assertEqual(parse_address("http://h/").port, 80)
        self.assertEqual(parse_address("https://[::1]/").origin, ("https", "::1", 443))

    def test_what_cannot_be_asked_is_refused_and_not_quoted(self) -> None:
        for url in (
            "ftp://u:secret@h/",
            "http://u:secret@/",
            "http://u:secret@h:x/",
            "http://h:0/",
            "u:secret@h",
            "http://u:secret@h/a b",
            "http://u:secret@h/\n",
            "http://\xe9/",
            "",
        ):
            with self.assertRaises(ValueError) as caught:
                parse_address(url)
            self.assertNotIn("secret", str(caught.exception))

    def test_a_password_is_never_shown(self) -> None:
        self.assertNotIn("secret", repr(parse_address("http://u:secret@h/")))

    def test_basic_is_as_in_the_rfc(self) -> None:
        credentials = Credentials(b"Aladdin", b"open sesame")
        self.assertEqual(credentials.basic(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")


class ShowingTests(SynchronousTestCase):
    def test_a_network_location_is_host_and_port(self) -> None:
        for url in ("http://h:80/a/b", "https://u@h:80", "http://u:p@h:80?x@y"):
            self.assertEqual(network_location(url), "h:80", url)

    def test_what_is_shown_has_all_but_user_and_password(self) -> None:
        self.assertEqual(without_user("http://u:p@h:80/a@b"), "http://h:80/a@b")
        self.assertEqual(without_user("http://h/a"), "http://h/a")
        self.assertEqual(without_user("u:p@h/a"), "h/a")
        self.assertEqual(without_user("file:///srv/a@b"), "file:///srv/a@b")

    @given(
        st.text("abc:@%", min_size=1, max_size=9),
        st.sampled_from(["http://", "ftp://", ""]),
    )
    def test_no_password_is_in_it(self, user: str, scheme: str) -> None:
        url = f"{scheme}{user}:SECRET@host/path"
        for told in (without_user(url), network_location(url)):
            self.assertNotIn("SECRET", told)


class FollowingTests(SynchronousTestCase):
    BASE = parse_address("http://u:p@h:81/a/b?c")

    def test_relative_ones_stay_on_the_server_and_lose_the_password(self) -> None:
        for location, url in ((b"d", "/a/d"), (b"/d", "/d"), (b"../d", "/d"), (b"?d", "/a/b?d")):
            address = follow(self.BASE, location)
            self.assertEqual((address.url, address.credentials), ("http://h:81" + url, None))

    def test_one_without_a_scheme_keeps_it(self) -> None:
        self.assertEqual(follow(self.BASE, b"//other/x").url, "http://other/x")

    def test_one_may_bring_its_own_password(self) -> None:
        address = follow(self.BASE, b"https://v:w@h2/x")
        self.assertEqual(address.credentials, Credentials(b"v", b"w"))

    @given(st.binary(max_size=60))
    def test_any_bytes_lead_to_an_address_or_nowhere(self, location: bytes) -> None:
        try:
            address = follow(self.BASE, location)
        except ValueError:
            return
        self.assertTrue(address.url.isascii() and address.url.isprintable())
        self.assertNotIn(" ", address.url)


class SpellingTests(SynchronousTestCase):
    def test_only_the_files_name_is_spelled_otherwise(self) -> None:
        self.assertEqual(other_spelling("http://h:1/a+b/c+:d"), "http://h:1/a+b/c%2B%3Ad")

    def test_one_without_such_letters_has_no_other(self) -> None:
        self.assertIsNone(other_spelling("http://h:1/a+b/c%2Bd"))


class OwnNames(SynchronousTestCase):
    def test_loopback_by_whatever_name(self) -> None:
        for host in ("localhost", "LocalHost.", "a.localhost", "127.0.0.1", "127.3.2.1", "::1",
                     "0.0.0.0", "::", "::ffff:127.0.0.1", "localhost.localdomain"):  # fmt: skip
            self.assertTrue(names_this_machine(host), host)

    def test_others(self) -> None:
        for host in ("mirror.example", "10.0.0.1", "notlocalhost", "::2", "localhost.example", ""):
            self.assertFalse(names_this_machine(host), host)
