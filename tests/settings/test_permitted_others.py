"""What names other machines in flocon.toml."""

from __future__ import annotations

from flocon.settings.permitted_others import place
from flocon.settings.settings import Parent
from tests.settings.options_case import OptionsTestCase


class StaticTests(OptionsTestCase):
    def test_hosts_addresses_and_domains_name_nodes(self) -> None:
        said = [
            "nas",
            "nas.example.org:19440",
            "10.1.0.5",
            "fd00::5",
            "[fd00::5]:19432",
            "srv:lan.org",
        ]
        found = self.load(f"[peers]\nstatic = {said}").peers.static
        self.assertEqual(found, tuple(said))

    def test_what_names_no_node_is_refused(self) -> None:
        for said in (
            "",
            "a b",
            "host:0",
            "host:65536",
            "fd00::g",
            "[10.1.1.1]:5",
            "1.2.3",
            "srv:",
            "http://h/",
        ):
            self.assertRefused(f'[peers]\nstatic = ["{said}"]', "peers.static")

    def test_a_place_is_taken_apart(self) -> None:
        self.assertEqual(place("[fd00::5]:19"), ("fd00::5", 19))
        self.assertEqual(place("fd00::5"), ("fd00::5", None))
        self.assertEqual(place("nas:19"), ("nas", 19))


class ParentTests(OptionsTestCase):
    def test_tables_and_plain_addresses_name_parents(self) -> None:
        url = "http://nas:9129/repo/archlinux/$repo/os/$arch"
        self.assertEqual(self.load(f'parents = ["{url}"]').parents, (Parent(url),))
        table = f'[[parents]]\nurl = "{url}"\nkind = "pacoloco"'
        self.assertEqual(self.load(table).parents, (Parent(url, "pacoloco"),))

    def test_a_wrong_key_kind_or_address_is_named(self) -> None:
        self.assertRefused('[[parents]]\nkind = "flexo"', "parents", "has no url")
        self.assertRefused('[[parents]]\nurl = "nas"', "parents.url")
        self.assertRefused('[[parents]]\nurl = "http://h/$repo"\nkind = "squid"', "parents.kind")
        self.assertRefused('[[parents]]\nuri = "http://h/$repo"', "parents.uri", "kind, url")
        self.assertRefused('parents = "http://h/$repo"', "parents", "[[parents]]")
        self.assertRefused('parents = ["nas:9129"]', "parents.url", "http://HOST:9129/repo/NAME/")

    def test_the_root_of_a_tool_that_has_a_path_for_each_repository_is_refused(self) -> None:
        self.assertRefused('parents = ["http://nas:9129/"]', "parents.url", ":9129/$repo/os/$arch")
        self.assertRefused('[[parents]]\nurl = "http://h"\nkind = "flexo"', "parents.url", "$repo")
        for flat in (
            'parents = ["http://h/"]',
            '[[parents]]\nurl = "http://h:7878"\nkind = "proxy"',
        ):
            self.assertEqual(len(self.load(flat).parents), 1)


class ForeignTests(OptionsTestCase):
    def test_hosts_and_addresses_name_machines(self) -> None:
        said = ["pc", "pc:7078", "http://pc:15678/"]
        self.assertEqual(self.load(f"[foreign]\nhosts = {said}").foreign.hosts, tuple(said))

    def test_what_is_no_machine_is_refused(self) -> None:
        for said in ("ftp://pc/", "http://", "a b", "http://p c/", "https://pc:15678/"):
            self.assertRefused(f'[foreign]\nhosts = ["{said}"]', "foreign.hosts")
