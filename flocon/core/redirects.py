"""Which files pacman is sent to a holder for, and which holders are known to answer: bounded notes.

Where the operator chose ``transfer = "redirect"``, pacman fetches a package from its holder itself,
and nobody but pacman verifies it. So a file is given away like that once: a pacman that soon asks
for it again had no luck with the holder, and gets it from this node, verified. No I/O; ``now`` is
in seconds.
"""

from __future__ import annotations

from collections import OrderedDict

#: Seconds for which a file that pacman was sent away for comes from this node, should it ask again.
AGAIN = 600.0
#: Seconds for which a holder that answered is taken to be there: pacman waits 10 s for one that is
#: not, and each such file counts against this node.
ALIVE = 5.0
#: Files and holders remembered.
MOST = 1_024


class Redirects:
    """What was given away lately, by file name, and who answered when, by node."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, float] = OrderedDict()
        self._holders: OrderedDict[str, float] = OrderedDict()

    def sent(self, file_name: str, now: float) -> None:
        """Note that pacman was sent to a holder for this file."""
        _note(self._files, file_name, now)

    def is_again(self, file_name: str, now: float) -> bool:
        """Whether pacman was sent away for this file lately."""
        return now - self._files.get(file_name, float("-inf")) < AGAIN

    def answered(self, node: str, now: float) -> None:
        """Note that a holder has just answered."""
        _note(self._holders, node, now)

    def is_alive(self, node: str, now: float) -> bool:
        """Whether a holder answered so lately that it need not be asked."""
        return now - self._holders.get(node, float("-inf")) < ALIVE


def _note(table: OrderedDict[str, float], key: str, now: float) -> None:
    table[key] = now
    table.move_to_end(key)
    if len(table) > MOST:
        table.popitem(last=False)
