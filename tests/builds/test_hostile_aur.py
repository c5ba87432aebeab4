"""The keeper and an AUR, or one of its maintainers, who wants to harm."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flocon.builds.fetching import MOST_ADDED
from flocon.builds.judging import MOST_NOTES
from flocon.builds.polling import GONE, LONGEST_PAUSE
from flocon.errors import BuildError, Unreachable
from flocon.jobs.resolving import LARGEST_OFFER, MOST_SEARCHED
from flocon.jobs.watched import GIT, Origin
from tests.builds.test_keeper import KeeperTestCase, run
from tests.builds.world import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flocon.aur.records import Record
    from flocon.recipes.recipe import Recipe

HOUR = 3_600.0


class HostileTestCase(KeeperTestCase):
    def have_in_arch(self, *names: str) -> None:
        """Have pacman's databases have these packages."""
        stock = self.keeper.here.stock

        async def with_these() -> Any:
            made: Any = await stock()
            before = made.pacman
            made.pacman = lambda one: one.name if one.name in names else before(one)
            return made

        self.keeper.fetching.resolving._stock = self.keeper.working._stock = with_these


class ProvidingTests(HostileTestCase):
    """A recipe says that it is what another one needs."""

    @run
    async def test_what_nobody_has_approved_takes_no_packages_place(self) -> None:
        self.have_in_arch("glibc")
        self.aur.push("evil", "1-1")
        self.aur.push("tool", "1-1", "glibc")
        await self.have("evil", "tool")
        self.aur.push("evil", "2-1", names=("evil", "glibc"), provides=("glibc=9",))
        await self.poll(after=HOUR)
        self.assertEqual(self.stage("evil"), "waits for a person")
        self.aur.push("tool", "2-1", "glibc")
        await self.poll(after=HOUR)
        await self.poll(after=3 * DAY)
        await self.until(("tool", "published"))
        self.assertEqual(self.one("tool").version, "2-1")
        self.assertEqual(self.builder.requests[-1]["packages"], ["glibc"])

    @run
    async def test_a_package_of_that_name_counts_before_who_provides_it(self) -> None:
        self.have_in_arch("glibc")
        self.aur.push("evil", "1-1", provides=("glibc=9",))
        await self.have("evil")
        self.aur.push("tool", "1-1", "glibc")
        await self.have("tool")
        self.assertEqual(self.builder.requests[-1]["packages"], ["glibc"])

    @run
    async def test_what_is_approved_is_taken_for_what_it_makes_then(self) -> None:
        self.aur.push("library", "1-1")
        await self.have("library")
        self.aur.push("library", "2-1", names=("library", "extra"))
        await self.poll(after=HOUR)
        self.assertEqual(self.one("library").names, ("library",))
        await self.steer("approve", "library")
        self.assertEqual(self.one("library").names, ("library", "extra"))


class NamesTests(HostileTestCase):
    """A base changes what its packages are called, or another one takes their names."""

    @run
    async def test_a_base_is_followed_whatever_its_packages_are_called(self) -> None:
        self.aur.push("tool", "1-1", names=("tool-a", "tool-b"))
        await self.begun()
        await self.steer("add", "tool-a")
        await self.steer("approve", "tool")
        await self.until(("tool", "published"))
        for number, names in enumerate((("tool-b", "tool-c"), ("tool-d",)), 2):
            self.aur.records.clear()
            self.aur.push("tool", f"{number}-1", names=names)
            await self.poll(after=DAY)
            self.assertEqual(self.stage("tool"), "waits for a person")
            self.assertEqual(self.one("tool").version, f"{number}-1")
        # By the name that it has now.
        await self.poll(after=DAY)
        self.assertEqual(self.one("tool").notes, ())

    @run
    async def test_who_maintains_another_base_does_not_maintain_this_one(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "2-1", maintainer="mallory")
        stolen = self.aur.records["tool"]
        self.aur.records["tool"] = replace(stolen, base="other", maintainer="alice")
        await self.poll(after=DAY)
        await self.poll(after=DAY * 40)
        self.assertEqual(self.stage("tool"), "waits for a person")
        self.assertEqual(self.one("tool").notes, (GONE,))
        self.assertIsNone(self.keeper.memory._maintainers.of("other"))


class TooMuchTests(HostileTestCase):
    """What one recipe says costs the others nothing."""

    @run
    async def test_one_that_says_too_much_keeps_nobody_from_deciding_of_others(self) -> None:
        for base in ("evil", "tool"):
            self.aur.push(base, "1-1")
        await self.have("evil", "tool")
        provides = tuple(f"p{number}=" + "\x01" * 1_900 for number in range(500))
        self.aur.push("evil", "2-1", provides=provides)
        self.aur.push("tool", "2-1", more="x")
        await self.poll(after=HOUR)
        await self.steer("approve", "tool")
        await self.until(("tool", "published"))
        self.assertEqual(self.keeper.book.problem, "")

    @run
    async def test_what_it_makes_and_needs_is_bounded(self) -> None:
        self.aur.push("evil", "1-1")
        await self.have("evil")
        provides = tuple(f"p{number}-" + "x" * 100 for number in range(LARGEST_OFFER // 100))
        self.aur.push("evil", "2-1", provides=provides)
        await self.poll(after=HOUR)
        self.assertIn("more than", self.one("evil").notes[0])
        self.assertEqual(self.one("evil").version, "1-1")

    @run
    async def test_the_aur_is_asked_for_some_of_what_nobody_has(self) -> None:
        self.aur.push("evil", "1-1")
        await self.have("evil")
        searched: list[str] = []

        async def search(name: str, **_: bool) -> Iterable[Record]:
            searched.append(name)
            return ()

        self.aur.search_provides = search  # type: ignore[assignment,method-assign]
        self.aur.push("evil", "2-1", *(f"lacking{number}" for number in range(400)))
        await self.poll(after=HOUR)
        self.assertEqual(len(searched), MOST_SEARCHED)
        self.assertEqual(self.stage("evil"), "waits for a person")
        candidate = self.one("evil").candidate
        assert candidate is not None
        self.assertLess(sum(map(len, candidate.lacks)), 4_000)
        self.assertIn("more", candidate.lacks[-1])

    @run
    async def test_a_commit_has_few_others_watched(self) -> None:
        self.aur.push("evil", "1-1")
        await self.have("evil")
        names = [f"needed{number}" for number in range(MOST_ADDED + 1)]
        for name in names:
            self.aur.push(name, "1-1")
        self.aur.push("evil", "2-1", *names)
        await self.poll(after=HOUR)
        self.assertEqual(set(self.keeper.book.watched), {"evil"})
        self.assertIn("needed", self.one("evil").notes[0])
        # Not by several commits either.
        for number in range(3, 9):
            self.aur.push("evil", f"{number}-1", *names[:7])
            self.aur.push("evil", f"{number}-1", *names[7 * (number - 3) : 7 * (number - 2)])
            await self.poll(after=LONGEST_PAUSE)
        self.assertLessEqual(len(self.keeper.book.watched), MOST_ADDED + 1)

    @run
    async def test_what_cannot_be_looked_at_is_tried_less_and_less_often(self) -> None:
        self.aur.push("evil", "1-1")
        await self.have("evil")
        self.aur.push("evil", "2-1")
        read: list[str] = []

        async def no_recipe(base: str, _: str) -> Recipe:
            read.append(base)
            raise BuildError("this is none", "")

        before = self.aur.read
        self.aur.read = no_recipe  # type: ignore[assignment,method-assign]
        for _ in range(7 * 24):
            await self.poll(after=HOUR)
        self.assertLess(len(read), 14)
        # A person who asks is answered.
        self.aur.read = before  # type: ignore[method-assign]
        await self.keeper.check(["evil"])
        self.assertEqual(self.one("evil").version, "2-1")

    @run
    async def test_an_aur_that_was_away_is_asked_with_the_next_look(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "2-1")
        fetch = self.aur.fetch

        async def away(*_: str, **__: bool) -> str:
            raise Unreachable("aur.example", "nobody answers")

        self.aur.fetch = away  # type: ignore[assignment,method-assign]
        for _ in range(5):
            await self.poll(after=HOUR)
        self.aur.fetch = fetch  # type: ignore[method-assign]
        await self.poll(after=HOUR)
        self.assertEqual(self.one("tool").version, "2-1")


class ClockTests(HostileTestCase):
    @run
    async def test_what_was_changed_in_a_thousand_years_waits_some_days(
        self,
    ) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "2-1")
        self.aur.change("tool", last_modified=1 << 52)
        await self.poll(after=HOUR)
        await self.poll(after=2 * DAY)
        self.assertEqual(self.stage("tool"), "waits for time")
        await self.poll(after=1.1 * DAY)
        await self.until(("tool", "published"))

    @run
    async def test_a_clock_that_was_set_back_has_nothing_wait_for_years(self) -> None:
        self.aur.upstream["git+https://example/tool.git"] = "0" * 40
        self.aur.push("tool", "1-1", source="git+https://example/tool.git")
        self.builder.vcs["tool"] = {"git+https://example/tool.git": "0" * 40}
        self.aur.push("other", "1-1")
        await self.have("tool", "other")
        self.now += 3_650 * DAY
        self.aur.push("other", "2-1")
        await self.poll(after=DAY)
        self.assertEqual(self.stage("other"), "waits for time")
        self.now -= 3_650 * DAY
        # Sources are asked again, though they were in ten years from now.
        self.aur.upstream["git+https://example/tool.git"] = "1" * 40
        await self.poll(after=DAY)
        self.assertEqual(self.one("tool").heads_asked, self.now)
        self.assertEqual(self.stage("other"), "waits for time")
        waiting = self.one("other").candidate
        assert waiting is not None
        self.assertLessEqual(waiting.matures, self.now + 3 * DAY)
        self.assertGreater(waiting.matures, self.now + DAY)

    @run
    async def test_what_is_left_alone_is_not_so_for_years(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "2-1", **{".SRCINFO": "nonsense"})
        self.now += 3_650 * DAY
        await self.poll(after=DAY)
        self.assertIn("could not be looked at", self.one("tool").notes[0])
        self.now -= 3_650 * DAY
        self.aur.push("tool", "3-1")
        await self.poll()
        self.assertEqual(self.one("tool").notes, ())

    @run
    async def test_what_was_changed_long_ago_waits_as_long(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "2-1")
        self.aur.change("tool", last_modified=1)
        await self.poll(after=HOUR)
        await self.poll(after=1.9 * DAY)
        self.assertEqual(self.stage("tool"), "waits for time")


class HistoryTests(HostileTestCase):
    @run
    async def test_a_stranger_behind_very_many_commits_is_not_overlooked(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "1.1-1", mail="mallory@example")
        for number in range(2, MOST_NOTES + 2):
            self.aur.push("tool", f"{number}-1")
        notes = self.aur.notes

        async def so_many(*words: str) -> Any:
            return (await notes(*words))[:MOST_NOTES]

        async def leads_to(*_: str) -> bool:
            return True

        self.aur.notes = so_many  # type: ignore[assignment,method-assign]
        self.aur.is_ancestor = leads_to  # type: ignore[assignment,method-assign]
        await self.poll(after=DAY)
        self.assertEqual(self.stage("tool"), "waits for a person")

    @run
    async def test_that_nothing_can_be_compared_is_said(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        approved = self.one("tool").commit
        self.aur.push("tool", "2-1")
        del self.aur.commits["tool"][approved]
        await self.poll(after=DAY)
        self.assertEqual(self.stage("tool"), "waits for a person")
        self.assertIn("is not here any more", " ".join(self.one("tool").reasons()))


class AwayTests(HostileTestCase):
    """Hosts that take their time are asked seldom."""

    @run
    async def test_a_repository_that_is_away_is_asked_less_and_less_often(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        one = self.one("tool")
        await self.keeper.book.put(replace(one, origin=Origin(GIT, "https://example/tool")), "")
        asked: list[str] = []

        async def away(base: str, _: str = "", **__: bool) -> str:
            asked.append(base)
            raise Unreachable("example", "nobody answers")

        self.aur.fetch = away  # type: ignore[assignment,method-assign]
        for _ in range(7 * 24):
            await self.poll(after=HOUR)
        self.assertLess(len(asked), 14)

    @run
    async def test_sources_that_are_away_are_asked_once_a_day(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        published = self.one("tool").published
        assert published is not None
        heads = (("git+https://example/a", "a" * 40), ("git+https://example/b", "b" * 40))
        published = replace(published, heads=heads)
        await self.keeper.book.put(replace(self.one("tool"), published=published), "")
        asked: list[str] = []

        async def away(source: str) -> str:
            asked.append(source)
            raise Unreachable("example", "nobody answers")

        self.aur.heads = away  # type: ignore[method-assign]
        for _ in range(48):
            await self.poll(after=HOUR)
        self.assertLessEqual(len(asked), 6)
        self.assertIn("nobody answers", self._said)

    @run
    async def test_many_sources_that_take_their_time_hold_up_others_for_minutes(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        published = self.one("tool").published
        assert published is not None
        heads = tuple((f"git+https://example/{at}", "a" * 40) for at in range(200))
        published = replace(published, heads=heads)
        await self.keeper.book.put(replace(self.one("tool"), published=published), "")
        asked: list[str] = []

        async def slow(source: str) -> str:
            asked.append(source)
            self.now += 59.0
            return "a" * 40

        self.aur.heads = slow  # type: ignore[method-assign]
        await self.poll(after=HOUR)
        self.assertLess(len(asked), 15)

    async def poll(self, *bases: str, after: float = 0.0) -> None:
        await super().poll(*bases, after=after)
        self._said = f"{getattr(self, '_said', '')}{self.keeper.describe()['problem']}"
