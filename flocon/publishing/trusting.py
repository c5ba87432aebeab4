"""Keys of an own repository in pacman's keyring, by ``pacman-key``; and which vouches for which.

Only what ``joined.keys`` has looked at comes here.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flocon.errors import ConfigurationError, RepositoryError, ToolError
from flocon.joined.keys import read_keys
from flocon.leading.programs import keyring_of, run_tool

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from flocon.joined.keys import PublicKey

#: What it takes to trust a key, each with the package that has it.
_TOOLS = (("gpg", "gnupg"), ("pacman-key", "pacman"))
#: Seconds for one run: making pacman's own key takes some on a slow machine.
PATIENCE = 120
#: Where ``gpg --with-colons`` has what: the kind of a line, whether a signature is good, its key's
#: id, the class of a signature, and a fingerprint.
_KIND, _GOOD, _ID, _FINGERPRINT = 0, 1, 4, 9
_ID_DIGITS = 16


def demand_tools() -> None:
    """Raise RepositoryError where keys can be neither looked at nor trusted here.

    Without gpg nobody would know that a key was revoked.
    """
    for tool, package in _TOOLS:
        if shutil.which(tool) is None:
            raise RepositoryError(
                f"{tool} is not installed here, by which keys are looked at and trusted",
                f"install {package}, and do it once more; nothing was changed",
            )


def trust(pacman_conf: Path, data: bytes, fingerprints: Sequence[str]) -> None:
    """Have pacman trust these keys, fully and on this machine alone.

    Raises ConfigurationError and ToolError.
    """
    folder = _made(pacman_conf)
    _key(folder, "--init")
    with tempfile.NamedTemporaryFile(suffix=".gpg") as file:
        file.write(data)
        file.flush()
        _key(folder, "--add", file.name)
    for fingerprint in fingerprints:
        _key(folder, "--lsign-key", fingerprint)


def trust_no_more(pacman_conf: Path, fingerprints: Sequence[str]) -> None:
    """Take keys out of pacman's keyring, as far as they are in it.

    Raises ConfigurationError and ToolError.
    """
    folder = _made(pacman_conf) if fingerprints else ""
    for fingerprint in fingerprints:
        if _pacman_key(folder, "--finger", fingerprint)[0] == 0:
            _key(folder, "--delete", fingerprint)


def tell_of_revoked(pacman_conf: Path, keys: Sequence[PublicKey]) -> None:
    """Have pacman's keyring know of keys that it has that they have revoked themselves.

    Raises ConfigurationError and ToolError.
    """
    folder = _made(pacman_conf) if keys else ""
    for one in keys:
        if _pacman_key(folder, "--finger", one.fingerprint)[0] == 0:
            with tempfile.NamedTemporaryFile(suffix=".gpg") as file:
                file.write(one.data)
                file.flush()
                _key(folder, "--add", file.name)


def _made(pacman_conf: Path) -> str:
    """Return pacman's GPGDir, which is made where it is missing.

    pacman-key itself would do without a folder, and make its files in the root of the system.
    """
    folder = keyring_of(pacman_conf)
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        remedy = "run this as root"
        raise ConfigurationError(str(folder), error.strerror or str(error), remedy) from None
    return str(folder)


def _key(folder: str, *arguments: str) -> None:
    status, output, errors = _pacman_key(folder, *arguments)
    if status != 0:
        raise ToolError(f"pacman-key {arguments[0]}", _last_lines(output + errors))


def _pacman_key(folder: str, *arguments: str) -> tuple[int, str, str]:
    return run_tool("pacman-key", "--gpgdir", folder, *arguments, seconds=PATIENCE)


def certified(keys: Sequence[PublicKey], by: Collection[str]) -> set[str]:
    """Return which keys are certified by one of those ``by``, which are among them; gpg says so."""
    if len(keys) < 2 or not _has_gpg():  # noqa: PLR2004 - none beside itself
        return set()
    with _ring(keys) as ring:
        said = ring.tell("--with-colons", "--check-sigs")
    return _read_certified(said, {one[-_ID_DIGITS:] for one in by})


def united(keys: Mapping[str, Sequence[PublicKey]]) -> dict[str, PublicKey]:
    """Return what several forms of each key have together, by fingerprint, as gpg makes it of them.

    Where gpg makes nothing of them that is a key, it is left out.
    """
    found: dict[str, PublicKey] = {}
    if not keys or not _has_gpg():
        return found
    with _ring() as ring:
        for fingerprint, forms in keys.items():
            for one in forms:
                ring.take([one])
            with suppress(OSError, RepositoryError):
                (key,) = read_keys(ring.export(fingerprint))
                if key.fingerprint == fingerprint:
                    found[fingerprint] = key
    return found


def revoked(keys: Sequence[PublicKey]) -> set[str]:
    """Return which keys have revoked themselves; gpg says so, and believes nobody else."""
    if not keys or not _has_gpg():
        return set()
    with _ring(keys) as ring:
        said = ring.tell("--with-colons", "--list-keys")
    return {fingerprint for fingerprint, is_revoked in listed_keys(said) if is_revoked}


def listed_keys(said: str) -> Iterator[tuple[str, bool]]:
    """Yield the print of each key in gpg's list with colons, and whether it was revoked."""
    is_revoked: bool | None = None
    for words in _fields(said):
        if words[_KIND] == "pub":
            is_revoked = words[_GOOD] == "r"
        elif words[_KIND] == "fpr" and is_revoked is not None and len(words) > _FINGERPRINT:
            yield words[_FINGERPRINT], is_revoked
            # Those that follow are of its other keys.
            is_revoked = None


def _fields(said: str) -> Iterator[list[str]]:
    """Yield the fields of each line; names in a key have signs that begin a line in Unicode."""
    return (line.split(":") for line in said.split("\n"))


class _Ring:
    """gpg with the folder ``home``, where no other keys are; it asks nobody."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def take(self, keys: Sequence[PublicKey]) -> None:
        file = self._home / "keys"
        file.write_bytes(b"".join(one.data for one in keys))
        self.tell("--import", str(file))

    def export(self, fingerprint: str) -> bytes:
        """Return one key; raises OSError where it is not there."""
        out = self._home / "exported"
        out.unlink(missing_ok=True)
        self.tell("-o", str(out), "--export", fingerprint)
        return out.read_bytes()

    def tell(self, *arguments: str) -> str:
        """Have gpg do something, and return what it says; raises ToolError or ToolMissing."""
        words = ("--homedir", str(self._home), "--batch", "--quiet", "--no-auto-check-trustdb")
        return run_tool("gpg", *words, "--no-autostart", *arguments, seconds=PATIENCE)[1]


@contextmanager
def _ring(keys: Sequence[PublicKey] = ()) -> Iterator[_Ring]:
    """Yield a ring that has these keys, and goes in the end."""
    with tempfile.TemporaryDirectory() as home:
        ring = _Ring(Path(home))
        if keys:
            ring.take(keys)
        yield ring


def _has_gpg() -> bool:
    return shutil.which("gpg") is not None


def _read_certified(said: str, ids: Collection[str]) -> set[str]:
    found: set[str] = set()
    current = ""
    for words in _fields(said):
        kind = words[_KIND]
        if kind == "pub":
            current = ""
        elif kind == "fpr" and not current and len(words) > _FINGERPRINT:
            current = words[_FINGERPRINT]
        elif kind == "sig" and current and words[_GOOD] == "!" and words[_ID] in ids:
            if words[_ID] != current[-_ID_DIGITS:]:
                found.add(current)
        elif kind == "rev" and current in found and words[_GOOD] == "!" and words[_ID] in ids:
            found.discard(current)
    return found


def _last_lines(said: str) -> str:
    """Return what a program said last: pacman-key's own words, and gpg's before them."""
    lines = [line.strip() for line in said.splitlines() if line.strip()][-2:]
    text = "; ".join(lines) or "it failed"
    return "".join(one for one in text if one.isprintable())[:300]
