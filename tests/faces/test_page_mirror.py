"""What the page and ``/metrics`` show of a mirror for the LAN."""

from __future__ import annotations

from typing import Any

from flocon.faces.page import moment
from flocon.mirrors import telling
from tests.faces.test_page import PageTestCase, figures
from tests.mirrors.told import NOW, clearing, clients, snapshot, state, told


class TheMirror(PageTestCase):
    def mirror(self, **changed: Any) -> str:
        self.status["mirror"] = told(**changed)
        return self.page().text

    def test_a_node_that_is_none_shows_nothing_of_it(self) -> None:
        found = self.page()
        [section] = [one for one in found.all("section") if one.get("id") == "mirror"]
        self.assertIn("hidden", section)
        self.assertNotIn("Clients", found.text)

    def test_the_state_that_clients_get_is_shown_and_what_comes_next(self) -> None:
        missing = {"packages": 9, "bytes": 5 << 20, "files": ["linux", "<b>"]}
        text = self.mirror(waiting=state(), missing=missing)
        self.assertIn(f"the state of {moment(state()['of'])} from mirror.example", text)
        self.assertIn("in use is the latest", text)
        self.assertIn("9 packages, 5.0 MiB, not here yet: linux, <b> and more", text)

    def test_a_snapshot_in_use_is_shown_by_name_and_till_when(self) -> None:
        text = self.mirror(policy="may", until=NOW, snapshots=[snapshot("may", in_use=True)])
        self.assertIn(f"in use is may until {moment(NOW)}", text)

    def test_clients_are_shown_with_what_they_saved(self) -> None:
        text = self.mirror(clients=clients(("10.0.0.2", 5 << 20, 1 << 20)))
        self.assertIn("1 took 5.0 MiB; 4.0 MiB of it needed no WAN", text)
        self.assertIn("10.0.0.2", text)

    def test_a_failure_is_shown(self) -> None:
        text = self.mirror(published=None, refreshed=0, problem="no mirror answers\x1b")
        self.assertIn("no mirror answers\\x1b", text)
        self.assertIn("Clients are given nothing yet", text)


class Metrics(PageTestCase):
    def lines(self) -> list[str]:
        return self.browser.get("/metrics").body.decode().splitlines()

    def test_a_node_that_is_no_mirror_tells_nothing_of_one(self) -> None:
        self.assertFalse([line for line in self.lines() if "flocon_mirror" in line])

    def test_each_figure_of_a_mirror_is_told(self) -> None:
        whole = told(clients=clients(("10.0.0.2", 9, 1)), clearing=clearing(1, 9))
        of = telling.figures(whole)
        self.figures = figures(mirror=of)
        lines = self.lines()
        self.assertIn("flocon_mirror_client_bytes_total 9.0", lines)
        self.assertIn("flocon_mirror_protected_bytes 1.0", lines)
        kinds = [line for line in lines if line.startswith("# TYPE flocon_mirror_")]
        self.assertEqual(len(kinds), len(of))
