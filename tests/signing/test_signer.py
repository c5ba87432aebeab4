"""The signer from end to end: what it takes in, what it publishes, what it refuses."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred

from flocon.errors import RepositoryError
from flocon.programs.talking import LARGEST_MESSAGE
from flocon.repository import reading
from flocon.repository.package import Package
from flocon.repository.places import PLACES
from flocon.repository.published import newest_generation
from flocon.signing import examination
from flocon.signing.gpg import Gpg
from flocon.signing.requests import read
from tests import pgp
from tests.repository.packages import File, link
from tests.signing.case import SignerCase, build, file_name, gpgv, made, srcinfo

BINARY = File("usr/bin/foo", b"#!/bin/sh\n", 0o755)
SETUID = File("usr/bin/sufoo", b"#!/bin/sh\n", 0o4755)


class MakingTests(SignerCase):
    def test_a_repository_begins_empty_and_signed(self) -> Deferred[None]:
        async def run() -> None:
            told = await self.told("init", name="home")
            self.assertEqual(self.listed(), {})
            self.assertEqual(len(told["fingerprint"]), 40)
            key = (self.published / "home" / "key.gpg").read_bytes()
            self.assertEqual(base64.b64decode(told["key"]), key)

        return self.do(run())

    def test_there_is_one_of_a_name(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("init", name="home")
            self.assertIn("already", await self.refused("init", name="home"))

        return self.do(run())

    def test_none_is_called_like_one_of_archs(self) -> Deferred[None]:
        """The node would give its database in the place of Arch's."""

        async def run() -> None:
            self.assertIn("Arch's own", await self.refused("init", name="core"))
            await self.told("init", name="core-home")

        return self.do(run())

    def test_before_there_is_one_it_says_how_to_make_it(self) -> Deferred[None]:
        async def run() -> None:
            self.assertIn("flocon repo init", await self.refused("list"))

        return self.do(run())

    def test_of_several_it_has_to_be_said_which(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("init", name="home")
            await self.told("init", name="office")
            self.assertIn("home, office", await self.refused("list"))
            self.assertIn("no repository other", await self.refused("list", repository="other"))
            await self.told("add", [made("foo")], repository="office", trusted=True)
            self.assertEqual(self.listed("office"), {"foo": "1.0-1"})
            self.assertEqual(self.listed("home"), {})

        return self.do(run())

    def test_another_process_goes_on(self) -> Deferred[None]:
        async def run() -> None:
            first = await self.told("init", name="home")
            await self.told("add", [made("foo")], trusted=True)
            await self.restarted()
            self.assertEqual((await self.told("key"))["fingerprint"], first["fingerprint"])
            await self.told("add", [made("bar")], trusted=True)
            self.assertEqual(self.listed(), {"bar": "1.0-1", "foo": "1.0-1"})

        return self.do(run())

    def test_one_that_was_killed_between_key_and_database_is_completed(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("init", name="home")
            shutil.rmtree(self.published)
            await self.restarted()
            self.assertEqual(self.listed(), {})

        return self.do(run())

    def test_a_repository_that_cannot_be_used_leaves_the_others_alone(self) -> Deferred[None]:
        async def run() -> None:
            for name in ("home", "office"):
                await self.told("init", name=name)
            note = self.folder / "home" / "keys" / "home" / "keys.json"
            good = note.read_bytes()
            note.write_text("{")
            await self.restarted()
            self.assertIn("damaged", await self.refused("list", repository="home"))
            await self.told("list", repository="office")
            # Mended, it needs no other start.
            note.write_bytes(good)
            await self.told("list", repository="home")
            self.flushLoggedErrors()

        return self.do(run())


class _Made(SignerCase):
    """A repository that has been made."""

    async def restarted(self) -> None:
        is_first = self.signer is None
        await super().restarted()
        if is_first:
            await self.told("init", name="home")


class AddingTests(_Made):
    def test_a_package_is_signed_on_a_word(self) -> Deferred[None]:
        async def run() -> None:
            told = await self.told("add", [made("foo", "1.0-1", BINARY)], trusted=True)
            self.assertEqual([one["name"] for one in told["added"]], ["foo"])
            self.assertEqual(self.listed(), {"foo": "1.0-1"})

        return self.do(run())

    def test_without_a_word_it_needs_a_signature(self) -> Deferred[None]:
        async def run() -> None:
            self.assertIn("has no signature", await self.refused("add", [made("foo")]))

        return self.do(run())

    def trusting(self) -> pgp.Signer:
        """Return a key that pacman trusts here."""
        signer = pgp.Signer()
        self.addCleanup(signer.close)
        key, trust = self.folder / "key", self.folder / "trust"
        key.write_bytes(signer.gpg("--export"))
        said = signer.gpg("--with-colons", "--list-keys").decode()
        (fingerprint,) = [x.split(":")[9] for x in said.splitlines() if x.startswith("fpr:")]
        trust.write_text(f"{fingerprint}:6:\n")
        gpg = ["gpg", "--homedir", str(self.keyring), "--batch", "--quiet", "--no-autostart"]
        for words in (["--import", key], ["--import-ownertrust", trust], ["--check-trustdb"]):
            subprocess.run([*gpg, *words], check=True, capture_output=True)
        return signer

    def signature(self, signer: pgp.Signer, data: bytes) -> str:
        path = self.folder / "to-sign"
        path.write_bytes(data)
        return base64.b64encode(signer.sign(path)).decode()

    def test_a_key_that_pacman_trusts_is_as_good_as_a_word(self) -> Deferred[None]:
        async def run() -> None:
            signer, package = self.trusting(), made("foo")
            signature = self.signature(signer, package[1])
            await self.told("add", [package], signatures=[signature])
            # What is published has the repository's own signature.
            self.assertEqual(self.listed(), {"foo": "1.0-1"})

        return self.do(run())

    def test_a_signature_of_another_package_is_not(self) -> Deferred[None]:
        async def run() -> None:
            signer = self.trusting()
            signature = self.signature(signer, made("bar")[1])
            said = await self.refused("add", [made("foo")], signatures=[signature])
            self.assertIn("not signed by a key that pacman here trusts", said)

        return self.do(run())

    def test_one_that_is_not_signed_keeps_all_out(self) -> Deferred[None]:
        async def run() -> None:
            signer, package = self.trusting(), made("foo")
            signatures = [self.signature(signer, package[1]), None]
            await self.refused("add", [package, made("bar")], signatures=signatures)

        return self.do(run())

    def test_what_is_no_package_is_refused_whoever_gives_his_word(self) -> Deferred[None]:
        async def run() -> None:
            name, data = made("foo")
            for wrong in (
                (name, b"text"),
                (name, data[:-20]),
                (file_name("bar"), data),
                (file_name("foo", "2.0-1"), data),
                made("foo", "1.0-1", File("../etc/passwd", b"x")),
                made("foo", "1.0-1", link("etc", "/tmp"), File("etc/passwd", b"x")),
            ):
                await self.refused("add", [wrong], trusted=True)

        return self.do(run())

    def test_an_older_version_is_no_way_back(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("add", [made("foo", "2.0-1")], trusted=True)
            said = await self.refused("add", [made("foo", "1.0-1")], trusted=True)
            self.assertIn("flocon repo rollback", said)

        return self.do(run())

    def test_the_same_once_more_changes_nothing(self) -> Deferred[None]:
        async def run() -> None:
            package = made("foo")
            await self.told("add", [package], trusted=True)
            before = self.state()
            told = await self.told("add", [package], trusted=True)
            self.assertEqual(told["added"], [])
            self.assertEqual(self.state(), before)

        return self.do(run())

    def test_other_bytes_of_the_same_version_are_refused(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("add", [made("foo")], trusted=True)
            said = await self.refused("add", [made("foo", "1.0-1", BINARY)], trusted=True)
            self.assertIn("pkgrel", said)

        return self.do(run())

    def test_a_package_for_other_machines_is_refused(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("add", [made("foo")], trusted=True)
            _, data = made("bar", arch="aarch64")
            other = "bar-1.0-1-aarch64.pkg.tar.zst", data
            self.assertIn("aarch64", await self.refused("add", [other], trusted=True))

        return self.do(run())

    def test_two_of_one_name_are_refused(self) -> Deferred[None]:
        async def run() -> None:
            both = [made("foo"), made("foo", "2.0-1")]
            self.assertIn("twice", await self.refused("add", both, trusted=True))

        return self.do(run())


class ChangingTests(_Made):
    def test_what_is_taken_out_is_listed_no_more(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("add", [made("foo"), made("bar")], trusted=True)
            await self.told("remove", packages=["foo"])
            self.assertEqual(self.listed(), {"bar": "1.0-1"})
            self.assertIn("no package foo", await self.refused("remove", packages=["foo"]))

        return self.do(run())

    def test_one_that_is_not_there_keeps_all_in(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("add", [made("foo")], trusted=True)
            await self.refused("remove", packages=["foo", "bar"])

        return self.do(run())

    def test_it_goes_back_and_forward_again(self) -> Deferred[None]:
        async def run() -> None:
            for version in ("1.0-1", "2.0-1", "3.0-1"):
                await self.told("add", [made("foo", version)], trusted=True)
            told = await self.told("list")
            self.assertEqual(told["packages"][0]["older"], ["2.0-1", "1.0-1"])
            told = await self.told("rollback", package="foo")
            self.assertEqual((told["before"], told["version"]), ("3.0-1", "2.0-1"))
            self.assertEqual(self.listed(), {"foo": "2.0-1"})
            await self.told("rollback", package="foo", version="3.0-1")
            self.assertEqual(self.listed(), {"foo": "3.0-1"})

        return self.do(run())

    def test_a_version_that_was_not_kept_is_no_way_back(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("add", [made("foo", "2.0-1")], trusted=True)
            said = await self.refused("rollback", package="foo", version="1.0-1")
            self.assertIn("1.0-1", said)
            self.assertIn("no package bar", await self.refused("rollback", package="bar"))

        return self.do(run())

    def test_each_generation_is_signed_later_than_the_one_before(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("add", [made("foo", "1.0-1")], trusted=True)
            seconds = [(await self.told("list"))["signed"]]
            for version, clock in (("2.0-1", 0.0), ("3.0-1", -1e6), ("4.0-1", 10.0)):
                self.now += clock
                await self.told("add", [made("foo", version)], trusted=True)
                self.assertEqual(self.listed(), {"foo": version})
                seconds.append((await self.told("list"))["signed"])
            self.assertEqual(seconds, sorted(set(seconds)))

        return self.do(run())

    def test_a_home_put_back_from_a_copy_signs_no_second_twice(self) -> Deferred[None]:
        async def run() -> None:
            copy = self.folder / "copy"
            await self.stopped()
            shutil.copytree(
                self.folder / "home",
                copy,
                ignore=lambda _, names: [n for n in names if n[:2] == "S."],
            )
            await self.told("add", [made("foo")], trusted=True)
            before = (await self.told("list"))["signed"]
            await self.stopped()
            shutil.rmtree(self.folder / "home")
            copy.rename(self.folder / "home")
            await self.restarted()
            await self.told("add", [made("bar")], trusted=True)
            self.assertGreater((await self.told("list"))["signed"], before)

        return self.do(run())


class KeyTests(_Made):
    def test_both_keys_are_known_before_the_new_one_signs(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("add", [made("foo")], trusted=True)
            first = (await self.told("key"))["fingerprint"]
            told = await self.told("replace")
            self.assertEqual(told["fingerprint"], first)
            self.assertEqual(self.fingerprints(), {first, told["next"]})
            self.assertEqual(self.listed(), {"foo": "1.0-1"})
            self.assertIn("already", await self.refused("replace"))

        return self.do(run())

    def test_a_switch_signs_all_anew_and_revokes_the_old(self) -> Deferred[None]:
        async def run() -> None:
            for version in ("1.0-1", "2.0-1"):
                await self.told("add", [made("foo", version)], trusted=True)
            first = await self.told("key")
            second = (await self.told("replace"))["next"]
            told = await self.told("switch")
            self.assertEqual((told["fingerprint"], told["next"]), (second, ""))
            self.assertEqual(told["revoked"], [first["fingerprint"]])
            # By the revoked key nothing verifies any more, the older version neither.
            self.assertEqual(self.listed(), {"foo": "2.0-1"})
            await self.told("rollback", package="foo")
            self.assertEqual(self.listed(), {"foo": "1.0-1"})

        return self.do(run())

    def test_a_switch_that_was_killed_is_finished_by_the_next_start(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("add", [made("foo"), made("bar")], trusted=True)
            second = (await self.told("replace"))["next"]
            sign = Gpg.sign
            calls: list[int] = []

            async def fail(gpg: Gpg, *arguments: Any) -> bytes:
                calls.append(1)
                if len(calls) == 2:
                    raise KeyboardInterrupt
                return await sign(gpg, *arguments)

            with self.assertRaises(KeyboardInterrupt):
                self.patch(Gpg, "sign", fail)
                await self.told("switch")
            self.patch(Gpg, "sign", sign)
            await self.restarted()
            self.assertEqual((await self.told("key"))["fingerprint"], second)
            self.assertEqual(self.listed(), {"bar": "1.0-1", "foo": "1.0-1"})

        return self.do(run())

    def test_without_another_key_there_is_no_switch(self) -> Deferred[None]:
        async def run() -> None:
            self.assertIn("--replace", await self.refused("switch"))

        return self.do(run())

    def fingerprints(self) -> set[str]:
        key = self.published / "home" / "key.gpg"
        gpg = ["gpg", "--homedir", str(self.keyring), "--batch", "--no-autostart"]
        said = subprocess.run(
            [*gpg, "--with-colons", "--show-keys", str(key)], check=True, capture_output=True
        ).stdout.decode()
        return {line.split(":")[9] for line in said.splitlines() if line.startswith("fpr:")}


class PublishingTests(_Made):
    """Builds, each as the keeper says that it was approved."""

    def test_a_build_as_it_was_approved_is_published(self) -> Deferred[None]:
        async def run() -> None:
            packages = [made("foo", "1.0-1", BINARY)]
            told = await self.told("publish", packages, build=build("foo"))
            self.assertEqual(told["generation"], 2)
            self.assertEqual(self.listed(), {"foo": "1.0-1"})

        return self.do(run())

    def test_all_packages_of_a_base_are_published_at_once(self) -> Deferred[None]:
        async def run() -> None:
            packages = [made(name, pkgbase="foo") for name in ("foo", "foo-doc")]
            await self.told("publish", packages, build=build("foo", "foo", "foo-doc"))
            self.assertEqual(self.listed(), {"foo": "1.0-1", "foo-doc": "1.0-1"})
            newest = newest_generation(self.published / "home")
            self.assertEqual(newest and newest.sequence, 2)

        return self.do(run())

    def test_what_a_base_makes_no_more_is_taken_away(self) -> Deferred[None]:
        async def run() -> None:
            packages = [made(name, pkgbase="foo") for name in ("foo", "foo-doc")]
            await self.told("publish", packages, build=build("foo", "foo", "foo-doc"))
            await self.told("publish", [made("bar")], build=build("bar"))
            packages = [made("foo", "2.0-1")]
            await self.told("publish", packages, build=build("foo", version="2.0-1"))
            self.assertEqual(self.listed(), {"bar": "1.0-1", "foo": "2.0-1"})

        return self.do(run())

    def test_what_was_not_approved_is_refused(self) -> Deferred[None]:
        async def run() -> None:
            foo, bar = made("foo"), made("bar")
            for packages, said in (
                ([bar], build("foo")),
                ([foo, bar], build("foo")),
                ([foo], build("foo", "foo", "foo-doc")),
                ([foo], build("foo", version="2.0-1")),
                ([foo], build("other", "foo")),
                ([foo], build("foo", architecture="aarch64")),
                ([made("foo", pkgbase="other")], build("foo")),
            ):
                await self.refused("publish", packages, build=said)

        return self.do(run())

    def test_what_contradicts_its_own_srcinfo_is_refused(self) -> Deferred[None]:
        async def run() -> None:
            for text in ("", "nonsense", "\ud800", srcinfo("bar"), srcinfo("foo", "foo-doc")):
                said = build("foo", srcinfo=text)
                refusal = await self.refused("publish", [made("foo")], build=said)
                self.assertIn("contradicts itself", refusal)

        return self.do(run())

    async def held(self, package: tuple[str, bytes], **said: Any) -> dict[str, Any]:
        before = self.state()
        told = await self.told("publish", [package], build=build("foo", **said))
        self.assertTrue(told.get("held"), told)
        self.assertEqual(self.state(), before)
        return told

    def test_a_surprise_is_held_and_published_once_it_is_accepted(self) -> Deferred[None]:
        async def run() -> None:
            package = made("foo", "1.0-1", SETUID)
            told = await self.held(package)
            self.assertIn("usr/bin/sufoo", told["held"][0]["detail"])
            await self.told("publish", [package], build=build("foo"), accept=told["digest"])
            self.assertEqual(self.listed(), {"foo": "1.0-1"})

        return self.do(run())

    def test_an_acceptance_is_of_these_bytes_alone(self) -> Deferred[None]:
        async def run() -> None:
            told = await self.held(made("foo", "1.0-1", SETUID))
            other = made("foo", "1.0-1", SETUID, BINARY)
            again = await self.told("publish", [other], build=build("foo"), accept=told["digest"])
            self.assertTrue(again["held"])
            self.assertNotEqual(again["digest"], told["digest"])
            self.assertEqual(self.listed(), {})

        return self.do(run())

    def test_however_much_is_held_it_has_room_in_one_message(self) -> Deferred[None]:
        """A longer one is none, and who is told nothing asks again, for ever: nothing is built."""

        async def run() -> None:
            some = "/".join(["n" * 240] * 15)
            places = [one for place in PLACES if place.is_power for one in place.beginnings]
            tops = [one for one in places if one.startswith(("usr/", "etc/", "var/"))]
            paths = [f"{one}x{at:02}/{some}" for one in tops for at in range(20)]
            paths += [f"srv/{at:05}" for at in range(1_000)]
            told = await self.held(made("foo", "1.0-1", *(File(path, b"x") for path in paths)))
            self.assertLess(len(json.dumps(told)), LARGEST_MESSAGE)
            lines = {one["what"]: one["detail"].split("\n") for one in told["held"]}
            self.assertEqual(len(lines["outside of where packages put files"]), 1_000)
            self.assertTrue(any(one[-1].endswith(" more lines") for one in lines.values()))

        return self.do(run())

    def test_what_takes_too_long_altogether_is_refused(self) -> Deferred[None]:
        """Each of many packages may take as long as one may."""
        given: list[float] = []

        def slowly(descriptor: int, name: str, seconds: float) -> Package:
            given.append(seconds)
            now[0] += 1_000.0
            return reading.read_package(descriptor, name)

        async def run() -> None:
            packages = [made(f"foo{at}", "1.0-1", BINARY, pkgbase="foo") for at in range(4)]
            said = build("foo", *(f"foo{at}" for at in range(4)))
            self.assertIn("longer than 3000 s", await self.refused("publish", packages, build=said))
            self.assertEqual(given, [1_200.0, 1_200.0, 1_000.0])

        now = [0.0]
        self.patch(examination, "read_package", slowly)
        self.patch(examination, "time", SimpleNamespace(monotonic=lambda: now[0]))
        return self.do(run())

    def test_more_files_than_it_has_room_for_are_refused(self) -> Deferred[None]:
        """Each of some packages may have as many as are possible, in a few bytes."""

        async def run() -> None:
            packages = [made(name, "1.0-1", BINARY, SETUID) for name in ("foo", "foo-doc")]
            said = build("foo", "foo", "foo-doc")
            packages[1] = made("foo-doc", "1.0-1", BINARY, SETUID, pkgbase="foo")
            self.patch(examination, "MOST_MEMBERS", 3)
            refusal = await self.refused("publish", packages, build=said)
            self.assertIn("4 files together", refusal)
            self.patch(examination, "MOST_MEMBERS", 4)
            self.assertTrue((await self.told("publish", packages, build=said))["held"])
            self.patch(examination, "MOST_NAMES", 20)
            self.assertIn("20 are possible", await self.refused("publish", packages, build=said))

        return self.do(run())

    def test_another_install_script_than_the_recipes_is_held(self) -> Deferred[None]:
        async def run() -> None:
            script = "post_install() { :; }\n"
            package = made("foo", "1.0-1", File(".INSTALL", script.encode()))
            await self.held(package)
            said = build("foo", install={"foo": script})
            await self.told("publish", [package], build=said)
            self.assertEqual(self.listed(), {"foo": "1.0-1"})

        return self.do(run())

    def test_dependencies_that_the_recipe_does_not_say_are_held(self) -> Deferred[None]:
        async def run() -> None:
            package = made("foo", depend=["glibc", "npm"])
            more = srcinfo("foo", more=["depends = glibc"])
            told = await self.held(package, srcinfo=more)
            self.assertIn("npm", told["held"][0]["detail"])
            self.assertNotIn("glibc", told["held"][0]["detail"])

        return self.do(run())

    def test_what_makepkg_says_otherwise_than_the_recipe_is_held(self) -> Deferred[None]:
        async def run() -> None:
            for printed, wanted in (
                (srcinfo("foo", more=["depends = npm>=3"]), "depends: npm"),
                (srcinfo("foo", more=["install = foo.install"]), "install: foo.install"),
                (srcinfo("foo", "foo", "foo-doc"), "packages: foo, foo-doc"),
                ("nonsense", "cannot be read"),
                ("\ud800", "cannot be read"),
            ):
                told = await self.held(made("foo"), printed=printed)
                self.assertIn(wanted, told["held"][0]["detail"])

        return self.do(run())

    def test_versions_that_makepkg_finds_out_are_none_of_it(self) -> Deferred[None]:
        async def run() -> None:
            said = build(
                "foo",
                version="1.1-1",
                srcinfo=srcinfo("foo", more=["provides = foo=1.0", "depends = glibc>=2"]),
            )
            provided, needed = "provides = foo=1.1", "depends = glibc>=2"
            others = srcinfo("foo", version="1.1-1", more=[provided, f"{needed}.9"])
            otherwise = {**said, "printed": others}
            told = await self.told("publish", [made("foo", "1.1-1")], build=otherwise)
            self.assertEqual([one["detail"] for one in told["held"]], ["depends: glibc>=2.9"])
            said["printed"] = srcinfo("foo", version="1.1-1", more=[provided, needed])
            await self.told("publish", [made("foo", "1.1-1")], build=said)
            self.assertEqual(self.listed(), {"foo": "1.1-1"})

        return self.do(run())

    def test_the_package_of_another_recipe_is_not_taken_over_unseen(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("publish", [made("bar")], build=build("bar"))
            package = made("bar", "2.0-1", pkgbase="foo")
            said = build("foo", "bar", version="2.0-1")
            told = await self.told("publish", [package], build=said)
            self.assertEqual(told["held"][0]["what"], "a package of another recipe")
            self.assertEqual(self.listed(), {"bar": "1.0-1"})

        return self.do(run())

    def test_a_version_that_goes_back_is_held(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("publish", [made("foo", "2.0-1")], build=build("foo", version="2.0-1"))
            await self.held(made("foo", "1.0-1"))

        return self.do(run())

    def test_the_same_build_once_more_is_done_already(self) -> Deferred[None]:
        async def run() -> None:
            package = made("foo")
            first = await self.told("publish", [package], build=build("foo"))
            before = self.state()
            again = await self.told("publish", [package], build=build("foo"))
            self.assertEqual(again["generation"], first["generation"])
            self.assertEqual(self.state(), before)

        return self.do(run())

    def test_debugging_symbols_stay_out(self) -> Deferred[None]:
        async def run() -> None:
            debug = made("foo-debug", pkgbase="foo", xdata="pkgtype=debug")
            await self.told("publish", [made("foo"), debug], build=build("foo"))
            self.assertEqual(self.listed(), {"foo": "1.0-1"})

        return self.do(run())

    def test_what_is_called_symbols_and_is_not_was_not_to_be_built(self) -> Deferred[None]:
        async def run() -> None:
            symbols = File("usr/lib/debug/usr/bin/foo.debug", b"symbols")
            for debug in (
                made("foo-debug", "1.0-1", BINARY, pkgbase="foo"),
                made("foo-debug", "1.0-1", BINARY, pkgbase="foo", xdata="pkgtype=debug"),
                made("foo-debug", "1.0-1", symbols, pkgbase="foo", replaces="bash"),
                made("foo-debug", "1.0-1", symbols, pkgbase="foo", provides="bash=9"),
                made("foo-debug", "1.0-1", symbols, pkgbase="foo", depend="odd"),
            ):
                await self.refused("publish", [made("foo"), debug], build=build("foo"))
            self.assertEqual(self.listed(), {})

        return self.do(run())

    def test_a_package_that_says_it_is_symbols_is_one_all_the_same(self) -> Deferred[None]:
        async def run() -> None:
            said = made("foo", "1.0-1", BINARY, xdata="pkgtype=debug")
            await self.told("publish", [said], build=build("foo"))
            self.assertEqual(self.listed(), {"foo": "1.0-1"})

        return self.do(run())

    def test_what_was_examined_is_what_is_signed(self) -> Deferred[None]:
        """Who handed the file over writes another package into it once it was looked at."""

        async def run() -> None:
            name, good = made("foo", "1.0-1", BINARY)
            _, bad = made("foo", "1.0-1", SETUID)
            source = self.folder / "source"
            source.write_bytes(good)
            read_package = reading.read_package

            def read_then_change(*arguments: Any) -> Any:
                found = read_package(*arguments)
                source.write_bytes(bad)
                return found

            self.patch(examination, "read_package", read_then_change)
            descriptor = os.open(source, os.O_RDWR)
            self.addCleanup(os.close, descriptor)
            assert self.signer is not None
            request = {"do": "publish", "names": [name], "build": build("foo")}
            await self.signer.do(read(request, 1), [descriptor])
            self.assertEqual(self.listed(), {"foo": "1.0-1"})
            path = self.published / "home" / "packages" / name
            self.assertEqual(path.read_bytes(), good)
            self.assertEqual(source.read_bytes(), bad)

        return self.do(run())

    def test_what_gpg_does_not_sign_is_not_published(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("publish", [made("foo")], build=build("foo"))
            for last in range(3):
                # The package's signature, then those of both databases.
                before = self.listed()
                sign, calls = Gpg.sign, [0]

                async def fail(
                    gpg: Gpg,
                    *arguments: Any,
                    sign: Any = sign,
                    calls: Any = calls,
                    last: int = last,
                ) -> bytes:
                    calls[0] += 1
                    if calls[0] > last:
                        raise RepositoryError("gpg does not sign: the disk is full", "make room")
                    return bytes(await sign(gpg, *arguments))

                self.patch(Gpg, "sign", fail)
                with self.assertRaises(Exception) as caught:
                    await self.told(
                        "publish",
                        [made("foo", "2.0-1")],
                        build=build("foo", version="2.0-1"),
                    )
                self.patch(Gpg, "sign", sign)
                self.assertIn("disk is full", str(caught.exception))
                self.assertEqual(self.listed(), before)
            await self.told("publish", [made("foo", "2.0-1")], build=build("foo", version="2.0-1"))
            self.assertEqual(self.listed(), {"foo": "2.0-1"})

        return self.do(run())

    def test_everybody_can_read_what_is_published_and_nobody_the_keys(self) -> Deferred[None]:
        async def run() -> None:
            before = os.umask(0o077)
            self.addCleanup(os.umask, before)
            await self.told("publish", [made("foo")], build=build("foo"))
            for path in (self.published / "home", *(self.published / "home").rglob("*")):
                wanted = stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0)
                self.assertEqual(path.stat().st_mode & wanted, wanted, path)
            for path in (self.folder / "home").iterdir():
                self.assertEqual(path.stat().st_mode & 0o077, 0, path)

        return self.do(run())

    def test_nothing_of_what_was_handed_over_stays_in_the_signers_folder(self) -> Deferred[None]:
        async def run() -> None:
            await self.told("publish", [made("foo")], build=build("foo"))
            await self.held(made("foo", "2.0-1", SETUID), version="2.0-1")
            await self.refused("publish", [made("bar")], build=build("foo"))
            self.assertEqual(list((self.folder / "home" / "desk").iterdir()), [])

        return self.do(run())


class DebugTests(_Made):
    with_symbols = True

    def test_debugging_symbols_are_published_where_they_are_wanted(self) -> Deferred[None]:
        async def run() -> None:
            debug = made("foo-debug", pkgbase="foo", xdata="pkgtype=debug")
            await self.told("publish", [made("foo"), debug], build=build("foo"))
            self.assertEqual(self.listed(), {"foo": "1.0-1", "foo-debug": "1.0-1"})

        return self.do(run())


class KeepingTests(_Made):
    keep = 2

    def test_so_many_versions_stay_as_are_to(self) -> Deferred[None]:
        async def run() -> None:
            for number in range(1, 7):
                await self.told("add", [made("foo", f"{number}.0-1")], trusted=True)
                self.now += 100
            told = await self.told("list")
            # Generations that stay list their own.
            self.assertEqual(told["packages"][0]["older"], ["5.0-1", "4.0-1"])
            self.assertTrue(gpgv(*self.of_package("5.0-1")))

        return self.do(run())

    def of_package(self, version: str) -> tuple[Path, Path, Path]:
        folder = self.published / "home"
        path = folder / "packages" / file_name("foo", version)
        return folder / "key.gpg", path.with_name(f"{path.name}.sig"), path
