"""What a sync database lists, whoever wrote the tar, and that no file can do harm."""

from __future__ import annotations

import base64
import io
import tarfile
from collections import Counter
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import SyncDatabaseError
from flocon.files import Content
from flocon.pacman import syncdb
from flocon.pacman.entries import Entry
from flocon.pacman.syncdb import read_entries

SHA256 = bytes(range(32))
SIGNATURE = bytes(range(200, 250)) * 8


def desc(**fields: str) -> bytes:
    """Return a ``desc`` of one package, with ``fields`` instead of what it would say; "" omits."""
    values = {
        "FILENAME": "gtk++-1:2.0-1-x86_64.pkg.tar.zst",
        "NAME": "gtk++",
        "VERSION": "1:2.0-1",
        "DESC": "A toolkit",
        "CSIZE": "4096",
        "ISIZE": "8192",
        "SHA256SUM": SHA256.hex(),
        "PGPSIG": base64.b64encode(SIGNATURE).decode(),
        "DEPENDS": "glib2\nglibc",
    } | fields
    return "".join(f"%{key}%\n{value}\n\n" for key, value in values.items() if value).encode()


def tar(*members: tuple[str, bytes], layout: int = tarfile.USTAR_FORMAT) -> bytes:
    """Return a tar of the members, each in its folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=layout) as file:
        for name, data in members:
            folder = tarfile.TarInfo(name.rpartition("/")[0])
            folder.type = tarfile.DIRTYPE
            file.addfile(folder)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def read(data: bytes) -> tuple[list[Entry], Counter[str]]:
    skipped: Counter[str] = Counter()
    return list(read_entries("core", io.BytesIO(data), skipped)), skipped


class Reading(SynchronousTestCase):
    def assertRefused(self, reason: str, data: bytes) -> None:
        error = self.assertRaises(SyncDatabaseError, read, data)
        self.assertEqual(error.reason, reason)

    def skipped(self, **fields: str) -> Counter[str]:
        entries, skipped = read(tar(("gtk++-2.0-1/desc", desc(**fields))))
        self.assertEqual(entries, [])
        return skipped

    def test_an_entry_has_all_that_the_database_says_of_the_file(self) -> None:
        entries, skipped = read(tar(("gtk++-1:2.0-1/desc", desc())))
        expected = Entry(
            "core",
            "gtk++-1:2.0-1-x86_64.pkg.tar.zst",
            "gtk++",
            "1:2.0-1",
            4096,
            SHA256,
            SIGNATURE,
        )
        self.assertEqual(entries, [expected])
        self.assertEqual(entries[0].content, Content(4096, SHA256))
        self.assertFalse(skipped)

    def test_a_database_without_packages_has_no_entries(self) -> None:
        self.assertEqual(read(tar()), ([], Counter()))

    def test_every_layout_of_tar_is_read_with_names_of_any_length(self) -> None:
        version = "1." + "1" * 80 + "-1"
        name = "n" * 100
        file_name = f"{name}-{version}-any.pkg.tar.zst"
        text = desc(FILENAME=file_name, NAME=name, VERSION=version)
        for layout in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            entries, _ = read(tar((f"{name}-{version}/desc", text), layout=layout))
            self.assertEqual([entry.file_name for entry in entries], [file_name])

    def test_a_missing_or_unreadable_signature_is_none(self) -> None:
        for text in ("", "not base64", "====", "A" * (2 * syncdb.LARGEST_SIGNATURE)):
            entries, _ = read(tar(("a-1-1/desc", desc(PGPSIG=text))))
            self.assertEqual([entry.signature for entry in entries], [None])

    def test_an_entry_without_its_size_or_digest_is_skipped_and_counted(self) -> None:
        self.assertEqual(self.skipped(CSIZE=""), {"size": 1})
        self.assertEqual(self.skipped(CSIZE="-1"), {"size": 1})
        self.assertEqual(self.skipped(CSIZE="9" * 5000), {"size": 1})
        self.assertEqual(self.skipped(SHA256SUM=""), {"digest": 1})
        self.assertEqual(self.skipped(SHA256SUM="00"), {"digest": 1})
        self.assertEqual(self.skipped(SHA256SUM="z" * 64), {"digest": 1})

    def test_an_entry_whose_file_is_named_for_another_package_is_skipped(self) -> None:
        for fields in (
            {"FILENAME": "linux-firmware-20240101-1-any.pkg.tar.zst"},
            {"FILENAME": "gtk++-1:2.0-2-x86_64.pkg.tar.zst"},
            {"NAME": ""},
            {"VERSION": ""},
            {"ARCH": "any"},
        ):
            self.assertEqual(self.skipped(**fields), {"name": 1}, fields)

    def test_a_version_is_whatever_makepkg_takes(self) -> None:
        name = "a-1,2=3%4-1-any.pkg.tar.zst"
        text = desc(FILENAME=name, NAME="a", VERSION="1,2=3%4-1", ARCH="any")
        entries, _ = read(tar(("a-1-1/desc", text)))
        self.assertEqual([entry.file_name for entry in entries], [name])

    def test_a_package_larger_than_any_is_skipped(self) -> None:
        self.assertEqual(self.skipped(CSIZE=str(1 << 40)), {"size": 1})
        entries, _ = read(tar(("a-1-1/desc", desc(CSIZE=str(64 << 30)))))
        self.assertEqual(len(entries), 1)

    def test_an_entry_whose_file_is_no_package_is_skipped_and_counted(self) -> None:
        for name in (
            "../../etc/passwd",
            "core.db",
            "a-1-1-any.pkg.tar.zst.sig",
            "é-1-1-any.pkg.tar",
        ):
            self.assertEqual(self.skipped(FILENAME=name), {"name": 1})
        self.assertEqual(self.skipped(NAME="n" * 300), {"name": 1})

    def test_a_field_named_in_another_fields_value_is_not_that_field(self) -> None:
        entries, _ = read(tar(("a-1-1/desc", desc(DESC="%CSIZE%\n1"))))
        self.assertEqual(entries[0].size, 4096)

    def test_members_that_are_no_desc_are_passed_over(self) -> None:
        large = b"x" * (syncdb.LARGEST_DESC + 1)
        data = tar(
            ("a-1-1/depends", b"%DEPENDS%\n"), ("a-1-1/files", large), ("b-1-1/desc", desc())
        )
        entries, skipped = read(data)
        self.assertEqual(len(entries), 1)
        self.assertFalse(skipped)

    def test_a_file_cut_short_anywhere_is_refused(self) -> None:
        data = tar(("a-1-1/desc", desc()))
        end = len(data.rstrip(b"\0"))
        for length in (0, 1, 511, 512, 600, 1024, end):
            self.assertRefused("short", data[:length])

    def test_what_is_no_tar_is_refused(self) -> None:
        self.assertRefused("tar", b"<html>" + b"x" * 2000)
        self.assertRefused("tar", b"\0" + b"x" * 2000)

    def test_a_checksum_of_signed_characters_is_one(self) -> None:
        data = bytearray(tar(("é-1-1/desc", desc())))
        entries, _ = read(bytes(data))
        for start in range(0, len(data) - 512, 512):
            header = data[start : start + 512]
            if header[257:262] == b"ustar":
                header[148:156] = b" " * 8
                total = sum(byte - 256 * (byte > 127) for byte in header)
                data[start + 148 : start + 156] = f"{total:06o}\0 ".encode()
        self.assertEqual(read(bytes(data))[0], entries)
        self.assertTrue(syncdb.can_begin_tar(bytes(data[:512])))

    def test_a_header_with_a_wrong_checksum_is_refused(self) -> None:
        data = bytearray(tar(("a-1-1/desc", desc())))
        data[0] ^= 1
        self.assertRefused("tar", bytes(data))

    def test_an_entry_larger_than_any_desc_is_refused(self) -> None:
        large = b"x" * (syncdb.LARGEST_DESC + 1)
        self.assertRefused("desc", tar(("a-1-1/desc", large)))

    def test_more_members_than_any_database_has_are_refused(self) -> None:
        with mock.patch.object(syncdb, "MOST_ENTRIES", 5):
            self.assertRefused("many", tar(*[("a-1-1/desc", desc())] * 3))

    def test_a_file_that_never_ends_is_refused_also_behind_the_tars_end(self) -> None:
        data = tar(("a-1-1/desc", desc()))
        with mock.patch.object(syncdb, "LARGEST_DATABASE", len(data)):
            self.assertEqual(len(read(data)[0]), 1)
            self.assertRefused("large", data + b"\0")

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_no_damage_makes_anything_but_entries_or_a_refusal(self, data: st.DataObject) -> None:
        damaged = bytearray(tar(("a-1-1/desc", desc()), ("b-1-1/desc", desc())))
        places = st.integers(0, len(damaged.rstrip(b"\0")) - 1)
        for place in data.draw(st.lists(places, min_size=1, max_size=4)):
            damaged[place] = data.draw(st.integers(0, 255))
        # Repair the checksums, so that the damage gets past them.
        if data.draw(st.booleans()):
            for start in range(0, 2048, 512):
                header = damaged[start : start + 512]
                header[148:156] = b" " * 8
                damaged[start + 148 : start + 156] = b"%06o\0 " % sum(header)
        try:
            entries, _ = read(bytes(damaged))
        except SyncDatabaseError:
            return
        for entry in entries:
            self.assertEqual(len(entry.sha256), 32)
            self.assertNotIn("/", entry.file_name)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=2000))
    def test_no_bytes_make_anything_but_a_refusal_or_an_empty_list(self, data: bytes) -> None:
        try:
            entries, _ = read(data)
        except SyncDatabaseError:
            return
        self.assertEqual(entries, [])
