"""Keeping what arrived: files to receive into, and what was received as a package of the store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from flocon.files import is_package
from flocon.store.folder import LARGEST_SIGNATURE
from flocon.store.incoming import Incoming
from flocon.store.index import Remembered
from flocon.store.room import OWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from flocon.files import Content
    from flocon.holdings.clearing import Clearing
    from flocon.holdings.offering import Offering
    from flocon.holdings.politeness import Politeness
    from flocon.holdings.recollection import Recollection
    from flocon.store.accounts import Accounts
    from flocon.store.folder import Found
    from flocon.store.incoming import Arrivals
    from flocon.store.room import Lessee
    from flocon.store.store import Received, Store
    from flocon.store.waiting import Threads


class Keeping:
    """Takes received files into the store, once ``store_read`` has fired: it was read then."""

    _log = Logger()

    def __init__(
        self,
        *,
        threads: Threads,
        politeness: Politeness,
        store: Store,
        accounts: Accounts,
        arrivals: Arrivals,
        offering: Offering,
        clearing: Clearing,
        recollection: Recollection,
        store_read: Deferred[None],
        signature_needed: Callable[[str], bool],
    ) -> None:
        self._threads = threads
        self._politeness = politeness
        self._store = store
        self._accounts = accounts
        self._arrivals = arrivals
        self._offering = offering
        self._clearing = clearing
        self._recollection = recollection
        self._store_read = store_read
        self._signature_needed = signature_needed
        #: Why what came last is not kept, where the disk did not take it.
        self.problem = ""

    def incoming(self, size: int | None, lessee: Lessee = OWN) -> Incoming:
        """Return a new file for a transfer; it can be published if its ``keep`` is True.

        Raises StoreError where ``lessee`` may not take so much: see ``store.room``.
        """
        self._politeness.hold_back()
        incoming = self._arrivals.begin(size, lessee)
        if self._accounts.is_crowded:
            self._clearing.trim()
        return incoming

    async def publish(
        self,
        incoming: object,
        file_name: str,
        content: Content,
        signature: bytes | None,
        *,
        spares: bool = False,
    ) -> bool:
        """Take a received file into the store; return whether this node holds it then.

        ``content`` was verified by the caller. If it ``spares`` them, packages that were used
        lately do not go for it. Cancelling does not interrupt it halfway.
        """
        if not is_package(file_name) or not isinstance(incoming, Incoming) or not incoming.keep:
            return self._offering.holds(file_name, content)
        if signature is None and self._signature_needed(file_name):
            return self._offering.holds(file_name, content)
        if signature is not None and not 0 < len(signature) <= LARGEST_SIGNATURE:
            return self._offering.holds(file_name, content)
        self._politeness.hold_back()
        incoming.spares = spares
        # The caller may go and close it; the work goes on.
        incoming.retain()
        work = Deferred.fromCoroutine(self._publish(incoming, file_name, content, signature))
        work.addErrback(self._publish_failed, file_name)
        done: Deferred[bool] = Deferred(lambda _: None)

        def ended(kept: bool) -> None:
            incoming.release()
            if not done.called:
                done.callback(kept)

        work.addCallback(ended)
        return await done

    def _publish_failed(self, failure: Any, file_name: str) -> bool:
        if failure.check(OSError):
            # Said once for all files until one is kept again.
            reason = failure.value.strerror or str(failure.value)
            if not self.problem:
                self._log.warn("{file} is not kept: {reason}", file=file_name, reason=reason)
            self.problem = reason
        else:
            self._log.failure("keeping {file} failed", failure, file=file_name)
        return False

    async def _publish(
        self, incoming: Incoming, file_name: str, content: Content, signature: bytes | None
    ) -> bool:
        await self._store_read
        await self._politeness.lull()

        def harden() -> Received | None:
            if os.fstat(incoming.fileno()).st_size != content.size:
                return None
            return self._arrivals.harden(incoming, signature)

        received = await self._threads.run(self._threads.keeping, harden)
        if received is None:
            return False
        await self._clearing.placing.acquire()
        taken = False
        try:
            taken = await self._place(incoming, file_name, content, received, signature)
        finally:
            self._clearing.placing.release()
            if not taken:
                self._threads.some_time(lambda: self._arrivals.dismiss(received, incoming.name))
        return taken or self._offering.holds(file_name, content)

    async def _place(
        self,
        incoming: Incoming,
        file_name: str,
        content: Content,
        received: Received,
        signature: bytes | None,
    ) -> bool:
        """Make room, then let the package have its name; in the meantime nothing is offered.

        Return whether ``received`` was taken.
        """
        held = self._offering.find(file_name, content)
        if held and held.verified and (held.signed or not signature):
            return False
        name = self._clearing.name_for(file_name, content)
        if name is None:
            return False
        file_name = name
        needed = content.size + len(signature or b"")
        victims = self._accounts.victims(needed, file_name, incoming)
        if self._threads.stopped.is_set() or not incoming.keep or victims is None:
            return False
        self._clearing.forget(victims)
        came = self._accounts.came_ahead if incoming.spares else self._accounts.use
        turn = came(file_name)
        confirmed = content in self._offering.contents(file_name)
        directory = self._store.packages

        def place() -> tuple[Found, Remembered]:
            self._store.drop(victims)
            found = self._store.place(received, file_name)
            known = Remembered(found.stamp, content.sha256, confirmed)
            self._recollection.index.save({(directory, file_name): known}, {file_name: turn})
            return found, known

        found, known = await self._threads.run(self._threads.keeping, place)
        incoming.name = None
        self.problem = ""
        self._recollection.is_saved(directory, file_name)
        self._offering.note_ours([file_name], found, known)
        self._arrivals.placed(incoming, file_name)
        self._offering.tell()
        return True
