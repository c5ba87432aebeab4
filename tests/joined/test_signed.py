"""Signatures are judged by the keys of one file alone: by real gpgv, and by what it says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.joined.keys import read_keys
from flocon.joined.signed import Signed, Verifier, read_status
from tests.joined.maker import THEN, Maker, signer
from tests.pgp import Signer

KEY = "AB" * 20
GOOD = (
    f"[GNUPG:] GOODSIG {KEY[-16:]} name\n"
    f"[GNUPG:] VALIDSIG {KEY} 2023-11-14 5 0 4 0 22 10 00 {KEY}\n"
)


class VerifierTests(TestCase):
    def setUp(self) -> None:
        self.maker = Maker(Path(self.mktemp()))
        self.file = self.maker.folder / "file"
        self.file.write_bytes(b"some bytes")
        self.signature = self.maker.sign(self.file, THEN)
        self.descriptor = os.open(self.file, os.O_RDONLY)
        self.addCleanup(os.close, self.descriptor)

    def verify(self, signature: bytes | None = None, keyring: Path | None = None) -> Deferred[Any]:
        verifier = Verifier(reactor)  # type: ignore[arg-type]
        keyring = keyring or self.maker.folder / "key.gpg"
        return Deferred.fromCoroutine(
            verifier.verify(
                keyring, self.signature if signature is None else signature, self.descriptor
            )
        )

    async def test_key_and_time_are_told(self) -> None:
        signed = await self.verify()
        self.assertEqual(signed, Signed(True, False, True, self.maker.fingerprint, THEN))

    async def test_a_key_that_is_not_in_the_file_is_unknown_and_named(self) -> None:
        other = self.maker.folder / "other.gpg"
        other.write_bytes(signer(1).gpg("--export"))
        signed = await self.verify(keyring=other)
        self.assertEqual(signed, Signed(fingerprint=self.maker.fingerprint))

    async def test_of_other_bytes_it_is_bad(self) -> None:
        self.file.write_bytes(b"other bytes")
        self.assertTrue((await self.verify()).bad)

    async def test_what_is_no_signature_is_bad(self) -> None:
        for data in (b"", b"nonsense", self.signature[:-3]):
            self.assertTrue((await self.verify(data)).bad, data)

    async def test_of_a_key_that_was_revoked_it_is_not_good_and_whose_it_is_told(self) -> None:
        key = Signer()
        self.addCleanup(key.close)
        signature = key.sign(self.file)
        key.revoke()
        keyring = self.maker.folder / "revoked.gpg"
        keyring.write_bytes(key.gpg("--export"))
        signed = await self.verify(signature, keyring)
        (revoked,) = read_keys(keyring.read_bytes())
        self.assertEqual((signed.good, signed.bad), (False, False))
        self.assertEqual(signed.fingerprint, revoked.fingerprint)

    async def test_two_signatures_are_not_one(self) -> None:
        signed = await self.verify(self.signature * 2)
        self.assertFalse(signed.good)

    async def test_a_missing_keyring_judges_nothing(self) -> None:
        signed = await self.verify(keyring=self.maker.folder / "none.gpg")
        self.assertFalse(signed.good)
        self.assertFalse(signed.bad)


class StatusTests(SynchronousTestCase):
    def test_a_good_one(self) -> None:
        self.assertEqual(read_status(GOOD.encode()), Signed(True, False, True, KEY, 5))

    def test_a_bad_one_beside_it_spoils_it(self) -> None:
        self.assertTrue(read_status(GOOD.encode() + b"[GNUPG:] BADSIG x y\n").bad)

    def test_doubts_spoil_it(self) -> None:
        for word in ("EXPKEYSIG", "REVKEYSIG", "EXPSIG", "ERRSIG", "UNEXPECTED"):
            said = read_status(GOOD.encode() + f"[GNUPG:] {word} x\n".encode())
            self.assertEqual((said.good, said.bad), (False, False))

    def test_one_of_a_text_counts_for_nothing(self) -> None:
        text = GOOD.replace(" 10 00 ", " 10 01 ")
        self.assertFalse(read_status(text.encode()).good)

    def test_what_only_looks_like_a_status_is_none(self) -> None:
        for text in (b"", b"GOODSIG x\n", GOOD.replace("[GNUPG:] ", "").encode()):
            self.assertEqual(read_status(text), Signed())
