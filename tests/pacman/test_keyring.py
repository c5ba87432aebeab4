"""Verdicts of the real gpgv on signatures of real keys."""

from __future__ import annotations

import atexit
import base64
import bz2
import os
from collections.abc import Coroutine
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import defer, reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.errors import ToolMissing
from flocon.pacman import keyring as keyring_module
from flocon.pacman.keyring import MOST_OF_ONE, Keyring, Verdict, packets, plausible, read_status
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from tests.pgp import Signer


def run(coroutine: Coroutine[Deferred[Any], Any, Any]) -> Deferred[Any]:
    return Deferred.fromCoroutine(coroutine)


@cache
def signed() -> tuple[Signer, Path, bytes]:
    """Return a key, a package and its signature, the same for all tests: gpg takes its time."""
    signer = Signer()
    atexit.register(signer.close)
    package = signer.home / "a-1-1-any.pkg.tar.zst"
    package.write_bytes(os.urandom(100_000))
    return signer, package, signer.sign(package)


def packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4) + body


def armor(binary: bytes) -> bytes:
    lines = base64.encodebytes(binary)
    return b"-----BEGIN PGP SIGNATURE-----\n\n" + lines + b"-----END PGP SIGNATURE-----\n"


def bomb() -> bytes:
    """Return a compressed packet (RFC 9580, 5.6) that is small, and large without compression."""
    literal = packet(11, b"b\0\0\0\0\0" + bytes(50 << 20))
    return packet(8, b"\x03" + bz2.compress(literal))


class WithKeys(TestCase):
    def setUp(self) -> None:
        self.signer, self.package, self.signature = signed()
        self.gpg_directory = Path(self.mktemp())
        self.signer.publish(self.gpg_directory)
        self.keyring = Keyring(reactor, self.gpg_directory)  # type: ignore[arg-type]


class Judging(WithKeys):
    async def assertVerdict(self, verdict: Verdict, package: Path | int, signature: bytes) -> None:
        self.assertIs(await self.keyring.verify(package, signature), verdict)

    def test_a_known_keys_signature_of_these_bytes_is_good(self) -> Deferred[Any]:
        return run(self.assertVerdict(Verdict.GOOD, self.package, self.signature))

    def test_a_key_in_a_keybox_is_known_too(self) -> Deferred[Any]:
        (self.gpg_directory / "pubring.gpg").write_bytes(b"")
        self.signer.publish(self.gpg_directory, "pubring.kbx")
        return run(self.assertVerdict(Verdict.GOOD, self.package, self.signature))

    def test_an_armored_signature_is_good_as_pacman_takes_it(self) -> Deferred[Any]:
        armored = self.signer.sign(self.package, "--armor")
        return run(self.assertVerdict(Verdict.GOOD, self.package, armored))

    def test_one_wrong_byte_in_the_package_is_bad(self) -> Deferred[Any]:
        wrong = Path(self.mktemp())
        data = bytearray(self.package.read_bytes())
        data[50_000] ^= 1
        wrong.write_bytes(data)
        return run(self.assertVerdict(Verdict.BAD, wrong, self.signature))

    async def judge_memory(self, data: bytes, position: int) -> tuple[Verdict, int]:
        descriptor = os.memfd_create("package")
        try:
            os.write(descriptor, data)
            os.lseek(descriptor, position, os.SEEK_SET)
            verdict = await self.keyring.verify(descriptor, self.signature)
            return verdict, os.lseek(descriptor, 0, os.SEEK_CUR)
        finally:
            os.close(descriptor)

    async def test_a_memfd_is_judged_from_its_start_and_stands_where_it_stood(self) -> None:
        data = self.package.read_bytes()
        self.assertEqual(await self.judge_memory(data, 77), (Verdict.GOOD, 77))
        self.assertEqual(await self.judge_memory(data[:-1], 0), (Verdict.BAD, 0))

    async def test_a_file_without_a_name_is_judged(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(self.package.read_bytes())
        with path.open("rb") as file:
            path.unlink()
            await self.assertVerdict(Verdict.GOOD, file.fileno(), self.signature)

    async def test_the_numbers_of_descriptors_do_not_matter(self) -> None:
        spare = [os.open(self.package, os.O_RDONLY | os.O_CLOEXEC) for _ in range(6)]
        try:
            for descriptor in spare:
                await self.assertVerdict(Verdict.GOOD, descriptor, self.signature)
        finally:
            for descriptor in spare:
                os.close(descriptor)

    async def test_no_descriptor_is_left_behind(self) -> None:
        await self.assertVerdict(Verdict.GOOD, self.package, self.signature)
        before = len(list(Path("/proc/self/fd").iterdir()))
        await self.assertVerdict(Verdict.GOOD, self.package, self.signature)
        self.assertEqual(len(list(Path("/proc/self/fd").iterdir())), before)

    def test_many_at_once_are_all_judged(self) -> Deferred[Any]:
        verdicts = [run(self.keyring.verify(self.package, self.signature)) for _ in range(8)]
        whole: Deferred[Any] = defer.gatherResults(verdicts)
        return whole.addCallback(lambda all_of: self.assertEqual(set(all_of), {Verdict.GOOD}))

    def test_what_is_no_signature_is_bad_without_asking(self) -> Deferred[Any]:
        self.keyring = Keyring(mock.Mock(), self.gpg_directory)
        return run(self.assertVerdict(Verdict.BAD, self.package, b"<!DOCTYPE html>"))

    def test_what_is_compressed_is_bad_without_asking(self) -> Deferred[Any]:
        self.keyring = Keyring(mock.Mock(), self.gpg_directory)
        checks = [
            self.assertVerdict(Verdict.BAD, self.package, signature)
            for signature in (bomb(), armor(bomb()), armor(self.signature + bomb()))
        ]
        return defer.gatherResults([run(check) for check in checks])

    async def test_gpgv_is_given_packets_alone_whatever_stood_around_them(self) -> None:
        self.patch(keyring_module, "run", asked := mock.Mock(side_effect=ToolMissing("gpgv")))
        given: list[bytes] = []
        self.patch(os, "write", lambda _, data: given.append(data))
        await self.keyring.verify(self.package, armor(self.signature))
        self.assertEqual(given, [self.signature])
        self.assertLessEqual(asked.call_args.kwargs["bounds"].memory, 256 << 20)
        self.assertLessEqual(asked.call_args.kwargs["bounds"].processor_seconds, 4)

    def waiting(self, number: int, peer: str) -> list[Deferred[Verdict]]:
        verify = self.keyring.verify
        return [run(verify(self.package, self.signature, peer=peer)) for _ in range(number)]

    def leave(self, waiting: list[Deferred[Verdict]]) -> None:
        for one in waiting:
            one.addErrback(lambda failure: failure.trap(defer.CancelledError))
            one.cancel()

    def hang(self) -> list[Deferred[Any]]:
        """Have gpgv be one that never ends."""
        begun: list[Deferred[Any]] = []

        def begin(*_: object, **__: object) -> Deferred[Any]:
            begun.append(Deferred())
            return begun[-1]

        self.patch(keyring_module, "run", begin)
        return begun

    def test_peers_signatures_do_not_keep_a_mirrors_waiting(self) -> None:
        begun = self.hang()
        waiting = [one for peer in "abcdefgh" for one in self.waiting(4, peer)]
        before = len(begun)
        waiting += self.waiting(1, "")
        self.assertEqual(len(begun), before + 1)
        self.leave(waiting)

    def test_one_address_takes_a_part_of_the_line_alone(self) -> None:
        self.hang()
        of_one, of_another = self.waiting(MOST_OF_ONE + 2, "a"), self.waiting(1, "b")
        self.assertEqual([one.called for one in of_one], MOST_OF_ONE * [False] + 2 * [True])
        self.assertIs(self.successResultOf(of_one[-1]), Verdict.UNKNOWN)
        self.assertFalse(of_another[0].called)
        self.leave([*of_one, *of_another])
        again = self.waiting(MOST_OF_ONE, "a")
        self.assertEqual([one.called for one in again], MOST_OF_ONE * [False])
        self.leave(again)

    def test_as_many_as_pacman_asks_for_at_once_are_judged_of_one_peer(self) -> Deferred[Any]:
        judged = defer.gatherResults(self.waiting(20, "a"))
        return judged.addCallback(self.assertEqual, 20 * [Verdict.GOOD])

    def test_a_key_that_is_not_in_the_keyring_is_unknown(self) -> Deferred[Any]:
        other = Signer()
        self.addCleanup(other.close)
        signature = other.sign(self.package)
        return run(self.assertVerdict(Verdict.UNKNOWN, self.package, signature))

    def test_without_a_keyring_nothing_is_known(self) -> Deferred[Any]:
        (self.gpg_directory / "pubring.gpg").unlink()
        return run(self.assertVerdict(Verdict.UNKNOWN, self.package, self.signature))

    def test_a_package_that_is_gone_is_unknown(self) -> Deferred[Any]:
        return run(self.assertVerdict(Verdict.UNKNOWN, Path("gone"), self.signature))

    def test_without_gpgv_nothing_is_known(self) -> Deferred[Any]:
        self.patch(os, "environ", {"PATH": ""})
        return run(self.assertVerdict(Verdict.UNKNOWN, self.package, self.signature))

    async def test_a_gpgv_that_takes_too_long_is_ended(self) -> None:
        tools = Path(self.mktemp()).absolute()
        tools.mkdir()
        (tools / "gpgv").write_text("#!/bin/sh\nexec sleep 100\n")
        (tools / "gpgv").chmod(0o755)
        self.patch(os, "environ", {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"})
        verdict = await self.keyring.verify(self.package, self.signature, 0.05)
        self.assertIs(verdict, Verdict.UNKNOWN)

    async def test_what_grows_meanwhile_is_read_for_no_longer(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"data")
        os.truncate(path, 1 << 43)
        with path.open("rb") as file:
            verifying = self.keyring.verify(file.fileno(), self.signature, 0.05, size=4)
            verdict = await Deferred.fromCoroutine(verifying).addTimeout(5, reactor)
        self.assertIs(verdict, Verdict.UNKNOWN)

    def test_an_expired_keys_signature_is_unknown(self) -> Deferred[Any]:
        expired = Signer(at="20200101T000000", expires="seconds=86400")
        self.addCleanup(expired.close)
        expired.publish(self.gpg_directory)
        signature = expired.sign(self.package)
        return run(self.assertVerdict(Verdict.UNKNOWN, self.package, signature))

    def test_a_revoked_keys_signature_is_unknown(self) -> Deferred[Any]:
        revoked = Signer()
        self.addCleanup(revoked.close)
        signature = revoked.sign(self.package)
        revoked.revoke()
        revoked.publish(self.gpg_directory)
        return run(self.assertVerdict(Verdict.UNKNOWN, self.package, signature))


class Form(WithKeys):
    def test_what_gpg_makes_is_plausible(self) -> None:
        self.assertTrue(plausible(self.signature))
        self.assertTrue(plausible(self.signature * 2))
        self.assertTrue(plausible(self.signer.sign(self.package, "--armor")))

    def test_what_is_cut_short_or_has_more_behind_it_is_not(self) -> None:
        for end in range(len(self.signature)):
            self.assertFalse(plausible(self.signature[:end]))
        self.assertFalse(plausible(self.signature + b"\n"))
        self.assertFalse(plausible(self.signature + b"x" * LARGEST_SIGNATURE))

    def test_armor_is_read_as_gpg_writes_it(self) -> None:
        armored = self.signer.sign(self.package, "--armor")
        for text in (armored, armored.replace(b"\n", b"\r\n"), armored + b"\n\n"):
            self.assertEqual(packets(text), packets(armored))
        commented = armored.replace(b"\n\n", b"\nVersion: GnuPG v2\nComment: a\n\n", 1)
        self.assertEqual(packets(commented), packets(armored))
        self.assertEqual(packets(armor(self.signature)), self.signature)

    def test_armor_around_anything_else_is_no_signature(self) -> None:
        for inside in (bomb(), b"", b"text", packet(11, b"b"), self.signature + bomb()):
            self.assertFalse(plausible(armor(inside)))
        self.assertFalse(plausible(armor(self.signature)[:-3]))
        self.assertFalse(plausible(armor(self.signature) * 2))

    def test_more_signatures_than_anyone_makes_are_none(self) -> None:
        self.assertTrue(plausible(8 * self.signature))
        self.assertFalse(plausible(9 * self.signature))

    def test_a_public_key_is_not_a_signature(self) -> None:
        self.assertFalse(plausible(self.signer.gpg("--export")))

    def test_each_form_of_a_packets_length_is_read(self) -> None:
        for length in (10, 191, 192, 300, 8383, 8384):
            body = b"\x04" + b"x" * (length - 1)
            forms = [b"\xc2\xff" + length.to_bytes(4)]
            forms.append(b"\x8a" + length.to_bytes(4))
            forms.append(b"\x89" + length.to_bytes(2))
            if length < 192:
                forms += [b"\xc2" + bytes([length]), b"\x88" + bytes([length])]
            elif length < 8384:
                rest = length - 192
                forms.append(b"\xc2" + bytes([(rest >> 8) + 192, rest & 255]))
            for form in forms:
                self.assertTrue(plausible(form + body), form)
                self.assertFalse(plausible(form + body + b"\0"), form)

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=64))
    def test_no_bytes_make_it_stumble(self, data: bytes) -> None:
        self.assertIn(plausible(data), (True, False))
        self.assertEqual(packets(armor(data)), packets(data))
        framed = b"-----BEGIN PGP SIGNATURE-----" + data
        self.assertIn(plausible(framed + b"-----END PGP SIGNATURE-----"), (True, False))

    @settings(max_examples=30, deadline=1000)
    @given(st.lists(st.sampled_from([b"A", b"=", b"\n", b" ", b"\r", b"A: b"]), max_size=4000))
    def test_no_armor_takes_long(self, pieces: list[bytes]) -> None:
        plausible(b"-----BEGIN PGP SIGNATURE-----\n" + b"".join(pieces))


class Status(SynchronousTestCase):
    def verdict(self, *lines: str) -> Verdict:
        return read_status("".join(f"[GNUPG:] {line}\n" for line in lines).encode())

    def test_all_signatures_must_be_good(self) -> None:
        good = ("GOODSIG K name", "VALIDSIG F")
        self.assertIs(self.verdict(*good), Verdict.GOOD)
        self.assertIs(self.verdict(*good, *good), Verdict.GOOD)
        self.assertIs(self.verdict(*good, "ERRSIG K", "NO_PUBKEY K"), Verdict.UNKNOWN)
        self.assertIs(self.verdict(*good, "BADSIG K name"), Verdict.BAD)

    def test_a_good_signature_needs_to_be_valid_too(self) -> None:
        self.assertIs(self.verdict("GOODSIG K name"), Verdict.UNKNOWN)
        self.assertIs(self.verdict("EXPSIG K name", "VALIDSIG F"), Verdict.UNKNOWN)

    def test_a_name_that_looks_like_a_status_line_is_none(self) -> None:
        output = b"gpgv: x\nGOODSIG\nVALIDSIG\n[GNUPG:] ERRSIG K GOODSIG VALIDSIG\n"
        self.assertIs(read_status(output), Verdict.UNKNOWN)
        self.assertIs(read_status(b""), Verdict.UNKNOWN)
        self.assertIs(read_status(b"[GNUPG:] \n"), Verdict.UNKNOWN)

    @settings(max_examples=100, deadline=None)
    @given(st.binary(max_size=100))
    def test_no_output_makes_it_stumble(self, output: bytes) -> None:
        self.assertIsInstance(read_status(b"[GNUPG:] " + output), Verdict)
