"""What a person is shown of a recipe before deciding: from a ``look`` at it, as lines. No I/O.

The terminal and the page show the same. A ``look`` has texts as strangers wrote them: lines are
made so that none of them moves a cursor, turns letters around or hides; markup is the page's care.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from flocon.recipes.differences import GONE, HEAD, NEW, NOTE, PART, SAME, differ, visible
from flocon.recipes.inspection import About, inspect
from flocon.recipes.recipe import Recipe, TreeFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Lines of a review, signs of one, and signs in all, that are shown. A recipe has few.
MOST_LINES, LONGEST_LINE, MOST_SIGNS = 20_000, 2_000, 2 << 20
#: Commits that are named of those that came since the last approval.
_NOTES = 20
_SHORT = 12
#: Seconds since 1970 beyond which no commit is believed to be made: the year 4147.
_LATEST = 1 << 36
#: How a line of a difference looks, and what stands before it.
_TONES = {HEAD: "title", PART: "place", SAME: "", NEW: "added", GONE: "removed", NOTE: "warning"}
_SIGNS = {SAME: " ", NEW: "+", GONE: "-"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line, and its tone: "title", "good", "warning", "wrong", "quiet", or of a difference."""

    text: str
    tone: str = ""


def lines(look: Mapping[str, Any], now: float) -> list[Line]:
    """Return a whole review."""
    found: list[Line] = []
    room = MOST_SIGNS
    for one in _all(look, now):
        text = one.text
        if len(text) > LONGEST_LINE:
            text = f"{text[:LONGEST_LINE]}... and {len(text) - LONGEST_LINE} signs more"
        text = text.expandtabs()
        room -= len(text)
        if len(found) == MOST_LINES or room < 0:
            # In front, too: who reads the beginning alone has to know.
            rest = Line(
                "Not all of it is shown: it is too long. Look at the recipe itself", "wrong"
            )
            return [rest, *found, rest]
        found.append(Line(text, one.tone))
    return found


def decided(look: Mapping[str, Any]) -> str:
    """Return what names exactly that which is decided: a commit, or a digest; "" for nothing."""
    return str(look["digest"] if look["stage"] == "held" else look["proposed"])


def _all(look: Mapping[str, Any], now: float) -> Iterator[Line]:
    after = _recipe(look, look["files"], look["modes"])
    yield from _head(look)
    yield from _held(look)
    yield from _checks(look)
    yield from _inspected(look, after, now)
    yield from _notes(look)
    yield from _differences(look, after)


def _head(look: Mapping[str, Any]) -> Iterator[Line]:
    what = f"{look['base']} {look['version']}".strip()
    if look["held"]:
        yield Line(f"{what} is built, and not signed yet", "title")
    elif look["approved"] == look["commit"]:
        yield Line(f"{what}, as it was approved", "title")
    elif not look["approved"]:
        yield Line(f"{what}, for the first time", "title")
    else:
        since = look["approved"][:_SHORT]
        yield Line(f"{what}, compared with {since}, which was approved", "title")
    yield Line(f"commit {look['commit']}", "quiet")
    for reason in look["reasons"]:
        yield Line(visible(reason), "warning")


def _held(look: Mapping[str, Any]) -> Iterator[Line]:
    if look["held"]:
        yield Line("")
        yield Line("What nobody expected of it", "title")
    for package in look.get("packages", ()):
        yield Line(f"all that is in it: bsdtar -tvf {package}", "quiet")
    for one in look["held"]:
        what, lines = f"{one['package']}: {one['what']}", one["detail"].split("\n")
        if len(lines) == 1:
            yield Line(f"{what}: {lines[0]}" if lines[0] else what, "wrong")
            continue
        yield Line(f"{what}:", "wrong")
        yield from (Line(visible(f"  {line}"), "wrong") for line in lines)


def _checks(look: Mapping[str, Any]) -> Iterator[Line]:
    failed = [one for one in look["checks"] if not one["passed"]]
    if not look["checks"]:
        return
    yield Line("")
    passed = len(look["checks"]) - len(failed)
    yield Line(f"{passed} of {len(look['checks'])} checks passed", "title")
    for one in failed:
        yield Line(f"{one['check']}  {one['sentence']}", "wrong")


def _inspected(look: Mapping[str, Any], after: Recipe, now: float) -> Iterator[Line]:
    yield Line("")
    yield Line("What to look at", "title")
    for one in inspect(after, _about(look["record"]), now=now, known=look["after"]):
        # A terminal without colours has to tell them apart, too.
        mark, tone = ("!", "warning") if one.concern else (" ", "")
        yield Line(visible(f"{mark} {one.about}: {one.sentence}"), tone)
    if packages := look["needs"]["packages"]:
        yield Line(f"  needs: {', '.join(packages)} of pacman's repositories")
    if bases := look["needs"]["bases"]:
        yield Line(f"  needs: {', '.join(bases)}, built before it")


def _about(record: Mapping[str, Any] | None) -> About | None:
    """Return what the AUR says of a recipe, if it is one of the AUR's."""
    if record is None:
        return None
    return About(
        maintainer=record["maintainer"],
        votes=record["votes"],
        popularity=record["popularity"],
        first_submitted=record["first_submitted"],
        last_modified=record["last_modified"],
        out_of_date=record["out_of_date"],
        maintained_since=record.get("maintained_since", 0.0),
    )


def _notes(look: Mapping[str, Any]) -> Iterator[Line]:
    notes = look["notes"]
    if not notes:
        return
    yield Line("")
    yield Line("Commits", "title")
    for one in notes[:_NOTES]:
        when = datetime.fromtimestamp(max(0, min(one["when"], _LATEST)), UTC).date()
        who = f"{one['author']} <{one['mail']}>"
        yield Line(visible(f"{one['commit'][:_SHORT]} {when} {who}: {one['subject']}"))
    if len(notes) > _NOTES:
        yield Line(f"and {len(notes) - _NOTES} more")


def _differences(look: Mapping[str, Any], after: Recipe) -> Iterator[Line]:
    before = None
    if look["before"] is not None:
        before = _recipe(look, look["before"], look["modes_before"])
    found = differ(before, after)
    yield Line("")
    first = next(found, None)
    if before is None:
        yield Line("All of its files", "title")
    else:
        yield Line("What changed" if first is not None else "Nothing changed", "title")
    for file in chain((first,) if first is not None else (), found):
        yield Line("")
        for kind, text in file.lines:
            yield Line(_SIGNS.get(kind, "") + text, _TONES[kind])


def _recipe(look: Mapping[str, Any], files: Mapping[str, str], modes: Mapping[str, str]) -> Recipe:
    tree = {name: TreeFile(int(modes[name], 8), _bytes(text)) for name, text in files.items()}
    return Recipe(look["base"], look["commit"], tree)


def _bytes(text: str) -> bytes:
    """Return a text as it lay in git; what was no UTF-8 in it came as halves of characters."""
    return text.encode("utf-8", "surrogateescape")
