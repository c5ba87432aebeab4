"""Which repositories are mirrored, and from where what others ask for comes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.files import Asked, parse_file_name, parse_parts
from flocon.mirrors.repositories import Repositories
from flocon.pacman.configuration import PacmanConfiguration, Repository, SignatureLevel
from flocon.settings.settings import Mirror as MirrorSettings
from flocon.states.generation import Where

UPSTREAM = "http://arm/$arch/$repo"


class RepositoriesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.settings = MirrorSettings(
            serve=True,
            repositories=("extra", "core", "alarm"),
            architectures=("x86_64", "aarch64"),
            upstream={"aarch64": (UPSTREAM,)},
        )
        self.configuration = PacmanConfiguration(
            repositories=tuple(
                Repository(
                    name,
                    (f"http://one/{name}",),
                    database_signature=SignatureLevel.REQUIRED,
                )
                for name in ("core", "extra")
            ),
            architectures=("x86_64",),
            general_servers=("http://one/$repo/os/$arch",),
        )
        self.repositories = Repositories(lambda: self.settings, lambda: self.configuration)

    def servers(self, repository: str, architecture: str) -> tuple[str, ...]:
        asked = parse_parts(repository, architecture, "a-1-1-any.pkg.tar.zst")
        assert asked is not None
        return self.repositories.servers(asked)

    def test_each_is_named_once_in_the_order_that_is_set(self) -> None:
        self.assertEqual(self.repositories.order(), ["extra", "core", "alarm"])

    def test_pacmans_own_are_not_asked_for_as_those_of_others(self) -> None:
        self.assertEqual(self.servers("core", "x86_64"), ())

    def test_those_of_other_machines_come_from_what_is_named_for_them(self) -> None:
        self.assertEqual(self.servers("core", "aarch64"), ("http://arm/aarch64/core",))

    def test_one_that_pacman_has_not_comes_from_the_servers_for_all(self) -> None:
        self.assertEqual(self.servers("alarm", "x86_64"), ("http://one/alarm/os/x86_64",))

    def test_a_path_without_a_repository_has_none(self) -> None:
        file = parse_file_name("a-1-1-any.pkg.tar.zst")
        assert file is not None
        self.assertEqual(self.repositories.servers(Asked("", "", file)), ())

    def test_a_signature_is_demanded_where_this_pacman_demands_it(self) -> None:
        levels = {
            where: self.repositories.signature_level(where)
            for where in (Where("x86_64", "core"), Where("aarch64", "core"))
        }
        self.assertEqual(list(levels.values()), [SignatureLevel.REQUIRED, SignatureLevel.OPTIONAL])
