"""A key of the signer's, by the program gpg: made, signed with, handed out, replaced, revoked.

Each repository has a GNUPGHOME of its own, which nobody but the signer's user can read. gpg leaves
an agent running for it, which ``rest`` ends.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from flocon.errors import RepositoryError, ToolError
from flocon.machine.process import run
from flocon.pacman.keyring import packets, status_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flocon.machine.process import Outcome, ProcessReactor

#: Seconds that gpg may take by itself, and the bytes for which it may take one more.
TIMEOUT = 60.0
BYTES_A_SECOND = 20 << 20
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")
#: So often a file is signed until the signature is of the second that it is to be of.
_TRIES = 3
#: Where that stands in gpg's SIG_CREATED line.
_AT = 5
#: gpg comments the armor of a revocation out, so that nobody imports it by mistake.
_GUARD = b":-----BEGIN"
#: What gpg says, and what that means for who has to do something about it.
_MEANINGS = (
    ("No space left on device", "the disk is full", "make room, and try it again"),
    ("No secret key", "the secret key is not there", "put the signer's home back from a copy"),
    ("Permission denied", "its home cannot be read", "give it back to the signer's user"),
    ("Read-only file system", "its home cannot be written", "mount it writable"),
    ("agent", "gpg's agent does not answer", "see whether gpg-agent is installed and can start"),
)


def is_fingerprint(text: object) -> bool:
    """Whether this is a whole fingerprint: 40 hex digits in capitals."""
    return isinstance(text, str) and _FINGERPRINT.fullmatch(text) is not None


class Gpg:
    """gpg with the keys in the folder ``home``, which is made with ``make_key``."""

    def __init__(self, reactor: ProcessReactor, home: Path) -> None:
        self._reactor = reactor
        self.home = home

    async def make_key(self, user: str, signed_by: str = "", now: int = 0) -> str:
        """Make a key that never ends, for ``user`` (a name and a mail address); return its print.

        ``signed_by`` is an older key, which signs the new one; ``now`` is when it was made, where
        the clock is not to be asked.
        """
        self.home.mkdir(mode=0o700, exist_ok=True)
        words = ["--passphrase", "", "--quick-generate-key", user, "ed25519", "sign", "never"]
        outcome = await self._run("makes no key", words, at=now)
        made = [line for line in status_lines(outcome.output) if line[0] == "KEY_CREATED"]
        prints = [line[2] for line in made if len(line) > 2]  # noqa: PLR2004
        if len(prints) != 1 or not is_fingerprint(prints[0]):
            raise RepositoryError("gpg made no key", "see what 'gpg --version' says")
        if signed_by:
            words = ["--local-user", f"{signed_by}!", "--quick-sign-key", prints[0]]
            await self._run("does not sign the new key", words, at=now)
        return prints[0]

    async def sign(self, descriptor: int, fingerprint: str, at: int) -> bytes:
        """Return a detached, binary signature of an open file, made at a second since 1970."""
        words = ["--local-user", f"{fingerprint}!", "--digest-algo", "SHA512", "--no-armor"]
        words += ["--output", "-", "--detach-sign", "--", "/proc/self/fd/3"]
        seconds = TIMEOUT + os.fstat(descriptor).st_size / BYTES_A_SECOND
        for _ in range(_TRIES):
            outcome = await self._run(
                "does not sign", words, at=at, seconds=seconds, descriptor=descriptor, status=2
            )
            # A clock that is told to stand where it is runs on: it can come to the next second
            # then, and is beyond it with the next try.
            if packets(outcome.output) and _signed_at(outcome.errors) == at:
                return outcome.output
        raise RepositoryError("gpg does not sign: what it gives is no such signature", "try again")

    async def public_keys(self, fingerprints: Sequence[str]) -> bytes:
        """Return public keys, binary, with what they say of each other and what revokes them."""
        words = ["--export", *fingerprints]
        outcome = await self._run("hands out no key", words, status=2)
        if not outcome.output:
            raise RepositoryError("the key is not there", "put the signer's home back from a copy")
        return outcome.output

    def revocation(self, fingerprint: str) -> Path:
        """Return where gpg has laid ready what revokes a key."""
        return self.home / "openpgp-revocs.d" / f"{fingerprint}.rev"

    async def revoke(self, fingerprint: str) -> None:
        """Revoke a key by what was laid ready when it was made."""
        ready = self.revocation(fingerprint)
        try:
            text = ready.read_bytes().replace(_GUARD, _GUARD[1:])
            loosened = self.home / "revocation"
            loosened.write_bytes(text)
        except OSError as error:
            reason = error.strerror or str(error)
            raise RepositoryError(f"{ready}: {reason}", "put it back from a copy") from None
        try:
            await self._run("does not revoke the old key", ["--import", str(loosened)])
        finally:
            loosened.unlink()

    async def rest(self) -> None:
        """End the agent; it starts again when it is needed. Nobody has to hear that it failed."""
        with suppress(ToolError):
            words = ["gpgconf", "--homedir", str(self.home), "--kill", "all"]
            await run(self._reactor, words, seconds=TIMEOUT)

    async def _run(
        self,
        fails: str,
        words: Sequence[str],
        *,
        at: int = 0,
        seconds: float = TIMEOUT,
        descriptor: int | None = None,
        status: int = 1,
    ) -> Outcome:
        arguments = ["gpg", "--homedir", str(self.home), "--no-options", "--batch", "--no-tty"]
        arguments += ["--quiet", "--yes", "--pinentry-mode", "loopback", "--trust-model", "always"]
        arguments += ["--no-auto-check-trustdb"]
        arguments += ["--status-fd", str(status)]
        # Frozen there: a clock that goes back, or stands, makes no two signatures of one second.
        arguments += ["--faked-system-time", f"{at}!"] if at else []
        given = {} if descriptor is None else {3: descriptor}
        try:
            outcome = await run(
                self._reactor, [*arguments, *words], seconds=seconds, descriptors=given
            )
        except ToolError as error:
            raise RepositoryError(f"gpg {fails}: it {_worded(error)}", "mend that first") from None
        if outcome.status:
            raise _failed(fails, outcome)
        return outcome


def _signed_at(told: bytes) -> int | None:
    """Return the second of the signature that gpg's status lines tell of."""
    lines = status_lines(told)
    made = [line for line in lines if line[0] == "SIG_CREATED" and len(line) > _AT]
    return int(made[0][_AT]) if len(made) == 1 and made[0][_AT].isdecimal() else None


def _worded(error: ToolError) -> str:
    return error.reason if error.reason.startswith(("is ", "took ", "says ")) else "cannot start"


def _failed(fails: str, outcome: Outcome) -> RepositoryError:
    """Return in a sentence why gpg did not do it."""
    text = outcome.errors.decode("utf-8", "replace")
    for sign, problem, remedy in _MEANINGS:
        if sign in text:
            return RepositoryError(f"gpg {fails}: {problem}", remedy)
    told = [line for line in text.splitlines() if line.startswith("gpg: ")]
    lines = [line.removeprefix("gpg: ") for line in told]
    reason = lines[-1][:200] if lines else f"it ended with status {outcome.status}"
    return RepositoryError(f"gpg {fails}: {reason}", "see 'journalctl -u flocon-sign'")
