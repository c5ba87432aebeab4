"""What is kept of watched recipes, written and read."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from flocon.jobs import passing
from flocon.jobs.remembering import read, written
from flocon.jobs.watched import (
    Approval,
    Candidate,
    Failing,
    Job,
    Needs,
    Origin,
    Phase,
    Published,
    Surprise,
    Watched,
)
from tests.jobs.recipes import NOW, published, queued, waiting

_texts = st.text(max_size=20)
_lists = st.lists(_texts, max_size=3).map(tuple)
_times = st.floats(0, 1e12)
_needs = st.builds(Needs, _lists, _lists, _lists)
_candidates = st.builds(
    Candidate, _texts, _texts, _times, st.lists(st.builds(Failing, _texts, _texts)).map(tuple),
    _times, _needs, _lists, _lists,
)  # fmt: skip
_approvals = st.builds(Approval, _texts, _texts, _texts, _times, _lists, _lists, _needs)
_jobs = st.builds(
    Job, st.sampled_from(Phase), _times, _texts, _lists, st.integers(0, 99), st.integers(0, 99),
    _times, st.lists(st.builds(Surprise, _texts, _texts, _texts)).map(tuple), _texts, _lists,
)  # fmt: skip
_published = st.builds(
    Published, _texts, _texts, _times, st.lists(st.tuples(_texts, _texts), max_size=3).map(tuple)
)
_watched = st.builds(
    Watched, _texts, st.builds(Origin, _texts, _texts), _lists, _lists, _times, _lists,
    st.none() | _candidates, st.none() | _approvals, st.none() | _jobs, st.none() | _published,
    st.none() | _candidates, _texts, _texts, _lists, _texts, _times, _lists, _lists,
)  # fmt: skip


_fields = st.sampled_from(["base", "origin", "names", "job", "candidate", "kind", "place", "since"])


class RememberingTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(st.lists(_watched, max_size=3, unique_by=lambda one: one.base))
    def test_what_is_written_is_read(self, watched: list[Watched]) -> None:
        found, damaged = read(json.loads(json.dumps(written(watched))))
        self.assertEqual(found, {one.base: one for one in watched})
        self.assertEqual(damaged, [])

    @settings(max_examples=200, deadline=None)
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: st.lists(inner) | st.dictionaries(_fields, inner),
            max_leaves=20,
        )
    )
    def test_nothing_that_lies_there_raises(self, value: Any) -> None:
        for one in (value, {"watched": value}, {"watched": [value]}):
            found, _ = read(one)
            for watched in found.values():
                self.assertIsInstance(watched, Watched)

    def test_a_damaged_recipe_is_named_and_the_others_are_read(self) -> None:
        rows = written([queued("good"), waiting("bad")])
        rows["watched"][1]["candidate"]["seen"] = "soon"
        found, damaged = read(rows)
        self.assertEqual(([*found], damaged), (["good"], ["bad"]))

    def test_a_phase_that_nobody_knows_is_damage(self) -> None:
        rows = written([queued("bad")])
        rows["watched"][0]["job"]["phase"] = "somewhere"
        self.assertEqual(read(rows), ({}, ["bad"]))

    def test_what_an_older_flocon_did_not_write_has_its_default(self) -> None:
        one = replace(published(), notes=("a note",))
        rows = written([one])
        del rows["watched"][0]["notes"]
        self.assertEqual(read(rows)[0]["tool"], replace(one, notes=()))

    def test_a_later_field_is_left_out(self) -> None:
        rows = written([published()])
        rows["watched"][0]["more"] = 1
        self.assertEqual(read(rows)[0]["tool"], published())

    def test_all_stages_survive(self) -> None:
        one = passing.begun(queued(), "job", NOW)
        for each in (waiting(), queued(), one, passing.built(one, NOW), published()):
            self.assertEqual(read(written([each]))[0]["tool"], each)

    def test_no_field_is_forgotten(self) -> None:
        self.assertEqual(
            {one.name for one in fields(Watched)}, set(written([queued()])["watched"][0])
        )
