"""Which names pass from outside to a path or a table, and that nothing else does."""

from __future__ import annotations

from string import ascii_letters, digits
from urllib.parse import quote, unquote

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.files import (
    LONGEST_NAME,
    Kind,
    belongs_to,
    beside,
    content_path,
    escape,
    is_about_packages,
    is_architecture,
    is_package,
    is_repository,
    known_as,
    mirror_root,
    parse_content,
    parse_file_name,
    parse_path,
    sum_of,
)

REAL = {
    "gtk++-1:2.0-1-x86_64.pkg.tar.zst": ("gtk++", "1:2.0-1", "x86_64"),
    "zlib-1:1.3.1-2-x86_64.pkg.tar.zst": ("zlib", "1:1.3.1-2", "x86_64"),
    "lib32-gcc-libs-14.2.1+r134+gab884fffe3fc-1-x86_64.pkg.tar.zst": (
        "lib32-gcc-libs",
        "14.2.1+r134+gab884fffe3fc-1",
        "x86_64",
    ),
    "ca-certificates-20240618-1-any.pkg.tar.zst": ("ca-certificates", "20240618-1", "any"),
    "python-pytest-1.0~rc1-1.1-any.pkg.tar.xz": ("python-pytest", "1.0~rc1-1.1", "any"),
    "linux-6.9.7.arch1-1-x86_64.pkg.tar": ("linux", "6.9.7.arch1-1", "x86_64"),
    "libsigc++-3.0-2.12.1-1-aarch64.pkg.tar.gz": ("libsigc++-3.0", "2.12.1-1", "aarch64"),
    "r8168-dkms-8.053.00-1-any.pkg.tar.lz4": ("r8168-dkms", "8.053.00-1", "any"),
    "git-2.0^git1-3-x86_64_v3.pkg.tar.Z": ("git", "2.0^git1-3", "x86_64_v3"),
    "@scope-1-1-any.pkg.tar.lrz": ("@scope", "1-1", "any"),
    "ttf-1,2=3%4-1-any.pkg.tar.zst": ("ttf", "1,2=3%4-1", "any"),
    "odd-2:!\"#$&'()*;<>?@[\\]`{|}-1-any.pkg.tar.zst": (
        "odd",
        "2:!\"#$&'()*;<>?@[\\]`{|}-1",
        "any",
    ),
}

word = st.text(ascii_letters + digits + "@_+", min_size=1, max_size=12)
package_names = st.builds(
    "{}{}-{}{}-{}-{}.pkg.tar{}".format,
    word,
    st.text(ascii_letters + digits + "@._+-", max_size=12),
    st.sampled_from(["", "1:", "23:"]),
    st.text(ascii_letters + digits + "._+~^,=;!$&", min_size=1, max_size=12),
    st.from_regex(r"\A[0-9]{1,3}(\.[0-9]{1,2})?\Z"),
    st.sampled_from(["x86_64", "any", "aarch64", "x86_64_v3"]),
    st.sampled_from(["", ".zst", ".xz", ".gz", ".bz2", ".lrz", ".lzo", ".lz4", ".lz", ".Z"]),
)
#: Text that is mostly made of what a name is made of, so that some of it comes near to one.
near_names = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            (
                *("a-1-1-any", ".pkg.tar", ".zst", ".sig", ".db", ".files", "core", "..", "."),
                *("\0", "\n", "é", "\N{FULLWIDTH SOLIDUS}", "/", "%2f", "-", "1:", " ", "\\", "~"),
            )
        ),
        max_size=8,
    ).map("".join),
    st.builds(lambda a, b, c: a + b + c, st.text(max_size=3), package_names, st.text(max_size=3)),
)


class FileNames(SynchronousTestCase):
    def test_real_packages_are_taken_apart(self) -> None:
        for text, parts in REAL.items():
            file = parse_file_name(text)
            assert file is not None, text
            self.assertEqual((file.name, file.version, file.architecture), parts)
            self.assertEqual((file.kind, file.is_signature), (Kind.PACKAGE, False))
            self.assertEqual((file.text, file.subject), (text, text))

    def test_a_signature_is_of_its_subject(self) -> None:
        for text, parts in REAL.items():
            file = parse_file_name(text + ".sig")
            assert file is not None, text
            self.assertEqual((file.subject, file.is_signature), (text, True))
            self.assertEqual((file.name, file.version, file.architecture), parts)

    def test_databases_bear_the_repository_as_name(self) -> None:
        for text in ("core.db", "core.files", "multilib-testing.db.sig", "a.b_c+d@e.files.sig"):
            file = parse_file_name(text)
            assert file is not None, text
            self.assertIs(file.kind, Kind.DATABASE)
            self.assertEqual(file.name, file.subject.rpartition(".")[0])
            self.assertEqual(file.is_signature, text.endswith(".sig"))

    def test_what_pacman_never_asks_for_is_refused(self) -> None:
        for text in (
            "",
            ".",
            "..",
            ".sig",
            ".db",
            "-a-1-1-any.pkg.tar.zst",
            ".a-1-1-any.pkg.tar.zst",
            "a-1-any.pkg.tar.zst",
            "a-1-1-any.pkg.tar.zst.part",
            "a-1-1-any.pkg.tar.zst.sig.sig",
            "a-1-1-any.pkg.tar.exe",
            "a-1-1-any.tar.zst",
            "a-1-1-any.pkg.tar.zst\n",
            "a-1-x-any.pkg.tar.zst",
            "a-1 2-1-any.pkg.tar.zst",
            "a-1\t2-1-any.pkg.tar.zst",
            "a-1\x7f-1-any.pkg.tar.zst",
            "a-1/2-1-any.pkg.tar.zst",
            "core.db.tar.gz",
            "core.db.sig\n",
            "flocon-x/a-1-1-any.pkg.tar.zst",
            "download-AbCdEf",
        ):
            self.assertIsNone(parse_file_name(text), text)

    def test_a_name_is_as_long_as_a_file_system_allows_and_no_longer(self) -> None:
        rest = "-1-1-any.pkg.tar.zst"
        longest = "a" * (LONGEST_NAME - len(rest)) + rest
        self.assertIsNotNone(parse_file_name(longest))
        self.assertIsNone(parse_file_name("a" + longest))
        self.assertIsNone(parse_file_name(longest + ".sig"))

    def test_what_lies_beside_another_is_a_package_and_known_by_the_same_name(self) -> None:
        for name in ("a-1-1-any.pkg.tar.zst", "gtk++-1:2.0-1-x86_64.pkg.tar.xz"):
            text = beside(name, b"s" * 32)
            assert text is not None
            self.assertTrue(is_package(text))
            self.assertEqual((known_as(text), sum_of(text)), (name, b"s" * 32))
            self.assertEqual((known_as(name), sum_of(name)), (name, None))
        rest = "-1-1-any.pkg.tar.zst"
        self.assertIsNone(beside("a" * (LONGEST_NAME - len(rest)) + rest, b"s" * 32))

    def test_only_a_package_itself_is_a_package(self) -> None:
        self.assertTrue(is_package("a-1-1-any.pkg.tar.zst"))
        for text in ("a-1-1-any.pkg.tar.zst.sig", "core.db", "nonsense"):
            self.assertFalse(is_package(text), text)

    @settings(max_examples=300, deadline=None)
    @given(near_names)
    def test_no_accepted_name_can_leave_its_folder(self, text: str) -> None:
        file = parse_file_name(text)
        if file is None:
            return
        self.assertTrue(text.isascii() and text.isprintable())
        self.assertNotIn("/", text)
        self.assertNotIn("\0", text)
        self.assertNotIn(text, {".", ".."})
        self.assertFalse(text.startswith((".", "-")))
        self.assertLessEqual(len(text), LONGEST_NAME)
        self.assertEqual(file.subject + ".sig" * file.is_signature, text)

    @settings(max_examples=200, deadline=None)
    @given(package_names)
    def test_the_parts_of_a_package_put_together_are_its_name(self, text: str) -> None:
        file = parse_file_name(text)
        assert file is not None
        head = f"{file.name}-{file.version}-{file.architecture}.pkg.tar"
        self.assertTrue(text.startswith(head))


class Belonging(SynchronousTestCase):
    def test_a_file_belongs_to_the_package_that_it_is_named_for(self) -> None:
        for text, (name, version, architecture) in REAL.items():
            self.assertTrue(belongs_to(text, name, version, architecture), text)
            self.assertTrue(belongs_to(text, name, version), text)

    def test_it_belongs_to_no_other_package_version_or_architecture(self) -> None:
        text = "a-b-1:2.0-1-any.pkg.tar.zst"
        self.assertTrue(belongs_to(text, "a-b", "1:2.0-1", "any"))
        for other in (
            ("a", "b-1:2.0-1", "x86_64"),
            ("a-c", "1:2.0-1", "any"),
            ("a-b", "1:2.1-1", "any"),
            ("a-b", "1:2.0-1", "x86_64"),
            ("a-b", "1:2.0", "any"),
            ("", "", ""),
            ("a-b", "", ""),
        ):
            self.assertFalse(belongs_to(text, *other), other)
        self.assertFalse(belongs_to("a-b-1:2.0-1-any.pkg.tar.zst.sig.sig", "a-b", "1:2.0-1"))

    def test_a_host_may_have_another_sign_for_one_that_it_does_not_take(self) -> None:
        self.assertTrue(belongs_to("gtk..-1.2.0-1-any.pkg.tar.zst", "gtk++", "1:2.0-1", "any"))
        self.assertTrue(belongs_to("gtk++-1_2.0-1-any.pkg.tar.zst", "gtk++", "1:2.0-1", "any"))

    @settings(max_examples=200, deadline=None)
    @given(near_names, near_names, near_names)
    def test_no_names_make_it_stumble(self, file_name: str, name: str, version: str) -> None:
        self.assertIn(belongs_to(file_name, name, version), (True, False))


class Parts(SynchronousTestCase):
    def test_repositories(self) -> None:
        for text in ("core", "extra-x86_64_v3", "a.b", "@x", "a" * 128):
            self.assertTrue(is_repository(text), text)
        for text in ("", ".", "..", ".hidden", "-x", "a/b", "a b", "é", "a\n", "a" * 129):
            self.assertFalse(is_repository(text), text)

    def test_architectures(self) -> None:
        for text in ("x86_64", "any", "x86_64_v4"):
            self.assertTrue(is_architecture(text), text)
        for text in ("", ".", "..", "x86-64", "a/b", "é", "any\n", "a" * 33):
            self.assertFalse(is_architecture(text), text)


class Paths(SynchronousTestCase):
    def test_pacmans_own_path(self) -> None:
        asked = parse_path(b"/extra/os/x86_64/gtk++-1:2.0-1-x86_64.pkg.tar.zst")
        assert asked is not None
        self.assertEqual((asked.repository, asked.architecture), ("extra", "x86_64"))
        self.assertEqual(asked.file.name, "gtk++")

    def test_escapes_of_colon_and_plus_are_read(self) -> None:
        raw = parse_path(b"/extra/os/x86_64/gtk++-1:2.0-1-x86_64.pkg.tar.zst")
        escaped = parse_path(b"/extra/os/x86_64/gtk%2B%2b-1%3A2.0-1-x86_64.pkg.tar.zst")
        self.assertEqual(raw, escaped)

    def test_a_percent_that_begins_no_escape_is_one(self) -> None:
        asked = parse_path(b"/core/os/any/a-1%2-1-any.pkg.tar.zst")
        assert asked is not None
        self.assertEqual(asked.file.version, "1%2-1")
        self.assertEqual(parse_path(b"/core/os/any/a-1%252-1-any.pkg.tar.zst"), asked)

    def test_what_may_stand_raw_in_an_address_does(self) -> None:
        self.assertEqual(escape("a+-1:2,3=4;5-1-any.pkg"), "a+-1:2,3=4;5-1-any.pkg")
        self.assertEqual(escape('a-1%2#3?4"5'), "a-1%252%233%3F4%225")

    def test_a_flat_path_has_no_repository_but_that_of_a_database(self) -> None:
        package = parse_path(b"/a-1-1-any.pkg.tar.zst")
        database = parse_path(b"/core.db.sig")
        assert package is not None
        assert database is not None
        self.assertEqual((package.repository, package.architecture), ("", ""))
        self.assertEqual((database.repository, database.architecture), ("core", ""))

    def test_several_slashes_are_one(self) -> None:
        for plain, doubled in {
            b"/core/os/x86_64/core.db": b"//core///os/x86_64//core.db",
            b"/a-1-1-any.pkg.tar.zst": b"//a-1-1-any.pkg.tar.zst",
        }.items():
            self.assertEqual(parse_path(doubled), parse_path(plain))
            self.assertIsNotNone(parse_path(plain))

    def test_a_database_by_the_name_that_repo_add_gave_it(self) -> None:
        for name in (
            "core.db.tar.gz",
            "core.files.tar.zst.sig",
            "core.db.tar.gz.old",
            "core.db.tar",
        ):
            asked = parse_path(b"/core/os/x86_64/" + name.encode())
            assert asked is not None
            self.assertEqual((asked.file.kind, asked.file.name), (Kind.DATABASE, "core"))
            self.assertEqual(asked.file.is_signature, name.endswith(".sig"))
        for name in ("core.db.gz", "core.db.tar.gz.new", "core.tar.gz", "core.db.tar.exe"):
            self.assertIsNone(parse_path(b"/core/os/x86_64/" + name.encode()))

    def test_what_is_about_packages_is_none(self) -> None:
        for name in ("core.db", "core.files.tar.gz", "a-1-1-any.pkg.tar.zst.sig", "lastsync"):
            self.assertTrue(is_about_packages(name))
        self.assertFalse(is_about_packages("a-1-1-any.pkg.tar.zst"))

    def test_a_mirrors_notes_are_at_its_root_alone(self) -> None:
        for path in (b"/lastupdate", b"//lastsync"):
            asked = parse_path(path)
            assert asked is not None
            self.assertEqual((asked.file.kind, asked.repository), (Kind.NOTE, ""))
        for path in (
            b"/core/os/x86_64/lastupdate",
            b"/lastupdate/",
            b"/x/lastsync",
            b"/lastsync.sig",
        ):
            self.assertIsNone(parse_path(path))
        self.assertIsNone(parse_file_name("lastupdate"))

    def test_the_root_of_a_mirror(self) -> None:
        for server, root in {
            "https://m.example/archlinux/core/os/x86_64": "https://m.example/archlinux",
            "https://m.example/core/os/x86_64/": "https://m.example",
            "https://m.example/archlinux/extra/os/x86_64": "",
            "https://m.example/core/x86_64": "",
            "": "",
        }.items():
            self.assertEqual(mirror_root(server, "core"), root)

    def test_other_shapes_are_refused(self) -> None:
        name = b"a-1-1-any.pkg.tar.zst"
        for path in (
            b"",
            b"/",
            b"*",
            name,
            b"/core/" + name,
            b"/core/os/" + name,
            b"/core/OS/x86_64/" + name,
            b"/core/os/x86_64/more/" + name,
            b"/../os/x86_64/" + name,
            b"/core/os/../" + name,
            b"/core/os/x86_64/../" + name,
            b"/core%2fos%2fx86_64%2f" + name,
            b"/core/os/x86_64/..%2f" + name,
            b"/core/os/x86_64/%2e%2e",
            b"/core/os/x86_64/" + name + b"%00",
            b"/core/os/x86_64/" + name + b"%0a",
            b"/core/os/x86_64/%252e%252e%252f" + name,
            b"/core/os/x86_64/" + name + b"/",
            b"http://localhost/" + name,
            "/é-1-1-any.pkg.tar.zst".encode(),
            b"/%c3%a9-1-1-any.pkg.tar.zst",
            b"/" + b"a" * 2000 + name,
        ):
            self.assertIsNone(parse_path(path), path)

    @settings(max_examples=300, deadline=None)
    @given(st.one_of(st.binary(max_size=80), near_names.map(lambda text: text.encode())))
    def test_whatever_the_bytes_no_part_can_climb(self, path: bytes) -> None:
        asked = parse_path(path)
        if asked is None:
            return
        for part in (asked.repository, asked.architecture, asked.file.text):
            self.assertNotIn("/", part)
            self.assertNotIn(part, {".", ".."})

    @settings(max_examples=200, deadline=None)
    @given(package_names, st.sampled_from(["", ".sig"]), st.booleans())
    def test_an_escaped_path_says_the_same(self, name: str, suffix: str, escape: bool) -> None:
        text = quote(name + suffix, safe="") if escape else name + suffix
        asked = parse_path(f"/core/os/any/{text}".encode("ascii"))
        assert asked is not None
        self.assertEqual(asked.file.text, name + suffix)


class Contents(SynchronousTestCase):
    """The paths under which pacman itself gets packages from other machines."""

    @settings(max_examples=300, deadline=None)
    @given(package_names, st.binary(min_size=32, max_size=32))
    def test_a_path_says_what_it_was_made_of(self, name: str, sha256: bytes) -> None:
        path = content_path(name, sha256)
        if path is None:
            self.assertTrue(".db" in name or ".pkg" in name.rpartition(".pkg.tar")[0])
            return
        _, content, digest, last = path.split("/")
        named = parse_content(digest, unquote(last))
        assert named is not None
        self.assertEqual((content, named[0].text, named[1]), ("content", name, sha256))

    def test_nothing_in_it_makes_pacman_ask_there_for_the_signature(self) -> None:
        for name in REAL:
            path = content_path(name, bytes(32))
            assert path is not None
            self.assertNotIn(".pkg", path)
            self.assertNotIn(".db", path)
        for name in ("a.pkg-1-1-any.pkg.tar.zst", "a.dbus-1-1-any.pkg.tar.zst"):
            self.assertIsNone(content_path(name, bytes(32)))

    @settings(max_examples=300, deadline=None)
    @given(st.one_of(st.just("0" * 64), st.text(max_size=70)), near_names)
    def test_whatever_the_text_only_packages_are_named(self, digest: str, name: str) -> None:
        named = parse_content(digest, name)
        if named is not None:
            self.assertTrue(is_package(named[0].text))
            self.assertEqual(len(named[1]), 32)
