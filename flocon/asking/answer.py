"""What a source says of a file before its first byte, as a value. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

OK, PARTIAL_CONTENT, NOT_MODIFIED = 200, 206, 304
#: With these something is given: a file, or the rest of it.
GIVEN = frozenset({OK, PARTIAL_CONTENT})
#: What was asked for under this name is gone: there is another content.
PRECONDITION_FAILED = 412
#: Too Many Requests, and Service Unavailable.
BUSY = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Head:
    """What a source said before its first byte.

    ``start`` is the position of the first byte to come, ``size`` that of the whole file or None.
    ``modified`` and ``etag`` are passed on as they came. ``elsewhere`` is the ``HOST:PORT`` that
    said it, where that is another host than the one that was asked.
    """

    status: int
    start: int
    size: int | None
    modified: str | None
    etag: str | None
    elsewhere: str = ""
