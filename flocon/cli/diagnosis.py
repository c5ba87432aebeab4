"""``flocon doctor``: has facts gathered, has the doctor judge them, and prints the findings."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from flocon.advice import doctor
from flocon.advice.facts import Facts
from flocon.advice.findings import Verdict
from flocon.advice.gathering import configuration_at, version_of_pacman
from flocon.errors import ConfigurationError
from flocon.settings.options import load
from flocon.settings.settings import DEFAULT_CONFIG, DEFAULT_PACMAN_CONF
from flocon.terminal.asking import LONG_PATIENCE, Node, NodeError
from flocon.terminal.commands import for_reader
from flocon.terminal.printing import Word, counted, say, say_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from flocon.advice.findings import Finding

#: What the names of checks take at least.
_WIDTH = 13
#: Seconds within which a folder is found that is there.
FOUND_WITHIN = 1.0


async def examine(reactor: Any, options: argparse.Namespace) -> None:
    """Print what is wrong and how it is mended; exits 1 if anything is."""
    node: dict[str, Any] | None
    try:
        node = await Node(reactor, options.port).ask("/doctor.json", patience=LONG_PATIENCE)
    except NodeError:
        node = None
    # A node that was led to another root's configuration stands for that one.
    told = (node or {}).get("pacman_conf")
    named = options.pacman_conf or Path(told or DEFAULT_PACMAN_CONF)
    facts = Facts(
        port=options.port,
        node=node,
        configuration=configuration_at(named),
        version=version_of_pacman(),
        environment=os.environ,
        now=time.time(),
        there=_there(node),
        named=named,
        refused=None if node else _refused(),
    )
    findings = doctor.examine(facts)
    healthy = doctor.healthy(findings)
    if options.json:
        say_json({"healthy": healthy, "findings": [one.describe() for one in findings]})
    else:
        _print(findings, healthy=healthy)
    if not healthy:
        raise SystemExit(1)


def _refused() -> ConfigurationError | None:
    """Return why no node would start with the settings of this machine, None where one would."""
    if DEFAULT_CONFIG.exists() and not os.access(DEFAULT_CONFIG, os.R_OK):
        # The node may read it, whoever asks here.
        return None
    try:
        load({})
    except ConfigurationError as error:
        return error
    return None


def _there(node: dict[str, Any] | None) -> frozenset[str]:
    """Return the caches that this command finds, which runs in no unit's sandbox."""
    caches = (node or {}).get("caches") or ()
    paths = [str(one.get("path", "")) for one in caches if one.get("problem")]
    return frozenset(path for path in paths if _is_folder(Path(path)))


def _is_folder(path: Path) -> bool:
    """Whether a folder is found; one that hangs is not."""
    found: list[bool] = []
    look = Thread(target=lambda: found.append(path.is_dir()), daemon=True)
    look.start()
    look.join(FOUND_WITHIN)
    return found == [True]


def _print(findings: Sequence[Finding], *, healthy: bool) -> None:
    width = max([_WIDTH, *(len(finding.check) for finding in findings)])
    for finding in findings:
        verdict = Word(finding.verdict.value)
        say(verdict, " " * (7 - len(verdict)), f"{finding.check:{width}}", finding.reason)
        if finding.remedy:
            say(f"mend it: {for_reader(finding.remedy)}", indent=9 + width + 1)
    say()
    say(_sum(findings, healthy=healthy))


def _sum(findings: Sequence[Finding], *, healthy: bool) -> str:
    """Return how it is in all, as the page has it."""
    verdicts = Counter(finding.verdict for finding in findings)
    if not healthy:
        return f"wrong: {verdicts[Verdict.WRONG]} of {counted(len(findings), 'finding')}"
    if warnings := verdicts[Verdict.WARNING]:
        return f"well, but for {counted(warnings, 'warning')}"
    return "all is well"
