"""``flocon config``: it prints what a node would take, and refuses what a node would refuse."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.cli import configuring
from flocon.cli.parser import make_parser
from flocon.errors import ConfigurationError, FloconError
from flocon.settings.options import load


class Settings(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.file = self.folder / "flocon.toml"

    def show(self, text: str, *words: str) -> tuple[str, str]:
        """Show what is in a file; return what is printed, and what is complained of."""
        self.file.write_text(text)
        out, errors = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", errors)
        configuring.show(make_parser().parse_args(["config", "--config", str(self.file), *words]))
        return out.getvalue(), errors.getvalue()

    def test_what_is_printed_is_read_as_the_same_settings(self) -> None:
        text = (
            'name = "ada \\"x\\""\nmirrors = ["https://h/$repo"]\nprefetch = true\n'
            '[store]\nmax_size = "3G"\n[presence]\nbeat = 2.5\ninterfaces = ["lo"]\n'
        )
        self.assert_read_as_the_same(text)

    def assert_read_as_the_same(self, text: str) -> None:
        shown, _ = self.show(text)
        before = load({"config": self.file})
        self.file.write_text(shown)
        self.assertEqual(load({"config": self.file}), before)

    def test_lengths_of_time_and_tables_of_a_mirror_are_printed_as_they_are_written(self) -> None:
        text = (
            '[mirror]\nrefresh = "90m"\nmax_age = "3d"\npublish_within = "5s"\n'
            'upstream = { aarch64 = ["http://h/$repo/$arch"] }\npaths = { a = "$arch" }\n'
        )
        shown, _ = self.show(text)
        for line in (
            'refresh = "90m"\n',
            'max_age = "3d"\n',
            'publish_within = "5s"\n',
            'hold_at_most = "30d"  # default\n',
            'upstream = { "aarch64" = ["http://h/$repo/$arch"] }\n',
        ):
            self.assertIn(f"\n{line}", shown)
        self.assert_read_as_the_same(text)
        for refresh in ('"off"', '["06:00", "18:30"]'):
            self.assert_read_as_the_same(f"[mirror]\nrefresh = {refresh}\n")

    def test_networks_are_printed_as_they_are_written(self) -> None:
        text = (
            'loopback_clients = ["172.17.0.0/16"]\n[peers]\nnetworks = ["fd00::/8"]\n'
            '[mirror]\nnetworks = ["10.8.0.0/16"]\n'
        )
        self.assertIn('\nloopback_clients = ["172.17.0.0/16"]\n', self.show(text)[0])
        self.assert_read_as_the_same(text)
        told = json.loads(self.show(text, "--json")[0])
        self.assertEqual(told["peers"]["networks"], ["fd00::/8"])
        self.assertEqual(told["mirror"]["networks"], ["10.8.0.0/16"])

    def test_others_than_nodes_are_printed_as_they_are_written(self) -> None:
        text = (
            "mdns = false\n"
            '[peers]\nstatic = ["nas", "[fd00::5]:1", "srv:example.org"]\nfar = "no owners"\n'
            '[store]\nadopt = ["/var/cache/pacoloco"]\n'
            '[foreign]\npacredir = false\nhosts = ["nas", "http://nas:15678/"]\n'
            '[standins]\npacserve = ["tcp:15678"]\nnetworks = ["10.8.0.0/16"]\n'
        )
        url = "http://nas:9129/repo/a/$repo"
        for parents in (
            f'parents = ["{url}", "{url}x"]\n{text}',
            f'{text}[[parents]]\nurl = "{url}"\nkind = "pacoloco"\n[[parents]]\nurl = "{url}x"\n',
        ):
            self.assert_read_as_the_same(parents)
            told = json.loads(self.show(parents, "--json")[0])
            self.assertEqual([one["url"] for one in told["parents"]], [url, f"{url}x"])

    def test_what_was_not_changed_is_marked(self) -> None:
        shown, _ = self.show("relay = false\n")
        self.assertIn("\nrelay = false\n", shown)
        self.assertIn('\nprefetch = "lan"  # default\n', shown)
        self.assertIn("max_size = 10737418240  # 10.0 GiB, default\n", shown)
        self.assertIn("relayed_per_day = 17179869184  # 16.0 GiB, default\n", shown)
        self.assertTrue(shown.startswith(f"# {self.file}\n"))

    def test_what_is_set_is_not_called_a_default_and_what_was_found_out_is(self) -> None:
        shown, _ = self.show('name = "ada"\nprefetch = "lan"\n')
        self.assertIn('\nname = "ada"\n', shown)
        self.assertIn('\nprefetch = "lan"\n', shown)
        self.assertRegex(self.show("")[0], r'\nname = ".+"  # default\n')
        self.assertRegex(self.show("")[0], r'\npath = ".+"  # default\n')

    def test_json_has_the_same(self) -> None:
        told = json.loads(self.show("[peers]\nrelays = 3\n", "--json")[0])
        self.assertEqual((told["peers"]["relays"], told["relay"]), (3, True))
        self.assertEqual(told["config"], str(self.file))

    def test_what_a_node_would_refuse_is_refused(self) -> None:
        for text in ("shop = 1\n", "relay = 1\n", "relay\n", 'presence = {interfaces = ["a b"]}\n'):
            with self.assertRaises(ConfigurationError) as caught:
                self.show(text)
            self.assertIn(str(self.file), str(caught.exception))

    def test_a_store_that_a_node_would_refuse_is_refused(self) -> None:
        other = self.folder / "others"
        other.mkdir()
        (other / "thesis.tex").touch()
        for path, said in ((other, "'thesis.tex'"), (other / "thesis.tex", "is a file")):
            with self.assertRaises(FloconError) as caught:
                self.show(f'[store]\npath = "{path}"\n')
            self.assertIn(f"{self.file}: store.path: {path}", str(caught.exception))
            self.assertIn(said, str(caught.exception))

    def test_an_interface_that_is_not_there_is_said(self) -> None:
        _, errors = self.show('[presence]\ninterfaces = ["eth99", "lo"]\n')
        self.assertIn("there is no eth99 now", errors)
        self.assertNotIn("no lo ", errors)

    def test_nobody_to_fetch_from_is_said(self) -> None:
        missing = f'pacman_conf = "{self.folder}/none"\n'
        self.assertIn("nobody to fetch from", self.show(missing)[1])
        self.assertEqual(self.show(missing + 'mirrors = ["http://h/$repo"]\n')[1], "")

    def test_a_mirror_without_anything_to_mirror_is_said(self) -> None:
        conf = self.folder / "pacman.conf"
        text = f'pacman_conf = "{conf}"\nmirrors = ["http://h/$repo"]\n[mirror]\nserve = true\n'
        self.assertIn("mirror.repositories: there will be nothing to mirror", self.show(text)[1])
        for mirror in ('repositories = ["core"]\n', 'refresh = "off"\n'):
            self.assertEqual(self.show(text + mirror)[1], "")
        conf.write_text("[core]\nServer = http://h/\n")
        self.assertEqual(self.show(text)[1], "")
        conf.write_text("Server = x\n")
        self.assertIn("nothing to mirror", self.show(text)[1])

    def test_a_configuration_without_a_repository_or_that_is_none_is_said(self) -> None:
        conf = self.folder / "pacman.conf"
        text = f'pacman_conf = "{conf}"\n'
        for written, said in (
            ("[options]\n", "has no repository"),
            ("Server = x\n", "before the first [section]"),
            ("[core]\nServer = http://h/\n", ""),
        ):
            conf.write_text(written)
            errors = self.show(text)[1]
            self.assertEqual(bool(errors), bool(said), errors)
            self.assertIn(said, errors)

    def test_no_password_of_a_mirror_is_shown(self) -> None:
        text = (
            'mirrors = ["https://alice:s3cret@h/$repo"]\n'
            'parents = ["https://bob:s3cret@nas:9129/$repo"]\n'
        )
        for words in ((), ("--json",)):
            shown, _ = self.show(text, *words)
            self.assertIn("https://***@h/$repo", shown)
            self.assertNotIn("s3cret", shown)
