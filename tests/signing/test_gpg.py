"""The signer's keys, by gpg itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from flocon.errors import RepositoryError
from flocon.signing.gpg import Gpg, is_fingerprint

USER = "home repository <flocon@nas>"
#: Long after the keys of a test were made.
LATER = 1_900_000_000


class GpgTests(TestCase):
    def setUp(self) -> None:
        # A socket's path has 107 bytes at most.
        folder = tempfile.TemporaryDirectory(prefix="flocon-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.gpg = Gpg(reactor, self.folder / "gnupg")  # type: ignore[arg-type]
        self.addCleanup(lambda: self.do(self.gpg.rest()))

    def do(self, coroutine: Coroutine[Any, Any, None]) -> Deferred[None]:
        return Deferred.fromCoroutine(coroutine)

    def written(self, data: bytes) -> int:
        path = self.folder / "file"
        path.write_bytes(data)
        descriptor = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, descriptor)
        return descriptor

    def verified(self, key: bytes, signature: bytes, data: bytes) -> list[str]:
        """Return what gpgv says of a signature: words of its VALIDSIG line."""
        for name, content in (("key", key), ("sig", signature), ("data", data)):
            (self.folder / name).write_bytes(content)
        done = subprocess.run(
            ["gpgv", "--status-fd", "1", "--keyring", str(self.folder / "key"), "sig", "data"],
            cwd=self.folder,
            capture_output=True,
            check=False,
        )
        lines = [line.split() for line in done.stdout.decode().splitlines()]
        return next((line[2:] for line in lines if line[1] == "VALIDSIG"), [])

    def test_what_it_signs_is_verified_by_what_it_hands_out(self) -> Deferred[None]:
        async def run() -> None:
            fingerprint = await self.gpg.make_key(USER)
            self.assertTrue(is_fingerprint(fingerprint))
            signature = await self.gpg.sign(self.written(b"text"), fingerprint, LATER)
            self.assertTrue(signature[0] & 0x80, "it is binary")
            key = await self.gpg.public_keys([fingerprint])
            verified = self.verified(key, signature, b"text")
            self.assertEqual((verified[0], verified[2]), (fingerprint, str(LATER)))
            self.assertEqual(self.verified(key, signature, b"other"), [])

        return self.do(run())

    def test_it_signs_from_the_beginning_wherever_the_file_stands(self) -> Deferred[None]:
        async def run() -> None:
            fingerprint = await self.gpg.make_key(USER)
            descriptor = self.written(b"text")
            os.lseek(descriptor, 0, os.SEEK_END)
            signature = await self.gpg.sign(descriptor, fingerprint, LATER)
            key = await self.gpg.public_keys([fingerprint])
            self.assertTrue(self.verified(key, signature, b"text"))

        return self.do(run())

    def test_a_second_is_the_one_it_was_told_when_that_is_now(self) -> Deferred[None]:
        """Where it is told the time that it is, gpg lets its clock run."""
        sign = self.gpg._run
        tries: list[int] = []

        async def slow(*arguments: Any, **more: Any) -> Any:
            tries.append(1)
            if len(tries) == 1:
                # As where the next second begins while gpg does.
                more["at"] += 1
            return await sign(*arguments, **more)

        async def run() -> None:
            fingerprint = await self.gpg.make_key(USER)
            self.patch(self.gpg, "_run", slow)
            signature = await self.gpg.sign(self.written(b"text"), fingerprint, LATER)
            self.assertEqual(len(tries), 2)
            key = await self.gpg.public_keys([fingerprint])
            self.assertEqual(self.verified(key, signature, b"text")[2], str(LATER))

        return self.do(run())

    def test_another_second_than_it_was_told_is_never_taken(self) -> Deferred[None]:
        sign = self.gpg._run

        async def wrong(*arguments: Any, **more: Any) -> Any:
            more["at"] += 1
            return await sign(*arguments, **more)

        async def run() -> None:
            fingerprint = await self.gpg.make_key(USER)
            self.patch(self.gpg, "_run", wrong)
            with self.assertRaises(RepositoryError):
                await self.gpg.sign(self.written(b"text"), fingerprint, LATER)

        return self.do(run())

    def test_nobody_else_can_read_its_home(self) -> Deferred[None]:
        async def run() -> None:
            await self.gpg.make_key(USER)
            self.assertEqual(self.gpg.home.stat().st_mode & 0o777, 0o700)

        return self.do(run())

    def test_a_new_key_is_signed_by_the_old(self) -> Deferred[None]:
        async def run() -> None:
            old = await self.gpg.make_key(USER)
            new = await self.gpg.make_key(USER, signed_by=old)
            both = await self.gpg.public_keys([old, new])
            other = self.folder / "other"
            other.mkdir(mode=0o700)
            (self.folder / "both").write_bytes(both)
            gpg = ["gpg", "--homedir", str(other), "--batch", "--quiet", "--no-autostart"]
            subprocess.run([*gpg, "--import", str(self.folder / "both")], check=True)
            said = subprocess.run(
                [*gpg, "--with-colons", "--check-signatures", new], check=True, capture_output=True
            ).stdout.decode()
            signed = [line.split(":") for line in said.splitlines() if line.startswith("sig:!")]
            self.assertIn(old[-16:], [line[4] for line in signed])

        return self.do(run())

    def test_a_revoked_key_is_handed_out_as_that(self) -> Deferred[None]:
        async def run() -> None:
            old = await self.gpg.make_key(USER)
            signature = await self.gpg.sign(self.written(b"text"), old, LATER)
            self.assertTrue(self.gpg.revocation(old).is_file())
            for _ in range(2):
                # Once more does no harm.
                await self.gpg.revoke(old)
            key = await self.gpg.public_keys([old])
            (self.folder / "key").write_bytes(key)
            (self.folder / "sig").write_bytes(signature)
            (self.folder / "data").write_bytes(b"text")
            said = subprocess.run(
                ["gpgv", "--status-fd", "1", "--keyring", str(self.folder / "key"), "sig", "data"],
                cwd=self.folder,
                capture_output=True,
                check=False,
            ).stdout
            self.assertIn(b"REVKEYSIG", said)

        return self.do(run())

    def fails(self, coroutine: Coroutine[Any, Any, Any]) -> Deferred[RepositoryError]:
        return self.assertFailure(Deferred.fromCoroutine(coroutine), RepositoryError)

    def test_without_gpg_it_says_that(self) -> Deferred[None]:
        self.patch(os, "environ", {**os.environ, "PATH": "/nonexistent"})

        async def run() -> None:
            error = await self.fails(self.gpg.make_key(USER))
            self.assertIn("is not installed", str(error))

        return self.do(run())

    def test_without_its_secret_key_it_says_that(self) -> Deferred[None]:
        async def run() -> None:
            fingerprint = await self.gpg.make_key(USER)
            await self.gpg.rest()
            shutil.rmtree(self.gpg.home / "private-keys-v1.d")
            error = await self.fails(self.gpg.sign(self.written(b"text"), fingerprint, LATER))
            self.assertIn("secret key is not there", str(error))

        return self.do(run())

    def test_without_the_certificate_that_revokes_it_says_where_that_was(self) -> Deferred[None]:
        async def run() -> None:
            fingerprint = await self.gpg.make_key(USER)
            self.gpg.revocation(fingerprint).unlink()
            error = await self.fails(self.gpg.revoke(fingerprint))
            self.assertIn(str(self.gpg.revocation(fingerprint)), str(error))

        return self.do(run())
