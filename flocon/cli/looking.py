"""``flocon has``, ``list`` and ``why``: what is where on the LAN, and how a file gets here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.books.recent import whence
from flocon.files import parse_file_name
from flocon.pacman.versions import version_key
from flocon.terminal.asking import LONG_PATIENCE, Node, NodeError, package_name
from flocon.terminal.printing import clock, say, say_json, say_rows, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

#: Roles of those who have a file, and need not fetch it.
_HOLDING = frozenset({"holder", "foreign"})


#: Files of a list that is put together from pages.
MOST_LISTED = 500_000


async def show_holders(reactor: Any, options: argparse.Namespace) -> None:
    """Print each version of a package that is somewhere on the LAN; exits 1 where none is."""
    node, names = Node(reactor, options.port), list(map(package_name, options.names))
    fields = {"newest": "yes"} if options.newest else {}
    kind = "part" if options.contains else "name"
    found = [await node.ask("/search.json", {kind: name, **fields}) for name in names]
    if options.newest:
        found = [_newest_alone(one) for one in found]
    if options.json:
        say_json(found[0] if len(found) == 1 else found)
    else:
        _print_all(names, found)
    if not all(one["files"] for one in found):
        raise SystemExit(1)


def _newest_alone(found: dict[str, Any]) -> dict[str, Any]:
    """Return what was found without all that is older than the newest."""
    files = found["files"]
    return found | {"files": [one for one in files if one["version"] == files[0]["version"]]}


def _print_all(names: Sequence[str], found: Sequence[Mapping[str, Any]]) -> None:
    _print_files([file for one in found for file in one["files"]])
    for name, one in zip(names, found, strict=True):
        if one["truncated"]:
            say(f"... and more of {name} than these")
        if not one["files"]:
            say(f"nobody on the LAN holds {name}")
            if one["listed"]:
                listed = [f"{of['version']} [{of['repository']}]" for of in one["listed"]]
                say(f"the mirrors have {', '.join(listed)}")


def _print_files(files: Sequence[Mapping[str, Any]], *, whence: bool = True) -> None:
    """Print files in columns; ``whence`` tells of each who holds it."""
    rows = []
    for file in files:
        where = [f"here ({file['here']})" if whence else file["here"]] if file["here"] else []
        where += [one["name"] or one["node"] for one in file["holders"]]
        if file.get("more_holders"):
            where.append(f"{file['more_holders']} more")
        listed = f"[{']['.join(file['listed'])}]" if file["listed"] else "not listed"
        length = "" if file["size"] is None else size(file["size"])
        columns = (file["name"], file["version"], file["architecture"], length, listed)
        rows.append((*columns, ", ".join(where)))
    if rows:
        say_rows(rows)


async def show_list(reactor: Any, options: argparse.Namespace) -> None:
    """Print all that this machine holds, or the whole LAN, by name."""
    node, of = Node(reactor, options.port), "lan" if options.remote else "here"
    files: list[dict[str, Any]] = []
    count = 0
    after: dict[str, str] | None = {}
    while after is not None and count < MOST_LISTED:
        page = await node.ask("/list.json", {"of": of, **after}, LONG_PATIENCE)
        after = page["next"]
        count += len(page["files"])
        if options.json:
            files += page["files"]
        else:
            _print_files(page["files"], whence=options.remote)
    if options.json:
        say_json({"of": of, "files": files, "truncated": after is not None})
    elif not count:
        say("nothing yet" if options.remote else "nothing: pacman's caches and the store are empty")
    elif after is not None:
        say(f"... and more than these {count}")


async def show_reasons(reactor: Any, options: argparse.Namespace) -> None:
    node, name = Node(reactor, options.port), package_name(options.name)
    if parse_file_name(name) is None:
        name = await newest(node, name)
    told = await node.ask("/why.json", {"file": name})
    if options.json:
        say_json(told)
    else:
        _print_reasons(told)


async def newest(node: Node, name: str) -> str:
    """Return the file that pacman would install for a package: the first repository's."""
    found = await node.ask("/search.json", {"name": name})
    if found["listed"]:
        return _checked(found["listed"][0]["file"])
    if found["files"]:
        versions = sorted({one["version"] for one in found["files"]}, key=version_key)
        raise NodeError(
            f"{name} is not in the sync databases; the LAN has {', '.join(versions)}: name the file"
            f" ('flocon has {name}' shows them)"
        )
    raise NodeError(f"no sync database has a package called {name}, and nobody on the LAN does")


def _checked(file_name: str) -> str:
    """Return a name that may be written to disk."""
    if parse_file_name(file_name) is None:
        raise NodeError(f"the node names no package: {file_name}")
    return file_name


def _print_reasons(told: Mapping[str, Any]) -> None:
    say(told["file"])
    say(f"answered now: {told['answer']}", indent=2)
    for one in told["listed"]:
        say(f"listed in [{one['repository']}]: {size(one['size'])}, {one['sha256']}", indent=2)
    if told["here"] or (told["arriving"] or {}).get("whole"):
        # Nobody is asked, so there is nobody who is not.
        _print_other_holders(told["order"])
    else:
        _print_order(told)
    if told["recent"]:
        say("asked for lately:", indent=2)
        for one in told["recent"]:
            _print_request(one, told["file"])


def _print_other_holders(order: Sequence[Mapping[str, Any]]) -> None:
    rows = [(one["name"], one["address"]) for one in order if one["role"] in _HOLDING]
    if rows:
        say("who holds it, too:", indent=2)
        say_rows(rows, indent=4)


def _print_order(told: Mapping[str, Any]) -> None:
    if told["order"]:
        say("who is asked, one after the other until the bytes are right:", indent=2)
        say_rows([_candidate_row(at, one) for at, one in enumerate(told["order"], 1)], indent=4)
        _say_more(told.get("more_in_order", 0))
    if told["left_out"]:
        say("who is not asked:", indent=2)
        rows = [(one["name"], one["address"], one["why"]) for one in told["left_out"]]
        say_rows(rows, indent=4)
        _say_more(told.get("more_left_out", 0))


def _say_more(number: int) -> None:
    if number:
        say(f"... and {number} more", indent=4)


def _candidate_row(at: int, one: Mapping[str, Any]) -> Sequence[object]:
    speed = f"{size(one['bytes_per_second'])}/s" if one["bytes_per_second"] else "speed unknown"
    busy = f", {one['active']} running" if one["active"] else ""
    return f"{at}.", one["role"], one["name"], one["address"], speed + busy, one["why"]


def _print_request(one: Mapping[str, Any], file_name: str) -> None:
    what = "" if one["file"] == file_name else " (its signature)"
    source = whence(one)
    came = f"from {source}, " if source else ""
    took = f"{size(one['bytes'])} in {one['seconds']:.2f} s"
    say(f"{clock(one['at'])}  {one['status']}{what}  {came}{took}", indent=4)
    for attempt in one["tried"]:
        say(f"before that {attempt['source']}: {attempt['failure']}", indent=6)
