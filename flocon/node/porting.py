"""What looks at states, gives them away and takes them in, put together.

This is imported when it is asked for: a node that is never asked has none of it in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flocon.clients.mirror_contents import MirrorContents
from flocon.snapshots.importing import Importing
from flocon.snapshots.whereabouts import Whereabouts
from flocon.sources.signatures import PacmanKeyring

if TYPE_CHECKING:
    from flocon.faces.needs import ForPacman
    from flocon.mirrors.mirror import Mirror
    from flocon.node.parts import Parts


def whereabouts(parts: Parts) -> Whereabouts:
    """Return what tells where packages are."""
    return Whereabouts(
        parts.reactor,
        offering=parts.holdings.offering,
        neighbourhood=parts.neighbourhood,
    )


def contents(parts: Parts, for_pacman: ForPacman) -> MirrorContents:
    """Return what answers with the contents of states, and with packages of theirs."""
    mirror = parts.mirroring.mirror
    return MirrorContents(
        for_pacman,
        archive=None if mirror is None else mirror.archive,
        piece=(lambda _: None) if mirror is None else mirror.states.piece,
        packages=parts.desk.packages,
        is_at_peers=parts.neighbourhood.is_held,
    )


def importing(parts: Parts, mirror: Mirror) -> Importing:
    """Return what takes states in from folders."""
    return Importing(
        parts.reactor,
        states=mirror.states,
        snapshots=lambda: mirror.snapshots,
        archive=mirror.archive,
        keeping=parts.holdings.keeping,
        offering=parts.holdings.offering,
        keyring=PacmanKeyring(parts.reactor, parts.pacman),
        most=parts.settings.store.max_size,
    )
