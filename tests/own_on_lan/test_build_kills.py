"""A host that builds, of which a part is killed: nothing unsigned or half is ever offered.

A few times; ``python -m tests.own_on_lan.build_kills`` does it by the hundred.
"""

from __future__ import annotations

import shutil

from twisted.trial.unittest import SynchronousTestCase

from tests.lan.lan import unavailable
from tests.lan.on_request import seeds_of
from tests.needs import leave_out
from tests.own_on_lan.build_kills import Place

#: Of keeper, builder and signer one each; or two, soon after it is approved and when it is built.
SEEDS = seeds_of((1, 8, 28), (1, 9, 8, 26, 3, 28))


class Killed(SynchronousTestCase):
    def test_what_is_offered_afterwards_is_whole_and_signed(self) -> None:
        leave_out(unavailable())
        programs = ("bwrap", "makepkg", "git", "gpg", "gpgv", "bsdtar")
        lacking = [name for name in programs if shutil.which(name) is None]
        leave_out(f"{' and '.join(lacking)} cannot be found" if lacking else "")
        place = Place()
        self.addCleanup(place.close)
        problems = {seed: place.run(seed) for seed in SEEDS}
        self.assertEqual({seed: found for seed, found in problems.items() if found}, {})
