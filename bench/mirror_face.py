"""Claim 9: the face for machines without a node against nginx, for packages that are there."""

from __future__ import annotations

import shutil
import time
from functools import partial
from typing import TYPE_CHECKING

from bench.common import (
    MIB,
    REPOSITORY,
    Laboratory,
    Row,
    interleave,
    main,
    nginx,
    ratio,
    static_nginx,
    wait_for_port,
    write_database,
    write_file,
)
from bench.serving import LARGE_SIZE, SETTLE, SMALL_SIZE, large, small
from tests.lan.lan import wait_until

if TYPE_CHECKING:
    from tests.lan.lan import Host

MIRROR_PORT, UPSTREAM_PORT = 19434, 81
#: Packages of this size are most of what crosses a LAN.
USUAL_SIZE = 4 * MIB
FOLDER = f"/{REPOSITORY}/os/x86_64"


def run(laboratory: Laboratory) -> list[Row]:
    """Measure both servers on the same files, in turn."""
    if not shutil.which("wrk"):
        raise SystemExit("this needs wrk: apt-get install wrk")
    client, holder = laboratory.host("client", 1), laboratory.host("holder", 2)
    sizes = {"large": LARGE_SIZE, "usual": USUAL_SIZE, "hundred": SMALL_SIZE}
    files = {name: write_file(holder.cache, name, size) for name, size in sizes.items()}
    folder = holder.folder / "upstream" / REPOSITORY / "os" / "x86_64"
    folder.mkdir(parents=True)
    write_database(folder / f"{REPOSITORY}.db", files.values(), count=len(files))
    upstream = nginx(
        holder, "mirror", f"server {{ listen {UPSTREAM_PORT}; root {holder.folder}/upstream; }}"
    )
    wait_for_port(holder, UPSTREAM_PORT)
    rival = static_nginx(holder)
    server = f"http://127.0.0.1:{UPSTREAM_PORT}/$repo/os/$arch"
    node = laboratory.node(
        holder,
        database=folder / f"{REPOSITORY}.db",
        settings={
            "mirror": {"serve": True, "repositories": [REPOSITORY], "architectures": ["x86_64"]},
            "mirror.upstream": {"x86_64": [server]},
        },
    )
    wait_until(lambda: _publishes(holder), 20, "the database is published")
    time.sleep(SETTLE)
    address = holder.address
    name = files["large"].file_name
    wholes = interleave(
        {
            "flocon": lambda: large(client, address, MIRROR_PORT, f"{FOLDER}/{name}", node.pid),
            "nginx": lambda: large(client, address, 80, f"/pkg/{name}", rival.pid),
        },
        5,
        warm=1,
    )
    rate, work = ({who: [one[i] for one in wholes[who]] for who in wholes} for i in (0, 1))
    rows = [
        ratio("9 one 300 MB file, throughput", rate["flocon"], rate["nginx"], "MB/s", ">= 0.9"),
        ratio("9 one 300 MB file, processor time", work["flocon"], work["nginx"], "s/GB", "<= 1.3"),
    ]
    for kind, bar in (("usual", ">= 0.9"), ("hundred", ">= 0.3")):
        name = files[kind].file_name
        asked = interleave(
            {
                "flocon": partial(small, client, address, MIRROR_PORT, f"{FOLDER}/{name}"),
                "nginx": partial(small, client, address, 80, f"/pkg/{name}"),
            },
            5,
            warm=1,
        )
        claim = f"9 files of {sizes[kind] / 1e6:.1f} MB over eight connections"
        rows.append(ratio(claim, asked["flocon"], asked["nginx"], "/s", bar))
    laboratory.end(node)
    for one in (rival, upstream):
        one.kill()
        one.wait(10)
    return [*rows, laboratory.longest_hold("serving machines without a node")]


def _publishes(host: Host) -> bool:
    return host.request("/lastupdate", port=MIRROR_PORT).status == 200


if __name__ == "__main__":
    main(run, __doc__)
