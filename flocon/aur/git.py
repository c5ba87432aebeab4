"""Runs git where nobody waits at a terminal and the other end is a stranger's.

Nothing of a repository is ever checked out, no hook is run, no other program of git's is asked for
passwords or other protocols, and what a fetch may bring is bounded in bytes and in seconds.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet import defer
from twisted.internet.task import LoopingCall

from flocon.asking.proxies import ENVIRONMENT
from flocon.errors import Broken, FloconError, Refused, SourceError, Stalled, ToolError, Unreachable
from flocon.machine.process import Bounds, run
from flocon.secrecy import without_any_passwords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from flocon.machine.process import Outcome

#: Seconds that git may take to tell what lies in a repository of ours.
SHORT = 60.0
#: Seconds between two looks at how large a fetch has become.
LOOK = 0.25
#: Statuses of HTTP for what is not there.
NOT_FOUND = 404
_GONE = frozenset({NOT_FOUND, 410})
_UNAUTHORIZED = 401
_REDIRECTS = range(300, 400)
_LONGEST_REASON = 300
#: Characters of the name of a folder that has objects outside of packs.
_LOOSE = 2

#: How a fetch begins, whatever of: by itself git would bring, note and do more than is named.
FETCH = (
    "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance",
    "--no-recurse-submodules", "--refmap=",
)  # fmt: skip

#: What counts whatever this machine's own settings of git say; those are not read.
_SETTINGS = {
    "core.attributesFile": "/dev/null",
    # Larger files are not held in memory, and none is made of a few bytes that say how.
    "core.bigFileThreshold": "1m",
    "core.deltaBaseCacheLimit": "16m",
    "core.fsync": "all",
    "core.hooksPath": "/dev/null",
    "core.packedGitLimit": "128m",
    "credential.helper": "",
    "fetch.recurseSubmodules": "false",
    # What comes stays one pack, whose size is looked at.
    "fetch.unpackLimit": "1",
    "gc.auto": "0",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "http.maxRequests": "1",
    "log.showSignature": "false",
    "maintenance.auto": "false",
    "pack.threads": "1",
    "pack.windowMemory": "64m",
    "transfer.bundleURI": "false",
}
#: Bytes that git may ask for at once, by itself and by the kernel's bound for all of it.
_AT_ONCE = "256m"
_BOUNDS = Bounds(processor_seconds=600, memory=2 << 30)
#: What of the environment leads to the Internet, and says whom to believe there.
_HANDED_ON = (
    "PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO",
)  # fmt: skip
_PROXIES = ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_EXEMPT = ("no_proxy", "NO_PROXY")

_STATUS = re.compile(r"returned error: ([0-9]{3})\b")
_NOT_THERE = re.compile(r"couldn't find remote ref|repository '.*' not found")
_LOCATION = re.compile(r"<= Recv header: location: *(\S+)", re.IGNORECASE)
_FORBIDDEN = re.compile(r"could not read (Username|Password)|Authentication failed")
_BLAME = re.compile(r"^(?:fatal|error): *(.*)$", re.MULTILINE)


def git_environment(environ: Mapping[str, str], proxy: str = ENVIRONMENT) -> dict[str, str]:
    """Return what git is told of this machine; ``proxy`` is as ``asking.proxies`` has it."""
    names = (*_HANDED_ON, *_EXEMPT, *(_PROXIES if proxy == ENVIRONMENT else ()))
    told = {name: environ[name] for name in names if name in environ}
    if proxy and proxy != ENVIRONMENT:
        told.update(http_proxy=proxy, https_proxy=proxy)
    return told | {
        "GIT_ALLOC_LIMIT": _AT_ONCE,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": str(len(_SETTINGS)),
        **{f"GIT_CONFIG_KEY_{at}": key for at, key in enumerate(_SETTINGS)},
        **{f"GIT_CONFIG_VALUE_{at}": value for at, value in enumerate(_SETTINGS.values())},
        "GIT_TERMINAL_PROMPT": "0",
        "HOME": "/nonexistent",
    }


@dataclass(frozen=True, slots=True)
class Remote:
    """Where something is fetched: its address, and what it is called in what is told.

    ``pin`` is how its name is to be looked up, as ``http.curloptResolve`` has it, "" for as always.
    ``follows`` says whether it may send to another address.
    """

    url: str
    name: str
    pin: str = ""
    follows: bool = True


class Moved(SourceError):  # noqa: N818 - a fact about the source, read as one
    """A remote sends to another address: that is carried."""

    def __init__(self, source: str, location: str) -> None:
        super().__init__(source, "has moved to another address")
        self.location = location


class Spoilt(Broken):
    """What was fetched before and now is no repository to go on with, or too large for one."""


class Git:
    """Runs git, with the environment that ``git_environment`` made."""

    def __init__(self, reactor: Any, environment: Mapping[str, str]) -> None:
        self._reactor = reactor
        self._local = {**environment, "GIT_ALLOW_PROTOCOL": "none"}
        self._remote = {**environment, "GIT_ALLOW_PROTOCOL": "http:https"}
        # Its headers tell where it has moved to.
        self._remote |= {"GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1"}

    async def local(self, folder: Path, *words: str, given: bytes = b"") -> Outcome:
        """Ask what lies in a repository of ours; nothing is fetched for it.

        Raises ToolError where git cannot be run.
        """
        return await self._run(
            [f"--git-dir={folder}", *words], self._local, seconds=SHORT, given=given
        )

    async def read(self, folder: Path, *words: str, given: bytes = b"") -> bytes:
        """Return what git prints; raises ToolError where it fails too."""
        done = await self.local(folder, *words, given=given)
        if done.status:
            raise ToolError("git", _blame(done))
        return done.output

    async def remote(
        self,
        remote: Remote,
        words: Sequence[str],
        *,
        folder: Path | None = None,
        seconds: float,
        most: int = 0,
    ) -> bytes:
        """Ask a remote; return what git prints. Its address stands behind the ``--`` of ``words``.

        What it brings into the repository at ``folder`` may have ``most`` bytes. Raises a
        SourceError: Refused with the status 404 for what is not there, Moved; or a ToolError.
        """
        options = [f"--git-dir={folder}"] if folder else []
        options += ["-c", f"http.followRedirects={'initial' if remote.follows else 'false'}"]
        if remote.pin:
            options += ["-c", f"http.curloptResolve={remote.pin}"]
        at = words.index("--") + 1
        arguments = [*options, *words[:at], remote.url, *words[at:]]
        running = defer.Deferred.fromCoroutine(
            self._run(arguments, self._remote, seconds=seconds, given=b"")
        )
        watch = _Watch(self._reactor, folder, most, running) if folder else None
        try:
            done = await running
        except defer.CancelledError:
            if watch is None or not watch.problem:
                raise
            raise Spoilt(remote.name, watch.problem) from None
        except ToolError as error:
            if "took longer" in error.reason:
                raise Stalled(remote.name, error.reason) from None
            raise
        finally:
            if watch is not None:
                watch.stop()
        if done.status:
            raise _failure(remote, done)
        if folder is not None and (problem := _find_problem(folder, most)):
            raise Spoilt(remote.name, problem)
        return done.output

    async def _run(
        self, words: Sequence[str], environment: Mapping[str, str], *, seconds: float, given: bytes
    ) -> Outcome:
        return await run(
            self._reactor,
            ["git", *words],
            seconds=seconds,
            bounds=_BOUNDS,
            yielding=True,
            given=given,
            environment=environment,
            with_children=True,
        )


class _Watch:
    """Looks at what a repository becomes, and ends what fills it where that is not to be.

    ``problem`` is why, "" where it was not ended.
    """

    def __init__(
        self, reactor: Any, folder: Path, most: int, running: defer.Deferred[Outcome]
    ) -> None:
        self._folder = folder
        self._most = most
        self._running = running
        self.problem = ""
        self._loop = LoopingCall(self._look)
        self._loop.clock = reactor
        self._loop.start(LOOK, now=False)

    def _look(self) -> None:
        if not self.problem:
            self.problem = _find_problem(self._folder, self._most)
            if self.problem:
                self._running.cancel()

    def stop(self) -> None:
        if self._loop.running:
            self._loop.stop()


def _find_problem(folder: Path, most: int) -> str:
    """Return what is wrong with what was fetched into a repository, "" for nothing."""
    with suppress(OSError), os.scandir(folder / "objects") as entries:
        # Objects one by one, as many as it likes and from wherever it says: not in a pack.
        if any(len(entry.name) == _LOOSE for entry in entries):
            return "speaks only git's old protocol"
    if pack_bytes(folder) > most:
        return f"sent more than the {most} bytes that there is room for"
    return ""


def pack_bytes(folder: Path) -> int:
    """Return how many bytes the packs of a repository have, with those that are being fetched."""
    total = 0
    with suppress(OSError), os.scandir(folder / "objects" / "pack") as entries:
        for entry in entries:
            with suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def _failure(remote: Remote, done: Outcome) -> FloconError:
    said = done.errors.decode("utf-8", "replace")
    location = _LOCATION.findall(said)
    status = _STATUS.search(said)
    code = int(status[1]) if status else 0
    if location and not remote.follows and (not code or code in _REDIRECTS):
        return Moved(remote.name, location[-1])
    if _NOT_THERE.search(said) or code in _GONE:
        return Refused(remote.name, NOT_FOUND)
    if code or _FORBIDDEN.search(said):
        return Refused(remote.name, code or _UNAUTHORIZED)
    return Unreachable(remote.name, _blame(done))


def _blame(done: Outcome) -> str:
    """Return the sentence that git itself ends with, fit for a line of a log."""
    said = done.errors.decode("utf-8", "replace")
    found = _BLAME.findall(said)
    sentence = found[0] if found else f"git ended with the status {done.status}"
    clean = "".join(sign if sign.isprintable() else "?" for sign in sentence[:_LONGEST_REASON])
    return without_any_passwords(clean)
