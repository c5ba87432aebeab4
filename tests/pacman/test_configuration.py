"""Which servers stand for a repository."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman.answers import configuration_from_mirrors
from flocon.pacman.configuration import PacmanConfiguration, Repository, servers_for


class Serving(SynchronousTestCase):
    def test_mirrors_serve_every_repository_where_there_is_no_pacman(self) -> None:
        mirrors = ("https://m/$repo/os/$arch", "http://localhost:19433/$repo", "rsync://x")
        found = configuration_from_mirrors(mirrors, {19433})
        self.assertEqual(servers_for(found, "core", "aarch64"), ("https://m/core/os/aarch64",))
        self.assertEqual(found.unusable, ("rsync://x",))
        for repository, architecture in (("", "x86_64"), ("..", "x86_64/.."), ("core", "../x")):
            self.assertEqual(servers_for(found, repository, architecture), ())

    def test_a_repository_that_pacman_does_not_know_has_no_servers(self) -> None:
        found = PacmanConfiguration(repositories=(Repository("core", ("http://m",)),))
        self.assertEqual(servers_for(found, "extra", "x86_64"), ())
        self.assertEqual(servers_for(found, "core", "armv7h"), ("http://m",))
