"""What the settings of ``[build]`` may be beside what ``permitted`` has. No I/O.

Each check is as those of ``permitted`` are.
"""

from __future__ import annotations

import re
from typing import Any

from flocon.settings.permitted import bare, is_http_url, refusal, repository, text
from flocon.settings.permitted_mirror import duration

#: Seconds between two looks at the AUR, at the least: its answers to one address are counted.
SHORTEST_POLL = 600.0
_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}(@[A-Za-z0-9.-]{1,253})?")


def address(value: Any, where: str, key: str) -> str:
    """Return the address of a site, without a slash at its end."""
    said = text(value, where, key)
    if not is_http_url(said) or any(sign.isspace() for sign in said):
        remedy = "write it like https://HOST/PATH"
        raise refusal(where, key, f"{bare(said)!r} is not an address", remedy)
    return said.rstrip("/")


def address_or_none(value: Any, where: str, key: str) -> str:
    """Return an address, "" for none."""
    return "" if value == "" else address(value, where, key)


def repository_or_none(value: Any, where: str, key: str) -> str:
    """Return a repository's name, "" for the only one."""
    return "" if value == "" else str(repository(value, where, key))


def poll(value: Any, where: str, key: str) -> float:
    """Return seconds between two looks; 0 is by hand alone."""
    seconds = duration(value, where, key)
    if 0 < seconds < SHORTEST_POLL:
        remedy = 'write "10m" or more, or 0 for by hand alone'
        raise refusal(where, key, f"{value!r} is too often to ask the AUR", remedy)
    return seconds


def mail(value: Any, where: str, key: str) -> str:
    """Return an address for mail, or a local user; "" for none."""
    if value == "":
        return ""
    said = text(value, where, key)
    if not _MAIL.fullmatch(said):
        raise refusal(where, key, f"{said!r} is not a mail address", "write it like NAME@HOST")
    return said
