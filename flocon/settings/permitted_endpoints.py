"""Which endpoints may be set: Twisted's own parser is asked, and its answer put into words.

It looks at what an endpoint names, as the files of a certificate are.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.endpoints import serverFromString

from flocon.machine.endpoints import as_tcp
from flocon.settings.permitted import list_of, refusal, text


def endpoint(value: Any, where: str, key: str) -> str:
    described = text(value, where, key)
    remedy = "write a Twisted endpoint, like tcp:19432 or unix:/run/flocon/lan"
    kind, _, rest = described.partition(":")
    if not kind.isalnum() or not rest:
        raise refusal(where, key, f"{described!r} is not an endpoint", remedy)
    number = rest.partition(":")[0].removeprefix("port=")
    if kind.startswith("tcp") and not _is_port(number):
        raise refusal(where, key, f"{described!r} has no port from 0 to 65535", remedy)
    # What systemd hands over is there when a node starts, and not when its settings are looked at.
    if kind != "systemd":
        try:
            serverFromString(None, as_tcp(described))
        except Exception as error:  # noqa: BLE001 - a parser of Twisted's raises anything
            problem = f"{described!r} is not an endpoint ({_parsers_word(error)})"
            raise refusal(where, key, problem, remedy) from None
    return described


def _parsers_word(error: Exception) -> str:
    """Return what a parser of Twisted's means: it calls a function with whatever stands there."""
    if unknown := re.search(r"unexpected keyword argument '(.*)'", str(error)):
        return f"it takes no {unknown[1]}="
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _is_port(number: str) -> bool:
    return number.isascii() and number.isdecimal() and int(number[:6]) < 1 << 16


def several(value: Any, where: str, key: str) -> tuple[str, ...]:
    """Return endpoints, one at least."""
    found = list_of(endpoint)(value, where, key)
    if not found:
        problem = "is empty, so nobody could ask"
        raise refusal(where, key, problem, "write an endpoint, or leave it out for its default")
    return tuple(found)


def loopback(value: Any, where: str, key: str) -> tuple[str, ...]:
    endpoints: tuple[str, ...] = list_of(endpoint)(value, where, key)
    if not endpoints:
        problem = "is empty, so neither pacman nor 'flocon status' could ask the node"
        remedy = "leave it out for port 19433 of 127.0.0.1 and ::1, or write an endpoint"
        raise refusal(where, key, problem, remedy)
    for one in endpoints:
        if endpoints.count(one) > 1:
            raise refusal(where, key, f"names {one!r} twice", "leave one of them out")
    return endpoints
