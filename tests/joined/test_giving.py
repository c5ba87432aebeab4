"""What is given of own repositories: to pacman one generation's pair, to peers the same."""

from __future__ import annotations

import os
import time
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from flocon.databases.given import Missing, OwnCopy, Signature, Unchanged
from flocon.errors import StoreError
from flocon.files import parse_path
from flocon.joined.giving import MOST_TOLD, Giving
from flocon.joined.keys import read_keys
from flocon.joined.known import Known, Trusted
from flocon.joined.shelf import Shelf
from flocon.joined.told import load
from flocon.pacman.listing import Database, Listing
from tests.inline import InlineReactor
from tests.joined.maker import THEN, Maker

if TYPE_CHECKING:
    from flocon.files import Asked
    from flocon.joined.told import Generation


def asked(path: str) -> Asked:
    found = parse_path(path.encode())
    assert found is not None
    return found


class Repositories:
    """What is here, as it is once all has come."""

    def __init__(self, store: Path) -> None:
        self.shelf = Shelf(store)
        self.known: dict[str, Known] = {}

    async def settled(self, _: float) -> None:
        """All is here."""


class GivingCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(self.mktemp())
        self.maker = Maker(folder / "elsewhere")
        self.repositories = Repositories(folder / "store")
        self.listing = Listing()
        self.private: set[str] = set()
        pacman: Any = SimpleNamespace(listing=self.listing)
        self.pacman = pacman
        self.giving = Giving(
            InlineReactor(),
            self.repositories,  # type: ignore[arg-type]
            pacman,
            self.private.__contains__,
        )
        keys = tuple(read_keys(self.maker.public))
        trusted = Trusted("home", folder / "keys", keys, publishes=False, joined=True)
        self.known = self.repositories.known["home"] = Known(trusted)

    def take(self, packages: dict[str, str], signed: int) -> dict[str, bytes]:
        """Have a generation here; return its files."""
        files = self.maker.files(packages, signed)
        self.place(self.maker.told(files, signed, signed - THEN + 1), files)
        return files

    def place(self, generation: Generation, files: dict[str, bytes]) -> None:
        descriptors = {}
        for name, data in files.items():
            descriptors[name] = os.memfd_create(name)
            self.addCleanup(os.close, descriptors[name])
            os.write(descriptors[name], data)
        self.repositories.shelf.place(generation, descriptors)
        self.known.took(generation, Database("home", "", 0.0, {}), "10.0.0.1")

    def answer(self, path: str, since: float | None = None) -> Any:
        date = None if since is None else formatdate(since, usegmt=True)
        return self.successResultOf(Deferred.fromCoroutine(self.giving.answer(asked(path), date)))

    def read(self, given: Any) -> bytes:
        self.assertIsInstance(given, OwnCopy)
        with os.fdopen(os.dup(given.opened.fileno()), "rb") as file:
            data = file.read()
        given.opened.close()
        return data


class ToPacmanTests(GivingCase):
    def test_database_and_signature_are_of_one_generation(self) -> None:
        first = self.take({"a": "1-1"}, THEN)
        self.assertEqual(self.read(self.answer("/home/os/x86_64/home.db")), first["home.db"])
        self.take({"a": "2-1"}, THEN + 1)
        given = self.answer("/home/os/x86_64/home.db.sig")
        assert isinstance(given, Signature)
        self.assertEqual((given.data, given.modified), (first["home.db.sig"], float(THEN)))

    def test_it_bears_the_second_in_which_it_was_signed(self) -> None:
        self.take({"a": "1-1"}, THEN)
        given = self.answer("/home/os/x86_64/home.db")
        self.assertEqual((given.dated, given.opened.modified), (True, float(THEN)))
        given.opened.close()

    def test_who_has_it_is_told_so_and_gets_its_signature(self) -> None:
        files = self.take({"a": "1-1"}, THEN)
        self.assertIsInstance(self.answer("/home/os/x86_64/home.db", THEN), Unchanged)
        given = self.answer("/home/os/x86_64/home.db.sig", THEN)
        self.assertEqual((given.data, given.is_new), (files["home.db.sig"], False))

    def test_older_than_what_pacman_has_is_never_given(self) -> None:
        self.take({"a": "1-1"}, THEN)
        self.assertIsInstance(self.answer("/home/os/x86_64/home.db", THEN + 1), Unchanged)

    def test_other_bytes_of_that_very_second_are_replaced(self) -> None:
        files = self.take({"a": "1-1"}, THEN)
        self.pacman.listing = Listing((Database("home", "0" * 16, float(THEN), {}),))
        given = self.answer("/home/os/x86_64/home.db", THEN)
        self.assertFalse(given.dated)
        self.assertEqual(self.read(given), files["home.db"])

    def test_one_from_the_future_has_no_date(self) -> None:
        self.take({"a": "1-1"}, int(time.time()) + 5_000)
        given = self.answer("/home/os/x86_64/home.db")
        self.assertFalse(given.dated)
        given.opened.close()

    def test_while_none_is_here_pacman_is_told_to_come_again(self) -> None:
        for path in ("/home/os/x86_64/home.db", "/home/os/x86_64/home.db.sig"):
            self.assertEqual(self.answer(path), Missing(503))

    def test_other_repositories_are_others_affair(self) -> None:
        self.take({"a": "1-1"}, THEN)
        for path in ("/core/os/x86_64/core.db", "/home/os/x86_64/core.db"):
            self.assertIsNone(self.answer(path))

    def test_list_of_files_is_given_too(self) -> None:
        files = self.take({"a": "1-1"}, THEN)
        given = self.answer("/home/os/x86_64/home.files")
        self.assertEqual(self.read(given), files["home.files"])
        given = self.answer("/home/os/x86_64/home.files.sig")
        self.assertEqual(given.data, files["home.files.sig"])

    def test_private_ones_are_for_this_machine(self) -> None:
        files = self.take({"a": "1-1"}, THEN)
        self.private.add("home")
        self.assertEqual(self.read(self.answer("/home/os/x86_64/home.db")), files["home.db"])


class ToPeersTests(GivingCase):
    def opened(self, sequence: int, name: str) -> bytes:
        opened = self.successResultOf(
            Deferred.fromCoroutine(self.giving.open("home", sequence, name))
        )
        with os.fdopen(os.dup(opened.fileno()), "rb") as file:
            data = file.read()
        opened.close()
        return data

    def test_what_is_told_is_the_newest_generation(self) -> None:
        self.take({"a": "1-1"}, THEN)
        text = self.giving.told("home")
        assert text is not None
        self.assertEqual(load(text, "home"), self.known.generation)

    def test_the_one_before_is_given_still(self) -> None:
        first = self.take({"a": "1-1"}, THEN)
        second = self.take({"a": "2-1"}, THEN + 1)
        self.assertEqual(self.opened(1, "home.db"), first["home.db"])
        self.assertEqual(self.opened(2, "home.files.sig"), second["home.files.sig"])

    def test_nothing_else_is_opened(self) -> None:
        self.take({"a": "1-1"}, THEN)
        for sequence, name in ((9, "home.db"), (1, "newest.json"), (1, "../newest.json")):
            work = Deferred.fromCoroutine(self.giving.open("home", sequence, name))
            self.failureResultOf(work, StoreError)

    def test_key_is_told_before_anything_is_here(self) -> None:
        self.assertEqual(self.giving.key("home"), self.maker.public)
        self.assertIsNone(self.giving.told("home"))

    def test_of_private_ones_nobody_hears(self) -> None:
        self.take({"a": "1-1"}, THEN)
        self.private.add("home")
        self.assertEqual(
            (self.giving.told("home"), self.giving.key("home"), self.giving.announced()),
            (None, None, ()),
        )
        work = Deferred.fromCoroutine(self.giving.open("home", 1, "home.db"))
        self.failureResultOf(work, StoreError)

    def test_newest_ones_are_announced_as_far_as_there_is_room(self) -> None:
        self.take({"a": "1-1"}, THEN)
        generation = self.known.generation
        for number in range(MOST_TOLD + 2):
            known = Known(self.known.trusted)
            known.generation = generation
            self.repositories.known[f"other{number}"] = known
        self.assertEqual(len(self.giving.announced()), MOST_TOLD)
        self.take({"a": "2-1"}, THEN + 1)
        self.assertEqual(self.giving.announced()[0], ("home", THEN + 1))
