"""File-name grammar: what is a package, a signature, a database, and what is not ours to serve.

Every name that comes from outside passes through here before it touches a path or a table.
Package names follow PKGBUILD(5): ``name-[epoch:]version-release-architecture.pkg.tar[.ext]``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from urllib.parse import quote, unquote_to_bytes

#: The bytes of a raw SHA-256.
DIGEST_SIZE = 32
#: No package is larger: a mirror's largest today are below 4 GiB.
LARGEST_FILE = 1 << 40

#: Longer than any file system allows (``NAME_MAX``), signature suffix included.
LONGEST_NAME = 255

#: A version is whatever makepkg takes (``lint_pkgbuild/pkgver.sh``): no blank, '/', ':' or '-'.
_PACKAGE = re.compile(
    r"(?P<name>[a-zA-Z0-9@_+][a-zA-Z0-9@._+-]*)"
    r"-(?P<version>(?:[0-9]+:)?[!-,.0-9;-~]+-[0-9]+(?:\.[0-9]+)?)"
    r"-(?P<architecture>[a-zA-Z0-9_]+)"
    r"\.pkg\.tar(?:\.(?:zst|xz|gz|bz2|lrz|lzo|lz4|lz|Z))?"
)
_DATABASE = re.compile(r"(?P<repository>[a-zA-Z0-9@_+][a-zA-Z0-9@._+-]*)\.(?:db|files)")
#: What ``repo-add`` wrote; ``.db``, which pacman asks for, is a link to it.
_ARCHIVE = re.compile(
    r"(?P<database>.+\.(?:db|files))\.tar(?:\.(?:zst|xz|gz|bz2|lrz|lzo|lz4|lz|Z))?(?:\.old)?"
)
#: A mirror's notes, at its root, of when it was last changed and last synced.
_NOTES = {"lastupdate", "lastsync"}
_PACKAGE_NAME = re.compile(r"[a-zA-Z0-9@_+][a-zA-Z0-9@._+-]{0,199}")
_REPOSITORY = re.compile(r"[a-zA-Z0-9@_+][a-zA-Z0-9@._+-]{0,127}")
_ARCHITECTURE = re.compile(r"[a-zA-Z0-9_]{1,32}")
#: What is added to a package's name, with its SHA-256, where another one has that name.
_BESIDE = "+sha256."
_IS_BESIDE = re.compile(r"\+sha256\.([0-9a-f]{64})(?=-)")
#: Arch's own repositories, those of the past too. Others build what the AUR has, as we do.
ARCH = frozenset(
    {
        *("core", "extra", "multilib", "community", "gnome-unstable", "kde-unstable"),
        *("core-testing", "extra-testing", "multilib-testing", "testing", "community-testing"),
    }
)


@dataclass(frozen=True, slots=True)
class Content:
    """What identifies a file: its size in bytes and its raw SHA-256."""

    size: int
    sha256: bytes


class Kind(Enum):
    """What a file is to pacman."""

    PACKAGE = "package"
    DATABASE = "database"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class FileName:
    """A name that pacman could ask for.

    ``text`` is the whole name; ``subject`` the same without ``.sig``. For a package ``name``,
    ``version`` (with epoch and release) and ``architecture`` are its parts; for a database
    ``name`` is the repository, and the others are empty. A note has its name alone.
    """

    text: str
    subject: str
    kind: Kind
    is_signature: bool
    name: str
    version: str = ""
    architecture: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request path taken apart; ``repository`` and ``architecture`` are empty in a flat one."""

    repository: str
    architecture: str
    file: FileName


def parse_file_name(text: str) -> FileName | None:
    """Tell what ``text`` names, or None where pacman would never ask for it."""
    if not 0 < len(text) <= LONGEST_NAME or not text.isascii():
        return None
    is_signature = text.endswith(".sig")
    subject = text.removesuffix(".sig")
    if match := _PACKAGE.fullmatch(subject):
        return FileName(text, subject, Kind.PACKAGE, is_signature, *match.groups())
    if match := _DATABASE.fullmatch(subject):
        return FileName(text, subject, Kind.DATABASE, is_signature, match["repository"])
    return None


def package_of(file_name: str) -> str:
    """Return the name of the package that a file is of; the file's own where it is of none."""
    file = parse_file_name(file_name)
    return file.name if file else file_name


def beside(file_name: str, sha256: bytes) -> str | None:
    """Return what a package is called in a store where another one has its name.

    That is a package's name too, of which ``known_as`` returns this one. None where it is too long.
    """
    name = package_of(file_name)
    text = f"{name}{_BESIDE}{sha256.hex()}{file_name[len(name) :]}"
    return text if is_package(text) and len(f"{text}.sig") <= LONGEST_NAME else None


def known_as(text: str) -> str:
    """Return the name at a mirror of a package that a store has, beside another one or not."""
    return _IS_BESIDE.sub("", text) if _BESIDE in text else text


def sum_of(text: str) -> bytes | None:
    """Return the raw SHA-256 that is in the name of what lies beside another one, else None."""
    match = _IS_BESIDE.search(text) if _BESIDE in text else None
    return None if match is None else bytes.fromhex(match[1])


def is_package(text: str) -> bool:
    """Whether ``text`` names a package itself (not its signature)."""
    file = parse_file_name(text)
    return file is not None and file.kind is Kind.PACKAGE and not file.is_signature


def is_package_name(text: str) -> bool:
    """Whether ``text`` can be a package's or a group's own name."""
    return _PACKAGE_NAME.fullmatch(text) is not None


def is_about_packages(text: str) -> bool:
    """Whether ``text`` names a signature, a database or a mirror's note."""
    database = _DATABASE.fullmatch(text) or _ARCHIVE.fullmatch(text)
    return text.endswith(".sig") or text in _NOTES or database is not None


def is_repository(text: str) -> bool:
    """Whether ``text`` can be a repository's name."""
    return _REPOSITORY.fullmatch(text) is not None


def is_architecture(text: str) -> bool:
    """Whether ``text`` can be an architecture's name."""
    return _ARCHITECTURE.fullmatch(text) is not None


def parse_path(path: bytes) -> Asked | None:
    """Take apart ``/REPO/os/ARCH/FILE`` or ``/FILE`` as pacman sends it.

    ``:`` and ``+`` come raw from pacman; their escapes are read too. The path is unescaped once,
    after it was split, so an escaped slash cannot make a new segment. Several slashes in a row are
    one, as mirrors read them: a ``Server`` line that ends in one makes such paths. At the root, a
    mirror's notes are named too.
    """
    if len(path) > 4 * LONGEST_NAME or not path.startswith(b"/"):
        return None
    try:
        *parts, last = [unquote_to_bytes(part).decode("ascii") for part in path.split(b"/")]
    except UnicodeDecodeError:
        return None
    segments = [*filter(None, parts), last]
    if segments[0] in _NOTES and len(segments) == 1:
        return Asked("", "", FileName(last, last, Kind.NOTE, False, last))
    file = parse_file_name(last) or _parse_archive(last)
    if file is None:
        return None
    if len(segments) == 1:
        return Asked(file.name if file.kind is Kind.DATABASE else "", "", file)
    match segments:
        case [repository, "os", architecture, _]:
            return _asked(repository, architecture, file)
    return None


def _parse_archive(text: str) -> FileName | None:
    """Tell which database ``text`` is the archive of, under the name that ``repo-add`` gave it."""
    match = _ARCHIVE.fullmatch(text.removesuffix(".sig")) if len(text) <= LONGEST_NAME else None
    database = parse_file_name(match["database"]) if match else None
    if database is None or database.kind is not Kind.DATABASE:
        return None
    return replace(
        database, text=text, subject=text.removesuffix(".sig"), is_signature=text.endswith(".sig")
    )


def parse_parts(repository: str, architecture: str, name: str) -> Asked | None:
    """Check the three parts of a path that name a file of a repository."""
    file = parse_file_name(name)
    return None if file is None else _asked(repository, architecture, file)


def _asked(repository: str, architecture: str, file: FileName) -> Asked | None:
    if not is_repository(repository) or not is_architecture(architecture):
        return None
    return Asked(repository, architecture, file)


def mirror_root(server: str, repository: str) -> str:
    """Return the root of the mirror that a complete ``Server`` of ``repository`` names.

    Empty where the server is laid out in another way than ``$repo/os/$arch``.
    """
    root, _, architecture = server.rstrip("/").rpartition(f"/{repository}/os/")
    return root if is_architecture(architecture) else ""


def escape(file_name: str) -> str:
    """Return a file name as it stands in a path.

    ':' and '+' stand raw, as pacman itself sends them: some mirrors know no other way. So does all
    else that may stand raw in a path (RFC 3986, 3.3).
    """
    return quote(file_name, safe=":+~@^!$&'()*,;=")


#: What cannot stand in every file's name or address; repositories write other signs for it.
_SIGNS = re.compile(r"[^a-zA-Z0-9-]")


def belongs_to(file_name: str, name: str, version: str, architecture: str = "") -> bool:
    """Whether this is a package's file, named for this package, version and architecture ("": any).

    One sign may stand for another: some hosts take no ':' or '+' in a name.
    """
    file = parse_file_name(file_name)
    if file is None or file.kind is not Kind.PACKAGE or file.is_signature:
        return False
    if not name or not version:
        return False
    if (file.name, file.version) != (name, version):
        beginning = f"{name}-{version}-{file.architecture}.pkg.tar"
        plain = _SIGNS.sub(".", file.subject)
        if not plain.startswith(_SIGNS.sub(".", beginning)):
            return False
    return architecture in {"", file.architecture}


#: What pacman looks for in the address that a file came from in the end (``dload.c``): with one of
#: them in it, the signature is asked for at that address, too, and nowhere else.
_TELLING = (".pkg", ".db")
_EXTENSION = re.compile(r"\.tar(?:\.[A-Za-z0-9]+)?\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def content_path(file_name: str, sha256: bytes) -> str | None:
    """Return the path under which peers have a package for pacman itself, None where it has none.

    ``.pkg`` is left out of it, so that pacman comes back to its own node for the signature.
    """
    path = f"/content/{sha256.hex()}/{escape(_without_pkg(file_name))}"
    return None if any(text in path for text in _TELLING) else path


def parse_content(sha256: str, name: str) -> tuple[FileName, bytes] | None:
    """Take the last two parts of such a path apart: the package's name and its SHA-256."""
    file = parse_file_name(_EXTENSION.sub(r".pkg\g<0>", name))
    if file is None or not is_package(file.text) or not _SHA256.fullmatch(sha256):
        return None
    return file, bytes.fromhex(sha256)


def _without_pkg(file_name: str) -> str:
    stem, _, extension = file_name.rpartition(".pkg.tar")
    return f"{stem}.tar{extension}"
