"""Which files pacman is sent to a holder for, and which holders deserve it: bounded notes.

Where the operator chose ``transfer = "redirect"``, pacman fetches a package from its holder itself,
and nobody but pacman verifies it, or ends a holder that drips or sends it on elsewhere. So a file
is given away like that once: a pacman that soon asks for it again had no luck with the holder, and
gets it from this node, verified. pacman asks for a signature when the package is there: then the
holder has kept its word. Until it has, it is sent pacman for two files at most, all such holders
together for four, and one that failed is sent none for a while. A holder is known by its address.
No I/O; ``now`` is in seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeVar

V = TypeVar("V")

#: Seconds for which a file that pacman was sent away for comes from this node, should it ask again.
AGAIN = 600.0
#: Seconds for which a holder that answered is taken to be there: pacman waits 10 s for one that is
#: not, and each such file counts against this node.
ALIVE = 5.0
#: Files that pacman may be sent for to a holder that has not shown yet that it keeps its word.
MOST_UNPROVEN = 2
#: Seconds for which a holder that failed is sent nobody.
MISTRUSTED = 600.0
#: Files that pacman may be sent for at a time to all that have not: each may cost it its patience,
#: whatever the number of addresses.
MOST_UNPROVEN_TOGETHER = 4
#: Files and holders remembered.
MOST = 1_024


@dataclass(slots=True)
class _Holder:
    """``open`` are the files that pacman was sent for and that nothing has been heard of since.

    ``kept`` tells that pacman had one of it.
    """

    answered: float = float("-inf")
    failed: float = float("-inf")
    kept: bool = False
    open: dict[str, float] = field(default_factory=dict)


class Redirects:
    """What was given away lately, by file name, and how holders did, by address."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._holders: OrderedDict[str, _Holder] = OrderedDict()
        #: Files of holders that have never kept their word: of whom, and when pacman was sent.
        self._unproven: dict[str, tuple[str, float]] = {}

    def sent(self, file_name: str, address: str, now: float) -> None:
        """Note that pacman was sent to the holder at ``address`` for this file."""
        _keep(self._files, file_name, (address, now))
        holder = self._holder(address)
        holder.open[file_name] = now
        if not holder.kept:
            self._unproven[file_name] = address, now
            while len(self._unproven) > MOST:
                del self._unproven[next(iter(self._unproven))]

    def is_again(self, file_name: str, now: float) -> bool:
        """Whether pacman was sent away for this file lately: then its holder has failed."""
        address, then = self._files.get(file_name, ("", float("-inf")))
        if now - then >= AGAIN:
            return False
        holder = self._holder(address)
        if file_name in holder.open:
            holder.failed = now
            holder.kept = False
            holder.open.clear()
        return True

    def arrived(self, file_name: str) -> None:
        """Note that pacman has a file: it asked for the signature."""
        address, _ = self._files.get(file_name, ("", 0.0))
        holder = self._holders.get(address)
        if holder is not None and file_name in holder.open:
            # What else it was sent for meanwhile is on its way still.
            del holder.open[file_name]
            holder.kept = True
            waiting = self._unproven.items()
            self._unproven = {name: sent for name, sent in waiting if sent[0] != address}

    def may_be_sent(self, address: str, now: float) -> bool:
        """Whether a holder may be sent pacman for one more file."""
        holder = self._holder(address)
        holder.open = {name: then for name, then in holder.open.items() if now - then < AGAIN}
        if not holder.kept:
            recent = {one: sent for one, sent in self._unproven.items() if now - sent[1] < AGAIN}
            self._unproven = recent
            if len(recent) >= MOST_UNPROVEN_TOGETHER:
                return False
        return now - holder.failed >= MISTRUSTED and len(holder.open) < MOST_UNPROVEN

    def answered(self, address: str, now: float) -> None:
        """Note that a holder has just answered."""
        self._holder(address).answered = now

    def is_alive(self, address: str, now: float) -> bool:
        """Whether a holder answered so lately that it need not be asked."""
        holder = self._holders.get(address)
        return holder is not None and now - holder.answered < ALIVE

    def _holder(self, address: str) -> _Holder:
        holder = self._holders.pop(address, None) or _Holder()
        _keep(self._holders, address, holder)
        return holder


def _keep(table: OrderedDict[str, V], key: str, value: V) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > MOST:
        table.popitem(last=False)
