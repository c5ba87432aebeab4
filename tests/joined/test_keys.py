"""Keys of real files are taken apart as gpg does it; nothing else passes for a key."""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import RepositoryError
from flocon.joined.keys import LARGEST_KEYS, as_fingerprint, read_keys, shown
from tests.joined.maker import signer


def public(number: int = 0) -> bytes:
    return signer(number).gpg("--export")


class RealKeyTests(SynchronousTestCase):
    def test_fingerprint_is_gpgs(self) -> None:
        listing = signer().gpg("--list-keys", "--with-colons").decode()
        expected = next(line.split(":")[9] for line in listing.splitlines() if line[:3] == "fpr")
        (key,) = read_keys(public())
        self.assertEqual(key.fingerprint, expected)
        self.assertEqual(key.names, ("packager@example",))

    def test_its_times_are_gpgs(self) -> None:
        with TemporaryDirectory(prefix="flocon-") as home:
            Path(home).chmod(0o700)
            for user, until in (("never@example", "never"), ("soon@example", "30d")):
                words = ("--passphrase", "", "--quick-generate-key", user, "ed25519", "sign", until)
                self.gpg(home, "--batch", *words)
            # What was said later counts.
            mark = self.marks(home)[0][4]
            self.gpg(home, "--batch", "--quick-set-expire", mark, "60d")
            # Another key that vouches for one says nothing of its life.
            self.gpg(
                home,
                "--batch",
                "--yes",
                "-u",
                self.marks(home)[0][4],
                "--quick-sign-key",
                self.marks(home)[1][4],
            )
            told = {(int(row[5]), int(row[6] or 0)) for row in self.marks(home)}
            keys = read_keys(self.gpg(home, "--export"))
            self.gpgconf(home)
        self.assertEqual({(one.made, one.expires) for one in keys}, told)
        self.assertEqual(len([one for one in keys if one.expires]), 2)

    def gpg(self, home: str, *words: str) -> bytes:
        command = ["gpg", "--homedir", home, *words]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def gpgconf(self, home: str) -> None:
        command = ["gpgconf", "--homedir", home, "--kill", "all"]
        subprocess.run(command, check=False, capture_output=True)

    def marks(self, home: str) -> list[list[str]]:
        """Return what gpg says of each key, taken apart."""
        listing = self.gpg(home, "--list-keys", "--with-colons").decode().splitlines()
        rows = [line.split(":") for line in listing if line.startswith(("pub", "fpr"))]
        for pub, fpr in zip(rows[::2], rows[1::2], strict=True):
            pub[4] = fpr[9]
        return rows[::2]

    def test_each_key_has_its_own_packets(self) -> None:
        first, second = read_keys(public(0) + public(1))
        self.assertEqual((first.data, second.data), (public(0), public(1)))

    def test_a_key_twice_is_refused(self) -> None:
        self.assertRaises(RepositoryError, read_keys, public() + public())

    def test_a_secret_key_is_no_public_one(self) -> None:
        secret = signer().gpg("--export-secret-keys")
        self.assertRaises(RepositoryError, read_keys, secret)

    def test_what_is_cut_anywhere_is_no_longer_the_same(self) -> None:
        whole = public()
        for end in range(len(whole)):
            try:
                keys = read_keys(whole[:end])
            except RepositoryError:
                continue
            # Between two packets: there is less of it, and it is the same key.
            self.assertEqual([one.data for one in keys], [whole[:end]])

    def test_armor_is_refused(self) -> None:
        armored = signer().gpg("--armor", "--export")
        self.assertRaises(RepositoryError, read_keys, armored)


class BoundTests(SynchronousTestCase):
    def test_empty_and_too_large_are_refused(self) -> None:
        for data in (b"", bytes([0x99]) * (LARGEST_KEYS + 1)):
            self.assertRaises(RepositoryError, read_keys, data)

    @given(st.binary(max_size=300))
    def test_any_bytes_are_keys_or_refused(self, data: bytes) -> None:
        try:
            keys = read_keys(data)
        except RepositoryError:
            return
        self.assertEqual(b"".join(one.data for one in keys), data)

    @given(st.data())
    def test_a_changed_key_is_refused_or_another(self, data: st.DataObject) -> None:
        whole = bytearray(public())
        at = data.draw(st.integers(3, 50))
        whole[at] ^= data.draw(st.integers(1, 255))
        try:
            keys = read_keys(bytes(whole))
        except RepositoryError:
            return
        self.assertNotEqual(keys[0].fingerprint, read_keys(public())[0].fingerprint)

    def test_names_cannot_paint_a_terminal(self) -> None:
        name = b"\x1b[31mred\n"
        key = public()
        user = bytes([0xB4, len(name)]) + name
        (read,) = read_keys(key + user)
        self.assertTrue(read.names[-1].isprintable())


class FingerprintTests(SynchronousTestCase):
    def test_a_person_may_write_it_as_gpg_shows_it(self) -> None:
        (key,) = read_keys(public())
        for text in (shown(key.fingerprint), key.fingerprint.lower(), f"0x{key.fingerprint}"):
            self.assertEqual(as_fingerprint(text), key.fingerprint)

    def test_a_part_of_it_is_none(self) -> None:
        (key,) = read_keys(public())
        for text in ("", key.fingerprint[-16:], key.fingerprint + "0", "x" * 40):
            self.assertRaises(RepositoryError, as_fingerprint, text)
