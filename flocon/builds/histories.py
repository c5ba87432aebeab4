"""Recipes by commit, wherever they come from: from git, or kept here as a folder was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.errors import BuildError, Refused
from flocon.jobs.packing import LARGEST_TAR, pack, unpack
from flocon.jobs.watched import FOLDER, GIT
from flocon.machine.reactor_threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from flocon.jobs.archive import Archive
    from flocon.jobs.watched import Origin, Watched
    from flocon.recipes.recipe import CommitNote, Recipe

    class Git(Protocol):
        """Recipes as git has them, and what their sources' histories have."""

        async def fetch(self, base: str, address: str = "", *, urgent: bool = False) -> str: ...

        async def read(self, base: str, commit: str) -> Recipe: ...

        async def notes(
            self, base: str, since: str = "", until: str = ""
        ) -> Sequence[CommitNote]: ...

        async def is_ancestor(self, base: str, old: str, new: str) -> bool: ...

        async def heads(self, source: str) -> str: ...

        async def reaches(self, source: str, commit: str) -> bool | None: ...

        async def forget(self, base: str) -> None: ...


_NOT_FOUND = 404


class Histories:
    """``git`` has the AUR's recipes, and those of addresses that a person named."""

    def __init__(self, reactor: Any, git: Git, archive: Archive) -> None:
        self._reactor = reactor
        self._archive = archive
        self.git = git

    async def newest(self, base: str, origin: Origin, *, urgent: bool = False) -> Recipe:
        """Fetch a recipe from where it comes; raises BuildError where it is not there.

        What a folder was is not fetched: it comes with who adds it. ``urgent`` is for a person who
        waits: failures of before keep nobody from asking then.
        """
        try:
            address = origin.place if origin.kind == GIT else ""
            commit = await self.git.fetch(base, address, urgent=urgent)
        except Refused as error:
            if error.status != _NOT_FOUND:
                raise
            where = origin.place if origin.kind == GIT else "the AUR"
            raise BuildError(f"{where} has no recipe {base}", "look at how it is written") from None
        return await self.git.read(base, commit)

    async def read(self, one: Watched, commit: str) -> Recipe:
        """Return a watched recipe as it was at a commit; raises FloconError where it is gone."""
        if one.origin.kind != FOLDER:
            return await self.git.read(one.base, commit)
        data = await in_thread(
            self._reactor, self._archive.read_recipe, one.base, commit, LARGEST_TAR
        )
        return unpack(data, one.base, commit)

    async def keep(self, recipe: Recipe, spare: Sequence[str]) -> None:
        """Keep what a folder has now, beside what it had at the commits to ``spare``."""
        await in_thread(
            self._reactor,
            self._archive.keep_recipe,
            recipe.base,
            recipe.commit,
            pack(recipe),
            tuple(spare),
        )

    async def notes(self, one: Watched, since: str, until: str) -> Sequence[CommitNote]:
        """Return what git says of the commits after ``since``, none of a folder's."""
        if one.origin.kind == FOLDER:
            return ()
        return await self.git.notes(one.base, since, until)
