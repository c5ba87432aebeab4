"""What sources promised of the file that is coming: its size, and which version of it comes.

Whether a head fits what is here already is decided here, also that the file is to begin anew with
it; beginning anew is done elsewhere. Whether what comes is what was promised is not known here. No
I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.asking.answer import NOT_MODIFIED
from flocon.errors import Broken, Contradicted

if TYPE_CHECKING:
    from flocon.asking.answer import Head
    from flocon.asking.source import Source
    from flocon.transfers.subjects import Subject


@dataclass(frozen=True, slots=True)
class Here:
    """What a head has to fit: whether any byte is here, any of a peer's, and readers were told."""

    any: bool
    any_of_a_peer: bool
    begun: bool


class Promised:
    """What is known of a file beforehand: its ``size``, in time, and the ``head`` it came with.

    ``source`` is who brings it: the one that answered last.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self.size = subject.content.size if subject.content else None
        self.head: Head | None = None
        self.source: Source | None = None
        #: The version that readers were told of, once it had to be begun anew.
        self._told: tuple[int | None, str | None] | None = None

    @property
    def not_modified(self) -> bool:
        return self.head is not None and self.head.status == NOT_MODIFIED

    @property
    def version(self) -> str | None:
        """What ties the rest of a file that nobody listed to what of it is here."""
        return (self.head.etag or self.head.modified) if self.head else None

    def take_unchanged(self, source: Source, head: Head, here: Here) -> None:
        """Take it that nothing changed; raise a SourceError where that cannot be."""
        if here.any:
            raise Broken(source.label, "says now that nothing changed")
        self._look_at(source, head)
        self.head, self.source = head, source

    def begins_anew(self, source: Source, head: Head, here: Here) -> bool:
        """Return whether the file begins anew with a head, which is of another version.

        Raises a SourceError where it cannot be that of the file that is coming.
        """
        self._look_at(source, head)
        content, most = self._subject.content, self._subject.most
        if content is not None:
            if head.size not in {None, content.size}:
                raise Broken(source.label, f"has {head.size} bytes instead of {content.size}")
            if head.size is None and here.any_of_a_peer:
                # As likely the page of some network; nothing of that is put among right bytes.
                raise Broken(source.label, "does not say how long it is")
            return False
        if most is not None and (head.size or 0) > most:
            raise Broken(source.label, f"has {head.size} bytes, more than it may")
        version = head.size, head.modified
        if not here.any:
            if self._told not in {None, version}:
                raise Broken(source.label, "has another version of the file")
            return False
        if self.head is None or version == (self.size, self.head.modified):
            return False
        # Another version than the one that began: it starts anew where nobody was told of
        # the first, not even its length; else the two must not be mixed.
        if here.begun:
            raise Broken(source.label, "has another version of the file")
        return True

    def _look_at(self, source: Source, head: Head) -> None:
        checks = self._subject.checks
        if problem := checks.head(source, head) if checks else "":
            raise Contradicted(source.label, problem)

    def take(self, source: Source, head: Head, *, first: bool) -> None:
        """Take the head of who sends now; ``first``: nothing of the file is here."""
        if self.head is None or first:
            self.head = head
        self.size = self.size_of(head)
        self.source = source

    def size_of(self, head: Head) -> int | None:
        """Return the size of the file that a head belongs to, None where nobody knows it."""
        return self._subject.content.size if self._subject.content else head.size

    def begin_anew(self, *, begun: bool) -> None:
        """Forget the head; ``begun``: readers were told of its version, which stays theirs."""
        if begun and self.head is not None and self._told is None:
            self._told = self.size, self.head.modified
        self.head = None
