"""What a person is shown before a package is signed: a table of packages and of what surprises."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.errors import PackageError
from flocon.repository.package import Member, Package
from flocon.repository.places import PLACES, is_outside, place_of
from flocon.repository.surprises import (
    MOST_NAMED,
    SIZE_LEAST,
    Expected,
    Surprise,
    demand_expected,
    digest,
    find_surprises,
    unsaid,
)
from tests.repository.packages import package

_MIB = 1 << 20


def file(path: str, mode: int = 0o644, **values: object) -> Member:
    return Member(path, stat.S_IFREG | mode, **values)  # type: ignore[arg-type]


def folder(path: str, mode: int = 0o755) -> Member:
    return Member(path, stat.S_IFDIR | mode)


def link(path: str, target: str = "x") -> Member:
    return Member(path, stat.S_IFLNK | 0o777, target=target)


USUAL = (folder("usr"), folder("usr/bin"), file("usr/bin/foo", 0o755), file("etc/foo.conf"))


def whats(found: Sequence[Surprise]) -> list[str]:
    return [one.what for one in found]


#: What one member more is to a package that there was before, and to the first one of its name.
NEW_MEMBERS: tuple[tuple[Member, list[str], list[str]], ...] = (
    (file("usr/share/foo/x"), [], []),
    (folder("usr/lib/systemd/system"), [], []),
    (link("usr/bin/bar"), [], []),
    (file("usr/bin/su", 0o4755), ["setuid or setgid"], ["setuid or setgid"]),
    (file("usr/bin/mail", 0o2755), ["setuid or setgid"], ["setuid or setgid"]),
    (folder("var/games", 0o2775), ["setuid or setgid"], ["setuid or setgid"]),
    (
        file("usr/bin/ping", attributes=("security.capability",)),
        ["capabilities"],
        ["capabilities"],
    ),
    (file("usr/bin/x", attributes=("user.note",)), [], []),
    *(
        (file("usr/bin/x", attributes=(name,)), [heeded], [heeded])
        for heeded in ("an attribute that the kernel heeds",)
        for name in ("trusted.overlay.opaque", "security.ima", "system.other")
    ),
    (file("usr/bin/x", 0o666), ["writable by everybody"], ["writable by everybody"]),
    (folder("var/tmp/x", 0o777), ["writable by everybody"], ["writable by everybody"]),
    (folder("var/tmp/x", 0o1777), [], []),
    (file("usr/x", user=1_000), ["a file of user 1000"], ["a file of user 1000"]),
    (
        file("usr/bin/x", 0o775, group=100),
        ["writable by a group of users"],
        ["writable by a group of users"],
    ),
    (
        folder("etc/x", 0o775),
        [],
        [],
    ),
    (
        file("srv/x"),
        ["outside of where packages put files"],
        ["outside of where packages put files"],
    ),
    (
        link("bin"),
        ["outside of where packages put files"],
        ["outside of where packages put files"],
    ),
    (file("usr/share/libalpm/hooks/x.hook"), ["new pacman hook"], ["new pacman hook"]),
    (file("etc/pacman.d/hooks/x.hook"), ["new pacman hook"], ["new pacman hook"]),
    (
        file("usr/share/pacman/keyrings/x.gpg"),
        ["new setting or key of pacman"],
        ["new setting or key of pacman"],
    ),
    (file("usr/lib/systemd/system/x.service"), ["new systemd unit"], []),
    (file("usr/lib/systemd/user/x.timer"), ["new systemd unit"], []),
    (
        link("etc/systemd/system/multi-user.target.wants/x.service"),
        ["new unit that is enabled at once"],
        ["new unit that is enabled at once"],
    ),
    (
        file("usr/lib/systemd/system-generators/x"),
        ["new program that systemd runs by itself"],
        ["new program that systemd runs by itself"],
    ),
    (file("etc/sudoers.d/x"), ["new rule for sudo"], ["new rule for sudo"]),
    (
        file("usr/share/polkit-1/rules.d/x.rules"),
        ["new rule for polkit"],
        ["new rule for polkit"],
    ),
    (file("usr/lib/sysusers.d/x.conf"), ["new system user"], []),
    (file("usr/lib/tmpfiles.d/x.conf"), ["new file that systemd makes"], []),
    (file("usr/lib/udev/rules.d/x.rules"), ["new rule for devices"], []),
    (
        file("etc/profile.d/x.sh"),
        ["new script that runs when somebody logs in"],
        ["new script that runs when somebody logs in"],
    ),
    (
        file("etc/ld.so.preload"),
        ["new setting of the loader of programs"],
        ["new setting of the loader of programs"],
    ),
    (file("etc/cron.d/x"), ["new timed job (cron)"], ["new timed job (cron)"]),
    (
        file("usr/lib/python3.13/site-packages/x.pth"),
        ["new code that every Python runs"],
        ["new code that every Python runs"],
    ),
    (file("usr/lib/python3.13/site-packages/x/y.py"), [], []),
    (file("boot/x"), ["new part of the boot"], ["new part of the boot"]),
)


class Members(SynchronousTestCase):
    def test_what_is_new(self) -> None:
        before = package(members=USUAL)
        for member, wanted, _ in NEW_MEMBERS:
            now = package(version="2-1", members=(*USUAL, member))
            self.assertEqual(whats(find_surprises(now, before)), wanted, member)

    def test_what_the_first_one_has(self) -> None:
        for member, _, wanted in NEW_MEMBERS:
            now = package(members=(*USUAL, member))
            self.assertEqual(whats(find_surprises(now, None)), wanted, member)

    def test_what_was_there_before_is_no_surprise(self) -> None:
        members = (*USUAL, *{member.path: member for member, _, _ in NEW_MEMBERS}.values())
        found = find_surprises(package(version="2-1", members=members), package(members=members))
        self.assertEqual(found, [])

    def test_a_file_that_becomes_setuid(self) -> None:
        before = package(members=(file("usr/bin/foo", 0o755),))
        now = package(version="2-1", members=(file("usr/bin/foo", 0o4755),))
        self.assertEqual(
            find_surprises(now, before), [Surprise("foo", "setuid or setgid", "usr/bin/foo")]
        )

    def test_a_rule_that_says_something_else(self) -> None:
        one, two = (file("etc/sudoers.d/x", size=1, digest=digest) for digest in (b"1", b"2"))
        found = find_surprises(package(members=(two,)), package(members=(one,)))
        self.assertEqual(whats(found), ["changed rule for sudo"])
        led = link("etc/sudoers.d/x", "/tmp/x")
        found = find_surprises(package(members=(led,)), package(members=(one,)))
        self.assertEqual(whats(found), ["changed rule for sudo"])

    def test_a_rule_that_says_something_else_behind_a_link(self) -> None:
        hook = "usr/share/libalpm/hooks/x.hook"
        targets = ("../../x/real", "/usr/share/x/real", "../../x/./link")
        for rule in (
            *(link(hook, target) for target in targets),
            file(hook, target="usr/share/x/real"),
        ):
            one, two = (
                package(
                    members=(
                        rule,
                        link("usr/share/x/link", "real"),
                        file("usr/share/x/real", size=1, digest=digest),
                    )
                )
                for digest in (b"1", b"2")
            )
            self.assertEqual(whats(find_surprises(two, one)), ["changed pacman hook"], rule)
            self.assertEqual(find_surprises(one, one), [])

    def test_links_that_lead_in_a_circle(self) -> None:
        members = (link("etc/sudoers.d/a", "b"), link("etc/sudoers.d/b", "a"))
        self.assertEqual(find_surprises(package(members=members), package(members=members)), [])

    def test_a_unit_that_says_something_else_is_usual(self) -> None:
        one, two = (
            file("usr/lib/systemd/system/x.service", digest=digest) for digest in (b"1", b"2")
        )
        self.assertEqual(find_surprises(package(members=(two,)), package(members=(one,))), [])

    def test_of_many_all_are_named(self) -> None:
        members = [file(f"srv/{number:04}") for number in range(2_000)]
        (found,) = find_surprises(package(members=members), None)
        self.assertEqual(found.detail.split("\n"), [one.path for one in members])

    def test_of_more_than_anybody_is_shown_the_others_are_counted(self) -> None:
        members = [file(f"srv/{number:05}") for number in range(MOST_NAMED + 5)]
        (found,) = find_surprises(package(members=members), None)
        *lines, last = found.detail.split("\n")
        self.assertEqual((len(lines), last), (MOST_NAMED, "and 5 more lines"))

    def test_each_place_is_found_by_its_own_beginnings(self) -> None:
        for place in PLACES:
            for beginning in place.beginnings:
                self.assertIsNotNone(place_of(f"{beginning}x"), beginning)

    def test_other_capabilities_than_it_had(self) -> None:
        def having(capabilities: bytes) -> Package:
            attributes = ("security.capability",)
            one = file("usr/bin/ping", attributes=attributes, capabilities=capabilities)
            return package(members=[one])

        raw, admin = b"\1\0\0\2\0\x20", b"\1\0\0\2\0\0\x20"
        self.assertEqual(find_surprises(having(raw), having(raw)), [])
        (found,) = find_surprises(having(admin), having(raw))
        self.assertEqual((found.what, found.detail), ("other capabilities", "usr/bin/ping"))

    def test_what_works_at_once_counts_from_the_first_package_on(self) -> None:
        for path in (
            "usr/lib/systemd/system/multi-user.target.wants/x.service",
            "usr/lib/systemd/user/default.target.requires/x.service",
            "usr/lib/systemd/system/sshd.service.d/x.conf",
            "usr/lib/systemd/system.conf.d/x.conf",
            "usr/local/bin/sudo",
            "var/lib/pacman/local/x-1-1/install",
            "etc/logrotate.d/x",
            "etc/grub.d/99_x",
            "usr/lib/kernel/install.d/x.install",
            "usr/share/git-core/templates/hooks/post-checkout",
        ):
            (found,) = find_surprises(package(members=[file(path)]), None)
            self.assertEqual(found.detail, path)

    def test_a_link_in_the_place_of_a_folder_or_of_one_above_it(self) -> None:
        for path, what in (
            ("usr/lib/credstore", "new user or secret that systemd takes up by itself"),
            ("etc/systemd/system-generators", "new program that systemd runs by itself"),
            ("usr/share/containers", "new unit that is enabled at once"),
            ("usr/lib/systemd/system/x.service.d", "new unit that is enabled at once"),
            ("usr/share/polkit-1", "new rule for polkit"),
            ("usr/lib/python3.13/site-packages/x.pth", "new code that every Python runs"),
        ):
            members = (link(path, "/usr/share/x"), folder("usr/share/x"), file("usr/share/x/y"))
            for before in (None, package()):
                found = find_surprises(package(members=members), before)
                self.assertIn(what, whats(found), path)
                self.assertIn(path, [one.detail for one in found])

    def test_what_changes_in_a_folder_that_such_a_link_leads_to(self) -> None:
        def having(*digests: bytes) -> Package:
            inside = (file(f"usr/share/x/{n}", size=1, digest=d) for n, d in enumerate(digests))
            led = link("usr/lib/credstore", "../share/x")
            return package(members=(led, folder("usr/share/x"), *inside, file("usr/share/xy")))

        self.assertEqual(find_surprises(having(b"1", b"2"), having(b"1", b"2")), [])
        for now in (having(b"1", b"3"), having(b"1", b"2", b"3"), having(b"2", b"1")):
            (found,) = find_surprises(now, having(b"1", b"2"))
            self.assertEqual(found.what, "changed user or secret that systemd takes up by itself")

    def test_by_whichever_way_it_gets_there(self) -> None:
        """Folders that are links where it is installed lead to the same place."""
        for path, what in (
            ("usr/lib64/systemd/system-generators/x", "new program that systemd runs by itself"),
            ("usr/lib64/security/pam_x.so", "new rule for logging in (PAM)"),
            ("usr/lib64/ld-x.so", "new setting of the loader of programs"),
            ("var/run/systemd/system/x.service", "new file of the running system"),
        ):
            for before in (None, package()):
                found = find_surprises(package(members=[file(path)]), before)
                self.assertEqual(whats(found), [what], path)

    def test_what_works_without_anybodys_doing_from_the_first_package_on(self) -> None:
        for path in (
            "usr/lib/userdb/x.user",
            "usr/lib/credstore/ssh.authorized_keys.root",
            "etc/credstore.encrypted/x",
            "etc/sddm.conf.d/x.conf",
            "etc/lightdm/lightdm.conf.d/x.conf",
            "usr/share/fish/vendor_functions.d/ls.fish",
            "etc/xdg/plasma-workspace/env/x.sh",
            "usr/lib/glibc-hwcaps/x86-64-v3/libcrypto.so.3",
            "usr/lib/gconv/gconv-modules.d/x.conf",
            "usr/lib/libnss_x.so.2",
            "var/spool/atd/x",
            "etc/systemd/system.conf",
            "etc/systemd/system.control/x.service",
            "usr/share/containers/systemd/x.container",
            "var/lib/extensions/x.raw",
            "usr/share/containers/oci/hooks.d/x.json",
            "usr/lib/dhcpcd/dhcpcd-hooks/x",
            "etc/acpi/events/x",
        ):
            (found,) = find_surprises(package(members=[file(path)]), None)
            self.assertEqual(found.detail, path)

    def test_where_packages_put_files(self) -> None:
        for path in ("usr/x", "etc/x", "opt", "var/x", "boot/x"):
            self.assertFalse(is_outside(path))
        for path in ("home/x", "root/.bashrc", "lib/x", "usrx", "srv"):
            self.assertTrue(is_outside(path))


class Whole(SynchronousTestCase):
    def test_a_very_different_size(self) -> None:
        def sizes(before: int, now: int) -> list[str]:
            one, two = (package(members=[file("usr/x", size=size)]) for size in (before, now))
            return whats(find_surprises(two, one))

        self.assertEqual(sizes(_MIB, 4 * _MIB), [])
        self.assertEqual(sizes(_MIB, 5 * _MIB), ["a very different size"])
        self.assertEqual(sizes(5 * _MIB, _MIB), ["a very different size"])
        self.assertEqual(sizes(0, SIZE_LEAST), ["a very different size"])
        self.assertEqual(sizes(100, 900), [])

    def test_what_a_package_says_of_its_size_is_no_matter(self) -> None:
        members = [file("usr/x", size=_MIB)]
        one, two = (package(members=members, size=str(size)) for size in (1, 1 << 40))
        self.assertEqual(find_surprises(one, two), [])

    def test_an_older_version(self) -> None:
        found = find_surprises(package(version="1.9-1"), package(version="1.10-1"))
        self.assertEqual(found, [Surprise("foo", "an older version", "1.10-1 is published now")])

    def test_the_same_version_again_is_usual(self) -> None:
        self.assertEqual(find_surprises(package(), package()), [])

    def test_an_install_script_of_what_was_made_elsewhere(self) -> None:
        found = find_surprises(package(install="new"), package(install="old"))
        self.assertEqual(found, [Surprise("foo", "another install script", "new")])
        self.assertEqual(find_surprises(package(install="old"), package(install="old")), [])


class AgainstTheRecipe(SynchronousTestCase):
    expected = Expected("foo", "1.0-1", "x86_64", ("foo", "foo-docs"))

    def not_expected(self, one: Package, expected: Expected | None = None) -> str:
        """Return why a package is none of those that were to be built."""
        wanted = expected or self.expected
        return str(self.assertRaises(PackageError, demand_expected, one, wanted).problem)

    def test_what_was_to_be_built(self) -> None:
        demand_expected(package(), self.expected)
        demand_expected(package("foo-docs", base="foo", architecture="any"), self.expected)
        demand_expected(package("foo-debug", base="foo"), self.expected)

    def test_a_package_of_another_name(self) -> None:
        self.assertIn("was not to be built", self.not_expected(package("linux", base="foo")))

    def test_a_package_of_another_base(self) -> None:
        self.assertIn("it is of bar", self.not_expected(package(base="bar")))

    def test_another_version(self) -> None:
        self.assertIn("not 1.0-1", self.not_expected(package(version="9.0-1")))

    def test_any_version_where_the_build_finds_it(self) -> None:
        demand_expected(package(version="9.0-1"), Expected("foo", "", "x86_64", ("foo",)))

    def test_another_architecture(self) -> None:
        self.assertIn("for aarch64", self.not_expected(package(architecture="aarch64")))

    def scripts(self, made: str, approved: str) -> list[str]:
        """Return what surprises about an install script, against the recipe's."""
        expected = Expected(
            "foo", "1.0-1", "x86_64", ("foo",), install={"foo": approved} if approved else {}
        )
        return whats(find_surprises(package(install=made), None, expected))

    def test_install_scripts(self) -> None:
        self.assertEqual(self.scripts("", ""), [])
        self.assertEqual(self.scripts("a\n", "a\n"), [])
        self.assertEqual(self.scripts("a\n", "a"), ["another install script than the recipe's"])
        self.assertEqual(self.scripts("a", ""), ["an install script that the recipe has not"])
        self.assertEqual(self.scripts("", "a"), ["no install script, though the recipe has one"])

    def test_an_approved_script_may_differ_from_the_one_before(self) -> None:
        expected = Expected("foo", "1.0-1", "x86_64", ("foo",), install={"foo": "new"})
        found = find_surprises(package(install="new"), package(install="old"), expected)
        self.assertEqual(found, [])

    def relations(self, said: dict[str, list[str]], made: dict[str, list[str]]) -> list[Surprise]:
        """Return what surprises about what a package says, against what the recipe does."""
        expected = Expected("foo", "1.0-1", "x86_64", ("foo",), relations={"foo": said})
        told = {key: tuple(values) for key, values in made.items()}
        return find_surprises(replace(package(), info={**package().info, **told}), None, expected)

    def test_relations_that_the_recipe_says(self) -> None:
        said = {
            "depends": ["a>=1", "libx.so", "libz.so=2-64"],
            "optdepends": ["b: for c", "d"],
            "provides": ["liby.so"],
            "replaces": ["old"],
        }
        made = {
            "depend": ["a>=1", "libx.so=1-64", "libz.so=2-64"],
            "optdepend": ["b: for something", "d"],
            "provides": ["liby.so=3-64"],
            "replaces": ["old"],
        }
        self.assertEqual(self.relations(said, made), [])

    def test_relations_that_it_does_not_say(self) -> None:
        for own, key in (
            ("depend", "depends"),
            ("optdepend", "optdepends"),
            ("provides", "provides"),
            ("conflict", "conflicts"),
            ("replaces", "replaces"),
            ("group", "groups"),
        ):
            found = self.relations({key: ["a"]}, {own: ["a", "npm>=1"]})
            what = f"{key} that the recipe does not say"
            self.assertEqual(found, [Surprise("foo", what, "npm>=1")])

    def test_another_version_of_what_it_says(self) -> None:
        """By name alone a package could take the place of any version of another one."""
        for own, key, said, made in (
            ("depend", "depends", "a>=1", "a>=2"),
            ("depend", "depends", "a", "a>=2"),
            ("depend", "depends", "libz.so=1-64", "libz.so=2-64"),
            ("depend", "depends", "libz.so", "libz.so>=2-64"),
            ("provides", "provides", "glibc-tools=1", "glibc-tools=99"),
            ("provides", "provides", "a", "a=99"),
            ("conflict", "conflicts", "a<2", "a"),
            ("replaces", "replaces", "a<0.1", "a"),
        ):
            found = self.relations({key: [said]}, {own: [made]})
            self.assertEqual([one.detail for one in found], [made], (said, made))

    def test_its_own_version_that_was_found_out(self) -> None:
        for said, made in (
            ("foo-data=1.0-1", "foo-data=1.1-2"),
            ("foo-data=1.0", "foo-data=1.1"),
            ("foo-data>=1:1.0-1", "foo-data>=1:1.1-2"),
            ("foo-data>=1:1.0", "foo-data>=1:1.1"),
        ):
            versions = "1:1.0-1", "1:1.1-2"
            self.assertEqual(unsaid([made], [said], versions), [])
            self.assertEqual(unsaid([f"{made}.9"], [said], versions), [f"{made}.9"])
        self.assertEqual(unsaid(["foo<1.1"], ["foo>1.0"], ("1.0-1", "1.1-1")), ["foo<1.1"])

    def test_a_package_of_which_nothing_is_said_is_not_compared(self) -> None:
        self.assertEqual(find_surprises(package(depend=["x"]), None, self.expected), [])


class Accepting(SynchronousTestCase):
    surprises = (Surprise("a", "x", "1"), Surprise("b", "y", "2"))

    def test_the_order_is_no_matter(self) -> None:
        packages = [package("a"), package("b")]
        self.assertEqual(
            digest(self.surprises, packages), digest(self.surprises[::-1], packages[::-1])
        )

    def test_each_surprise_and_each_byte_counts(self) -> None:
        packages = [package("a"), package("b")]
        found = {
            digest(self.surprises, packages),
            digest(self.surprises[:1], packages),
            digest((*self.surprises[:1], Surprise("b", "y", "3")), packages),
            digest(self.surprises, packages[:1]),
            digest(self.surprises, [package("a"), package("b", content=b"other")]),
        }
        self.assertEqual(len(found), 5)

    @given(st.lists(st.tuples(st.text(), st.text(), st.text())), st.integers(0, 5))
    def test_nothing_stands_for_two(self, told: list[tuple[str, str, str]], place: int) -> None:
        surprises = [Surprise(*one) for one in told]
        other = [*surprises]
        other.insert(place, Surprise("p", "w", "d"))
        self.assertNotEqual(digest(surprises, []), digest(other, []))
