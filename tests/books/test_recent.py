"""What is remembered of pacman's requests."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from flocon.books.recent import MOST_REQUESTS, Answered, Recent, kind_of, whence


def answered(name: str) -> Answered:
    tried = (("peer 10.0.0.2", "10.0.0.2: answered 404"),)
    return Answered(name, "core", 1.0, 0.25, 200, "mirror m", 7, tried)


class Remembering(SynchronousTestCase):
    def test_the_newest_of_a_name_comes_first(self) -> None:
        recent = Recent()
        one, two, other = answered("a"), answered("a"), answered("b")
        for each in (one, other, two):
            recent.add(each)
        found = recent.of("a", "a.sig")
        self.assertIs(found[0], two)
        self.assertIs(found[1], one)
        self.assertEqual(len(found), 2)

    def test_the_oldest_is_forgotten(self) -> None:
        recent = Recent()
        for at in range(MOST_REQUESTS + 1):
            recent.add(answered(str(at)))
        names = [one.file_name for one in recent]
        self.assertEqual(names, [str(at) for at in range(1, MOST_REQUESTS + 1)])

    def test_no_password_is_remembered_in_what_is_told(self) -> None:
        secret = "mirror http://alice:s3cret@m"
        one = Answered(
            "a", "core", 1.0, 0.25, 200, secret, 7, ((secret, "invalid hostname: alice:s3cret@m"),)
        )
        self.assertNotIn("s3cret", str(one.describe()))

    def test_each_kind_of_source_has_its_word(self) -> None:
        for source, kind in (
            ("peer 10.0.0.2", "peer"),
            ("peer 10.0.0.2 for us", "owner"),
            ("mirror for us", "mirror"),
            ("parent nas:9129", "peer"),
            ("mirror m, where nas:9129 sends to", "mirror"),
            ("cache", "cache"),
            ("pacredir at 10.0.0.7", "peer"),
            ("adopted", "adopted"),
            ("", "none"),
        ):
            self.assertEqual(kind_of(source), kind)

    def test_a_file_of_several_sources_is_credited_to_each_with_what_it_brought(self) -> None:
        brought = (("peer 10.0.0.2", 60 << 20), ("peer 10.0.0.3", 29 << 20), ("mirror m", 1 << 20))
        shares = (("mirror", 1 << 20), ("peer", 89 << 20))
        one = replace(answered("a"), bytes=90 << 20, shares=shares, brought=brought)
        told = one.describe()
        self.assertEqual(told["kind"], "peer")
        self.assertEqual(told["brought"][2], {"source": "mirror m", "bytes": 1 << 20})
        self.assertEqual(
            whence(told, lambda source: source.replace("10.0.0.2", "ada")),
            "peer ada (60.0 MiB), peer 10.0.0.3 (29.0 MiB), mirror m (1.0 MiB)",
        )
        many = replace(one, brought=(*brought, ("mirror n", 5), ("mirror o", 4)))
        self.assertTrue(whence(many.describe()).endswith("mirror m (1.0 MiB) and 2 more"))

    def test_a_source_alone_is_named_without_a_number(self) -> None:
        one = replace(answered("a"), brought=(("mirror m", 7),))
        self.assertEqual(whence(one.describe()), "mirror m")
        self.assertEqual(whence(replace(one, source="", brought=()).describe()), "")

    def test_it_is_told_as_plain_values(self) -> None:
        told = answered("a").describe()
        self.assertEqual(
            told["tried"], [{"source": "peer 10.0.0.2", "failure": "10.0.0.2: answered 404"}]
        )
        self.assertEqual((told["file"], told["bytes"], told["seconds"]), ("a", 7, 0.25))
