"""The keeper: what is watched is judged, built, signed, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.threadable import isInIOThread

from flocon.builds import judging, looking
from flocon.builds.reviews import lines
from flocon.errors import BuildError
from flocon.jobs.packing import pack
from flocon.jobs.passing import MOST_EXAMINED
from flocon.jobs.remembering import written
from flocon.jobs.watched import Phase, Stage
from flocon.recipes.recipe import Recipe, TreeFile
from tests.builds.world import DAY, WorldTestCase, files_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine


def run(
    test: Callable[[Any], Coroutine[Any, Any, None]],
) -> Callable[[Any], Deferred[None]]:
    """Make of a coroutine a test."""

    def begin(self: WorldTestCase) -> Deferred[None]:
        return Deferred.fromCoroutine(test(self))

    begin.__name__ = test.__name__
    begin.__doc__ = test.__doc__
    return begin


class KeeperTestCase(WorldTestCase):
    async def assertRefuses(self, refused: Awaitable[object], *words: str) -> None:
        try:
            await refused
        except BuildError as error:
            for word in words:
                self.assertIn(word, str(error))
        else:
            self.fail("nothing was refused")

    def history(self, base: str) -> list[str]:
        events = self.keeper.deciding._archive.history(base, 99)
        return [one["what"] for one in events]


class AddingTests(KeeperTestCase):
    @run
    async def test_what_is_added_waits_for_a_person_with_all_that_it_needs(self) -> None:
        self.aur.push("library", "1-1")
        self.aur.push("tool", "1-1", "library")
        await self.begun()
        said = await self.steer("add", "tool")
        self.assertEqual(
            [line.partition(":")[0] for line in said.splitlines()], ["library", "tool"]
        )
        self.assertEqual(self.stage("tool"), "waits for a person")
        self.assertEqual(self.stage("library"), "waits for a person")
        self.assertEqual(self.builder.requests, [])

    @run
    async def test_a_dry_run_watches_nothing(self) -> None:
        self.aur.push("tool", "1-1")
        await self.begun()
        await self.steer("add-dry", "tool")
        self.assertEqual(self.keeper.describe()["watched"], [])

    @run
    async def test_what_the_aur_does_not_have_is_refused(self) -> None:
        await self.begun()
        await self.assertRefuses(self.steer("add", "nothing"), "the AUR has no nothing")

    @run
    async def test_a_package_of_a_split_recipe_is_found_by_its_name(self) -> None:
        self.aur.push("suite", "1-1", names=["suite-a", "suite-b"])
        await self.begun()
        await self.steer("add", "suite-b")
        self.assertEqual(self.one("suite").names, ("suite-a", "suite-b"))

    @run
    async def test_a_split_recipe_is_found_by_its_own_name(self) -> None:
        self.aur.push("suite", "1-1", names=["suite-a", "suite-b"])
        await self.begun()
        await self.steer("add", "suite")
        self.assertEqual(self.one("suite").names, ("suite-a", "suite-b"))

    @run
    async def test_what_need_each_other_is_refused(self) -> None:
        self.aur.push("one", "1-1", "other")
        self.aur.push("other", "1-1", "one")
        await self.begun()
        await self.assertRefuses(self.steer("add", "one"), "none of them can be built first")
        self.assertEqual(self.keeper.describe()["watched"], [])

    @run
    async def test_what_need_each_other_for_tests_alone_is_built_without_them(self) -> None:
        self.aur.push("tests", "1-1", "tool")
        self.aur.push("tool", "1-1")
        commit = self.aur.commits["tool"][self.aur.head["tool"]]
        said = commit.recipe.files[".SRCINFO"].data
        lines = said.replace(b"\tarch", b"\tcheckdepends = tests\n\tarch", 1)
        files = {**commit.recipe.files, ".SRCINFO": TreeFile(0o100644, lines)}
        recipe = replace(commit.recipe, files=files)
        self.aur.commits["tool"][self.aur.head["tool"]] = replace(commit, recipe=recipe)
        await self.begun()
        await self.assertRefuses(self.steer("add", "tests"), "set check = false")
        self.settings = replace(self.settings, check=False)
        await self.have("tool", "tests")

    @run
    async def test_the_whole_order_is_built_once_all_is_approved(self) -> None:
        self.aur.push("base", "1-1")
        self.aur.push("library", "1-1", "base")
        self.aur.push("tool", "1-1", "library>=1", "base")
        await self.begun()
        await self.steer("add", "tool")
        for base in ("tool", "library"):
            await self.steer("approve", base)
        self.assertEqual(self.stage("tool"), "blocked")
        self.assertEqual(self.stage("library"), "blocked")
        await self.steer("approve", "base")
        await self.until(("tool", "published"))
        self.assertEqual(
            [one["base"] for one in self.builder.requests], ["base", "library", "tool"]
        )
        needed = [one["name"] for one in self.builder.requests[-1]["dependencies"]]
        self.assertEqual(needed, ["base", "library"])

    @run
    async def test_what_still_waits_is_told_again_with_what_needs_it(self) -> None:
        self.aur.push("base", "1-1")
        self.aur.push("library", "1-1", "base")
        self.aur.push("tool", "1-1", "library")
        await self.begun()
        said = await self.steer("add", "tool")
        self.assertEqual(await self.steer("add", "tool"), said)
        await self.steer("approve", "library")
        again = await self.steer("add", "tool")
        bases = [line.partition(":")[0] for line in again.splitlines()]
        self.assertEqual(bases, ["base", "tool"])

    @run
    async def test_who_approves_is_told_what_it_waits_for(self) -> None:
        self.aur.push("library", "1-1")
        self.aur.push("tool", "1-1", "library")
        await self.begun()
        await self.steer("add", "tool")
        said = await self.steer("approve", "tool")
        self.assertEqual(said, "tool 1-1: blocked, waits for library")
        head = json.loads((await self.steer("log", "tool")).partition("\n")[0])
        self.assertEqual((head["result"], head["why"]), ("blocked", "waits for library"))

    @run
    async def test_a_folder_is_kept_as_it_came(self) -> None:
        await self.begun()
        body = folder("mine", "1-1")
        await self.steer("add", "/home/alice/mine", body=body)
        await self.steer("approve", "mine")
        await self.until(("mine", "published"))
        await self.steer("add", "/home/alice/mine", body=folder("mine", "2-1"))
        look = json.loads(await self.steer("look", "mine"))
        self.assertIn("pkgver=1", look["before"]["PKGBUILD"])
        self.assertIn("pkgver=2", look["files"]["PKGBUILD"])

    @run
    async def test_a_folder_that_did_not_change_is_as_it_was(self) -> None:
        await self.begun()
        await self.steer("add", "/mine", body=folder("mine", "1-1"))
        await self.steer("approve", "mine")
        await self.until(("mine", "published"))
        said = await self.steer("add", "/mine", body=folder("mine", "1-1"))
        self.assertIn("as it was approved", said)
        self.assertEqual(self.stage("mine"), "published")

    @run
    async def test_a_recipe_without_srcinfo_is_refused(self) -> None:
        await self.begun()
        recipe = Recipe("", "", {"PKGBUILD": TreeFile(0o100644, b"pkgname=x\n")})
        await self.assertRefuses(self.steer("add", "/mine", body=pack(recipe)), "printsrcinfo")


class AddressTests(KeeperTestCase):
    """A recipe that is no AUR's: in git, at an address that a person named."""

    address = "https://example.org/recipes/tool.git"

    @run
    async def test_it_is_followed_there_and_the_aur_is_not_asked(self) -> None:
        self.aur.push("tool", "1-1")
        self.aur.records.clear()
        await self.begun()
        await self.steer("add", self.address)
        await self.steer("approve", "tool")
        await self.until(("tool", "published"))
        self.aur.push("tool", "2-1")
        self.aur.records.clear()
        await self.poll(after=3_600)
        self.assertEqual(self.stage("tool"), "waits for time")
        await self.poll("tool", after=9 * DAY)
        await self.until(("tool", "published"))
        self.assertEqual(self.one("tool").version, "2-1")
        self.assertEqual({*self.aur.fetched}, {("tool", self.address)})
        self.assertEqual(self.aur.asked, [])

    @run
    async def test_it_is_watched_by_the_name_that_it_has_itself(self) -> None:
        self.aur.push("tool", "1-1")
        self.aur.push("recipes", "1-1")
        self.aur.commits["recipes"] = self.aur.commits["tool"]
        self.aur.head["recipes"] = self.aur.head["tool"]
        await self.begun()
        await self.steer("add", "https://example.org/recipes")
        self.assertEqual(self.one("tool").origin.place, "https://example.org/recipes")

    @run
    async def test_no_other_way_than_the_webs_is_gone(self) -> None:
        await self.begun()
        for odd in (
            "ssh://example.org/tool.git",
            "file:///home/alice/tool.git",
            "ext::sh -c id://tool",
            "https:///tool.git",
            "https://example.org/-tool",
        ):
            await self.assertRefuses(self.steer("add", odd), "no address of a recipe")
        self.assertEqual(self.aur.fetched, [])

    @run
    async def test_what_is_not_there_is_said(self) -> None:
        await self.begun()
        await self.assertRefuses(self.steer("add", self.address), "has no recipe tool")


class ApprovingTests(KeeperTestCase):
    @run
    async def test_only_the_commit_that_was_shown_is_approved(self) -> None:
        self.aur.push("tool", "1-1")
        await self.begun()
        await self.steer("add", "tool")
        shown = self.one("tool").commit
        self.aur.push("tool", "2-1", install="x")
        await self.poll()
        await self.assertRefuses(self.steer("approve", "tool", shown), "does not wait")
        await self.steer("approve", "tool", self.aur.head["tool"][:12])
        await self.until(("tool", "published"))
        self.assertEqual(self.one("tool").version, "2-1")

    @run
    async def test_history_says_who_approved_what(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        # What is in memory already is on the disk a moment later.
        await self.keeper.book.ended()
        events = [json.loads(one) for one in (await self.steer("history", "tool")).splitlines()]
        (approved,) = [one for one in events if one["what"] == "approved"]
        self.assertEqual(
            {key: approved[key] for key in ("by", "commit", "version", "against")},
            {"by": "root", "commit": self.aur.head["tool"], "version": "1-1", "against": ["first"]},
        )
        self.assertEqual([one["what"] for one in events][-1], "published")

    @run
    async def test_a_rejected_commit_is_not_built_and_not_shown_again(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "2-1", evil="x")
        await self.poll()
        self.assertEqual(self.stage("tool"), "waits for a person")
        await self.steer("reject", "tool")
        await self.poll(after=3 * DAY)
        self.assertEqual((self.stage("tool"), self.one("tool").version), ("published", "1-1"))
        self.aur.push("tool", "3-1", evil="x")
        await self.poll()
        self.assertEqual(self.stage("tool"), "waits for a person")


class ByRuleTests(KeeperTestCase):
    @run
    async def test_a_plain_new_version_is_built_by_itself_once_it_is_old_enough(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.now += 1_000
        self.aur.push("tool", "2-1")
        await self.poll()
        self.assertEqual(self.stage("tool"), "waits for time", self.one("tool").reasons())
        await self.poll(after=DAY)
        self.assertEqual(self.stage("tool"), "waits for time")
        await self.poll(after=1.01 * DAY)
        await self.until(("tool", "published"))
        self.assertEqual(self.one("tool").version, "2-1")
        approval = self.one("tool").approval
        assert approval is not None
        self.assertEqual(approval.by, "rule")

    @run
    async def test_what_waits_for_time_is_replaced_by_what_comes_meanwhile(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "2-1")
        await self.poll(after=1_000)
        self.aur.push("tool", "3-1")
        await self.poll(after=1.9 * DAY)
        await self.poll(after=1.9 * DAY)
        self.assertEqual(self.stage("tool"), "waits for time")
        await self.poll(after=0.2 * DAY)
        await self.until(("tool", "published"))
        self.assertEqual(self.one("tool").version, "3-1")
        self.assertEqual(len(self.builder.requests), 2)

    async def changed(self, stage: str, *words: str) -> None:
        await self.poll(after=10 * DAY)
        self.assertEqual(self.stage("tool"), stage, self.one("tool").reasons())
        said = " ".join(self.one("tool").reasons())
        for word in words:
            self.assertIn(word, said)

    @run
    async def test_another_file_waits_for_a_person(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "2-1", more="x")
        await self.changed("waits for a person", "more")

    @run
    async def test_a_version_that_goes_back_waits_for_a_person(self) -> None:
        self.aur.push("tool", "2-1")
        await self.have("tool")
        self.aur.push("tool", "1-1")
        await self.changed("waits for a person", "1-1")

    @run
    async def test_a_rewritten_history_waits_for_a_person(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "2-1", parent="")
        await self.changed("waits for a person", "history")

    @run
    async def test_another_maintainer_waits_for_a_person(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "2-1", maintainer="mallory", mail="mallory@example")
        await self.changed("waits for a person", "mallory")

    @run
    async def test_what_a_person_refused_is_never_built_by_rule_whatever_came_between(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        refused = []
        for version in ("2-1", "3-1"):
            refused.append(self.aur.push("tool", version))
            await self.poll(after=60)
            await self.steer("reject", "tool", refused[-1])
        # The AUR's staff took the newest one out again.
        for commit in reversed(refused):
            self.aur.head["tool"] = commit
            self.aur.change("tool", last_modified=int(self.now))
            await self.poll(after=60)
            await self.restart()
            await self.begun()
            await self.poll(after=10 * DAY)
            self.assertEqual(self.stage("tool"), "published", commit)
        self.assertEqual(self.one("tool").version, "1-1")

    @run
    async def test_nothing_is_approved_by_rule_where_the_settings_say_never(self) -> None:
        self.settings = replace(self.settings, auto="never")
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "2-1")
        await self.changed("waits for a person", 'auto = "never"')

    @run
    async def test_a_new_need_from_the_aur_waits_and_so_does_what_needs_it(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("library", "1-1")
        self.aur.push("tool", "2-1", "library")
        await self.changed("waits for a person", "library")
        self.assertEqual(self.stage("library"), "waits for a person")
        await self.steer("approve", "tool")
        self.assertEqual(self.stage("tool"), "blocked")
        await self.steer("approve", "library")
        await self.until(("tool", "published"), ("library", "published"))

    @run
    async def test_an_unchanged_aur_costs_one_question_and_no_git(self) -> None:
        self.aur.push("library", "1-1")
        self.aur.push("tool", "1-1", "library")
        await self.begun()
        await self.steer("add", "tool")
        await self.steer("approve", "library")
        await self.steer("approve", "tool")
        await self.until(("tool", "published"))
        self.aur.asked.clear()
        fetched: list[str] = []
        self.aur.fetch = fetched.append  # type: ignore[assignment,method-assign]
        await self.poll(after=3_600)
        self.assertEqual(self.aur.asked, [("library", "tool")])
        self.assertEqual(fetched, [])


class HostileTests(KeeperTestCase):
    """A text that a stranger wrote so that it takes long to be looked at."""

    @run
    async def test_the_reactor_goes_on_while_it_is_judged_and_compared(self) -> None:
        where: dict[str, bool] = {}

        def note(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            def noted(*given: Any, **more: Any) -> Any:
                where[name] = isInIOThread()
                return function(*given, **more)

            return noted

        for module, name in ((judging, "judge"), (judging, "references"), (looking, "differ")):
            self.patch(module, name, note(name, getattr(module, name)))
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.push("tool", "2-1")
        await self.poll("tool", after=DAY)
        await self.steer("diff", "tool")
        self.assertEqual(where, {"judge": False, "references": False, "differ": False})


class AwayTests(KeeperTestCase):
    @run
    async def test_nothing_is_lost_while_the_aur_is_away(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.away = True
        await self.poll(after=DAY)
        self.assertEqual(self.stage("tool"), "published")
        self.assertIn("nobody answers", self.keeper.describe()["problem"])
        self.aur.away = False
        await self.poll(after=DAY)
        self.assertEqual(self.keeper.describe()["problem"], "")

    @run
    async def test_what_the_aur_has_no_more_is_said_and_stays(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.aur.records.clear()
        await self.poll(after=DAY)
        self.assertEqual(self.stage("tool"), "published")
        self.assertIn("does not have it any more", self.one("tool").notes[0])

    @run
    async def test_what_nobody_is_told_to_maintain_waits_for_a_person(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        one = self.one("tool")
        assert one.approval is not None
        unknown = replace(one.approval, maintainers=())
        await self.keeper.book.put(replace(one, approval=unknown), "")
        self.aur.push("tool", "2-1")
        await self.keeper.fetching.look("tool", None)
        self.assertEqual(self.stage("tool"), "waits for a person")
        self.assertIn("the AUR does not tell who maintains it", self.one("tool").reasons())

    async def have_suite(self) -> None:
        self.aur.push("suite", "1-1", names=["suite-a", "suite-b"])
        await self.begun()
        await self.steer("add", "suite-a")
        await self.steer("approve", "suite")
        await self.until(("suite", "published"))

    @run
    async def test_a_split_recipe_is_followed_whichever_of_its_packages_it_drops(self) -> None:
        await self.have_suite()
        del self.aur.records["suite-a"]
        self.aur.push("suite", "2-1", names=["suite-b"])
        await self.poll(after=DAY)
        self.assertEqual(self.one("suite").notes, ())
        self.assertEqual(self.one("suite").version, "2-1")
        # All of its names are others now: its own recipe tells them.
        del self.aur.records["suite-b"]
        self.aur.push("suite", "3-1", names=["suite-x"])
        await self.poll(after=DAY)
        self.assertEqual(self.one("suite").notes, ())
        waiting = self.one("suite").candidate
        assert waiting is not None
        self.assertEqual((waiting.version, waiting.names), ("3-1", ("suite-x",)))

    @run
    async def test_a_name_that_another_recipe_has_now_says_nothing_of_this_one(self) -> None:
        await self.have_suite()
        self.aur.push("suite-a", "9-1", maintainer="mallory")
        self.aur.change("suite-a", last_modified=int(self.now) + 1)
        await self.poll(after=DAY)
        self.assertEqual(self.one("suite").notes, ())
        self.assertIn("alice", self.one("suite").told)

    @run
    async def test_what_arch_has_taken_up_is_built_no_more(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.pacman.has("extra", name="tool")
        self.aur.push("tool", "2-1")
        await self.poll(after=1_000)
        await self.poll(after=3 * DAY)
        self.assertEqual(self.stage("tool"), "taken up by Arch")
        self.assertEqual(len(self.builder.requests), 1)
        self.pacman.has(name="tool")
        await self.poll(after=DAY)
        await self.until(("tool", "published"))

    @run
    async def test_what_somebody_elses_repository_has_is_built_all_the_same(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.pacman.has("chaotic-aur", name="tool")
        self.aur.push("tool", "2-1")
        await self.poll(after=1_000)
        await self.poll(after=3 * DAY)
        await self.until(("tool", "published"))
        self.assertEqual(len(self.builder.requests), 2)

    @run
    async def test_of_a_name_that_borrows_another_ones_it_is_told_whose_that_is(self) -> None:
        self.pacman.has("extra", name="tool")
        self.aur.push("tool-patched-bin", "1-1")
        await self.begun()
        await self.steer("add", "tool-patched-bin")
        told = await self.keeper.looking.look(self.one("tool-patched-bin"))
        self.assertEqual(told["after"], ["tool"])

    @run
    async def test_what_is_built_goes_where_the_operator_says(self) -> None:
        self.settings = replace(self.settings, repository="home")
        (self.folder / "published" / "other" / "current").mkdir(parents=True)
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.assertEqual(self.signer.requests[-1]["repository"], "home")
        self.assertEqual(self.keeper.here.own, "home")

    @run
    async def test_a_builder_that_is_away_is_waited_for(self) -> None:
        await self.builder.stop()
        self.aur.push("tool", "1-1")
        await self.begun()
        await self.steer("add", "tool")
        await self.steer("approve", "tool")
        while not self.keeper.working.away:
            await self.turn()
        self.assertEqual(self.stage("tool"), "queued")
        self.assertIn("flocon-build.socket", self.keeper.describe()["problem"])
        self.builder.start()
        await self.wake()
        await self.until(("tool", "published"))
        self.assertEqual(self.keeper.describe()["problem"], "")

    @run
    async def test_a_signer_that_is_away_is_waited_for(self) -> None:
        await self.signer.stop()
        self.aur.push("tool", "1-1")
        await self.begun()
        await self.steer("add", "tool")
        await self.steer("approve", "tool")
        while not self.keeper.working.away:
            await self.turn()
        self.assertEqual(self.stage("tool"), "examining")
        self.signer.start()
        await self.wake()
        await self.until(("tool", "published"))
        self.assertEqual(len(self.builder.requests), 1)

    @run
    async def test_one_that_ends_the_signer_each_time_holds_up_the_others_for_a_while(self) -> None:
        publish, ended = self.signer.answer, []

        def answer(message: Any, conversation: Any) -> None:
            if message.values["build"]["base"] != "tool":
                publish(message, conversation)
                return
            ended.append(message.values["build"]["commit"])
            conversation.leave_now()

        self.signer.answer = answer
        for base in ("tool", "other"):
            self.aur.push(base, "1-1")
        await self.begun()
        for base in ("tool", "other"):
            await self.steer("add", base)
            await self.steer("approve", base)
        for count in range(MOST_EXAMINED):
            while len(ended) <= count:
                await self.wake()
                await self.turn()
        await self.until(("tool", "failed"))
        self.assertIn("while it looked at it", self.one("tool").reasons()[0])
        await self.wake()
        await self.until(("other", "published"))
        self.assertEqual(len(ended), MOST_EXAMINED)
        self.assertEqual(self.history("tool")[-1], "failed")
        # A person may try it again, with all its tries.
        self.signer.answer = publish
        await self.steer("rebuild", "tool")
        await self.until(("tool", "published"))


class LookingTests(KeeperTestCase):
    @run
    async def test_since_when_it_was_seen_to_be_maintained_so_is_shown(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.assertEqual((await self.keeper.look("tool"))["record"]["maintained_since"], 0.0)
        await self.poll(after=DAY)
        since = self.now
        self.aur.push("tool", "2-1")
        await self.poll(after=40 * DAY)
        shown = (await self.keeper.look("tool"))["record"]
        self.assertEqual((shown["maintainer"], shown["maintained_since"]), ("alice", since))


class DrippingTests(KeeperTestCase):
    """The AUR, or another server of git, that takes minutes for each answer."""

    async def looking(self) -> Deferred[None]:
        """Return a look that hangs at a recipe, with another one behind it."""
        for base in ("slow", "tool"):
            self.aur.push(base, "1-1")
            await self.have(base)
            self.aur.push(base, "2-1", maintainer="mallory")
        self.aur.dripping.add("slow")
        look = Deferred.fromCoroutine(self.keeper._look(()))
        while self.aur.fetched[-1] != ("slow", ""):
            await self.turn()
        return look

    @run
    async def test_a_look_that_nobody_asked_for_holds_no_person(self) -> None:
        look = await self.looking()
        self.aur.push("new", "1-1")
        said = await self.steer("add", "new")
        self.assertIn("waits to be approved", said)
        await self.steer("check", "tool")
        self.assertEqual(self.stage("tool"), "waits for a person")
        self.assertEqual(self.aur.broken_off, 2)
        look.addErrback(lambda _: None)
        look.cancel()

    @run
    async def test_what_a_person_adds_holds_nobody_and_is_added_behind(self) -> None:
        for base in ("slow", "tool"):
            self.aur.push(base, "1-1")
        await self.begun()
        self.aur.dripping.add("slow")
        slow = Deferred.fromCoroutine(self.steer("add", "slow"))
        while not self.aur.fetched:
            await self.turn()
        self.assertIn("tool: 1-1 waits", await self.steer("add", "tool"))
        self.aur.dripping.clear()
        self.assertFalse(slow.called)
        await self.steer("check", "tool")
        self.assertIn("slow: 1-1 waits", await slow)
        self.assertEqual(self.stage("slow"), "waits for a person")

    @run
    async def test_what_was_broken_off_is_looked_at_behind(self) -> None:
        look = await self.looking()
        self.aur.dripping.clear()
        self.aur.push("new", "1-1")
        await self.steer("add", "new")
        await look
        self.assertEqual([self.stage(one) for one in ("slow", "tool")], ["waits for a person"] * 2)

    @run
    async def test_the_node_that_ends_ends_it(self) -> None:
        look = await self.looking()
        look.cancel()
        with self.assertRaises(CancelledError):
            await look
        self.assertEqual(self.aur.broken_off, 1)

    @run
    async def test_git_is_told_whether_a_person_waits(self) -> None:
        self.aur.push("library", "1-1")
        self.aur.push("tool", "1-1", "library")
        await self.begun()
        await self.steer("add", "tool")
        self.assertEqual(self.aur.waited_for, [True, True])
        for base in ("library", "tool"):
            await self.steer("approve", base)
        await self.until(("library", "published"), ("tool", "published"))
        self.aur.waited_for.clear()
        self.aur.push("tool", "2-1", "library")
        await self.poll(after=DAY)
        self.assertEqual(set(self.aur.waited_for), {False})
        self.aur.waited_for.clear()
        await self.steer("check", "tool")
        self.assertEqual(set(self.aur.waited_for), {True})


class BuildingTests(KeeperTestCase):
    async def approved(self, *bases: str) -> None:
        await self.begun()
        for base in bases:
            if base not in self.aur.head:
                self.aur.push(base, "1-1")
            await self.steer("add", base)
            await self.steer("approve", base)

    @run
    async def test_what_fails_says_why_and_the_next_one_is_built(self) -> None:
        self.builder.results["bad"] = {"result": "failed", "reason": "a function failed"}
        await self.approved("bad", "good")
        await self.until(("bad", "failed"), ("good", "published"))
        self.assertEqual(self.one("bad").reasons(), ("a function failed",))

    @run
    async def test_what_could_not_be_fetched_is_tried_again(self) -> None:
        self.builder.results["tool"] = {"result": "unreachable", "reason": "no answer"}
        await self.approved("tool")
        await self.until(("tool", "failed"))
        job = self.one("tool").job
        assert job is not None
        self.assertGreater(job.again, self.now)
        del self.builder.results["tool"]
        self.now = job.again
        await self.keeper._ripen()
        await self.until(("tool", "published"))

    @run
    async def test_a_log_is_there_while_it_is_built_and_afterwards(self) -> None:
        self.builder.endless.add("tool")
        await self.approved("tool")
        text = ""
        while "building tool" not in text:
            head, _, text = (await self.steer("log", "tool", "0")).partition("\n")
            await self.turn()
        self.assertTrue(json.loads(head)["running"])
        await self.steer("cancel", "tool")
        await self.until(("tool", "failed"))
        head, _, text = (await self.steer("log", "tool", "0")).partition("\n")
        self.assertEqual((json.loads(head)["running"], text), (False, "building tool\n"))

    @run
    async def test_a_job_that_is_cancelled_is_ended_at_the_builder(self) -> None:
        self.builder.endless.add("tool")
        await self.approved("tool")
        while not self.builder.conversations:
            await self.turn()
        await self.steer("cancel", "tool")
        while self.builder.conversations:
            await self.turn()
        self.assertEqual(self.stage("tool"), "failed")
        self.builder.endless.clear()
        await self.steer("rebuild", "tool")
        await self.until(("tool", "published"))

    @run
    async def test_a_hold_ends_a_job_and_nothing_is_built_until_it_is_let_go(self) -> None:
        self.builder.endless.add("tool")
        await self.approved("tool")
        while not self.builder.conversations:
            await self.turn()
        await self.steer("hold", "tool")
        while self.builder.conversations:
            await self.turn()
        self.builder.endless.clear()
        self.assertEqual(self.stage("tool"), "on hold")
        await self.steer("hold", "tool", "off")
        await self.until(("tool", "published"))

    @run
    async def test_another_commit_that_is_approved_takes_the_place_of_what_is_built(self) -> None:
        self.builder.endless.add("tool")
        await self.approved("tool")
        while not self.builder.conversations:
            await self.turn()
        self.aur.push("tool", "2-1", more="x")
        await self.poll()
        self.builder.endless.clear()
        await self.steer("approve", "tool")
        await self.until(("tool", "published"))
        self.assertEqual(self.one("tool").version, "2-1")

    def kept(self) -> list[str]:
        return [path.name for path in (self.settings.state / "jobs").iterdir()]

    @run
    async def test_packages_are_kept_until_they_are_signed_and_no_longer(self) -> None:
        self.signer.surprises["tool"] = [{"package": "tool", "what": "x", "detail": "y"}]
        await self.approved("tool", "other")
        await self.until(("tool", "held"), ("other", "published"))
        job = self.one("tool").job
        assert job is not None
        while self.kept() != [job.name]:
            await self.turn()
        await self.steer("reject", "tool")
        await self.wake()
        await self.steer("rebuild", "other")
        while len(self.builder.requests) < 3 or self.kept():
            await self.turn()

    @run
    async def test_surprises_wait_for_a_person_and_are_signed_by_that_word(self) -> None:
        surprise = {"package": "tool", "what": "setuid", "detail": "/usr/bin/tool is setuid"}
        self.signer.surprises["tool"] = [surprise]
        await self.approved("tool")
        await self.until(("tool", "held"))
        look = json.loads(await self.steer("look", "tool"))
        self.assertEqual(look["held"], [surprise])
        await self.assertRefuses(self.steer("approve", "tool", "0" * 12), "something else")
        await self.steer("approve", "tool", look["digest"])
        await self.until(("tool", "published"))
        self.assertEqual(len(self.builder.requests), 1)

    @run
    async def test_all_of_it_is_there_for_who_looks_and_some_of_it_in_a_line(self) -> None:
        paths = [f"usr/lib/udev/rules.d/{at:05}.rules" for at in range(5_000)]
        many = {"package": "tool", "what": "new rule for devices", "detail": "\n".join(paths)}
        self.signer.surprises["tool"] = [many, *[{**many, "what": f"x{n}"} for n in range(3)]]
        await self.approved("tool")
        await self.until(("tool", "held"))
        await self.restart()
        await self.begun()
        look = json.loads(await self.steer("look", "tool"))
        self.assertEqual(look["held"], self.signer.surprises["tool"])
        (package,) = look["packages"]
        self.assertTrue(package.endswith("/tool-1-1-any.pkg.tar.zst"))
        shown = [one.text.strip() for one in lines(look, self.now)]
        self.assertEqual(set(paths) - set(shown), set())
        self.assertIn(f"all that is in it: bsdtar -tvf {package}", shown)
        for reason in self.one("tool").reasons():
            self.assertLess(len(reason), 600)
            self.assertTrue(reason.endswith("..."), reason)

    @run
    async def test_who_has_much_held_takes_little_of_what_is_written_each_time(self) -> None:
        """All recipes share it: where it is too much nothing of any can be written down."""
        detail = "\n".join(f"srv/{at:03}/{'x' * 200}" for at in range(50))
        self.signer.surprises["tool"] = [
            {"package": "p" * 255, "what": f"x{at} {'w' * 300}", "detail": detail}
            for at in range(60)
        ]
        await self.approved("tool")
        await self.until(("tool", "held"))
        self.assertLess(len(json.dumps(written([self.one("tool")]))), 30_000)
        self.assertIn("50 more things", self.one("tool").reasons()[-1])
        self.assertEqual(len(json.loads(await self.steer("look", "tool"))["held"]), 60)

    @run
    async def test_what_the_signer_refuses_has_failed(self) -> None:
        self.signer.errors["tool"] = "tool is another package"
        await self.approved("tool")
        await self.until(("tool", "failed"))
        self.assertEqual(self.one("tool").reasons(), ("tool is another package",))

    @run
    async def test_what_comes_out_older_than_what_is_published_is_held(self) -> None:
        self.aur.push("tool", "2-1")
        await self.have("tool")
        self.aur.push("tool", "3-1", more="x")
        self.builder.versions["tool"] = "1-1"
        await self.poll()
        await self.steer("approve", "tool")
        await self.until(("tool", "held"))
        self.assertIn("goes back from 2-1 to 1-1", self.one("tool").reasons()[0])
        await self.steer("approve", "tool")
        await self.until(("tool", "published"))
        self.assertEqual(self.one("tool").version, "1-1")

    @run
    async def test_another_version_than_was_approved_is_held(self) -> None:
        self.builder.versions["tool"] = "99-1"
        await self.approved("tool")
        await self.until(("tool", "held"))
        self.assertIn("is 99-1 by its own word, and not 1-1", self.one("tool").reasons()[0])
        self.assertEqual(self.signer.requests, [])

    @run
    async def test_the_same_version_is_built_with_a_release_of_its_own(self) -> None:
        await self.approved("tool")
        await self.until(("tool", "published"))
        await self.steer("rebuild", "tool")
        await self.until(("tool", "published"))
        while len(self.builder.requests) < 2:
            await self.turn()
        await self.until(("tool", "published"))
        self.assertEqual(self.builder.requests[1]["versions"], {"pkgrel": "1.1"})
        self.assertEqual(self.one("tool").version, "1-1.1")
        await self.steer("rebuild", "tool")
        while self.one("tool").version != "1-1.2":
            await self.turn()

    @run
    async def test_a_recipe_that_makes_other_packages_now_is_still_looked_at(self) -> None:
        self.aur.push("suite", "1-1", names=["suite-a", "suite-b"])
        await self.begun()
        await self.have("suite")
        for name in ("suite-a", "suite-b"):
            del self.aur.records[name]
        # The first one is another recipe's now, and the second has another name.
        self.aur.push("suite-a", "9-1", maintainer="mallory")
        self.aur.push("suite", "2-1", names=["suite-c"])
        await self.poll(after=DAY)
        self.assertEqual(self.one("suite").notes, ())
        candidate = self.one("suite").candidate
        assert candidate is not None
        self.assertEqual((candidate.version, candidate.maintainers), ("2-1", ("alice",)))

    @run
    async def test_what_others_need_cannot_be_removed(self) -> None:
        self.aur.push("library", "1-1")
        self.aur.push("tool", "1-1", "library")
        await self.approved("tool")
        await self.steer("approve", "library")
        await self.until(("tool", "published"))
        await self.assertRefuses(self.steer("remove", "library"), "tool needs library")
        await self.steer("remove", "tool")
        await self.steer("remove", "library")
        self.assertEqual(self.keeper.describe()["watched"], [])


class HistoriesTests(KeeperTestCase):
    """Recipes of a history of their sources."""

    source = "tool::git+https://example/tool.git"

    async def built(self) -> None:
        self.builder.vcs["tool"] = {self.source: "a" * 40}
        self.aur.upstream[self.source] = "a" * 40
        self.aur.push("tool", "1-1", source=self.source)
        await self.have("tool")

    @run
    async def test_new_commits_are_built_once_a_day_at_most(self) -> None:
        await self.built()
        await self.poll(after=DAY)
        self.assertEqual(len(self.builder.requests), 1)
        self.aur.upstream[self.source] = "b" * 40
        await self.poll(after=3_600)
        self.assertEqual(self.stage("tool"), "published")
        self.builder.vcs["tool"] = {self.source: "b" * 40}
        self.builder.versions["tool"] = "1.r2-1"
        await self.poll(after=DAY)
        while self.one("tool").version != "1.r2-1":
            await self.turn()
        self.assertEqual(len(self.builder.requests), 2)

    @run
    async def test_they_wait_for_a_person_where_the_settings_say_never(self) -> None:
        self.settings = replace(self.settings, auto="never")
        await self.built()
        self.aur.upstream[self.source] = "b" * 40
        await self.poll(after=2 * DAY)
        self.assertEqual(self.stage("tool"), "waits for a person")
        await self.poll(after=3_600)
        self.assertEqual(self.stage("tool"), "waits for a person")
        self.builder.versions["tool"] = "1.r2-1"
        await self.steer("approve", "tool")
        await self.until(("tool", "published"))


class MeteredTests(KeeperTestCase):
    """A link that costs by the byte."""

    @run
    async def test_nothing_is_looked_at_by_itself_until_the_link_is_free(self) -> None:
        self.settings = replace(self.settings, poll=3_600.0)
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.keeper.allow(free=False)
        told = self.keeper.describe()
        self.assertEqual((told["next_poll"], told["metered"]), (0.0, True))
        self.keeper.settings_changed()
        self.assertFalse(_is_due(self.keeper._poll_due))
        self.keeper.allow(free=True)
        self.assertTrue(_is_due(self.keeper._poll_due))

    @run
    async def test_what_is_ripe_waits_for_a_link_that_is_free(self) -> None:
        self.aur.push("tool", "1-1")
        await self.have("tool")
        self.now += DAY
        self.aur.push("tool", "2-1")
        await self.poll("tool")
        self.assertEqual(self.stage("tool"), "waits for time")
        self.keeper.allow(free=False)
        self.assertFalse(_is_due(self.keeper._ripe_due))
        self.keeper.allow(free=True)
        self.assertTrue(_is_due(self.keeper._ripe_due))

    @run
    async def test_only_what_a_person_asks_for_is_built(self) -> None:
        self.aur.push("tool", "1-1")
        self.aur.push("other", "1-1")
        await self.have("tool", "other")
        self.keeper.allow(free=False)
        self.aur.push("tool", "2-1")
        # Both times are over: it is approved by rule, as it would be had the link changed since.
        await self.poll("tool")
        await self.poll("tool", after=9 * DAY)
        self.assertEqual(self.stage("tool"), "queued")
        await self.steer("rebuild", "other")
        while self.one("other").version != "1-1.1":
            await self.turn()
        self.assertEqual(self.stage("tool"), "queued")
        self.keeper.allow(free=True)
        await self.until(("tool", "published"))


def _is_due(later: Any) -> bool:
    return later is not None and later.active()


class LibraryTests(KeeperTestCase):
    """A library that another package was linked to has another version now."""

    async def built(self) -> None:
        self.aur.push("library", "1-1", provides=["liblibrary.so=1-64"])
        self.aur.push("other", "1-1")
        self.aur.push("tool", "1-1", "library", "other")
        await self.have("other", "library", "tool")

    async def change_library(self, *provides: str) -> None:
        self.aur.push("library", "2-1", provides=provides)
        await self.steer("check", "library")
        await self.steer("approve", "library")
        await self.until(("library", "published"))
        self.assertEqual(self.one("library").version, "2-1")

    @run
    async def test_what_was_linked_to_it_is_built_again_with_a_release_of_its_own(self) -> None:
        await self.built()
        await self.change_library("liblibrary.so=2-64")
        while self.one("tool").version != "1-1.1":
            await self.turn()
        self.assertEqual(self.builder.requests[-1]["versions"], {"pkgrel": "1.1"})
        (event,) = [
            one
            for one in self.keeper.deciding._archive.history("tool", 99)
            if one["what"] == "libraries changed"
        ]
        self.assertIn("liblibrary.so=1-64", event["reasons"][0])
        await self.poll(after=DAY)
        self.assertEqual(len(self.builder.requests), 5)

    @run
    async def test_nothing_is_built_where_it_is_the_same(self) -> None:
        await self.built()
        await self.change_library("liblibrary.so=1-64", "libmore.so=1-64")
        await self.poll(after=DAY)
        self.assertEqual(self.stage("tool"), "published")
        self.assertEqual(len(self.builder.requests), 4)

    @run
    async def test_it_waits_for_a_person_where_the_settings_say_never(self) -> None:
        self.settings = replace(self.settings, auto="never")
        await self.built()
        await self.change_library("liblibrary.so=2-64")
        await self.until(("tool", "waits for a person"))
        self.assertIn("liblibrary.so=1-64", self.one("tool").reasons()[0])
        await self.poll(after=DAY)
        self.assertEqual(self.stage("tool"), "waits for a person")
        await self.steer("approve", "tool")
        while self.one("tool").version != "1-1.1":
            await self.turn()

    @run
    async def test_a_node_that_ended_before_it_was_queued_does_it_afterwards(self) -> None:
        await self.built()
        self.keeper.working.renew = _nothing  # type: ignore[method-assign]
        await self.change_library("liblibrary.so=2-64")
        await self.until(("tool", "published"))
        await self.restart()
        await self.begun()
        await self.poll(after=DAY)
        while self.one("tool").version != "1-1.1":
            await self.turn()


async def _nothing() -> None:
    pass


class RestartTests(KeeperTestCase):
    @run
    async def test_what_waits_still_waits(self) -> None:
        self.aur.push("tool", "1-1")
        await self.begun()
        await self.steer("add", "tool")
        await self.restart()
        await self.begun()
        self.assertEqual(self.stage("tool"), "waits for a person")

    @run
    async def test_what_was_being_built_is_built(self) -> None:
        self.aur.push("tool", "1-1")
        await self.begun()
        await self.steer("add", "tool")
        self.builder.endless.add("tool")
        await self.steer("approve", "tool")
        while not self.builder.conversations:
            await self.turn()
        await self.keeper.stopService()
        while self.builder.conversations:
            await self.turn()
        self.builder.endless.clear()
        self.keeper = self.make()
        await self.begun()
        await self.until(("tool", "published"))
        job = self.one("tool").job
        self.assertIsNone(job)

    @run
    async def test_what_was_built_is_not_built_again(self) -> None:
        await self.signer.stop()
        self.aur.push("tool", "1-1")
        await self.begun()
        await self.steer("add", "tool")
        await self.steer("approve", "tool")
        await self.until(("tool", "examining"))
        while not self.keeper.working.away:
            await self.turn()
        await self.restart()
        await self.begun()
        self.signer.start()
        await self.wake()
        await self.until(("tool", "published"))
        self.assertEqual(len(self.builder.requests), 1)

    @run
    async def test_a_builder_that_dies_is_asked_again_and_not_for_ever(self) -> None:
        self.aur.push("tool", "1-1")
        self.builder.endless.add("tool")
        await self.begun()
        await self.steer("add", "tool")
        await self.steer("approve", "tool")
        for count in range(1, 4):
            while len(self.builder.requests) < count or not self.builder.conversations:
                await self.turn()
            # Not before it is known that it had begun.
            while not self.keeper.working.step:
                await self.turn()
            self.builder.conversations[0].leave_now()
            while self.one("tool").stage() is Stage.BUILDING and self.keeper.working.step:
                await self.turn()
        await self.until(("tool", "failed"))
        self.assertIn("ended 3 times", self.one("tool").reasons()[0])
        job = self.one("tool").job
        assert job is not None
        self.assertIs(job.phase, Phase.FAILED)

    @run
    async def test_a_disk_that_takes_nothing_loses_nothing(self) -> None:
        self.aur.push("tool", "1-1")
        await self.begun()
        await self.steer("add", "tool")
        state = self.settings.state / "watched.json"
        state.unlink()
        state.mkdir()
        try:
            await self.steer("approve", "tool")
        except Exception as error:  # noqa: BLE001 - whichever, it is told
            self.assertIn("watched.json", str(error))
        else:
            self.fail("it was not said")
        self.assertEqual(self.builder.requests, [])
        state.rmdir()
        await self.wake()
        await self.until(("tool", "published"))


def folder(base: str, version: str) -> bytes:
    """Return the tar of a folder with a recipe."""
    files = {
        name: TreeFile(0o100644, text.encode()) for name, text in files_of(base, version).items()
    }
    return pack(Recipe("", "", files))
