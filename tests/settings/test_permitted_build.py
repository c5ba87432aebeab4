"""What the settings of builds may be."""

from __future__ import annotations

from flocon.settings.settings import Build
from tests.settings.options_case import OptionsTestCase


class Builds(OptionsTestCase):
    def build(self, line: str) -> Build:
        return self.load(f"[build]\n{line}").build

    def test_an_address_is_one_of_http_and_ends_in_no_slash(self) -> None:
        self.assertEqual(self.build('aur = "https://h/a/"').aur, "https://h/a")
        for said in ("h", "ftp://h", "https:///x", "http://h:port", "http://h:0", "http://h/a b"):
            self.assertRefused(f'[build]\naur = "{said}"', "build.aur", "is not an address")

    def test_no_refusal_shows_a_password(self) -> None:
        with self.assertRaises(Exception) as caught:
            self.build('notify_url = "ftp://me:secret@h/x"')
        self.assertNotIn("secret", str(caught.exception))

    def test_what_may_be_left_out_may_be_empty(self) -> None:
        found = self.build('aur_copy = ""\nnotify_url = ""\nnotify_mail = ""')
        self.assertEqual((found.aur_copy, found.notify_url, found.notify_mail), ("", "", ""))
        self.assertRefused('[build]\naur = ""', "build.aur", "is empty")

    def test_the_aur_is_asked_no_more_often_than_is_polite(self) -> None:
        self.assertEqual(self.build('poll = "10m"').poll, 600)
        self.assertEqual(self.build("poll = 0").poll, 0)
        self.assertRefused('[build]\npoll = "9m"', "build.poll", "too often")

    def test_a_mail_goes_to_an_address_or_a_local_user(self) -> None:
        for said in ("root", "me@host.example"):
            self.assertEqual(self.build(f'notify_mail = "{said}"').notify_mail, said)
        for said in ("me@", "a b", "me@h\\nBcc: you@h"):
            with self.subTest(said):
                self.assertRefused(f'[build]\nnotify_mail = "{said}"', "build.notify_mail")
