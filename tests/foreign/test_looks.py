"""Whether a place is what it is said to be, and what a pacserve has: beside all else."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from flocon.foreign.answers import LARGEST_LISTING
from flocon.foreign.asking import LISTING_PATIENCE, LONGEST_LISTING_TIME, PATIENCE, Asking
from flocon.foreign.looks import AT_ONCE, BURST, MOST_PREFIXES, RATE, Looks
from flocon.foreign.place import Place
from flocon.foreign.places import LISTING_AGE, MULTICAST, Places
from tests.fakes import FakeResponse
from tests.foreign.machines import PACLAN, PACREDIR, PACSERVE, Agent, Question, listing
from tests.foreign.test_places import numbered


class LooksTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.agent = Agent()
        self.places = Places(lambda *_: True)
        self.read: list[Place] = []
        self.met: list[Place] = []
        asking = Asking(self.clock, self.agent)
        self.looks = Looks(self.clock, self.places, asking, self.read.append)
        self.looks.met = self.met.append
        self.addCleanup(self.assert_nothing_left)

    def assert_nothing_left(self) -> None:
        self.looks.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def look_at(self, place: Place, identity: str = "") -> Question:
        self.places.heard(place, MULTICAST, "", self.clock.seconds(), identity)
        self.looks.look()
        return self.agent.one()

    def askable(self) -> list[Place]:
        return [one.place for one in self.places.askable(self.clock.seconds())]

    def turn(self) -> None:
        for _ in range(100):
            self.clock.advance(0)


class Proofs(LooksTestCase):
    def test_whatever_a_pacredir_answers_proves_that_it_is_there(self) -> None:
        question = self.look_at(PACREDIR)
        self.assertEqual((question.method, question.url), ("HEAD", "http://10.0.0.7:7078/"))
        question.head(404)
        self.assertEqual(self.askable(), [PACREDIR])

    def test_a_paclan_shows_the_id_that_it_told(self) -> None:
        self.look_at(PACLAN, "aa").head(X_Paclan_ID="aa")
        self.assertEqual(self.askable(), [PACLAN])

    def test_a_forged_paclan_is_left_alone(self) -> None:
        self.look_at(PACLAN, "aa").head(X_Paclan_ID="bb")
        self.looks.look()
        self.assertEqual((self.askable(), self.agent.take()), ([], []))

    def test_one_that_tells_no_id_is_none(self) -> None:
        self.look_at(PACLAN, "aa").head()
        self.assertEqual(self.askable(), [])

    def test_who_is_silent_is_left_alone(self) -> None:
        self.look_at(PACREDIR)
        self.clock.advance(PATIENCE)
        self.looks.look()
        self.assertEqual((self.askable(), self.agent.take()), ([], []))


class Listings(LooksTestCase):
    def test_a_pacserves_is_read(self) -> None:
        question = self.look_at(PACSERVE)
        self.assertEqual(question.said, {"type": "directory listing", "path": "pkg", "hops": 0})
        question.post(listing(a=3, b=4))
        self.turn()
        now = self.clock.seconds()
        self.assertEqual(self.places.listing("b-1-1-any.pkg.tar.zst", 4, now), [PACSERVE])
        self.assertEqual((self.askable(), self.read, self.met), ([PACSERVE],) * 3)

    def test_it_is_read_again_once_it_is_old(self) -> None:
        self.look_at(PACSERVE).post(listing(a=3))
        self.turn()
        self.looks.look()
        self.assertEqual(self.agent.take(), [])
        self.clock.advance(LISTING_AGE)
        self.looks.look()
        self.agent.one().post(listing(b=3))
        self.turn()
        self.assertEqual(self.places.listing("a-1-1-any.pkg.tar.zst", 3, LISTING_AGE), [])

    def test_one_that_gives_none_is_a_pacserve_all_the_same(self) -> None:
        self.look_at(PACSERVE).post(None)
        self.turn()
        self.assertEqual(self.askable(), [PACSERVE])

    def test_one_that_is_too_large_is_no_pacserves(self) -> None:
        response = self.look_at(PACSERVE).post(b" " * (LARGEST_LISTING + 1))
        self.assertTrue(response.left)
        self.assertEqual(self.askable(), [])

    def test_one_that_drips_ends(self) -> None:
        question = self.look_at(PACSERVE)
        response = FakeResponse(200, Headers())
        question.deferred.callback(response)
        for _ in range(int(LONGEST_LISTING_TIME)):
            response.send(b" ")
            self.clock.advance(1)
        self.assertTrue(response.left)
        self.assertEqual(self.askable(), [])

    def test_one_that_does_not_come_ends(self) -> None:
        self.look_at(PACSERVE)
        self.clock.advance(LISTING_PATIENCE)
        self.assertEqual(self.askable(), [])

    def test_its_name_is_learnt_for_datagrams_of_ours(self) -> None:
        for number in range(2 * MOST_PREFIXES):
            place = Place(PACSERVE.tool, PACSERVE.address, number + 1)
            self.places = self.looks._places = Places(lambda *_: True)
            self.looks._asking = Asking(self.clock, self.agent)
            self.look_at(place).post({}, server=f"Pacserve/{number}")
            self.turn()
        self.assertEqual(len(self.looks.prefixes), MOST_PREFIXES)
        self.assertIn(f"Pacserve/{2 * MOST_PREFIXES - 1}", self.looks.prefixes)


class Bounds(LooksTestCase):
    def test_few_are_looked_at_at_a_time(self) -> None:
        for number in range(30):
            self.places.heard(numbered(number), MULTICAST, "", 0)
        self.looks.look()
        asked = self.agent.take()
        self.assertEqual(len(asked), AT_ONCE)
        asked[0].refuse()
        self.assertEqual(len(self.agent.take()), 1)

    def test_a_flood_of_forged_places_is_looked_at_slowly(self) -> None:
        asked = 0
        for number in range(2_000):
            self.places.heard(numbered(number), MULTICAST, "", self.clock.seconds())
            self.looks.look()
            for question in self.agent.take():
                asked += 1
                question.refuse()
            self.clock.advance(0.01)
        self.assertLessEqual(asked, BURST + RATE * 20 + 1)
        self.assertGreater(asked, BURST)
