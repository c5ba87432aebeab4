"""What is known of one own repository: whose keys are trusted, and what is here. Values.

``publishes`` tells that this machine's signer makes it, ``joined`` that an operator trusted its
keys for this machine; it is one of them at the least.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from flocon.joined.keys import PublicKey
    from flocon.joined.told import Generation
    from flocon.pacman.listing import Database


@dataclass(frozen=True, slots=True)
class Trusted:
    """Whose signatures are taken for a repository: the keys of the file ``keyring``.

    ``announced`` are those that this machine's signer has, where others are trusted by hand.
    """

    name: str
    keyring: Path
    keys: tuple[PublicKey, ...]
    publishes: bool
    joined: bool
    announced: tuple[PublicKey, ...] | None = None

    @property
    def told(self) -> tuple[PublicKey, ...]:
        """The keys that others are told of, to compare them with their maker's own word."""
        return self.keys if self.announced is None else self.announced

    @property
    def fingerprints(self) -> tuple[str, ...]:
        return tuple(one.fingerprint for one in self.keys)


@dataclass(slots=True)
class Known:
    """A repository as it is here now.

    ``newest`` is when the newest generation was signed that was ever taken, 0 for none; its
    ``generation`` and ``database`` are None where its files are not here. ``before`` is the one
    that was so before. ``source`` says where it came from, ``problem`` why there is nothing newer.
    """

    trusted: Trusted
    newest: int = 0
    generation: Generation | None = None
    database: Database | None = field(default=None, repr=False)
    before: Generation | None = None
    source: str = ""
    problem: str = ""
    #: Which generation of its own folder was looked at last.
    looked_at: int = 0

    @property
    def name(self) -> str:
        return self.trusted.name

    @property
    def have(self) -> int:
        """When what is here was signed: one that is taken is signed later.

        What was lost may come again as it was.
        """
        return self.newest if self.generation is not None else max(0, self.newest - 1)

    def took(self, generation: Generation, database: Database, source: str) -> None:
        """Take note of a generation that was verified, and lies here."""
        if self.generation is not None and self.generation.signed < generation.signed:
            self.before = self.generation
        self.generation, self.database = generation, database
        self.newest, self.source, self.problem = generation.signed, source, ""

    def lost(self) -> None:
        """Take note that nothing of it can be given any more."""
        self.generation = self.database = self.before = None

    def find(self, sequence: int) -> Generation | None:
        """Return the generation of that number which is given still."""
        for one in (self.generation, self.before):
            if one is not None and one.sequence == sequence:
                return one
        return None
