"""Whether a new commit of a recipe is a plain new version, which a rule may approve. No I/O.

Nine checks, each with a reason (``aur``'s history has an incident for nearly every one):

====  =====================================================================================
A     the commit that was approved is an ancestor of the new one: nobody rewrote history
B     no other file has come, gone or changed
C     PKGBUILD is the text that was read: values changed where values may (``edits``)
D     those values are plain, and of the kind they were (``values``)
E     .SRCINFO changed in the same alone, and says what PKGBUILD says (``described``)
F     the version is greater, the epoch the same, and no file of the same version another one
G     what names a commit names one of the project's own (``references``)
H     the maintainers are those of then, and who wrote the commits has done so before
I     it is what the AUR has now; and it has been there for a while
====  =====================================================================================

Where one fails a person decides. Words that look bad are for a person to see (``inspection``): what
decides here is that nothing but values changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from flocon.pacman.versions import compare_versions
from flocon.recipes import described, edits
from flocon.recipes.described import Described, read_described
from flocon.recipes.edits import VALUE, Change, read_text
from flocon.recipes.expansions import evaluate
from flocon.recipes.recipe import PKGBUILD, SRCINFO
from flocon.recipes.references import Reference, new_references, unasked
from flocon.recipes.values import looks_like_commit, problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from flocon.recipes.recipe import CommitNote, Recipe

__all__ = ["Check", "Evidence", "People", "Reference", "Verdict", "judge", "references"]

#: Seconds for which nothing is approved by rule after another maintainer took over.
TAKEN_OVER = 30 * 86_400.0
#: What one check says at most; more is counted.
_MOST_SAID = 5
#: Checks of the text, which may fail where all who maintain it are trusted.
_OF_THE_TEXT = frozenset("CDE")


@dataclass(frozen=True, slots=True)
class People:
    """Who looks after a recipe, as the AUR says; ``maintainer`` is "" for an orphan."""

    maintainer: str
    comaintainers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known beside the two recipes. Times are in Unix seconds.

    ``notes`` are of the commits since the approved one, ``known_mails`` of authors up to it.
    ``then`` and ``now`` are the people of both times, None for a recipe that is not the AUR's.
    ``taken_over`` is when this maintainer was first seen in another's place, 0.0 for never.
    ``modified`` is the AUR's LastModified, or when the commit was first seen: the later of the two.
    ``confirmed`` are those of ``references`` that are known upstream.
    """

    descends: bool
    notes: Sequence[CommitNote]
    known_mails: Collection[str]
    then: People | None
    now: People | None
    taken_over: float
    judged: float
    modified: float
    head: str
    confirmed: Collection[Reference] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One of the nine, "A" to "I": whether it passed; else, or where it was lifted, why not."""

    check: str
    passed: bool
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All nine checks; approved by rule if all passed, at ``waits_until`` at the earliest."""

    checks: tuple[Check, ...]
    waits_until: float

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(one for one in self.checks if not one.passed)

    @property
    def passed(self) -> bool:
        return not self.failed


def references(approved: Recipe, proposed: Recipe) -> tuple[Reference, ...]:
    """Return the tags and commits of which check G wants to know that they are upstream's own."""
    before = read_described(approved.read(SRCINFO))
    after = read_described(proposed.read(SRCINFO))
    if isinstance(before, str) or isinstance(after, str):
        return ()
    return new_references(before, after)


def judge(
    approved: Recipe,
    proposed: Recipe,
    evidence: Evidence,
    *,
    wait: float,
    trust: Collection[str] = (),
) -> Verdict:
    """Compare the commit that was approved last with a new one; ``wait`` is in seconds."""
    said: dict[str, Iterable[str]] = {
        "A": () if evidence.descends else (_REWRITTEN,),
        "B": _other_files(approved, proposed),
        "H": (*_other_people(evidence), *_other_authors(proposed, evidence)),
        "I": () if evidence.head == proposed.commit else (_GONE_ON,),
        **_of_the_text(approved, proposed, evidence),
    }
    sentences = {check: _sentence(tuple(said[check])) for check in "ABCDEFGHI"}
    trusted = _trusted(evidence, trust) if not sentences["H"] else ""
    checks = tuple(_check(check, sentence, trusted) for check, sentence in sentences.items())
    return Verdict(checks, evidence.modified + wait)


_REWRITTEN = "the commit that was approved is no longer in its history: somebody removed something"
_GONE_ON = "another commit has come since"


def _check(check: str, sentence: str, trusted: str) -> Check:
    if sentence and trusted and check in _OF_THE_TEXT:
        return Check(check, passed=True, sentence=f"{sentence} ({trusted})")
    return Check(check, passed=not sentence, sentence=sentence)


def _sentence(said: tuple[str, ...]) -> str:
    more = len(said) - _MOST_SAID
    return "; ".join((*said[:_MOST_SAID], *((f"and {more} more",) if more > 0 else ())))


def _trusted(evidence: Evidence, trust: Collection[str]) -> str:
    """Return whose word is taken for the text: all who may push, or ("") nobody's."""
    now = evidence.now
    people = (now.maintainer, *sorted(now.comaintainers)) if now is not None else ("",)
    if not set(people) <= set(trust):
        return ""
    return f"{people[0]} is trusted" if len(people) == 1 else f"{', '.join(people)} are trusted"


def _other_files(approved: Recipe, proposed: Recipe) -> Iterator[str]:
    for name in sorted(approved.files.keys() | proposed.files.keys()):
        before, after = approved.files.get(name), proposed.files.get(name)
        if before is None or after is None:
            yield f"{name} is new" if before is None else f"{name} is gone"
        elif before.mode != after.mode:
            yield f"{name} is of another kind ({before.mode:o}, now {after.mode:o})"
        elif before.data != after.data and name not in {PKGBUILD, SRCINFO}:
            yield f"{name} has changed"


def _other_people(evidence: Evidence) -> Iterator[str]:
    then, now = evidence.then, evidence.now
    if now is not None and not now.maintainer:
        yield "it has no maintainer"
    elif then is not None and (now is None or then.maintainer != now.maintainer):
        is_now = now.maintainer if now else "not known"
        yield f"its maintainer was {then.maintainer or 'nobody'}, and is {is_now}"
    elif now is not None and then is None:
        yield f"its maintainer is {now.maintainer}, and nobody knows who it was"
    if then is not None and now is not None and then.comaintainers != now.comaintainers:
        others = ", ".join(sorted(then.comaintainers ^ now.comaintainers))
        yield f"other people help to maintain it: {others}"
    if evidence.taken_over > 0.0 and evidence.judged - evidence.taken_over < TAKEN_OVER:
        yield "it was taken over less than 30 days ago"


def _other_authors(proposed: Recipe, evidence: Evidence) -> Iterator[str]:
    if evidence.descends and not any(one.commit == proposed.commit for one in evidence.notes):
        yield "nobody knows who wrote its commits"
    known = {mail.lower() for mail in evidence.known_mails}
    strangers = dict.fromkeys(one.mail for one in evidence.notes if one.mail.lower() not in known)
    yield from (f"a commit is by {mail or 'nobody'}, not seen here before" for mail in strangers)


def _of_the_text(
    approved: Recipe, proposed: Recipe, evidence: Evidence
) -> dict[str, Iterable[str]]:
    """Return what checks C to G say."""
    old, new = (read_text(one.read(PKGBUILD) or b"") for one in (approved, proposed))
    before = read_described(approved.read(SRCINFO))
    after = read_described(proposed.read(SRCINFO))
    changes: list[Change] | None = None
    said: dict[str, Iterable[str]] = {}
    if isinstance(old, str) or isinstance(new, str):
        said["C"] = tuple(one for one in (new, old) if isinstance(one, str))[:1]
    elif line := edits.first_other_line(old, new):
        said["C"] = (f"PKGBUILD has changed in more than its values, first in line {line}",)
    else:
        said["C"] = ()
        changes = edits.changes(old, new)
    if changes is None:
        said["D"] = (_UNCOMPARED,)
    else:
        said["D"] = tuple(filter(None, map(problem, changes)))
    if isinstance(before, str) or isinstance(after, str):
        unread = after if isinstance(after, str) else before
        return {**said, "E": (str(unread),), "F": (_NO_VERSION,), "G": (_NO_SOURCES,)}
    changed = {one.name for one in changes or () if one.kind == VALUE}
    unwritten: Iterable[str] = (_NO_SOURCES,)
    if not isinstance(new, str):
        values = evaluate(new.beginning.assignments)
        unwritten = tuple(described.other_than_written(after, new, values, changed))
    uncompared = (_UNCOMPARED,) if changes is None else unwritten
    said["E"] = (*described.other_than_before(before, after), *uncompared)
    said["F"] = tuple(_not_newer(before, after))
    # Whoever is trusted with the text is not with sources that nobody can be asked about.
    unasked_for = unwritten if changes is None else ()
    said["G"] = (*_strangers_commits(before, after, changes or [], evidence), *unasked_for)
    return said


_UNCOMPARED = "as the text of PKGBUILD is another, its values cannot be compared"
_NO_VERSION = "the version cannot be read"
_NO_SOURCES = "the sources cannot be read"


def _not_newer(before: Described, after: Described) -> Iterator[str]:
    if before.one("epoch") != after.one("epoch"):
        was, now = (one.one("epoch") or "none" for one in (before, after))
        yield f"the epoch was {was}, and is {now}"
    if not after.one("pkgver") or not after.one("pkgrel"):
        yield _NO_VERSION
    elif (order := compare_versions(after.version, before.version)) <= 0:
        than = "older than" if order < 0 else "the same as"
        yield f"version {after.version} is {than} {before.version}"
    if after.one("pkgver") == before.one("pkgver") and _is_another_file(before, after):
        yield f"sums have changed at the same version {after.one('pkgver')}"


def _is_another_file(before: Described, after: Described) -> bool:
    """Whether what is fetched from where it was has another sum, whatever it is called here."""
    for (section, key), sums in after.values.items():
        kind, found, architecture = key.partition("sums")
        if section or not kind or not found:
            continue
        places = (
            [(source.url, source.value) for source in one.sources_of(f"source{architecture}")]
            for one in (before, after)
        )
        old = before.values.get(("", key), ())
        for was, now, place, other in zip_longest(old, sums, *places):
            if was != now and place == other:
                return True
    return False


def _strangers_commits(
    before: Described, after: Described, changes: Sequence[Change], evidence: Evidence
) -> Iterator[str]:
    named = new_references(before, after)
    for one in named:
        if one not in evidence.confirmed:
            yield f"{one.name} is no tag of {one.repository}, nor a commit known to be in a branch"
    yield from unasked(before, after)
    asked = {one.name for one in named}
    for change in changes:
        if change.kind != VALUE or not looks_like_commit(change.after):
            continue
        if not looks_like_commit(change.before):
            yield f"{change.name} was {change.before}, and looks like a commit now"
        elif change.after not in asked and change.name not in {"pkgver", "pkgrel"}:
            yield f"{change.name} is another commit, and nobody can be asked whose it is"
