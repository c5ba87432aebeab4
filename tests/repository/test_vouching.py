"""Whom pacman trusts, and whom not."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.errors import RepositoryError
from flocon.repository.vouching import is_trusted, is_vouched
from tests import pgp

GOOD = (
    "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 0123456789ABCDEF Some Body\n"
    "[GNUPG:] VALIDSIG 00 2026-01-01 1 0 4 0 22 10 00 00\n"
)


class StatusTests(SynchronousTestCase):
    def test_only_full_trust_is_enough(self) -> None:
        for word, wanted in (
            ("TRUST_ULTIMATE", True),
            ("TRUST_FULLY", True),
            ("TRUST_MARGINAL", False),
            ("TRUST_UNDEFINED", False),
            ("TRUST_NEVER", False),
        ):
            told = f"{GOOD}[GNUPG:] {word} 0 pgp\n".encode()
            self.assertEqual(is_trusted(told), wanted, word)

    def test_no_word_of_trust_is_none(self) -> None:
        self.assertFalse(is_trusted(GOOD.encode()))
        self.assertFalse(is_trusted(b""))

    def test_each_of_several_signatures_has_to_be_good(self) -> None:
        trusted = f"{GOOD}[GNUPG:] TRUST_FULLY 0 pgp\n"
        self.assertTrue(is_trusted((trusted + trusted).encode()))
        self.assertFalse(is_trusted((trusted + GOOD).encode()))
        for word in ("BADSIG", "ERRSIG", "EXPKEYSIG", "REVKEYSIG", "EXPSIG"):
            self.assertFalse(is_trusted(f"{trusted}[GNUPG:] {word} 0 x\n".encode()), word)

    def test_what_a_keys_owner_calls_himself_is_no_word_of_gpgs(self) -> None:
        told = f"{GOOD}[GNUPG:] TRUST_NEVER\n TRUST_FULLY [GNUPG:] TRUST_FULLY\n".encode()
        self.assertFalse(is_trusted(told))
        for sign in ("\x85", "\u2028", "\u2029"):
            body = GOOD.replace("Some Body", f"Some{sign}[GNUPG:] TRUST_FULLY 0 pgp")
            told = f"{body}[GNUPG:] TRUST_UNDEFINED 0 pgp\n".encode()
            self.assertFalse(is_trusted(told), ascii(sign))


class VouchingTests(TestCase):
    """Real keys: one that the keyring trusts, one that it knows, one that it does not."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.keyring = self.folder / "pacman"
        self.keyring.mkdir(mode=0o700)
        self.trusted, self.known, self.unknown = (self.signer() for _ in range(3))
        for signer in (self.trusted, self.known):
            key = self.folder / "key"
            key.write_bytes(signer.gpg("--export"))
            self.gpg("--import", str(key))
        said = self.trusted.gpg("--with-colons", "--list-keys").decode()
        fingerprint = next(
            line.split(":")[9] for line in said.splitlines() if line.startswith("fpr:")
        )
        ownertrust = self.folder / "ownertrust"
        ownertrust.write_text(f"{fingerprint}:6:\n")
        self.gpg("--import-ownertrust", str(ownertrust))
        self.gpg("--check-trustdb")
        self.package = self.folder / "package"
        self.package.write_bytes(b"package")

    def signer(self) -> pgp.Signer:
        signer = pgp.Signer()
        self.addCleanup(signer.close)
        return signer

    def gpg(self, *arguments: str) -> None:
        command = ["gpg", "--homedir", str(self.keyring), "--batch", "--quiet", "--no-autostart"]
        subprocess.run([*command, *arguments], check=True, capture_output=True)

    def do(self, coroutine: Coroutine[Any, Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(coroutine)

    async def vouched(self, signature: bytes) -> bool:
        descriptor = os.open(self.package, os.O_RDONLY)
        try:
            return await is_vouched(reactor, self.keyring, descriptor, signature)  # type: ignore[arg-type]
        finally:
            os.close(descriptor)

    def test_only_a_trusted_keys_signature_counts(self) -> Deferred[None]:
        async def run() -> None:
            self.assertTrue(await self.vouched(self.trusted.sign(self.package)))
            self.assertFalse(await self.vouched(self.known.sign(self.package)))
            self.assertFalse(await self.vouched(self.unknown.sign(self.package)))

        return self.do(run())

    def test_a_keyring_that_cannot_be_read_is_no_matter_of_trust(self) -> Deferred[None]:
        async def refused(signature: bytes) -> str:
            try:
                await self.vouched(signature)
            except RepositoryError as error:
                return error.problem
            raise self.failureException("it was judged all the same")

        async def run() -> None:
            signature = self.trusted.sign(self.package)
            for path in [*self.keyring.glob("pubring.*"), self.keyring / "trustdb.gpg"]:
                if path.name.endswith("~"):
                    continue
                aside = path.rename(self.folder / path.name)
                # Nobody may read this, root neither.
                path.symlink_to(path.name)
                self.assertIn(f"cannot be read ({path}", await refused(signature))
                path.unlink()
                aside.rename(path)
            self.assertTrue(await self.vouched(signature))
            self.keyring = self.folder / "absent"
            self.assertIn("cannot be read", await refused(signature))

        return self.do(run())

    def test_a_trusted_keys_signature_of_another_file_does_not(self) -> Deferred[None]:
        async def run() -> None:
            signature = self.trusted.sign(self.package)
            self.package.write_bytes(b"another")
            self.assertFalse(await self.vouched(signature))

        return self.do(run())

    def test_what_is_no_signature_is_not_given_to_gpg(self) -> Deferred[None]:
        async def run() -> None:
            self.patch(os, "memfd_create", lambda *_: self.fail("gpg was asked"))
            for data in (b"", b"text", self.trusted.gpg("--export")):
                self.assertFalse(await self.vouched(data))

        return self.do(run())

    def test_nothing_is_written_into_pacmans_keyring(self) -> Deferred[None]:
        async def run() -> None:
            before = {path.name: path.stat().st_mtime_ns for path in self.keyring.iterdir()}
            await self.vouched(self.trusted.sign(self.package))
            after = {path.name: path.stat().st_mtime_ns for path in self.keyring.iterdir()}
            self.assertEqual(before, after)

        return self.do(run())
