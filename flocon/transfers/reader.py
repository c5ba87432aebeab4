"""What readers of a growing file are given, and when: each follows a transfer at its own pace.

The rule itself is ``release``'s; here it is asked for each reader, and again when time alone
lets more go. How bytes are sent is ``growing``'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flocon.transfers import release

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from twisted.internet.interfaces import IDelayedCall

    from flocon.asking.waiting import Outcome
    from flocon.transfers.draft import Draft
    from flocon.transfers.promised import Promised
    from flocon.transfers.subjects import Subject

    class Followed(Protocol):
        """The transfer that a reader follows."""

        subject: Subject
        releasing: Releasing
        finished: Outcome[None]

        @property
        def clock(self) -> Any: ...

        @property
        def verified(self) -> bool: ...

        def follow(self, reader: Reader) -> None: ...

        def unfollow(self, reader: Reader) -> None: ...

        def took(self, count: int) -> None:
            """Learn how many bytes one of its readers was given."""

        def keep_patient(self, position: int) -> None:
            """Have a few bytes of a mirror's to give from ``position`` on."""

        def poke(self) -> None:
            """Begin to answer where that may be now, and tell every reader to look again."""


class Reader:
    """Someone who follows a transfer from ``start`` on.

    One that verifies for itself, as a peer does (``verifies``), is given everything as it comes.
    ``since`` is when its request began, in the clock's seconds, if not now. ``hurried`` tells that
    somebody waits for what it is given.
    """

    def __init__(
        self,
        transfer: Followed,
        start: int,
        *,
        verifies: bool = False,
        since: float | None = None,
        hurried: bool = True,
    ) -> None:
        self.transfer = transfer
        self.start = start
        self.position = start
        self.verifies = verifies
        self.hurried = hurried
        self._clock = transfer.clock
        self._since = self._clock.seconds() if since is None else since
        self._moved = self._since
        self.last_resort = False
        #: Up to where it was given a peer's bytes before some were found to be wrong.
        self.doubtful_until = 0
        self._closed = False
        self._timer: IDelayedCall | None = None
        self._poked: Callable[[], None] | None = None
        self._aborted: Callable[[], None] | None = None
        transfer.follow(self)
        self._arm()

    def limit(self, position: int) -> int:
        """Return up to where this reader may be given bytes now."""
        return self.transfer.releasing.limit(self, position)

    @property
    def waited(self) -> float:
        """Seconds since it asked."""
        return float(self._clock.seconds() - self._since)

    @property
    def idle(self) -> float:
        """Seconds since it was given a byte, or asked."""
        return float(self._clock.seconds() - self._moved)

    def move(self, position: int) -> None:
        """Follow from ``position`` instead, before the first byte is sent."""
        self.start = self.position = position

    def sent(self, count: int) -> None:
        self.position += count
        self.transfer.took(self.position - self.start)
        self._moved = self._clock.seconds()

    def attach(self, poke: Callable[[], None], abort: Callable[[], None]) -> None:
        """Have ``poke`` called when more may go, and ``abort`` when nothing right can follow."""
        self._poked, self._aborted = poke, abort
        self.poke()

    def poke(self) -> None:
        failed = self.transfer.finished.known and not self.transfer.verified
        if failed:
            self.abort()
        elif self._poked is not None:
            self._poked()

    def abort(self) -> None:
        if self._aborted is not None:
            self._aborted()

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._poked = self._aborted = None
        self.transfer.unfollow(self)

    def _arm(self) -> None:
        """Wake up when time alone lets more go."""
        if self._closed or self.verifies or self.transfer.finished.known:
            return
        if not self.transfer.subject.verifiable and self.waited >= release.MIRROR_HOLD:
            return
        due = release.next_release(self.waited, self.idle)
        self._timer = self._clock.callLater(max(0.01, due), self._due)

    def _due(self) -> None:
        self._timer = None
        self.last_resort = self.last_resort or self.idle >= release.LAST_RESORT
        if self.idle >= release.KEEP_PATIENT_AFTER:
            self.transfer.keep_patient(self.position)
        # This may be the moment at which the answer begins.
        self.transfer.poke()
        self._arm()


class Releasing:
    """How far each reader may be given what is here of a file."""

    def __init__(
        self,
        clock: Any,
        subject: Subject,
        draft: Draft,
        promised: Promised,
        finished: Outcome[None],
    ) -> None:
        self._clock = clock
        self._subject = subject
        self._draft = draft
        self._promised = promised
        self._finished = finished

    def limit(self, reader: Reader, position: int) -> int:
        """Return up to where a reader may be given bytes now, from ``position`` on."""
        if self._finished.known and not self._draft.verified:
            return position
        if self._holds_all or self._withholds(reader):
            return position
        progress = self._progress(reader, position)
        if reader.verifies:
            return progress.arrived
        return release.release(progress, position)

    @property
    def _holds_all(self) -> bool:
        """Whether nothing may go out until verified, or until its beginning was looked at."""
        if self._draft.verified:
            return False
        unseen = self._subject.checks is not None and not self._draft.begins_well
        return unseen or self._draft.is_superseding

    def _withholds(self, reader: Reader) -> bool:
        """Whether a reader is to be given nothing before all was verified.

        That is where it was given bytes that are doubted still, or were found to be wrong; and
        another peer's are not even a last resort then.
        """
        draft, contributions = self._draft, self._draft.contributions
        if draft.verified or not draft.disputes.any_doubted:
            return False
        replaced = draft.reach(contributions.arrived, reader.start) >= reader.doubtful_until
        more = draft.reach(contributions.from_mirrors, reader.position) > reader.position
        spoilt = draft.disputes.any_spoilt(reader.start, reader.doubtful_until)
        return not (replaced and more) or spoilt

    def _progress(self, reader: Reader, position: int) -> release.Progress:
        """Describe how the file stands for a reader that is at ``position``."""
        contributions = self._draft.contributions
        return release.Progress(
            size=self._promised.size,
            verifiable=self._subject.verifiable,
            verified=self._draft.verified,
            arrived=self._draft.reach(contributions.arrived, position),
            from_mirrors=self._draft.reach(contributions.from_mirrors, position),
            waited=reader.waited,
            idle=reader.idle,
            last_resort=reader.last_resort,
            mirror_waited=self._clock.seconds() - contributions.mirror_since,
        )
