"""Machines without a node keep whole while the repository behind their mirror moves on.

A node that serves, two hosts with pacman alone, and a mirror whose old files are gone with each of
its steps. Beside it an nginx that stores what passes through it, as the Arch wiki shows: what
happens to its clients is printed, and claimed of nobody.
"""

from __future__ import annotations

import atexit
import functools
import http.client
import json
import os
import shutil
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flocon.precedence import QUIET
from tests.lan.case import LanTestCase
from tests.lan.lan import Host, Lan, Node, wait_until
from tests.lan.repository import Package, Recipe, Repository, SigningKey, install

MIRROR_PORT = 19434
#: How often the repository moves on, and how many seconds pass between two steps at the least.
STEPS, STEP = 20, 0.5
#: Seconds for what nobody claims to be quick: four pacmans and a mirror have the machine meanwhile.
PATIENCE = 60
#: Packages of which each step brings newer ones, in turn.
NEWER = 4


class MovingRepository:
    """A signed repository that moves on as mirrors do: new packages first, old ones go last."""

    def __init__(self, root: Path, staging: Path, key: SigningKey) -> None:
        self._key = key
        self._root = root
        self._staged = Repository(staging, "moving", key=key)
        self.served = root / "moving" / "os" / "x86_64"
        self.served.mkdir(parents=True)
        self._steps = 0
        self._published = 0

    @property
    def packages(self) -> list[Package]:
        return list(self._staged.packages.values())

    @property
    def sizes(self) -> int:
        return sum(package.size for package in self.packages)

    def add(self, recipes: Iterable[Recipe]) -> None:
        self._staged.add(recipes)
        self._publish()

    def move(self) -> None:
        """Bring newer ones of some packages; each second time one needs a new package."""
        self._steps += 1
        names = [package.name for package in self.packages if package.name.startswith("app")]
        first = self._steps * NEWER
        recipes = []
        for at in range(NEWER):
            old = self._staged.packages[names[(first + at) % len(names)]].recipe
            needs = old.depends
            if not at and not self._steps % 2:
                needs = (*needs, f"fresh{self._steps}")
                recipes.append(Recipe(f"fresh{self._steps}", "1-1", 30_000))
            release = int(old.version.rpartition("-")[2]) + 1
            recipes.append(Recipe(old.name, f"1-{release}", old.size, depends=needs))
        self.add(recipes)

    def _publish(self) -> None:
        # A mirror tells of its changes in seconds: of two within one nobody learns the second.
        while int(time.time()) <= self._published:
            time.sleep(0.05)
        database = self._staged.database
        self._key.sign(database.resolve())
        names = {name for one in self.packages for name in (one.file_name, one.signature.name)}
        for name in sorted(names):
            if not (self.served / name).exists():
                os.link(self._staged.folder / name, self.served / name)
        signature = database.resolve().with_name(database.resolve().name + ".sig")
        for source, name in ((signature, "moving.db.sig"), (database.resolve(), "moving.db")):
            new = self.served / f".{name}"
            shutil.copy2(source, new)
            now = time.time()
            os.utime(new, (now, now))
            new.rename(self.served / name)
        self._published = int(time.time())
        (self._root / "lastupdate").write_text(f"{self._published}\n")
        for path in self.served.glob("*.pkg.tar*"):
            if path.name not in names:
                path.unlink()


class MovingLab:
    """A node's host, two without, one with an nginx of its own, and the mirror of all."""

    def __init__(self) -> None:
        self.lan = Lan()
        atexit.register(self._close)
        self.server = self.lan.host("server", "10.77.0.1")
        self.first = self.lan.host("first", "10.77.0.2")
        self.second = self.lan.host("second", "10.77.0.3")
        self.rival = self.lan.host("rival", "10.77.0.8")
        self.mirror = self.lan.mirror()
        self._key = SigningKey(self.lan.folder / "key")
        self._key.make_keyring(self.lan.keyring)
        self._numbers = 0

    def repository(self) -> MovingRepository:
        """Return a new repository in the place of the one before."""
        self._numbers += 1
        shutil.rmtree(self.mirror.root / "moving", ignore_errors=True)
        staging = self.lan.folder / f"staging-{self._numbers}"
        repository = MovingRepository(self.mirror.root, staging, self._key)
        repository.add([Recipe(f"app{at}", "1-1", 20_000 + 9_000 * at) for at in range(12)])
        return repository

    def _close(self) -> None:
        if hasattr(self, "_key"):
            self._key.close()
        self.lan.close()


@functools.cache
def _lab() -> MovingLab:
    return MovingLab()


@dataclass
class Client:
    """A pacman that has one server, and what came of its runs."""

    host: Host
    name: str
    server: str
    complaints: list[str] = field(default_factory=list)
    runs: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._folder = self.host.folder / self.name
        for folder in ("cache", "db/sync", "db/local", "root"):
            (self._folder / folder).mkdir(parents=True)
        self.cache = self._folder / "cache"
        text = self.host.pacman_conf(node=False).read_text()
        listed = text.split("[moving]")[0].replace(str(self.host.cache), str(self.cache))
        listed = listed.replace(str(self.host.database_path), str(self._folder / "db"))
        self._conf = self._folder / "pacman.conf"
        self._conf.write_text(f"{listed}[moving]\nServer = http://{self.server}/$repo/os/$arch\n")

    def pacman(self, *arguments: str) -> bool:
        """Run pacman; return whether it had nothing to complain about."""
        command = ["pacman", "--config", str(self._conf), "--noconfirm", "--noprogressbar"]
        status, output = self.host.run([*command, *arguments])
        lines = [one for one in output.splitlines() if one.startswith(("error:", "warning:"))]
        self.runs["all"] += 1
        if status or lines:
            self.runs["failed"] += 1
            self.complaints.append(f"{arguments[0]}: {status} {lines}")
        return not status and not lines

    def round(self) -> None:
        """Synchronize, then download all, as an empty cache has it."""
        if not self.pacman("-Sy"):
            return
        words = self.host.run(["pacman", "--config", str(self._conf), "-Slq", "moving"])[1].split()
        self.pacman("-Sw", *words)
        shutil.rmtree(self.cache)
        self.cache.mkdir()

    def rounds(self, until: threading.Event) -> None:
        while not until.is_set():
            self.round()


class Moving(LanTestCase):
    """A repository whose old files vanish."""

    def setUp(self) -> None:
        self.need_lan()
        lab = _lab()
        self.server, self.rival, self.mirror = lab.server, lab.rival, lab.mirror
        self.first, self.second = lab.first, lab.second
        self.repository = lab.repository()
        self.use(lab.lan, ["moving"])
        self.node: Node | None = None

    def serve(self, **settings: Any) -> Node:
        given = {"serve": True, "refresh": "off", "publish": "complete", **settings}
        node = self.server.node(settings={"mirror": given})
        wait_until(lambda: self.state()["wanting"], PATIENCE, "the mirror has begun")
        self.refresh()
        wait_until(lambda: self.state()["published"], PATIENCE, "a state is published")
        return node

    def state(self) -> dict[str, Any]:
        answer = self.server.request("/mirror.json")
        found: dict[str, Any] = json.loads(answer.body)
        return found

    def tell(self, *words: str) -> str:
        """Say something to the node by its control socket; return what it answers."""
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.server.store / "control"))
        connection.request("POST", "/" + "/".join(words))
        response = connection.getresponse()
        return f"{response.status} {response.read().decode().strip()}"

    def refresh(self, said: str = "200") -> None:
        self.assertIn(said, self.tell("mirror", "refresh"))

    def wait_published(self, before: str) -> dict[str, Any]:
        """Wait until another state is given out than one before."""

        def is_there() -> dict[str, Any] | None:
            state = self.state()
            return state if state["published"]["generation"] != before else None

        try:
            return wait_until(is_there, PATIENCE, "the next state is published")
        except AssertionError as error:
            log = "".join(node.log_text for node in self.server.nodes)[-3000:]
            raise AssertionError(f"{error}\n{self.state()}\n{log}") from None

    def clients(self) -> list[Client]:
        address = f"{self.server.address}:{MIRROR_PORT}"
        return [Client(self.first, "one", address), Client(self.second, "two", address)]

    @contextmanager
    def asked_all_the_time(self) -> Iterator[None]:
        """Have a machine ask for a database again and again, without a moment in between."""
        ended = threading.Event()
        connection = http.client.HTTPConnection(self.server.address, MIRROR_PORT, timeout=30)
        connection.sock = self.first.connect(self.server.address, MIRROR_PORT, timeout=30)

        def ask() -> None:
            while not ended.wait(QUIET / 10):
                connection.request("GET", "/moving/os/x86_64/moving.db")
                connection.getresponse().read()

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            connection.close()

    def start_rival(self) -> Client:
        """Start an nginx that stores packages as they pass, and fetches databases each time."""
        folder = self.rival.folder / "nginx"
        (folder / "files").mkdir(parents=True)
        config = folder / "nginx.conf"
        config.write_text(_RIVAL.format(folder=folder, mirror=self.mirror.host.address))
        self.rival.start(["nginx", "-c", str(config)], log=folder / "log")
        client = Client(self.rival, "client", f"{self.rival.address}:8080")
        wait_until(lambda: client.pacman("-Sy"), PATIENCE, "the rival answers")
        client.complaints.clear()
        client.runs.clear()
        return client

    def run_rounds(self, clients: Iterable[Client], work: Callable[[], None]) -> None:
        """Do something while clients synchronize and download."""
        ended = threading.Event()
        threads = [threading.Thread(target=client.rounds, args=(ended,)) for client in clients]
        for thread in threads:
            thread.start()
        try:
            work()
        finally:
            ended.set()
            for thread in threads:
                thread.join()


class UnderLoad(Moving):
    def test_no_listed_package_is_missing_and_every_database_has_its_own_signature(self) -> None:
        self.serve()
        clients, rival = self.clients(), self.start_rival()
        for client in (*clients, rival):
            client.round()
            self.assertEqual(client.complaints, [])
        before = self.state()["published"]["since"]
        states = self.move_on([*clients, rival])
        for client in (*clients, rival):
            print(f"\n{client.name} of {client.server}: {dict(client.runs)}", end="")
            print("".join(f"\n    {line}" for line in client.complaints[:3]), end="")
        print(f"\n{len(states)} states were given out", end=" ")
        self.assertGreaterEqual(len(states), STEPS // 2)
        self.assertGreater(self.state()["published"]["since"], before)
        for client in clients:
            self.assertEqual(client.complaints, [])
            self.assertGreater(client.runs["all"], STEPS)

    def move_on(self, clients: Iterable[Client]) -> set[str]:
        """Have the repository move on under clients, and under who reads it; return the states."""
        ended = threading.Event()
        states: set[str] = set()

        def read() -> None:
            while not ended.is_set():
                self.tell("mirror", "refresh")
                states.add(self.state()["published"]["generation"])
                time.sleep(0.1)

        def move() -> None:
            for step in range(STEPS):
                then, before = time.monotonic(), self.state()["published"]["generation"]
                self.repository.move()
                time.sleep(max(0.0, STEP - (time.monotonic() - then)))
                if step % 2:
                    # Each second state lasts until clients are given it, however slow the machine.
                    self.wait_published(before)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            self.run_rounds(clients, move)
        finally:
            ended.set()
            reader.join()
        self.refresh()
        wait_until(lambda: not self.state()["waiting"], PATIENCE, "the last state is given out")
        return states


class Publishing(Moving):
    def test_what_machines_have_and_need_is_here_before_it_is_given_out(self) -> None:
        names = [package.recipe for package in self.repository.packages[:3]]
        install(self.server.database_path / "local", names)
        self.serve()
        wait_until(lambda: self.stored() == self.files(3), PATIENCE, "what is installed is here")
        old, before = self.state()["published"]["generation"], self.stored()
        self.mirror.host.limit("2mbit")
        self.repository.add(
            [
                Recipe("app0", "1-2", 300_000, depends=("app11", "new")),
                Recipe("new", "1-1", 300_000),
            ]
        )
        self.refresh()
        state = self.state()
        self.assertEqual(state["published"]["generation"], old)
        state = self.wait_published(old)
        self.assertEqual(self.stored() - before, self.names("app0", "app11", "new"))
        self.assertEqual(state["wanting"]["states"][state["published"]["generation"]]["lacks"], 0)

    def test_it_comes_while_machines_ask_all_the_time(self) -> None:
        install(self.server.database_path / "local", [self.repository.packages[0].recipe])
        self.serve()
        old = self.state()["published"]["generation"]
        self.repository.add([Recipe("app0", "1-2", 30_000)])
        with self.asked_all_the_time():
            self.refresh()
            self.wait_published(old)
        self.assertLessEqual(self.names("app0"), self.stored())

    def test_it_is_given_out_without_all_of_it_when_its_time_is_up(self) -> None:
        install(self.server.database_path / "local", [self.repository.packages[0].recipe])
        self.serve(publish_within="1s")
        old = self.state()["published"]["generation"]
        self.repository.add([Recipe("app0", "1-2", 30_000)])
        for path in self.repository.served.glob("app0-1-2*"):
            path.unlink()
        self.refresh("a newer state was read")
        self.assertEqual(self.state()["published"]["generation"], old)
        self.wait_published(old)

    def test_a_person_wants_packages_and_groups_until_told_otherwise(self) -> None:
        node = self.serve()
        self.assertIn("typo", self.tell("mirror", "want", "app1", "typo"))
        self.assertEqual(self.stored(), set())
        self.assertIn("200", self.tell("mirror", "want", "app1"))
        wait_until(lambda: self.stored() == self.names("app1"), PATIENCE, "it is here")
        node.stop()
        self.serve()
        self.repository.add([Recipe("app1", "1-2", 30_000)])
        old = self.state()["published"]["generation"]
        self.refresh()
        self.wait_published(old)
        self.assertLessEqual(self.names("app1"), self.stored())
        self.assertIn("200", self.tell("mirror", "unwant", "app1"))
        self.assertIn("409", self.tell("mirror", "unwant", "app1"))

    def stored(self) -> set[str]:
        folder = self.server.store / "packages"
        return {path.name for path in folder.glob("*.pkg.tar.zst")} if folder.exists() else set()

    def files(self, count: int) -> set[str]:
        return {package.file_name for package in self.repository.packages[:count]}

    def names(self, *packages: str) -> set[str]:
        return {one.file_name for one in self.repository.packages if one.name in packages}


_RIVAL = """
daemon off;
user root;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 8080;
        root {folder}/files;
        location ~ \\.(db|files)(\\.sig)?$ {{ proxy_pass http://{mirror}; }}
        location ~ \\.pkg\\.tar {{
            proxy_store on;
            proxy_store_access user:rw group:rw all:r;
            if (!-f $request_filename) {{ proxy_pass http://{mirror}; }}
        }}
    }}
}}
"""
