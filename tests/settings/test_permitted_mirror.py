"""What the settings of the mirror for the LAN may be."""

from __future__ import annotations

from flocon.settings.permitted_mirror import MOST_FOLDERS
from flocon.settings.settings import Mirror
from tests.settings.options_case import OptionsTestCase


class Mirrors(OptionsTestCase):
    def mirror(self, line: str) -> Mirror:
        return self.load(f"[mirror]\n{line}").mirror

    def test_a_length_of_time_is_a_number_with_a_unit(self) -> None:
        for said, seconds in (
            ('"0s"', 0),
            ("0", 0),
            ('"90s"', 90),
            ('"15m"', 900),
            ('"6 h"', 21_600),
            ('"30d"', 2_592_000),
            ('"2w"', 1_209_600),
        ):
            self.assertEqual(self.mirror(f"max_age = {said}").max_age, seconds)

    def test_what_is_no_length_of_time_is_refused(self) -> None:
        for said in ('"soon"', '"-1h"', "30", "1.5", "false", '"1h30m"', '"9999999d"', "[]"):
            self.assertRefused(
                f"[mirror]\nunused = {said}", "mirror.unused", "is not a length of time", '"30d"'
            )

    def test_it_is_refreshed_after_a_time_at_times_of_day_or_by_hand(self) -> None:
        self.assertEqual(self.mirror('refresh = "30m"').refresh, 1_800)
        self.assertEqual(
            self.mirror('refresh = ["18:30", "06:00", "06:00"]').refresh, ("06:00", "18:30")
        )
        self.assertEqual(self.mirror('refresh = "off"').refresh, ())

    def test_no_mirror_is_asked_more_often_than_is_polite(self) -> None:
        for said in ('"59s"', "0"):
            self.assertRefused(f"[mirror]\nrefresh = {said}", "mirror.refresh", "too often")

    def test_a_time_of_day_is_one_of_this_day(self) -> None:
        for said in ("24:00", "6:00", "12:60", "noon"):
            self.assertRefused(
                f'[mirror]\nrefresh = ["{said}"]', "mirror.refresh", "not a time of day", "06:00"
            )

    def test_a_layout_names_an_architecture_and_at_most_one_repository(self) -> None:
        for said, meant in (
            ("$repo/os/$arch", "$repo/os/$arch"),
            ("/$arch/$repo/", "$arch/$repo"),
            ("$arch", "$arch"),
        ):
            found = self.mirror(f'paths = {{ one = "{said}" }}').paths
            self.assertEqual(found, {"one": meant})

    def test_what_is_no_layout_is_refused(self) -> None:
        for said in (
            "$repo",
            "$repo/$repo/$arch",
            "$arch/$arch",
            "../$arch",
            "$repo//$arch",
            "x$repo/$arch",
            "$repo/$other/$arch",
            "a b/$arch",
            f"{'x/' * MOST_FOLDERS}$arch",
        ):
            self.assertRefused(
                f'[mirror]\npaths = {{ one = "{said}" }}', "mirror.paths.one", "is no layout"
            )

    def test_a_name_in_a_path_is_one_part_of_it(self) -> None:
        self.assertRefused(
            '[mirror]\npaths = { "a/b" = "$arch" }', "mirror.paths", "cannot stand in a path"
        )

    def test_a_name_in_a_path_is_not_that_of_our_own_paths(self) -> None:
        self.assertRefused('[mirror]\npaths = { os = "$arch" }', "mirror.paths", "another name")

    def test_an_architecture_is_one_of_machines(self) -> None:
        self.assertEqual(self.mirror('architectures = ["aarch64"]').architectures, ("aarch64",))
        for said in ("auto", "any", "x86 64"):
            self.assertRefused(
                f'[mirror]\narchitectures = ["{said}"]',
                "mirror.architectures",
                "not an arch",
                "x86_64",
            )

    def test_upstream_has_servers_by_architecture(self) -> None:
        found = self.mirror('upstream = { aarch64 = ["http://arm.example/$arch/$repo"] }')
        self.assertEqual(found.upstream, {"aarch64": ("http://arm.example/$arch/$repo",)})
        self.assertRefused("[mirror]\nupstream = []", "mirror.upstream", "is a table")
        self.assertRefused(
            '[mirror]\nupstream = { "a-b" = [] }', "mirror.upstream", "is not an architecture"
        )
        self.assertRefused(
            '[mirror]\nupstream = { aarch64 = ["arm.example"] }',
            "mirror.upstream.aarch64",
            "is not a mirror's address",
        )
        self.assertRefused(
            '[mirror]\nupstream = { aarch64 = ["http://arm.example/core/os/$arch"] }',
            "mirror.upstream.aarch64",
            "has no $repo",
        )

    def test_a_table_of_the_operators_names_is_bounded(self) -> None:
        names = ", ".join(f'n{number} = "$arch"' for number in range(65))
        self.assertRefused(f"[mirror]\npaths = {{ {names} }}", "mirror.paths", "more than 64 names")

    def test_an_archive_has_a_date(self) -> None:
        self.assertEqual(self.mirror('archive = ""').archive, "")
        self.assertRefused(
            '[mirror]\narchive = "https://h/$repo/os/$arch"', "mirror.archive", "has no $date"
        )

    def test_wrong_kinds_are_named(self) -> None:
        for text, key in {
            "serve = 1": "serve",
            'listen = "tcp:1"': "listen",
            'listen = ["19434"]': "listen",
            'networks = ["eth0"]': "networks",
            'repositories = ["[ours]"]': "repositories",
            'architectures = ["x86-64"]': "architectures",
            'publish = "later"': "publish",
            'pins = ["a package"]': "pins",
            "keep = -1": "keep",
            "keep = 101": "keep",
            "archive = 1": "archive",
            "mirrors = []": "mirrors",
        }.items():
            self.assertRefused(f"[mirror]\n{text}", f"mirror.{key}")
