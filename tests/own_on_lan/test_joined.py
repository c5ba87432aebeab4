"""A repository that one machine makes: the others trust it by its key, and it may be off then."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import Any

from tests.lan.lan import LAN_PORT, Answer, Host, wait_until
from tests.own_on_lan.case import SOON, OwnTestCase

FIRST, SECOND = "1-1", "2-1"


class JoinedCase(OwnTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.start_signer()
        self.publish(self.make("alpha", "beta", version=FIRST))


class InstallingTests(JoinedCase):
    def test_others_install_what_one_makes_also_when_it_is_off(self) -> None:
        (node, *_) = self.start_own(*self.hosts)
        for host in (self.second, self.third):
            self.join(host)
        self.wait_for_generation(self.second, self.third, packages=2)
        self.assert_clean(self.run_pacman(self.second, "-Sy", "alpha"))
        self.wait_for_copies(self.second, self.third, count=4)
        node.stop()
        self.assert_clean(self.run_pacman(self.third, "-Sy", "alpha", "beta"))
        self.assertEqual(self.installed(self.third), {f"alpha {FIRST}", f"beta {FIRST}"})
        shutil.copytree(self.third.store / "own", self.third.folder / "old")
        # What is new is heard of by itself, and what is not listed any more goes.
        self.start_own(self.maker)
        self.publish(self.make("alpha", version=SECOND))
        newest = self.wait_for_newest(self.maker, self.second, self.third)
        run = self.run_pacman(self.second, "-Syu")
        self.assertIn(f"alpha {SECOND}", self.installed(self.second), run.output)
        wait_until(lambda: not self.has_copy(self.third, FIRST), SOON, "the old copy is dropped")
        wait_until(lambda: self.has_copy(self.third, SECOND), SOON, "the new one is kept")
        self._replay(newest)

    def has_copy(self, host: Host, version: str) -> bool:
        return (host.store / f"packages/alpha-{version}-x86_64.pkg.tar.zst").exists()

    def _replay(self, newest: int) -> None:
        """Have the third give out what it had first, as something new."""
        self.third.nodes[0].stop()
        self.third.nodes.clear()
        shutil.rmtree(self.third.store / "own")
        shutil.copytree(self.third.folder / "old", self.third.store / "own")
        self.maker.nodes[-1].stop()
        self.start_own(self.third, program=[sys.executable, "-m", "tests.own_on_lan.liar"])
        wait_until(lambda: self.told(self.second)["refused"], SOON, "the liar is found out")
        self.assertEqual(self.told(self.second)["refused"], {"older": 1})
        self.assertEqual(self.home(self.second)["signed"], newest)
        quarantined = json.dumps(self.second.nodes[0].status()["quarantine"])
        self.assertIn(self.third.address, quarantined)
        self.assert_clean(self.run_pacman(self.second, "-Syy"))
        self.assertIn(f"alpha {SECOND}", self.run_pacman(self.second, "-Sl", "home").output)


class TrustingTests(JoinedCase):
    def test_nothing_is_trusted_before_somebody_compared_the_key(self) -> None:
        self.start_own(self.maker, self.second)
        keys, conf = self.second.folder / "keys/home.gpg", self.conf(self.second)
        before = conf.read_bytes()
        wait_until(lambda: self.told(self.second)["heard"], SOON, "it is heard of")
        said = self.join(self.second, "--json", status=1)
        self.assertIn("nobody is there to compare the key", said)
        self.join(self.second, "--fingerprint", "0" * 40, status=1)
        right = json.loads(self.repo("key", "--json"))["fingerprint"]
        self.assertIn("[home]", self.join(self.second, "--dry-run", "--fingerprint", right))
        self.assertEqual((keys.exists(), conf.read_bytes()), (False, before))
        self.join(self.second)
        self.wait_for_generation(self.second, packages=2)
        self._replace_key()
        self.join(self.second, "--undo")
        self.assertEqual((keys.exists(), conf.read_bytes()), (False, before))
        wait_until(lambda: not self.home(self.second), SOON, "the node has left it")

    def _replace_key(self) -> None:
        """Replace the key: what it signs is refused and said, until somebody trusts it too."""
        before = self.home(self.second)["signed"]
        self.repo("key", "--replace")
        self.repo("key", "--switch")
        wait_until(lambda: self.home(self.second)["foreign"], SOON, "another key is met")
        self.assertEqual(self.home(self.second)["signed"], before)
        reasons = json.dumps(json.loads(self.flocon(self.second, "doctor", "--json", status=1)))
        self.assertIn("flocon repo join home", reasons)
        said = self.join(self.second)
        self.assertIn("not trusted any more", said)
        self.wait_for_newest(self.maker, self.second)
        self.assert_clean(self.run_pacman(self.second, "-Sy", "beta"))


class ForgingTests(JoinedCase):
    def test_another_package_than_was_signed_is_installed_nowhere(self) -> None:
        maker, third = self.start_own(self.maker, self.third)
        self.join(self.third)
        self.wait_for_copies(self.third, count=2)
        fingerprint = self.signed_by()
        for node in (maker, third):
            node.stop()
        self.third.nodes.clear()
        forger = [sys.executable, "-m", "tests.own_on_lan.forger"]
        self.start_own(self.third, program=forger)
        (node,) = self.start_own(self.second)
        wait_until(lambda: self.told(self.second)["heard"], SOON, "it is heard of")
        self.join(self.second, "--fingerprint", fingerprint)
        self.wait_for_generation(self.second, packages=2)
        refused = self.run_pacman(self.second, "-Sy", "alpha")
        self.assertNotEqual(refused.returncode, 0, refused.output)
        self.assertEqual(self.installed(self.second), set())
        self.assertFalse([*(self.second.store / "packages").glob("alpha-*.zst")])
        quarantined = json.dumps(node.status()["quarantine"])
        self.assertIn(self.third.address, quarantined)
        # Of who has the right one it comes.
        self.start_own(self.maker)
        self.wait_for_newest(self.maker, self.second)
        wait_until(lambda: self._installs("alpha"), SOON, "alpha is installed")

    def _installs(self, name: str) -> bool:
        return self.run_pacman(self.second, "-S", name).returncode == 0


class PrivateTests(JoinedCase):
    """What is private is told to nobody, from the moment that it is published."""

    def settings(self, host: Host) -> dict[str, Any]:
        return {**super().settings(host), "peers": {"private": ["home"]}}

    def test_nothing_of_a_private_repository_is_given_to_others(self) -> None:
        self.start_own(self.maker)
        self.join(self.maker)
        self.wait_for_generation(self.maker, packages=2)
        self.assert_clean(self.run_pacman(self.maker, "-Sy", "alpha"))
        # Of the next one pacman has no database yet.
        (package,) = self.make("gamma")
        self.publish([package])
        self.wait_for_generation(self.maker, packages=3)
        self.assert_clean(self.run_pacman(self.maker, "-Sy", "gamma"))
        (package,) = self.make("delta")
        self.publish([package])
        self.wait_for_generation(self.maker, packages=4)
        time.sleep(2.0)
        for path in ("/own/home", "/own/home/key", f"/pkg/{package.path.name}"):
            self.assertEqual(self.asked(path).status, 404, path)
        told = self.asked("/inventory").body
        for name in (b"alpha", b"gamma", b"delta", b"home"):
            self.assertNotIn(name, told)

    def asked(self, path: str) -> Answer:
        """Ask the maker's node as another one does."""
        headers = {"Host": f"{self.maker.address}:{LAN_PORT}"}
        return self.second.request(path, address=self.maker.address, port=LAN_PORT, headers=headers)


class Installing7(JoinedCase):
    uses_pacman_7 = True

    def test_pacman_7_installs_when_the_maker_is_off(self) -> None:
        (node, _) = self.start_own(self.maker, self.second)
        self.join(self.second)
        self.wait_for_generation(self.second, packages=2)
        self.wait_for_copies(self.second, count=2)
        node.stop()
        self.assert_clean(self.run_pacman(self.second, "-Sy", "alpha"))
        self.assertEqual(self.installed(self.second), {f"alpha {FIRST}"})
