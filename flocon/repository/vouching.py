"""Whether somebody whom pacman here trusts has signed a file.

gpg judges by pacman's own keyring, as pacman does: the key must be known, neither ended nor
revoked, and trusted fully. Nothing is written there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flocon.errors import RepositoryError, ToolError
from flocon.machine.process import Bounds, run
from flocon.pacman.keyring import packets, status_lines

if TYPE_CHECKING:
    from pathlib import Path

    from flocon.machine.process import ProcessReactor

#: Seconds for gpg, and the bytes for which it may take one more.
_SECONDS = 60.0
_BYTES_A_SECOND = 20 << 20
_MEMORY = 1 << 30
#: What of pacman's keyring gpg reads, and says nothing of where it may not: its keys, in either of
#: two files, and whom it trusts.
_KEYS, _TRUST = ("pubring.gpg", "pubring.kbx"), "trustdb.gpg"
_GOOD, _TRUSTED = "GOODSIG", frozenset({"TRUST_FULLY", "TRUST_ULTIMATE"})
_DOUBTFUL = frozenset(
    {"BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NODATA", "UNEXPECTED", "FAILURE"}
)


async def is_vouched(
    reactor: ProcessReactor, keyring: Path, descriptor: int, signature: bytes
) -> bool:
    """Whether a signature over an open file is good, by a key that pacman in ``keyring`` trusts.

    Raises RepositoryError where that cannot be found out.
    """
    binary = packets(signature)
    if not binary:
        return False
    _demand_readable(keyring)
    seconds = _SECONDS + os.fstat(descriptor).st_size / _BYTES_A_SECOND
    arguments = ["gpg", "--homedir", str(keyring), "--no-options", "--batch", "--no-tty", "--quiet"]
    arguments += ["--no-permission-warning", "--lock-never", "--no-auto-check-trustdb"]
    arguments += ["--no-auto-key-retrieve", "--no-autostart", "--status-fd", "1"]
    arguments += ["--verify", "--", "/proc/self/fd/3", "/proc/self/fd/4"]
    given = os.memfd_create("signature", os.MFD_CLOEXEC)
    try:
        os.write(given, binary)
        outcome = await run(
            reactor,
            arguments,
            seconds=seconds,
            descriptors={3: given, 4: descriptor},
            bounds=Bounds(processor_seconds=int(seconds), memory=_MEMORY),
        )
    except ToolError as error:
        raise RepositoryError(f"no signature can be checked: {error}", "install gnupg") from None
    finally:
        os.close(given)
    return is_trusted(outcome.output)


def _demand_readable(keyring: Path) -> None:
    """Raise RepositoryError unless the keys and who is trusted can be read."""
    try:
        there = {path.name for path in keyring.iterdir()}
        present = [name for name in _KEYS if name in there]
        for name in (*(present or _KEYS[:1]), _TRUST):
            with (keyring / name).open("rb") as file:
                file.read(1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RepositoryError(
            f"pacman's keyring cannot be read ({error.filename}: {reason})",
            f"'pacman-key --init' makes one; {keyring} and its files are for all to read",
        ) from None


def is_trusted(output: bytes) -> bool:
    """Whether gpg's status lines say that each signature is good, and by a trusted key."""
    words = [line[0] for line in status_lines(output)]
    good, trusted = words.count(_GOOD), sum(word in _TRUSTED for word in words)
    return 0 < good == trusted == words.count("VALIDSIG") and _DOUBTFUL.isdisjoint(words)
