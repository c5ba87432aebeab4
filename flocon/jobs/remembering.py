"""What is kept of watched recipes, as JSON's values and back. No I/O.

What was written is read again only if each value is what it has to be; a recipe of which one is not
is left out, and named.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from flocon.jobs.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Recipes that are watched, values of one list, and characters of one text.
MOST_WATCHED, MOST_VALUES, LONGEST_TEXT = 1_000, 512, 2_000


def written(watched: Iterable[Watched]) -> dict[str, Any]:
    """Return JSON's values of all that is watched."""
    return {"version": 1, "watched": [_plain(one) for one in watched]}


def read(value: Any) -> tuple[dict[str, Watched], list[str]]:
    """Return what is watched, by base, and what could not be read."""
    rows = value.get("watched") if isinstance(value, dict) else None
    if not isinstance(rows, list):
        return {}, []
    found: dict[str, Watched] = {}
    damaged: list[str] = []
    for row in rows[:MOST_WATCHED]:
        try:
            one = _made(Watched, row)
        except (TypeError, ValueError, KeyError):
            name = row.get("base") if isinstance(row, dict) else None
            damaged.append(name[:LONGEST_TEXT] if isinstance(name, str) else "?")
        else:
            found[one.base] = one
    return found, damaged


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value[:MOST_VALUES]]
    return value[:LONGEST_TEXT] if isinstance(value, str) else value


@cache
def _kinds(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _made(kind: Any, value: Any) -> Any:
    """Return ``value`` as what a dataclass says of its field; raises TypeError or ValueError."""
    origin = get_origin(kind)
    if origin in {UnionType, Union}:
        (inner,) = (one for one in get_args(kind) if one is not type(None))
        return None if value is None else _made(inner, value)
    if origin is tuple:
        return _made_list(get_args(kind), value)
    if is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise TypeError(kind.__name__)
        kinds = _kinds(kind)
        # What an older flocon did not write has its default.
        return kind(**{name: _made(kinds[name], value[name]) for name in kinds if name in value})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise TypeError(str(kind))
    return value


def _made_list(kinds: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list) or len(value) > MOST_VALUES:
        raise TypeError("list")
    if kinds[-1] is Ellipsis:
        return tuple(_made(kinds[0], one) for one in value)
    if len(value) != len(kinds):
        raise TypeError("list")
    return tuple(_made(kind, one) for kind, one in zip(kinds, value, strict=True))
