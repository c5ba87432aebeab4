"""What pacman would fetch: for ``-Su``, or for a package and all that it needs.

pacman itself works it out, and only prints: as any user, without its lock, and whether or not
another pacman has that. Replacements and new dependencies are among it, what is ignored is not.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from flocon.errors import ToolError
from flocon.files import is_package, is_repository
from flocon.machine.process import run
from flocon.pacman.answers import read_configuration
from flocon.pacman.database_files import stamp_of
from flocon.pacman.listing import Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from flocon.machine.process import Outcome, ProcessReactor
    from flocon.pacman.answers import PacmanReactor
    from flocon.pacman.configuration import PacmanConfiguration

#: Seconds; it reads every sync database and the whole of DBPath/local.
TIMEOUT = 30.0
#: Packages of one answer; a whole Arch machine has fewer.
MOST_TARGETS = 5_000
#: How often pacman is asked again without what it cannot upgrade, as a person would skip it.
ROUNDS = 3
#: Packages that are left out so; a command line has its bound.
MOST_SKIPPED = 500
#: pacman says more than it is asked for: its answers begin so.
_MARK = "flocon"
_FORMAT = f"{_MARK} %r %n %v %l"
_LACKING = re.compile(r"unable to satisfy dependency '.*' required by (?P<name>[a-zA-Z0-9@._+-]+)$")
#: What pacman -Qu ends with where there are none, and also where it cannot look: then it says why.
_NONE = 1
_ERROR = re.compile(r"^error: ", re.MULTILINE)
_NEWER = re.compile(r"(?P<name>\S+) \S+ -> (?P<version>\S+)(?P<ignored> \[ignored\])?")


async def pending_upgrades(reactor: ProcessReactor, pacman_conf: Path) -> list[Target]:
    """Return what ``pacman -Su`` would install.

    Where it can resolve only a part, that part; where not even that, what is newer of what is
    installed. Raises ToolError, or ToolMissing without pacman.
    """
    skipped: dict[str, None] = {}
    for _ in range(ROUNDS):
        ignoring = ["--ignore", ",".join(skipped)] if skipped else []
        outcome = await _ask(reactor, pacman_conf, "-Sup", *_PRINTING, *ignoring)
        if outcome.status == 0:
            return read_targets(_text(outcome.output))
        lacking = set(read_lacking(_text(outcome.output))) - set(skipped)
        if not lacking or len(lacking) + len(skipped) > MOST_SKIPPED:
            break
        skipped.update(dict.fromkeys(sorted(lacking)))
    return await _newer(reactor, pacman_conf)


async def with_what_it_needs(
    reactor: ProcessReactor, pacman_conf: Path, repository: str, name: str
) -> list[Target]:
    """Return a package and what it needs that is not installed; raises as ``pending_upgrades``."""
    outcome = await _ask(reactor, pacman_conf, "-Sp", *_PRINTING, "--", f"{repository}/{name}")
    if outcome.status:
        raise ToolError("pacman -Sp", _reason(outcome))
    return read_targets(_text(outcome.output))


async def configured(
    reactor: PacmanReactor, pacman_conf: Path, own_ports: Sequence[int]
) -> PacmanConfiguration:
    """Return what pacman.conf says, see ``answers.read_configuration``."""
    return await read_configuration(reactor, pacman_conf, own_ports)


async def would_install(
    reactor: ProcessReactor, pacman_conf: Path, database_path: Path, *arguments: str
) -> list[Target]:
    """Return what pacman would install with other databases, those below ``database_path``.

    ``arguments`` are ``-Su``, ``-Suu`` or ``-S`` with packages' names. Raises ToolError with
    pacman's own words where it cannot, and ToolMissing without pacman.
    """
    operation, *names = arguments
    command = [f"{operation}p", "--dbpath", str(database_path), *_PRINTING, "--", *names]
    outcome = await _ask(reactor, pacman_conf, *command)
    if outcome.status:
        raise ToolError(f"pacman {operation}", _reason(outcome))
    text = _text(outcome.output)
    targets = read_targets(text)
    if len(targets) < sum(line.startswith(f"{_MARK} ") for line in text.splitlines()):
        problem = "it would install too many packages, or one whose file is not named as a package"
        raise ToolError(f"pacman {operation}", problem)
    return targets


_PRINTING = ("--noconfirm", "--print-format", _FORMAT)


async def _newer(reactor: ProcessReactor, pacman_conf: Path) -> list[Target]:
    outcome = await _ask(reactor, pacman_conf, "-Qu")
    failed = outcome.status and _ERROR.search(_text(outcome.errors))
    if outcome.status not in {0, _NONE} or failed:
        raise ToolError("pacman -Qu", _reason(outcome))
    return read_newer(_text(outcome.output))


async def _ask(reactor: ProcessReactor, pacman_conf: Path, *arguments: str) -> Outcome:
    command = ["pacman", "--config", str(pacman_conf), "--color", "never", *arguments]
    return await run(reactor, command, seconds=TIMEOUT, yielding=True)


def _reason(outcome: Outcome) -> str:
    return _text(outcome.errors).strip()[:1000] or f"ended with status {outcome.status}"


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace")


def read_targets(text: str) -> list[Target]:
    """Read what pacman printed by our format, at most ``MOST_TARGETS``."""
    return list(islice(_targets(text), MOST_TARGETS))


def _targets(text: str) -> Iterator[Target]:
    for line in text.splitlines():
        mark, _, rest = line.partition(" ")
        words = rest.split(" ", 3)
        if mark != _MARK or len(words) != len(("repository", "name", "version", "place")):
            continue
        repository, name, version, place = words
        file_name = place.rpartition("/")[2]
        if name and version and is_repository(repository) and is_package(file_name):
            yield Target(repository, name, version, file_name, place.startswith("file:"))


def read_lacking(text: str) -> list[str]:
    """Read which packages pacman could not upgrade, since something that they need is lacking."""
    matches = (_LACKING.search(line) for line in text.splitlines())
    return [match["name"] for match in matches if match]


def read_newer(text: str) -> list[Target]:
    """Read what ``pacman -Qu`` printed; packages in IgnorePkg are left out."""
    lines = filter(None, (_NEWER.fullmatch(line.strip()) for line in text.splitlines()))
    newer = (Target("", one["name"], one["version"]) for one in lines if not one["ignored"])
    return list(islice(newer, MOST_TARGETS))


def state_of(configuration: PacmanConfiguration) -> Sequence[object]:
    """Return what is another one whenever ``pending_upgrades`` may be; costs some stats."""
    sync = configuration.sync_directory
    databases = (sync / f"{one.name}.db" for one in configuration.repositories)
    # What is installed: with each change a folder comes or goes there.
    local = configuration.database_path / "local"
    return [stamp_of(path) for path in (*configuration.files, *databases, local)]
