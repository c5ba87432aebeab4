"""What actually goes wrong, and how it is mended: every check, run over the same facts.

Each check is a function from facts to findings. The facts are gathered before: what the running
node tells of itself (``/doctor.json``), what stands in pacman's configuration, and the environment.
Nothing is asked here, no disk is touched and nothing is changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.advice import lan_checks, node_checks, pacman_checks
from flocon.advice.findings import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from flocon.advice.facts import Facts
    from flocon.advice.findings import Finding

#: In the order in which things are best mended.
CHECKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    pacman_checks.check_node,
    pacman_checks.check_pacman,
    pacman_checks.check_proxy,
    pacman_checks.check_external_program,
    node_checks.check_configuration,
    node_checks.check_mirrors,
    node_checks.check_parents,
    node_checks.check_caches,
    node_checks.check_store,
    lan_checks.check_databases,
    node_checks.check_told,
    lan_checks.check_links,
    lan_checks.check_identity,
    lan_checks.check_multicast,
    lan_checks.check_neighbours,
    lan_checks.check_door,
    lan_checks.check_clock,
    lan_checks.check_architectures,
    lan_checks.check_quarantine,
)


def examine(facts: Facts) -> list[Finding]:
    """Run every check, in the order in which things are best mended; nothing is said twice."""
    findings: dict[tuple[str, str], Finding] = {}
    for check in CHECKS:
        for finding in check(facts):
            # Several repositories read one line, and the node may have found what pacman shows.
            findings.setdefault((finding.reason, finding.remedy), finding)
    return list(findings.values())


def healthy(findings: Iterable[Finding]) -> bool:
    return all(finding.verdict is not Verdict.WRONG for finding in findings)
