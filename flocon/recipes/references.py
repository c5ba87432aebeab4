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


#: Words behind which a forge gives what anybody has proposed or handed in, by numbers of its own.
_ANYBODYS = frozenset(
    {
        *("pull", "pulls", "pull-requests", "merge_requests", "merge-requests", "issues"),
        *("attachments", "uploads", "user-attachments", "snippets", "files"),
    }
)
#: Words in a path, and keys of a query, by which programs give a state of a history.
_OF_HISTORIES = frozenset(
    {
        *("archive", "archives", "blob", "commit", "commits", "get", "patch", "plain", "raw"),
        *("rawdiff", "rev", "snapshot", "src", "tarball", "tree", "zipball"),
    }
)
_ASKED_FOR = frozenset({"commit", "h", "hb", "id", "id2", "ref", "rev", "sha", "t"})


class Reference(NamedTuple):
    """A tag or a commit of a branch or tag, by ``name``, in the repository at a URL.

    Of a branch itself where ``is_branch``: else one would not do, as it moves on.
    """

    repository: str
    name: str
    is_branch: bool = False

    @property
    def source(self) -> str:
        """The source of which it is to be known."""
        branch = f"#branch={self.name}" if self.is_branch else ""
        return f"git+{self.repository}{branch}"


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
            is_branch = source.fragment == "branch"
            found[Reference(source.url, source.value, is_branch)] = None
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
    urls = {source.url for source in old}
    parts = {part for source in old for part in (*_parts(source), *_states(source))}
    for source in after.sources():
        if source.text in texts or source.is_local:
            continue
        if source.is_vcs:
            if source.kind != "git" or (source.value and not _REF.fullmatch(source.value)):
                yield f"nobody can be asked whether {source.value} is in {source.url}"
            continue
        if source.url not in urls and _is_anybodys(source):
            yield f"anybody may have put what {source.url} gives there"
        if not _is_forge(source):
            states = _states(source)
            named = [*filter(looks_like_commit, _parts(source)), *states]
            for name in dict.fromkeys(named):
                if name not in parts:
                    yield f"nobody can be asked whose commit {name} at {source.host} is"


def _parts(source: Source) -> list[str]:
    return re.split(r"[^0-9A-Za-z]+", source.url)


def _address(source: Source) -> tuple[list[str], str]:
    """Return the parts of an address's path, and its query; nothing where it is none."""
    try:
        parts = urlsplit(source.url)
    except ValueError:
        return [], ""
    return unquote(parts.path).strip("/").split("/"), unquote(parts.query)


def _is_anybodys(source: Source) -> bool:
    """Whether an address is of what others than a project's own people may have sent there.

    At a forge the word stands first, behind owner and project, or behind ``-``.
    """
    path, _ = _address(source)
    places = {0, 2, path.index("-") + 1 if "-" in path else 2} if _is_forge(source) else None
    return any(word in _ANYBODYS for at, word in enumerate(path) if places is None or at in places)


def _states(source: Source) -> list[str]:
    """Return what of an address git would take for a commit, where it looks like a history's."""
    path, query = _address(source)
    said = (one.partition("=") for one in re.split("[&;]", query))
    asked_for = [value for key, _, value in said if key in _ASKED_FOR]
    named = path if not _OF_HISTORIES.isdisjoint(path) else []
    names = (_ENDINGS.sub("", part) for value in (*named, *asked_for) for part in value.split("/"))
    return [name for name in names if _could_be_commit(name)]
