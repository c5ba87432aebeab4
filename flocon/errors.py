"""The whole hierarchy of what can go wrong, and whose fault it is.

::

    FloconError
    ├── ConfigurationError      the operator's: a file, a key and what to do about it
    ├── StoreError              this machine's: a folder that cannot be read or written
    │   ├── NoDescriptors       not now: there are no file descriptors left
    │   └── FolderSilent        not now: who keeps it does not answer
    │       └── FolderCrowded   not now: others wait for it
    ├── PeerError               the operator's: a word that means no one peer
    │   ├── UnknownPeer         nobody is called so
    │   ├── AmbiguousPeer       several are: they are carried
    │   └── NotHeld             it is not in quarantine
    ├── TaskError               the operator's: what was wanted and cannot be done, and what to do
    │   ├── MirrorError         by the LAN's mirror
    │   ├── RepositoryError     with an own repository
    │   │   └── SignerAway      not now: the signer is not there
    │   │       └── SignerEnded  nor then: it ended meanwhile, or says nothing
    │   └── BuildError          of builds, or decided of them
    │       └── BuilderAway     not now: the builder is not there, or ended meanwhile
    ├── PackageError            a file's: it is not the package it should be
    ├── RecipeError             a recipe's: PKGBUILD or .SRCINFO that cannot be read
    ├── ToolError               this machine's: pacman-conf or gpgv failed
    │   └── ToolMissing         it is not installed
    ├── ProtocolError           a stranger's: what was received is not the protocol
    │   ├── DatagramError
    │   ├── InventoryError
    │   └── SyncDatabaseError   a file that is not a sync database
    └── SourceError             a source's: it did not deliver what it was asked for
        ├── Unreachable         no connection, or none within the time allowed
        ├── Refused             an answer that is not the file: its status is carried
        ├── Stalled             connected, then silent for too long
        ├── Broken              ended early, or said something that is not HTTP
        └── Contradicted        whole, but not the bytes that were promised

Errors carry data; ``str()`` of each is the sentence a user reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class FloconError(Exception):
    """Whatever flocon itself raises."""


class ConfigurationError(FloconError):
    """A setting that cannot be used: where it stands, what is wrong, what to do."""

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        super().__init__(where, problem, remedy)
        self.where = where
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}; {self.remedy}"


class StoreError(FloconError):
    """A folder of this machine that could not be used: its path and the system's reason."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class NoDescriptors(StoreError):  # noqa: N818 - a state of this machine, and a passing one
    """A file that could not be opened for want of descriptors: its path. It may be all right."""

    def __init__(self, path: str) -> None:
        super().__init__(path, "there are no file descriptors left now")


class FolderSilent(StoreError):  # noqa: N818 - a state of another machine, and a passing one
    """A folder that lets everybody wait: its path, and the seconds for which it has."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__(path, f"has not answered for {seconds:.0f} s")
        self.seconds = seconds

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


class FolderCrowded(FolderSilent):
    """A folder that so many want something of that others have to wait: its path."""

    def __init__(self, path: str) -> None:
        super().__init__(path, 0.0)
        self.reason = "is asked for more than it gives at once"


class PeerError(FloconError):
    """The operator's word for a peer does not mean one: the word."""

    def __init__(self, word: str) -> None:
        super().__init__(word)
        self.word = word


class UnknownPeer(PeerError):  # noqa: N818 - a fact about the word, read as one
    """No peer has this id, address or name."""

    def __str__(self) -> str:
        return f"no peer is called {self.word}; 'flocon peers' lists them"


class AmbiguousPeer(PeerError):  # noqa: N818
    """Peers at several addresses have chosen this name: each with its address and id."""

    #: Those that the sentence names: a stranger may call a thousand so.
    MOST_TOLD = 8

    def __init__(self, word: str, places: Sequence[str]) -> None:
        super().__init__(word)
        self.places = tuple(places)

    def __str__(self) -> str:
        told = ", ".join(self.places[: self.MOST_TOLD])
        left = len(self.places) - self.MOST_TOLD
        more = f" and {left} more" if left > 0 else ""
        return (
            f"{len(self.places)} peers are called {self.word}: {told}{more};"
            " say which by its address or its id"
        )


class NotHeld(PeerError):  # noqa: N818
    """There is nothing to pardon."""

    def __str__(self) -> str:
        return f"{self.word} was not in quarantine"


class TaskError(FloconError):
    """What a person wanted and cannot be done: what is wrong, and what to do ("" for nothing)."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}" if self.remedy else self.problem


class MirrorError(TaskError):
    """What the mirror for the LAN was told and cannot do: what is wrong, and what to do."""


class RepositoryError(TaskError):
    """What an own repository cannot do: what is wrong, and what to do."""


class SignerAway(RepositoryError):  # noqa: N818 - a state of this machine, and a passing one
    """The signer is not there, or was ended: what it was asked is to be asked again."""


class SignerEnded(SignerAway):
    """The signer was asked, and has ended or is silent: what it was asked may be why."""


class BuildError(TaskError):
    """What cannot be built, or decided of builds: what is wrong, and what to do."""


class BuilderAway(BuildError):  # noqa: N818 - a state of this machine, and a passing one
    """The builder is not there, or was ended: what it was doing is to be done again."""


class PackageError(FloconError):
    """A file that is not the package it should be: its name, and what is wrong."""

    def __init__(self, file_name: str, problem: str) -> None:
        super().__init__(file_name, problem)
        self.file_name = file_name
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.file_name}: {self.problem}"


class RecipeError(FloconError):
    """A recipe that cannot be read: the file, the line (0 where it is none), what is wrong."""

    def __init__(self, file_name: str, line: int, problem: str) -> None:
        super().__init__(file_name, line, problem)
        self.file_name = file_name
        self.line = line
        self.problem = problem

    def __str__(self) -> str:
        place = f"{self.file_name}, line {self.line}" if self.line else self.file_name
        return f"{place}: {self.problem}"


class ToolError(FloconError):
    """A program that flocon runs (pacman-conf, gpgv) failed: its name and its own words."""

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(tool, reason)
        self.tool = tool
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.tool}: {self.reason}"


class ToolMissing(ToolError):  # noqa: N818 - a fact about the machine, read as one
    """A program that flocon could use is not installed here."""

    def __init__(self, tool: str) -> None:
        super().__init__(tool, "is not installed")


class ProtocolError(FloconError):
    """What was received does not follow the protocol; ``reason`` is a short, countable word."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class DatagramError(ProtocolError):
    """A datagram that is not one of ours."""


class InventoryError(ProtocolError):
    """An answer to ``GET /inventory`` that is not an inventory."""


class SyncDatabaseError(ProtocolError):
    """A file that is not a pacman sync database."""


class SourceError(FloconError):
    """A source did not deliver: its address, and what happened."""

    def __init__(self, source: str, detail: str) -> None:
        super().__init__(source, detail)
        self.source = source
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.source}: {self.detail}"


class Unreachable(SourceError):  # noqa: N818 - a fact about the source, read as one
    """No connection, or none within the time allowed."""


class Refused(SourceError):  # noqa: N818
    """An HTTP answer that is not the file asked for.

    ``retry_after`` is for how many seconds the source asked to be left alone, None if it did not.
    """

    def __init__(self, source: str, status: int, retry_after: float | None = None) -> None:
        super().__init__(source, f"answered {status}")
        self.status = status
        self.retry_after = retry_after


class Stalled(SourceError):  # noqa: N818
    """Connected, then silent for longer than allowed."""


class Broken(SourceError):  # noqa: N818
    """The answer ended early, was longer than promised, or was not HTTP."""


class Contradicted(SourceError):  # noqa: N818
    """Every byte arrived, and they are not the ones that were promised."""
