"""What is told to nobody: the name and password that an address may bear, and what may be one."""

from __future__ import annotations

import re
from itertools import pairwise
from urllib.parse import urlsplit

#: As curl reads it: whatever stands between ``://`` and the last ``@`` before the path.
_WHO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]*@")

#: The same where what is before the name of a host has been cut off: ``alice:secret@host``.
_BARE = re.compile(r"(?<![^\s'\"(<=])[^\s/@:'\"(<=]+:[^\s/]*@(?=[\w\[])")


def without_passwords(text: str) -> str:
    """Return ``text`` with ``***`` in the place of each user name and password of an address."""
    return _WHO.sub(r"\1***@", text) if "@" in text else text


def without_any_passwords(text: str) -> str:
    """Return a failure's text without what ``without_passwords`` finds and what is only its end.

    Not for names: a package's may look like that.
    """
    return _BARE.sub("***@", without_passwords(text)) if "@" in text else text


#: What a part of a mirror's path, or of its name, is written with.
_PLAIN = re.compile(r"[A-Za-z0-9._~+:-]*")
_LONG_NUMBER = re.compile(r"[0-9A-Fa-f]{16,}")
#: Parts that say of the next one that it is somebody's own.
_OWN = frozenset({"token", "tokens", "key", "apikey", "auth", "secret", "password", "private"})
#: Characters without a mark between them that a name may have, and those of which it may be that
#: goes to and fro between letters and figures, small letters and capitals, so often.
_LONGEST_WORD, _LONGEST_MIXED, _MOST_TURNS = 24, 11, 2


def may_be_told(url: str) -> bool:
    """Whether strangers may be told of a mirror's address, as far as that can be seen by it.

    Not if there is a user in it, or a question, or what was drawn by lot: an operator's own
    address of a mirror may have its password anywhere.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if "@" in parts.netloc or "?" in url or "#" in url:
        return False
    path = parts.path.lower().split("/")
    named = (one.replace("-", "").replace("_", "") for one in path[:-1])
    if not _OWN.isdisjoint(named):
        return False
    host = (parts.hostname or "").split(".")
    return not any(map(_may_be_secret, (*host, *parts.path.split("/"))))


def _may_be_secret(part: str) -> bool:
    """Whether a part looks as if it had been drawn by lot, rather than called something."""
    if _PLAIN.fullmatch(part.replace("_", "-")) is None:
        return True
    letters = re.sub(r"[._~+:-]", "", part)
    if max(map(len, re.split(r"[._~+:-]", part))) > _LONGEST_WORD or _LONG_NUMBER.search(letters):
        return True
    turns = sum(_kind(one) != _kind(other) for one, other in pairwise(letters))
    return len(letters) > _LONGEST_MIXED and turns > _MOST_TURNS


def _kind(letter: str) -> int:
    return 0 if letter.isdigit() else 1 if letter.isupper() else 2
