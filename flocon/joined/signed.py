"""Who signed a file, and when: gpgv with the keys of one repository, and no other key at all.

gpgv decides; here it is started, and its status lines (GnuPG's ``doc/DETAILS``) are understood.
Whether the time is one that is taken is decided in ``offers``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.defer import DeferredSemaphore

from flocon.errors import ToolError
from flocon.log import logger
from flocon.machine.process import Bounds, run
from flocon.pacman.keyring import packets, status_lines

if TYPE_CHECKING:
    from pathlib import Path

    from flocon.machine.process import ProcessReactor

#: Seconds that gpgv may take, and bytes of addresses: it needs milliseconds, and some MiB.
SECONDS = 5.0
MEMORY = 256 << 20
#: Where in the words of VALIDSIG: the time, the kind of signature, and the primary key.
_TIME, _CLASS, _PRIMARY = 3, 9, 10
#: A signature of bytes as they are; others are the same for texts whose lines end in another way.
_OF_BYTES = "00"
#: Where in the words of ERRSIG: the fingerprint, since GnuPG 2.2.7.
_OF_UNKNOWN = 7


@dataclass(frozen=True, slots=True)
class Signed:
    """What is known of a signature: ``good`` by the key ``fingerprint`` at ``when`` (Unix seconds).

    Where it is not good ``bad`` tells that it is one of other bytes, or none; else it is of a key
    that is not known, or not good any more, which ``fingerprint`` is, as far as that is told. Where
    it was not ``judged`` nothing is known.
    """

    good: bool = False
    bad: bool = False
    judged: bool = True
    fingerprint: str = ""
    when: int = 0


class Verifier:
    """Judges signatures over open files, one at a time."""

    _log = logger()

    def __init__(self, reactor: ProcessReactor) -> None:
        self._reactor = reactor
        self._turn = DeferredSemaphore(1)

    async def verify(self, keyring: Path, signature: bytes, descriptor: int) -> Signed:
        """Judge ``signature`` over an open file, which stays the caller's."""
        binary = packets(signature)
        if not binary:
            return Signed(bad=True)
        await self._turn.acquire()
        try:
            return await self._judge(keyring, binary, descriptor)
        except (ToolError, OSError) as error:
            self._log.debug("no verdict on a signature: {error}", error=error)
            return Signed(judged=False)
        finally:
            self._turn.release()

    async def _judge(self, keyring: Path, signature: bytes, descriptor: int) -> Signed:
        held = os.memfd_create("signature", os.MFD_CLOEXEC)
        try:
            os.write(held, signature)
            # Opened anew through /proc, so that nobody reads where another stands.
            outcome = await run(
                self._reactor,
                [
                    *("gpgv", "--quiet", "--status-fd", "1", "--keyring", str(keyring)),
                    *("--", "/proc/self/fd/3", "/proc/self/fd/4"),
                ],
                seconds=SECONDS,
                descriptors={3: held, 4: descriptor},
                bounds=Bounds(processor_seconds=int(SECONDS), memory=MEMORY),
            )
        finally:
            os.close(held)
        return read_status(outcome.output)


def read_status(output: bytes) -> Signed:
    """Return what gpgv's status lines say of a file's signatures: exactly one, and a good one."""
    said = status_lines(output)
    keywords = [words[0] for words in said]
    if "BADSIG" in keywords or "NODATA" in keywords:
        return Signed(bad=True)
    doubtful = {"EXPKEYSIG", "REVKEYSIG", "EXPSIG", "ERRSIG", "UNEXPECTED"}
    valid = next((words for words in said if words[0] == "VALIDSIG"), [])
    once = keywords.count("GOODSIG") == keywords.count("VALIDSIG") == 1
    if once and doubtful.isdisjoint(keywords) and len(valid) > _PRIMARY:
        when = valid[_TIME]
        if when.isdigit() and valid[_CLASS] == _OF_BYTES:
            return Signed(good=True, fingerprint=valid[_PRIMARY], when=int(when))
    return Signed(fingerprint=_unknown(said) or (valid[_PRIMARY] if len(valid) > _PRIMARY else ""))


def _unknown(said: list[list[str]]) -> str:
    """Return the fingerprint of a key that is not known, "" where the signature tells none."""
    for words in said:
        if words[0] == "ERRSIG" and len(words) > _OF_UNKNOWN and words[_OF_UNKNOWN].isalnum():
            return words[_OF_UNKNOWN][:64]
    return ""
