"""What becomes of bytes in doubt, and of the readers who were given some of them.

What is wrong is found out by ``judging``; here it is dropped, the file begun anew, and in the end
every reader let go of whose bytes were wrong. Who may be given what meanwhile is ``reader``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flocon.asking.waiting import Outcome
    from flocon.transfers.attempting import Asking
    from flocon.transfers.draft import Draft
    from flocon.transfers.promised import Promised
    from flocon.transfers.readers import Readers
    from flocon.transfers.tools import InThread
    from flocon.transfers.verifying import Verifying


class Doubting:
    """Keeps a draft, its hash and its readers in step when bytes prove wrong.

    ``begun`` is known once readers may have been told of the file.
    """

    def __init__(
        self,
        draft: Draft,
        readers: Readers,
        verifying: Verifying,
        promised: Promised,
        begun: Outcome[None],
    ) -> None:
        self._draft = draft
        self._readers = readers
        self._verifying = verifying
        self._promised = promised
        self._begun = begun

    def drop_peers(self) -> None:
        """Have what peers sent brought anew, and doubt what readers were given of it."""
        self._draft.drop_peers()
        self._readers.doubt(self._draft.contributions.from_mirrors)
        self._verifying.begin_anew()

    def begin_anew(self) -> None:
        """Begin the file anew; what readers were given stays for comparison."""
        keep = bool(self._readers.given)
        begun = self._begun.known
        self._draft.set_aside(keep=keep)
        self._readers.abort_spoilt(self._draft.disputes)
        self._draft.clear()
        self._verifying.begin_anew()
        self._promised.begin_anew(begun=begun)

    async def settle(self, asking: Asking, in_thread: InThread) -> None:
        """Let go of every reader whose bytes, sent before they proved wrong, were wrong.

        Now that the right ones are here it also shows who sent those, which is reported.
        """
        draft, disputes = self._draft, self._draft.disputes
        for source in disputes.to_blame_at_last(draft.differs):
            asking.blame([source])
        self._readers.abort_spoilt(disputes)
        if not (draft.is_superseding and draft.exists):
            return
        if readers := self._readers.given:
            start = min(reader.start for reader in readers)
            end = max(reader.position for reader in readers)
            same = await draft.compare_with_superseded(in_thread, start, end)
            for reader in readers:
                if reader.position > same:
                    reader.abort()
        draft.forget_superseded()
