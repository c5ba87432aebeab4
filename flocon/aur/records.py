"""What the AUR's RPC says of packages, taken apart. No I/O.

After aurweb's RPC, version 5: one JSON object, whose ``results`` have a record for each package.
All of it is a stranger's: what a package says of itself is free text, and a record that is none is
left out, as if the AUR did not know the package.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from flocon.errors import ProtocolError
from flocon.files import is_package_name

#: Bytes of one answer: 150 records have some hundred KiB, 5,000 found by a search some MiB.
LARGEST = 4 << 20
#: Records of one answer: the AUR gives no more; and characters of a text, values of a list.
MOST_RECORDS = 5_000
LONGEST_TEXT = 4_096
MOST_VALUES = 2_000
#: Characters of a person's name, of which the AUR lets it have 16, and people of one package: they
#: are remembered of each.
LONGEST_PERSON, MOST_PEOPLE = 64, 200
#: Any time or count beyond is none.
_LARGEST_NUMBER = 1 << 53
#: Why there are no records: it is no answer, or one that tells what was wrong with the question.
NO_ANSWER = "no answer of the AUR's"
AUR_SAYS = "the AUR says"
#: Characters told of what the AUR says is wrong.
_LONGEST_REASON = 200

#: The lists of a record, as the AUR calls them.
_LISTS = {
    "depends": "Depends",
    "make_depends": "MakeDepends",
    "check_depends": "CheckDepends",
    "opt_depends": "OptDepends",
    "provides": "Provides",
    "conflicts": "Conflicts",
    "replaces": "Replaces",
    "groups": "Groups",
    "licenses": "License",
    "keywords": "Keywords",
}


@dataclass(frozen=True, slots=True)
class Record:
    """What the AUR says of one package.

    ``base`` is what it is made of, with others maybe. ``maintainer`` is "" for an orphan. Times are
    in seconds since 1970, ``out_of_date`` 0 where nobody says so. The answer to a search has
    neither submitter, co-maintainers, keywords nor any list.
    """

    name: str
    base: str
    version: str
    maintainer: str = ""
    submitter: str = ""
    description: str = ""
    url: str = ""
    votes: int = 0
    popularity: float = 0.0
    out_of_date: int = 0
    first_submitted: int = 0
    last_modified: int = 0
    co_maintainers: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    make_depends: tuple[str, ...] = ()
    check_depends: tuple[str, ...] = ()
    opt_depends: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    #: When the AUR said so by its own clock, 0 where it did not say: ``last_modified`` is by that.
    told: int = field(default=0, compare=False, kw_only=True)

    def bare(self) -> Record:
        """Return it without its long lists."""
        lists: dict[str, Any] = dict.fromkeys(_LISTS, ())
        return replace(self, **lists)


def parse_records(data: bytes) -> tuple[list[Record], int]:
    """Read an answer of the RPC; return its records, and how many more were none.

    Raises ProtocolError where it is no such answer, or says what was wrong with the question.
    """
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        raise ProtocolError(NO_ANSWER, "it is not JSON") from None
    if not isinstance(said, dict):
        raise ProtocolError(NO_ANSWER, "it is no JSON object")
    if said.get("type") == "error":
        raise ProtocolError(AUR_SAYS, _text(said.get("error"))[:_LONGEST_REASON])
    results = said.get("results")
    if not isinstance(results, list) or len(results) > MOST_RECORDS:
        raise ProtocolError(NO_ANSWER, "it has no list of results, or too long a one")
    records = []
    for one in results:
        try:
            records.append(_record(one))
        except (ValueError, TypeError, KeyError):
            continue
    return records, len(results) - len(records)


def _record(one: Any) -> Record:
    """Return one record; raise ValueError, TypeError or KeyError where it is none."""
    name, base, version = one["Name"], one["PackageBase"], one["Version"]
    if not all(isinstance(value, str) for value in (name, base, version)):
        raise TypeError
    if not is_package_name(name) or not is_package_name(base):
        raise ValueError
    if not version or not version.isprintable() or len(version) > LONGEST_TEXT:
        raise ValueError
    lists: dict[str, Any] = {each: _texts(one.get(called)) for each, called in _LISTS.items()}
    return Record(
        name,
        base,
        version,
        maintainer=_person(one.get("Maintainer")),
        submitter=_person(one.get("Submitter")),
        description=_text(one.get("Description")),
        url=_text(one.get("URL")),
        votes=_number(one.get("NumVotes")),
        popularity=_popularity(one.get("Popularity")),
        out_of_date=_number(one.get("OutOfDate")),
        first_submitted=_number(one.get("FirstSubmitted")),
        last_modified=_number(one.get("LastModified")),
        co_maintainers=_people(one.get("CoMaintainers")),
        **lists,
    )


def _text(value: Any) -> str:
    """Return a text that can be shown on one line; "" for none."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError
    return "".join(sign if sign.isprintable() else "?" for sign in value[:LONGEST_TEXT])


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise TypeError
    if len(value) > MOST_VALUES:
        raise ValueError
    return tuple(_text(one) for one in value)


def _person(value: Any) -> str:
    if isinstance(value, str) and len(value) > LONGEST_PERSON:
        raise ValueError
    return _text(value)


def _people(value: Any) -> tuple[str, ...]:
    if isinstance(value, list) and len(value) > MOST_PEOPLE:
        raise ValueError
    return tuple(map(_person, _texts(value)))


def _number(value: Any) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    if not 0 <= value < _LARGEST_NUMBER:
        raise ValueError
    return value


def _popularity(value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and 0 <= value < _LARGEST_NUMBER else 0.0
