"""Other tools' machines together: heard, looked at, asked, and told of ourselves."""

from __future__ import annotations

import json

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import Broken
from flocon.foreign.foreign import BURST, EVERY_WORD, FIRST_WORD, NUDGED_FOR, Foreign
from flocon.foreign.place import Place, Tool
from flocon.foreign.places import BAD_FOR, MOST_PLACES
from flocon.foreign.rounds import PATIENCE
from tests.foreign.machines import NAME, PACREDIR, PACSERVE, SIZE, Agent, listing

SAID = b"ThreadedServers.Pacserve/2013.05.12 http://ungabunga:15678/"
PING = json.dumps({"TYPE": "PING", "PORT": "15678", "ID": "00112233aabbccdd"}).encode()


class ForeignTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000)
        self.agent = Agent()
        self.said: list[bytes] = []
        self.news = 0
        self.in_reach = True
        self.answered: list[tuple[str, bytes]] = []
        self.make()
        self.addCleanup(self.assert_nothing_left)

    def make(self, identity: str = "") -> None:
        self.foreign = Foreign(
            self.clock,
            self.agent,
            lambda _, named: named or self.in_reach,
            say=self.said.append,
            news=self.hear_news,
            answer=lambda *said: self.answered.append(said),
            identity=identity,
        )

    def hear_news(self) -> None:
        self.news += 1

    def assert_nothing_left(self) -> None:
        self.foreign.stop()
        self.clock.advance(PATIENCE)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def turn(self) -> None:
        for _ in range(50):
            self.clock.advance(0)

    def prove_pacserve(self, **files: int) -> None:
        self.foreign.received(PACSERVE.address, SAID)
        self.agent.one().post(listing(**files))
        self.turn()

    def prove_pacredir(self) -> None:
        self.foreign.named("ada", [PACREDIR])
        self.agent.one().head(404)

    def states(self) -> dict[str, str]:
        return {one["address"]: one["state"] for one in self.foreign.describe(lambda _: "")}


class Heard(ForeignTestCase):
    def test_a_pacserve_that_is_heard_is_looked_at_where_it_spoke_from(self) -> None:
        self.foreign.received("10.0.0.8", SAID)
        question = self.agent.one()
        self.assertEqual(question.url, "http://10.0.0.8:15678/")
        self.assertEqual(self.states(), {"10.0.0.8": "unknown"})
        question.post(listing(a=1))
        self.turn()
        self.assertEqual(self.states(), {"10.0.0.8": "good"})
        self.assertEqual((self.foreign.pacserves(), self.news), ([("10.0.0.8", 15_678)], 1))

    def test_a_paclan_has_to_show_its_id(self) -> None:
        self.foreign.received("10.0.0.9", PING)
        question = self.agent.one()
        self.assertEqual((question.method, question.url), ("HEAD", "http://10.0.0.9:15678/"))
        question.head(X_Paclan_ID="00112233aabbccdd")
        self.assertEqual(self.states(), {"10.0.0.9": "good"})

    def test_what_is_out_of_reach_is_never_asked(self) -> None:
        self.in_reach = False
        self.foreign.received("203.0.113.7", SAID)
        self.foreign.announced(Place(Tool.PACREDIR, "203.0.113.8", 7_078), "pacserve on eve")
        self.assertIsNone(self.foreign.look(NAME, SIZE))
        self.assertEqual(self.agent.take(), [])

    def test_what_is_out_of_reach_is_no_place_to_tell_of(self) -> None:
        self.in_reach = False
        self.foreign.received("203.0.113.7", SAID)
        self.assertEqual(self.states(), {})

    def test_who_says_too_much_is_not_listened_to(self) -> None:
        for port in range(1, 100):
            self.foreign.received("10.0.0.8", b"P http://x:%d/" % port)
        self.assertEqual(self.foreign.counters["datagrams too many"], 99 - BURST)

    def test_a_flood_of_forged_senders_is_bounded(self) -> None:
        for number in range(5_000):
            self.foreign.received(f"10.{number // 256}.1.{number % 256}", SAID)
        self.assertEqual(len(self.states()), MOST_PLACES)
        self.assertLessEqual(len(self.agent.take()), 8)

    def test_what_is_nobodys_is_counted(self) -> None:
        self.foreign.received("10.0.0.8", b"hello")
        self.assertEqual(self.foreign.counters["datagrams of nobody"], 1)


class Named(ForeignTestCase):
    def test_it_is_where_its_name_is_now(self) -> None:
        self.prove_pacredir()
        moved = Place(Tool.PACREDIR, "10.0.0.77", 7_078)
        self.foreign.named("ada", [moved])
        self.agent.one().head()
        self.assertEqual(self.states(), {"10.0.0.77": "good"})

    def test_one_that_mdns_told_of_too_goes_with_the_last_word(self) -> None:
        self.prove_pacredir()
        self.foreign.announced(PACREDIR, "pacserve on ada")
        self.foreign.gone("pacserve on ada")
        self.assertEqual(self.states(), {PACREDIR.address: "good"})


class Asked(ForeignTestCase):
    def test_who_breaks_off_is_left_alone(self) -> None:
        self.prove_pacredir()
        self.foreign.look(NAME, SIZE)
        self.agent.one().head()
        self.assertEqual(self.foreign.holding(NAME, SIZE), [PACREDIR])
        self.foreign.ended(PACREDIR.node, 5, Broken("10.0.0.7", "broke off"))
        self.assertEqual(self.foreign.holding(NAME, SIZE), [])
        [told] = self.foreign.describe(lambda _: "")
        self.assertEqual((told["state"], told["bytes"]), ("failing", 5))
        # Whose fault it is stands beside it wherever that is shown.
        self.assertEqual(told["why"], "broke off")

    def test_one_that_was_dead_is_back_without_anybody_waiting(self) -> None:
        self.prove_pacredir()
        self.foreign.look(NAME, SIZE)
        self.agent.one().refuse()
        self.clock.advance(BAD_FOR)
        self.assertIsNone(self.foreign.look("b-1-1-any.pkg.tar.zst", 1))
        self.agent.one().head(404)
        self.assertIsNotNone(self.foreign.look("c-1-1-any.pkg.tar.zst", 1))
        self.assertEqual(self.agent.one().url, PACREDIR.url("c-1-1-any.pkg.tar.zst"))

    def test_other_links_let_all_be_looked_at_anew(self) -> None:
        self.prove_pacredir()
        self.foreign.look(NAME, SIZE)
        self.agent.one().refuse()
        self.foreign.look_anew()
        self.assertEqual(self.agent.one().url, PACREDIR.root)

    def test_with_nobody_there_nobody_waits(self) -> None:
        self.assertIsNone(self.foreign.look(NAME, SIZE))

    def test_who_lists_what_it_does_not_give_is_left_alone(self) -> None:
        self.prove_pacserve(a=3)
        name = "a-1-1-any.pkg.tar.zst"
        for size in (0, 0, 5, 0, 0):
            self.foreign.ended(PACSERVE.node, size, None)
        self.assertEqual(self.foreign.holding(name, 3), [PACSERVE])
        self.foreign.ended(PACSERVE.node, 0, None)
        self.assertEqual(self.foreign.holding(name, 3), [])
        self.assertEqual(self.states(), {PACSERVE.address: "failing"})

    def test_listings_are_told(self) -> None:
        self.prove_pacserve(a=3, b=4)
        self.assertEqual(
            list(self.foreign.listings()),
            [
                (PACSERVE, "a-1-1-any.pkg.tar.zst", 3),
                (PACSERVE, "b-1-1-any.pkg.tar.zst", 4),
            ],
        )
        root = self.foreign.listing_one("a-1-1-any.pkg.tar.zst")
        self.assertEqual(root, "http://10.0.0.8:15678")
        self.assertIsNone(self.foreign.listing_one(NAME))

    def test_one_in_quarantine_is_said_to_be(self) -> None:
        self.prove_pacredir()
        [told] = self.foreign.describe(lambda address: f"{address} lied")
        self.assertEqual((told["state"], told["why"]), ("quarantine", "10.0.0.7 lied"))


class Face(ForeignTestCase):
    """How pacserves come to know a face of ours, which they then ask."""

    def test_nobody_is_told_of_none(self) -> None:
        self.prove_pacserve()
        self.clock.advance(EVERY_WORD)
        self.assertEqual((self.agent.take(), self.said), ([], []))

    def test_who_is_known_is_nudged_once_it_is_open(self) -> None:
        self.prove_pacserve()
        self.foreign.face(15_678)
        question = self.agent.one()
        self.assertEqual(question.said, {"type": "nudge", "uri": "http://flocon:15678/"})
        question.post(True)
        self.foreign.received(PACSERVE.address, SAID)
        self.assertEqual(self.agent.take(), [])
        self.assertEqual(self.foreign.counters["nudges"], 1)

    def test_who_is_heard_is_nudged_and_again_when_it_may_have_forgotten(self) -> None:
        self.foreign.face(15_678)
        self.prove_pacserve()
        self.agent.one().post(True)
        self.clock.advance(NUDGED_FOR)
        self.foreign.received(PACSERVE.address, SAID)
        self.assertEqual(self.agent.one().said["type"], "nudge")

    def test_the_group_is_told_in_the_words_of_those_who_listen(self) -> None:
        self.foreign.face(15_678)
        self.foreign.received(PACSERVE.address, SAID)
        self.agent.one().post(listing(), server="Pacserve/2021")
        self.turn()
        self.clock.advance(FIRST_WORD)
        self.assertEqual(
            self.said,
            [
                b"ThreadedServers.Pacserve/2013.05.12 http://flocon:15678/",
                b"Pacserve/2021 http://flocon:15678/",
            ],
        )
        self.clock.advance(EVERY_WORD)
        self.assertEqual(len(self.said), 4)

    def test_paclans_are_told_too_and_who_asks_is_answered(self) -> None:
        self.make(identity="ffeeddccbbaa9988")
        self.foreign.face(15_678)
        self.clock.advance(FIRST_WORD)
        told = json.loads(self.said[-1])
        self.assertEqual((told["TYPE"], told["PORT"]), ("PING", "15678"))
        self.assertEqual((told["ID"], told["PEERS"]), ("ffeeddccbbaa9988", []))
        self.assertLessEqual(len(self.said[-1]), 256)
        self.foreign.received("10.0.0.9", PING)
        self.assertEqual(self.answered, [])
        # As soon as it has shown that it is one.
        self.agent.one().head(X_Paclan_ID="00112233aabbccdd")
        [(address, data)] = self.answered
        self.assertEqual((address, json.loads(data)["TYPE"]), ("10.0.0.9", "PONG"))
        self.foreign.received("10.0.0.9", PING)
        self.foreign.received("10.0.0.9", PING.replace(b"PING", b"PONG"))
        self.assertEqual(len(self.answered), 2)

    def test_who_has_not_shown_that_it_is_a_paclan_is_not_answered(self) -> None:
        self.make(identity="ffeeddccbbaa9988")
        self.foreign.face(15_678)
        self.foreign.received("10.0.0.9", PING)
        self.agent.one().head(X_Paclan_ID="another")
        self.foreign.received("10.0.0.9", PING)
        self.assertEqual(self.answered, [])

    def test_a_closed_one_is_told_of_no_more(self) -> None:
        self.foreign.face(15_678)
        self.foreign.face(None)
        self.clock.advance(EVERY_WORD)
        self.assertEqual(self.said, [])

    def test_one_that_nudged_us_becomes_a_place(self) -> None:
        self.foreign.nudged(PACSERVE.address, PACSERVE.port)
        self.assertEqual(self.agent.one().said["type"], "directory listing")
