"""What the signer can be told, read from a message. No I/O.

Whoever says it may be mistaken, or not who he should be: whatever has another shape, or is larger
than it can be, is refused with a sentence.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from flocon.errors import RepositoryError
from flocon.files import (
    LONGEST_NAME,
    is_architecture,
    is_package,
    is_package_name,
    is_repository,
)
from flocon.pacman.syncdb import LARGEST_SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: A socket lies in a folder of this name, and its path has 107 bytes at most.
LONGEST_REPOSITORY = 48
#: Names that pacman keeps for itself, and those of Arch's own repositories, also of other days.
TAKEN = frozenset(
    {
        *("local", "options", "core", "extra", "community", "multilib", "testing", "staging"),
        *("core-testing", "extra-testing", "multilib-testing", "community-testing"),
        *("core-staging", "extra-staging", "multilib-staging", "gnome-unstable", "kde-unstable"),
    }
)
#: Characters of a recipe's .SRCINFO and of one install script; a whole message has 1 MiB.
LARGEST_TEXT = 512 << 10
#: Packages in one request.
MOST_PACKAGES = 1_000
_COMMIT = re.compile(r"[0-9a-f]{0,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"(?:[0-9]+:)?[!-,.0-9;-~]+-[0-9]+(?:\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Init:
    """Make a key and an empty repository."""

    repository: str


@dataclass(frozen=True, slots=True)
class ShowKey:
    """Tell the public key."""

    repository: str


@dataclass(frozen=True, slots=True)
class ReplaceKey:
    """Make a key that is to take the place of the one in use."""

    repository: str


@dataclass(frozen=True, slots=True)
class SwitchKey:
    """Sign all with the key that was made last, and revoke the other."""

    repository: str


@dataclass(frozen=True, slots=True)
class ShowList:
    """Tell which packages there are."""

    repository: str


@dataclass(frozen=True, slots=True)
class Add:
    """Take in packages made elsewhere: on the word of who asks, or each by its signature."""

    repository: str
    names: tuple[str, ...]
    #: Of each file a detached signature, b"" for none.
    signatures: tuple[bytes, ...]
    on_word: bool


@dataclass(frozen=True, slots=True)
class Remove:
    """Take packages out."""

    repository: str
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RollBack:
    """Go back to an older version of a package, "" for the one before."""

    repository: str
    package: str
    version: str


@dataclass(frozen=True, slots=True)
class Build:
    """What was approved: what the files of a build have to be."""

    base: str
    version: str
    architecture: str
    packages: tuple[str, ...]
    commit: str
    #: The recipe's .SRCINFO, and the install script of each package that names one.
    srcinfo: str
    install: Mapping[str, str] = field(default_factory=dict)
    #: The .SRCINFO that makepkg printed where it was built, "" where nobody knows.
    printed: str = ""


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish what came out of a build; ``accept`` is the digest of surprises that were seen."""

    repository: str
    names: tuple[str, ...]
    build: Build
    accept: str


Request: TypeAlias = (
    Init | ShowKey | ReplaceKey | SwitchKey | ShowList | Add | Remove | RollBack | Publish
)


def read(values: Mapping[str, Any], files: int) -> Request:
    """Return what a message with so many open files asks for; raises RepositoryError."""
    do = values.get("do")
    readers: dict[str, Callable[[Mapping[str, Any]], Request]] = {
        "init": _init,
        "add": _add,
        "remove": _remove,
        "rollback": _roll_back,
        "publish": _publish,
    }
    plain: dict[str, Callable[[str], Request]] = {
        "key": ShowKey,
        "list": ShowList,
        "replace": ReplaceKey,
        "switch": SwitchKey,
    }
    if isinstance(do, str) and do in readers:
        request = readers[do](values)
    elif isinstance(do, str) and do in plain:
        request = plain[do](_repository(values))
    else:
        raise _wrong("it knows no such request")
    if len(getattr(request, "names", ())) != files:
        raise _wrong("there are not as many files as names")
    return request


def repository_name(name: Any) -> str:
    """Return the name that a repository of its own can have; raises RepositoryError."""
    if not isinstance(name, str) or not is_repository(name):
        raise RepositoryError(
            f"{str(name)[:LONGEST_NAME]!r} is no repository's name",
            "take letters, digits and any of @ . _ + -",
        )
    if len(name) > LONGEST_REPOSITORY:
        raise RepositoryError(
            f"{name} is longer than {LONGEST_REPOSITORY} characters", "take a shorter name"
        )
    if name in TAKEN:
        raise RepositoryError(
            f"{name} is pacman's or Arch's own", "take another name, like 'home' or 'office'"
        )
    return name


def _repository(values: Mapping[str, Any]) -> str:
    """Return the repository that is meant, "" for the only one."""
    name = values.get("repository") or values.get("name") or ""
    return repository_name(name) if name != "" else ""


def _init(values: Mapping[str, Any]) -> Init:
    return Init(repository_name(_repository(values)))


def _add(values: Mapping[str, Any]) -> Add:
    names = _file_names(values)
    given = values.get("signatures")
    signatures = [None] * len(names) if given is None else given
    if not isinstance(signatures, list) or len(signatures) != len(names):
        raise _wrong("there are not as many signatures as names")
    on_word = values.get("trusted", False)
    if not isinstance(on_word, bool):
        raise _wrong("'trusted' is neither true nor false")
    return Add(_repository(values), names, tuple(map(_signature, signatures)), on_word)


def _signature(given: Any) -> bytes:
    if given is None:
        return b""
    try:
        data = base64.b64decode(given, validate=True) if isinstance(given, str) else b""
    except (ValueError, binascii.Error):
        data = b""
    if not 0 < len(data) <= LARGEST_SIGNATURE:
        raise _wrong("a signature is none")
    return data


def _remove(values: Mapping[str, Any]) -> Remove:
    return Remove(_repository(values), _package_names(values.get("packages")))


def _roll_back(values: Mapping[str, Any]) -> RollBack:
    (package,) = _package_names([values.get("package")])
    version = values.get("version") or ""
    if version != "":
        version = _version(version)
    return RollBack(_repository(values), package, version)


def _publish(values: Mapping[str, Any]) -> Publish:
    said = values.get("build")
    if not isinstance(said, dict):
        raise _wrong("it does not say what was built")
    accept = values.get("accept") or ""
    if accept != "" and not (isinstance(accept, str) and _DIGEST.fullmatch(accept)):
        raise _wrong("'accept' is no digest")
    return Publish(_repository(values), _file_names(values), _build(said), accept)


def _build(said: Mapping[str, Any]) -> Build:
    (base,) = _package_names([said.get("base")])
    architecture, commit = said.get("architecture"), said.get("commit", "")
    if not isinstance(architecture, str) or not is_architecture(architecture):
        raise _wrong("it does not say for which architecture")
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise _wrong("the commit is none")
    install = said.get("install") or {}
    if not isinstance(install, dict):
        raise _wrong("'install' has no text for each package")
    return Build(
        base,
        _version(said.get("version")),
        architecture,
        _package_names(said.get("packages")),
        commit,
        _text(said.get("srcinfo", "")),
        dict(zip(_package_names(list(install)), map(_text, install.values()), strict=True))
        if install
        else {},
        _text(said.get("printed", "")),
    )


def _file_names(values: Mapping[str, Any]) -> tuple[str, ...]:
    names = values.get("names")
    if not isinstance(names, list) or not names:
        raise _wrong("it names no file")
    for name in names:
        if not isinstance(name, str) or not is_package(name):
            raise RepositoryError(
                f"{str(name)[:LONGEST_NAME]} is no package's file name",
                "packages are called NAME-VERSION-RELEASE-ARCHITECTURE.pkg.tar.zst",
            )
    if len(set(names)) < len(names):
        raise _wrong("it names a file twice")
    return tuple(names)


def _package_names(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not 0 < len(given) <= MOST_PACKAGES:
        raise _wrong("it names no package, or too many")
    for name in given:
        if not isinstance(name, str) or not is_package_name(name):
            shown = str(name)[:LONGEST_NAME]
            raise RepositoryError(f"{shown!r} is no package's name", "see 'flocon repo list'")
    return tuple(dict.fromkeys(given))


def _version(given: Any) -> str:
    if not isinstance(given, str) or len(given) > LONGEST_NAME or not _VERSION.fullmatch(given):
        shown = str(given)[:LONGEST_NAME]
        raise RepositoryError(f"{shown!r} is no version", "write it like 1.2-1")
    return given


def _text(given: Any) -> str:
    if not isinstance(given, str) or len(given) > LARGEST_TEXT:
        raise _wrong("a text is none, or too long")
    return given


def _wrong(problem: str) -> RepositoryError:
    return RepositoryError(
        f"the signer was asked for what it cannot read: {problem}",
        "see whether flocon and the signer are of one version",
    )
