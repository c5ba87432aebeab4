"""What a signal that ends a command makes of it."""

from __future__ import annotations

import signal

from flocon.errors import FloconError

#: Its status, as shells reckon it, and the sentence.
ENDS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "ended")}


class EndedError(FloconError):
    """A signal ended the command; ``status`` is what it ends with."""

    def __init__(self, number: int) -> None:
        self.status, sentence = ENDS[signal.Signals(number)]
        super().__init__(sentence)
