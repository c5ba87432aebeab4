"""Sources that are signed: by a key that the recipe brings, or that nobody here knows."""

from __future__ import annotations

import subprocess
from pathlib import Path

from twisted.internet.defer import Deferred

from tests.building.case import PACKAGE, JobCase, recipe

LINES = """
source=(text text.sig)
sha256sums=(SKIP SKIP)
validpgpkeys=({key})
package() {{ install -Dm644 "$srcdir/text" "$pkgdir/usr/share/odd/text"; }}
"""


class SignatureTests(JobCase):
    """A source with a signature beside it."""

    def setUp(self) -> None:
        super().setUp()
        self.home = self.folder / "gnupg"
        self.home.mkdir(mode=0o700)
        self.addCleanup(self._end_agent)
        words = ["--passphrase", "", "--quick-gen-key", "somebody", "ed25519", "sign", "never"]
        self._gpg(*words)
        listing = self._gpg("--list-keys", "--with-colons").decode()
        (self.key,) = [
            line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:")
        ]
        source = self.folder / "text"
        source.write_text("signed\n")
        self._gpg("--detach-sign", str(source))
        signature = Path(f"{source}.sig").read_bytes()
        self.files: dict[str, str | bytes] = {"text": "signed\n", "text.sig": signature}

    def _gpg(self, *words: str) -> bytes:
        options = ["gpg", "--homedir", str(self.home), "--batch", "--quiet"]
        return subprocess.run([*options, *words], check=True, capture_output=True).stdout

    def _recipe(self) -> dict[str, str | bytes]:
        return {**recipe(LINES.format(key=self.key)), **self.files}

    def _end_agent(self) -> None:
        words = ["gpgconf", "--homedir", str(self.home), "--kill", "all"]
        subprocess.run(words, check=True, capture_output=True)

    def test_a_machine_that_signs_what_it_builds_has_no_key_there(self) -> Deferred[None]:
        async def go() -> None:
            files = recipe("BUILDENV+=(sign)\n" + PACKAGE)
            done = await self.build(files)
            self.assertEqual(done.result, "built", done.log)

        return self.do(go())

    def test_a_key_of_the_recipe_is_known(self) -> Deferred[None]:
        async def go() -> None:
            key = self._gpg("--armor", "--export", self.key)
            files = self._recipe()
            files[f"keys/pgp/{self.key}.asc"] = key
            done = await self.build(files)
            self.assertEqual(done.result, "built", done.log)
            self.assertEqual(done.found(), "signed\n")

        return self.do(go())

    def test_a_key_that_is_handed_over_is_known(self) -> Deferred[None]:
        async def go() -> None:
            key = self.folder / "key"
            key.write_bytes(self._gpg("--export", self.key))
            files = self._recipe()
            done = await self.build(files, own=[key], dependencies=[], keys=[1])
            self.assertEqual(done.result, "built", done.log)

        return self.do(go())

    def test_another_key_is_not_and_that_is_said(self) -> Deferred[None]:
        async def go() -> None:
            done = await self.build(self._recipe())
            self.assertEqual(done.result, "failed", done.log)
            self.assertIn("keys/pgp", done.reason)

        return self.do(go())
