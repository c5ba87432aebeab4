"""Who asked without a node, within bounds, and what it saved."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.mirrors.clients import Clients


class Counting(SynchronousTestCase):
    def test_each_has_its_own_count_and_all_have_theirs(self) -> None:
        clients = Clients()
        clients.asked("a", 10.0, package=True)
        clients.sent("a", 100, 11.0)
        clients.fetched("a", 30, 12.0)
        clients.asked("b", 20.0, package=False)
        clients.sent("b", 5, 20.0)
        told = clients.describe()
        self.assertEqual([one["address"] for one in told["latest"]], ["b", "a"])
        self.assertEqual(told["latest"][1]["saved_bytes"], 70)
        self.assertEqual((told["requests"], told["packages"], told["sent_bytes"]), (2, 1, 105))
        self.assertEqual(told["known"], 2)

    def test_nobody_has_saved_less_than_nothing(self) -> None:
        clients = Clients()
        clients.fetched("a", 30, 12.0)
        self.assertEqual(clients.describe()["saved_bytes"], 0)

    def test_who_has_not_asked_for_the_longest_is_forgotten(self) -> None:
        clients = Clients(most=2)
        for address in ("a", "b", "a", "c"):
            clients.asked(address, 1.0, package=False)
        self.assertEqual([one.address for one in clients], ["c", "a"])
        self.assertEqual(clients.all.requests, 4)

    def test_what_was_refused_is_told_by_its_reason(self) -> None:
        clients = Clients()
        self.assertEqual(clients.describe()["refused"], {})
        clients.refusals = lambda: {"refused 404": 3}
        self.assertEqual(clients.describe()["refused"], {"refused 404": 3})

    def test_no_more_are_told_of_than_wanted(self) -> None:
        clients = Clients()
        for number in range(9):
            clients.asked(str(number), float(number), package=False)
        latest = clients.describe(most=3)["latest"]
        self.assertEqual([one["address"] for one in latest], ["8", "7", "6"])
