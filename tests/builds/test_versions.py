"""Versions of what is needed count as they do for pacman, and what lacks one is looked at again."""

from __future__ import annotations

from tests.builds.test_keeper import run
from tests.builds.world import WorldTestCase


class NeededVersions(WorldTestCase):
    @run
    async def test_another_one_that_provides_the_version_is_taken(self) -> None:
        self.aur.push("library", "1-1")
        self.aur.push("library-new", "3-1", provides=["library=3"])
        self.aur.push("library-old", "1-1", provides=["library=1"])
        self.aur.push("tool", "1-1", "library>=3")
        await self.begun()
        await self.steer("add", "tool")
        watched = {row["base"] for row in self.keeper.describe()["watched"]}
        self.assertEqual(watched, {"library-new", "tool"})

    @run
    async def test_both_are_updated_at_once(self) -> None:
        """The newer one is needed, which a person has to approve first."""
        self.aur.push("library", "1-1")
        self.aur.push("tool", "1-1", "library>=1")
        await self.have("library", "tool")
        self.aur.push("library", "2-1", more="x")
        self.aur.push("tool", "2-1", "library>=2")
        await self.poll(after=60)
        said = " ".join(self.one("tool").reasons())
        self.assertIn("tool needs library>=2, and 2-1 of library waits to be approved", said)
        await self.steer("approve", "library")
        await self.until(("library", "published"))
        await self.poll(after=60)
        candidate = self.one("tool").candidate
        assert candidate is not None
        self.assertEqual((candidate.lacks, candidate.needs.bases), ((), ("library",)))
        await self.steer("approve", "tool")
        await self.until(("tool", "published"))
        self.assertEqual(self.one("tool").version, "2-1")

    @run
    async def test_what_nobody_has_is_looked_for_some_times_a_day(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "2-1", "library>=2")
        await self.poll(after=60)
        self.aur.fetched.clear()
        for _ in range(24):
            await self.poll(after=3_600)
        self.assertLessEqual(len(self.aur.fetched), 5)
        self.aur.push("library", "2-1")
        await self.poll(after=7 * 3_600)
        self.assertEqual(self.stage("library"), "waits for a person")
