"""What a running mirror says of itself, gathered from its parts; ``telling`` has the words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flocon.mirrors import telling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flocon.mirrors.mirror import Mirror
    from flocon.states.catalogue import Catalogue
    from flocon.states.generation import Generation, Where


def describe(mirror: Mirror) -> dict[str, Any]:
    """Return what ``/mirror.json`` says, and ``/status.json`` of the mirror, see ``telling``."""
    states = mirror.states
    published = states.published
    told = telling.describe(
        states.state,
        published=published[0] if published is not None else None,
        waiting=states.waiting,
        read=states.read,
        snapshots=states.snapshots,
        packages=lambda generation, where: _packages(states.catalogue, generation, where),
    )
    if mirror.clearing is not None:
        told["clearing"] = mirror.clearing.describe()
    if mirror.clients is not None:
        told["clients"] = mirror.clients.describe()
    if mirror.wanting is not None:
        told["wanting"] = mirror.wanting.describe()
    told["missing"] = telling.missing(told)
    next_in = mirror.refreshing.next_in
    return {"serves": True, "problem": mirror.problem, "next_refresh_in": next_in, **told}


def tell(mirror: Mirror) -> Iterator[dict[str, Any]]:
    """Yield what the doctor is to tell of it."""
    yield from telling.problems(describe(mirror), time.time())
    if mirror.clearing is not None:
        yield from mirror.clearing.tell()


def _packages(catalogue: Catalogue, generation: Generation, where: Where) -> int | None:
    database = catalogue.database(generation, where)
    return None if database is None else len(database.entries)
