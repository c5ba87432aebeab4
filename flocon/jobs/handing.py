"""Hands to the signer what was built, with what of it was approved, and tells what it said."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from flocon.errors import RecipeError, RepositoryError, StoreError
from flocon.jobs.contradictions import contradicted, other_version, went_back
from flocon.jobs.keeping import Made
from flocon.jobs.releases import finds_version
from flocon.jobs.watched import Surprise
from flocon.machine.reactor_threads import in_thread
from flocon.programs.talking import LARGEST_MESSAGE
from flocon.recipes.recipe import PKGBUILD, SRCINFO
from flocon.recipes.srcinfo import parse_srcinfo
from flocon.repository.surprises import Surprise as Told
from flocon.repository.telling import told
from flocon.signing.asking import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flocon.jobs.archive import Archive
    from flocon.jobs.builder import Answer
    from flocon.jobs.resolving import Fetched
    from flocon.jobs.watched import Watched
    from flocon.settings.settings import Repo

#: Surprises of one build that are told everywhere, and characters and lines of one: all that is
#: watched is written down with them, each time. And those kept for who looks at what is held.
MOST_SURPRISES, LONGEST, MOST_LINES, MOST_HELD = 10, 300, 20, 1_001
#: Sources whose commits are remembered, and characters of one.
MOST_HEADS, LONGEST_HEAD = 200, 500
#: Bytes of what is kept of them.
LARGEST_HELD = 1 << 20
#: Characters of .SRCINFO, as the sandbox prints it.
LONGEST_SRCINFO = 1 << 18
#: Bytes of what is said to the signer of a build: of one message most.
LARGEST_DESCRIBED = LARGEST_MESSAGE * 3 // 4
#: What the debugging symbols of a package are called.
_DEBUG = "-debug"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was built, and of what: kept with the files until they are signed."""

    base: str
    commit: str
    version: str
    architecture: str
    made: tuple[Made, ...]
    names: tuple[str, ...]
    #: What was approved, and what the sandbox said of it.
    srcinfo: str
    printed: str
    install: tuple[tuple[str, str], ...]
    heads: tuple[tuple[str, str], ...]
    #: The version that was approved, "" for one that the build itself may say, and whether it finds
    #: that out.
    approved: str = ""
    finds: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Examined:
    """What the signer said: it is published, unless there are ``surprises``."""

    surprises: tuple[Surprise, ...] = ()
    digest: str = ""


def manifest_of(
    one: Watched, fetched: Fetched, made: list[Made], answer: Answer, architecture: str
) -> Manifest:
    """Return what is to be kept with the packages of a job."""
    printed = answer.text("srcinfo", LONGEST_SRCINFO)
    srcinfo = fetched.srcinfo
    data = fetched.recipe.read(SRCINFO) or b""
    return Manifest(
        one.base,
        fetched.recipe.commit,
        _version(printed) or srcinfo.version,
        architecture,
        tuple(made),
        tuple(srcinfo.names),
        data.decode("utf-8", "surrogateescape"),
        printed,
        tuple(_install_scripts(fetched)),
        tuple(_heads(answer)),
        srcinfo.version,
        finds_version(fetched.recipe.read(PKGBUILD) or b""),
    )


def _version(printed: str) -> str:
    """Return the version that was built: a recipe of a history finds out its own."""
    try:
        return parse_srcinfo(printed.encode("utf-8", "replace")).version
    except RecipeError:
        return ""


def _install_scripts(fetched: Fetched) -> list[tuple[str, str]]:
    found = []
    for name in fetched.srcinfo.names:
        for path in fetched.srcinfo.values("install", "", name)[-1:]:
            data = fetched.recipe.read(path)
            if data is not None:
                found.append((name, data.decode("utf-8", "surrogateescape")))
    return found


def _heads(answer: Answer) -> list[tuple[str, str]]:
    values = answer.values.get("vcs")
    if not isinstance(values, dict):
        return []
    pairs = [(k, v) for k, v in values.items() if isinstance(v, str)]
    return [(source[:LONGEST_HEAD], commit[:LONGEST_HEAD]) for source, commit in pairs[:MOST_HEADS]]


class Signer:
    """Hands over what was built; ``repository`` is where it goes, "" for the only one."""

    def __init__(
        self,
        reactor: Any,
        archive: Archive,
        repo: Callable[[], Repo],
        repository: Callable[[], str],
    ) -> None:
        self._reactor = reactor
        self._archive = archive
        self._repo = repo
        self._repository = repository

    async def read(self, name: str) -> Manifest:
        """Return what was kept of a job; raises StoreError where it is not whole."""
        values = await in_thread(self._reactor, self._archive.read_job, name)
        try:
            made = tuple(Made(**row) for row in values.pop("made"))
            install, heads = (tuple(map(tuple, values.pop(key))) for key in ("install", "heads"))
            names = tuple(values.pop("names"))
            return Manifest(made=made, names=names, install=install, heads=heads, **values)
        except (KeyError, TypeError, ValueError):
            raise StoreError(str(self._archive.job_folder(name)), "is damaged") from None

    async def publish(self, one: Watched, manifest: Manifest) -> Examined:
        """Have a job's packages examined and signed; what contradicts its recipe is held here.

        Raises RepositoryError with the signer's sentence, and StoreError.
        """
        assert one.job is not None  # noqa: S101 - only jobs are handed on
        own = _own_surprises(one, manifest)
        accepted = one.job.accepted
        if own and _digest_of(own) not in accepted:
            return await self._held(one.job.name, own, _digest_of(own))
        described = _described(manifest)
        if len(json.dumps(described)) > LARGEST_DESCRIBED:
            raise RepositoryError(f"what {one.base} says of itself is too much", "")
        made = [
            made for made in manifest.made if self._repo().debug or not _is_debug(made, manifest)
        ]
        files = await in_thread(self._reactor, self._open, one.job.name, made)
        try:
            answer = await ask(
                self._reactor,
                self._repo().signer,
                {
                    "do": "publish",
                    "repository": self._repository(),
                    "names": [one.name for one in made],
                    "build": described,
                    "accept": accepted[-1] if accepted else None,
                },
                files,
            )
        finally:
            for descriptor in files:
                os.close(descriptor)
        held = answer.get("held")
        if isinstance(held, list) and held:
            found = [_surprise(row) for row in held[:MOST_HELD]]
            return await self._held(one.job.name, found, str(answer["digest"]))
        return Examined()

    async def _held(self, name: str, found: Sequence[Surprise], digest: str) -> Examined:
        """Keep all that was found, for who looks at it; return what is told of it everywhere."""
        whole = [Told(one.package, one.what, one.detail) for one in found]
        rows = [asdict(one) for one in told(whole, LARGEST_HELD)]
        await in_thread(self._reactor, self._archive.keep_held, name, rows)
        short = [*map(_in_short, found[:MOST_SURPRISES])]
        if more := len(found) - len(short):
            short.append(Surprise(found[0].package, "and more", f"{more} more things"))
        return Examined(tuple(short), digest)

    def _open(self, name: str, made: list[Made]) -> list[int]:
        folder, files = self._archive.job_folder(name), []
        try:
            for one in made:
                descriptor = os.open(folder / one.name, os.O_RDONLY | os.O_CLOEXEC)
                files.append(descriptor)
        except OSError as error:
            for descriptor in files:
                os.close(descriptor)
            raise StoreError(str(folder), error.strerror or str(error)) from None
        return files


def _own_surprises(one: Watched, manifest: Manifest) -> tuple[Surprise, ...]:
    """Return what the build itself says against what was approved."""
    before = one.published.version if one.published else ""
    approved, version = manifest.approved or manifest.version, manifest.version
    return (
        *went_back(one.base, before, version),
        *other_version(one.base, approved, version, finds=manifest.finds),
        *contradicted(one.base, manifest.srcinfo, manifest.printed, manifest.architecture),
    )


def _digest_of(surprises: tuple[Surprise, ...]) -> str:
    import hashlib  # noqa: PLC0415 - seldom needed

    return hashlib.sha256(repr(surprises).encode()).hexdigest()


def _is_debug(made: Made, manifest: Manifest) -> bool:
    """Whether these are a package's debugging symbols, and not one of that name itself."""
    return made.name.startswith(f"{manifest.base}{_DEBUG}-") and (
        f"{manifest.base}{_DEBUG}" not in manifest.names
    )


def _described(manifest: Manifest) -> dict[str, Any]:
    return {
        "base": manifest.base,
        "version": manifest.version,
        "architecture": manifest.architecture,
        "packages": list(manifest.names),
        "commit": manifest.commit,
        "srcinfo": manifest.srcinfo,
        "install": dict(manifest.install),
    }


def _surprise(row: Any) -> Surprise:
    return Surprise(*(str(row.get(key, "")) for key in ("package", "what", "detail")))


def _in_short(one: Surprise) -> Surprise:
    """Return it with what has room on a line."""
    package, what, detail = one.package[:LONGEST], one.what[:LONGEST], one.detail
    lines = detail.split("\n", MOST_LINES)
    cut = len(lines) > MOST_LINES or len(detail) > LONGEST
    detail = ", ".join(lines[:MOST_LINES])[:LONGEST]
    return Surprise(package, what, f"{detail}..." if cut else detail)
