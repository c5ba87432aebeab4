"""Claim 1: the LAN face against nginx, one large file and many small ones."""

from __future__ import annotations

import re
import shutil
import sys
import time
from typing import TYPE_CHECKING

from bench.common import (
    Laboratory,
    Row,
    cpu_seconds,
    interleave,
    main,
    ratio,
    static_nginx,
    write_database,
    write_file,
)
from tests.lan.lan import LAN_PORT

if TYPE_CHECKING:
    from tests.lan.lan import Host

LARGE_SIZE = 300_000_000
SMALL_SIZE = 100_000
#: Downloads of the large file in one turn, and seconds of one turn of small ones.
LARGE_COUNT = 4
SMALL_SECONDS = 3
CONNECTIONS = 8
#: Seconds in which a node hashes what it holds.
SETTLE = 3


def large(client: Host, address: str, port: int, path: str, pid: int) -> tuple[float, float]:
    """Return MB per second, and the server's processor seconds for each GB."""
    before = cpu_seconds(pid)
    drain = [sys.executable, "-m", "bench.drain"]
    status, output = client.run([*drain, str(LARGE_COUNT), address, str(port), path])
    if status:
        raise RuntimeError(output)
    seconds, size = map(float, output.split())
    return size / seconds / 1e6, (cpu_seconds(pid) - before) / size * 1e9


def small(client: Host, address: str, port: int, path: str) -> float:
    """Return requests per second over kept connections."""
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{SMALL_SECONDS}s"]
    status, output = client.run(["wrk", *options, f"http://{address}:{port}{path}"])
    match = re.search(r"Requests/sec: +([\d.]+)", output)
    if status or match is None or "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(output)
    return float(match[1])


def run(laboratory: Laboratory) -> list[Row]:
    """Measure both servers on the same files, in turn."""
    if not shutil.which("wrk"):
        raise SystemExit("serving needs wrk: apt-get install wrk")
    client, holder = laboratory.host("client", 1), laboratory.host("holder", 2)
    big = write_file(holder.cache, "large", LARGE_SIZE)
    little = write_file(holder.cache, "hundred", SMALL_SIZE)
    path = laboratory.lan.folder / "two.db"
    write_database(path, [big, little], count=2)
    rival = static_nginx(holder)
    node = laboratory.node(holder, database=path)
    time.sleep(SETTLE)
    address = holder.address
    large_path, small_path = (f"/pkg/{one.file_name}" for one in (big, little))
    wholes = interleave(
        {
            "flocon": lambda: large(client, address, LAN_PORT, large_path, node.pid),
            "nginx": lambda: large(client, address, 80, large_path, rival.pid),
        },
        9,
        warm=1,
    )
    littles = interleave(
        {
            "flocon": lambda: small(client, address, LAN_PORT, small_path),
            "nginx": lambda: small(client, address, 80, small_path),
        },
        5,
        warm=1,
    )
    laboratory.end(node)
    rival.kill()
    rival.wait(10)
    rate, work = ({name: [one[i] for one in wholes[name]] for name in wholes} for i in (0, 1))
    return [
        ratio("1 one 300 MB file, throughput", rate["flocon"], rate["nginx"], "MB/s", ">= 0.95"),
        ratio("1 one 300 MB file, processor time", work["flocon"], work["nginx"], "s/GB", "<= 1.3"),
        ratio("1 100 KB files, requests", littles["flocon"], littles["nginx"], "/s", ">= 0.35"),
        laboratory.longest_hold("serving"),
    ]


if __name__ == "__main__":
    main(run, __doc__)
