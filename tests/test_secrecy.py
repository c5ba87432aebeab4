"""No password passes, wherever in a text its address stands."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.secrecy import may_be_told, without_any_passwords, without_passwords

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


class Mirrors(SynchronousTestCase):
    """Which of them strangers may be told of: none whose address may have a secret in it."""

    def test_those_of_everybody_may_be_told(self) -> None:
        for url in (
            "https://geo.mirror.pkgbuild.com/core/os/x86_64",
            "https://mirrors.kernel.org/archlinux/extra/os/x86_64",
            "http://ftp2.de.debian.example/pub/linux/distributions/archlinux/core/os/x86_64",
            "https://archive.archlinux.org/repos/2026/11/28/core/os/x86_64",
            "https://download.opensuse.org/repositories/home:/ungoogled_chromium/Arch/x86_64",
            "https://github.com/arch4edu/mirror/releases/download/x86_64",
            "http://10.0.0.1:9129/repo/archlinux/core/os/x86_64",
            "http://[fd00::1]:7878/core/os/x86_64",
            "http://mirror/~arch/",
        ):
            self.assertTrue(may_be_told(url), url)

    def test_none_that_may_bear_a_password_is(self) -> None:
        for url in (
            *("https://al:s3@host/core", "https://token@host/core", "https://@host/core"),
            *("https://host/core?token=abc", "https://host/core?", "https://host/core#abc"),
            "https://host/key/abc/core/os/x86_64",
            "https://host/api-key/abc/core/os/x86_64",
            "https://host/token=abc/core",
            "https://host/%74oken/core",
            "https://host/;abc/core",
            "https://host/3f9a1c77b2d04e51/core/os/x86_64",
            "https://host/550e8400-e29b-41d4-a716-446655440000/core",
            "https://host/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0/core",
            "https://host/AbCdEfGhIjKlMnOp/core",
            "https://host/abcdefghijklmnopqrstuvwxyz/core",
            "https://8d7f6a5c4b3e2d1f.mirror.example/core",
            "https://[broken/core",
        ):
            self.assertFalse(may_be_told(url), url)

    @given(st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF)))
    def test_whatever_it_is_there_is_an_answer(self, text: str) -> None:
        self.assertIsInstance(may_be_told(f"http://{text}"), bool)

    @given(st.uuids())
    def test_nothing_drawn_by_lot_is_told(self, lot: UUID) -> None:
        for text in (str(lot), lot.hex):
            self.assertFalse(may_be_told(f"https://host/{text}/core"), text)
