"""Which repositories are read together, and what is believed of a mirror."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.states.generation import DatabaseFiles, Generation, Piece, Where
from flocon.upstream.groups import (
    TRUST,
    Group,
    Known,
    assemble,
    count_news,
    dump_known,
    find_known,
    groups_of,
    is_late,
    is_older,
    is_unchanged,
    load_known,
    make_source,
    read_last_update,
    with_files_of,
)
from tests.upstream.web import THEN, date

CORE, EXTRA, HOME = (Where("x86_64", name) for name in ("core", "extra", "home"))
ARM = Where("aarch64", "core")
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
PIECES = st.builds(Piece, HEX, st.integers(1, 1 << 20))
WHERES = st.builds(
    Where, st.sampled_from(["x86_64", "aarch64"]), st.sampled_from(["core", "extra", "home", "a-b"])
)
FILES = st.builds(DatabaseFiles, PIECES, st.none() | PIECES, st.none() | PIECES, st.none() | PIECES)
DATES = st.integers(0, THEN).map(date)
KNOWN = st.builds(
    Known,
    st.sampled_from(["http://one", "https://two/arch"]),
    st.builds(
        Generation,
        st.integers(0, THEN),
        st.just("one"),
        st.dictionaries(WHERES, FILES, min_size=1),
        st.none() | st.integers(1, THEN),
    ),
    st.dictionaries(WHERES, DATES),
    st.booleans(),
    st.frozensets(WHERES),
)


def piece(number: int) -> Piece:
    return Piece(f"{number:064x}", 1)


def state(*wheres: Where, last_update: int | None = THEN, number: int = 1) -> Generation:
    databases = {where: DatabaseFiles(piece(number)) for where in wheres}
    return Generation(THEN, "one", databases, last_update)


class Together(SynchronousTestCase):
    def groups(self, **servers: list[str]) -> list[Group]:
        return groups_of({Where("x86_64", name): tuple(one) for name, one in servers.items()})

    def test_those_with_the_same_mirrors_in_the_order_to_ask_them(self) -> None:
        core = ["https://one/arch/core/os/x86_64", "http://two/core/os/x86_64"]
        (group,) = self.groups(core=core, extra=[one.replace("core", "extra") for one in core])
        self.assertEqual(list(group.mirrors), ["https://one/arch", "http://two"])
        self.assertEqual(group.wheres, (CORE, EXTRA))
        self.assertEqual(group.mirrors["http://two"][EXTRA], "http://two/extra/os/x86_64")

    def test_for_several_architectures_too(self) -> None:
        found = groups_of(
            {CORE: ("http://one/core/os/x86_64",), ARM: ("http://one/core/os/aarch64",)}
        )
        self.assertEqual([one.wheres for one in found], [(CORE, ARM)])

    def test_in_other_layouts_too(self) -> None:
        found = groups_of(
            {
                Where("aarch64", name): (f"http://arm/aarch64/{name}",)
                for name in ("core", "extra", "alarm")
            }
        )
        self.assertEqual([list(one.mirrors) for one in found], [["http://arm"]])

    def test_somebody_elses_is_apart(self) -> None:
        found = self.groups(core=["http://one/core/os/x86_64"], home=["http://one/home-of/x86_64"])
        self.assertEqual([one.wheres for one in found], [(CORE,), (HOME,)])

    def test_only_mirrors_that_have_all_of_it_are_its(self) -> None:
        (group,) = self.groups(
            core=["http://one/core/os/x86_64", "http://two/core/os/x86_64"],
            extra=["http://three/extra/os/x86_64", "http://two/extra/os/x86_64"],
        )
        self.assertEqual(list(group.mirrors), ["http://two"])

    @given(
        st.dictionaries(
            WHERES,
            st.lists(st.sampled_from(["http://a", "http://b/x", "http://c"]), max_size=3),
            max_size=6,
        )
    )
    def test_each_is_in_one_group_and_every_mirror_of_a_group_has_all_of_it(
        self, roots: dict[Where, list[str]]
    ) -> None:
        mirrored = {
            where: tuple(f"{root}/{where.repository}/os/{where.architecture}" for root in one)
            for where, one in roots.items()
        }
        groups = groups_of(mirrored)
        grouped = [where for group in groups for where in group.wheres]
        self.assertEqual(sorted(grouped), sorted(where for where in roots if roots[where]))
        for group in groups:
            for root, servers in group.mirrors.items():
                self.assertEqual(set(servers), set(group.wheres))
                for where, server in servers.items():
                    self.assertIn(server, mirrored[where])
                    self.assertTrue(server.startswith(root))


class LastUpdate(SynchronousTestCase):
    def test_a_time_is_one(self) -> None:
        self.assertEqual(read_last_update(b"1795500000\n"), 1_795_500_000)

    def test_a_page_and_other_things_are_none(self) -> None:
        for data in (b"", b"0", b"-1", b"<!DOCTYPE html", b"1.5", b"9" * 12, "\u0663".encode()):
            self.assertIsNone(read_last_update(data), data)

    @given(st.binary(max_size=20))
    def test_no_bytes_make_it_stumble(self, data: bytes) -> None:
        read_last_update(data)


class Believed(SynchronousTestCase):
    def setUp(self) -> None:
        self.known = Known("http://one", state(CORE, EXTRA), settled=True)

    def test_the_same_last_update_is_the_same_state(self) -> None:
        self.assertTrue(is_unchanged(self.known, THEN, [CORE, EXTRA]))
        self.assertFalse(is_unchanged(self.known, THEN + 1, [CORE, EXTRA]))
        self.assertFalse(is_unchanged(None, THEN, [CORE]))

    def test_what_is_not_said_tells_nothing(self) -> None:
        known = replace(self.known, state=state(CORE, last_update=None))
        self.assertFalse(is_unchanged(known, None, [CORE]))

    def test_a_repository_that_is_mirrored_newly_is_read(self) -> None:
        self.assertFalse(is_unchanged(self.known, THEN, [CORE, HOME]))
        self.assertTrue(is_unchanged(replace(self.known, absent=frozenset({HOME})), THEN, [HOME]))

    def test_what_was_not_found_the_same_twice_is_read(self) -> None:
        self.assertFalse(is_unchanged(replace(self.known, settled=False), THEN, [CORE]))

    def test_an_earlier_last_update_is_older(self) -> None:
        self.assertTrue(is_older(self.known, THEN - 1, (), THEN))
        self.assertFalse(is_older(self.known, THEN, (), THEN))

    def test_where_one_says_none_dates_are_compared(self) -> None:
        known = replace(self.known, dates={CORE: date(THEN - 9), EXTRA: date(THEN - 50)})
        self.assertTrue(is_older(known, None, [date(THEN - 10)], THEN))
        self.assertFalse(is_older(known, None, [date(THEN - 9), date(THEN - 60)], THEN))
        self.assertFalse(is_older(known, None, ["Yesterday"], THEN))

    def test_for_two_days_and_no_longer(self) -> None:
        self.assertFalse(is_older(self.known, THEN - 1, (), THEN + TRUST))
        self.assertFalse(is_older(self.known, THEN - 1, (), THEN - 1))

    def test_a_signature_that_was_anothers_or_is_gone_is_late(self) -> None:
        signed = DatabaseFiles(piece(1), piece(7))
        known = replace(self.known, state=replace(self.known.state, databases={CORE: signed}))
        for database, signature, late in (
            (piece(2), piece(7), True),
            (piece(2), None, True),
            (piece(1), None, True),
            (piece(1), piece(7), False),
            (piece(1), piece(8), False),
            (piece(2), piece(8), False),
        ):
            self.assertIs(is_late(known, CORE, database, signature, THEN), late)
            self.assertIs(is_late(known, CORE, database, signature, THEN + TRUST), False)
        self.assertFalse(is_late(known, EXTRA, piece(2), None, THEN))
        self.assertFalse(is_late(self.known, CORE, piece(2), None, THEN))


class Notes(SynchronousTestCase):
    @given(KNOWN)
    def test_what_was_dumped_is_loaded(self, known: Known) -> None:
        self.assertEqual(load_known(json.loads(json.dumps(dump_known(known)))), known)

    @given(KNOWN, st.data())
    def test_whatever_is_damaged_is_nothing_or_a_state(self, known: Known, data: Any) -> None:
        value = dump_known(known)
        key = data.draw(st.sampled_from(sorted(value)))
        value[key] = data.draw(
            st.none() | st.integers() | st.text() | st.lists(st.lists(st.text() | st.none()))
        )
        found = load_known(value)
        if found is not None:
            load_known(dump_known(found))

    def test_of_another_group_what_fits_is_taken(self) -> None:
        known = Known("http://one", state(CORE, EXTRA, HOME), {CORE: "a", HOME: "b"})
        group = Group({"http://user:word@one": {CORE: "", EXTRA: ""}})
        found = find_known(group, [Known("http://two", state(HOME)), known])
        assert found is not None
        self.assertEqual(set(found.state.databases), {CORE, EXTRA})
        self.assertEqual(found.dates, {CORE: "a"})
        self.assertEqual(found.state.last_update, THEN)

    def test_a_mirror_that_is_not_named_any_more_says_nothing_of_age(self) -> None:
        known = Known("http://one", state(CORE), settled=True)
        found = find_known(Group({"http://two": {CORE: ""}}), [known])
        self.assertFalse(is_unchanged(found, THEN, [CORE]))
        self.assertFalse(is_older(found, THEN - 1, (), THEN))

    def test_no_password_is_kept(self) -> None:
        self.assertEqual(make_source("http://user:word@one:80/arch"), "one:80")


class Assembled(SynchronousTestCase):
    def test_it_is_called_after_the_largest_group(self) -> None:
        parts = [
            Known("http://home", replace(state(HOME, last_update=5), source="home")),
            Known("http://one", state(CORE, EXTRA)),
        ]
        found = assemble(parts, 7)
        self.assertEqual((found.made, found.source, found.last_update), (7, "one", THEN))
        self.assertEqual(set(found.databases), {CORE, EXTRA, HOME})

    def test_lists_of_files_stay_with_databases_that_stay(self) -> None:
        before = state(CORE, EXTRA).with_files(CORE, piece(8)).with_files(EXTRA, piece(9))
        after = state(CORE)
        changed = Generation(THEN, "one", {**after.databases, EXTRA: DatabaseFiles(piece(2))}, THEN)
        found = with_files_of(changed, before)
        self.assertEqual(found.databases[CORE].files, piece(8))
        self.assertIsNone(found.databases[EXTRA].files)
        self.assertIs(with_files_of(changed, None), changed)

    def test_what_is_new_is_counted(self) -> None:
        self.assertEqual(count_news(None, state(CORE, EXTRA)), 2)
        self.assertEqual(count_news(state(CORE), state(CORE, EXTRA)), 1)
        self.assertEqual(count_news(state(CORE), state(CORE, number=2)), 1)
