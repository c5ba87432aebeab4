"""What peers are asked of own repositories: what their newest generation is, its files, its key.

Each answer is bounded in bytes and all of them together in time; nothing is believed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flocon.asking.attempts import Limits
from flocon.asking.fetch import Wanted, fetch
from flocon.asking.in_time import in_time
from flocon.asking.small import fetch_small
from flocon.errors import Broken, FloconError, SourceError, Stalled, StoreError
from flocon.joined.candidate import Candidate
from flocon.joined.keys import LARGEST_KEYS
from flocon.joined.offers import Wrong
from flocon.joined.told import LARGEST_TEXT, file_names, load
from flocon.machine.beneath import write_all
from flocon.sources.places import own_url

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from flocon.asking.answer import Head
    from flocon.joined.offers import Offer

#: Seconds of silence, and those for a whole generation: on a LAN it takes a fraction of one.
LIMITS = Limits(first_byte=2.0, stall=2.0, step=16 << 10)
SECONDS = 60.0


class OfferError(FloconError):
    """An offer of which nothing came, and what was wrong with it."""

    def __init__(self, wrong: Wrong, reason: str) -> None:
        super().__init__(wrong, reason)
        self.wrong = wrong
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class _Into:
    """A sink that writes into an open file, and no more bytes than were told."""

    def __init__(self, source: str, file: IO[bytes], size: int) -> None:
        self._source = source
        self._file = file
        self._size = size

    def begin(self, head: Head) -> None:
        if head.size is not None and head.size != self._size:
            raise Broken(self._source, f"has {head.size} bytes where it told of {self._size}")

    def write(self, position: int, data: bytes) -> None:
        if position + len(data) > self._size:
            raise Broken(self._source, f"sent more than the {self._size} bytes that it told of")
        try:
            write_all(self._file.fileno(), data)
        except OSError as error:
            raise StoreError("what comes", error.strerror or str(error)) from None


class Asking:
    """Asks by ``agent``; what comes lies below ``folder`` meanwhile."""

    def __init__(self, reactor: Any, agent: Any, folder: Path) -> None:
        self._reactor = reactor
        self._agent = agent
        self._folder = folder

    async def candidate(self, offer: Offer) -> Candidate:
        """Return what is offered, to be examined and closed; raises OfferError."""
        late = Stalled(offer.address, f"took longer than {SECONDS:g} s")
        try:
            return await in_time(self._reactor, SECONDS, self._candidate(offer), late)
        except (SourceError, StoreError) as error:
            raise OfferError(Wrong.AWAY, str(error)[:200]) from None
        except OSError as error:
            raise OfferError(Wrong.AWAY, error.strerror or str(error)) from None

    async def _candidate(self, offer: Offer) -> Candidate:
        wanted = Wanted(own_url(offer.address, offer.port, offer.name), offer.address)
        text = await fetch_small(self._agent, self._reactor, wanted, LIMITS, LARGEST_TEXT)
        told = load(text, offer.name)
        if told is None:
            raise OfferError(Wrong.UNTOLD, "what it tells of it is not understood")
        if told.signed < offer.signed:
            raise OfferError(Wrong.BEHIND, Wrong.BEHIND.value)
        candidate = Candidate(told, self._folder)
        try:
            for file_name in file_names(offer.name):
                url = own_url(offer.address, offer.port, offer.name, told.sequence, file_name)
                into = _Into(offer.address, candidate.begin(file_name), told.files[file_name].size)
                wanted = Wanted(url, offer.address)
                await fetch(self._agent, self._reactor, wanted, into, LIMITS)
        except BaseException:
            candidate.close()
            raise
        return candidate

    async def key(self, address: str, port: int, name: str) -> bytes:
        """Return the public keys that a peer has for a repository; raises a SourceError."""
        wanted = Wanted(own_url(address, port, name, None, "key"), address)
        return await fetch_small(self._agent, self._reactor, wanted, LIMITS, LARGEST_KEYS)
