"""``flocon get --newest``: a version that no database here lists, believed by its signature alone.

Anybody on the LAN may say that it holds one. So it has its name here only when somebody whom pacman
trusts has signed these very bytes, and when what is inside is what the name says: an older package
under a newer name is signed as well.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.threads import deferToThread

from flocon.cli.getting import (
    Expected,
    NewFile,
    as_sentence,
    as_values,
    is_there,
    put_beside,
    read_signature,
    verify,
)
from flocon.errors import FloconError
from flocon.files import escape, is_package, parse_file_name
from flocon.leading.programs import keyring_of
from flocon.pacman.versions import version_key
from flocon.repository.reading import read_identity
from flocon.repository.vouching import is_vouched
from flocon.terminal.asking import Node, NodeError
from flocon.terminal.downloading import download
from flocon.terminal.printing import complain, progress, say, say_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from flocon.terminal.downloading import Received

#: Versions that are tried, the newest first. The node tells few of each machine, so that no other
#: one's are left out for what one makes up.
MOST_TRIED = 10


async def get(reactor: Any, name: str, options: argparse.Namespace) -> str | None:
    """Put the newest version of a package into this folder, with its signature.

    Returns the file that a database lists where nothing newer is to be had; raises NodeError where
    that is not so either.
    """
    if parse_file_name(name) is not None:
        raise NodeError(f"{name} is a file's name; say the package's, or leave out --newest")
    node = Node(reactor, options.port)
    found = await node.ask("/search.json", {"name": name, "newest": "yes"})
    listed = max(found["listed"], key=_age, default=None)
    offers = _newer(found["files"], listed)[:MOST_TRIED]
    for offer in offers:
        try:
            await _take(node, offer, options)
        except _GivenUpError:
            raise
        except FloconError as error:
            complain(error)
        else:
            return None
    if listed is not None:
        return str(listed["file"])
    if offers:
        raise NodeError(f"no version of {name} that is held is signed by whom pacman here trusts")
    if found["files"]:
        who = "only machines of other tools say that they hold it"
        asked = "they are asked for what a database lists, and nothing else"
        raise NodeError(f"{name}: {who}; {asked}")
    raise NodeError(f"no sync database has a package called {name}, and nobody on the LAN does")


class _GivenUpError(NodeError):
    """What another version would not mend either."""


def _age(one: Mapping[str, Any]) -> Any:
    return version_key(one["version"])


def _newer(
    files: Sequence[Mapping[str, Any]], listed: Mapping[str, Any] | None
) -> list[Mapping[str, Any]]:
    """Return what is held and newer than all that is listed, the newest first.

    What other tools' machines list has no SHA-256, and is asked of them for databases' sake alone.
    """
    return [
        one
        for one in files
        if one["sha256"] and is_package(one["file"])
        if listed is None or _age(one) > _age(listed)
    ]


async def _take(node: Node, offer: Mapping[str, Any], options: argparse.Namespace) -> None:
    """Get one file and its signature; raises where it is not to be had, or not to be trusted."""
    path = Path(offer["file"])
    expected = Expected(path.name, offer["size"], offer["sha256"])
    try:
        there = is_there(path, expected)
    except NodeError as error:
        raise _GivenUpError(str(error)) from None
    if there:
        # It may be anybody's, and without a signature.
        raise _GivenUpError(f"{path.absolute()} is here already; 'pacman -U' checks its signature")
    began = time.monotonic()
    at = f"/mirror/package/{expected.sha256}/{expected.size}/{escape(path.name)}"
    with NewFile(path) as file:
        received = await _fetch(node, at, expected, file)
        signature = await read_signature(node, f"{at}.sig", path.name)
        if signature is None:
            raise NodeError(f"{path.name}: nobody has a signature of it that is right")
        keyring = await deferToThread(keyring_of, options.pacman_conf)
        if not await is_vouched(node.reactor, keyring, file.fileno(), signature):
            raise NodeError(f"{path.name}: nobody whom pacman here trusts has signed it")
        await deferToThread(read_identity, file.fileno(), path.name)
        file.keep()
    put_beside(path, signature)
    _tell(path, received, time.monotonic() - began, json=options.json)


async def _fetch(node: Node, at: str, expected: Expected, file: NewFile) -> Received:
    name = expected.file_name
    bar = progress(name, expected.size)
    try:
        received = await download(node, at, name, file.write, bar.move)
    finally:
        bar.end()
    if received is None:
        raise NodeError(f"{name}: nobody has it any more")
    verify(received, expected)
    return received


def _tell(path: Path, received: Received, seconds: float, *, json: bool) -> None:
    if json:
        trusted = {"verified": False, "signature": True, "trusted": True}
        say_json({**as_values(path, received, seconds), **trusted})
        return
    said = as_sentence(path, received, seconds)
    say(f"{said}, not listed, and signed by whom pacman trusts: sudo pacman -U {path.name}")
