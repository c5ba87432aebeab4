"""A node as a mirror for machines that have none: real pacman there, and other tools' lines.

With pacman 7 the larger ones are run on request:

    FLOCON_TESTS=all python -m twisted.trial tests.states_on_lan.test_mirror_face
"""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tests.lan.case import LanTestCase, sha256
from tests.lan.lan import LOOPBACK_PORT, MIRROR_ADDRESS, PROJECT, Host, Node, PacmanRun, wait_until
from tests.lan.on_request import suite_of
from tests.lan.repository import Recipe, Repository

if TYPE_CHECKING:
    import unittest
    from collections.abc import Iterable, Mapping, Sequence

    from tests.lan.repository import Package

#: Run on request: pacman 7 asks in them what it asks in the others, too.
ON_REQUEST = (
    "Downloading7.test_sixty_packages_cold_and_warm",
    "Downloading7.test_twenty_clients_at_once_cost_the_mirror_one_set",
    "CrowdTests.test_sixty_packages_cost_the_mirror_one_set_and_then_nothing",
    "Crowd7.test_sixty_packages_cost_the_mirror_one_set_and_then_nothing",
)
MIRROR_PORT = 19434
#: What the mirror behind the node may send, in parts of the set.
ONCE = 1.02
CLIENTS = 20
#: Packages that many ask for at once: 20 times all sixty are 7 GB, and 1,200 signatures to check.
SMALL, MANY = 1 << 20, 20
#: Packages of a whole set.
SET = 60


def test_suite() -> unittest.TestSuite:
    """Return what is run by default."""
    return suite_of(__name__, ON_REQUEST)


@dataclass(frozen=True)
class Client:
    """A pacman on a host without a node, with folders of its own."""

    host: Host
    folder: Path
    server: str
    repositories: Sequence[str]
    architecture: str = "x86_64"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def installed(self) -> list[str]:
        """The names of the packages that its root has, in order."""
        local = self.folder / "root/var/lib/pacman/local"
        return sorted(path.parent.name.rsplit("-", 2)[0] for path in local.glob("*/desc"))

    def pacman(self, *arguments: str, timeout: float = 60) -> PacmanRun:
        """Run pacman on an empty root that has nothing but what it installs itself."""
        root = self.folder / "root"
        for folder in (self.cache, root / "var/lib/pacman", self.folder / "hooks"):
            folder.mkdir(parents=True, exist_ok=True)
        options = {
            "GPGDir": self.host.lan.keyring,
            "LogFile": self.folder / "pacman.log",
            "HookDir": self.folder / "hooks",
            "CacheDir": self.cache,
            "Architecture": self.architecture,
            "SigLevel": "Required DatabaseOptional",
            "ParallelDownloads": 5,
            **self.host.lan.pacman_options,
        }
        lines = ["[options]", *(f"{key} = {value}" for key, value in options.items())]
        for name in self.repositories:
            lines += [f"[{name}]", f"Server = {self.server}"]
        conf = self.folder / "pacman.conf"
        conf.write_text("\n".join([*lines, ""]))
        command = ["pacman", "--config", str(conf), "-r", str(root)]
        started = time.monotonic()
        status, output = self.host.run(
            [*command, "--noconfirm", "--noprogressbar", *arguments], timeout=timeout
        )
        return PacmanRun(status, output, time.monotonic() - started)


class MirrorFaceCase(LanTestCase):
    """A node on the first host serves; the second and the third have none."""

    serving: ClassVar[Mapping[str, Any]] = {}

    def setUp(self) -> None:
        super().setUp()
        self.node = self.serve()

    def serve(self, **settings: Any) -> Node:
        node = self.first.node(settings={"mirror": {"serve": True, **settings}, **self.serving})
        wait_until(lambda: self.published(node), 20, "the databases are published")
        self.mirror.reset()
        return node

    def published(self, node: Node) -> bool:
        # One that was restarted gives what it gave before, until it has read the mirror.
        paths = [f"/{name}/os/x86_64/{name}.db" for name in self.lan.repositories]
        answers = [node.host.request(path, port=MIRROR_PORT) for path in paths]
        return all(answer.status == 200 for answer in answers)

    def client(
        self, host: Host, name: str = "client", path: str = "$repo/os/$arch", **more: Any
    ) -> Client:
        folder = host.folder / name
        folder.mkdir()
        server = f"http://{self.first.address}:{MIRROR_PORT}/{path}"
        return Client(host, folder, server, more.pop("repositories", self.lan.repositories), **more)

    def names(self, packages: Iterable[Package]) -> list[str]:
        return [package.name for package in packages]

    def assert_has(self, client: Client, packages: Iterable[Package]) -> None:
        """Claim that a client's CacheDir has exactly these, byte by byte, each with its signature.

        (pacman 7 leaves a folder of its own behind.)
        """
        expected = {package.file_name: package.sha256 for package in packages}
        files = [path for path in client.cache.iterdir() if path.is_file()]
        found = {path.name: sha256(path) for path in files if path.suffix != ".sig"}
        self.assertEqual(found, expected)
        signatures = {path.name for path in files if path.suffix == ".sig"}
        self.assertEqual(signatures, {f"{name}.sig" for name in expected})

    def told(self, what: str) -> int:
        """Return what the node says of all its clients."""
        answer = self.first.request("/mirror.json", port=LOOPBACK_PORT)
        return int(json.loads(answer.body)["clients"][what])

    @property
    def sent_by_mirror(self) -> int:
        return sum(record.sent for record in self.mirror.records())


class DownloadingTests(MirrorFaceCase):
    def test_sixty_packages_cold_and_warm(self) -> None:
        client = self.client(self.second)
        self.assert_clean(client.pacman("-Sy"))
        self.assertEqual(self.sent_by_mirror, 0)
        for _ in ("cold", "warm"):
            self.assert_clean(client.pacman("-Sw", *self.names(self.all_packages)))
            self.assert_has(client, self.all_packages)
            self.assert_mirror_gave_once(self.all_packages)
            shutil.rmtree(client.cache)
        # What has not changed is not sent again.
        sent = self.told("sent_bytes")
        self.assert_clean(client.pacman("-Sy"))
        self.assertEqual(self.told("sent_bytes"), sent)

    def test_an_empty_root_is_filled(self) -> None:
        client = self.client(self.second)
        names = self.names(self.few_packages)
        self.assert_clean(client.pacman("-Sy", *names))
        self.assertEqual(client.installed, sorted(names))
        self.assert_mirror_gave_once(self.few_packages)

    def test_twenty_clients_at_once_cost_the_mirror_one_set(self) -> None:
        packages = [one for one in self.all_packages if one.size < SMALL][:MANY]
        names = self.names(packages)
        hosts = (self.second, self.third)
        clients = [self.client(hosts[at % 2], f"client-{at}") for at in range(CLIENTS)]

        def run(client: Client) -> list[PacmanRun]:
            return [client.pacman("-Sy"), client.pacman("-Sw", *names)]

        with ThreadPoolExecutor(CLIENTS) as pool:
            for runs in pool.map(run, clients):
                for one in runs:
                    self.assert_clean(one)
        for client in clients:
            self.assert_has(client, packages)
        size = sum(one.size for one in packages)
        self.assertLessEqual(self.sent_by_mirror / size, ONCE)


class Downloading7(DownloadingTests):
    uses_pacman_7 = True


class CrowdTests(MirrorFaceCase):
    """Twenty clients that take the same sixty packages, small ones, at once."""

    def setUp(self) -> None:
        super().setUp()
        self.node.stop()
        # What was read a moment ago is not read again at the start.
        shutil.rmtree(self.first.store)
        self.first.store.mkdir()
        repository = Repository(self.mirror.root, "crowd", key=self.lab._key)
        self.addCleanup(shutil.rmtree, self.mirror.root / "crowd")
        sizes = (4_000 + number * 2_000 for number in range(SET))
        names = (f"crowd{number:02}" for number in range(SET))
        repository.add(Recipe(name, "1-1", size) for name, size in zip(names, sizes, strict=True))
        self.packages = list(repository.packages.values())
        self.lan.repositories = ["crowd"]
        self.node = self.serve(repositories=["crowd"])

    def take(self, client: Client) -> list[PacmanRun]:
        shutil.rmtree(client.cache, ignore_errors=True)
        return [client.pacman("-Sy"), client.pacman("-Sw", *self.names(self.packages), timeout=120)]

    def test_sixty_packages_cost_the_mirror_one_set_and_then_nothing(self) -> None:
        hosts = (self.second, self.third)
        clients = [self.client(hosts[at % 2], f"client-{at}") for at in range(CLIENTS)]
        size = sum(one.size for one in self.packages)
        for most in (ONCE, 0.0):
            with ThreadPoolExecutor(CLIENTS) as pool:
                for runs in pool.map(self.take, clients):
                    for one in runs:
                        self.assert_clean(one)
            for client in clients:
                self.assert_has(client, self.packages)
            self.assertLessEqual(self.sent_by_mirror / size, most)
            self.mirror.reset()


class Crowd7(CrowdTests):
    uses_pacman_7 = True


class TwoArchitecturesTests(MirrorFaceCase):
    """Packages for any machine, which two distributions have built by the same names."""

    serving: ClassVar[dict[str, Any]] = {
        "mirror.upstream": {
            one: [f"http://{MIRROR_ADDRESS}/$repo/os/$arch"] for one in ("x86_64", "aarch64")
        }
    }

    def setUp(self) -> None:
        super().setUp()
        self.node.stop()
        shutil.rmtree(self.first.store)
        self.first.store.mkdir()
        folder = self.first.folder / "arm"
        other = Repository(folder, "multilib", key=self.lab._key, seed=2)
        other.add(package.recipe for package in self.few_packages)
        place = self.mirror.root / "multilib" / "os" / "aarch64"
        shutil.copytree(other.folder, place, symlinks=True)
        self.addCleanup(shutil.rmtree, place)
        self.packages = {"x86_64": self.any_of(self.lab.multilib), "aarch64": self.any_of(other)}
        self.lan.repositories = ["multilib"]
        self.node = self.serve(repositories=["multilib"], architectures=[*self.packages])

    def any_of(self, repository: Repository) -> list[Package]:
        return [one for one in repository.packages.values() if one.recipe.architecture == "any"]

    def assert_downloads(self, name: str) -> None:
        for architecture, packages in self.packages.items():
            at = f"{name}-{architecture}"
            client = self.client(self.second, at, architecture=architecture)
            self.assert_clean(client.pacman("-Sy"))
            self.assert_clean(client.pacman("-Sw", *self.names(packages)))
            self.assert_has(client, packages)

    def test_both_are_kept_given_to_whom_lists_which_and_carried(self) -> None:
        self.assert_downloads("cold")
        names = {one.file_name for one in self.packages["x86_64"]}
        self.assertEqual(names, {one.file_name for one in self.packages["aarch64"]})
        expected = {one.sha256 for packages in self.packages.values() for one in packages}
        wait_until(lambda: expected <= set(self.stored().values()), 10, "both are kept")
        self.flocon("snapshot", "take", "both")
        self.flocon("mirror", "clean")
        self.mirror.stop()
        self.assert_downloads("warm")
        self.node.kill()
        self.node = self.first.node(settings={"mirror": self.settings, **self.serving})
        wait_until(lambda: self.published(self.node), 20, "it gives what it gave")
        self.assert_downloads("after-a-kill")
        folder = self.second.folder / "carried"
        self.flocon("snapshot", "export", str(folder), "both")
        for architecture, packages in self.packages.items():
            for one in packages:
                path = folder / "multilib/os" / architecture / one.file_name
                self.assertEqual(sha256(path), one.sha256)

    @property
    def settings(self) -> dict[str, Any]:
        named = {"repositories": ["multilib"], "architectures": [*self.packages]}
        return {"serve": True, **named}

    def stored(self) -> dict[str, str]:
        folder = self.first.store / "packages"
        return {path.name: sha256(path) for path in folder.glob("*.pkg.tar.zst")}

    def flocon(self, *words: str) -> None:
        done = self.first.flocon(*words)
        self.assertEqual(done.returncode, 0, done.stdout)


class OtherToolsTests(MirrorFaceCase):
    """Clients of pacoloco, flexo, cpcache and pkgstash have their lines unchanged."""

    serving: ClassVar[dict[str, Any]] = {"mirror.paths": {"plain": "$arch", "arm": "$arch/$repo"}}

    def test_their_lines_work_unchanged(self) -> None:
        for at, path in enumerate(
            (
                # pacoloco
                "repo/archlinux/$repo/os/$arch",
                # where a path is free, by the operator's word
                "repo/arm/$arch/$repo",
                # flexo's own; pkgstash's and cpcache's are alike
                "$repo/os/$arch",
                # flexo's for third parties
                "custom_repo/archlinux/$repo/os/$arch",
                # as some write it
                "/repo//archlinux/$repo/os/$arch/",
            )
        ):
            client = self.client(self.second, f"client-{at}", path)
            run = client.pacman("-Sy", *self.names(self.few_packages[:3]))
            self.assert_clean(run)
            self.assert_has(client, self.few_packages[:3])

    def test_a_name_may_be_a_repositorys_own(self) -> None:
        self.node.stop()
        # What was read a moment ago is not read again at the start.
        shutil.rmtree(self.first.store)
        self.first.store.mkdir()
        self.lan.repositories = [*self.lan.repositories, "plain"]
        self.node = self.serve()
        client = self.client(self.second, "own", "repo/plain/$arch", repositories=["plain"])
        packages = list(self.lab.plain.packages.values())
        self.assert_clean(client.pacman("-Sy"))
        self.assert_clean(client.pacman("-Sw", *self.names(packages)))
        self.assert_has(client, packages)


class BehindNginxTests(MirrorFaceCase):
    """nginx in front, as docs/mirror-clients.rst has it."""

    def setUp(self) -> None:
        super().setUp()
        folder = self.first.folder / "nginx"
        folder.mkdir()
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        server = documented("nginx").replace("/var/cache/flocon", str(self.first.store))
        config = folder / "nginx.conf"
        config.write_text(
            f"daemon off; user root; pid {folder}/pid; error_log {folder}/errors;\n"
            f"events {{}}\nhttp {{ {temporary} access_log off;\n{server}\n}}\n"
        )
        self.first.start(["nginx", "-c", str(config)], log=folder / "output")
        wait_until(self.answers, 10, "nginx answers")

    def answers(self) -> bool:
        try:
            return self.first.request("/lastupdate", port=80).status == 200
        except OSError:
            return False

    def test_packages_come_through_it_and_then_from_it(self) -> None:
        folder = self.second.folder / "client"
        folder.mkdir()
        server = f"http://{self.first.address}/$repo/os/$arch"
        client = Client(self.second, folder, server, self.lan.repositories)
        self.assert_clean(client.pacman("-Sy"))
        for _ in ("through it", "from it"):
            self.assert_clean(client.pacman("-Sw", *self.names(self.few_packages)))
            self.assert_has(client, self.few_packages)
            shutil.rmtree(client.cache)
        self.assert_mirror_gave_once(self.few_packages)
        answer = self.first.request("/mirror.json", port=LOOPBACK_PORT)
        latest = json.loads(answer.body)["clients"]["latest"]
        packages = {one["address"]: one["packages"] for one in latest if one["packages"]}
        # All through the proxy, and each of them twice.
        self.assertEqual(packages, {self.second.address: 2 * len(self.few_packages)})


def documented(language: str) -> str:
    """Return the first block of a language in the page for machines without a node."""
    text = (PROJECT / "docs/mirror-clients.rst").read_text()
    _, _, rest = text.partition(f".. code-block:: {language}\n\n")
    lines = rest.splitlines()
    end = next(at for at, line in enumerate(lines) if line and not line.startswith("    "))
    return "\n".join(line[4:] for line in lines[:end])
