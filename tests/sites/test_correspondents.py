"""Who is greeted, met, and known to be there."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.sites.correspondents import (
    GREETINGS_RATE,
    LONGEST_GREETING,
    MOST_FOUND,
    MOST_MET,
    MOST_NAMED,
    MOST_WRITERS,
    Correspondents,
    Place,
    Ports,
)

NAS: Place = ("10.9.0.1", 19432)
ADA: Place = ("10.9.0.2", 19432)
NODE = "a" * 16


class CorrespondentsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ones = Correspondents()

    def greeted(self, seconds: int) -> list[int]:
        """Return in which seconds somebody is greeted."""
        return [now for now in range(seconds) if self.ones.due(now)]

    def test_one_that_is_named_is_greeted_until_it_is_there(self) -> None:
        self.ones.resolved(0, {"nas": [NAS]})
        self.assertEqual(self.greeted(50), [0, 1, 3, 7, 15, 30, 45])
        self.ones.proved(NAS[0], NODE)
        self.assertEqual((self.greeted(100), self.ones.deadline()), ([], None))

    def test_by_ipv6_it_asks_from_passing_addresses_of_its_link(self) -> None:
        self.ones.resolved(0, {"nas": [NAS], "ada": [("fd09::1", 1)]})
        asking = ["fd09::1", "fd09::a:b:c:d", "fd09:0:0:1::1", "fd08::1", NAS[0], "10.9.0.3"]
        let_in = [one for one in asking if self.ones.has_beside(one)]
        self.assertEqual(let_in, ["fd09::1", "fd09::a:b:c:d", NAS[0]])
        self.assertNotIn("fd09::a:b:c:d", self.ones)

    def test_behind_one_address_there_may_be_several_by_their_ports(self) -> None:
        router = "10.9.0.254"
        self.ones.resolved(0, {"ada": [(router, 1)], "nas": [(router, 2)]})
        first, second = self.ones.at(router)
        for _ in range(3):
            self.ones.proved(router, "a" * 16, 1)
            self.ones.proved(router, "b" * 16, 2)
        self.assertEqual((first.node, second.node), ("a" * 16, "b" * 16))
        self.assertEqual(self.ones.proved(router, "a" * 16, 1), [])
        self.ones.gone(9, "b" * 16)
        self.assertEqual(self.ones.there(), [first])

    def test_of_several_one_that_writes_from_another_port_is_who_is_not_known(self) -> None:
        router = "10.9.0.254"
        self.ones.resolved(0, {"ada": [(router, 1)], "nas": [(router, 2)]})
        first, second = self.ones.at(router)
        self.ones.proved(router, "a" * 16, 1)
        self.ones.proved(router, "b" * 16, 55_555)
        self.assertEqual((first.node, second.node), ("a" * 16, "b" * 16))

    def test_once_it_is_gone_it_is_greeted_again(self) -> None:
        self.ones.resolved(0, {"nas": [NAS]})
        self.ones.proved(NAS[0], NODE)
        self.ones.gone(10, NODE)
        self.assertEqual(self.ones.deadline(), 11)
        self.assertEqual(self.ones.there(), [])

    def test_very_many_are_greeted_more_seldom(self) -> None:
        self.ones.resolved(0, {str(n): [(f"10.9.1.{n}", 1)] for n in range(200)})
        greetings = sum(len(self.ones.due(now / 10)) for now in range(100))
        self.assertLessEqual(greetings, 200 + 10 * GREETINGS_RATE)

    def test_after_a_change_of_networks_all_that_are_not_there_are_greeted_at_once(self) -> None:
        self.ones.resolved(0, {"nas": [NAS], "ada": [ADA]})
        self.greeted(60)
        self.ones.proved(ADA[0], NODE)
        self.ones.greet(61)
        self.assertEqual(self.ones.due(61), [NAS])
        self.assertLess(self.ones.at(NAS[0])[0].pause, LONGEST_GREETING)

    def test_a_name_that_leads_elsewhere_is_greeted_there_and_not_where_it_led(self) -> None:
        self.ones.resolved(0, {"nas": [NAS]})
        self.ones.proved(NAS[0], NODE)
        self.ones.resolved(5, {"nas": [ADA]})
        self.assertEqual(self.ones.due(5), [ADA])
        self.assertNotIn(NAS[0], self.ones)

    def test_two_names_of_one_place_are_one(self) -> None:
        self.ones.resolved(0, {"nas": [NAS], "nas.lan": [NAS]})
        self.assertEqual((len(self.ones), self.ones.due(0)), (1, [NAS]))
        self.ones.resolved(1, {"nas.lan": [NAS]})
        self.assertEqual(len(self.ones), 1)

    def test_one_that_is_met_is_forgotten_once_it_is_gone(self) -> None:
        for _ in range(2):
            self.ones.meet(0, NAS, NODE)
        self.ones.proved(NAS[0], NODE)
        self.ones.gone(10, NODE)
        self.assertEqual((len(self.ones), self.ones.deadline()), (0, None))

    def test_one_that_is_met_is_told_where_it_writes_from_now_and_moves_seldom(self) -> None:
        address, other = NAS[0], "b" * 16
        self.ones.meet(0, (address, 1), NODE)
        self.ones.proved(address, NODE, 1)
        self.assertEqual(self.ones.meet(5, NAS, NODE), (address, 1))
        self.assertEqual(len(self.ones.proved(address, NODE, NAS[1])), 1)
        for port in range(2, 50):
            self.assertIsNone(self.ones.meet(6, (address, port), NODE))
        self.assertEqual([one.place for one in self.ones.there()], [NAS])
        # Another one behind this address is another one.
        self.ones.meet(7, (address, 9), other)
        self.ones.proved(address, other, 9)
        self.assertEqual([one.node for one in self.ones.there()], [NODE, other])

    def test_one_that_is_named_is_told_where_it_is_named(self) -> None:
        self.ones.resolved(0, {"nas": [NAS]})
        self.ones.meet(1, (NAS[0], 9), NODE)
        self.ones.proved(NAS[0], NODE, 9)
        self.ones.meet(100, (NAS[0], 10), NODE)
        self.assertEqual([one.place for one in self.ones.there()], [NAS])

    def test_one_that_was_found_is_greeted_for_as_long_as_it_is_announced(self) -> None:
        self.ones.find(0, NAS)
        self.assertEqual(self.ones.due(0), [NAS])
        self.ones.keep_found({ADA[0]})
        self.assertEqual(len(self.ones), 0)

    def test_one_that_is_there_is_told_who_it_is_once(self) -> None:
        self.ones.resolved(0, {"nas": [NAS]})
        self.assertEqual(len(self.ones.proved(NAS[0], NODE)), 1)
        self.assertEqual(self.ones.proved(NAS[0], NODE), [])
        self.assertEqual(self.ones.nodes(), {NODE})

    def test_they_are_bounded(self) -> None:
        self.ones.resolved(0, {"all": [(f"10.8.{n >> 8}.{n & 255}", 1) for n in range(1_000)]})
        for number in range(1_000):
            self.ones.meet(0, (f"10.9.{number >> 8}.{number & 255}", 1), NODE)
            self.ones.find(0, (f"10.10.{number >> 8}.{number & 255}", 1))
        self.assertEqual(len(self.ones), MOST_NAMED + MOST_MET + MOST_FOUND)


class PortsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ports = Ports(NAS[1])

    def test_the_usual_one_counts_before_all_others(self) -> None:
        self.assertIsNone(self.ports.of(NAS[0], NODE))
        for port, wanted in ((53, 53), (1_024, 1_024), (NAS[1], NAS[1]), (53, NAS[1])):
            self.ports.note(0, (NAS[0], port), NODE)
            self.assertEqual(self.ports.of(NAS[0], NODE), wanted)
        self.ports.note(0, (NAS[0], 55_555), "b" * 16)
        self.assertEqual(self.ports.of(NAS[0], "b" * 16), 55_555)

    def test_they_are_bounded(self) -> None:
        for number in range(2 * MOST_WRITERS):
            self.ports.note(0, (NAS[0], number + 1), f"{number:016x}")
        self.assertEqual(len(self.ports), MOST_WRITERS)
