"""Asks git repositories that others name: whether a recipe's sources moved on, and what is in them.

A recipe names those, so a stranger does: they are asked at addresses that a job may be given its
sources from and no others, whatever a name resolves to or whoever sends on to another one.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import DeferredLock

from flocon.asking.addresses import Address, network_location, parse_address, without_user
from flocon.asking.proxies import read_proxies
from flocon.asking.resolving import Names
from flocon.aur.folder import make, remove
from flocon.aur.git import FETCH, NOT_FOUND, Git, Moved, Remote
from flocon.aur.objects import COMMIT, parse_refs
from flocon.errors import Refused, SourceError, ToolError, Unreachable
from flocon.log import logger
from flocon.machine.reactor_threads import in_thread
from flocon.recipes.sources import parse_source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

#: Seconds of one question, and addresses that one may be sent on to.
LONGEST_QUESTION = 60.0
MOST_MOVES = 3
#: Seconds and bytes of a history's commits alone: those of the largest have some hundred MiB.
LONGEST_HISTORY = 600.0
LARGEST_HISTORY = 1 << 30
#: A name of which git makes a commit before it looks whether something is called so.
_WHOLE = re.compile(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}")
#: What git asks for behind a repository's address.
_ASKED = "/info/refs?service=git-upload-pack"
_NAMES = ("ls-remote", "--quiet", "--heads", "--tags", "--")
_HISTORY = (
    *FETCH, "--filter=tree:0", "--", "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*",
)  # fmt: skip


class Following:
    """Asks the git repositories that sources name.

    ``permit`` says whether an address may be connected to, at a port; ``folder`` is where histories
    lie while they are looked through.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        folder: Path,
        *,
        environment: Mapping[str, str],
        permit: Callable[[str, int], bool],
        names: Names | None = None,
    ) -> None:
        self._reactor = reactor
        self._folder = folder
        self._git = Git(reactor, environment)
        self._proxies, _ = read_proxies(environment)
        self._permit = permit
        self._names = Names(reactor) if names is None else names
        self._looking = DeferredLock()

    async def head(self, source: str) -> str:
        """Return the commit that a source is at now.

        "" where nothing is followed: it is no git repository, or not one by http, or the source is
        pinned to a commit or a tag. Raises a SourceError or a ToolError.
        """
        url, ref = _followed(source)
        if not url:
            return ""
        refs = parse_refs(await self.ask(url, ["ls-remote", "--quiet", "--", ref]))
        if ref not in refs:
            raise Refused(network_location(url), NOT_FOUND)
        return refs[ref]

    async def reaches(self, source: str, name: str) -> bool | None:
        """Whether a name is a tag of a source's repository, or a commit that a tag or branch has.

        A host of many may give a commit of any copy under the name of the original. A commit has
        all its digits. A branch moves on, so its name does only for a source that follows one.
        None where that cannot be told, for now at least.
        """
        said = parse_source(source)
        if said.kind != "git" or not _is_asked(said.url):
            return None
        try:
            refs = parse_refs(await self.ask(said.url, _NAMES))
            if said.fragment == "branch":
                return f"refs/heads/{name}" in refs
            if not _WHOLE.fullmatch(name):
                return f"refs/tags/{name}" in refs
            # Whatever a tag or branch is called: of all digits git makes the commit.
            commit = name.lower()
            if commit in refs.values() or not COMMIT.fullmatch(commit):
                return commit in refs.values()
            async with self._looking:
                return await self._is_in_history(said.url, commit)
        except (SourceError, ToolError, OSError) as error:
            self._log.info(
                "whether {url} has {name} cannot be told: {error}",
                url=without_user(said.url),
                name=name,
                error=error,
            )
            return None

    async def _is_in_history(self, url: str, commit: str) -> bool:
        place = self._folder / "looked-through"
        try:
            await in_thread(self._reactor, remove, place)
            await in_thread(self._reactor, make, place)
            await self.ask(
                url, _HISTORY, folder=place, seconds=LONGEST_HISTORY, most=LARGEST_HISTORY
            )
            # Nothing is fetched for it: what is not here now, no branch or tag leads to.
            done = await self._git.local(place, "cat-file", "-e", f"{commit}^{{commit}}")
            return done.status == 0
        finally:
            await in_thread(self._reactor, remove, place)

    async def ask(
        self, url: str, words: Sequence[str], *, folder: Path | None = None,
        seconds: float = LONGEST_QUESTION, most: int = 0,
    ) -> bytes:  # fmt: skip
        """Ask a repository, and whoever it sends to; return what git prints.

        As ``Git.remote`` does, but only at addresses that may be connected to.
        """
        name = network_location(url)
        for _ in range(MOST_MOVES + 1):
            remote = await self._find(url, name)
            try:
                return await self._git.remote(
                    remote, words, folder=folder, seconds=seconds, most=most
                )
            except Moved as moved:
                if not moved.location.endswith(_ASKED):
                    raise
                url = moved.location.removesuffix(_ASKED)
        raise Unreachable(name, f"has moved more than {MOST_MOVES} times")

    async def _find(self, url: str, name: str) -> Remote:
        """Return where a repository is asked: at an address that may be connected to."""
        try:
            address = parse_address(url)
        except ValueError as error:
            raise Unreachable(name, str(error)) from None
        if self._proxies.find(address.scheme, address.host) is not None:
            # It looks names up by itself, and leads where whoever runs it lets it.
            return Remote(url, name, follows=False)
        found = await self._addresses(address)
        if not found:
            raise Unreachable(name, "has a name that cannot be looked up")
        permitted = [one for one in found if self._permit(one, address.port)]
        if not permitted:
            raise Unreachable(name, "is on no network that [build] networks lets sources come from")
        at = ",".join(f"[{one}]" if ":" in one else one for one in permitted)
        pin = "" if permitted == [address.host] else f"{address.host}:{address.port}:{at}"
        return Remote(url, name, pin, follows=False)

    async def _addresses(self, address: Address) -> list[str]:
        try:
            return [str(ip_address(address.host))]
        except ValueError:
            return await self._names.addresses(address.host)


def _followed(source: str) -> tuple[str, str]:
    """Return the repository and the ref that a source follows, "" and "" where it follows none."""
    said = parse_source(source)
    if said.kind != "git" or not _is_asked(said.url) or said.fragment not in {"", "branch"}:
        return "", ""
    return said.url, f"refs/heads/{said.value}" if said.fragment else "HEAD"


def _is_asked(url: str) -> bool:
    return url.startswith(("https://", "http://"))
