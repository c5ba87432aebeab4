"""Links by which a person may decide for ten minutes: who made one, whose it is, when it ends.

No I/O: what is random comes from the caller, and so does the time. A link's token is kept as its
hash alone. The first browser that opens a link is given a cookie, and the link is that browser's
from then on; a form has a word of its own besides, which no other page can know.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256

#: Seconds for which a link can be used.
LIFETIME = 600.0
#: Links that can be used at the same time; the oldest make room.
MOST_LINKS = 8


class Refusal(Enum):
    """Why a link does not open."""

    UNKNOWN = "this link is not known: 'flocon build web' makes another"
    OVER = "the time of this link is over: 'flocon build web' makes another"
    TAKEN = "this link was opened by another browser: 'flocon build web' makes another"


@dataclass(slots=True)
class Link:
    """One link: for whom it was made, until when, and the browser that has it, "" for none yet."""

    who: str
    until: float
    #: What a form of its pages has to bring along.
    word: str
    cookie: str = ""
    #: What came of the last decision, to be shown once.
    said: str = ""

    def knows_word(self, word: str) -> bool:
        return hmac.compare_digest(self.word.encode(), word.encode("utf-8", "replace"))


class Links:
    """All links that were made of late."""

    def __init__(self) -> None:
        self._links: dict[bytes, Link] = {}

    def add(self, token: str, word: str, who: str, now: float) -> Link:
        """Take note of a link that was just made."""
        self._forget(now)
        while len(self._links) >= MOST_LINKS:
            del self._links[next(iter(self._links))]
        link = self._links[_hashed(token)] = Link(who, now + LIFETIME, word)
        return link

    def open(self, token: str, cookie: str, fresh: str, now: float) -> Link | Refusal:
        """Return the link of a token for the browser that has this cookie.

        A browser without one takes a link that is nobody's yet, where it can be given ``fresh``.
        """
        link = self._links.get(_hashed(token))
        if link is None:
            return Refusal.UNKNOWN
        if now >= link.until:
            return Refusal.OVER
        if fresh and not link.cookie:
            link.cookie = fresh
            return link
        given = cookie.encode("utf-8", "replace")
        is_its_own = hmac.compare_digest(link.cookie.encode(), given)
        return link if link.cookie and is_its_own else Refusal.TAKEN

    def _forget(self, now: float) -> None:
        """Let go of what is over for as long again: until then its page says so."""
        for one, link in tuple(self._links.items()):
            if now >= link.until + LIFETIME:
                del self._links[one]


def _hashed(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()
