"""The file flocon.toml: what is no key or cannot be read is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from flocon.errors import ConfigurationError
from flocon.settings import keys as module
from flocon.settings.keys import keys
from flocon.settings.options import load
from tests.settings.options_case import OptionsTestCase


class Refusing(OptionsTestCase):
    def test_unknown_keys_are_named_with_the_known_ones(self) -> None:
        self.assertRefused('nmae = "x"', "nmae", "name, names, pacman_conf")
        self.assertRefused("[store]\nsize = 5", "store.size", "store.max_size")
        self.assertRefused("[relay]\nx = 1", "relay")

    def test_what_stands_in_another_place_is_told_where(self) -> None:
        # As it comes about where a line is added at the end of the file.
        first = "write it above the first [table] of the file"
        self.assertRefused('[store]\ndatabases = "lan"', "store.databases", first)
        self.assertRefused("serve = true", "serve", "write it below [mirror]")
        self.assertRefused("[store]\nnetworks = []", "[peers] or below [mirror]")

    def test_what_stands_there_twice_is_named(self) -> None:
        table = "[mirror]\nkeep = 3\n"
        self.assertRefused(table * 2, "[mirror] twice (at line 3", "below the first [mirror]")
        table = "[mirror.paths]\na = '$arch'\n"
        self.assertRefused(table * 2, "[mirror.paths] twice (at line 3")
        self.assertRefused("debug = true\n" * 2, "twice (at line 2", "one of the two lines")

    def test_the_key_or_table_that_was_meant_is_asked_after(self) -> None:
        self.assertRefused("[peer]\nrelays = 1\n", "did you mean [peers]? Or use one of: ")
        self.assertRefused('databse = "lan"\n', "did you mean databases?")
        self.assertRefused("[store]\nmax_sise = 1\n", "did you mean store.max_size?")

    def test_what_is_like_no_key_is_not_asked_after(self) -> None:
        with self.assertRaises(ConfigurationError) as caught:
            self.load("xyzzy = 1\n")
        self.assertNotIn("did you mean", str(caught.exception))

    def test_what_is_not_toml_is_told_by_line(self) -> None:
        self.assertRefused("name = \n", "line 1")

    def test_a_text_without_quotation_marks_is_told_what_it_lacks(self) -> None:
        for value in ("lan", "\u201clan\u201d", "True"):
            self.assertRefused(f"databases = {value}", "line 1", "quotation marks", "true or false")

    def test_the_mark_that_some_editors_begin_a_file_with_is_no_matter(self) -> None:
        self.assertEqual("one", self.load('\ufeffname = "one"').name)

    def test_what_is_not_text_is_refused(self) -> None:
        self.config.write_bytes(b'name = "\xff"')
        with self.assertRaises(ConfigurationError):
            load({"config": self.config})

    def test_a_number_of_thousands_of_digits_is_refused(self) -> None:
        self.assertRefused(f"[peers]\nrelays = {'9' * 5_000}", str(self.config))

    def test_neither_a_fifo_nor_a_device_nor_a_huge_file_is_read(self) -> None:
        fifo, huge = Path(self.mktemp()), Path(self.mktemp())
        os.mkfifo(fifo)
        with huge.open("wb") as file:
            file.truncate(1 << 40)
        for path in (fifo, Path("/dev/zero"), huge):
            with self.assertRaises(ConfigurationError) as caught:
                load({"config": path})
            self.assertIn(str(path), str(caught.exception))

    def test_a_folder_is_no_file(self) -> None:
        self.config.mkdir()
        with self.assertRaises(ConfigurationError):
            load({"config": self.config})

    @settings(max_examples=100, deadline=None)
    @given(
        st.sampled_from(keys()),
        st.recursive(
            st.text() | st.integers() | st.floats() | st.booleans() | st.dates() | st.times(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
    def test_no_value_ends_in_anything_but_settings_or_a_clear_error(
        self, key: str, value: object
    ) -> None:
        table, _, name = key.rpartition(".")
        values = {name: value} if not table else {table: {name: value}}
        try:
            checked = module._table(values, module._KEYS, "file", "")
        except ConfigurationError as error:
            self.assertIn(key, str(error))
        else:
            self.assertIn(table or name, checked)
