"""Which packages stay to go back to, and which one is gone back to. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.errors import RepositoryError
from flocon.files import is_package, parse_file_name
from flocon.pacman.versions import compare_versions, version_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from flocon.files import FileName
    from flocon.repository.generation import Generation


def packages_among(names: Iterable[str]) -> list[FileName]:
    """Return those of some files' names that name a package itself, the newest version first."""
    files = [parse_file_name(name) for name in names if is_package(name)]
    return sorted(
        (file for file in files if file is not None),
        key=lambda file: (version_key(file.version), file.text),
        reverse=True,
    )


def tell(generation: Generation, present: Iterable[str]) -> dict[str, Any]:
    """Return what a person reads of a generation, as JSON's values; ``present`` are all files.

    ``older`` are the other versions of a package that there are, the newest first.
    """
    versions: dict[str, list[str]] = {}
    for file in packages_among(present):
        versions.setdefault(file.name, []).append(file.version)
    return {
        "name": generation.name,
        "generation": generation.sequence,
        "signed": generation.signed,
        "packages": [
            {
                "name": one.name,
                "version": one.version,
                "file": one.file_name,
                "base": one.base,
                "size": one.content.size,
                "built": one.built,
                "older": [each for each in versions.get(one.name, ()) if each != one.version],
            }
            for one in generation.files
        ],
    }


def superfluous(present: Iterable[str], listed: Collection[str], keep: int) -> list[str]:
    """Return the packages' files of ``present`` that need not stay, by file name.

    ``listed`` are the files that some generation still lists: they stay. Beside them stay the
    ``keep`` newest versions of each package that is listed at all, for each architecture.
    """
    names = {file.name for file in packages_among(listed)}
    left: dict[tuple[str, str], int] = {}
    gone = []
    for file in packages_among(present):
        place = file.name, file.architecture
        left[place] = left.get(place, keep) - 1
        if file.text not in listed and (left[place] < 0 or file.name not in names):
            gone.append(file.text)
    return gone


def choose_version(
    package: str, present: Iterable[str], current: str, version: str | None
) -> FileName:
    """Return the file of a package to go back to: that of ``version``, else the one before.

    ``present`` are the files that there are, ``current`` the version that is published now. Raises
    RepositoryError where there is none.
    """
    kept = [file for file in packages_among(present) if file.name == package]
    if version is None:
        older = [file for file in kept if compare_versions(file.version, current) < 0]
    else:
        older = [file for file in kept if file.version == version]
    if older:
        return older[0]
    others = [file.version for file in kept if file.version != current]
    remedy = f"there are {', '.join(others)}" if others else "no other version of it was kept"
    wanted = f"version {version}" if version is not None else f"version before {current}"
    raise RepositoryError(f"{package} has no {wanted} to go back to", remedy)
