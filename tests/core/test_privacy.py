"""No password passes, wherever in a text its address stands."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.core.privacy import without_passwords

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

    @given(words, words)
    def test_no_password_passes(self, user: str, password: str) -> None:
        shown = without_passwords(f"cannot ask http://{user}:{password}@host/path now")
        self.assertEqual(shown, "cannot ask http://***@host/path now")
