"""Which names of tags and commits a new version brings, and in which repositories they must be.

No I/O. On the great forges the commit of anybody's fork can be had under the original's name, by
git as by an archive of it. So whoever changes a commit in a recipe may mean a stranger's; what is a
tag there, or a commit of a branch or tag, is the project's own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from flocon.recipes.described import FORGES, Described
from flocon.recipes.values import looks_like_commit, may_name_commit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flocon.recipes.sources import Source

#: Hosts that hand out files of another host's repositories.
_OF_HOST = {
    "raw.githubusercontent.com": "github.com",
    "codeload.github.com": "github.com",
    "www.github.com": "github.com",
    "raw.github.com": "github.com",
}
#: What belongs to a forge, and names its repositories in another way: nobody there says yes.
_OF_FORGES = tuple(f".{one}" for one in FORGES)
#: What git takes for a name of a tag or branch, and for nothing else (``a..b``, ``a@{1}``, ``a^``).
_REF = re.compile(r"(?!.*\.\.)[0-9A-Za-z][0-9A-Za-z._+/-]*")
_ENDINGS = re.compile(r"\.(?:tar(?:\.[a-z0-9]+)?|tgz|tbz2?|tb2|bz2|gz|zip|bundle|patch|diff)\Z")
#: How git writes a commit after a tag's name; the name before it is not looked at.
_AFTER_NAME = re.compile(r".*-g[0-9A-Fa-f]{4,64}")


class Reference(NamedTuple):
    """A tag or a commit of a branch or tag, by ``name``, in the repository at a URL."""

    repository: str
    name: str


def new_references(before: Described, after: Described) -> tuple[Reference, ...]:
    """Return what must be known upstream, of the sources that the old .SRCINFO did not have."""
    old = before.sources()
    texts = {source.text for source in old}
    known = {one for source in old for one in _in_forge(source)}
    found: dict[Reference, None] = {}
    for source in after.sources():
        if source.text in texts:
            continue
        if source.kind == "git" and source.value:
            found[Reference(source.url, source.value)] = None
        found.update((one, None) for one in _in_forge(source) if one not in known)
    return tuple(found)


def _in_forge(source: Source) -> list[Reference]:
    """Return what of a file's address at a forge git would take for a commit."""
    if source.is_vcs or not _is_forge(source):
        return []
    parts = urlsplit(source.url)
    path = unquote(parts.path).strip("/").split("/")
    # What a project released has an address that names no commit.
    released = len(path) > 2 and path[2] == "releases" and "-" not in path  # noqa: PLR2004
    named = [] if released else path[2:]
    asked_for = [value for _, value in parse_qsl(parts.query)]
    found = _host(source)
    repository = f"https://{_OF_HOST.get(found, found)}/{'/'.join(path[:2])}"
    names = (_ENDINGS.sub("", part) for value in (*named, *asked_for) for part in value.split("/"))
    return [Reference(repository, name) for name in names if _could_be_commit(name)]


def _is_forge(source: Source) -> bool:
    return _host(source) in FORGES or _host(source).endswith(_OF_FORGES)


def _host(source: Source) -> str:
    """Return the host's name as another way to write it means it."""
    return source.host.removesuffix(".")


def _could_be_commit(name: str) -> bool:
    return may_name_commit(name) or bool(_AFTER_NAME.fullmatch(name))


def unasked(before: Described, after: Described) -> Iterator[str]:
    """Yield commits in new sources for which no repository could be asked, each as a sentence."""
    old = before.sources()
    texts = {source.text for source in old}
    parts = {part for source in old for part in _parts(source)}
    for source in after.sources():
        if source.text in texts or source.is_local:
            continue
        if source.is_vcs:
            if source.kind != "git" or (source.value and not _REF.fullmatch(source.value)):
                yield f"nobody can be asked whether {source.value} is in {source.url}"
        elif not _is_forge(source):
            for part in _parts(source):
                if looks_like_commit(part) and part not in parts:
                    yield f"nobody can be asked whose commit {part} at {source.host} is"


def _parts(source: Source) -> list[str]:
    return re.split(r"[^0-9A-Za-z]+", source.url)
