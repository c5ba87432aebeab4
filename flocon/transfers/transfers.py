"""The transfers of a node: joined by content, completed with their signature, published.

How one file comes is in ``transfer``; whom to ask, what signs and what keeps is handed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from flocon.errors import Broken, FloconError
from flocon.log import logger
from flocon.transfers.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from typing import Any

    from flocon.asking.attempts import Choose, Mirrors
    from flocon.files import Content
    from flocon.transfers.subjects import Subject
    from flocon.transfers.tools import Tools

#: Signatures kept for the question that follows each package.
MOST_SIGNATURES = 512
#: Transfers that go on though nobody follows them any more: more than one pacman's.
MOST_LEFT = 16


class Transfers:
    """The transfers of a node: joined by content, completed with their signature, published.

    ``sign`` finds the signature of a finished transfer (None: it has none anywhere), ``publish``
    takes file and signature into the store.
    """

    _log = logger()

    def __init__(
        self,
        tools: Tools,
        *,
        sign: Callable[[Transfer], Awaitable[bytes | None]],
        publish: Callable[[Transfer, bytes | None], Awaitable[bool]],
    ) -> None:
        self._tools = tools
        self._sign = sign
        self._publish = publish
        self._running: dict[tuple[str, Content | None], Transfer] = {}
        self._alone: set[Transfer] = set()
        #: The newest transfer of each file name.
        self._lately: dict[str, Transfer] = {}
        self._completing: set[Deferred[None]] = set()
        #: Those whose last reader has left, the first to leave first; some have another since.
        self._left: dict[Transfer, None] = {}

    def __iter__(self) -> Iterator[Transfer]:
        yield from self._running.values()
        yield from self._alone

    def find(self, file_name: str, content: Content) -> Transfer | None:
        """Return the transfer that brings this very content, running or just done."""
        return self._running.get((file_name, content))

    def join(
        self,
        subject: Subject,
        choose: Choose,
        mirrors: Mirrors = tuple,
        *,
        unhurried: bool = False,
    ) -> Transfer:
        """Return the transfer of a listed file, started if it was not on its way yet.

        What is ``unhurried`` yields to all else until somebody joins it, or follows it, who waits.
        """
        key = (subject.file_name, subject.content)
        transfer = self._running.get(key)
        if transfer is None:
            transfer = Transfer(self._tools, subject, choose, mirrors, unhurried=unhurried)
            self._running[key] = transfer
            self._remember(transfer)
            self._watch(transfer, lambda: self._running.pop(key, None))
        elif not unhurried:
            transfer.hurry()
        return transfer

    def alone(self, subject: Subject, choose: Choose, mirrors: Mirrors = tuple) -> Transfer:
        """Return a new transfer that nobody else can join and nothing is kept of."""
        transfer = Transfer(self._tools, subject, choose, mirrors)
        transfer.alone = True
        self._alone.add(transfer)
        self._watch(transfer, lambda: self._alone.discard(transfer))
        return transfer

    def signature(self, file_name: str) -> tuple[Transfer, Deferred[bytes | None]] | None:
        """Return the transfer that brought ``file_name`` lately, and its signature to come."""
        transfer = self._lately.get(file_name)
        return None if transfer is None else (transfer, transfer.signature.wait())

    def _remember(self, transfer: Transfer) -> None:
        name = transfer.subject.file_name
        self._lately.pop(name, None)
        self._lately[name] = transfer
        while len(self._lately) > MOST_SIGNATURES:
            del self._lately[next(iter(self._lately))]

    def _was_left(self, transfer: Transfer) -> None:
        """Let few go on that nobody follows: whoever asks and leaves could have many."""
        self._left.pop(transfer, None)
        self._left[transfer] = None
        for one in [one for one in self._left if one.followed or one.finished.known]:
            del self._left[one]
        while len(self._left) > MOST_LEFT:
            one = next(iter(self._left))
            del self._left[one]
            one.cancel()

    def _watch(self, transfer: Transfer, forget: Callable[[], object]) -> None:
        transfer.left = self._was_left
        completing = Deferred.fromCoroutine(self._complete(transfer, forget))
        self._completing.add(completing)

        def ended(result: Any) -> None:
            self._completing.discard(completing)
            if isinstance(result, Failure) and not result.check(CancelledError):
                self._log.failure("keeping {file} failed", result, file=transfer.subject.file_name)

        completing.addBoth(ended)
        transfer.start()

    async def _complete(self, transfer: Transfer, forget: Callable[[], object]) -> None:
        try:
            try:
                await transfer.finished.wait()
            except FloconError as failure:
                self._settle_signature(transfer, failure)
                return
            if transfer.subject.content is not None:
                await self._complete_unit(transfer)
        finally:
            ended = Broken(transfer.subject.file_name, "its signature was not found out")
            self._settle_signature(transfer, ended)
            forget()
            self._left.pop(transfer, None)
            transfer.retire()

    async def _complete_unit(self, transfer: Transfer) -> None:
        """Find the signature, then keep both: a package without its signature is none."""
        try:
            signature = await self._sign(transfer)
        except FloconError as failure:
            self._settle_signature(transfer, failure)
            return
        self._settle_signature(transfer, signature)
        await self._publish(transfer, signature)

    def _settle_signature(self, transfer: Transfer, result: bytes | FloconError | None) -> None:
        if transfer.signature.known:
            return
        if not isinstance(result, FloconError):
            transfer.signature.succeed(result)
            return
        if self._lately.get(transfer.subject.file_name) is transfer:
            del self._lately[transfer.subject.file_name]
        transfer.signature.fail(result)

    def stop(self) -> None:
        """End every transfer; what is not whole is gone."""
        for transfer in list(self):
            transfer.cancel()
        for completing in list(self._completing):
            completing.cancel()
