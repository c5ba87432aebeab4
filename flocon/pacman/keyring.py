"""pacman's keyring: whether a signature is a known key's, and of these very bytes.

gpgv decides; here it is started, and its status lines (GnuPG's ``doc/DETAILS``) are understood.
No key is fetched and no trust is computed: gpgv takes every key of the keyring alike, also one
that pacman no longer trusts. So a GOOD here is no more than "pacman can be offered it", and pacman
judges again.
"""

from __future__ import annotations

import base64
import os
import re
from enum import Enum
from typing import TYPE_CHECKING

from twisted.internet.defer import DeferredSemaphore
from twisted.logger import Logger

from flocon.errors import ToolError
from flocon.machine.line import Line
from flocon.machine.process import Bounds, run
from flocon.pacman.syncdb import LARGEST_SIGNATURE

if TYPE_CHECKING:
    from pathlib import Path

    from flocon.machine.process import ProcessReactor

#: Seconds that gpgv may take, of a processor and in all, and the bytes for which it may take one
#: more: it reads a package at about 1 GB/s, and needs milliseconds for a signature.
TIMEOUT = 2.0
BYTES_A_SECOND = 100 << 20
#: Bytes of addresses that gpgv may have; it needs some MiB, and its libraries are mapped into them.
MEMORY = 256 << 20
#: gpgv at a time for what mirrors sent. What peers sent has another one, so that no peer keeps a
#: mirror's signature waiting: each keeps one core busy.
MOST_AT_ONCE = 2
#: Peers' signatures that wait or are judged, in all and of one address: pacman asks for as many
#: packages at once as its operator likes, and one peer may hold all of them. What is more is not
#: judged.
MOST_OF_PEERS = 128
MOST_OF_ONE = 32
#: Signatures in one file: who signs a package are one or two.
MOST_PACKETS = 8

_ARMOR = b"-----BEGIN PGP SIGNATURE-----"
#: Headers, a blank line, base64 in lines and a checksum, between two that frame it (RFC 9580, 6).
_ARMORED = re.compile(
    rb"-----BEGIN PGP SIGNATURE-----[ \t]*\r?\n"
    rb"(?:[A-Za-z]+: [^\r\n]*\r?\n){0,8}"
    rb"[ \t]*\r?\n"
    rb"((?:[A-Za-z0-9+/]{1,76}={0,2}[ \t]*\r?\n)+)"
    rb"(?:=[A-Za-z0-9+/]{4}[ \t]*\r?\n)?"
    rb"-----END PGP SIGNATURE-----\s*"
)
_SIGNATURE_PACKET = 2
_VERSIONS = (3, 4, 5, 6)


class Verdict(Enum):
    """What is known of a signature.

    BAD is the fault of who sent it: it is no signature, or one of other bytes. A key that is not
    in the keyring, has expired or was revoked says nothing about the sender, who passes on
    what a mirror has: that is UNKNOWN, and so is every failure of our own.
    """

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


def plausible(signature: bytes) -> bool:
    """Whether this can be a detached signature, by its form (RFC 9580, 4.2 and 5.2).

    It is a few OpenPGP signature packets and nothing else, in binary or in armor.
    """
    return bool(packets(signature))


def begins_plausibly(beginning: bytes) -> bool:
    """Whether a detached signature can begin so: with a packet's first bit, or with armor."""
    if beginning.startswith(b"-"):
        return _ARMOR.startswith(beginning[: len(_ARMOR)])
    return not beginning or beginning[0] >= 0b1000_0000  # noqa: PLR2004


def packets(signature: bytes) -> bytes:
    """Return the OpenPGP signature packets that a detached signature is, nothing if it is none.

    Nothing else is ever given to gpgv: it would take the compression off whatever came with them.
    """
    if not 0 < len(signature) <= LARGEST_SIGNATURE:
        return b""
    binary = _without_armor(signature) if signature.startswith(_ARMOR) else signature
    position = 0
    for _ in range(MOST_PACKETS):
        length = _packet(binary[position:]) if position < len(binary) else 0
        if not length:
            return b""
        position += length
        if position == len(binary):
            return binary
    return b""


def _without_armor(signature: bytes) -> bytes:
    armored = _ARMORED.fullmatch(signature)
    if armored is None:
        return b""
    try:
        return base64.b64decode(b"".join(armored[1].split()), validate=True)
    except ValueError:
        return b""


def _packet(data: bytes) -> int:
    """Return the length of the signature packet that ``data`` begins with, or 0."""
    first = data[0]
    if first >= 0b1100_0000:  # noqa: PLR2004 - the header's newer form
        tag = first & 0b11_1111
        width = 1 if data[1:2] < b"\xc0" else 2 if data[1:2] < b"\xe0" else 5
        octets = data[1 : 1 + width]
        if len(octets) < width or octets[0] in range(0xE0, 0xFF):  # a partial length: not of these
            return 0
        length = octets[0]
        if width == 2:  # noqa: PLR2004
            length = ((octets[0] - 0xC0) << 8) + octets[1] + 0xC0
        elif width > 1:
            length = int.from_bytes(octets[1:])
    elif first >= 0b1000_0000 and first & 0b11 < 0b11:  # noqa: PLR2004 - 3: of unknown length
        tag = first >> 2 & 0b1111
        width = 1 << (first & 0b11)
        length = int.from_bytes(data[1 : 1 + width])
    else:
        return 0
    end = 1 + width + length
    fits = tag == _SIGNATURE_PACKET and length and end <= len(data)
    return end if fits and data[1 + width] in _VERSIONS else 0


class Keyring:
    """Judges signatures with gpgv and the keyring in pacman's ``gpg_directory`` (GPGDir)."""

    log = Logger()

    def __init__(self, reactor: ProcessReactor, gpg_directory: Path) -> None:
        self._reactor = reactor
        self._gpg_directory = gpg_directory
        self._turn = DeferredSemaphore(MOST_AT_ONCE)
        self._of_peers = Line(MOST_OF_PEERS, MOST_OF_ONE)

    async def verify(
        self,
        package: Path | int,
        signature: bytes,
        seconds: float = TIMEOUT,
        *,
        peer: str = "",
        size: int | None = None,
    ) -> Verdict:
        """Judge ``signature`` over ``package``: a path, or a descriptor of an open file.

        A descriptor may be of a memfd or of a file without a name; where it stands does not
        matter, and it must stay open until the verdict. ``seconds`` is what gpgv itself may take,
        and more for a large package. ``peer`` is the address of the peer that sent the signature:
        such wait in a line of their own, where the addresses take turns; what finds no place in
        it is UNKNOWN. ``size`` is what the package should have, where somebody may still write to
        it: that would have gpgv read on for as long as it grows.
        """
        binary = packets(signature)
        if not binary:
            return Verdict.BAD
        line = self._of_peers if peer else self._turn
        turn = self._of_peers.acquire(peer) if peer else self._turn.acquire()
        if turn is None:
            return Verdict.UNKNOWN
        await turn
        try:
            return await self._judge(package, binary, seconds, size)
        except (ToolError, OSError) as error:
            self.log.debug("no verdict on a signature: {error}", error=error)
            return Verdict.UNKNOWN
        finally:
            line.release()

    async def _judge(
        self, package: Path | int, signature: bytes, seconds: float, size: int | None
    ) -> Verdict:
        keyrings = self._keyrings()
        if not keyrings:
            return Verdict.UNKNOWN
        if size is None:
            size = os.stat(package).st_size  # noqa: PTH116 - of a descriptor, too
        seconds += size / BYTES_A_SECOND
        arguments = ["gpgv", "--quiet", "--status-fd", "1"]
        for keyring in keyrings:
            arguments += ["--keyring", str(keyring)]
        descriptor = os.memfd_create("signature", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, signature)
            # Opened anew through /proc, so that neither reads where the other stands.
            given = {3: descriptor}
            arguments += ["--", "/proc/self/fd/3"]
            if isinstance(package, int):
                given[4] = package
                arguments.append("/proc/self/fd/4")
            else:
                arguments.append(str(package))
            outcome = await run(
                self._reactor,
                arguments,
                seconds=seconds,
                descriptors=given,
                bounds=Bounds(processor_seconds=int(seconds) + 1, memory=MEMORY),
            )
        finally:
            os.close(descriptor)
        verdict = read_status(outcome.output)
        if verdict is not Verdict.GOOD:
            words = outcome.errors.decode("utf-8", "replace").strip()
            self.log.debug("a signature is {verdict.value}: {words}", verdict=verdict, words=words)
        return verdict

    def _keyrings(self) -> list[Path]:
        """Return what there is to read; pacman-key leaves an empty one beside the other."""
        found = []
        for name in ("pubring.gpg", "pubring.kbx"):
            path = self._gpg_directory / name
            if os.access(path, os.R_OK) and path.stat().st_size:
                found.append(path.absolute())
        return found


def status_lines(output: bytes) -> list[list[str]]:
    """Return the words of each status line of gpg or gpgv, the keyword first.

    Lines are parted by their ends alone: the name in a key may have signs that begin a line in
    Unicode, and what its owner calls himself is no word of gpg's.
    """
    lines = (line.split() for line in output.splitlines())
    return [
        [word.decode("utf-8", "replace") for word in line[1:]]
        for line in lines
        if line[:1] == [b"[GNUPG:]"] and len(line) > 1
    ]


def read_status(output: bytes) -> Verdict:
    """Return what gpgv's status lines say of all signatures together."""
    keywords = [words[0] for words in status_lines(output)]
    if "BADSIG" in keywords or "NODATA" in keywords:
        return Verdict.BAD
    # A good signature of a key that is expired or revoked comes as EXPKEYSIG, REVKEYSIG; of an
    # unknown key, or made in a way gpgv does not know, as ERRSIG; past its own end as EXPSIG.
    doubtful = {"EXPKEYSIG", "REVKEYSIG", "EXPSIG", "ERRSIG", "UNEXPECTED"}
    good = keywords.count("GOODSIG")
    if good and keywords.count("VALIDSIG") == good and doubtful.isdisjoint(keywords):
        return Verdict.GOOD
    return Verdict.UNKNOWN
