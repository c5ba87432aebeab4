"""No password passes, wherever in a text its address stands."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.secrecy import without_any_passwords, without_passwords

words = st.text(st.characters(blacklist_characters="/?#", blacklist_categories=("Z", "C")))


class Passwords(SynchronousTestCase):
    def test_who_asks_is_left_out_and_where_stays(self) -> None:
        for told, wanted in (
            ("Server = http://al:s3@HOST/$repo", "Server = http://***@HOST/$repo"),
            ("'https://t0ken@h:80/': gone, ftp://a:b@c", "'https://***@h:80/': gone, ftp://***@c"),
            ("http://a:b@c@host/x@y", "http://***@host/x@y"),
        ):
            self.assertEqual(without_passwords(told), wanted)

    def test_what_bears_none_stays_as_it_is(self) -> None:
        for told in ("http://host/a@b", "python-a@1-1", "see https://h, or a@b", "x://h?q=a@b", ""):
            self.assertEqual(without_passwords(told), told)

    def test_a_failure_may_name_only_its_end(self) -> None:
        for told, wanted in (
            ("invalid hostname: alice:s3cret@127.0.0.1", "invalid hostname: ***@127.0.0.1"),
            ("'al:s3@c@h': no (a:b@h)", "'***@h': no (***@h)"),
            ("http://a:b@h:80: gone", "http://***@h:80: gone"),
            ("zlib-1.3@2-1-any.pkg.tar.zst: gone", "zlib-1.3@2-1-any.pkg.tar.zst: gone"),
            ("no colon@h, and 10:30 no name", "no colon@h, and 10:30 no name"),
        ):
            self.assertEqual(without_any_passwords(told), wanted)

    @given(words, words)
    def test_no_password_passes(self, user: str, password: str) -> None:
        shown = without_passwords(f"cannot ask http://{user}:{password}@host/path now")
        self.assertEqual(shown, "cannot ask http://***@host/path now")
