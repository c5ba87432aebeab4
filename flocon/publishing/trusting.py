"""Keys of an own repository in pacman's keyring, by ``pacman-key``; and which vouches for which.

Only what ``joined.keys`` has looked at comes here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flocon.errors import ConfigurationError, RepositoryError, ToolError, ToolMissing
from flocon.joined.keys import read_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from flocon.joined.keys import PublicKey

#: Seconds for one run: making pacman's own key takes some on a slow machine.
PATIENCE = 120
#: Where ``gpg --with-colons`` has what: the kind of a line, whether a signature is good, its key's
#: id, the class of a signature, and a fingerprint.
_KIND, _GOOD, _ID, _FINGERPRINT = 0, 1, 4, 9
_ID_DIGITS = 16
#: What pacman-conf says, since 7.0, of a GPGDir that is not there yet.
_MISSING = re.compile(r"failed to resolve path '(/[^'\n]+)' passed to 'GPGDir'")


def trust(pacman_conf: Path, data: bytes, fingerprints: Sequence[str]) -> None:
    """Have pacman trust these keys, fully and on this machine alone.

    Raises ConfigurationError and ToolError.
    """
    folder = _keyring(pacman_conf)
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
    folder = _keyring(pacman_conf) if fingerprints else ""
    for fingerprint in fingerprints:
        if _run("pacman-key", "--gpgdir", folder, "--finger", fingerprint)[0] == 0:
            _key(folder, "--delete", fingerprint)


def _keyring(pacman_conf: Path) -> str:
    """Return pacman's GPGDir, which is made where it is missing.

    pacman-key itself would do without a folder, and make its files in the root of the system.
    """
    status, output, errors = _run("pacman-conf", "--config", str(pacman_conf), "GPGDir")
    missing = _MISSING.search(errors) if status != 0 else None
    folder = missing[1] if missing else output.strip()
    if (status != 0 and not missing) or not folder.startswith("/") or "\n" in folder:
        problem = f"pacman itself does not say where its keyring is ({_last_lines(errors)})"
        raise ConfigurationError(str(pacman_conf), problem, "mend GPGDir there")
    try:
        Path(folder).mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(folder, error.strerror or str(error), "run this as root") from None
    return folder


def _key(folder: str, *arguments: str) -> None:
    status, output, errors = _run("pacman-key", "--gpgdir", folder, *arguments)
    if status != 0:
        raise ToolError(f"pacman-key {arguments[0]}", _last_lines(output + errors))


def certified(keys: Sequence[PublicKey], by: Collection[str]) -> set[str]:
    """Return which keys are certified by one of those ``by``, which are among them; gpg says so."""
    if len(keys) < 2 or shutil.which("gpg") is None:  # noqa: PLR2004 - none beside itself
        return set()
    with tempfile.TemporaryDirectory() as home:
        file = Path(home, "keys")
        file.write_bytes(b"".join(one.data for one in keys))
        gpg = ["gpg", "--homedir", home, "--batch", "--quiet", "--no-auto-check-trustdb"]
        _run(*gpg, "--no-autostart", "--import", str(file))
        _, said, _ = _run(*gpg, "--no-autostart", "--with-colons", "--check-sigs")
    return _read_certified(said, {one[-_ID_DIGITS:] for one in by})


def united(keys: Mapping[str, Sequence[PublicKey]]) -> dict[str, PublicKey]:
    """Return what several forms of each key have together, by fingerprint, as gpg makes it of them.

    Where gpg makes nothing of them that is a key, it is left out.
    """
    found: dict[str, PublicKey] = {}
    if not keys or shutil.which("gpg") is None:
        return found
    with tempfile.TemporaryDirectory() as home:
        gpg = ["gpg", "--homedir", home, "--batch", "--quiet", "--no-auto-check-trustdb"]
        file, out = Path(home, "keys"), Path(home, "united")
        for fingerprint, forms in keys.items():
            for one in forms:
                file.write_bytes(one.data)
                _run(*gpg, "--no-autostart", "--import", str(file))
            _run(*gpg, "--no-autostart", "--yes", "-o", str(out), "--export", fingerprint)
            with suppress(OSError, RepositoryError):
                (key,) = read_keys(out.read_bytes())
                if key.fingerprint == fingerprint:
                    found[fingerprint] = key
            out.unlink(missing_ok=True)
    return found


def revoked(keys: Sequence[PublicKey]) -> set[str]:
    """Return which keys have revoked themselves; gpg says so, and believes nobody else."""
    if not keys or shutil.which("gpg") is None:
        return set()
    with tempfile.TemporaryDirectory() as home:
        file = Path(home, "keys")
        file.write_bytes(b"".join(one.data for one in keys))
        gpg = ["gpg", "--homedir", home, "--batch", "--quiet", "--no-auto-check-trustdb"]
        _run(*gpg, "--no-autostart", "--import", str(file))
        _, said, _ = _run(*gpg, "--no-autostart", "--with-colons", "--list-keys")
    found: set[str] = set()
    is_revoked = False
    for words in (line.split(":") for line in said.splitlines()):
        if words[_KIND] == "pub":
            is_revoked = words[_GOOD] == "r"
        elif words[_KIND] == "fpr" and is_revoked and len(words) > _FINGERPRINT:
            found.add(words[_FINGERPRINT])
            is_revoked = False
    return found


def _read_certified(said: str, ids: Collection[str]) -> set[str]:
    found: set[str] = set()
    current = ""
    for line in said.splitlines():
        words = line.split(":")
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


def _run(*command: str) -> tuple[int, str, str]:
    """Return a program's status, output and errors; raises ToolError or ToolMissing."""
    if shutil.which(command[0]) is None:
        raise ToolMissing(command[0])
    try:
        done = subprocess.run(  # noqa: S603 - fixed names, and arguments that were looked at
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(command[0], str(error)) from None
    output, errors = (one.decode("utf-8", "replace") for one in (done.stdout, done.stderr))
    return done.returncode, output, errors


def _last_lines(said: str) -> str:
    """Return what a program said last: pacman-key's own words, and gpg's before them."""
    lines = [line.strip() for line in said.splitlines() if line.strip()][-2:]
    text = "; ".join(lines) or "it failed"
    return "".join(one for one in text if one.isprintable())[:300]
