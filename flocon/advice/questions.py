"""What a person can ask of a running node, by path, each with who answers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from flocon.advice.examination import Examination
    from flocon.advice.search import Search
    from flocon.advice.why import Why


def questions(
    search: Search, why: Why, examination: Examination
) -> dict[str, Callable[[Mapping[str, str]], Awaitable[Any]]]:
    """Return each path that is answered by these."""
    return {
        "/search.json": search.search,
        "/list.json": search.page,
        "/why.json": why.why,
        "/recent.json": why.recent,
        "/doctor.json": examination.examine,
    }
