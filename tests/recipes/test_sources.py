"""Sources are taken apart as makepkg does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from flocon.recipes.sources import parse_source

LIBRARY = Path("/usr/share/makepkg/util/source.sh")
PIECES = st.lists(
    st.sampled_from(
        [
            "https",
            "http",
            "git",
            "hg",
            "svn",
            "bzr",
            "fossil",
            "+",
            "://",
            "::",
            "lp:",
            "/",
            "#",
            "?",
            "signed",
            "commit=",
            "tag=",
            "branch=",
            "x",
            "y.git",
            "a.tar.gz",
            "example.org",
            ".",
            "1.0",
        ]
    ),
    min_size=1,
    max_size=9,
).map("".join)


class Sources(SynchronousTestCase):
    def test_what_a_source_is(self) -> None:
        for text, kind, name, url, fragment, value, host in (
            ("a.patch", "local", "a.patch", "a.patch", "", "", ""),
            ("https://E.org/a/b.tgz", "https", "b.tgz", "https://E.org/a/b.tgz", "", "", "e.org"),
            ("c::http://e.org/b", "http", "c", "http://e.org/b", "", "", "e.org"),
            (
                "git+https://e.org/w.git#tag=v1",
                "git",
                "w",
                "https://e.org/w.git",
                "tag",
                "v1",
                "e.org",
            ),
            ("x::git+ssh://g@e.org/w", "git", "x", "ssh://g@e.org/w", "", "", "e.org"),
            ("git://e.org/w#branch=a/b", "git", "w", "git://e.org/w", "branch", "a/b", "e.org"),
            ("git+file:///a/b", "git", "b", "file:///a/b", "", "", ""),
            ("git+https://e.org/w#odd", "git", "w", "https://e.org/w", "?", "odd", "e.org"),
            (
                "hg+https://e.org/w#revision=1",
                "hg",
                "w",
                "https://e.org/w",
                "revision",
                "1",
                "e.org",
            ),
        ):
            found = parse_source(text)
            said = (found.kind, found.name, found.url, found.fragment, found.value, found.host)
            self.assertEqual(said, (kind, name, url, fragment, value, host), text)

    def test_a_signature_is_asked_for_before_or_after_the_fragment(self) -> None:
        for text in ("git+https://e.org/w#tag=v1?signed", "git+https://e.org/w?signed#tag=v1"):
            found = parse_source(text)
            self.assertTrue(found.signed)
            self.assertEqual((found.url, found.value), ("https://e.org/w", "v1"))

    def test_a_history_is_pinned_by_a_commit_alone(self) -> None:
        self.assertTrue(parse_source("git+https://e.org/w#commit=abc").is_pinned)
        for text in ("git+https://e.org/w", "git+https://e.org/w#branch=a", "https://e.org/w"):
            self.assertFalse(parse_source(text).is_pinned)

    # Each list takes a while: there is no looking for a shorter one that fails as well.
    @settings(max_examples=4, phases=[Phase.explicit, Phase.reuse, Phase.generate])
    @given(st.lists(PIECES, min_size=40, max_size=40))
    def test_names_and_kinds_are_those_of_makepkg(self, texts: list[str]) -> None:
        if not LIBRARY.exists() or shutil.which("bash") is None:
            raise SkipTest("needs makepkg")
        script = f'. {LIBRARY}; for x; do get_protocol "$x"; get_filename "$x"; done'
        command = ["bash", "-c", script, "x", *texts]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split(
            "\n"
        )
        for at, text in enumerate(texts):
            found = parse_source(text)
            self.assertEqual([found.kind, found.name], said[2 * at : 2 * at + 2], text)
