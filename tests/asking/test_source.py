"""How what a source sends came, by what kind of source it is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.asking.source import Came, Origin, Source


class HowItCame(SynchronousTestCase):
    def came(self, url: str, *, is_cache: bool) -> Came:
        return Source(Origin.MIRROR, "k", "l", url, is_cache=is_cache).came

    def test_a_cache_server_is_a_holder_on_the_lan(self) -> None:
        for host in ("nas", "nas.local:8080", "192.168.1.2", "[fe80::1]", "[fd00::2]:80"):
            self.assertIs(self.came(f"http://{host}/x", is_cache=True), Came.PEER)

    def test_one_with_a_public_address_is_across_the_wan(self) -> None:
        for host in ("8.8.8.8", "[2a00:1450:4001::1]:80"):
            self.assertIs(self.came(f"http://{host}/x", is_cache=True), Came.MIRROR)

    def test_a_mirror_is_one_wherever_it_stands(self) -> None:
        self.assertIs(self.came("http://192.168.1.2/x", is_cache=False), Came.MIRROR)

    def test_peers_tell_what_they_held_from_what_they_fetched(self) -> None:
        for relayed, came in ((False, Came.PEER), (True, Came.OWNER)):
            peer = Source(Origin.PEER, "a", "a", "http://a/x", relayed=relayed)
            self.assertIs(peer.came, came)

    def test_another_tools_machine_holds_as_a_peer_does_and_is_called_by_its_tool(self) -> None:
        source = Source(Origin.PEER, "10.0.0.7", "10.0.0.7", "http://a/x", tool="pacredir")
        self.assertIs(source.came, Came.PEER)
        self.assertEqual(str(source), "pacredir at 10.0.0.7")
