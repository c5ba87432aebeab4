"""Why a node cannot start, said before anything is changed: its folders, its files, its ports.

twistd becomes a daemon before services start, and tells its terminal little of what happens then;
so what would fail is tried beforehand, and nothing is kept of what is tried.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flocon.errors import ConfigurationError, StoreError
from flocon.machine.interfaces import impossible
from flocon.store.claim import foreign
from flocon.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flocon.errors import FloconError
    from flocon.settings.settings import Settings


class CannotStart(SystemExit, Exception):  # noqa: N818 - what happened
    """Ends twistd with a sentence and status 1.

    twistd tells the one who waits for its daemon of Exceptions only, and shows no traceback of a
    SystemExit: this is both.
    """


def try_files(twistd: Mapping[str, Any]) -> None:
    """End with a sentence where twistd, becoming a daemon, would fail to write its own files."""
    own_log = not (twistd["syslog"] or twistd["logger"])
    files = {
        "--logfile": Path(twistd["logfile"] or "twistd.log") if own_log else None,
        "--pidfile": Path(twistd["rundir"], twistd["pidfile"]) if twistd["pidfile"] else None,
    }
    for option, file in files.items():
        place = file if file is None or file.exists() else file.parent
        if place is not None and not os.access(place, os.W_OK):
            problem = f"{file} cannot be written"
            remedy = f"start in a folder of your own, or name another file: twistd {option} FILE"
            raise cannot_start(ConfigurationError("twistd", problem, remedy))


def try_store(settings: Settings) -> None:
    """Raise StoreError where the store cannot be written, or another node has it."""
    store = Store(settings.store.path)
    store.open()
    problem, remedy = store.problem, store.remedy
    store.close()
    if problem:
        place, _, reason = problem.rpartition(": ")
        other = "" if "--store" in remedy else ", or name another folder with --store"
        raise StoreError(place, f"{reason}; {remedy}{other}")


def cannot_start(error: FloconError | str) -> CannotStart:
    sentence = str(error)
    named = sentence.startswith(("flocon", "twistd"))
    return CannotStart(sentence if named else f"flocon: {sentence}")


def cannot_store(settings: Settings, problem: object) -> CannotStart:
    return cannot_start(f"{settings.place('store.path', '--store')}: {problem}")


def demand_interfaces(settings: Settings) -> None:
    """End where what is to be present on can be neither an interface nor an address."""
    if nowhere := impossible(settings.presence.interfaces):
        problem = f"{nowhere[0]!r} can be neither an interface nor an address"
        remedy = "write a name or an address that 'ip address' shows"
        where = settings.place("presence.interfaces", "--interface")
        raise cannot_start(ConfigurationError(where, problem, remedy))


def demand_own(settings: Settings) -> None:
    """End, before anything is written, where somebody else's things lie at the store's place."""
    refusal = foreign(settings.store.path)
    if refusal is not None:
        raise cannot_store(settings, refusal)
