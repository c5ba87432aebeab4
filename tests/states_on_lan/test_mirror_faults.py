"""What users of other tools have met: late signatures, reused names, wrong clocks, proxies between.

Of clocks, only on request:

    FLOCON_TESTS=all python -m twisted.trial tests.states_on_lan.test_mirror_faults
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.lan.lan import wait_until
from tests.lan.on_request import suite_of
from tests.lan.repository import install
from tests.states_on_lan.test_mirror_moving import MIRROR_PORT, Client, Moving

if TYPE_CHECKING:
    import unittest
    from pathlib import Path

    from tests.lan.lan import Host
    from tests.lan.repository import Package

#: Run on request: what dates are told is tested without a network, too.
ON_REQUEST = ("Between.test_a_clock_that_was_years_ahead_keeps_nobody_from_other_mirrors",)
YEARS = 10 * 365 * 86_400


def test_suite() -> unittest.TestSuite:
    """Return what is run by default."""
    return suite_of(__name__, ON_REQUEST)


class Faults(Moving):
    """Clients that demand signatures of databases, too."""

    def client(self, host: Host, server: str, name: str = "client") -> Client:
        client = Client(host, name, server)
        self.demand_signatures(client)
        return client

    def demand_signatures(self, client: Client, server: str = "", other: str = "") -> None:
        conf = client.cache.parent / "pacman.conf"
        text = conf.read_text().replace("Required DatabaseOptional", "Required")
        conf.write_text(text.replace(server, other) if server else text)

    @property
    def face(self) -> str:
        return f"{self.server.address}:{MIRROR_PORT}"

    def assert_synchronizes(self, client: Client) -> None:
        self.assertTrue(client.pacman("-Sy"), client.complaints)

    def database(self, client: Client) -> Path:
        return client.cache.parent / "db/sync/moving.db"

    def digest(self, client: Client) -> str:
        return hashlib.sha256(self.database(client).read_bytes()).hexdigest()

    def move_on(self) -> str:
        """Move the repository on, as pacman tells it by whole seconds; return its database."""
        time.sleep(1.1)
        self.repository.move()
        return hashlib.sha256((self.repository.served / "moving.db").read_bytes()).hexdigest()

    def read(self) -> str:
        """Have the mirror read; return what is said, and wait until that is given out."""
        said = self.tell("mirror", "refresh")
        wait_until(lambda: not self.state()["waiting"], 10, "it is given out")
        return said


class Signatures(Faults):
    def test_one_that_comes_later_than_its_database_is_waited_for(self) -> None:
        """By a node that has no key to find that out with."""
        ring = self.server.folder / "ring"
        ring.mkdir()
        for name in ("pubring.gpg", "secring.gpg"):
            (ring / name).touch()
        self.lan.pacman_options = {"GPGDir": str(ring)}
        self.server.pacman_conf()
        self.serve(publish="at once")
        self.lan.pacman_options = {}
        client = self.client(self.first, self.face)
        self.assert_synchronizes(client)
        before, signature = self.digest(client), self.repository.served / "moving.db.sig"
        old = signature.read_bytes()
        newest = self.move_on()
        new = signature.read_bytes()
        for late in (old, None):
            signature.unlink()
            if late is not None:
                signature.write_bytes(late)
            self.assertIn("has no signature of its moving.db yet", self.read())
            self.assert_synchronizes(client)
            self.assertEqual(self.digest(client), before)
        signature.write_bytes(new)
        self.read()
        self.assert_synchronizes(client)
        self.assertEqual(self.digest(client), newest)

    def test_who_comes_from_a_newer_mirror_takes_ours_with_its_signature_and_back(self) -> None:
        self.serve(publish="at once")
        client = self.client(self.first, self.face)
        self.assert_synchronizes(client)
        ours, theirs = self.digest(client), self.move_on()
        mirror = self.mirror.host.address
        for server, other, digest in (
            (self.face, mirror, theirs),
            (mirror, self.face, ours),
        ):
            self.demand_signatures(client, server, other)
            time.sleep(1.1)
            self.assert_synchronizes(client)
            self.assertEqual(self.digest(client), digest)
        time.sleep(1.1)
        newest = self.move_on()
        self.demand_signatures(client, self.face, mirror)
        self.assert_synchronizes(client)
        self.assertEqual(self.digest(client), newest)

    def test_who_leaves_a_node_takes_a_mirrors_with_its_signature(self) -> None:
        self.serve(publish="at once")
        follower = self.first.node(settings={"databases": "node:server"})
        wait_until(lambda: "server" in follower.peers(), 10, "they have met")
        self.lan.pacman_options = {"SigLevel": "Required"}
        self.addCleanup(setattr, self.lan, "pacman_options", {})
        self.move_on()
        # Later than the mirror's next one was signed.
        time.sleep(2.1)
        self.assert_clean(self.first.pacman("-Sy", mirror=False))
        follower.stop()
        self.assert_clean(self.first.pacman("-Sy", node=False))


class Names(Faults):
    def test_what_is_built_anew_under_its_name_is_given_out_and_kept(self) -> None:
        recipes = [package.recipe for package in self.repository.packages[:2]]
        install(self.server.database_path / "local", recipes)
        node = self.serve(publish_within="1h")
        wait_until(lambda: len(self.stored()) == len(recipes), 10, "what is installed is here")
        anew = self.build_anew("app1")
        self.read()
        wait_until(lambda: anew.sha256 in self.stored().values(), 10, "it is here")
        self.mirror.stop()
        client = self.client(self.first, self.face)
        self.assert_synchronizes(client)
        self.assertTrue(client.pacman("-Sw", "app1"), client.complaints)
        self.assertEqual(node.process.poll(), None)

    def build_anew(self, name: str) -> Package:
        (old,) = (one for one in self.repository.packages if one.name == name)
        for file_name in (old.file_name, old.signature.name):
            (self.repository.served / file_name).unlink()
        time.sleep(1.1)
        self.repository.add([replace(old.recipe, size=old.recipe.size + 5_000)])
        (anew,) = (one for one in self.repository.packages if one.name == name)
        self.assertEqual(anew.file_name, old.file_name)
        return anew

    def stored(self) -> dict[str, str]:
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (self.server.store / "packages").glob("*.pkg.tar.zst")
        }


class Between(Faults):
    def test_a_clock_that_was_years_ahead_keeps_nobody_from_other_mirrors(self) -> None:
        node = self.serve(publish="at once")
        node.stop()
        path = self.server.store / "mirror" / "state.json"
        state: dict[str, Any] = json.loads(path.read_text())
        state["published"][-1][1] += YEARS
        path.write_text(json.dumps(state))
        self.server.node(settings={"mirror": {"serve": True, "refresh": "off"}})
        wait_until(lambda: self.state()["published"], 10, "it is given out again")
        client = self.client(self.first, self.face)
        self.assert_synchronizes(client)
        self.assertLess(self.database(client).stat().st_mtime, time.time() + 60)
        newest = self.move_on()
        self.demand_signatures(client, self.face, self.mirror.host.address)
        self.assert_synchronizes(client)
        self.assertEqual(self.digest(client), newest)

    def test_a_proxy_that_keeps_what_it_may_keeps_no_database(self) -> None:
        self.serve(publish="at once")
        folder = self.rival.folder / "proxy"
        folder.mkdir()
        config = folder / "nginx.conf"
        config.write_text(_PROXY.format(folder=folder, server=self.face))
        self.rival.start(["nginx", "-c", str(config)], log=folder / "log")
        proxy = f"{self.rival.address}:8080"
        client = self.client(self.first, proxy)
        wait_until(lambda: client.pacman("-Sy"), 10, "the proxy answers")
        newest = self.move_on()
        self.read()
        self.assert_synchronizes(client)
        self.assertEqual(self.digest(client), newest)
        for _ in range(2):
            self.assertTrue(client.pacman("-Sw", "app1"), client.complaints)
            shutil.rmtree(client.cache)
            client.cache.mkdir()


_PROXY = """
daemon off; user root; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=all:1m;
    server {{
        listen 8080;
        location / {{ proxy_pass http://{server}; proxy_cache all; proxy_cache_valid 200 10m; }}
    }}
}}
"""
