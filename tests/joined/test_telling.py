"""What a person is told of own repositories: how each stands, and what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.joined.keys import PublicKey
from flocon.joined.known import Known, Trusted
from flocon.joined.offers import Offer, Offers, Wrong
from flocon.joined.telling import OLD, SOON, database_answer, describe, tell
from flocon.joined.told import Generation
from flocon.pacman.entries import Entry
from flocon.pacman.listing import Database

FPR = "AB" * 20
NOW = 1_700_000_000.0


class TellingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.known = Known(Trusted("home", Path("keys"), (), publishes=False, joined=True))
        self.repositories: Any = SimpleNamespace(
            known={"home": self.known}, offers=Offers(), problems={}
        )

    def take(self, signed: int = 1_700_000_000) -> None:
        generation = Generation("home", signed, 3, FPR, {})
        self.known.took(generation, Database("home", "", 0.0, {}), "10.0.0.1")

    def foreign(self, signed: int) -> None:
        offer = Offer("home", "n", "10.0.0.9", 1, signed)
        self.repositories.offers.disappointed(offer, Wrong.FOREIGN, 0.0, FPR)

    def test_one_that_is_here_has_nothing_wrong(self) -> None:
        self.take()
        (told,) = describe(self.repositories, lambda _: {"wanted": 2, "here": 1})
        self.assertEqual((told["signed"], told["from"]), (1_700_000_000, "10.0.0.1"))
        self.assertEqual((told["fingerprint"], told["copies"]["here"]), (FPR, 1))
        self.assertEqual([*tell(self.repositories, NOW)], [])

    def test_another_key_is_told_while_it_is_newer_than_what_is_here(self) -> None:
        self.take()
        self.foreign(1_700_000_001)
        (told,) = tell(self.repositories, NOW)
        self.assertIn("10.0.0.9", told["reason"])
        self.assertIn("ABAB ABAB", told["reason"])
        self.assertIn("flocon repo join home", told["remedy"])
        self.take(1_700_000_002)
        self.assertEqual([*tell(self.repositories, NOW)], [])

    def test_that_nothing_is_here_is_told_with_the_reason(self) -> None:
        self.known.problem = "10.0.0.1 is away"
        (told,) = tell(self.repositories, NOW)
        self.assertIn("10.0.0.1 is away", told["reason"])

    def test_where_it_is_made_another_key_is_joined_there_too(self) -> None:
        self.known.trusted = replace(self.known.trusted, publishes=True)
        for take in (bool, self.take):
            take()
            self.known.problem = "what this machine publishes is not given out"
            (told,) = tell(self.repositories, NOW)
            self.assertIn("'flocon repo join home' as root here, too", told["remedy"])

    def test_keys_that_cannot_be_read_are_told(self) -> None:
        self.repositories.known.clear()
        self.repositories.problems = {"home": "keys/home.gpg cannot be read"}
        (told,) = tell(self.repositories, NOW)
        self.assertIn("keys/home.gpg", told["reason"])
        self.assertIn("flocon repo join home", told["remedy"])

    def test_a_person_is_told_how_a_database_is_answered(self) -> None:
        self.assertIn("an error", database_answer(self.repositories, "home"))
        self.take()
        self.assertIn("2023-11-14 22:13:20 UTC", database_answer(self.repositories, "home"))
        self.assertEqual(database_answer(self.repositories, "core"), "")

    def has(self, repository: str, *names: str) -> None:
        known = Known(Trusted(repository, Path("keys"), (), publishes=False, joined=True))
        entries = {
            f"{name}-1-1-any.pkg.tar": Entry(repository, "", name, "1-1", 1, bytes(32))
            for name in names
        }
        generation = Generation(repository, 1, 3, FPR, {})
        known.took(generation, Database(repository, "", 0.0, entries), "10.0.0.1")
        self.repositories.known[repository] = known

    def test_packages_that_two_machines_build_are_told(self) -> None:
        self.has("home", "paru", "yay")
        self.has("office", "other")
        self.assertEqual([*tell(self.repositories, NOW)], [])
        self.has("office", "paru", "other")
        (told,) = tell(self.repositories, NOW)
        self.assertIn("paru: in the own repositories home and office", told["reason"])
        self.assertIn("flocon build remove", told["remedy"])
        many = [f"p{number}" for number in range(99)]
        self.has("home", *many)
        self.has("office", *many)
        (told,) = tell(self.repositories, NOW)
        self.assertIn("and 94 more", told["reason"])

    def keyed(self, made: float, lives: float = 0, *, publishes: bool = True) -> list[Any]:
        key = PublicKey(FPR, (), b"", int(made), int(lives))
        trusted = Trusted("home", Path("keys"), (key,), publishes=publishes, joined=True)
        self.known = self.repositories.known["home"] = Known(trusted)
        self.take()
        return [(told["wrong"], told["reason"]) for told in tell(self.repositories, NOW)]

    def test_a_key_that_is_not_good_for_long_is_told(self) -> None:
        self.assertEqual(self.keyed(NOW - 100, 101 + SOON), [])
        ((wrong, said),) = self.keyed(NOW - 100, 100 + 3 * 86_400)
        self.assertEqual((wrong, "expires in 3 days" in said), (False, True))
        ((wrong, said),) = self.keyed(NOW - 100, 99)
        self.assertEqual((wrong, "has expired" in said), (True, True))

    def test_an_old_key_is_told_where_it_signs(self) -> None:
        self.assertEqual(self.keyed(NOW - OLD), [])
        ((wrong, said),) = self.keyed(NOW - OLD - 1)
        self.assertEqual((wrong, "1825 days ago" in said), (False, True))
        self.assertEqual(self.keyed(NOW - OLD - 1, publishes=False), [])
