"""What this machine has published, read where it lies: for who may not ask the signer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from flocon.errors import FloconError, RepositoryError, ToolError
from flocon.machine.process import run
from flocon.pacman.keyring import status_lines
from flocon.publishing.trusting import listed_keys
from flocon.repository.keeping import tell
from flocon.repository.published import (
    CURRENT,
    KEY,
    PACKAGES,
    newest_generation,
    repositories,
)

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds for gpg to read a few keys.
_SECONDS = 20.0


def may_ask(signer: str) -> bool:
    """Whether this user may ask the signer, as far as its socket tells."""
    return os.access(signer, os.W_OK, effective_ids=True)


def read_list(published: Path, name: str) -> dict[str, Any]:
    """Return what the signer would say that there is; raises RepositoryError."""
    folder = _folder(published, name)
    try:
        generation = newest_generation(folder)
        present = [path.name for path in (folder / PACKAGES).iterdir()]
    except (FloconError, OSError) as error:
        raise RepositoryError(f"{folder} cannot be read: {error}", "ask as root") from None
    if generation is None:
        raise RepositoryError(
            f"{folder} has nothing published", f"see 'flocon repo init {folder.name}'"
        )
    return tell(generation, present)


async def read_key(reactor: Any, published: Path, name: str) -> dict[str, Any]:
    """Return what the signer would say of its keys, but for where they are."""
    folder = _folder(published, name)
    key, place = folder / KEY, folder / CURRENT
    shown = await _told(reactor, "gpg", "--batch", "--with-colons", "--show-keys", str(key))
    database = str(place / f"{folder.name}.db")
    files = ["--keyring", str(key), f"{database}.sig", database]
    verified = await _told(reactor, "gpgv", "--status-fd", "1", *files)
    by = [line for line in status_lines(verified) if line[0] == "VALIDSIG"]
    if len(by) != 1:
        raise RepositoryError(f"{database} is not signed as it should be", "ask as root")
    keys = dict(listed_keys(shown.decode("utf-8", "replace")))
    current = by[0][1]
    others = [one for one, is_revoked in keys.items() if one != current and not is_revoked]
    return {
        "name": folder.name,
        "fingerprint": current,
        "next": others[0] if others else "",
        "revoked": [one for one, is_revoked in keys.items() if is_revoked],
        "signed": int(by[0][3]),
    }


async def _told(reactor: Any, *words: str) -> bytes:
    try:
        outcome = await run(reactor, words, seconds=_SECONDS)
    except ToolError as error:
        raise RepositoryError(str(error), "install gnupg") from None
    return outcome.output


def _folder(published: Path, name: str) -> Path:
    known = repositories(published)
    if not known:
        raise RepositoryError(
            "this user may not ask the signer, and nothing is published here", "run it as root"
        )
    if not name and len(known) > 1:
        raise RepositoryError(
            f"there are several repositories: {', '.join(known)}", "say which by --repository"
        )
    if name and name not in known:
        raise RepositoryError(f"there is no repository {name} here", f"say {' or '.join(known)}")
    return published / (name or known[0])
