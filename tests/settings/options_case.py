"""A case that writes a flocon.toml and loads it, whatever this machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import ConfigurationError
from flocon.settings import options
from flocon.settings.options import load
from flocon.settings.settings import Settings


class OptionsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.config = Path(self.mktemp())
        self.default = Path(self.mktemp())
        self.patch(options, "DEFAULT_CONFIG", self.default)

    def write(self, text: str) -> Path:
        self.config.write_text(text, encoding="utf-8")
        return self.config

    def load(self, text: str, **command_line: Any) -> Settings:
        return load({"config": self.write(text), **command_line})

    def assertRefused(self, text: str, *expected: str) -> None:
        with self.assertRaises(ConfigurationError) as caught:
            self.load(text)
        error = caught.exception
        self.assertIn(str(self.config), error.where)
        self.assertTrue(error.remedy)
        for part in expected:
            self.assertIn(part, str(error))
