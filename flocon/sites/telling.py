"""How the operator's far nodes stand, for a person and for the doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.settings.permitted_others import SRV

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flocon.presence.presence import Presence
    from flocon.sites.far_nodes import FarNodes

#: A name that was greeted so often in vain is silent: 1 + 2 + 4 seconds, and the last one's time.
IN_VAIN = 4


def describe(far: FarNodes, presence: Presence) -> list[dict[str, Any]]:
    """Return of each name that the operator gave: where it leads to, who is there, how it stands.

    ``state`` is "good", "resolving", "silent" (``why`` says what is the matter) or "unknown" yet.
    ``nodes`` counts those of its network that it told of.
    """
    told = []
    for name in far.names.names:
        state, why = _state(far, name)
        if state == "silent" and any(map(presence.has_address, _addresses(far, name))):
            # Behind a router that changes addresses a neighbour has told of it, and it answers.
            state, why = "good", ""
        nodes = {one.node for one in far.sites.correspondents.named(name) if one.node}
        told.append(
            {
                "name": name,
                "addresses": _addresses(far, name),
                "state": state,
                "peers": sorted(
                    peer.name for node in nodes if (peer := presence.peer(node)) is not None
                ),
                "nodes": sum(map(far.sites.believing.introduced, nodes)),
                "why": why,
            }
        )
    return told


def _addresses(far: FarNodes, name: str) -> list[str]:
    return [address for address, _ in far.names.places.get(name, ())]


def _state(far: FarNodes, name: str) -> tuple[str, str]:
    problem = far.names.problems.get(name, "")
    places = far.names.places.get(name, ())
    ones = far.sites.correspondents.named(name)
    if any(one.is_there for one in ones):
        return "good", problem
    if name in far.names.own or (places and not ones):
        return "unknown", "it leads to this machine itself"
    if not places:
        return ("silent", problem) if problem else ("resolving", "")
    if all(one.greeted >= IN_VAIN for one in ones):
        return "silent", "it does not answer"
    return "unknown", ""


def tell(far: FarNodes, presence: Presence) -> Iterator[dict[str, Any]]:
    """Yield what the doctor is to tell: no port, a name that leads nowhere, one that is silent."""
    if far.taken:
        yield {
            "check": "other networks",
            "reason": "nodes of other networks are not heard: a program has this node's UDP port to"
            " itself",
            "remedy": "see by 'ss -ulpn' what has the port, and end it, or have it share the port",
            "wrong": True,
        }
    for one in describe(far, presence):
        if one["state"] != "silent":
            continue
        name, where = one["name"], ", ".join(one["addresses"])
        if not where:
            yield {
                "check": "other networks",
                "reason": f"{name} in peers.static leads nowhere: {one['why']}",
                "remedy": _remedy(name),
                "wrong": True,
            }
            continue
        yield {
            "check": "other networks",
            "reason": f"{name} in peers.static ({where}) does not answer",
            "remedy": "see that a flocon node runs there which has this machine in its own"
            " peers.static or peers.networks, and that nothing between the two keeps UDP or TCP"
            " port 19432 out",
            "wrong": True,
        }


def _remedy(name: str) -> str:
    """Return what mends a name that leads nowhere."""
    if name.startswith(SRV):
        domain = name.removeprefix(SRV)
        return f"see what 'resolvectl service _flocon._tcp {domain}' says, or name a host"
    return "write another machine's address, or a name that 'getent ahosts' finds it by"
