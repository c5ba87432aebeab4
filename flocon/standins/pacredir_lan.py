"""The face in the place of pacredir's server, on 7078: for who names this machine without a port.

``/pkg/`` and ``/db/`` are as on the LAN face, which answers, and nothing else of that is there.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from twisted.web import http

from flocon.answering.respond import refuse

if TYPE_CHECKING:
    from twisted.web.http import Request

    from flocon.serving.site import Face

#: What is handed over; "/" is a sentence for people there.
_SHARED = (b"/pkg/", b"/db/")


class PacredirLanFace:
    """Hands over to ``lan``, the face for peers, what pacredir's server has too."""

    def __init__(self, lan: Face) -> None:
        self._lan = lan
        self.counters: Counter[str] = Counter()

    def render(self, request: Request) -> None:
        if request.path == b"/" or request.path.startswith(_SHARED):
            self.counters["files"] += 1
            self._lan.render(request)
        else:
            self.counters[f"refused {int(http.NOT_FOUND)}"] += 1
            refuse(request, http.NOT_FOUND)
