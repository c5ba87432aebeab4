"""Which databases are mirrored, by the settings and by what pacman has."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.pacman.configuration import PacmanConfiguration, Repository
from flocon.settings.settings import Mirror as MirrorSettings
from flocon.states.generation import Where
from flocon.upstream.servers import meant, mirrored

_CONFIGURATION = PacmanConfiguration(
    repositories=(
        Repository("core", ("http://one/core/os/x86_64",)),
        Repository("files", (), has_others=True),
        Repository("home", ()),
    ),
    architectures=("x86_64",),
)


class MeantTests(SynchronousTestCase):
    def test_what_no_server_but_the_node_has_is_not_meant_to_be_mirrored(self) -> None:
        found = meant(MirrorSettings(serve=True), _CONFIGURATION)
        self.assertEqual(found, [Where("x86_64", "core"), Where("x86_64", "files")])
        self.assertEqual([*mirrored(MirrorSettings(), _CONFIGURATION)], [Where("x86_64", "core")])

    def test_what_is_named_is_meant_whoever_has_it(self) -> None:
        named = MirrorSettings(serve=True, repositories=("home", "core"))
        found = meant(named, _CONFIGURATION)
        self.assertEqual(found, [Where("x86_64", "home"), Where("x86_64", "core")])
