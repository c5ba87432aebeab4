"""States that come in from a folder: what is right stays, what is wrong is named."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import Contradicted, MirrorError
from flocon.files import Content
from flocon.pacman.keyring import Verdict
from flocon.settings.settings import Mirror as MirrorSettings
from flocon.snapshots.importing import MANIFEST, Folder, Importing, read_manifest
from flocon.snapshots.snapshots import Snapshots
from flocon.states.generation import DatabaseFiles, Generation, Piece, dump
from tests.pacman.test_syncdb import tar
from tests.states.states_case import CORE, StatesTestCase

PLACE = "core/os/x86_64"
SIGNATURE = b"a signature"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def file_name(name: str) -> str:
    return f"{name}-1-1-x86_64.pkg.tar.zst"


def database(packages: dict[str, bytes]) -> bytes:
    return tar(*((f"{name}-1-1/desc", _desc(name, data)) for name, data in packages.items()))


def _desc(name: str, data: bytes) -> bytes:
    fields = {
        "FILENAME": file_name(name),
        "NAME": name,
        "VERSION": "1-1",
        "ARCH": "x86_64",
        "CSIZE": str(len(data)),
        "SHA256SUM": sha256(data),
    }
    return "".join(f"%{field}%\n{value}\n\n" for field, value in fields.items()).encode()


class FakeFolder(Folder):
    """A folder in memory: its files by their paths, in the chunks in which they come."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(0, "")
        self.files = files
        self.asked: list[str] = []

    def _chunks(self, path: str, most: int) -> Iterator[bytes]:
        self.asked.append(path)
        data = self.files.get(path, b"")
        if len(data) > most:
            raise Contradicted(path, f"has more than {most} bytes")
        for at in range(0, len(data), 7):
            yield data[at : at + 7]


class FakeIncoming:
    def __init__(self) -> None:
        self.descriptor = os.memfd_create("test")
        self.closed = False

    def fileno(self) -> int:
        return self.descriptor

    def close(self) -> None:
        if not self.closed:
            os.close(self.descriptor)
        self.closed = True


class FakeStore:
    """Keeps what is published, if it has room, and its keyring knows what is bad."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, bytes | None]] = {}
        self.has_room = True
        self.opened: list[FakeIncoming] = []
        #: Signatures that are of something else.
        self.bad: set[bytes] = set()
        self.judged: list[bytes] = []

    def incoming(self, size: int | None) -> FakeIncoming:
        self.opened.append(FakeIncoming())
        return self.opened[-1]

    async def publish(
        self, incoming: FakeIncoming, name: str, content: Content, signature: bytes | None
    ) -> bool:
        data = os.pread(incoming.fileno(), 1 << 20, 0)
        assert content == Content(len(data), hashlib.sha256(data).digest())
        if self.has_room:
            self.kept[name] = data, signature
        return self.has_room

    def holds(self, name: str, content: Content) -> bool:
        data, _ = self.kept.get(name, (b"", None))
        return content == Content(len(data), hashlib.sha256(data).digest())

    async def verify(self, descriptor: int, signature: bytes) -> Verdict:
        self.judged.append(os.pread(descriptor, 1 << 20, 0))
        return Verdict.BAD if signature in self.bad else Verdict.UNKNOWN


class ImportingTests(StatesTestCase):
    def begin(self) -> None:
        super().begin()
        self.store = FakeStore()
        self.snapshots = Snapshots(
            self.reactor,
            states=self.states,
            archive=self.archive,
            settings=lambda: MirrorSettings(serve=True),
            mirrored=lambda: [CORE],
            read=self.nothing,
        )
        self.done(self.snapshots.gather())
        store: Any = self.store
        self.importing = Importing(
            self.reactor,
            states=self.states,
            snapshots=lambda: self.snapshots,
            archive=self.archive,
            keeping=store,
            offering=store,
            keyring=lambda: store,
            most=10_000,
        )
        self.packages = {"a": b"package a", "b": b"another package", "c": b"a third"}

    async def nothing(self, _: Any) -> Generation:
        raise AssertionError

    def carried(self, *, signature: bytes | None = None) -> FakeFolder:
        """Return a folder with all packages, signed, and their database."""
        text = database(self.packages)
        signed = None if signature is None else Piece(sha256(signature), len(signature))
        files = DatabaseFiles(Piece(sha256(text), len(text)), signed)
        generation = Generation(int(self.now), "a folder", {CORE: files})
        manifest = {
            "generation": dump(generation),
            "packages": {PLACE: [file_name(name) for name in self.packages]},
        }
        present = {MANIFEST: json.dumps(manifest).encode(), f"{PLACE}/core.db": text}
        if signature is not None:
            present[f"{PLACE}/core.db.sig"] = signature
        for name, data in self.packages.items():
            present[f"{PLACE}/{file_name(name)}"] = data
            present[f"{PLACE}/{file_name(name)}.sig"] = SIGNATURE
        return FakeFolder(present)

    def take(self, folder: FakeFolder, name: str = "stick") -> str:
        return str(self.done(self.importing.take(name, folder)))

    def why_not(self, folder: FakeFolder, name: str = "stick") -> str:
        return self.refused(self.importing.take(name, folder), MirrorError)

    def test_all_of_a_folder_is_a_snapshot_and_in_the_store(self) -> None:
        folder = self.carried()

        said = self.take(folder)

        self.assertIn("1 database and 3 packages came in as snapshot stick", said)
        expected = {file_name(name): (data, SIGNATURE) for name, data in self.packages.items()}
        self.assertEqual(self.store.kept, expected)
        generation, _ = self.states.snapshots["stick"]
        self.assertTrue(self.archive.has(generation.databases[CORE].database))

    def test_packages_are_protected_before_they_come(self) -> None:
        self.take(self.carried())

        digest = hashlib.sha256(self.packages["a"]).digest()
        self.assertTrue(self.snapshots.protects(file_name("a"), digest))

    def test_wrong_package_is_named_and_the_others_stay(self) -> None:
        folder = self.carried()
        folder.files[f"{PLACE}/{file_name('b')}"] = b"another pacKage"

        said = self.why_not(folder)

        self.assertIn(f"1 left out: {PLACE}/{file_name('b')} (its SHA-256", said)
        self.assertEqual(set(self.store.kept), {file_name("a"), file_name("c")})

    def test_package_of_another_size_is_wrong(self) -> None:
        folder = self.carried()
        for name, data in (("a", b"short"), ("b", b"x" * 100)):
            folder.files[f"{PLACE}/{file_name(name)}"] = data

        self.assertIn("2 left out", self.why_not(folder))
        self.assertEqual(set(self.store.kept), {file_name("c")})

    def test_signature_of_another_file_is_wrong(self) -> None:
        self.store.bad = {b"of b"}
        folder = self.carried()
        folder.files[f"{PLACE}/{file_name('a')}.sig"] = b"of b"

        said = self.why_not(folder)

        self.assertIn(f"{file_name('a')} (its signature is of another file)", said)
        self.assertIn(self.packages["a"], self.store.judged)

    def test_what_is_held_is_not_read_again(self) -> None:
        self.take(self.carried())
        folder = self.carried()

        said = self.take(folder)

        self.assertIn("3 packages had come before", said)
        self.assertEqual(folder.asked, [MANIFEST])

    def test_each_wrong_one_is_mended_by_another_run(self) -> None:
        folder = self.carried()
        right = folder.files.pop(f"{PLACE}/{file_name('b')}")
        self.why_not(folder)
        folder.files[f"{PLACE}/{file_name('b')}"] = right

        said = self.take(folder)

        self.assertIn("1 database and 1 package came in", said)
        self.assertEqual(len(self.store.kept), 3)

    def test_database_that_changed_meanwhile_leaves_nothing(self) -> None:
        folder = self.carried()
        text = bytearray(folder.files[f"{PLACE}/core.db"])
        text[-1] ^= 1
        folder.files[f"{PLACE}/core.db"] = bytes(text)

        self.refused(self.importing.take("stick", folder), Contradicted)

        self.assertEqual((self.states.snapshots, self.store.kept), ({}, {}))

    def test_database_that_is_none_is_refused(self) -> None:
        folder = self.carried()
        text = b"<html>" * 200
        manifest = json.loads(folder.files[MANIFEST])
        manifest["generation"]["databases"][0]["db"] = [sha256(text), len(text)]
        folder.files[MANIFEST] = json.dumps(manifest).encode()
        folder.files[f"{PLACE}/core.db"] = text

        self.assertIn("core.db is no database", self.why_not(folder))
        self.assertEqual(self.states.snapshots, {})

    def test_database_with_the_signature_of_another_is_refused(self) -> None:
        self.store.bad = {b"of another"}

        said = self.why_not(self.carried(signature=b"of another"))

        self.assertIn("core.db.sig is the signature of another file", said)
        self.assertEqual(self.states.snapshots, {})

    def test_name_of_another_snapshot_is_refused(self) -> None:
        self.take(self.carried())
        self.packages["d"] = b"a fourth"

        self.assertIn("--name", self.why_not(self.carried()))

    def test_more_than_the_store_may_have_is_refused_before_it_is_read(self) -> None:
        self.packages["large"] = b"x" * 20_000
        folder = self.carried()

        self.assertIn("store.max_size", self.why_not(folder))
        self.assertNotIn(f"{PLACE}/{file_name('large')}", folder.asked)

    def test_packages_for_which_there_is_no_room_are_named(self) -> None:
        self.store.has_room = False

        self.assertIn("finds no room in the store", self.why_not(self.carried()))

    def test_packages_that_no_database_lists_are_left_out_and_counted(self) -> None:
        folder = self.carried()
        manifest = json.loads(folder.files[MANIFEST])
        manifest["packages"][PLACE].append(file_name("stranger"))
        folder.files[MANIFEST] = json.dumps(manifest).encode()

        self.assertIn("no database lists: 1 package", self.take(folder))

    def test_no_file_stays_open(self) -> None:
        folder = self.carried()
        folder.files[f"{PLACE}/{file_name('b')}"] = b"wrong"

        self.why_not(folder)

        self.assertTrue(all(one.closed for one in self.store.opened))
        self.assertEqual(len(self.store.opened), 3)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["generation", "packages", "made", "databases", PLACE, "x"]), inner
        )
    ),
    max_leaves=12,
)


class Manifests(SynchronousTestCase):
    @given(values)
    def test_what_is_none_is_none(self, value: Any) -> None:
        self.assertIsNone(read_manifest(value))

    @given(st.lists(st.text(max_size=40) | st.integers() | st.just(file_name("a")), max_size=5))
    def test_names_are_packages_alone(self, names: list[Any]) -> None:
        generation = Generation(1, "", {CORE: DatabaseFiles(Piece("0" * 64, 1))})
        value = {"generation": dump(generation), "packages": {PLACE: names}}

        offered = read_manifest(value)

        assert offered is not None
        self.assertEqual(offered.generation, generation)
        self.assertEqual(set(offered.packages[CORE]) - {file_name("a")}, set())
