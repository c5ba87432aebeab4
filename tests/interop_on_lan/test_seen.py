"""What a person sees of the whole LAN, and gets of what no database here lists."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.lan.lan import wait_until
from tests.lan.repository import Package, Recipe, SigningKey, build
from tests.lan.test_commands import CommandTestCase

NAME = "only-there"


class Unlisted(CommandTestCase):
    """The first machine holds what no database of the second lists; strangers claim to."""

    def make(self, version: str, key: SigningKey, *, name: str = NAME, named: str = "") -> Package:
        """Put a signed package into the first one's cache, perhaps under another version."""
        package = build(Recipe(name, version, 20_000), self.first.cache, 1)
        if named:
            path = package.path.with_name(package.file_name.replace(version, named))
            package = Package(package.recipe, package.path.rename(path), package.size, "")
        key.sign(package.path)
        self.held["first"].add(package.file_name)
        return package

    def stranger(self) -> SigningKey:
        """Return a key that pacman does not know."""
        key = SigningKey(self.lan.folder / "stranger")
        self.addCleanup(key.close)
        return key

    def get(self, name: str = NAME, *, status: int = 0) -> subprocess.CompletedProcess[str]:
        conf = self.second.pacman_conf()
        done = self.run_command(self.second, "get", "--newest", name, "--pacman-conf", str(conf))
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def files(self) -> set[str]:
        return {path.name for path in self.here.iterdir()}

    def test_newest_is_told_fetched_by_its_signature_alone_and_installed(self) -> None:
        trusted = self.lab._key
        old, right = self.make("1.9-1", trusted), self.make("1.10-1", trusted)
        stranger = self.stranger()
        forged = self.make("9-1", stranger)
        renamed = self.make("1.0-1", trusted, named="8-1")
        self.make("9-1", stranger, name="of-strangers")
        self.two_nodes(more=5)

        # What machines say of themselves, the newest alone.
        told = self.say_json(self.second, "has", "--newest", NAME)
        self.assertEqual([one["file"] for one in told["files"]], [forged.file_name])
        self.assertIn("not listed", self.say(self.second, "has", "--newest", NAME))
        known = self.few_packages[0]
        both = self.say_json(self.second, "has", "--newest", NAME, known.name)
        self.assertEqual(
            [one["files"][0]["version"] for one in both], ["9-1", known.recipe.version]
        )

        # Neither the stranger's nor an old one under a new name.
        done = self.get()
        for package, words in (
            (forged, "nobody has a signature of it that is right"),
            (renamed, f"inside it is {NAME} 1.0-1"),
        ):
            self.assertIn(f"{package.file_name}: {words}", done.stderr)
        self.assertEqual(self.files(), {right.file_name, right.signature.name})
        self.assertEqual((self.here / right.file_name).read_bytes(), right.path.read_bytes())
        self.assertNotIn(old.file_name, self.files())
        self.assert_mirror_gave_no_packages()

        # Where there is no other, nothing is kept.
        said = self.get("of-strangers", status=1).stderr
        self.assertIn("no version of of-strangers that is held is signed by whom pacman", said)
        self.assertEqual(len(self.files()), 2)

        # It is what pacman takes, signature and all.
        run = self.second.pacman("-U", str(self.here / right.file_name), node=False)
        self.assert_clean(run)
        installed = self.second.folder / "root/usr/share" / NAME / "payload"
        self.assertTrue(Path(installed).exists())

    def test_all_that_is_held_is_listed_here_and_on_the_lan(self) -> None:
        first, second = self.two_nodes()
        names = sorted(package.file_name for package in self.few_packages)
        self.assertIn("nothing", self.say(self.second, "list"))
        here = self.say_json(self.first, "list")
        self.assertEqual([one["file"] for one in here["files"]], names)
        lines = self.say(self.first, "list").splitlines()
        self.assertEqual(len(lines), len(names))
        self.assertTrue(all(line.endswith("cache") for line in lines), lines)

        self.hold(self.second, self.few_packages[:1])
        wait_until(lambda: first.peers()["second"]["files_known"] == 1, 10, "it is known")
        for host, other in ((self.first, "second"), (self.second, "first")):
            told = self.say_json(host, "list", "--remote")
            self.assertEqual([one["file"] for one in told["files"]], names)
            row = next(
                one for one in told["files"] if one["file"] == self.few_packages[0].file_name
            )
            self.assertEqual([one["name"] for one in row["holders"]], [other])
            self.assertEqual(row["here"], "cache")
        self.assertEqual(second.status()["inventory"]["files"], 1)
        lines = self.say(self.second, "list", "--remote").splitlines()
        self.assertEqual(sum("here (cache), first" in line for line in lines), 1)
