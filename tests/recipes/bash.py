"""What bash itself makes of a PKGBUILD: the oracle. It runs behind walls, without a network.

Texts are run in one process for many, each in a subshell of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_EACH = r"""
cd /work
for text in *.text; do
  name=${text%.text}
  (
    exec 9>"$name.trace" 8>"$name.values" 7>"$name.functions" </dev/null >/dev/null 2>&1
    ulimit -t 5
    set -T
    trap 'printf "%s\0" "$BASH_COMMAND" >&9' DEBUG
    source "./$text"
    trap - DEBUG
    exec >/dev/null
    mapfile -t __names < "./$name.names"
    for __name in "${__names[@]}"; do
      declare -n __it=$__name
      printf '%s\0' "$__name" "${#__it[@]}" "${__it[@]}" >&8
      declare +n __it
      unset __it
    done
    declare -f >&7
  )
done
"""
_WALLS = (
    "bwrap --unshare-all --die-with-parent --new-session --ro-bind / / --tmpfs /tmp --tmpfs /run"
    " --tmpfs /home --tmpfs /root --tmpfs /var --dev /dev --proc /proc --clearenv"
    " --setenv PATH /usr/bin:/bin --setenv LC_ALL C.UTF-8"
)
WALLS = tuple(_WALLS.split())


@dataclass(frozen=True, slots=True)
class Ran:
    """What ran at the top level, in order; the values asked for; and all functions' text."""

    trace: tuple[str, ...]
    values: dict[str, tuple[str, ...]]
    functions: str


def why_not() -> str:
    """Return why bash cannot be asked here, "" where it can."""
    if shutil.which("bwrap") is None or shutil.which("bash") is None:
        reason = "needs bash and bubblewrap"
    else:
        tried = subprocess.run([*WALLS, "true"], capture_output=True, check=False)
        reason = "" if tried.returncode == 0 else f"no walls here: {tried.stderr.decode().strip()}"
    if reason and os.environ.get("CI") == "true":
        raise AssertionError(reason)
    return reason


def run(texts: Sequence[str], names: Sequence[Sequence[str]]) -> list[Ran]:
    """Run each text, and return what came of it with the values of its ``names``."""
    with tempfile.TemporaryDirectory() as folder:
        for number, (text, asked) in enumerate(zip(texts, names, strict=True)):
            path = Path(folder, f"{number:06}")
            path.with_suffix(".text").write_bytes(text.encode("utf-8", "surrogateescape"))
            path.with_suffix(".names").write_text("".join(f"{name}\n" for name in asked))
        walled = [*WALLS, "--bind", folder, "/work", "bash", "--norc", "--noprofile", "-c", _EACH]
        subprocess.run(walled, check=False, capture_output=True, timeout=300)
        return [_read(Path(folder, f"{number:06}")) for number in range(len(texts))]


def _read(path: Path) -> Ran:
    trace, values, functions = (
        file.read_bytes().decode("utf-8", "replace") if file.exists() else ""
        for file in (path.with_suffix(f".{kind}") for kind in ("trace", "values", "functions"))
    )
    fields = values.split("\0")[:-1]
    found: dict[str, tuple[str, ...]] = {}
    while fields:
        count = int(fields[1])
        found[fields[0]] = tuple(fields[2 : 2 + count])
        fields = fields[2 + count :]
    return Ran(tuple(trace.split("\0")[:-1]), found, functions)
