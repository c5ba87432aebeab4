"""Opening what is held, for pacman and for others; what turns out to be gone is offered no more."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from flocon.errors import FolderSilent, StoreError
from flocon.files import Content
from flocon.machine.limits import lacks_descriptors
from flocon.store import folder as disk
from flocon.store.folder import Opened

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flocon.holdings.offering import Held, Listed, Offering
    from flocon.holdings.politeness import Politeness
    from flocon.holdings.recollection import Recollection
    from flocon.store.accounts import Accounts, Loan
    from flocon.store.folder import Stamp
    from flocon.store.waiting import Threads


#: Bytes of what is read in the turn it is asked for: to send more takes its time anyway.
MOST_AT_ONCE = 128 << 10


class Opening:
    """Opens packages and signatures; one of the store counts as used then."""

    def __init__(
        self,
        reactor: Any,
        *,
        threads: Threads,
        politeness: Politeness,
        offering: Offering,
        accounts: Accounts,
        recollection: Recollection,
        listed: Callable[[str], Sequence[Listed]],
    ) -> None:
        self._reactor = reactor
        self._threads = threads
        self._politeness = politeness
        self._offering = offering
        self._accounts = accounts
        self._recollection = recollection
        self._listed = listed

    async def open(self, held: Held, *, signature: bool = False, own: bool = True) -> Opened:
        """Open a held package, or its signature.

        Where a sync database carries the signature of this very content, that one is given and not
        whatever lies beside the package: what is there may belong to something else. Otherwise it
        is given unseen; who takes it has to verify it anyway, and to do that here would be a read
        of the whole package for each file. ``own`` if this machine's pacman asks: it does not wait
        behind others.

        Raises StoreError if that is not possible any more; then it is no longer offered, unless
        it was for want of descriptors.
        """
        if own:
            # It puts a copy into its cache, and asks for others: those are looked at afterwards.
            self._politeness.hold_back()
        known = self._known_signature(held) if signature else None
        if known is not None:
            return _in_memory(known, held)
        name, expected = _file_of(held, signature=signature)
        if expected is None:
            raise StoreError(str(held.directory / held.file_name), "has no signature beside it")
        try:
            opened = await (
                self._open_file(held.directory, name, expected, own)
                if held.far is None
                else self._open_far(held.far, held.directory / name, expected, own)
            )
        except FolderSilent:
            # Whether it is still there nobody can tell.
            raise
        except (OSError, StoreError) as error:
            if not lacks_descriptors(error):
                self._offering.lose(held)
            if isinstance(error, StoreError):
                raise
            raise StoreError(str(held.directory / name), error.strerror or str(error)) from None
        if held.far is None:
            self._count(held, opened)
        return opened

    def read_at_once(
        self, held: Held, *, signature: bool, own: bool = True
    ) -> tuple[bytes, float] | None:
        """Return what is small, and its mtime in seconds, where that opens without a disk.

        None where one may be needed, and where it is not there as it was.
        """
        if own:
            self._politeness.hold_back()
        known = self._known_signature(held) if signature else None
        if known is not None:
            return known, held.stamp.modified
        name, expected = _file_of(held, signature=signature)
        if expected is None or expected.size > MOST_AT_ONCE or held.far is not None:
            return None
        try:
            data = disk.read_at_once(held.directory, name, expected)
        except (OSError, StoreError):
            return None
        if data is None:
            return None
        if held.origin == "store":
            self._use(held)
        return data, expected.modified

    async def _open_file(self, directory: Path, name: str, expected: Stamp, own: bool) -> Opened:
        descriptor = disk.open_at_once(directory, name, expected)
        if descriptor is not None:
            return Opened(descriptor, expected)
        pool = self._reactor.getThreadPool() if own else self._threads.opening
        return await self._threads.run(pool, disk.open_now, directory, name, expected)

    async def _open_far(self, root: Path, path: Path, expected: Stamp, own: bool) -> Opened:
        # On few machines alone.
        from flocon.holdings.far import open_far  # noqa: PLC0415

        return await open_far(self._threads, root, path, expected, own=own)

    def _count(self, held: Held, opened: Opened) -> None:
        """Count an open file while it is open; where closing takes a disk, a thread does it."""
        loan: Loan | None = None

        def discard(descriptor: int) -> None:
            # Whoever was the last to have a deleted file open waits for the disk to free it.
            if os.fstat(descriptor).st_nlink:
                os.close(descriptor)
            else:
                self._threads.some_time(partial(os.close, descriptor))
            if loan is not None:
                self._accounts.end(loan)

        opened.discard = discard
        if held.origin == "store":
            self._use(held)
            loan = self._accounts.lend(held.file_name, opened)

    def _use(self, held: Held) -> None:
        """Count a package of the store as used."""
        turn = self._accounts.use(held.file_name)
        self._recollection.remember_turn(held.file_name, turn)

    def _known_signature(self, held: Held) -> bytes | None:
        for one in self._listed(held.file_name):
            if Content(one.size, one.sha256) == held.content and (found := one.read_signature()):
                return found
        return self._offering.late_signature(held.content) if held.origin == "adopted" else None


def _file_of(held: Held, *, signature: bool) -> tuple[str, Stamp | None]:
    """Return what a package or its signature is called where it lies, and what it was."""
    on_disk = held.on_disk or held.file_name
    return (on_disk + ".sig", held.signature) if signature else (on_disk, held.stamp)


def _in_memory(signature: bytes, held: Held) -> Opened:
    """Return an opened file of these bytes, as old as the package; raise StoreError."""
    try:
        descriptor = os.memfd_create("signature", os.MFD_CLOEXEC)
    except OSError as error:
        raise StoreError(held.file_name, error.strerror or str(error)) from None
    opened = Opened(descriptor, held.stamp._replace(size=len(signature)))
    os.pwrite(descriptor, signature, 0)
    return opened
