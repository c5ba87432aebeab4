"""Who is not asked any more, from offence to pardon: kept on disk, told in the log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flocon.books.units import time_text
from flocon.log import logger
from flocon.machine.remember import Notebook, recall
from flocon.neighbours.quarantine import Quarantine, is_sound
from flocon.neighbours.quarantine import load as load_records

if TYPE_CHECKING:
    from pathlib import Path

    from flocon.asking.source import Source
    from flocon.neighbours.quarantine import Record
    from flocon.presence.peer import Peer


class Offenders:
    """The quarantine, in a file of the store."""

    _log = logger()

    def __init__(self, reactor: Any, file: Path) -> None:
        self.quarantine = Quarantine(load_records(recall(file, is_sound), time.time()))
        self._notes = Notebook(reactor, file)

    def record(self, peer: Peer) -> Record | None:
        return self.quarantine.record(peer.node, peer.address, time.time())

    def holds_off(self, peer: Peer) -> bool:
        return self.record(peer) is not None

    def term(self, address: str) -> str:
        """Return for how long an address is in quarantine and why, "" where it is in none."""
        now = time.time()
        record = self.quarantine.record("", address, now)
        return "" if record is None else f"in quarantine {record.described(now)}"

    def offence(self, source: Source, why: str) -> None:
        """Put a peer that sent what cannot be into quarantine, for longer each time."""
        record = self.quarantine.offence(source.node, source.label, time.time(), why)
        self._log.warn(
            "{address} is in quarantine for {term}: {why}",
            address=source.label,
            term=time_text(record.until - record.since),
            why=why,
        )
        self.remember()

    def ban(self, peer: Peer) -> None:
        self.quarantine.ban(peer.node, peer.address, time.time(), "banned by hand")

    def remember(self) -> None:
        self._notes.write(self.quarantine.dump())
