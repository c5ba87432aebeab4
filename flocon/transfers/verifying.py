"""Hashing a growing file: ahead in a thread while it comes, and to its end once it is whole.

The hash itself is ``verify``'s; what follows from a wrong one is ``judging``'s.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from twisted.python.failure import Failure

from flocon.asking.waiting import Outcome
from flocon.machine.limits import NoThread
from flocon.writing.descriptors import hash_and_close, hash_until
from flocon.writing.verify import Verifier

if TYPE_CHECKING:
    from typing import Any

    from flocon.files import Content
    from flocon.transfers.draft import Draft
    from flocon.transfers.tools import InThread

#: Hashing starts in a thread once so many bytes wait for it; the rest of a small file is hashed
#: at once, in less time than a thread takes to start.
HASH_AHEAD = 2 << 20
HASH_INLINE = 256 << 10


class Verifying:
    """The hash of a draft; nobody needs it any more once ``finished`` is known."""

    def __init__(self, draft: Draft, in_thread: InThread, finished: Outcome[None]) -> None:
        self._draft = draft
        self._in_thread = in_thread
        self._finished = finished
        self._verifier = Verifier()
        self._hashing: Outcome[None] | None = None
        self._lacks_threads = False

    def begin_anew(self) -> None:
        """Forget what was hashed: other bytes will stand there."""
        self._verifier = Verifier()

    def go_ahead(self) -> None:
        """Have hashed what has come, where that is worth a thread's while."""
        if self._hashing is not None:
            return
        end = self._draft.reach(self._draft.contributions.arrived, 0)
        if end - self._verifier.position >= HASH_AHEAD:
            self._hash_in_thread(end)

    async def is_right(self, content: Content) -> bool:
        """Hash the rest of what came, all of which is written; return whether it is ``content``."""
        await self._thread_ended()
        end = self._draft.contributions.arrived.reach(0)
        is_little = end - self._verifier.position <= HASH_INLINE
        if not is_little:
            self._hash_in_thread(end)
            await self._thread_ended()
        if is_little or self._lacks_threads:
            hash_until(self._verifier, self._draft.incoming.fileno(), end)
        return self._verifier.matches(content)

    def _hash_in_thread(self, end: int) -> None:
        hashing: Outcome[None] = Outcome()
        self._hashing = hashing
        verifier = self._verifier
        # A descriptor of its own: the transfer may change files or end meanwhile.
        descriptor = os.dup(self._draft.incoming.fileno())

        def ended(outcome: Any) -> None:
            self._hashing = None
            self._lacks_threads = isinstance(outcome, Failure) and bool(outcome.check(NoThread))
            if self._lacks_threads:
                os.close(descriptor)
            hashing.succeed(None)
            if self._lacks_threads:
                # In the end it is hashed here, if there are none then either.
                return
            if not self._finished.known and verifier is self._verifier and self._draft.exists:
                self.go_ahead()

        self._in_thread(hash_and_close, verifier, descriptor, end).addBoth(ended)

    async def _thread_ended(self) -> None:
        while self._hashing is not None:
            await self._hashing.wait()
