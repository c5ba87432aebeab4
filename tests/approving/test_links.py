"""A link is one browser's, for ten minutes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.approving.links import LIFETIME, MOST_LINKS, Link, Links, Refusal


class LinksTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.links = Links()
        self.links.add("token", "word", "ada", 100.0)

    def open(self, cookie: str, fresh: str = "", now: float = 101.0) -> Link | Refusal:
        return self.links.open("token", cookie, fresh, now)

    def test_the_first_browser_has_it(self) -> None:
        link = self.open("", "cookie")
        assert isinstance(link, Link)
        self.assertEqual((link.who, link.cookie), ("ada", "cookie"))
        self.assertIs(self.open("cookie", "another"), link)

    def test_no_other_has_it_then(self) -> None:
        self.open("", "cookie")
        for cookie in ("", "cooki", "cookie2", "\N{SNOWMAN}"):
            self.assertIs(self.open(cookie, "another"), Refusal.TAKEN, cookie)

    def test_a_decision_takes_no_link_that_nobody_has_opened(self) -> None:
        self.assertIs(self.open(""), Refusal.TAKEN)
        self.assertIsInstance(self.open("", "cookie"), Link)

    def test_its_time_is_over(self) -> None:
        self.open("", "cookie")
        self.assertIsInstance(self.open("cookie", now=99.0 + LIFETIME), Link)
        self.assertIs(self.open("cookie", now=100.0 + LIFETIME), Refusal.OVER)

    def test_what_was_not_made_is_not_known(self) -> None:
        for token in ("", "toke", "token2", "\N{SNOWMAN}"):
            self.assertIs(self.links.open(token, "", "fresh", 101.0), Refusal.UNKNOWN)

    def test_the_oldest_make_room(self) -> None:
        for number in range(MOST_LINKS):
            self.links.add(f"more{number}", "word", "ada", 102.0)
        self.assertIs(self.open("", "cookie"), Refusal.UNKNOWN)
        self.assertIsInstance(self.links.open("more0", "", "cookie", 102.0), Link)

    def test_one_that_is_long_over_is_forgotten(self) -> None:
        self.links.add("later", "word", "ada", 100.0 + 2 * LIFETIME)
        self.assertIs(self.open("", "cookie", 101.0 + 2 * LIFETIME), Refusal.UNKNOWN)

    def test_a_form_has_to_bring_its_word(self) -> None:
        link = self.open("", "cookie")
        assert isinstance(link, Link)
        self.assertTrue(link.knows_word("word"))
        for word in ("", "wor", "\N{SNOWMAN}"):
            self.assertFalse(link.knows_word(word))
