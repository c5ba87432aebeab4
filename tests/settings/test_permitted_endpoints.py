"""Which endpoints may be set, refused in words."""

from __future__ import annotations

from tests.settings.options_case import OptionsTestCase


class Refusing(OptionsTestCase):
    def test_a_node_that_pacman_could_never_ask(self) -> None:
        self.assertRefused("loopback = []", "loopback", "neither pacman nor", "leave it out")

    def test_an_endpoint_is_refused_in_words_and_not_in_a_parsers(self) -> None:
        self.assertRefused('lan = "tcp:1:interfac=eth0"', "(it takes no interfac=)")
        self.assertRefused('lan = "ssl:443:privateKey=/none"', "(/none: No such file or directory)")
        self.assertRefused('loopback = ["tcp:1", "tcp:1"]', "names 'tcp:1' twice")

    def test_what_systemd_hands_over_need_not_be_there_to_be_named(self) -> None:
        found = self.load('lan = "systemd:domain=INET:index=7"')
        self.assertEqual(found.lan, "systemd:domain=INET:index=7")
