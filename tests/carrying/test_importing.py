"""What of a folder is taken for a state, and how the node reads it meanwhile."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.carrying import serving as serving_module
from flocon.carrying.exporting import NOTE, sha256_of
from flocon.carrying.importing import SOURCE, look_through
from flocon.carrying.serving import Serving
from flocon.errors import Broken, Contradicted, Refused, Unreachable
from flocon.snapshots.importing import Folder, read_manifest
from flocon.states.generation import DatabaseFiles, Generation, Piece, Where, dump
from flocon.terminal.asking import NodeError
from tests.connections.floods import FloodFactory

CORE = Where("x86_64", "core")
PACKAGE = "a-1-1-x86_64.pkg.tar.zst"


def piece(data: bytes) -> Piece:
    return Piece(hashlib.sha256(data).hexdigest(), len(data))


class Looking(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.below = self.folder / "core/os/x86_64"
        self.below.mkdir(parents=True)
        (self.below / "core.db").write_bytes(b"database")
        (self.below / PACKAGE).write_bytes(b"package")
        (self.below / f"{PACKAGE}.sig").write_bytes(b"signature")
        self.state = Generation(5, "mirror", {CORE: DatabaseFiles(piece(b"database"))})

    def note(self, name: str = "may") -> None:
        value = {"name": name, "generation": dump(self.state)}
        (self.folder / NOTE).write_text(json.dumps(value))

    def test_exported_state_is_the_same_here(self) -> None:
        self.note()

        found = look_through(self.folder)

        self.assertEqual((found.name, found.generation), ("may", self.state))
        self.assertEqual(found.packages, [f"core/os/x86_64/{PACKAGE}"])
        offered = read_manifest(json.loads(found.manifest()))
        assert offered is not None
        self.assertEqual((offered.generation, offered.packages), (self.state, {CORE: (PACKAGE,)}))

    def test_folder_that_is_only_laid_out_so_is_a_state_too(self) -> None:
        found = look_through(self.folder)

        self.assertEqual((found.name, found.generation.source), ("", SOURCE))
        self.assertEqual(found.generation.identity, self.state.identity)

    def test_links_of_repo_add_count(self) -> None:
        (self.below / "core.db").rename(self.below / "core.db.tar.gz")
        (self.below / "core.db").symlink_to("core.db.tar.gz")

        self.assertEqual(look_through(self.folder).generation.identity, self.state.identity)

    def test_links_out_of_the_folder_are_not_followed(self) -> None:
        secret = Path(self.mktemp())
        secret.write_bytes(b"secret")
        (self.below / "b-1-1-x86_64.pkg.tar.zst").symlink_to(secret.absolute())

        self.assertNotIn(b"secret", [path.read_bytes() for path in self.files().values()])

    def files(self) -> dict[str, Path]:
        return dict(look_through(self.folder).files)

    def test_nothing_else_of_the_folder_is_read(self) -> None:
        (self.below / "letters.txt").write_bytes(b"private")
        (self.below / "other.db").write_bytes(b"private")
        (self.folder / "letters.txt").write_bytes(b"private")
        os.mkfifo(self.below / "c-1-1-x86_64.pkg.tar.zst")

        expected = {"core.db", PACKAGE, f"{PACKAGE}.sig"}
        self.assertEqual({path.name for path in self.files().values()}, expected)

    def test_file_that_is_written_to_without_end_is_read_no_further(self) -> None:
        class Growing(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                return b"x" * (size or 0)

        expected = hashlib.sha256(b"x" * 3_000_000).hexdigest()
        self.assertEqual(sha256_of(Growing(), 3_000_000), expected)

    def test_database_that_is_not_as_it_was_exported_is_named(self) -> None:
        self.note()
        (self.below / "core.db").write_bytes(b"Database")

        with self.assertRaisesRegex(NodeError, r"core/os/x86_64/core\.db; nothing is imported"):
            look_through(self.folder)

    def test_missing_signature_is_named(self) -> None:
        signed = DatabaseFiles(piece(b"database"), piece(b"of the database"))
        self.state = Generation(5, "mirror", {CORE: signed})
        self.note()

        with self.assertRaisesRegex(NodeError, r"core/os/x86_64/core\.db\.sig"):
            look_through(self.folder)

    def test_name_that_no_snapshot_can_have_is_not_taken_over(self) -> None:
        self.note("now")

        self.assertEqual(look_through(self.folder).name, "")

    def test_folder_without_a_database_says_what_is_missing(self) -> None:
        (self.below / "core.db").unlink()

        with self.assertRaisesRegex(NodeError, r"REPO/os/ARCH/REPO\.db"):
            look_through(self.folder)

    def test_folder_that_is_not_there_is_said_so(self) -> None:
        with self.assertRaisesRegex(NodeError, "No such file"):
            look_through(self.folder / "elsewhere")


class Reading(TestCase):
    """The node's end and the command's, over a real connection."""

    async def serve(self) -> tuple[Serving, Folder]:
        self.place = place = Path(self.mktemp())
        place.write_bytes(b"x" * 3_000_000)
        self.asked: list[str] = []
        serving = Serving(reactor, {"a+b:c": place, "small": b"words"}, self.asked.append)
        port = await serving.start()
        self.addCleanup(serving.stop)
        return serving, Folder(port, serving.word)

    async def test_files_come_whole(self) -> None:
        _, folder = await self.serve()
        descriptor = os.memfd_create("test")
        self.addCleanup(os.close, descriptor)

        digest = await deferToThread(folder.into, "a+b:c", descriptor, 3_000_000)

        self.assertEqual(digest, hashlib.sha256(b"x" * 3_000_000).hexdigest())
        self.assertEqual(await deferToThread(folder.small, "small", 10), b"words")
        self.assertEqual(self.asked, ["a+b:c", "small"])

    async def test_what_has_become_a_link_or_a_fifo_is_not_read(self) -> None:
        _, folder = await self.serve()
        path = self.place
        secret = Path(self.mktemp())
        secret.write_bytes(b"secret")
        for make in (lambda: path.symlink_to(secret.absolute()), lambda: os.mkfifo(path)):
            path.unlink()
            make()

            reading = deferToThread(folder.small, "a+b:c", 10_000)

            await self.assertFailure(reading, Refused)

    async def test_what_is_not_offered_is_not_there(self) -> None:
        _, folder = await self.serve()

        for path in ("../small", "/etc/passwd", "large"):
            self.assertIsNone(await deferToThread(folder.small, path, 10))

    async def test_who_does_not_know_the_word_gets_nothing(self) -> None:
        serving, _ = await self.serve()
        stranger = Folder(serving.port, "0" * 32)

        self.assertIsNone(await deferToThread(stranger.small, "small", 10))

    async def test_who_has_come_to_listen_in_its_place_holds_nobody_up(self) -> None:
        flood = FloodFactory(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)
        listening: Any = reactor.listenTCP(0, flood, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        folder = Folder(listening.getHost().port, "word")
        reading = deferToThread(folder.small, "small", 10)
        while not any(one.asked for one in flood.connections):
            await deferLater(reactor, 0.01)
        folder.stop()
        await self.assertFailure(reading, Broken, Unreachable)
        # Nor is anybody asked anew.
        await self.assertFailure(deferToThread(folder.small, "small", 10), Broken)

    async def test_strangers_who_stay_connected_keep_nobody_out(self) -> None:
        self.patch(serving_module, "MOST_STRANGERS", 3)
        serving, folder = await self.serve()
        strangers = []
        for _ in range(9):
            strangers.append(socket.create_connection(("127.0.0.1", serving.port), 5))
            self.addCleanup(strangers[-1].close)
            await deferLater(reactor, 0)
        self.assertEqual(await deferToThread(folder.small, "small", 10), b"words")
        # The oldest is gone.
        strangers[0].settimeout(5)
        with self.assertRaises(ConnectionResetError):
            await deferToThread(strangers[0].recv, 1)

    async def test_more_than_is_expected_is_refused(self) -> None:
        _, folder = await self.serve()

        reading = deferToThread(folder.small, "a+b:c", 1_000)

        await self.assertFailure(reading, Contradicted)

    async def test_command_that_has_ended_is_unreachable(self) -> None:
        serving, folder = await self.serve()
        await serving.stop()

        await self.assertFailure(deferToThread(folder.small, "small", 10), Unreachable)
