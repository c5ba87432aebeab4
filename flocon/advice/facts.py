"""All that the doctor's checks look at: gathered before, asked for nowhere here. Values alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flocon.settings.settings import DEFAULT_PACMAN_CONF

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from flocon.errors import ConfigurationError
    from flocon.leading.pacman_conf import Configuration

#: Why a mirror gives nothing, whatever it is asked for.
SHUT = "wants a name and a password, or others than its Server line has (401)"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that checks look at.

    ``node`` is what the node answered at ``/doctor.json``, None where none answers on ``port``.
    ``configuration`` is pacman's, or why it cannot be read; ``version`` is pacman's, where known.
    ``now`` is in seconds since 1970. ``there`` are those of the node's caches that whoever asks
    finds, though the node may not; ``named`` is the file that was looked at as pacman.conf.
    ``refused`` is why no node would start with the settings of this machine, where that is so.
    """

    port: int
    node: Mapping[str, Any] | None
    configuration: Configuration | ConfigurationError
    version: tuple[int, int] | None
    environment: Mapping[str, str]
    now: float
    there: frozenset[str] = frozenset()
    named: Path = DEFAULT_PACMAN_CONF
    refused: ConfigurationError | None = None

    def rows(self, key: str) -> list[Any]:
        """Return what the node tells under ``key``; nothing where there is no node."""
        return list((self.node or {}).get(key) or ())

    @property
    def ports(self) -> frozenset[int]:
        """The ports at which the node answers pacman: its own, and those of other tools' places."""
        return frozenset({self.port, *self.rows("standin_ports")})

    @property
    def has_no_pacman(self) -> bool:
        """Whether the node has mirrors of its own and no configuration of pacman's, as on a NAS."""
        told: Mapping[str, Any] = self.node or {"configuration": {}}
        return told.get("configuration", {}) is None

    @property
    def lists_nothing(self) -> bool:
        """Whether what the node reads has no repository, so that nothing else can be right."""
        return self.node is not None and self.node.get("repositories") == []

    @property
    def is_cut_off(self) -> bool:
        """Whether no interface is connected: then nothing else of the LAN tells anything."""
        links = (self.node or {}).get("links") or {}
        return not links.get("running") and bool(links.get("silent") or links.get("missing"))
