"""How builds stand, in lines that a person reads, and what of it is not well. No I/O.

``told`` is what ``/builds.json`` says; times are Unix seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.books.units import counted, time_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

#: The stages in which something waits for a person's word, and the command that gives it.
ASKING = ("waits for a person", "held")
#: Recipes that ``flocon status`` names.
_NAMED = 5
#: Seconds after which a person is reminded of what waits, and of an AUR that was not heard of.
OLD, UNHEARD = 7 * 86_400.0, 2 * 86_400.0


def waiting(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the recipes that wait for a person, those that have longest first."""
    found = [one for one in told["watched"] if one["stage"] in ASKING]
    return sorted(found, key=lambda one: (one["since"], one["base"]))


def failed(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the recipes that could not be built."""
    return [one for one in told["watched"] if one["stage"] == "failed"]


def _some(recipes: Sequence[Mapping[str, Any]]) -> str:
    more = f" and {len(recipes) - _NAMED} more" if len(recipes) > _NAMED else ""
    return ", ".join(one["base"] for one in recipes[:_NAMED]) + more


def rows(
    told: Mapping[str, Any], names: Collection[str], now: float
) -> Iterator[tuple[str, str, str, str]]:
    """Yield of each recipe its base, version, stage, and why; further reasons in rows of their own.

    ``names`` are bases, or packages of them; none is all.
    """
    for one in told["watched"]:
        if names and not {one["base"], *one["names"]}.intersection(names):
            continue
        first, *more = [*_why(one, now), *one["notes"]] or [""]
        yield one["base"], _version(one), one["stage"], first
        for text in more:
            yield "", "", "", text


def unknown(told: Mapping[str, Any], names: Collection[str]) -> list[str]:
    """Return those names that no recipe has."""
    known = {name for one in told["watched"] for name in (one["base"], *one["names"])}
    return [name for name in names if name not in known]


def _version(one: Mapping[str, Any]) -> str:
    published = one["published"]["version"] if one["published"] else ""
    version = one["version"]
    if not published or not version or published == version:
        return published or version
    return f"{published} -> {version}"


def _why(one: Mapping[str, Any], now: float) -> Iterator[str]:
    if one["waits_until"] > now and one["stage"] == "waits for time":
        yield f"for another {time_text(one['waits_until'] - now)}"
    if one["blocked_by"]:
        yield f"waits for {', '.join(one['blocked_by'])}"
    yield from one["reasons"]
    if one["stage"] in ASKING:
        yield f"decide by 'flocon build approve {one['base']}', or reject"
    elif one["stage"] == "failed":
        base = one["base"]
        yield f"'flocon build log {base}' tells why, 'flocon build rebuild {base}' tries again"


def sums(told: Mapping[str, Any], now: float) -> Iterator[str]:
    """Yield how it stands as a whole."""
    if told["problem"]:
        yield told["problem"]
    if told["metered"]:
        yield "the link is metered: nothing is looked at or built but what you ask for"
    running = told["running"]
    if running:
        took = time_text(max(0.0, now - running["since"]))
        yield f"building {running['base']}: {running['step']}, for {took}"
    if told["polled"]:
        yield f"asked {time_text(max(0.0, now - told['polled']))} ago whether anything is new"


def short(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what ``flocon status`` says of builds."""
    if not told["watched"] and not told["problem"]:
        return
    text = f"{counted(len(told['watched']), 'recipe')} watched"
    if told["running"]:
        text += f", {told['running']['base']} is being built"
    yield "builds", text
    asking = waiting(told)
    if asking:
        waits = "waits" if len(asking) == 1 else "wait"
        yield "", f"{_some(asking)} {waits} for you: 'flocon build status' tells why"
    if broken := failed(told):
        yield "", f"failed: {_some(broken)}"
    if told["problem"]:
        yield "", told["problem"]


def figures(told: Mapping[str, Any], now: float) -> dict[str, float]:
    """Return what ``/metrics`` says of builds, by words of its own."""
    asking = waiting(told)
    return {
        "watched": len(told["watched"]),
        "waiting": len(asking),
        "failed": len(failed(told)),
        "running": int(told["running"] is not None),
        "oldest_wait_seconds": max(0.0, now - asking[0]["since"]) if asking else 0.0,
        "polled_timestamp_seconds": told["polled"],
    }


def problems(told: Mapping[str, Any], now: float) -> Iterator[dict[str, Any]]:
    """Yield what the doctor is to tell of builds, as its ``tellers`` do."""
    if told["problem"]:
        yield _warning(told["problem"], "flocon build status")
    old = [one for one in waiting(told) if now - one["since"] > OLD]
    if old:
        reason = f"for {time_text(now - old[0]['since'])} nobody has decided of {_some(old)}"
        yield _warning(reason, f"flocon build approve {old[0]['base']}, or reject")
    if broken := failed(told):
        reason = f"building {_some(broken)} failed"
        yield _warning(reason, f"flocon build log {broken[0]['base']}")
    if told["next_poll"] and told["polled"] and now - told["polled"] > UNHEARD:
        reason = f"for {time_text(now - told['polled'])} nobody could tell whether anything is new"
        yield _warning(reason, "flocon build check says why")


def _warning(reason: str, remedy: str) -> dict[str, Any]:
    return {"check": "builds", "reason": reason, "remedy": remedy, "wrong": False}
