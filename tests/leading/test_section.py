"""A repository's own section is put into pacman.conf, and taken out again to the byte."""

from __future__ import annotations

from unittest import skipUnless

from hypothesis import given
from hypothesis import strategies as st

from flocon.errors import ConfigurationError
from flocon.leading import pacman_conf, section, setup
from flocon.leading.node_lines import Method
from tests.leading.setup_case import HAS_PACMAN, NEEDS_PACMAN, PORT, Case

CONF = b"[options]\nArchitecture = auto\n\n[core]\nServer = http://m/$repo/os/$arch\n"


class SectionCase(Case):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.write({"pacman.conf": CONF})

    def put_in(self, name: str = "home", *, dry_run: bool = False) -> section.Change:
        return section.put_in(self.path, name, port=PORT, dry_run=dry_run)

    def take_out(self, name: str = "home") -> section.Change:
        return section.take_out(self.path, name, port=PORT, dry_run=False)


class PutInTests(SectionCase):
    def test_it_comes_last_and_demands_signatures(self) -> None:
        change = self.put_in()
        expected = (
            "\n[home]\nSigLevel = Required TrustedOnly\n"
            f"Server = http://localhost:{PORT}/$repo/os/$arch\n"
        )
        self.assertEqual(self.path.read_bytes(), CONF + expected.encode())
        self.assertIn("+[home]", change.diff)

    def test_twice_is_once(self) -> None:
        self.put_in()
        self.assertFalse(self.put_in())
        self.assertEqual(self.path.read_bytes().count(b"[home]"), 1)

    def test_trying_it_out_writes_nothing(self) -> None:
        self.assertTrue(self.put_in(dry_run=True))
        self.assertEqual(self.path.read_bytes(), CONF)
        self.assertEqual([one.name for one in self.etc.iterdir()], ["pacman.conf"])

    def test_a_section_of_somebody_elses_stays(self) -> None:
        text = CONF + b"[home]\nServer = http://other/\n"
        self.path.write_bytes(text)
        said = self.refusal(self.put_in)
        self.assertIn("[home]", said)
        self.assertIn("line 6", said)
        self.assertEqual(self.path.read_bytes(), text)

    def test_one_that_is_included_counts_as_well(self) -> None:
        self.write({"more": b"[home]\nServer = http://other/\n"})
        self.path.write_bytes(CONF + f"Include = {self.etc}/more\n".encode())
        self.assertIn("more", self.refusal(self.put_in))

    def test_a_file_that_ends_without_a_newline_is_left(self) -> None:
        self.path.write_bytes(CONF[:-1])
        self.assertIn("newline", self.refusal(self.put_in))
        self.assertEqual(self.path.read_bytes(), CONF[:-1])

    @skipUnless(HAS_PACMAN, NEEDS_PACMAN)
    def test_what_pacman_cannot_read_is_put_back(self) -> None:
        text = CONF + b"[bad\xff]\nNonsense\nInclude\n"
        self.path.write_bytes(text)
        self.assertRaises(ConfigurationError, self.put_in)
        self.assertEqual(self.path.read_bytes(), text)


class OrderTests(SectionCase):
    """Whoever moves it in front has its packages come before Arch's."""

    def test_those_of_arch_that_stand_behind_it_are_named(self) -> None:
        self.put_in()
        self.assertEqual(pacman_conf.behind(section.repositories_of(self.path), "home"), [])
        moved = CONF.replace(b"[core]", section.section("home", PORT)[1:] + b"\n[core]")
        self.path.write_bytes(moved + b"\n[others]\nServer = http://m/\n")
        self.assertFalse(self.put_in())
        self.assertEqual(pacman_conf.behind(section.repositories_of(self.path), "home"), ["core"])
        self.assertEqual(pacman_conf.behind(["core", "extra"], "home"), [])


class PortTests(SectionCase):
    def test_one_that_leads_to_another_port_is_told_apart_from_somebody_elses(self) -> None:
        section.put_in(self.path, "home", port=1_234, dry_run=False)
        text = self.path.read_bytes()
        for action in (self.put_in, self.take_out):
            said = self.refusal(action)
            self.assertIn("leads to port 1234", said)
            self.assertIn("--undo --port 1234", said)
        self.assertEqual(self.path.read_bytes(), text)


class TakeOutTests(SectionCase):
    @given(st.sampled_from(["", "# more\n", "\n[extra]\nServer = http://m/\n"]))
    def test_it_goes_to_the_byte_whatever_came_behind_it(self, more: str) -> None:
        self.path.write_bytes(CONF)
        self.put_in()
        with self.path.open("ab") as file:
            file.write(more.encode())
        self.assertTrue(self.take_out())
        self.assertEqual(self.path.read_bytes(), CONF + more.encode())

    def test_without_one_nothing_is_changed(self) -> None:
        self.assertFalse(self.take_out())

    def test_one_that_was_changed_is_left_to_its_changer(self) -> None:
        self.put_in()
        text = self.path.read_bytes().replace(b"Required", b"Optional")
        self.path.write_bytes(text)
        self.assertIn("by hand", self.refusal(self.take_out))
        self.assertEqual(self.path.read_bytes(), text)

    def test_it_stands_beside_a_set_up(self) -> None:
        setup.set_up(self.path, port=PORT, method=Method.SERVER, dry_run=False)
        led = self.path.read_bytes()
        self.put_in()
        setup.set_up(self.path, port=PORT, method=Method.SERVER, dry_run=False)
        self.take_out()
        self.assertEqual(self.path.read_bytes(), led)
        self.put_in()
        setup.undo(self.path, dry_run=False)
        self.take_out()
        self.assertEqual(self.path.read_bytes(), CONF)
