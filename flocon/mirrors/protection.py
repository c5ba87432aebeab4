"""What of the store never goes on a mirror for the LAN, and who says so.

Several guards are asked, each of which knows the packages of one subject by file name and SHA-256.
One that does not know yet, as at start, protects everything. What was found out is remembered
until something changes, and what was protected until it was looked at again: a look at thousands
of packages takes its time, and in the meantime nothing may go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.files import known_as, parse_file_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    #: Says of a file name and a raw SHA-256 whether it is protected; None where that is not known
    #: yet. Asked in any thread.
    Guard = Callable[[str, bytes], bool | None]

#: Why packages are protected. What nobody has looked at yet is, too.
IN_USE = "listed by a state in use"
IN_SNAPSHOT = "in a snapshot"
WANTED = "wanted"
PINNED = "pinned"
BEING_SENT = "being sent"
UNKNOWN = "not looked at yet"


class Protection:
    """Asks ``guards``, by what each of them says of what it protects.

    ``sha256`` tells which content lies in the store under a name, None where nobody knows.
    """

    def __init__(
        self, sha256: Callable[[str], bytes | None], guards: Mapping[str, Guard] | None = None
    ) -> None:
        self._sha256 = sha256
        self.guards: dict[str, Guard] = dict(guards or {})
        #: By name: the content that was looked at, and why it is protected, "" where it is not.
        self._known: dict[str, tuple[bytes, str]] = {}
        #: Grows with each change: what was found out before need not hold now.
        self.version = 0

    def changed(self) -> None:
        """Note that a guard may say something else now."""
        self.version += 1
        self._known = {name: known for name, known in self._known.items() if known[1]}

    def take(self, version: int, known: Mapping[str, tuple[bytes, str]]) -> None:
        """Take what was found out elsewhere, unless something has changed since ``version``."""
        if version == self.version:
            self._known = dict(known)

    def __call__(self, file_name: str) -> bool:
        """Whether the package of the store that has this name stays in any case."""
        sha256 = self._sha256(file_name)
        if sha256 is None:
            return True
        known = self._known.get(file_name)
        if known is not None and known[0] == sha256:
            return bool(known[1])
        reason = self.reason(file_name, sha256)
        if reason != UNKNOWN:
            self._known[file_name] = sha256, reason
        return bool(reason)

    def now(self, file_name: str) -> bool:
        """Return the same as it is at this moment."""
        return bool(self.reason(file_name, self._sha256(file_name)))

    def reason(self, file_name: str, sha256: bytes | None) -> str:
        """Return why a package is protected, "" where it is not; for any thread."""
        if sha256 is None:
            return UNKNOWN
        file_name = known_as(file_name)
        for reason, guard in self.guards.items():
            said = guard(file_name, sha256)
            if said is None:
                return UNKNOWN
            if said:
                return reason
        return ""


def pins(names: Callable[[], Collection[str]]) -> Guard:
    """Return what protects packages by their own names, whatever their content."""

    def guard(file_name: str, _: bytes) -> bool:
        pinned = names()
        file = parse_file_name(file_name) if pinned else None
        return file is not None and file.name in pinned

    return guard
