"""Whatever peers send for a key, or for news of a repository, is read or refused."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import RepositoryError
from flocon.joined.keys import LARGEST_KEYS, MOST_KEYS, read_keys
from flocon.joined.signed import read_status
from flocon.joined.told import Generation, Piece, dump, file_names, load
from tests.fuzz import mutate
from tests.joined.maker import signer

#: Mutated inputs of each kind; more by hand, as FLOCON_FUZZ says.
COUNT = int(os.environ.get("FLOCON_FUZZ", "3000"))


class FuzzedTests(SynchronousTestCase):
    def fuzz(self, right: bytes, read: Callable[[bytes], None]) -> None:
        dice = random.Random(7)
        for _ in range(COUNT):
            data = right
            for _ in range(dice.randrange(1, 4)):
                data = mutate(dice, data)
            read(data)

    def test_keys(self) -> None:
        def read(data: bytes) -> None:
            with contextlib.suppress(RepositoryError):
                keys = read_keys(data)
                self.assertLessEqual(len(data), LARGEST_KEYS)
                self.assertLessEqual(len(keys), MOST_KEYS)
                self.assertEqual(b"".join(one.data for one in keys), data)

        self.fuzz(signer().gpg("--export") + signer(1).gpg("--export"), read)

    def test_what_is_told(self) -> None:
        files = {name: Piece("ab" * 32, 7) for name in file_names("home")}

        def read(data: bytes) -> None:
            told = load(data, "home")
            if told is not None:
                self.assertEqual(load(dump(told), "home"), told)

        self.fuzz(dump(Generation("home", 5, 6, "AB" * 20, files)), read)

    def test_what_gpgv_says(self) -> None:
        key = "AB" * 20
        said = f"[GNUPG:] GOODSIG x y\n[GNUPG:] VALIDSIG {key} 2023-11-14 5 0 4 0 22 10 00 {key}\n"

        def read(data: bytes) -> None:
            signed = read_status(data)
            self.assertFalse(signed.good and signed.bad)

        self.fuzz(said.encode(), read)
