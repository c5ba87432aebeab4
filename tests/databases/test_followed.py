"""Databases of the state that a node gives to the LAN, as those get them who follow it."""

from __future__ import annotations

import hashlib
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred

from flocon.databases import lan_state
from flocon.databases.followed import STANDS
from flocon.databases.given import Arrived, Missing, OwnCopy, Signature, Unchanged
from flocon.databases.lan_state import LanState, StateFile
from flocon.databases.telling import ONE_RUN, SILENT
from flocon.errors import StoreError
from flocon.files import parse_path
from flocon.pacman.configuration import SignatureLevel
from flocon.pacman.keyring import Verdict
from flocon.pacman.listing import Database, Listing
from flocon.store import folder
from flocon.transfers.transfer import Transfer
from tests.databases.test_databases import (
    DATABASE,
    HOUR,
    MIRROR_A,
    OTHER,
    PAGE,
    PEER,
    SIGNATURE,
    STARTED,
    SourcesTestCase,
    peer,
)
from tests.fakes import Request

FIRST, SECOND = "0123456789abcdef", "fedcba9876543210"
SINCE = int(STARTED) - 600
STATE_URL = f"http://{PEER}:19432/state"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def state(identity: str = FIRST, since: int = SINCE, **files: bytes) -> LanState:
    """Return a state with these files, each with ``_`` for ``.`` in its name."""
    named = files or {"core_db": DATABASE}
    return LanState(
        identity,
        since,
        since,
        {
            ("x86_64", name.replace("_", ".")): StateFile(sha256(data), len(data))
            for name, data in named.items()
        },
    )


class FollowedTestCase(SourcesTestCase):
    databases = "node:p"

    def setUp(self) -> None:
        super().setUp()
        self.giving = [peer("p")]

    def begin(self, name: str = "core.db", since: float | None = None) -> Deferred[Any]:
        repository = name.partition(".")[0]
        asked = parse_path(f"/{repository}/os/x86_64/{name}".encode())
        assert asked is not None
        date = None if since is None else formatdate(since, usegmt=True)
        return self.sources.transfer(asked, date)

    def told(self, what: LanState) -> None:
        """Answer the question for the state."""
        last = self.peers_agent.last
        self.assertEqual(last.url, STATE_URL)
        last.whole(lan_state.dump(what))

    @property
    def fetched(self) -> Request:
        """The last request for a file of the state."""
        return self.tools.agents[PEER].last

    def unsigned(self) -> None:
        """Answer the question for a signature: there is none."""
        self.assertTrue(self.peers_agent.last.url.endswith(".sig"))
        self.peers_agent.last.answer(404)

    def given(self, waiting: Deferred[Any]) -> Any:
        given = self.successResultOf(waiting)
        if isinstance(given, Arrived):
            self.addCleanup(given.close)
            self.readers.append(given.reader)
        return given

    def arrived(self, waiting: Deferred[Any]) -> tuple[bytes, str | None]:
        """Return what was given, and with which date."""
        given = self.given(waiting)
        self.assertIsInstance(given, Arrived)
        return self.data(given.transfer), given.transfer.subject.dated

    def bring(self, data: bytes = DATABASE, **of_request: Any) -> tuple[bytes, str | None]:
        """Have a database given that the followed node has."""
        waiting = self.begin(**of_request)
        self.told(state(core_db=data))
        self.fetched.whole(data, Last_Modified=formatdate(SINCE, usegmt=True))
        self.unsigned()
        return self.arrived(waiting)


class Given(FollowedTestCase):
    def test_it_is_the_states_with_the_date_of_the_state(self) -> None:
        self.assertEqual(self.bring(), (DATABASE, formatdate(SINCE, usegmt=True)))
        self.assertEqual(self.fetched.url, f"{STATE_URL}/{FIRST}/x86_64/core.db")
        self.assertEqual(self.count(MIRROR_A), 0)

    def test_whose_state_it_is_and_of_when_is_told(self) -> None:
        place = f"p ({PEER})"
        nothing_yet = {"named": "p", "node": place, "of": None, "since": None}
        self.assertEqual(self.telling.describe(), nothing_yet)
        self.bring()
        known = {**nothing_yet, "of": SINCE, "since": SINCE}
        self.assertEqual(self.telling.describe(), known)
        self.giving = []
        self.assertEqual(self.telling.describe(), {**known, "node": ""})
        self.databases = "lan"
        self.assertEqual(self.telling.describe()["named"], "")

    def test_it_is_not_listed_as_a_mirrors_nor_handed_on(self) -> None:
        self.bring()
        self.assertEqual(self.pacman.given, [])
        self.assertTrue(self.origins.is_peers(sha256(DATABASE)[:16]))

    def test_who_has_a_later_one_is_given_the_earlier_state(self) -> None:
        """It may have come from a mirror, or another state: pacman takes what is newer alone."""
        have = STARTED - 60
        data, date = self.bring(since=have)
        self.assertEqual((data, date), (DATABASE, formatdate(int(have) + 1, usegmt=True)))
        self.assertIsNone(self.fetched.header("If-Modified-Since"))

    def test_who_has_it_by_its_date_is_told_so(self) -> None:
        waiting = self.begin(since=SINCE)
        self.told(state())
        self.assertEqual(self.given(waiting), Unchanged(f"peer {PEER}"))
        self.assertNotIn(PEER, self.tools.agents)

    def test_who_has_it_by_its_content_is_told_so(self) -> None:
        modified = STARTED - 60.5
        database = Database("core", sha256(DATABASE)[:16], modified, {})
        self.pacman.listing = Listing((database,))
        waiting = self.begin(since=int(modified))
        self.told(state())
        self.assertIsInstance(self.given(waiting), Unchanged)

    def test_a_copy_with_a_date_of_its_own_is_sent_once(self) -> None:
        have = STARTED - 60
        self.bring(since=have)
        waiting = self.begin(since=int(have) + 1)
        self.told(state())
        self.assertIsInstance(self.given(waiting), Unchanged)

    def test_one_run_of_pacman_is_given_one_state(self) -> None:
        waiting = self.begin("core.db", since=SINCE)
        self.told(state(core_db=DATABASE, extra_db=OTHER))
        self.given(waiting)
        asked = len(self.peers_agent.requests)
        waiting = self.begin("extra.db", since=SINCE)
        self.assertIsInstance(self.given(waiting), Unchanged)
        self.assertEqual(len(self.peers_agent.requests), asked)

    def test_the_next_run_is_given_the_next_state(self) -> None:
        for later in (0.0, ONE_RUN + 1):
            self.setUp()
            waiting = self.begin(since=SINCE)
            self.told(state(core_db=DATABASE, extra_db=OTHER))
            self.given(waiting)
            self.clock.advance(later)
            waiting = self.begin("core.db" if not later else "extra.db", since=SINCE)
            self.told(state(SECOND, SINCE + 1, core_db=OTHER, extra_db=OTHER))
            self.assertIn(SECOND, self.fetched.url)
            waiting.addErrback(lambda _: None)
            waiting.cancel()

    def test_a_state_that_is_gone_meanwhile_is_asked_for_anew(self) -> None:
        waiting = self.begin()
        self.told(state())
        self.fetched.answer(404)
        self.told(state(SECOND, core_db=OTHER))
        self.fetched.whole(OTHER)
        self.unsigned()
        self.assertEqual(self.arrived(waiting)[0], OTHER)

    def test_a_node_that_was_just_started_is_waited_for(self) -> None:
        met: Deferred[None] = Deferred()
        self.patch(self, "acquainted", lambda: met)
        peers, self.giving = self.giving, []
        waiting = self.begin(since=SINCE)
        self.assertNoResult(waiting)
        self.giving = peers
        met.callback(None)
        self.told(state())
        self.assertIsInstance(self.given(waiting), Unchanged)

    def test_pacman_that_leaves_leaves_nothing(self) -> None:
        waiting = self.begin()
        self.told(state())
        self.fetched.head(len(DATABASE))
        waiting.addErrback(lambda _: None)
        waiting.cancel()


class Elsewhere(FollowedTestCase):
    """What does not belong to the state comes as ever."""

    def assertFromMirrors(self, waiting: Deferred[Any]) -> None:
        transfer = self.successResultOf(waiting)
        self.assertIsInstance(transfer, Transfer)
        self.assertEqual(self.count(MIRROR_A), 1)
        transfer.begun.wait().addErrback(lambda _: None)

    def test_a_database_that_is_not_of_it(self) -> None:
        waiting = self.begin("other.db")
        self.told(state())
        self.assertFromMirrors(waiting)

    def test_a_list_of_files_that_it_has_not_and_is_asked_to_bring(self) -> None:
        waiting = self.begin("core.files")
        self.told(state())
        self.assertEqual(
            [one.url for one in self.peers_agent.heads], [f"{STATE_URL}/{FIRST}/x86_64/core.files"]
        )
        self.peers_agent.heads[-1].answer(404)
        self.assertFromMirrors(waiting)

    def test_it_is_not_waited_for(self) -> None:
        waiting = self.begin("core.files")
        self.told(state())
        self.clock.advance(0.6)
        self.assertFromMirrors(waiting)

    def test_that_of_a_repository_that_it_has_not_is_asked_of_nobody(self) -> None:
        waiting = self.begin("other.files")
        self.told(state())
        self.assertFromMirrors(waiting)
        self.assertEqual(self.peers_agent.heads, [])

    def test_one_of_which_nobody_is_to_hear(self) -> None:
        self.private.add("core")
        self.assertFromMirrors(self.begin())
        self.assertEqual(self.peers_agent.requests, [])

    def test_all_where_nobody_is_followed(self) -> None:
        self.databases = "mirror"
        self.assertFromMirrors(self.begin())
        self.assertEqual(self.peers_agent.requests, [])

    def test_what_is_not_of_it_while_its_node_is_away(self) -> None:
        waiting = self.begin(since=SINCE)
        self.told(state())
        self.given(waiting)
        self.giving = []
        self.assertFromMirrors(self.begin("other.db", since=SINCE))


class Away(FollowedTestCase):
    """The followed node is not there, or says nothing that can be used."""

    def assertStands(self, since: float | None = SINCE) -> None:
        waiting = self.begin(since=since)
        self.assertEqual(self.given(waiting), Unchanged(STANDS))
        self.assertEqual(self.count(MIRROR_A), 0)

    def test_what_pacman_has_stands(self) -> None:
        self.giving = []
        self.assertStands()
        self.assertStands(STARTED - 7 * HOUR)

    def test_who_has_none_is_given_none(self) -> None:
        self.giving = []
        self.assertEqual(self.given(self.begin()), Missing(503))
        self.assertEqual(self.count(MIRROR_A), 0)

    def test_of_two_of_one_name_neither_is_asked(self) -> None:
        self.giving = [peer("p"), peer("p")]
        self.assertStands()
        self.assertEqual(self.peers_agent.requests, [])

    def test_a_silent_one_is_waited_for_briefly_and_then_left_alone(self) -> None:
        waiting = self.begin(since=SINCE)
        self.clock.advance(2.1)
        self.assertEqual(self.given(waiting), Unchanged(STANDS))
        asked = len(self.peers_agent.requests)
        self.assertStands()
        self.assertEqual(len(self.peers_agent.requests), asked)
        self.clock.advance(SILENT)
        self.begin(since=SINCE).addErrback(lambda _: None).cancel()
        self.assertEqual(len(self.peers_agent.requests), asked + 1)

    def test_one_that_cannot_be_reached(self) -> None:
        waiting = self.begin(since=SINCE)
        self.peers_agent.last.fail(error.ConnectionRefusedError())
        self.assertEqual(self.given(waiting), Unchanged(STANDS))

    def test_one_that_talks_nonsense(self) -> None:
        for text in (PAGE, b"", b"{}", b"x" * (lan_state.LARGEST_TEXT + 1)):
            self.setUp()
            waiting = self.begin(since=SINCE)
            self.peers_agent.last.whole(text)
            self.assertEqual(self.given(waiting), Unchanged(STANDS))

    def test_one_that_has_no_state(self) -> None:
        waiting = self.begin(since=SINCE)
        self.peers_agent.last.answer(404)
        self.assertEqual(self.given(waiting), Unchanged(STANDS))
        self.assertIn("it has none yet", next(iter(self.telling.tell()))["reason"])

    def test_one_whose_database_stops_coming(self) -> None:
        waiting = self.begin(since=STARTED - HOUR)
        self.told(state())
        self.fetched.head(len(DATABASE)).send(DATABASE[:20])
        self.clock.pump([0.5] * 20)
        self.assertEqual(self.given(waiting), Unchanged(STANDS))

    def test_its_signature_is_that_of_pacmans_own(self) -> None:
        self.giving = []
        (self.sync / "core.db.sig").write_bytes(SIGNATURE)
        self.assertStands()
        given = self.successResultOf(self.begin("core.db.sig"))
        assert isinstance(given, Signature)
        self.assertEqual((given.data, given.is_new), (SIGNATURE, False))

    def test_where_pacman_has_none_there_is_none(self) -> None:
        self.giving = []
        self.assertStands()
        self.assertEqual(self.successResultOf(self.begin("core.db.sig")), Missing(404))


class Wrong(FollowedTestCase):
    """What the followed node sends is looked at as any peer's database is."""

    def assertNotTaken(self, sent: bytes, what: LanState) -> None:
        waiting = self.begin(since=STARTED - HOUR)
        for _ in range(2):
            self.told(what)
            self.fetched.whole(sent)
        self.assertEqual(self.given(waiting), Unchanged(STANDS))
        self.assertEqual(self.count(MIRROR_A), 0)

    def test_another_database_than_its_state_says(self) -> None:
        size = len(DATABASE)
        self.assertNotTaken(OTHER, state(core_db=DATABASE))
        files = {("x86_64", "core.db"): StateFile(sha256(OTHER), size)}
        self.setUp()
        self.assertNotTaken(DATABASE, LanState(FIRST, SINCE, SINCE, files))
        self.assertTrue(self.tools.blamed)

    def test_no_database_at_all(self) -> None:
        for data in (PAGE, bytes(range(256)) * 9):
            self.setUp()
            self.assertNotTaken(data, state(core_db=data))


class Signed(FollowedTestCase):
    level = SignatureLevel.REQUIRED

    def test_the_states_signature_is_checked_and_given(self) -> None:
        waiting = self.begin()
        self.told(state(core_db=DATABASE, core_db_sig=SIGNATURE))
        self.fetched.whole(DATABASE)
        self.assertEqual(self.peers_agent.last.url, f"{STATE_URL}/{FIRST}/x86_64/core.db.sig")
        self.peers_agent.last.whole(SIGNATURE)
        self.assertEqual(self.arrived(waiting)[0], DATABASE)
        self.assertEqual(self.keyring.judged, [(DATABASE, SIGNATURE, PEER)])
        given = self.successResultOf(self.begin("core.db.sig"))
        self.assertEqual(given, Signature(SIGNATURE, SINCE))

    def test_with_a_bad_one_nothing_is_taken(self) -> None:
        self.keyring.verdict = Verdict.BAD
        waiting = self.begin(since=STARTED - HOUR)
        for _ in range(2):
            self.told(state(core_db=DATABASE, core_db_sig=SIGNATURE))
            self.fetched.whole(DATABASE)
            self.peers_agent.last.whole(SIGNATURE)
        self.assertEqual(self.given(waiting), Unchanged(STANDS))

    def test_of_what_is_unchanged_it_is_the_same_states(self) -> None:
        waiting = self.begin(since=SINCE)
        self.told(state(core_db=DATABASE, core_db_sig=SIGNATURE))
        self.given(waiting)
        waiting = self.begin("core.db.sig")
        self.assertEqual(self.peers_agent.last.url, f"{STATE_URL}/{FIRST}/x86_64/core.db.sig")
        self.peers_agent.last.whole(SIGNATURE)
        self.assertEqual(self.successResultOf(waiting), Signature(SIGNATURE, SINCE, is_new=False))

    def test_where_it_cannot_be_had_no_mirror_is_asked_for_one(self) -> None:
        """A mirror's would be of another database."""
        waiting = self.begin(since=SINCE)
        self.told(state(core_db=DATABASE, core_db_sig=SIGNATURE))
        self.given(waiting)
        waiting = self.begin("core.db.sig")
        self.peers_agent.last.answer(500)
        self.assertEqual(self.successResultOf(waiting), Missing(503))
        self.assertEqual(self.count(MIRROR_A), 0)


class TheLans(FollowedTestCase):
    """``databases = "lan"``: the state of whoever gives one, and without it what there is."""

    databases = "lan"

    def test_it_is_the_states(self) -> None:
        self.assertEqual(self.bring()[0], DATABASE)

    def test_without_a_node_that_gives_one_mirrors_are_asked(self) -> None:
        self.giving = []
        self.successResultOf(self.begin(since=SINCE))
        self.assertEqual(self.count(MIRROR_A), 1)

    def test_of_a_silent_one_mirrors_are_asked_in_time(self) -> None:
        waiting = self.begin(since=SINCE)
        self.clock.advance(2.1)
        self.successResultOf(waiting)
        self.assertEqual(self.count(MIRROR_A), 1)

    def test_of_one_whose_database_does_not_come_mirrors_are_asked_in_time(self) -> None:
        waiting = self.begin(since=STARTED - HOUR)
        self.told(state())
        self.fetched.head(len(DATABASE)).send(DATABASE[:20])
        self.clock.pump([0.1] * 40)
        self.successResultOf(waiting)
        self.assertEqual(self.count(MIRROR_A), 1)


class OwnGiving:
    """A state that this node itself gives."""

    def __init__(self, path: Path, *files: tuple[str, bytes]) -> None:
        self.path = path
        self.files = dict(files)

    def state(self) -> LanState:
        files: dict[str, Any] = {name.replace(".", "_"): data for name, data in self.files.items()}
        return state(**files)

    async def open(self, identity: str, architecture: str, file_name: str) -> folder.Opened:
        if file_name not in self.files or (identity, architecture) != (FIRST, "x86_64"):
            raise StoreError(file_name, "there is none")
        (self.path / file_name).write_bytes(self.files[file_name])
        stamp = folder.stamp_of((self.path / file_name).lstat())
        return folder.Opened(folder.open_file(self.path, file_name, stamp), stamp)


class Own(FollowedTestCase):
    """The node that gives the state follows it, too, where its operator wants that."""

    databases = "node:own"

    def setUp(self) -> None:
        super().setUp()
        self.giving = []
        self.own_state = OwnGiving(
            self.directory, ("core.db", DATABASE), ("core.db.sig", SIGNATURE)
        )

    def test_it_is_given_without_asking_anybody(self) -> None:
        for databases in ("node:own", "lan"):
            self.databases = databases
            given = self.given(self.begin(since=SINCE - 1))
            assert isinstance(given, OwnCopy)
            self.addCleanup(given.opened.close)
            self.assertEqual((given.opened.size, given.dated), (len(DATABASE), True))
            self.assertEqual(given.opened.modified, SINCE)
        self.assertEqual(self.peers_agent.requests, [])

    def test_so_is_its_signature(self) -> None:
        self.given(self.begin()).opened.close()
        given = self.successResultOf(self.begin("core.db.sig"))
        self.assertEqual(given, Signature(SIGNATURE, SINCE))

    def test_pacman_that_has_it_is_told_so(self) -> None:
        self.assertEqual(self.given(self.begin(since=SINCE)), Unchanged(STANDS))

    def test_pacman_with_one_of_tomorrow_is_given_it_without_a_date(self) -> None:
        given = self.given(self.begin(since=time.time() + HOUR))
        given.opened.close()
        self.assertFalse(given.dated)


class Told(FollowedTestCase):
    """What ``flocon doctor`` says of whom is followed."""

    def reasons(self) -> list[str]:
        return [f"{one['reason']}; {one['remedy']}" for one in self.telling.tell()]

    def test_nothing_where_all_is_well(self) -> None:
        self.assertEqual(self.reasons(), [])
        self.databases = "mirror"
        self.giving = [peer("p"), peer("p")]
        self.assertEqual(self.reasons(), [])

    def test_nobody_is_called_so(self) -> None:
        self.giving = []
        [reason] = self.reasons()
        self.assertIn("no node called p is here", reason)

    def test_two_are(self) -> None:
        self.giving = [peer("p"), peer("p")]
        [told] = self.telling.tell()
        self.assertIn("several nodes are called p, and none of them is followed", told["reason"])
        self.assertIn(PEER, told["reason"])
        self.assertTrue(told["wrong"])

    def test_several_give_the_lan_a_state(self) -> None:
        self.databases = "lan"
        self.giving = [peer("q"), peer("p")]
        [told] = self.telling.tell()
        self.assertIn(f"p ({PEER}) is followed", told["reason"])
        self.assertFalse(told["wrong"])

    def test_the_followed_one_was_silent(self) -> None:
        waiting = self.begin(since=SINCE)
        self.clock.advance(2.1)
        self.given(waiting)
        [reason] = self.reasons()
        self.assertIn("p (10.0.0.112) gives no databases", reason)
        self.clock.advance(SILENT)
        waiting = self.begin(since=SINCE)
        self.told(state())
        self.given(waiting)
        self.assertEqual(self.reasons(), [])
