"""What looks at states, gives them away and takes them in, put together when it is asked for.

A node that is never asked has none of it in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from flocon.faces.mirror_contents import MirrorContents
    from flocon.faces.needs import ForPacman
    from flocon.mirrors.importing import Importing
    from flocon.node.parts import Parts

_NO_MIRROR = (
    "this node is no mirror for the LAN; ask on the machine of the one that is, or set"
    " serve = true in [mirror] of flocon.toml, and restart"
)


def whereabouts(parts: Parts) -> dict[str, Callable[[Mapping[str, str]], Awaitable[Any]]]:
    """Return the questions about a state, by path."""

    def question(name: str) -> Callable[[Mapping[str, str]], Awaitable[Any]]:
        async def ask(fields: Mapping[str, str]) -> Any:
            if name == "generation" and not parts.mirror.serves:
                return {"problem": _NO_MIRROR}
            from flocon.mirrors.whereabouts import Whereabouts  # noqa: PLC0415 - seldom needed

            asked = Whereabouts(
                parts.reactor,
                states=parts.mirror.states,
                snapshots=lambda: parts.mirror.snapshots,
                order=parts.mirror.order,
                offering=parts.holdings.offering,
                neighbourhood=parts.neighbourhood,
            )
            return await getattr(asked, name)(fields)

        return ask

    return {f"/{name}.json": question(name) for name in ("generation", "whereabouts", "names")}


def contents(parts: Parts, for_pacman: ForPacman) -> MirrorContents:
    """Return what answers with the contents of states, and with packages of theirs."""
    from flocon.faces.mirror_contents import MirrorContents  # noqa: PLC0415

    return MirrorContents(
        for_pacman,
        archive=parts.mirror.archive,
        piece=parts.mirror.states.piece,
        packages=parts.desk.packages,
        is_at_peers=parts.neighbourhood.is_held,
    )


def importing(parts: Parts) -> Importing:
    """Return what takes states in from folders."""
    from flocon.mirrors.importing import Importing  # noqa: PLC0415
    from flocon.sources.signatures import PacmanKeyring  # noqa: PLC0415

    return Importing(
        parts.reactor,
        states=parts.mirror.states,
        snapshots=lambda: parts.mirror.snapshots,
        archive=parts.mirror.archive,
        keeping=parts.holdings.keeping,
        offering=parts.holdings.offering,
        keyring=PacmanKeyring(parts.reactor, parts.pacman),
        most=parts.settings.store.max_size,
    )
