"""The LAN that the tests of this folder share, and what their test cases have in common.

Making the LAN and its signed mirror takes seconds, so it is made once, at the first test that needs
it, and taken down when the process ends. Every test begins with no node running, empty caches, a
running mirror, and all links up.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from flocon.transfers.prefix import PREFIX
from tests.lan.lan import (
    PACMAN_7,
    Host,
    Lan,
    MirrorRecord,
    Node,
    PacmanRun,
    pacman_7,
    unavailable,
    wait_until,
)
from tests.lan.repository import (
    MIB,
    DatabaseWriter,
    Package,
    PythonDatabase,
    Repository,
    SigningKey,
    recipes,
)
from tests.needs import leave_out

#: Words that stand in a node's log only when something went wrong that it did not expect.
_SURPRISES = re.compile(r"Traceback|Unhandled|[#.](?:error|critical)\b")
#: Seconds within which started nodes have found each other; generous, as it is not what is tested.
MEETING = 10


class Lab:
    """Three hosts and a mirror with four repositories: 60 packages in three, and ``plain``.

    The databases of ``plain`` carry no signatures, and its packages may be bumped by a test.
    """

    def __init__(self) -> None:
        self.lan = Lan()
        # At once: what follows may fail, and nothing is to stay behind.
        atexit.register(self._close)
        self.first = self.lan.host("first", "10.77.0.1")
        self.second = self.lan.host("second", "10.77.0.2")
        self.third = self.lan.host("third", "10.77.0.3")
        self.mirror = self.lan.mirror()
        self._key = SigningKey(self.lan.folder / "key")
        self._key.make_keyring(self.lan.keyring)
        with ThreadPoolExecutor(2) as pool:
            core = pool.submit(self._repository, "core", 20, [50 * MIB])
            # Half of them without repo-add, which takes a tenth of a second and more for each.
            large = [60 * MIB, 90 * MIB, 140 * MIB]
            extra = pool.submit(self._repository, "extra", 30, large, writer=PythonDatabase())
            multilib = pool.submit(self._repository, "multilib", 10, [])
            self.core, self.extra, self.multilib = core.result(), extra.result(), multilib.result()
        self.plain = self._repository("plain", 6, [], embed=False)

    def _repository(
        self,
        name: str,
        count: int,
        large: Sequence[int],
        *,
        embed: bool = True,
        writer: DatabaseWriter | None = None,
    ) -> Repository:
        root, key = self.mirror.root, self._key
        repository = Repository(root, name, key=key, writer=writer, embed=embed)
        prefix = "" if name == "core" else f"{name}-"
        repository.add(recipes(count, seed=len(name), large=large, prefix=prefix))
        return repository

    def _close(self) -> None:
        if hasattr(self, "_key"):
            self._key.close()
        self.lan.close()


@functools.cache
def _unavailable() -> str:
    return unavailable()


@functools.cache
def _lab() -> Lab:
    return Lab()


class LanTestCase(SynchronousTestCase):
    """A test on the shared LAN; skipped where there can be none, but failed there in CI."""

    maxDiff = 4_000
    #: Whether the hosts' pacman is 7 instead of this machine's.
    uses_pacman_7 = False

    def setUp(self) -> None:
        self.need_lan()
        self.lab = _lab()
        self.first, self.second, self.third = self.lab.first, self.lab.second, self.lab.third
        self.mirror = self.lab.mirror
        self.use(self.lab.lan, ["core", "extra", "multilib"])

    def need_lan(self) -> None:
        """Skip the test where no LAN can be made; in CI, fail."""
        leave_out(_unavailable())
        if self.uses_pacman_7 and pacman_7() is None:
            leave_out(f"no pacman 7: {PACMAN_7} names no folder made by .ci/pacman-7")

    def use(self, lan: Lan, repositories: list[str]) -> None:
        """Begin as every test does on this LAN, with these repositories, and tidy up behind."""
        self.lan = lan
        lan.reset()
        #: What ``hold`` gave to each host.
        self.held: defaultdict[str, set[str]] = defaultdict(set)
        lan.repositories = repositories
        lan.pacman_folder = pacman_7() if self.uses_pacman_7 else None
        # As it is shipped, but for the user's name.
        lan.pacman_options = {"DownloadUser": "nobody"} if self.uses_pacman_7 else {}
        lan.node_line = "Server"
        self.mirror.start()
        self.mirror.reset()
        self.addCleanup(lan.reset)
        # Runs before the reset: cleanups run last in, first out.
        self.addCleanup(self._assert_quiet_logs)

    def _assert_quiet_logs(self) -> None:
        for host in self.lan.hosts.values():
            for node in host.nodes:
                text = node.log_text
                if _SURPRISES.search(text):
                    self.fail(f"the log of the node on {host.name} has surprises:\n{text[-6000:]}")

    # What tests arrange

    @property
    def all_packages(self) -> list[Package]:
        """The sixty packages of the three repositories."""
        repositories = (self.lab.core, self.lab.extra, self.lab.multilib)
        return [package for one in repositories for package in one.packages.values()]

    @property
    def few_packages(self) -> list[Package]:
        """Ten packages of 4 KB to 4 MB."""
        return list(self.lab.multilib.packages.values())

    def sync(self, *hosts: Host) -> None:
        """Give hosts their databases straight from the mirror, which then forgets it."""
        for host in hosts:
            run = host.pacman("-Sy", node=False)
            self.assertEqual((run.returncode, run.complaints), (0, []), run.output)
        self.mirror.reset()

    def hold(self, host: Host, packages: Iterable[Package]) -> None:
        """Put packages and their signatures into a host's CacheDir, as an earlier pacman did."""
        for package in packages:
            for path in (package.path, package.signature):
                shutil.copy2(path, host.cache / path.name)
            self.held[host.name].add(package.file_name)

    def meet(self, *nodes: Node) -> None:
        """Wait until each of these nodes offers all that it was given, and the others know."""

        def have_met() -> bool:
            files = {node.host.name: node.status()["inventory"]["files"] for node in nodes}
            if any(files[name] < len(self.held[name]) for name in files):
                return False
            for node in nodes:
                others = {name: count for name, count in files.items() if name != node.host.name}
                known = {name: peer["files"] for name, peer in node.peers().items()}
                if not others.items() <= known.items():
                    return False
            return True

        wait_until(have_met, MEETING, "all nodes know each other")

    def start_nodes(
        self,
        *hosts: Host,
        beat: float = 30.0,
        user: int | None = None,
        settings: dict[str, object] | None = None,
    ) -> list[Node]:
        """Start a node on each host at the same time and wait until they have met."""
        nodes = [host.start_node(beat=beat, user=user, settings=settings) for host in hosts]
        for node in nodes:
            node.wait_ready()
        self.meet(*nodes)
        return nodes

    def wait_for_files(self, node: Node, count: int) -> None:
        """Wait until a node's inventory has ``count`` packages."""
        wait_until(
            lambda: node.status()["inventory"]["files"] == count,
            MEETING,
            f"the node on {node.host.name} holds {count} packages",
        )

    def download(self, host: Host, packages: Iterable[Package]) -> PacmanRun:
        """Run ``pacman -Sw`` for these packages, with the node first and the mirror second."""
        return host.pacman("-Sw", *(package.name for package in packages))

    # What tests claim

    def assert_clean(self, run: PacmanRun) -> None:
        """Pacman ended well and had nothing to complain about."""
        self.assertEqual((run.returncode, run.complaints), (0, []), run.output)

    def assert_cached(self, host: Host, packages: Iterable[Package]) -> None:
        """Claim that a host's CacheDir has exactly these packages, byte by byte, and no more."""
        expected = {package.file_name: package.sha256 for package in packages}
        found = {path.name: sha256(path) for path in host.cache.iterdir() if path.suffix != ".sig"}
        self.assertEqual(found, expected)

    def assert_signatures_cached(self, host: Host, packages: Iterable[Package]) -> None:
        """Claim that a host's CacheDir has the signatures of these packages, byte by byte."""
        for package in packages:
            cached = host.cache / package.signature.name
            self.assertEqual(cached.read_bytes(), package.signature.read_bytes(), cached.name)

    def assert_mirror_gave_no_packages(self) -> None:
        """Claim that the mirror was asked for no package and no package's signature."""
        self.assertEqual([one for one in self.mirror.packages() if not _keeps_patient(one)], [])

    def assert_took_nothing_of_mirrors(self, node: Node) -> None:
        """Claim that no byte came to a node from the mirror but those that keep pacman patient."""
        patient = sum(one.sent for one in self.mirror.packages() if _keeps_patient(one))
        self.assertLessEqual(node.status()["traffic"]["from_mirrors_bytes"], patient)

    def assert_mirror_gave_once(self, packages: Iterable[Package]) -> None:
        """Claim that the mirror sent these packages once each, whole, and no others.

        A signature may come from a database instead, so it is sent once or not at all.
        """
        packages = list(packages)
        expected = {package.file_name: [package.size] for package in packages}
        signatures = {package.signature.name for package in packages}
        sent: dict[str, list[int]] = {}
        for record in self.mirror.packages():
            if _keeps_patient(record):
                continue
            sent.setdefault(record.file_name, []).append(record.sent)
        asked = {name: sizes for name, sizes in sent.items() if name.endswith(".sig")}
        self.assertEqual({name: sent[name] for name in sent if name not in asked}, expected)
        self.assertLessEqual(set(asked), signatures)
        self.assertEqual({name for name, sizes in asked.items() if len(sizes) > 1}, set())


def _keeps_patient(record: MirrorRecord) -> bool:
    """Whether it was a few bytes asked for while a peer takes seconds, as on a busy machine."""
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", record.range)
    return match is not None and int(match[2]) - int(match[1]) < PREFIX


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
