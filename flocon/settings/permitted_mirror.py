"""What the settings of ``[mirror]`` may be: times, layouts of paths, archives by date. No I/O.

Each check is as those of ``permitted`` are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flocon.files import is_architecture, is_package_name
from flocon.settings.permitted import Check, mirror, refusal, text

#: What a table of upstream servers or paths may have entries.
MOST_NAMES = 64
_DURATION = re.compile(r"([0-9]{1,9})\s*(s|m|h|d|w)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 7 * 86_400.0}
#: Ten years: nobody means a longer time.
LONGEST = 3_653 * 86_400.0
#: Seconds between two looks at a mirror, at the least: more often is impolite.
SHORTEST_REFRESH = 60.0
_TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_PATH_NAME = re.compile(r"[A-Za-z0-9@_+][A-Za-z0-9@._+-]{0,63}")
_LAYOUT = re.compile(r"[A-Za-z0-9@._+$/-]{1,200}")
#: Folders of a layout: with the two before them they are all that a path may have.
MOST_FOLDERS = 14


def architecture(value: Any, where: str, key: str) -> str:
    said = text(value, where, key)
    # What pacman itself takes for this machine's own: leaving the key out means that.
    if not is_architecture(said) or said in {"auto", "any"}:
        remedy = "write it as uname -m does: x86_64, aarch64"
        raise refusal(where, key, f"{said!r} is not an architecture", remedy)
    return said


def package(value: Any, where: str, key: str) -> str:
    said = text(value, where, key)
    if not is_package_name(said):
        raise refusal(where, key, f"{said!r} is not a package's name", "write it as pacman does")
    return said


def duration(value: Any, where: str, key: str) -> float:
    """Return seconds; 0 is none."""
    if value == 0 and not isinstance(value, bool):
        return 0.0
    match = isinstance(value, str) and _DURATION.fullmatch(value)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else -1.0
    if not 0 <= seconds <= LONGEST:
        remedy = 'write a number with s, m, h, d or w, like "6h" or "30d"; 0 for none'
        raise refusal(where, key, f"{value!r} is not a length of time", remedy)
    return float(seconds)


def refresh(value: Any, where: str, key: str) -> float | tuple[str, ...]:
    """Return seconds between two looks, or the times of day, none of which is by hand alone."""
    if value == "off":
        return ()
    if isinstance(value, list):
        for one in value:
            if not isinstance(one, str) or not _TIME_OF_DAY.fullmatch(one):
                remedy = 'write times of day like ["06:00", "18:30"]'
                raise refusal(where, key, f"{one!r} is not a time of day", remedy)
        return tuple(sorted(set(value)))
    seconds = duration(value, where, key)
    if seconds < SHORTEST_REFRESH:
        remedy = 'write "1m" or more, times of day like ["06:00"], or "off"'
        raise refusal(where, key, f"{value!r} is too often to ask a mirror", remedy)
    return seconds


def layout(value: Any, where: str, key: str) -> str:
    """Return where files lie below another tool's name: with ``$arch``, and mostly ``$repo``."""
    said = text(value, where, key)
    parts = said.strip("/").split("/")
    fits = _LAYOUT.fullmatch(said) and parts.count("$arch") == 1 and parts.count("$repo") <= 1
    if (
        not fits
        or len(parts) > MOST_FOLDERS
        or {"", ".", ".."}.intersection(parts)
        or any("$" in part and part not in {"$arch", "$repo"} for part in parts)
    ):
        remedy = 'write it like "$repo/os/$arch", or "$arch" where the name is the repository\'s'
        raise refusal(where, key, f"{said!r} is no layout of a mirror", remedy)
    return "/".join(parts)


def path_name(value: Any, where: str, key: str) -> str:
    said = text(value, where, key)
    if not _PATH_NAME.fullmatch(said):
        raise refusal(where, key, f"{said!r} cannot stand in a path", "use letters and digits")
    if said == "os":
        problem = "'os' would be taken for the folder of a repository called repo"
        raise refusal(where, key, problem, "give it another name, there and in its clients' lines")
    return said


def upstream(value: Any, where: str, key: str) -> str:
    """Return a mirror's address; without $repo it would be the same folder for all of them."""
    said = mirror(value, where, key)
    if "$repo" not in said:
        remedy = "write it like https://HOST/$repo/os/$arch"
        raise refusal(where, key, f"{said!r} has no $repo", remedy)
    return said


def dated_mirror(value: Any, where: str, key: str) -> str:
    """Return an archive's address with $date in it, "" for none."""
    if value == "":
        return ""
    said = mirror(value, where, key)
    if "$date" not in said:
        remedy = "write it like https://HOST/repos/$date/$repo/os/$arch"
        raise refusal(where, key, f"{said!r} has no $date", remedy)
    return said


def by_name(name: Check, item: Check) -> Check:
    """Return the check of a table with names that are the operator's."""

    def check(value: Any, where: str, key: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise refusal(where, key, "is a table", f"write it as [{key}]")
        if len(value) > MOST_NAMES:
            raise refusal(where, key, f"has more than {MOST_NAMES} names", "leave some out")
        return {
            name(one, where, key): item(inner, where, f"{key}.{one}")
            for one, inner in value.items()
        }

    return check
