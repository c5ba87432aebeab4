"""How recipes are named on the command line: by their own names, without a repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flocon.files import is_package_name, is_repository
from flocon.terminal.asking import NodeError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


def demand_plain(options: argparse.Namespace) -> None:
    """Raise NodeError where ``REPOSITORY/NAME`` is given, as pacman takes it.

    Such a word is a folder where there is one, for ``add``: it takes folders.
    """
    for word in _words(options):
        repository, slash, name = word.partition("@")[0].partition("/")
        if not slash or not is_repository(repository) or not is_package_name(name):
            continue
        if options.verb == "add" and Path(word).is_dir():
            continue
        remedy = f"name the recipe by {name} alone; into which repository builds go is said by"
        folder = ", and a folder by its path" if options.verb == "add" else ""
        raise NodeError(f"{word}: {remedy} 'repository' in [build] of flocon.toml{folder}")


def _words(options: argparse.Namespace) -> Iterator[str]:
    """Yield all names that were given, one or several."""
    for key in ("name", "names", "words"):
        given = getattr(options, key, None) or ()
        yield from (given,) if isinstance(given, str) else given
