"""What is told of other tools' machines, and what this machine calls its distribution."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: As os-release(5) says where to look.
OS_RELEASE = (Path("/etc/os-release"), Path("/usr/lib/os-release"))
#: Bytes of it that are read.
MOST_BYTES = 16 << 10
#: Machines told of by name.
MOST_TOLD = 8
_ID = re.compile(r"""^ID=["']?([a-z0-9._-]{1,64})["']?\s*$""", re.MULTILINE)


def own_id(files: Sequence[Path] = OS_RELEASE) -> str:
    """Return ``ID`` of os-release, as pacredir announces its own; "" where there is none."""
    for file in files:
        with suppress(OSError), file.open(errors="replace") as opened:
            match = _ID.search(opened.read(MOST_BYTES))
            return match[1] if match else "linux"
    return ""


def tell(
    places: Sequence[Mapping[str, Any]], unresolved: Mapping[str, str], problem: str
) -> Iterator[dict[str, Any]]:
    """Yield dicts as the doctor's ``tellers`` do."""
    told = [
        (f"{said}, in [foreign] hosts, {why}", "correct it in /etc/flocon.toml, or take it out")
        for said, why in list(unresolved.items())[:MOST_TOLD]
    ]
    if problem:
        remedy = "see by 'ss -ulpn' what has the port, or write pacserve = false into [foreign]"
        told.append((f"machines with pacserve are not heard: {problem}", remedy))
    failing = [one for one in places if one["found"] == "setting" and one["why"]]
    told += [
        (
            f"{one['kind']} at {one['address']}, port {one['port']}: {one['why']}",
            "see whether it runs there, and whether its firewall lets this machine ask",
        )
        for one in failing[:MOST_TOLD]
    ]
    for reason, remedy in told:
        yield {"check": "foreign", "reason": reason, "remedy": remedy, "wrong": False}
