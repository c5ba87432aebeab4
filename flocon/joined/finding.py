"""Which own repositories the LAN has, and by which keys, for who is about to trust one."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet import defer

from flocon.errors import FloconError, RepositoryError
from flocon.joined.asking import Asking
from flocon.joined.keys import read_keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flocon.joined.keys import PublicKey
    from flocon.presence.peer import Peer

#: Peers that are asked for the key of one repository, so many at once, each for so many seconds.
MOST_ASKED, AT_ONCE = 48, 16
SECONDS = 4.0
#: What is told of a peer that was not asked.
UNASKED = "it was not asked: too many say that they have it"
#: Rows that are told of what peers have.
MOST_TOLD = 64


def heard(peers: Iterable[Peer]) -> list[dict[str, Any]]:
    """Return which own repositories peers say that they have, the newest first."""
    said = [(name, -signed, peer) for peer in peers for name, signed in peer.own]
    said.sort(key=lambda one: one[:2])
    return [
        {"name": name, "signed": -newest, "node": peer.name, "address": peer.address}
        for name, newest, peer in said[:MOST_TOLD]
    ]


async def find_keys(
    reactor: Any, agent: Any, peers: Iterable[Peer], name: str
) -> list[dict[str, Any]]:
    """Return the keys that peers have for a repository: whose word it is, and the key itself.

    Each in binary as base64, with its fingerprints; what is no file of keys is left out, and told
    as a problem of that peer.
    """
    asking = Asking(reactor, agent, Path())
    having = [peer for peer in peers if any(called == name for called, _ in peer.own)]
    # One machine may be as many nodes as it likes: its others come behind other machines.
    first = {peer.address: peer for peer in reversed(having)}
    having.sort(key=lambda peer: first[peer.address] is not peer)
    turn = defer.DeferredSemaphore(AT_ONCE)

    def ask(peer: Peer) -> defer.Deferred[dict[str, Any]]:
        asked = defer.Deferred.fromCoroutine(_ask(asking, peer, name))
        return asked.addTimeout(SECONDS, reactor)

    answers = await defer.DeferredList(
        [turn.run(ask, peer) for peer in having[:MOST_ASKED]], consumeErrors=True
    )
    rows = [
        answer if was_answered else _row(peer, "it does not answer")
        for peer, (was_answered, answer) in zip(having, answers, strict=False)
    ]
    return rows + [_row(peer, UNASKED) for peer in having[MOST_ASKED:][:MOST_TOLD]]


def described(keys: Iterable[PublicKey]) -> list[dict[str, Any]]:
    """Return what is told of keys: whose they are, and they themselves in base64."""
    return [
        {
            "fingerprint": one.fingerprint,
            "names": list(one.names),
            "key": b64encode(one.data).decode("ascii"),
        }
        for one in keys
    ]


def _row(peer: Peer, problem: str) -> dict[str, Any]:
    return {"node": peer.name, "address": peer.address, "keys": [], "problem": problem}


async def _ask(asking: Asking, peer: Peer, name: str) -> dict[str, Any]:
    row = _row(peer, "")
    try:
        keys = read_keys(await asking.key(peer.address, peer.port, name))
    except RepositoryError as error:
        return {**row, "problem": error.problem}
    except FloconError as error:
        return {**row, "problem": str(error)[:200]}
    return {**row, "keys": described(keys)}
