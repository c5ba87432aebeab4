"""What a pacserve answers to its peers, read within bounds. No I/O.

Of a ``directory listing`` packages alone are kept, by name and size. Of a ``file check`` it is
believed only that a file is where it was asked, or at another place that is known.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from flocon.files import LARGEST_FILE, is_package
from flocon.foreign.place import Place, Tool, named_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Bytes of a listing: some 150 for each file, and a signature for each package.
LARGEST_LISTING = 4 << 20
#: Bytes of any other answer.
LARGEST_ANSWER = 16 << 10
#: Packages kept of one listing.
MOST_FILES = 10_000
#: Entries of it read in one go, in a millisecond; and the characters that a name or what is told of
#: it may have, of which many are read in one go too.
SLICE = 50
LONGEST_PART = 4_096
_BLANK = re.compile(r"[ \t\r\n]*")


def form(said: dict[str, Any]) -> bytes:
    """Return the body of a POST by which pacserves talk to each other."""
    return b"json=" + quote(json.dumps(said)).encode("ascii")


def file_check(file_name: str) -> bytes:
    """Return the question whether a pacserve has a file itself: it asks nobody else for it."""
    return form({"type": "file check", "paths": [f"pkg/{file_name}"], "hops": 0})


LISTING = form({"type": "directory listing", "path": "pkg", "hops": 0})


def nudge(url: str) -> bytes:
    """Return what makes us a peer of a pacserve."""
    return form({"type": "nudge", "uri": url})


def read_check(
    answer: bytes, asked: Place, file_name: str, knows: Callable[[Place], bool]
) -> Place | None:
    """Return where a file is by the answer of a ``file check``; None where it is nowhere.

    ``knows`` tells whether a place is known: nobody is sent to a stranger.
    """
    told = _json(answer)
    where = told.get(f"pkg/{file_name}") if isinstance(told, dict) else None
    if not isinstance(where, str) or len(where) > LARGEST_ANSWER:
        return None
    if "://" not in where:
        return asked if _last(where) == file_name else None
    named = named_by(where)
    if named is None or _last(named[2]) != file_name:
        return None
    place = Place(Tool.PACSERVE, named[0], named[1])
    return place if knows(place) else None


def _last(path: str) -> str:
    """Return the file's name in a path of /pkg/, "" where it is another path."""
    folder, _, name = path.lstrip("/").rpartition("/")
    return unquote(name) if folder == "pkg" else ""


def is_true(answer: bytes) -> bool:
    """Whether a nudge was taken."""
    return _json(answer) is True


def _json(answer: bytes) -> Any:
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        return None


def read_listing(answer: bytes) -> Iterator[dict[str, int]]:
    """Yield the packages of a listing and their sizes, some at a time.

    Ends with ValueError where it is no listing; ``null`` is what a pacserve says that cannot.
    """
    text = answer.decode("utf-8")
    at = _after_blank(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError("is no listing")
    at = _after_blank(text, at + 1)
    kept, found, read = 0, dict[str, int](), 0
    decoder = json.JSONDecoder()
    while text[at : at + 1] != "}":
        name, at = _part(decoder, text, at)
        at = _expect(text, at, ":")
        entry, at = _part(decoder, text, at)
        size = _size(entry)
        if isinstance(name, str) and size is not None and is_package(name) and kept < MOST_FILES:
            found[name] = size
            kept += 1
        at = _after_blank(text, at)
        if text[at : at + 1] != "}":
            at = _expect(text, at, ",")
        read += 1
        if read % SLICE == 0:
            yield found
            found = {}
    yield found


def _part(decoder: json.JSONDecoder, text: str, at: int) -> tuple[Any, int]:
    """Return the value that begins at ``at``, and where it ends; one that is too long is none."""
    try:
        value, length = decoder.raw_decode(text[at : at + LONGEST_PART])
    except RecursionError:
        raise ValueError("is no listing") from None
    return value, at + length


def _expect(text: str, at: int, sign: str) -> int:
    at = _after_blank(text, at)
    if text[at : at + 1] != sign:
        raise ValueError("is no listing")
    return _after_blank(text, at + 1)


def _after_blank(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return at if blank is None else blank.end()


def _size(entry: Any) -> int | None:
    """Return the size of a file that a listing has once, at the asked pacserve itself."""
    match entry:
        case [{"size": int(size), "dir": False, "href": str(href)}, *_] if "://" not in href:
            return size if 0 < size <= LARGEST_FILE else None
    return None
