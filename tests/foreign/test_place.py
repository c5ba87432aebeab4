"""Where another tool's machine has a file."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.foreign.place import Place, Tool, named_by


class Places(SynchronousTestCase):
    def test_names_stand_raw_in_its_urls(self) -> None:
        place = Place(Tool.PACREDIR, "10.0.0.7", 7_078)
        self.assertEqual(
            place.url("gtk++-1:2-1-any.pkg.tar.zst"),
            "http://10.0.0.7:7078/pkg/gtk++-1:2-1-any.pkg.tar.zst",
        )

    def test_ipv6_has_brackets_and_its_zone_escaped(self) -> None:
        place = Place(Tool.PACSERVE, "fe80::1%eth0", 15_678)
        self.assertEqual(place.root, "http://[fe80::1%25eth0]:15678/")

    def test_it_is_called_as_a_person_knows_it(self) -> None:
        self.assertEqual(str(Place(Tool.PACLAN, "10.0.0.7", 1)), "paclan at 10.0.0.7")


class Named(SynchronousTestCase):
    def test_an_address_is_read_with_its_port_and_path(self) -> None:
        self.assertEqual(named_by("http://10.0.0.7:1/pkg/a"), ("10.0.0.7", 1, "/pkg/a"))
        self.assertEqual(named_by("http://[fd00::7]/a"), ("fd00::7", 8_000, "/a"))

    def test_what_leads_elsewhere_is_not_read(self) -> None:
        for url in (
            "http://name:1/pkg/a",
            "https://10.0.0.7:1/pkg/a",
            "http://u@10.0.0.7:1/pkg/a",
            "http://10.0.0.7:0/a",
            "http://10.0.0.7:99999/a",
            "http://[fd00::7/a",
            "file:///etc/passwd",
            "",
        ):
            self.assertIsNone(named_by(url), url)
