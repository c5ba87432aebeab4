"""What a person wants built: a name of the AUR, a folder that came as a tar, an address of git."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flocon.errors import BuildError, RecipeError
from flocon.files import is_package_name
from flocon.jobs.packing import unpack
from flocon.jobs.watched import AUR, FOLDER, GIT, Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flocon.aur.records import Record
    from flocon.builds.fetching import Fetching
    from flocon.builds.histories import Histories
    from flocon.jobs.resolving import AsksAur, Fetched
    from flocon.jobs.watched import Watched

_SCHEMES = frozenset({"http", "https"})
_SHOWN = 8


class Adding:
    """Finds what a word means, and has it watched."""

    def __init__(self, aur: AsksAur, histories: Histories, fetching: Fetching) -> None:
        self._aur = aur
        self._histories = histories
        self._fetching = fetching

    async def add(
        self, words: Sequence[str], body: bytes, *, dry: bool
    ) -> list[tuple[Watched, str]]:
        """Watch what these words mean, and what that needs; ``body`` is the one folder's tar.

        Raises FloconError, and then nothing of it is watched.
        """
        if not words:
            raise BuildError("there is nothing to add", "name a recipe, a folder or an address")
        begun: dict[str, Fetched] = {}
        records: dict[str, Record] = {}
        names = [word for word in words if not _is_folder(word) and "://" not in word]
        for record in (await self._named(names)).values():
            records[record.base] = record
            origin = Origin(AUR, record.base)
            begun[record.base] = await self._read(record.base, origin)
        for word in words:
            if _is_folder(word):
                one = self._folder(word, body)
            elif "://" in word:
                one = await self._address(word)
            else:
                continue
            begun[one.offer.base] = one
        return await self._fetching.add(begun.values(), records, dry=dry)

    async def _named(self, names: Sequence[str]) -> dict[str, Record]:
        """Return the AUR's records of names, by name; raises BuildError where it has not all."""
        for name in names:
            if not is_package_name(name):
                raise BuildError(f"{name!r} can be no package's name", "write a folder with a /")
        if not names:
            return {}
        found = dict(await self._aur.info(names, urgent=True))
        for name in names:
            if name not in found:
                found[name] = await self._providing(name)
        return {name: found[name] for name in names}

    async def _providing(self, name: str) -> Record:
        providing = {one.base: one for one in await self._aur.search_provides(name)}
        if len(providing) == 1:
            (one,) = providing.values()
            return (await self._aur.info([one.name], urgent=True)).get(one.name, one)
        if not providing:
            return await self._of_base(name)
        some = ", ".join(sorted(providing)[:_SHOWN])
        raise BuildError(f"several of the AUR provide {name}: {some}", "add the one that you want")

    async def _of_base(self, base: str) -> Record:
        """Return the record of a package of a recipe that makes none of its own name."""
        try:
            names = (await self._read(base, Origin(AUR, base))).offer.names
        except (BuildError, RecipeError):
            names = ()
        records = await self._aur.info(names, urgent=True) if names else {}
        found = next((one for one in records.values() if one.base == base), None)
        if found is None:
            raise BuildError(f"the AUR has no {base}", "look at how it is written")
        return found

    async def _read(self, base: str, origin: Origin) -> Fetched:
        recipe = await self._histories.newest(base, origin, urgent=True)
        fetched = self._fetching.resolving.understood(recipe, origin)
        if origin.kind == AUR and fetched.offer.base != base:
            raise BuildError(f"the .SRCINFO of {base} is of {fetched.offer.base}", "")
        return fetched

    async def _address(self, address: str) -> Fetched:
        parts = urlsplit(address)
        name = parts.path.rstrip("/").rpartition("/")[2].removesuffix(".git")
        if parts.scheme not in _SCHEMES or not parts.hostname or not is_package_name(name):
            remedy = "write it like https://HOST/NAME.git"
            raise BuildError(f"{address} is no address of a recipe", remedy)
        origin = Origin(GIT, address)
        fetched = await self._read(name, origin)
        if fetched.offer.base != name:
            # It is kept under the name that it has itself.
            fetched = await self._read(fetched.offer.base, origin)
        return fetched

    def _folder(self, path: str, body: bytes) -> Fetched:
        if not body:
            raise BuildError(f"nothing of {path} came along", f"use 'flocon build add {path}'")
        recipe = unpack(body)
        fetched = self._fetching.resolving.understood(recipe, Origin(FOLDER, path))
        recipe = replace(recipe, base=fetched.offer.base)
        return replace(fetched, recipe=recipe)


def _is_folder(word: str) -> bool:
    return word.startswith("/")
