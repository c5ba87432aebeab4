"""Mutated input for everything a stranger, a mirror or a careless hand can write.

    python -m tests.fuzz [--seed 0] [--scale 1.0] [TARGET ...]

Each target takes a right input, mutates it as a seed decides, and feeds it to what reads it: only
the error that reading may raise is let through, so anything else ends the run with the line that
replays it. The numbers of the targets are those of a long run; a test runs a hundredth of each.
Those that need a running node are in ``tests.lan.fuzz_http``.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import lzma
import random
import resource
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_interface
from pathlib import Path

from flocon.datagrams.messages import Announcement, Kind, decode, encode
from flocon.errors import ConfigurationError, DatagramError, InventoryError
from flocon.files import Content, parse_file_name, parse_path
from flocon.holdings.inventory import Change
from flocon.leading import node_lines, pacman_conf, plan
from flocon.machine.links import Link
from flocon.neighbours.inventory_text import InventoryReader, format_inventory
from flocon.neighbours.replicas import Holders
from flocon.pacman import answers, database_files, includes
from flocon.presence.own_announcement import Identity
from flocon.presence.presence import Presence
from flocon.settings import options

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: What mutations put in: what readers of numbers, paths, JSON, TOML and HTTP stumble over.
MORSELS = (
    b"", b"\0", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b"-1", b"0", b"1e999", b"9" * 30, b"NaN",
    b"\xff\xfe", b"\xed\xa0\x80", "\u2028\u0661".encode(), b"../", b"/", b"%2e%2e%2f", b"%00", b"%",
    b"{", b"[" * 50, b"]", b'"', b"'", b"\\", b"null", b"true", b"=", b"#", b"*", b"$repo",
    b"A" * 300,
    b".sig", b".pkg.tar.zst", b":", b"+", b"bytes=0-", b"bytes=-1", b"chunked", b"Infinity", b"[[",
    b"0x1",
)  # fmt: skip


def mutate(dice: random.Random, data: bytes) -> bytes:
    """Return ``data`` with one to six changes: bits, bytes, cuts, repeats, swaps, morsels."""
    result = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        size = len(result)
        at = dice.randrange(size + 1)
        match dice.randrange(8):
            case 0 if at < size:
                result[at] ^= 1 << dice.randrange(8)
            case 1 if at < size:
                result[at] = dice.randrange(256)
            case 2:
                del result[at : at + dice.choice((1, 1, 2, 8, 64, 1_000))]
            case 3:
                result[at:at] = dice.choice(MORSELS)
            case 4:
                result[at : at + dice.randrange(1, 12)] = dice.choice(MORSELS)
            case 5:
                piece = result[at : at + dice.randrange(1, 80)]
                result[at:at] = piece * dice.randrange(1, 4)
            case 6:
                del result[at:]
            case _:
                other = dice.randrange(size + 1)
                result[at:at] = result[other : other + dice.randrange(1, 40)]
    return bytes(result)


Step = Callable[[], None]
_Made = Callable[[random.Random, Path], Step]


@dataclass(frozen=True, slots=True)
class Target:
    """What is fuzzed: ``make`` returns what feeds one input; ``count`` is for a long run."""

    name: str
    count: int
    make: _Made


def _announcements() -> list[bytes]:
    change = Change("name-1-1-any.pkg.tar.zst", Content(5, bytes(32)))
    plain = Announcement(
        Kind.HELLO, "0" * 16, "a" * 8, 1, "n", 19432, "arch", ("x86_64",), 30.0, 7, 3
    )
    full = Announcement(
        Kind.BEAT,
        "1" * 16,
        "b" * 8,
        9,
        "name",
        80,
        "arch",
        ("x86_64", "any"),
        0.5,
        2,
        1,
        (("core", "0" * 16),),
        frozenset({"relay", "store"}),
        (change, change),
    )
    bye = Announcement(Kind.BYE, "2" * 16, "c" * 8, 3, "z", 1, "arch", (), 30.0, 0, 0)
    return [encode(one) for one in (plain, full, bye)]


def _datagrams(dice: random.Random, _: Path) -> Step:
    """Datagrams, into the format and into presence, from ever new addresses and nodes."""
    presence = Presence(
        Identity("f" * 16, "e" * 8, "own"), chance=dice, beat=30.0, port=19432, system="arch"
    )
    presence.start(0.0)
    presence.networks_changed(0.0, [Link("eth0", 1, (ip_interface("10.0.0.1/8"),))])
    right = _announcements()
    now = 0.0

    def step() -> None:
        nonlocal now
        data = dice.choice(right)
        if dice.random() < 0.5:
            data = data.replace(
                data[data.index(b'"n":"') + 5 :][:16], b"%016x" % dice.getrandbits(64)
            )
        if dice.random() < 0.9:
            data = mutate(dice, data)
        with suppress(DatagramError):
            decode(data)
        now += dice.random() * 0.01
        presence.receive(now, f"10.0.{dice.randrange(256)}.{dice.randrange(256)}", data)
        presence.tick(now)
        presence.take_datagrams()
        presence.take_events()

    return step


def _inventories(dice: random.Random, _: Path) -> Step:
    """Inventories, in pieces, and into the table of holders."""
    changes = [
        Change(f"p{number}-1:{number}-1-any.pkg.tar.zst", Content(number, dice.randbytes(32)))
        for number in range(20)
    ]
    changes.append(Change(changes[0].file_name, changes[0].content, held=False))
    right = b"".join(format_inventory("a" * 8, 21, changes, whole=True))
    holders = Holders(most_files=2_000, most_holders=16)

    def step() -> None:
        data = mutate(dice, right) if dice.random() < 0.95 else dice.randbytes(300)
        reader = InventoryReader(most_changes=100)
        peer = str(dice.randrange(40))
        with suppress(InventoryError):
            while data:
                size = dice.randrange(1, 2_000)
                reader.feed(data[:size])
                data = data[size:]
        holders.replace(peer, reader.generation, reader.take())
        if dice.random() < 0.3:
            holders.forget(peer)
            holders.sweep()

    return step


def _description(number: int) -> bytes:
    return (
        f"%FILENAME%\nname{number}-1:1.0+r1-1-x86_64.pkg.tar.zst\n\n%NAME%\nname{number}\n\n"
        f"%VERSION%\n1:1.0+r1-1\n\n%CSIZE%\n12345\n\n%SHA256SUM%\n{'ab' * 32}\n\n"
        "%PGPSIG%\naGVsbG8=\n\n"
    ).encode()


def database(entries: int) -> bytes:
    """Return an uncompressed sync database."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for number in range(entries):
            content = _description(number)
            member = tarfile.TarInfo(f"name{number}-1:1.0+r1-1/desc")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _databases(dice: random.Random, folder: Path) -> Step:
    """Sync databases: mutated within, and mutated as they lie on disk, of every compression."""
    plain = database(6)
    ways: list[Callable[[bytes], bytes]] = [
        bytes,
        lambda data: gzip.compress(data, 1),
        lambda data: zstd.compress(data, 1),
        lambda data: lzma.compress(data, preset=0),
        lambda data: bz2.compress(data, 1),
    ]
    packed = [way(plain) for way in ways]
    path = folder / "core.db"

    def step() -> None:
        if dice.random() < 0.5:
            data = dice.choice(ways[:3])(mutate(dice, plain))
        else:
            data = mutate(dice, dice.choice(packed))
        path.write_bytes(data)
        database_files.load("core", path)

    return step


CONF = b"""
[options]
Architecture = auto
CacheDir = /var/cache/pacman/pkg/
SigLevel = Required DatabaseOptional
ParallelDownloads = 5
# flocon: Server = http://mirror.example/$repo
[core]
Include = /etc/pacman.d/mirrorlist
[extra]
CacheServer = http://localhost:19433/$repo/os/$arch
Server = http://localhost:19433/$repo/os/$arch
Server = https://mirror.example/$repo/os/$arch
"""
MIRRORS = b"# a list\nServer = https://a.example/$repo/os/$arch\n#Server = http://b/$repo\n" * 3


def _configurations(dice: random.Random, folder: Path) -> Step:
    """pacman.conf and mirrorlists: what setup plans, what is scanned, what pacman-conf prints."""
    conf, listed = folder / "pacman.conf", folder / "mirrorlist"
    right = CONF.replace(b"/etc/pacman.d/mirrorlist", str(listed).encode())

    def step() -> None:
        text = mutate(dice, right) if dice.random() < 0.7 else right
        mirrors = mutate(dice, MIRRORS) if dice.random() < 0.7 else MIRRORS
        # No pattern of a mutated Include reads more than this folder.
        text = text.replace(b"Include = /", b"Include = " + str(folder).encode() + b"/")
        patterns = pacman_conf.include_patterns(text) + pacman_conf.include_patterns(mirrors)
        included = {pattern: (str(listed),) for _, pattern in patterns}
        configuration = pacman_conf.Configuration(
            str(conf), {str(conf): text, str(listed): mirrors}, included
        )
        for read in (
            lambda: list(pacman_conf.statements(configuration)),
            lambda: plan.plan(configuration, dice.choice(list(node_lines.Method)), 19433),
            lambda: pacman_conf.flattened(configuration),
        ):
            with suppress(ConfigurationError):
                read()
        conf.write_bytes(text)
        listed.write_bytes(mirrors)
        scanner = includes.Scanner()
        scanner.read(conf)
        servers = {section: tuple(values) for section, values in scanner.servers.items()}
        scan = includes.Scan(conf, scanner.stamps, tuple(scanner.patterns), servers)
        sections = answers.sections_of(text.decode("utf-8", "surrogateescape"))
        answers.configuration_of(sections, scan, {19433})

    return step


TOML = b"""
name = "host"
mirrors = ["https://a.example/$repo/os/$arch"]
relay = true
[presence]
beat = 30
interfaces = ["eth0"]
group = "228.0.2.35"
[store]
max_size = "20G"
[peers]
bandwidth = "10M"
relays = 8
"""


def _settings(dice: random.Random, folder: Path) -> Step:
    """flocon.toml."""
    path = folder / "flocon.toml"

    def step() -> None:
        path.write_bytes(mutate(dice, TOML))
        try:
            options.load({"config": path})
        except ConfigurationError as error:
            assert str(path) in str(error), error

    return step


def _names(dice: random.Random, _: Path) -> Step:
    """Paths and file names."""
    right = [
        b"/core/os/x86_64/gtk++-1:0.99+r12-3-x86_64.pkg.tar.zst.sig",
        b"/extra.db", b"/core%2Fos/x86_64/a-1-1-any.pkg.tar.zst", b"/multilib/os/x86_64/x.files",
    ]  # fmt: skip

    def step() -> None:
        path = mutate(dice, dice.choice(right))
        asked = parse_path(path)
        if asked is not None:
            assert "/" not in asked.file.text, path
            assert asked.file.text not in {"", ".", ".."}, path
        parse_file_name(path.decode("latin-1"))

    return step


TARGETS = {
    target.name: target
    for target in (
        Target("datagrams", 1_000_000, _datagrams),
        Target("inventories", 100_000, _inventories),
        Target("databases", 100_000, _databases),
        Target("configurations", 100_000, _configurations),
        Target("settings", 100_000, _settings),
        Target("names", 300_000, _names),
    )
}
#: Inputs of one seed: so many are replayed to see a failure again.
BATCH = 1_000
#: Kilobytes that a target may take more in its second half than in its first.
MOST_GROWTH = 20_000


def run(target: Target, seed: int, count: int) -> float:
    """Feed ``count`` inputs; return how many kilobytes the second half took more than the first.

    Raises AssertionError with the line that replays what went wrong.
    """
    half = 0
    with tempfile.TemporaryDirectory(prefix="flocon-fuzz-") as name:
        for number in range(0, count, BATCH):
            step = target.make(random.Random(f"{seed} {target.name} {number}"), Path(name))
            try:
                for _ in range(min(BATCH, count - number)):
                    step()
            except Exception as error:
                again = f"python -m tests.fuzz --seed {seed} --batch {number} {target.name}"
                raise AssertionError(f"{type(error).__name__}: {error}; again: {again}") from error
            if number <= count // 2:
                half = _memory()
    return _memory() - half


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def again(target: Target, seed: int, number: int) -> None:
    """Feed one batch again, and let what it raises through."""
    with tempfile.TemporaryDirectory(prefix="flocon-fuzz-") as name:
        step = target.make(random.Random(f"{seed} {target.name} {number}"), Path(name))
        for _ in range(BATCH):
            step()


def main(arguments: list[str]) -> int:
    """Run targets; 1 where one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--batch", type=int)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    given = parser.parse_args(arguments)
    failed = 0
    for name in given.targets or TARGETS:
        target = TARGETS[name]
        if given.batch is not None:
            again(target, given.seed, given.batch)
            continue
        count = int(target.count * given.scale)
        began = time.monotonic()
        try:
            grown = run(target, given.seed, count)
        except AssertionError as error:
            failed += 1
            print(f"{name}: FAILED {error}", flush=True)
            continue
        seconds = time.monotonic() - began
        flat = "flat" if grown < MOST_GROWTH else "GROWING"
        failed += grown >= MOST_GROWTH
        print(f"{name}: {count} inputs, {seconds:.0f} s, memory {flat} ({grown} kB)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
