"""Own repositories as they come to a machine: from its own signer, from peers, and not from liars.

Real keys, real gpgv, real HTTP on this machine's loopback.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import reactor, task
from twisted.trial.unittest import TestCase

from flocon.asking.agents import peer_agent
from flocon.joined.keys import read_keys
from flocon.joined.offers import Wrong
from flocon.joined.repositories import LOOK_AGAIN, OwnRepositories
from flocon.joined.told import Piece
from tests.joined.maker import THEN, Maker, desc, file_name, packed, signer
from tests.joined.peers import Neighbourhood, Peer
from tests.pgp import Signer

if TYPE_CHECKING:
    from flocon.asking.source import Source
    from flocon.joined.known import Known


class RepositoriesCase(TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.keys = self.folder / "keys"
        self.keys.mkdir(parents=True)
        self.maker = Maker(self.folder / "elsewhere")
        self.own_published = self.folder / "published"
        self.neighbourhood = Neighbourhood()
        self.agent, pool = peer_agent(reactor, 0.8)
        self.addCleanup(pool.closeCachedConnections)
        self.offences: list[tuple[str, str]] = []
        self.changes = 0
        self.peer = self.add_peer("127.0.0.1")

    def add_peer(self, address: str) -> Peer:
        peer = Peer(address, node=f"{len(self.neighbourhood.peers):016x}")
        peer.start()
        self.addCleanup(peer.stop)
        self.neighbourhood.peers.append(peer)
        return peer

    def start(self) -> OwnRepositories:
        def offence(source: Source, why: str) -> None:
            self.offences.append((source.label, why))

        def changed() -> None:
            self.changes += 1

        made = OwnRepositories(
            reactor,
            keys=self.keys,
            published=self.own_published,
            store=self.folder / "store",
            agent=self.agent,
            neighbourhood=self.neighbourhood,  # type: ignore[arg-type]
            offence=offence,
            changed=changed,
        )
        made.startService()
        self.addCleanup(made.stopService)
        return made

    def join(self, data: bytes | None = None, name: str = "home") -> None:
        (self.keys / f"{name}.gpg").write_bytes(self.maker.public if data is None else data)

    def give(self, packages: dict[str, str], signed: int, peer: Peer | None = None) -> None:
        files = self.maker.files(packages, signed)
        (peer or self.peer).give(self.maker.told(files, signed, signed - THEN + 1), files)

    async def known(self, made: OwnRepositories, name: str = "home") -> Known:
        await made.settled(10)
        return made.known[name]


class FromPeersTests(RepositoriesCase):
    async def test_newest_generation_is_taken_from_whoever_has_it(self) -> None:
        self.join()
        self.give({"a": "1-1"}, THEN)
        self.give({"a": "2-1"}, THEN + 5, self.add_peer("127.0.0.2"))
        known = await self.known(self.start())
        assert known.generation is not None
        self.assertEqual((known.generation.signed, known.source), (THEN + 5, "127.0.0.2"))
        self.assertEqual(known.generation.fingerprint, self.maker.fingerprint)
        assert known.database is not None
        self.assertEqual(list(known.database.entries), [file_name("a", "2-1")])

    async def test_nobody_is_asked_for_what_was_not_joined(self) -> None:
        self.give({"a": "1-1"}, THEN)
        made = self.start()
        await made.settled(5)
        self.assertEqual((made.known, self.peer.asked), ({}, []))

    async def test_nobody_is_asked_for_what_is_private(self) -> None:
        self.join()
        self.neighbourhood.private.add("home")
        self.give({"a": "1-1"}, THEN)
        known = await self.known(self.start())
        self.assertEqual((known.generation, self.peer.asked), (None, []))

    async def test_a_newer_one_is_fetched_once_it_is_heard_of(self) -> None:
        self.join()
        self.give({"a": "1-1"}, THEN)
        made = self.start()
        await self.known(made)
        self.give({"a": "2-1", "b": "1-1"}, THEN + 1)
        made.heard(self.peer)  # type: ignore[arg-type]
        known = await self.known(made)
        self.assertEqual(known.newest, THEN + 1)
        assert known.before is not None
        self.assertEqual(known.before.signed, THEN)

    async def test_a_flood_of_datagrams_has_offers_looked_up_a_few_times(self) -> None:
        self.join()
        made = self.start()
        await self.known(made)
        looks: list[str] = []
        choose = made.offers.choose

        def counted(*words: Any) -> Any:
            looks.append("")
            return choose(*words)

        self.patch(made.offers, "choose", counted)
        liar = Peer("127.0.0.1", own=(("home", THEN + 1_000),))
        for _ in range(20):
            for _ in range(100):
                made.heard(liar)  # type: ignore[arg-type]
            await task.deferLater(reactor, 0)
        self.assertLessEqual(len(looks), 2)

    async def test_after_a_restart_it_is_there_without_anybody(self) -> None:
        self.join()
        self.give({"a": "1-1"}, THEN)
        first = self.start()
        await self.known(first)
        await first.stopService()
        self.neighbourhood.peers.clear()
        known = await self.known(self.start())
        assert known.generation is not None
        self.assertEqual(known.generation.signed, THEN)

    async def test_lost_files_come_again_as_they_were(self) -> None:
        self.join()
        self.give({"a": "1-1"}, THEN)
        first = self.start()
        await self.known(first)
        await first.stopService()
        (self.folder / f"store/own/home/{THEN}/home.db").unlink()
        known = await self.known(self.start())
        assert known.generation is not None
        self.assertEqual(known.generation.signed, THEN)

    async def test_what_is_left_is_removed(self) -> None:
        self.join()
        self.give({"a": "1-1"}, THEN)
        made = self.start()
        await self.known(made)
        (self.keys / "home.gpg").unlink()
        await made.look()
        self.assertEqual(made.known, {})
        self.assertFalse((self.folder / "store/own/home").exists())

    async def test_keys_that_cannot_be_read_are_told(self) -> None:
        self.join(b"nonsense")
        made = self.start()
        await made.settled(5)
        self.assertIn("home", made.problems)
        self.assertEqual(made.known, {})


class LiarTests(RepositoriesCase):
    def setUp(self) -> None:
        super().setUp()
        self.join()

    async def refused(self) -> tuple[OwnRepositories, Known]:
        made = self.start()
        known = await self.known(made)
        self.assertIsNone(known.generation)
        return made, known

    def assert_offence(self, made: OwnRepositories, wrong: Wrong) -> None:
        self.assertEqual(made.offers.refused, {wrong.name.lower(): 1})
        self.assertEqual([address for address, _ in self.offences], ["127.0.0.1"])
        self.assertIn(wrong.value, self.offences[0][1])

    async def test_replay_as_if_it_was_newer_is_refused(self) -> None:
        self.give({"a": "2-1"}, THEN + 9)
        made = self.start()
        await self.known(made)
        old = self.maker.files({"a": "1-1"}, THEN)
        self.peer.give(replace(self.maker.told(old, THEN), signed=THEN + 20), old)
        made.heard(self.peer)  # type: ignore[arg-type]
        known = await self.known(made)
        self.assertEqual(known.newest, THEN + 9)
        self.assert_offence(made, Wrong.OLDER)

    async def test_replay_after_a_restart_is_refused_too(self) -> None:
        self.give({"a": "2-1"}, THEN + 9)
        first = self.start()
        await self.known(first)
        await first.stopService()
        for path in (self.folder / f"store/own/home/{THEN + 9}").iterdir():
            path.unlink()
        old = self.maker.files({"a": "1-1"}, THEN)
        self.peer.give(self.maker.told(old, THEN), old)
        made = self.start()
        known = await self.known(made)
        self.assertIsNone(known.generation)
        self.assertEqual(known.newest, THEN + 9)

    async def test_who_is_announced_to_have_more_than_it_has_did_not_have_to_say_so(self) -> None:
        files = self.maker.files({"a": "1-1"}, THEN)
        self.peer.give(self.maker.told(files, THEN), files, announced=THEN + 100)
        made, known = await self.refused()
        self.assertEqual(made.offers.refused, {"behind": 1})
        self.assertEqual(self.offences, [])
        self.assertIn("as was announced in its name", known.problem)

    async def test_wrong_bytes_are_an_offence(self) -> None:
        files = self.maker.files({"a": "1-1"}, THEN)
        told = self.maker.told(files, THEN)
        spoilt = {**files, "home.db": files["home.db"][:-1] + b"x"}
        self.peer.give(told, spoilt)
        made, _ = await self.refused()
        self.assert_offence(made, Wrong.OTHER)

    async def test_forged_database_is_an_offence(self) -> None:
        files = self.maker.files({"a": "1-1"}, THEN)
        other = self.maker.files({"evil": "1-1"}, THEN)
        forged = {**files, "home.db": other["home.db"]}
        self.peer.give(self.maker.told(forged, THEN), forged)
        made, _ = await self.refused()
        self.assert_offence(made, Wrong.FORGED)

    async def test_list_of_files_of_other_packages_is_an_offence(self) -> None:
        files = self.maker.files({"a": "1-1"}, THEN, listed={"b": "1-1"})
        self.peer.give(self.maker.told(files, THEN), files)
        made, _ = await self.refused()
        self.assert_offence(made, Wrong.MIXED)

    async def test_one_that_has_no_list_of_files_is_an_offence(self) -> None:
        files = self.maker.files({"a": "1-1"}, THEN)
        for end in ("", ".sig"):
            files[f"home.files{end}"] = files[f"home.db{end}"]
        self.peer.give(self.maker.told(files, THEN), files)
        made, _ = await self.refused()
        self.assert_offence(made, Wrong.MIXED)

    async def test_package_that_the_same_key_has_signed_is_no_database(self) -> None:
        package = packed(
            ("usr/share/a/desc", desc("evil", "1-1")),
            ("./.PKGINFO", "pkgname = a\npkgver = 1-1\n"),
        )
        path = self.folder / "a.pkg.tar.gz"
        path.write_bytes(package)
        signature = self.maker.sign(path, THEN)
        files = {
            f"home.{kind}{end}": data
            for kind in ("db", "files")
            for end, data in (("", package), (".sig", signature))
        }
        self.peer.give(self.maker.told(files, THEN), files)
        made, _ = await self.refused()
        self.assert_offence(made, Wrong.MIXED)

    async def test_files_larger_than_they_may_be_are_not_fetched(self) -> None:
        files = self.maker.files({"a": "1-1"}, THEN)
        told = self.maker.told(files, THEN)
        pieces = {**told.files, "home.db.sig": Piece("ab" * 32, 1 << 30)}
        self.peer.give(replace(told, files=pieces), files)
        made, _ = await self.refused()
        self.assert_offence(made, Wrong.UNTOLD)
        self.assertEqual(self.peer.asked, ["/own/home"])

    async def test_more_bytes_than_were_told_are_not_taken(self) -> None:
        files = self.maker.files({"a": "1-1"}, THEN)
        self.peer.give(self.maker.told(files, THEN), {**files, "home.db": bytes(1 << 20)})
        made, _ = await self.refused()
        self.assertEqual(made.offers.refused, {"away": 1})
        self.assertEqual(self.peer.asked[-1], "/own/home/1/home.db")

    async def test_another_key_is_no_offence_and_told(self) -> None:
        stranger = Maker(self.folder / "stranger", key=signer(1))
        files = stranger.files({"a": "1-1"}, THEN)
        self.peer.give(stranger.told(files, THEN), files)
        made, known = await self.refused()
        self.assertEqual((made.offers.refused, self.offences), ({"foreign": 1}, []))
        (foreign,) = made.offers.foreign("home")
        self.assertEqual(foreign.fingerprint, stranger.fingerprint)
        self.assertIn("another key", known.problem)
        asked = len(self.peer.asked)
        made.heard(self.peer)  # type: ignore[arg-type]
        await self.known(made)
        self.assertEqual(len(self.peer.asked), asked)

    async def test_revoked_key_is_no_other_key(self) -> None:
        key = Signer(at=f"{THEN - 500}")
        self.addCleanup(key.close)
        revoked = Maker(self.folder / "revoked", key=key)
        files = revoked.files({"a": "1-1"}, THEN)
        self.peer.give(revoked.told(files, THEN), files)
        key.revoke()
        self.join(revoked.public)
        made, known = await self.refused()
        self.assertEqual((made.offers.refused, self.offences), ({"unusable": 1}, []))
        self.assertEqual(made.offers.foreign("home"), [])
        self.assertIn("revoked", known.problem)

    async def test_once_the_new_key_is_trusted_it_is_taken(self) -> None:
        successor = Maker(self.folder / "stranger", key=signer(1))
        files = successor.files({"a": "1-1"}, THEN)
        self.peer.give(successor.told(files, THEN), files)
        made, _ = await self.refused()
        self.join(self.maker.public + successor.public)
        await made.look()
        known = await self.known(made)
        assert known.generation is not None
        self.assertEqual(known.generation.fingerprint, successor.fingerprint)

    async def test_a_liar_keeps_nobody_from_a_good_one(self) -> None:
        old = self.maker.files({"a": "1-1"}, THEN)
        self.peer.give(replace(self.maker.told(old, THEN), signed=THEN + 20), old)
        self.give({"a": "2-1"}, THEN + 9, self.add_peer("127.0.0.2"))
        known = await self.known(self.start())
        self.assertEqual((known.newest, known.source), (THEN + 9, "127.0.0.2"))


class OwnTests(RepositoriesCase):
    """What this machine's own signer publishes."""

    def setUp(self) -> None:
        super().setUp()
        self.maker = Maker(self.own_published)

    async def test_it_is_taken_and_followed(self) -> None:
        self.maker.publish({"a": "1-1"}, THEN)
        made = self.start()
        known = await self.known(made)
        self.assertEqual((known.newest, known.trusted.publishes), (THEN, True))
        changes = self.changes
        self.maker.publish({"a": "2-1"}, THEN + 1)
        began = time.monotonic()
        while known.newest == THEN and time.monotonic() < began + 10:
            await made.settled(0.2)
            await _moment()
        self.assertEqual(known.newest, THEN + 1)
        self.assertGreater(self.changes, changes)

    async def test_it_is_told_once_its_packages_can_be_given(self) -> None:
        here: set[str] = set()
        made = self.start()
        made.has = lambda name, _: name in here
        self.maker.publish({"a": "1-1"}, THEN)
        looked = made.look()
        for _ in range(5):
            await task.deferLater(reactor, 2 * LOOK_AGAIN)
            self.assertIsNone(made.known["home"].generation)
        here.add(file_name("a", "1-1"))
        await looked
        self.assertEqual(made.known["home"].newest, THEN)

    async def test_after_a_restart_nothing_is_wrong_with_it(self) -> None:
        self.maker.publish({"a": "1-1"}, THEN)
        first = self.start()
        await self.known(first)
        await first.stopService()
        known = await self.known(self.start())
        self.assertEqual((known.newest, known.problem), (THEN, ""))

    async def test_what_is_older_than_what_was_taken_is_told(self) -> None:
        self.maker.publish({"a": "2-1"}, THEN + 9)
        first = self.start()
        await self.known(first)
        await first.stopService()
        self.maker.publish({"a": "1-1"}, THEN)
        made = self.start()
        known = await self.known(made)
        self.assertEqual(known.newest, THEN + 9)
        self.assertIn(Wrong.OLDER.value, known.problem)

    async def test_an_operators_keys_come_before_the_signers_own(self) -> None:
        self.join(signer(1).gpg("--export"))
        self.maker.publish({"a": "1-1"}, THEN)
        known = await self.known(self.start())
        self.assertIsNone(known.generation)
        self.assertIn(self.maker.fingerprint, known.problem)

    async def test_a_key_that_its_signer_announces_is_told_and_not_yet_trusted(self) -> None:
        self.join()
        self.maker.publish({"a": "1-1"}, THEN)
        made = self.start()
        known = await self.known(made)
        anew = self.maker.folder / "anew"
        anew.write_bytes(self.maker.public + signer(1).gpg("--export"))
        anew.replace(self.maker.folder / "key.gpg")
        await made.look()
        known = await self.known(made)
        told = [one.fingerprint for one in known.trusted.told]
        new = read_keys(signer(1).gpg("--export"))[0].fingerprint
        self.assertEqual(told, [self.maker.fingerprint, new])
        self.assertEqual(known.trusted.fingerprints, (self.maker.fingerprint,))
        self.assertEqual(known.newest, THEN)

    async def test_half_a_generation_is_told_and_nothing_is_taken(self) -> None:
        self.maker.publish({"a": "1-1"}, THEN)
        (self.own_published / "home/generations/1/home.files.sig").unlink()
        known = await self.known(self.start())
        self.assertIsNone(known.generation)
        self.assertTrue(known.problem)

    async def test_kept_files_are_those_that_were_published(self) -> None:
        files = self.maker.publish({"a": "1-1"}, THEN)
        made = self.start()
        await self.known(made)
        for name, data in files.items():
            opened = made.shelf.open("home", THEN, name)
            with open(opened.fileno(), "rb", closefd=False) as file:
                got = file.read()
            opened.close()
            self.assertEqual(hashlib.sha256(got).digest(), hashlib.sha256(data).digest())


async def _moment() -> None:
    await task.deferLater(reactor, 0.05)
