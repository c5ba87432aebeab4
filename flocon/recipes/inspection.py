"""What a careful person looks at before a recipe is built for the first time. No I/O.

Everything is said, and a person weighs it. A *concern* is what most recipes do not have; that there
is none proves nothing: whoever means harm can write it another way (``words``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flocon.recipes import words
from flocon.recipes.described import Described, is_sums, read_described
from flocon.recipes.recipe import FILE, LINK, PKGBUILD, PROGRAM, SRCINFO
from flocon.recipes.shell import read_beginning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from flocon.recipes.recipe import Recipe, TreeFile
    from flocon.recipes.sources import Source

DAY = 86_400.0
#: Days and votes under which a recipe of the AUR has hardly been looked at by anybody.
_YOUNG, _FEW_VOTES = 60, 5
#: Where anybody leaves text or files without a name, and where an address leads nobody can see.
_PASTED = frozenset(
    {
        "pastebin.com", "paste.ee", "hastebin.com", "ghostbin.com", "rentry.co", "dpaste.org",
        "dpaste.com", "ix.io", "0x0.st", "termbin.com", "sprunge.us", "bpa.st", "p.ip.fi",
        "transfer.sh", "file.io", "catbox.moe", "files.catbox.moe", "litter.catbox.moe",
        "temp.sh", "gist.github.com", "gist.githubusercontent.com", "segs.lol", "ptpb.pw",
        "cdn.discordapp.com", "anonfiles.com", "gofile.io", "mega.nz", "drive.google.com",
        "dropbox.com",
    }
)  # fmt: skip
_SHORTENED = frozenset(
    {
        "bit.ly", "tinyurl.com", "t.co", "goo.gl", "is.gd", "v.gd", "ow.ly", "rb.gy", "cutt.ly",
        "shorturl.at", "tiny.cc", "git.io", "s.id", "t.ly", "lnkd.in",
    }
)  # fmt: skip
#: Where most projects keep what they make, whatever the address of their own pages.
_FORGES = frozenset(
    {
        "github.com", "githubusercontent.com", "gitlab.com", "codeberg.org", "sourceforge.net",
        "pythonhosted.org", "pypi.org", "npmjs.org", "crates.io", "rubygems.org", "kde.org",
        "gnome.org", "freedesktop.org", "kernel.org", "gnu.org", "debian.org", "archlinux.org",
    }
)  # fmt: skip
_PLAIN = frozenset({"http", "ftp", "git", "rsync", "svn"})
#: Checked by what they sign.
_SIGNATURES = (".sig", ".asc", ".sign")
_WEAK = frozenset({"ck", "md5", "sha1"})
#: Ends of names by which bad packages looked like better ones of a known name.
_TEMPTING = re.compile(
    r"(.+?)-(?:(?:fix|fixed|patch|patched|crack|cracked|unlocked|pro|premium|plus|new|official|secure)"
    r"(?:-bin|-git)?)"
)
_FUNCTION = re.compile(
    r"(?:[ \t\n]++|#[^\n]*+\n)*+(?:function[ \t]++)?[A-Za-z_][A-Za-z0-9_.+@-]*+[ \t]*+\("
)


@dataclass(frozen=True, slots=True)
class About:
    """What the AUR says of a recipe, and since when this maintainer is known; Unix seconds."""

    maintainer: str
    votes: int
    popularity: float
    first_submitted: float
    last_modified: float
    out_of_date: float = 0.0
    maintained_since: float = 0.0


@dataclass(frozen=True, slots=True)
class Point:
    """One thing to look at: what it is about, and a sentence; ``concern`` where it is unusual."""

    about: str
    sentence: str
    concern: bool = False


def inspect(
    recipe: Recipe, about: About | None, *, now: float, known: Collection[str] = ()
) -> list[Point]:
    """Look at a recipe; ``known`` are names of Arch's packages for which others could be taken."""
    described = read_described(recipe.read(SRCINFO))
    points: list[Point] = []
    if about is not None:
        points += _people(about, now)
    if isinstance(described, str):
        points.append(Point("recipe", described, concern=True))
    else:
        points.insert(0, Point("recipe", f"{', '.join(described.names)} {described.version}"))
        points += (Point("recipe", one, concern=True) for one in described.oddities)
        points += _names(described, known)
        points += _sources(described)
        points += _sums(described)
        points += _needs(described)
        points += _replaced(described)
    points += _files(recipe)
    points += _text(recipe)
    return points


def to_read(recipe: Recipe) -> tuple[str, ...]:
    """Return the files that run somewhere: PKGBUILD, install scripts, hooks, units, programs."""
    found = [
        name
        for name, file in recipe.files.items()
        if name != PKGBUILD and words.runs(name, file.data, is_program=file.mode == PROGRAM)
    ]
    return (PKGBUILD, *sorted(found))


def _people(about: About, now: float) -> Iterator[Point]:
    if not about.maintainer:
        yield Point("people", "nobody maintains it", concern=True)
    elif about.maintained_since:
        days = _days(now - about.maintained_since)
        young = now - about.maintained_since < _YOUNG * DAY
        yield Point(
            "people", f"maintained by {about.maintainer}, seen here for {days}", concern=young
        )
    else:
        yield Point("people", f"maintained by {about.maintainer}, not seen here before")
    age = now - about.first_submitted
    sentence = f"in the AUR for {_days(age)}, changed {_days(now - about.last_modified)} ago"
    yield Point("age", sentence, concern=age < _YOUNG * DAY)
    few = about.votes < _FEW_VOTES
    yield Point("votes", f"{about.votes} votes, popularity {about.popularity:.2f}", concern=few)
    if about.out_of_date:
        yield Point("age", f"called out of date {_days(now - about.out_of_date)} ago")


def _days(seconds: float) -> str:
    days = max(0, int(seconds // DAY))
    return "1 day" if days == 1 else f"{days} days"


def called_after(name: str) -> str:
    """Return the name of which this one is to be something better, "" for none."""
    found = _TEMPTING.fullmatch(name)
    return found[1] if found is not None else ""


def _names(described: Described, known: Collection[str]) -> Iterator[Point]:
    for name in described.names:
        if other := called_after(name):
            whose = "a package of Arch's" if other in known else "another program"
            sentence = f"{name} is called after {other}, {whose}, as something better"
            yield Point("name", sentence, concern=True)


def _sources(described: Described) -> Iterator[Point]:
    home = _site(described.one("url"))
    by_host: dict[str, list[Source]] = {}
    for source in described.sources():
        by_host.setdefault("" if source.is_local else source.host, []).append(source)
    for host, sources in sorted(by_host.items()):
        count = len(sources)
        if not host:
            local = sum(one.is_local for one in sources)
            if local:
                yield Point("sources", f"{_counted(local)} in the recipe itself")
            for one in sources:
                if not one.is_local:
                    yield Point("sources", f"{one.text} has no host", concern=True)
            continue
        sentence = f"{_counted(count)} from {host}{_apart(host, home)}"
        yield Point("sources", sentence, concern=_strange(host, home))
    for source in described.sources():
        yield from _one_source(source)


def _counted(count: int) -> str:
    return "1 source" if count == 1 else f"{count} sources"


def _site(url: str) -> str:
    """Return the last two parts of a URL's host: whose it is, nearly always."""
    try:
        return ".".join((urlsplit(url).hostname or "").split(".")[-2:])
    except ValueError:
        return ""


def _strange(host: str, home: str) -> bool:
    site = _site(f"https://{host}")
    return bool(home) and site != home and site not in _FORGES


def _apart(host: str, home: str) -> str:
    return f", not {home} as its page" if _strange(host, home) else ""


def _one_source(source: Source) -> Iterator[Point]:
    if source.url.partition("://")[0] in _PLAIN:
        yield Point(
            "sources", f"{source.text} comes over a line that anybody may change", concern=True
        )
    if source.host in _PASTED:
        yield Point(
            "sources", f"{source.text}: anybody leaves files at {source.host}", concern=True
        )
    if source.host in _SHORTENED:
        yield Point("sources", f"{source.text}: {source.host} leads to another address", True)
    if _is_address(source.host):
        yield Point(
            "sources", f"{source.text} has an address of a network for a host", concern=True
        )
    if "@" in source.url.partition("://")[2].partition("/")[0]:
        yield Point(
            "sources", f"{source.text}: {source.host} is the host, after the @", concern=True
        )
    if source.is_vcs and not source.is_pinned and source.fragment != "tag":
        branch = f"branch {source.value}" if source.fragment == "branch" else "newest state"
        yield Point("sources", f"{source.url}: its {branch} of the day, whatever that is then")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _sums(described: Described) -> Iterator[Point]:
    """Say which sources are checked by nothing, or by sums that can be forged."""
    values = {key: said for (section, key), said in described.values.items() if not section}
    for key in sorted(values):
        if key != "source" and not key.startswith("source_"):
            continue
        ending = key.removeprefix("source")
        lists = {
            name: values[name]
            for name in values
            if is_sums(name) and name.partition("sums")[2] == ending
        }
        for at, source in enumerate(described.sources_of(key)):
            said = {name.partition("sums")[0] for name, sums in lists.items() if _checks(sums, at)}
            if not said and not source.is_vcs and not source.name.endswith(_SIGNATURES):
                yield Point("sums", f"{source.name} is checked by no sum", concern=True)
            elif said and said <= _WEAK and not source.is_local:
                yield Point("sums", f"{source.name} is checked by {', '.join(sorted(said))} only")
    keys = values.get("validpgpkeys", ())
    if keys:
        yield Point("sums", f"signatures by {', '.join(keys)} are checked")


def _checks(sums: tuple[str, ...], at: int) -> bool:
    return at < len(sums) and sums[at].upper() != "SKIP"


def _needs(described: Described) -> Iterator[Point]:
    for (_, key), needs in sorted(described.values.items()):
        for need in needs if "depends" in key else ():
            if re.split(r"[<>=: ]", need)[0] in words.FETCHERS:
                sentence = f"{key} has {need}, which fetches programs from elsewhere"
                yield Point("needs", sentence, concern=True)


def _replaced(described: Described) -> Iterator[Point]:
    """Yield whose place its packages take: pacman puts them there on each machine that upgrades."""
    for (_, key), names in sorted(described.values.items()):
        if key.partition("_")[0] == "replaces" and any(names):
            taken = ", ".join(filter(None, names))
            sentence = f"it takes the place of {taken} wherever that is installed"
            yield Point("name", sentence, concern=True)


def _files(recipe: Recipe) -> Iterator[Point]:
    for name, file in sorted(recipe.files.items()):
        if name in {PKGBUILD, SRCINFO}:
            continue
        sentence, concern = _file(name, file)
        yield Point("files", sentence, concern=concern)


def _file(name: str, file: TreeFile) -> tuple[str, bool]:
    if file.mode == LINK:
        return f"{name} is a link to {file.data.decode('utf-8', 'replace')}", True
    size = f"{len(file.data):,} bytes"
    if name.endswith(".install"):
        return f"{name} ({size}) runs as root where a package is installed", True
    if b"\0" in file.data:
        return f"{name} ({size}) is no text", True
    if file.mode != FILE:
        return f"{name} ({size}) is a program", file.mode != PROGRAM
    return f"{name} ({size})", False


def _text(recipe: Recipe) -> Iterator[Point]:
    text = (recipe.read(PKGBUILD) or b"").decode("utf-8", "replace")
    end = read_beginning(text).end
    if text[end:].strip() and not _FUNCTION.match(text, end):
        line = text.count("\n", 0, end) + 1
        sentence = f"PKGBUILD is more than variables and functions, from line {line} on"
        yield Point("text", sentence, concern=True)
    room = words.MOST_LOOKED_AT
    for name in to_read(recipe):
        look = words.look(recipe.read(name) or b"", room)
        room -= look.cost
        for number, shown, what in words.oddities(look.lines):
            yield Point("text", f"{name}, line {number}: {what}: {shown}", concern=True)
        for number, shown, what in words.found(look.lines):
            yield Point("words", f"{name}, line {number}: {what}: {shown}", concern=True)
        if not look.is_whole:
            sentence = f"{name} is not looked at beyond line {len(look.lines):,}: there is too much"
            yield Point("text", sentence, concern=True)
