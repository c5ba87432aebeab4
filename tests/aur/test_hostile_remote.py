"""Remotes of git that mean harm: what they send ends as a failure, within bounds."""

from __future__ import annotations

import hashlib
import struct
import zlib
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from flocon.aur import recipes as recipes_module
from flocon.errors import FloconError, Stalled, Unreachable
from tests.aur.git_case import GitCase

COMMIT, TREE, BLOB, DELTA = 1, 2, 3, 7
#: Bytes of a file that many copies are made of, and how many.
PART, COPIES = 8 << 20, 128


def packet(data: bytes) -> bytes:
    return b"%04x%b" % (len(data) + 4, data)


def name_of(kind: bytes, data: bytes) -> bytes:
    return hashlib.sha1(b"%b %d\0%b" % (kind, len(data), data)).digest()


def entry(kind: int, size: int, data: bytes, base: bytes = b"") -> bytes:
    """Return one object as it stands in a pack (gitformat-pack(5))."""
    head = bytearray([(kind << 4) | (size & 15)])
    size >>= 4
    while size:
        head[-1] |= 0x80
        head.append(size & 0x7F)
        size >>= 7
    return bytes(head) + base + zlib.compress(data)


def number(value: int) -> bytes:
    """Return a size as a delta has it."""
    made = bytearray()
    while True:
        made.append(value & 0x7F)
        value >>= 7
        if not value:
            return bytes(made)
        made[-1] |= 0x80


def pack(*entries: bytes) -> bytes:
    body = b"PACK" + struct.pack(">II", 2, len(entries)) + b"".join(entries)
    return body + hashlib.sha1(body).digest()


class Remote(Resource):
    """Says that it has one commit, and answers with a pack of the test's."""

    isLeaf = True

    def __init__(self, commit: bytes, packed: bytes) -> None:
        super().__init__()
        self._commit = commit.hex().encode()
        self._packed = packed

    def render_GET(self, request: Any) -> bytes:
        request.setHeader("Content-Type", "application/x-git-upload-pack-advertisement")
        said = packet(self._commit + b" HEAD\0agent=x\n")
        return packet(b"# service=git-upload-pack\n") + b"0000" + said + b"0000"

    def render_POST(self, request: Any) -> bytes:
        request.setHeader("Content-Type", "application/x-git-upload-pack-result")
        return packet(b"NAK\n") + self._packed


class Endless(Resource):
    """Sends more names of branches for as long as somebody listens."""

    isLeaf = True

    def render_GET(self, request: Any) -> object:
        request.setHeader("Content-Type", "application/x-git-upload-pack-advertisement")
        request.write(packet(b"# service=git-upload-pack\n") + b"0000")
        request.registerProducer(Pouring(request), False)
        return NOT_DONE_YET


class Pouring:
    def __init__(self, request: Any) -> None:
        self._request = request
        self._number = 0

    def resumeProducing(self) -> None:
        lines = []
        for _ in range(500):
            self._number += 1
            lines.append(packet(b"%040x refs/heads/x%d\n" % (self._number, self._number)))
        self._request.write(b"".join(lines))

    def stopProducing(self) -> None:
        """Nobody listens any more."""


class Hostile(GitCase):
    def remote(self, *more: bytes) -> str:
        """Return the address of one with a recipe, and ``more`` in its pack."""
        blob = b"text\n"
        tree = b"100644 PKGBUILD\0" + name_of(b"blob", blob)
        person = b"a <a@example.org> 1 +0000"
        commit = b"tree %b\nauthor %b\ncommitter %b\n\nx\n" % (
            name_of(b"tree", tree).hex().encode(), person, person,
        )  # fmt: skip
        packed = pack(
            entry(COMMIT, len(commit), commit),
            entry(TREE, len(tree), tree),
            entry(BLOB, len(blob), blob),
            *more,
        )
        return self.serve(Remote(name_of(b"commit", commit), packed))

    def serve(self, resource: Resource) -> str:
        site = Site(resource)
        site.noisy = False
        return self.listen(site)

    async def fails(self, address: str) -> str:
        with self.assertRaises(FloconError) as caught:
            await self.recipes.fetch("foo", address)
        return str(caught.exception)

    async def test_an_honest_one_of_this_kind_is_read(self) -> None:
        commit = await self.recipes.fetch("foo", self.remote())
        self.assertEqual((await self.recipes.read("foo", commit)).read("PKGBUILD"), b"text\n")

    async def test_a_few_bytes_that_become_a_very_large_file_end_as_a_failure(self) -> None:
        part = bytes(PART)
        # Each copies the whole of it (offset 0, three bytes of size).
        copy = bytes([0x80 | 0x70]) + PART.to_bytes(3, "little")
        delta = number(PART) + number(PART * COPIES) + copy * COPIES
        bomb = entry(DELTA, len(delta), delta, name_of(b"blob", part))
        address = self.remote(entry(BLOB, PART, part), bomb)
        told = await self.fails(address)
        self.assertIn("index-pack", told)

    async def test_what_is_no_pack_ends_as_a_failure(self) -> None:
        for packed in (b"", b"PACK", b"\0" * 1_000, pack(b"\xff" * 100)):
            await self.fails(self.serve(Remote(b"\1" * 20, packed)))

    async def test_names_without_end_end_in_time(self) -> None:
        """Be it by the clock or, on a machine that is busy, by the memory that git may have."""
        self.patch(recipes_module, "LONGEST_FETCH", 2.0)
        with self.assertRaises((Stalled, Unreachable)):
            await self.recipes.fetch("foo", self.serve(Endless()))
