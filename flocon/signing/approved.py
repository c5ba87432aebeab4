"""What a build was approved to make, as what came out of it is compared with. No I/O."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from flocon.errors import PackageError, RecipeError, RepositoryError
from flocon.recipes.srcinfo import parse_srcinfo
from flocon.repository.surprises import RELATIONS, Expected, Surprise, unsaid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from flocon.repository.generation import ListedFile
    from flocon.repository.package import Package
    from flocon.signing.requests import Build


#: What a .SRCINFO says of a package that makes others come along, or go, or run.
_COMPARED = (*RELATIONS, "makedepends", "checkdepends", "install", "validpgpkeys")
_OTHER_SRCINFO = "another .SRCINFO than the recipe's"


def expected_of(build: Build) -> Expected:
    """Return what the packages have to be; raises RepositoryError where that is contradictory."""
    try:
        said = parse_srcinfo(build.srcinfo.encode("utf-8", "surrogateescape"))
    except RecipeError as error:
        raise _contradictory(str(error)) from None
    except UnicodeEncodeError:
        raise _contradictory("its .SRCINFO is no text") from None
    if said.base != build.base:
        raise _contradictory(f"its .SRCINFO is of {said.base}, and not of {build.base}")
    if not set(build.packages) <= set(said.names):
        missing = ", ".join(sorted(set(build.packages) - set(said.names)))
        raise _contradictory(f"its .SRCINFO does not know {missing}")
    relations = {
        name: {key: said.values(key, build.architecture, name) for key in RELATIONS}
        for name in build.packages
    }
    return Expected(
        build.base,
        build.version,
        build.architecture,
        build.packages,
        build.install,
        relations,
        said.version,
    )


def demand_all(packages: Collection[Package], expected: Expected) -> None:
    """Raise PackageError or RepositoryError unless there is each package that was to be built."""
    demand_each_once(packages)
    names = {one.name for one in packages}
    missing = [name for name in expected.packages if name not in names]
    if missing:
        raise RepositoryError(
            f"{', '.join(missing)} did not come out of the build of {expected.base}",
            f"see its log by 'flocon build log {expected.base}'",
        )


def demand_each_once(packages: Collection[Package]) -> None:
    """Raise PackageError where two files are of one package."""
    counts = Counter(one.name for one in packages)
    for one in packages:
        if counts[one.name] > 1:
            raise PackageError(one.file_name, f"{one.name} is there twice")


def find_taken(packages: Iterable[Package], listed: Iterable[ListedFile]) -> Iterator[Surprise]:
    """Yield what would take the place of a package that another recipe made."""
    bases = {one.name: one.base for one in listed}
    for package in packages:
        before = bases.get(package.name, package.base)
        if before != package.base:
            detail = f"it was made from {before} so far, and now from {package.base}"
            yield Surprise(package.name, "a package of another recipe", detail)


def find_printed(build: Build) -> Iterator[Surprise]:
    """Yield where makepkg says another thing of the recipe than its .SRCINFO, which was approved.

    Its own version may be another one: some recipes find that out while they are built.
    """
    if not build.printed:
        return
    said = parse_srcinfo(build.srcinfo.encode("utf-8", "surrogateescape"))
    try:
        printed = parse_srcinfo(build.printed.encode("utf-8", "surrogateescape"))
    except (RecipeError, UnicodeEncodeError) as error:
        yield Surprise(build.base, _OTHER_SRCINFO, f"it cannot be read: {error}")
        return
    if (printed.base, set(printed.names)) != (said.base, set(said.names)):
        yield Surprise(build.base, _OTHER_SRCINFO, f"packages: {', '.join(printed.names)}")
        return
    for name in build.packages:
        for key in _COMPARED:
            found, known = (one.values(key, build.architecture, name) for one in (printed, said))
            if new := sorted(set(unsaid(found, known, (said.version, printed.version)))):
                yield Surprise(name, _OTHER_SRCINFO, f"{key}: {', '.join(new)}")


def left_out(build: Build, names: Collection[str], listed: Sequence[ListedFile]) -> list[str]:
    """Return the published packages of a recipe that it makes no more."""
    return [one.name for one in listed if one.base == build.base and one.name not in names]


def _contradictory(problem: str) -> RepositoryError:
    return RepositoryError(f"what was approved contradicts itself: {problem}", "approve it anew")
