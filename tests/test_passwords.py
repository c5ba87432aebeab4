"""A mirror's password is in nothing that anybody is told."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from flocon.advice import pacman_checks
from flocon.advice.why import Why
from flocon.neighbours.standing import Standing
from flocon.sources.places import mirror_source

SERVER = "https://al%40ice:s3cret@mirror.example:8443/$repo/os/$arch"


class Passwords(SynchronousTestCase):
    def test_a_source_is_called_by_its_host_and_asked_with_the_password(self) -> None:
        source = mirror_source(SERVER, "core.db")
        self.assertEqual((source.key, source.label), ("mirror.example:8443",) * 2)
        self.assertEqual(str(source), "mirror mirror.example:8443")
        self.assertIn("s3cret", source.url)

    def test_why_tells_the_address_without_it(self) -> None:
        anything: Any = mock.Mock()
        explainer = Why(
            Clock(),
            settings=anything,
            offering=anything,
            listed=anything,
            candidates=anything,
            transfers=anything,
            pacman=anything,
            neighbourhood=anything,
            presence=anything,
            standing=Standing(),
            quarantine=anything,
            recent=anything,
            contents=anything,
        )
        told = explainer._candidate(mirror_source(SERVER, "core.db"), None)
        self.assertEqual(told["url"], "https://mirror.example:8443/$repo/os/$arch/core.db")
        self.assertNotIn("s3cret", json.dumps(told))

    def test_doctor_names_the_host_alone(self) -> None:
        self.assertEqual(pacman_checks._host(SERVER), "mirror.example")
        self.assertNotIn("s3cret", pacman_checks._host("https://u:s3cret@[::1/x"))
