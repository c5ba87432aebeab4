"""What this machine gives where nothing is set."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import ConfigurationError
from flocon.settings import settings
from flocon.settings.defaults import default_store
from tests.settings.options_case import OptionsTestCase


class DefaultStore(SynchronousTestCase):
    def test_systemds_cache_folder_comes_first(self) -> None:
        with mock.patch.dict(os.environ, {"CACHE_DIRECTORY": "/var/cache/a:/var/cache/b"}):
            self.assertEqual(default_store(), Path("/var/cache/a"))

    def test_a_user_has_a_store_of_his_own(self) -> None:
        environment = {"XDG_CACHE_HOME": "/home/u/.cache"}
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            mock.patch.object(os, "access", return_value=False),
        ):
            self.assertEqual(default_store(), Path("/home/u/.cache/flocon"))

    def test_a_user_without_a_home_is_told_what_to_do(self) -> None:
        with (
            mock.patch.dict(os.environ, clear=True),
            mock.patch.object(os, "access", return_value=False),
            mock.patch.object(Path, "home", side_effect=RuntimeError),
            self.assertRaises(ConfigurationError) as caught,
        ):
            default_store()
        self.assertIn("--store", str(caught.exception))

    def test_who_may_write_the_systems_folder_uses_it(self) -> None:
        with (
            mock.patch.dict(os.environ, clear=True),
            mock.patch.object(os, "access", return_value=True),
        ):
            self.assertEqual(default_store(), settings.SYSTEM_STORE)


class HostName(OptionsTestCase):
    def test_one_that_is_no_text_is_made_one(self) -> None:
        for bad, name in {"h\udcff\n<b>": "h??<b>", "": "?", "nas": "nas"}.items():
            with mock.patch.object(socket, "gethostname", return_value=bad):
                self.assertEqual(self.load("").name, name)
