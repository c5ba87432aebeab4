"""What the benchmarks share: the LAN they run on, rivals, clocks, medians and the table.

Every benchmark is a module with ``run(laboratory) -> list[Row]``. Contenders take turns within one
run, so that what else the machine does meets all of them; medians are compared, and what counts is
the ratio, not the figure. Needs root, pacman, nginx and wrk; everything is on tmpfs.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import io
import itertools
import os
import random
import re
import shutil
import statistics
import string
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from flocon.neighbours.acquaintance import HEARING
from tests.lan.lan import MIRROR_ADDRESS, Host, Lan, Node, environment, unavailable, wait_until
from tests.lan.repository import PythonDatabase, Recipe, Repository, SigningKey, install, recipes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tests.lan.repository import Package

T = TypeVar("T")
REPOSITORY = "bench"
MIB = 1 << 20
#: The four packages that make 56 small ones a download of 371 MB.
LARGE = (50_000_000, 70_000_000, 91_000_000, 140_000_000)
SMALL_COUNT = 56
#: Seconds that machines rest between two downloads: nobody updates in a hot loop.
REST = 1.5
#: A version before all others.
EARLIER = "0-1"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; ``bar`` is like "<= 1.35" or "< 50", empty where nothing is asked."""

    claim: str
    ours: str
    theirs: str
    value: float
    bar: str

    @property
    def passes(self) -> bool | None:
        if not self.bar:
            return None
        relation, number = self.bar.split()
        limit = float(number)
        return {
            "<=": self.value <= limit,
            "<": self.value < limit,
            ">=": self.value >= limit,
        }[relation]


def ratio(
    claim: str, ours: Sequence[float], theirs: Sequence[float], unit: str, bar: str = ""
) -> Row:
    """Return the row that compares the medians of two series."""
    mine, other = statistics.median(ours), statistics.median(theirs)
    return Row(claim, figure(mine, unit), figure(other, unit), mine / other, bar)


def plain(claim: str, value: float, unit: str, bar: str = "") -> Row:
    """Return the row of a figure that has a bar of its own."""
    return Row(claim, figure(value, unit), "", value, bar)


def figure(value: float, unit: str) -> str:
    return f"{value:,.3g} {unit}" if abs(value) < 1_000 else f"{value:,.0f} {unit}"


def show(rows: Iterable[Row]) -> None:
    """Print the table."""
    verdicts = {True: "yes", False: "NO", None: ""}
    lines = [("claim", "flocon", "rival", "value", "bar", "met")]
    lines += [
        (row.claim, row.ours, row.theirs, f"{row.value:.3g}", row.bar, verdicts[row.passes])
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(6)]
    for line in lines:
        cells = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())


def rested(way: Callable[[], T]) -> Callable[[], T]:
    """Return what rests a while before it goes that way."""

    def rest_and_go() -> T:
        time.sleep(REST)
        return way()

    return rest_and_go


def interleave(
    contenders: Mapping[str, Callable[[], T]], rounds: int, *, warm: int = 0
) -> dict[str, list[T]]:
    """Let contenders take turns, each time beginning with another one.

    The first ``warm`` rounds are run and not counted.
    """
    results: dict[str, list[T]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(warm + rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            result = contenders[name]()
            if number >= warm:
                results[name].append(result)
                print(f"  {name}: {result}", file=sys.stderr, flush=True)
    return results


# Processes, as the kernel counts them


def cpu_seconds(pid: int) -> float:
    """Return the processor time a process has used so far, in all its threads."""
    fields = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(text.split()[0]) for text in fields) / 1e9


def switches(pid: int) -> int:
    """Return how often the threads of a process have begun to wait, and so were woken."""
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/status"):
        with contextlib.suppress(OSError):
            for line in path.read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split()[1])
    return total


def memory(pid: int, kind: str = "Rss") -> float:
    """Return the MB a process has in memory (``Rss``), or that it alone has (``Pss_Anon``)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1_024 / 1e6
    raise KeyError(kind)


# The LAN


class Laboratory:
    """A LAN, one signed repository, and what runs on the hosts; take down with ``close``."""

    def __init__(self) -> None:
        if reason := unavailable():
            raise SystemExit(f"no benchmark here: {reason}")
        self.lan = Lan()
        # What is measured is started as everywhere, and shares no memory.
        self.lan.forks = False
        self.lan.repositories = [REPOSITORY]
        self._key = SigningKey(self.lan.folder / "key")
        self._key.make_keyring(self.lan.keyring)
        self._repository = Repository(self.lan.folder / "origin", REPOSITORY, key=self._key)
        #: The longest hold of each node that was looked at, in milliseconds.
        self.holds: list[float] = []
        #: How often one was longer than 50 ms.
        self.long_holds = 0
        self.nodes_ended = 0
        self._numbers = itertools.count(1)

    def close(self) -> None:
        self._key.close()
        self.lan.close()

    def host(self, name: str, number: int) -> Host:
        """Return the host of this name, added if need be, as 10.77.0.NUMBER."""
        return self.lan.hosts.get(name) or self.lan.host(name, f"10.77.0.{number}")

    def packages(self) -> list[Package]:
        """Return 56 small packages and four large ones, 371 MB in all, built once."""
        return self.many(recipes(SMALL_COUNT + len(LARGE), seed=5, large=LARGE))

    def package(self, name: str, size: int) -> Package:
        """Return one package of this many bytes of payload, built once."""
        return self.many([Recipe(name, "1.0-1", size)])[0]

    def many(self, wanted: Sequence[Recipe]) -> list[Package]:
        """Return these packages, built once."""
        built = self._repository.packages
        if missing := [recipe for recipe in wanted if recipe.name not in built]:
            self._repository.add(missing)
        return [built[recipe.name] for recipe in wanted]

    def mirror(self) -> Host:
        """Return the host where every pacman.conf has its mirror."""
        return self.lan.hosts.get("mirror") or self.lan.host("mirror", MIRROR_ADDRESS)

    def earlier(self, packages: Sequence[Package]) -> Path:
        """Return a database that lists an earlier version of each of these."""
        folder = self.lan.folder / f"earlier-{next(self._numbers)}"
        repository = Repository(folder, REPOSITORY, writer=PythonDatabase())
        repository.add(Recipe(one.name, EARLIER, 1, one.recipe.architecture) for one in packages)
        # A mirror's is newer than what was synced before.
        then = self._repository.database.stat().st_mtime - 3_600
        os.utime(repository.database, (then, then))
        return repository.database

    def publish(self, mirror: Host, packages: Iterable[Package] = ()) -> None:
        """Have a host serve the database by nginx, and of the packages only these, as a mirror."""
        folder = mirror.folder / "root" / REPOSITORY / "os" / "x86_64"
        folder.mkdir(parents=True, exist_ok=True)
        for package in packages:
            for path in (package.path, package.signature):
                (folder / path.name).symlink_to(path)
        shutil.copy2(self._repository.database, folder / f"{REPOSITORY}.db")
        nginx(mirror, "mirror", f"server {{ listen 80; root {mirror.folder}/root; }}")
        wait_for_port(mirror, 80)

    def sync(self, host: Host, database: Path | None = None) -> None:
        """Give a host the database (or another), as if it had just run ``pacman -Sy``."""
        target = host.database_path / "sync" / f"{REPOSITORY}.db"
        shutil.copy2(database or self._repository.database, target)

    def hold(self, host: Host, packages: Iterable[Package]) -> None:
        """Put packages with their signatures into a host's CacheDir."""
        for package in packages:
            for path in (package.path, package.signature):
                if not (host.cache / path.name).exists():
                    shutil.copy2(path, host.cache / path.name)

    def node(
        self, host: Host, *, files: int | None = None, database: Path | None = None, **options: Any
    ) -> Node:
        """Start a node with the newest database; wait until it is ready and holds ``files``."""
        self.sync(host, database)
        node = host.node(**options)
        if files is not None:
            wait_until(
                lambda: node.status()["inventory"]["files"] == files, 60, f"{files} files held"
            )
        return node

    def fresh_node(self, host: Host, **options: Any) -> Node:
        """Start a node whose machine has downloaded nothing yet."""
        forget_downloads(host)
        shutil.rmtree(host.store, ignore_errors=True)
        host.store.mkdir()
        return self.node(host, **options)

    def end(self, node: Node) -> None:
        """Stop a node, once it has told how long it held its reactor."""
        held = node.status()["reactor"]
        self.holds.append(held["longest_hold_ms"])
        self.long_holds += held["holds_over_50_ms"]
        self.nodes_ended += 1
        node.stop()
        node.host.nodes.remove(node)

    def longest_hold(self, claim: str) -> Row:
        """Return the row of the longest hold of all nodes since the last such row."""
        longest = max(self.holds, default=0.0)
        claim += f" ({self.nodes_ended} nodes, {self.long_holds} holds above)"
        self.holds.clear()
        self.long_holds = self.nodes_ended = 0
        return plain(f"8 longest hold, {claim}", longest, "ms", "< 50")


#: Seconds after a node's start.
ACQUAINTED = HEARING + 0.2


def knows(node: Node, holders: int, files: int) -> None:
    """Wait until a node has read the inventories of so many peers, each with so many files.

    And until it is acquainted: in its first moments it lets pacman wait for those who may answer.
    """

    def ready() -> bool:
        if node.status()["uptime_seconds"] < ACQUAINTED:
            return False
        peers = [peer["files_known"] for peer in node.status()["peers"]]
        return len([count for count in peers if count == files]) == holders

    wait_until(ready, 60, f"{holders} peers with {files} files are known")


def install_earlier(host: Host, packages: Iterable[Package]) -> None:
    """Have pacman believe that an earlier version of each of these is installed, and no others."""
    earlier = [replace(package.recipe, version=EARLIER) for package in packages]
    install(host.database_path / "local", earlier)


def forget_downloads(host: Host, kept: Iterable[Package] = ()) -> None:
    """Empty a host's CacheDir, but for what is ``kept``.

    The folder stays, since a node that follows it would look anew.
    """
    stays = {name for one in kept for name in (one.path.name, one.signature.name)}
    for path in host.cache.iterdir():
        if path.name in stays:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


# A large LAN

#: As many as Arch's ``extra`` lists.
LISTED = 14_000
PEERS, FILES, DEAD = 100, 3_000, 20
PEERS_AT_AN_ADDRESS = 10


@dataclass(frozen=True, slots=True)
class Listing:
    """One package as a sync database lists it."""

    file_name: str
    size: int
    sha256: str


def write_file(folder: Path, name: str, size: int) -> Listing:
    """Write so many random bytes, and a signature that nobody will check, as package ``name``."""
    file_name = f"{name}-1.0-1-x86_64.pkg.tar.zst"
    digest = hashlib.sha256()
    with (folder / file_name).open("wb") as file:
        for start in range(0, size, MIB):
            data = os.urandom(min(MIB, size - start))
            digest.update(data)
            file.write(data)
    (folder / f"{file_name}.sig").write_bytes(b"signature")
    return Listing(file_name, size, digest.hexdigest())


def write_database(
    path: Path,
    listed: Iterable[Listing],
    count: int = LISTED,
    *,
    seed: int = 3,
    architecture: str = "x86_64",
) -> list[Listing]:
    """Write a sync database of ``count`` entries with signatures: ``listed``, and invented ones."""
    dice = random.Random(seed)
    every = list(listed)
    while len(every) < count:
        name = f"{dice.choice(string.ascii_lowercase)}-invented{len(every):05}"
        name += f"-{dice.randrange(9)}.{dice.randrange(99)}-1"
        every.append(
            Listing(
                f"{name}-{architecture}.pkg.tar.zst",
                dice.randrange(10**7),
                dice.randbytes(32).hex(),
            )
        )
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT, compresslevel=1) as tar:
        for one in every:
            name = one.file_name.rsplit("-", 1)[0]
            package, version, release = name.rsplit("-", 2)
            fields = {
                "FILENAME": one.file_name,
                "NAME": package,
                "VERSION": f"{version}-{release}",
                "DESC": "a package of the benchmarks",
                "CSIZE": one.size,
                "SHA256SUM": one.sha256,
                "PGPSIG": base64.b64encode(dice.randbytes(400)).decode(),
                "ARCH": architecture,
                "DEPENDS": "\n".join(f"library{number}" for number in range(8)),
            }
            text = "".join(f"%{key}%\n{value}\n\n" for key, value in fields.items()).encode()
            member = tarfile.TarInfo(f"{name}/desc")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    return every


class Crowd:
    """100 peers that only announce themselves, on one host with ten addresses."""

    def __init__(self, host: Host, database: Path) -> None:
        self._host = host
        self._addresses = [f"10.77.0.{100 + one}" for one in range(PEERS // PEERS_AT_AN_ADDRESS)]
        for address in self._addresses:
            host.ip("addr", "replace", f"{address}/24", "dev", "eth0")
        log = host.folder / "crowd.log"
        log.unlink(missing_ok=True)
        command = [sys.executable, "-m", "bench.fake_peers", str(PEERS), str(FILES)]
        host.start([*command, str(database), *self._addresses], log=log)
        wait_until(lambda: log.exists() and "ready" in log.read_text(), 60, "the crowd listens")

    def die(self, count: int = DEAD) -> None:
        """Take the addresses of so many away: whoever asks them hears nothing."""
        for address in self._addresses[: count // PEERS_AT_AN_ADDRESS]:
            self._host.ip("addr", "del", f"{address}/24", "dev", "eth0")


# Rivals


def nginx(host: Host, name: str, servers: str, *, options: str = "") -> subprocess.Popen[bytes]:
    """Start nginx as one process, which is what its processor time is counted of."""
    folder = host.folder / name
    folder.mkdir(exist_ok=True)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"""
daemon off; master_process off; user root; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 1024; }}
http {{
{temporary}
access_log off; default_type application/octet-stream;
sendfile on; tcp_nopush on; keepalive_requests 100000000;
{options}
{servers}
}}
"""
    )
    return host.start(["nginx", "-c", str(config)], log=folder / "output")


def static_nginx(host: Host, port: int = 80) -> subprocess.Popen[bytes]:
    """Start an nginx that serves the host's CacheDir as /pkg/, which is the LAN face's path."""
    server = f"server {{ listen {port}; location /pkg/ {{ alias {host.cache}/; }} }}"
    process = nginx(host, f"static-{port}", server)
    wait_for_port(host, port)
    return process


def caching_nginx(host: Host, upstream: Host, port: int) -> subprocess.Popen[bytes]:
    """Start an nginx that relays ``upstream``'s nginx and keeps what it relayed, empty at first."""
    shutil.rmtree(host.folder / "relayed", ignore_errors=True)
    options = f"""
proxy_cache_path {host.folder}/relayed levels=1:2 keys_zone=relayed:10m max_size=4g;
upstream holder {{ server {upstream.address}:80; keepalive 8; }}
"""
    server = f"""
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://holder; proxy_http_version 1.1; proxy_set_header Connection "";
        proxy_cache relayed; proxy_cache_valid 200 1h;
    }}
}}
"""
    process = nginx(host, f"caching-{port}", server, options=options)
    wait_for_port(host, port)
    return process


def redirector(host: Host, addresses: Sequence[str], port: int) -> subprocess.Popen[bytes]:
    """Start the redirector: it asks the nginx at each of these addresses for each file."""
    places = [f"{address}:80" for address in addresses]
    process = host.start([sys.executable, "-m", "bench.redirector", str(port), *places])
    wait_for_port(host, port)
    return process


def bare_relay(host: Host, holder: Host, port: int) -> subprocess.Popen[bytes]:
    """Start the least that a relay can be, from the holder's nginx."""
    command = [sys.executable, "-m", "bench.bare_relay", str(port), holder.address, "80"]
    process = host.start([*command, str(holder.cache)])
    wait_for_port(host, port)
    return process


def wait_for_port(host: Host, port: int) -> None:
    def answers() -> bool:
        try:
            host.connect("127.0.0.1", port, timeout=1).close()
        except OSError:
            return False
        return True

    wait_until(answers, 10, f"something listens on port {port} of {host.name}")


@contextlib.contextmanager
def running(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """End a process at the end."""
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


# pacman


def pacman_conf(host: Host, server: str) -> Path:
    """Write a pacman.conf whose only server is ``server``."""
    text = host.pacman_conf().read_text()
    lines = [
        f"Server = {server}" if line.startswith("Include") else line for line in text.splitlines()
    ]
    path = host.folder / "pacman-bench.conf"
    path.write_text("\n".join([*lines, ""]))
    return path


def download(
    host: Host, server: str, packages: Sequence[Package], kept: Sequence[Package] = ()
) -> float:
    """Run real pacman on a CacheDir with what is ``kept``; return its download phase in seconds."""
    forget_downloads(host, kept)
    names = [package.name for package in packages]
    return transaction(host, pacman_conf(host, server), packages, "-Sw", *names)


def transaction(
    host: Host, conf: Path, packages: Sequence[Package], *arguments: str, pause: float | None = None
) -> float:
    """Run real pacman, which has to bring these packages; return its download phase in seconds.

    That is from ``Retrieving packages`` to the line that follows the last download; checking
    signatures takes pacman longer than all else and is the same for everyone. A ``pause`` is what a
    person takes to answer pacman's question; without one it asks none.
    """
    command = ["stdbuf", "-oL", "pacman", "--config", str(conf), "--noprogressbar", *arguments]
    process = subprocess.Popen(
        host.command([*command, *(["--noconfirm"] if pause is None else [])]),
        env=environment(),
        cwd=host.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    began = ended = 0.0
    said, asked = b"", False
    assert process.stdin is not None
    assert process.stdout is not None
    while data := os.read(process.stdout.fileno(), 1 << 16):
        said += data
        if not asked and b":: Proceed with" in said and pause is not None:
            asked = True
            time.sleep(pause)
            process.stdin.write(b"y\n")
            process.stdin.flush()
        if not began and b":: Retrieving" in said:
            began = time.monotonic()
        if began and not ended and _CHECKS.search(said, said.index(b":: Retrieving")):
            ended = time.monotonic()
    status = process.wait(60)
    text = said.decode(errors="replace")
    if status or not ended or asked is (pause is None) or re.search(r"^error", text, re.MULTILINE):
        raise RuntimeError(f"pacman failed with {status}:\n{text[-3_000:]}")
    if any(not (host.cache / package.file_name).exists() for package in packages):
        raise RuntimeError("pacman did not download everything")
    return ended - began


#: What pacman says once all is downloaded.
_CHECKS = re.compile(rb"^(?:checking|\()", re.MULTILINE)


# The command line


def main(
    benchmark: Callable[..., list[Row]], description: str | None, parts: Iterable[str] = ()
) -> None:
    """Run one benchmark and print its table; where it has ``parts``, some may be chosen."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    if names := list(parts):
        parser.add_argument("parts", nargs="*", choices=[*names, []], metavar="|".join(names))
    chosen = getattr(parser.parse_args(), "parts", [])
    os.chdir("/")
    laboratory = Laboratory()
    try:
        rows = benchmark(laboratory, chosen) if chosen else benchmark(laboratory)
    finally:
        laboratory.close()
    show(rows)
