"""What ``/builds.json`` and a look at a recipe say, as tests need it."""

from __future__ import annotations

from typing import Any

NOW = 1_700_000_000.0
COMMIT, BEFORE = "a" * 40, "b" * 40


def watched(
    base: str = "paru", stage: str = "waits for a person", **changed: Any
) -> dict[str, Any]:
    """Return a recipe as ``/builds.json`` has it."""
    return {
        "base": base,
        "names": [base],
        "origin": {"kind": "aur", "place": base},
        "stage": stage,
        "reasons": ["PKGBUILD: line 3 was changed"] if stage == "waits for a person" else [],
        "commit": COMMIT,
        "version": "2.0-1",
        "approved": None,
        "published": {"version": "1.0-1", "when": NOW - 9_000},
        "waits_until": 0.0,
        "since": NOW - 3_600,
        "blocked_by": [],
        "notes": [],
        "notice": f"{base} {COMMIT}" if stage in {"waits for a person", "held"} else "",
        **changed,
    }


def builds(*recipes: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Return what ``/builds.json`` says."""
    return {
        "used": True,
        "problem": "",
        "polled": NOW - 60,
        "next_poll": NOW + 3_540,
        "metered": False,
        "repository": "home",
        "running": None,
        "waiting": 0,
        "watched": list(recipes),
        **changed,
    }


PKGBUILD = "pkgname=paru\npkgver=1.0\npkgrel=1\nsource=(https://example.org/paru-$pkgver.tar.gz)\n"
SRCINFO = (
    "pkgbase = paru\n\tpkgver = 1.0\n\tpkgrel = 1\n\turl = https://example.org/\n"
    "\tsource = https://example.org/paru-1.0.tar.gz\n\npkgname = paru\n"
)


def look(**changed: Any) -> dict[str, Any]:
    """Return what there is to see of a recipe that is new; all files are plain ones."""
    told = {
        "base": "paru",
        "names": ["paru"],
        "origin": {"kind": "aur", "place": "paru"},
        "stage": "waits for a person",
        "commit": COMMIT,
        "proposed": COMMIT,
        "version": "1.0-1",
        "approved": "",
        "published": "",
        "reasons": ["it was never built here"],
        "checks": [],
        "needs": {"bases": [], "packages": ["git"]},
        "after": [],
        "record": None,
        "files": {"PKGBUILD": PKGBUILD, ".SRCINFO": SRCINFO},
        "before": None,
        "held": [],
        "packages": [],
        "digest": "",
        "notes": [],
        **changed,
    }
    modes = {name: dict.fromkeys(told[name] or (), "100644") for name in ("files", "before")}
    return {"modes": modes["files"], "modes_before": modes["before"], **told}


def own(name: str = "home", **changed: Any) -> dict[str, Any]:
    """Return an own repository as ``/own.json`` has it."""
    return {
        "name": name,
        "publishes": name == "home",
        "joined": True,
        "keys": ["0123456789ABCDEF" * 2 + "01234567"],
        "signed": NOW - 3_600,
        "sequence": 4,
        "fingerprint": "01234567" + "0123456789ABCDEF" * 2,
        "packages": 7,
        "from": "10.0.0.2",
        "copies": {"wanted": 3, "here": 2},
        "problem": "",
        "foreign": [],
        **changed,
    }
