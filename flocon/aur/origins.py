"""Where a recipe's history is fetched from, and for how long who failed is left alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flocon.asking.addresses import network_location
from flocon.aur.git import Remote
from flocon.aur.pauses import Pauses
from flocon.errors import BuildError, Refused, Stalled, Unreachable

if TYPE_CHECKING:
    from flocon.errors import SourceError

#: Statuses of a server that is asked too much, or ails.
_TOO_MANY, _SERVER_ERRORS = 429, 500


@dataclass(frozen=True, slots=True)
class Origin:
    """A ref of a remote, and what came of asking there before.

    ``is_set`` tells that it stands in the settings: others are asked only where sources may be.
    """

    remote: Remote
    ref: str
    pauses: Pauses = field(default_factory=Pauses)
    is_set: bool = False

    def demand_asked(self, now: float, *, urgent: bool) -> None:
        """Raise Unreachable where it is left alone now."""
        self.pauses.demand_asked(self.remote.name, now, urgent=urgent)

    def failed(self, failure: SourceError, now: float) -> None:
        if is_away(failure):
            self.pauses.failed(now, failure.detail)


class Origins:
    """The AUR, and its copy: each of the histories that changed would else wait for it in turn."""

    def __init__(self, aur: str, copy: str) -> None:
        self._aur = aur
        self._copy = copy
        self._pauses = Pauses(), Pauses()

    def of(self, base: str) -> list[Origin]:
        """Return where a base's history is, the best first."""
        name = network_location(self._aur)
        remote = Remote(f"{self._aur}/{base}.git", name)
        origins = [Origin(remote, "refs/heads/master", self._pauses[0], is_set=True)]
        if self._copy:
            copy = Remote(self._copy, network_location(self._copy))
            origins.append(Origin(copy, f"refs/heads/{base}", self._pauses[1], is_set=True))
        return origins


def is_away(failure: SourceError) -> bool:
    """Whether it tells of a remote, and not of what was asked of it."""
    if isinstance(failure, Refused):
        return failure.status == _TOO_MANY or failure.status >= _SERVER_ERRORS
    return isinstance(failure, (Unreachable, Stalled))


def parse_origin(address: str) -> Origin:
    """Return where a repository lies that a person named, ``#branch=NAME`` behind it maybe.

    Raises BuildError where it is none that can be fetched.
    """
    url, mark, fragment = address.removeprefix("git+").partition("#")
    kind, _, branch = fragment.partition("=")
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        fits = False
    if not fits or not url.isascii() or not url.isprintable() or " " in url:
        raise BuildError(
            f"{address!r} is no repository that can be fetched",
            "write it like https://HOST/PATH.git",
        )
    if mark and (kind != "branch" or not _is_branch(branch)):
        raise BuildError(f"{address!r} names no branch", "write it like URL#branch=NAME")
    return Origin(Remote(url, network_location(url)), f"refs/heads/{branch}" if mark else "HEAD")


def _is_branch(name: str) -> bool:
    """Whether a name can be a branch's, as it stands in a refspec (git-check-ref-format(1))."""
    bad = set(" ~^:?*[\\")
    return (
        name.isprintable()
        and not bad & set(name)
        and ".." not in name
        and "@{" not in name
        and all(
            part and part[0] not in ".-" and not part.endswith((".", ".lock"))
            for part in name.split("/")
        )
    )
