"""What a node holds, as a whole: it starts and stops, and the store keeps its promises.

The last ones use the real reactor, real inotify, and a real ``kill -9``.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.internet import reactor as real_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.errors import StoreError
from flocon.holdings.holdings import JUDGED_WITHIN, LOOK_AGAIN, Holdings
from flocon.holdings.inventory import Change
from tests.holdings.machine import (
    OLD,
    SIGNATURE,
    A,
    B,
    Cache,
    HoldingsCase,
    Machine,
    content_of,
    put,
)

OTHER = "other-1-1-any.pkg.tar.zst"


class LifeTests(HoldingsCase):
    """Starting and stopping."""

    def test_two_nodes_on_one_store_are_told_apart(self) -> None:
        self.start()
        second = Machine(self.machine.top)
        with self.assertRaises(StoreError) as caught:
            second.cache.startService()
        self.assertIn(str(self.machine.top / "store"), str(caught.exception))

    def test_a_store_that_cannot_be_written_is_said_once_and_the_cache_still_serves(self) -> None:
        self.lay(A, b"data")
        (self.machine.top / "store").write_bytes(b"in the way")
        cache = self.start()
        self.assertEqual(set(self.machine.held()), {A})
        self.assertFalse(self.machine.publish(B, b"data"))
        self.assertEqual(len(self.warnings.events), 1)
        incoming = cache.incoming(10)
        self.addCleanup(incoming.close)
        self.assertFalse(incoming.keep)

    def test_what_may_be_in_the_store_is_found_out_first_for_a_while(self) -> None:
        self.start()
        holdings, unknown = self.machine.holdings, {A, B}
        self.patch(holdings._folders, "is_unjudged", unknown.__contains__)
        waiting = [Deferred.fromCoroutine(holdings.judged(name)) for name in (A, B, OTHER)]
        self.machine.reactor.advance(LOOK_AGAIN)
        self.assertEqual([one.called for one in waiting], [False, False, True])
        unknown.remove(B)
        self.machine.reactor.advance(LOOK_AGAIN)
        self.assertEqual([one.called for one in waiting], [False, True, True])
        self.machine.reactor.pump([LOOK_AGAIN] * round(JUDGED_WITHIN / LOOK_AGAIN))
        self.assertTrue(waiting[0].called)

    def test_without_a_store_nothing_is_waited_for(self) -> None:
        (self.machine.top / "store").write_bytes(b"in the way")
        self.start()
        waiting = Deferred.fromCoroutine(self.machine.holdings.judged(A))
        self.assertIsNone(self.successResultOf(waiting))

    def test_after_stop_nothing_is_taken(self) -> None:
        self.start()
        incoming = self.machine.received(b"data")
        self.addCleanup(incoming.close)
        self.machine.stop()
        self.assertEqual(self.machine.publishing(incoming, A, b"data"), [False])


class StoreMachine(RuleBasedStateMachine):
    """The store against a model: names in the order of their last use."""

    names = st.sampled_from([f"package{number}-1-1-any.pkg.tar.zst" for number in range(8)])
    MAX_SIZE = 20_000

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(prefix="flocon-test-"))
        self.machine = Machine(self.top, self.MAX_SIZE).start()
        #: What the store should have: name to data, the longest unused first.
        self.model: OrderedDict[str, bytes] = OrderedDict()

    def teardown(self) -> None:
        self.machine.stop()
        shutil.rmtree(self.top)

    def needed(self, data: bytes) -> int:
        return len(data) + len(SIGNATURE)

    @rule(name=names, size=st.integers(1, 24_000), seed=st.integers(0, 1))
    def publish(self, name: str, size: int, seed: int) -> None:
        data = bytes([seed]) * size
        kept = self.machine.publish(name, data)
        if self.machine_cache_has(name, data):
            assert kept
            return
        assert kept == (self.needed(data) <= self.MAX_SIZE)
        if kept and self.model.get(name) != data:
            self.model.pop(name, None)
            while sum(map(self.needed, [*self.model.values(), data])) > self.MAX_SIZE:
                self.model.popitem(last=False)
            self.model[name] = data

    def machine_cache_has(self, name: str, data: bytes) -> bool:
        path = self.machine.folder / name
        return path.exists() and path.read_bytes() == data

    @rule(name=names)
    def send(self, name: str) -> None:
        held = self.machine.cache.find(name)
        if held is not None and held.origin == "store":
            assert self.machine.read(name) == self.model[name]
            self.model.move_to_end(name)

    @rule(name=names)
    def pacman_gets_it_too(self, name: str) -> None:
        if name in self.model:
            self.machine.lay(name, self.model.pop(name))

    @rule(name=names)
    def pacman_cleans_its_cache(self, name: str) -> None:
        for path in (self.machine.folder / name, self.machine.folder / (name + ".sig")):
            path.unlink(missing_ok=True)
        self.machine.report(self.machine.folder, name)

    @rule()
    def restart(self) -> None:
        self.machine.restart()

    @invariant()
    def the_store_is_what_the_model_says(self) -> None:
        expected = {name: content_of(data) for name, data in self.model.items()}
        on_disk = self.machine.stored()
        assert on_disk == {*self.model, *(name + ".sig" for name in self.model)}
        for name, content in expected.items():
            assert content_of((self.machine.packages / name).read_bytes()) == content
        size = sum(path.stat().st_size for path in self.machine.packages.iterdir())
        assert size == self.machine.cache.store.size <= self.MAX_SIZE
        assert not list((self.top / "store" / "incoming").iterdir())

    @invariant()
    def everything_on_disk_is_offered(self) -> None:
        in_cache = {path.name for path in self.machine.folder.iterdir() if path.suffix != ".sig"}
        assert set(self.machine.held()) == {*self.model, *in_cache}


class StoreModelTests(SynchronousTestCase):
    def test_the_bound_holds_and_the_longest_unused_goes(self) -> None:
        # The disk's own promises are tested by kill -9; here they would only take time.
        with mock.patch.object(os, "fsync"):
            run_state_machine_as_test(
                StoreMachine,
                settings=settings(max_examples=40, stateful_step_count=25, deadline=None),
            )


class RealTests(TestCase):
    """With the real reactor, threads and inotify."""

    def setUp(self) -> None:
        self.top = Path(tempfile.mkdtemp(prefix="flocon-test-"))
        self.addCleanup(shutil.rmtree, self.top)
        self.folder = self.top / "cache"
        self.folder.mkdir()
        self.waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def make(self) -> Cache:
        holdings = Holdings(
            real_reactor,
            store=self.top / "store",
            max_size=1 << 20,
            listed=lambda _: (),
            signature_needed=lambda _: True,
            changed=self.changed,
            directories=[self.folder],
        )
        cache = Cache(holdings)
        cache.startService()
        self.addCleanup(cache.stopService)
        return cache

    def changed(self, _changes: list[Change]) -> None:
        for true, done in list(self.waiting):
            if true():
                self.waiting.remove((true, done))
                done.callback(None)

    def until(self, true: Callable[[], bool]) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        if true():
            done.callback(None)
        else:
            self.waiting.append((true, done))
            done.addTimeout(20, real_reactor)
        return done

    async def test_what_comes_and_goes_is_noticed(self) -> None:
        put(self.folder, A, b"data")
        cache = self.make()
        await cache.ready
        await self.until(lambda: A in cache.inventory.names())
        put(self.folder, B, b"data")
        await self.until(lambda: B in cache.inventory.names())
        (self.folder / A).unlink()
        await self.until(lambda: A not in cache.inventory.names())

    async def test_a_published_package_is_there_and_makes_way_for_pacmans(self) -> None:
        cache = self.make()
        incoming = cache.incoming(4)
        os.write(incoming.fileno(), b"data")
        self.assertTrue(await cache.publish(incoming, A, content_of(b"data"), SIGNATURE))
        self.assertEqual(os.pread(incoming.fileno(), 9, 0), b"data")
        incoming.close()
        put(self.folder, A, b"data")
        stored = self.top / "store" / "packages" / A
        for _ in range(500):
            if not stored.exists():
                break
            await deferLater(real_reactor, 0.02)
        held = cache.find(A)
        assert held is not None
        self.assertEqual((held.origin, stored.exists()), ("cache", False))

    async def test_stopping_does_not_wait_for_a_large_file(self) -> None:
        with (self.folder / A).open("wb") as file:
            file.truncate(20 << 30)
        os.utime(self.folder / A, (OLD, OLD))
        (self.folder / (A + ".sig")).write_bytes(SIGNATURE)
        cache = self.make()
        await cache.ready
        await deferLater(real_reactor, 0.05)
        began = real_reactor.seconds()
        await cache.stopService()
        self.assertLess(real_reactor.seconds() - began, 1)
        self.assertEqual(len(cache.inventory), 0)


#: Publishes without end, under eight names, more than the bound allows.
_PUBLISHER = """
import hashlib, os, random, sys
from pathlib import Path
from twisted.internet import reactor, task
from twisted.internet.defer import Deferred
from flocon.holdings.inventory import Content
from flocon.holdings.holdings import JUDGED_WITHIN, LOOK_AGAIN, Holdings

holdings = Holdings(reactor, store=Path(sys.argv[1]), max_size=2_000_000, listed=lambda name: (),
              signature_needed=lambda name: True, changed=lambda changes: None, pause=0)
chance = random.Random(sys.argv[2])

async def publish():
    while True:
        data = chance.randbytes(chance.randrange(1, 600_000))
        incoming = holdings.keeping.incoming(len(data))
        os.write(incoming.fileno(), data)
        content = Content(len(data), hashlib.sha256(data).digest())
        name = f"package{chance.randrange(8)}-1-1-any.pkg.tar.zst"
        await holdings.keeping.publish(incoming, name, content, content.sha256)
        incoming.close()

holdings.startService()
os.write(1, b"x")
for _ in range(3):
    Deferred.fromCoroutine(publish())
reactor.run()
"""


class KilledTests(TestCase):
    KILLS = 20

    def test_a_killed_node_leaves_whole_and_signed_packages_only(self) -> None:
        """Here a package's signature is its SHA-256, so each file can be judged by itself."""
        top = Path(tempfile.mkdtemp(prefix="flocon-test-"))
        self.addCleanup(shutil.rmtree, top)
        chance = random.Random(7)
        survived = interrupted = 0
        for kill in range(self.KILLS):
            self.run_and_kill(top / "store", kill, chance.uniform(0, 0.15))
            machine = Machine(top, max_size=2_000_000)
            # Lying there after the kill, before anything of ours has looked at it:
            on_disk = {path.name: path for path in machine.packages.iterdir()}
            for name, path in on_disk.items():
                if not name.endswith(".sig"):
                    sha256 = hashlib.sha256(path.read_bytes()).digest()
                    self.assertEqual(on_disk[name + ".sig"].read_bytes(), sha256, name)
            interrupted += len(list((top / "store" / "incoming").iterdir()))
            machine.start()
            for name, content in machine.held().items():
                self.assertEqual(content_of((machine.packages / name).read_bytes()), content)
            whole = {name for name in on_disk if not name.endswith(".sig")}
            self.assertEqual(set(machine.held()), whole)
            self.assertEqual(machine.stored(), whole | {name + ".sig" for name in whole})
            self.assertLessEqual(
                sum(path.stat().st_size for path in machine.packages.iterdir()), 2_000_000
            )
            self.assertEqual(list((top / "store" / "incoming").iterdir()), [])
            survived += len(whole)
            machine.stop()
        # The kills came neither all too early nor all too late to prove anything.
        self.assertGreater(survived, self.KILLS)
        self.assertGreater(interrupted, self.KILLS)

    def run_and_kill(self, store: Path, seed: int, after: float) -> None:
        command = [sys.executable, "-c", _PUBLISHER, str(store), str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment()) as process:
            assert process.stdout is not None
            self.assertEqual(process.stdout.read(1), b"x")
            time.sleep(after)
            process.send_signal(signal.SIGKILL)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
