"""What the doctor says of a thing: how it stands, why, and what mends it. Values alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How a check went; only ``WRONG`` makes a machine unhealthy."""

    GOOD = "good"
    WARNING = "warning"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check: what was found, and the command that mends it."""

    check: str
    verdict: Verdict
    reason: str
    remedy: str = ""

    def describe(self) -> dict[str, str]:
        """Return it as JSON's values."""
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "remedy": self.remedy,
        }


def nothing_listed(check: str, path: object) -> Finding:
    """Return what a configuration of pacman's without a repository means, to whoever reads it."""
    return Finding(
        check,
        Verdict.WRONG,
        f"{path} has no repository, so there is nothing to fetch",
        "write one there, as [core] and below it Include = /etc/pacman.d/mirrorlist; or, if"
        " pacman's configuration is another file, name that with --pacman-conf",
    )
