"""A recipe that is watched: what of it was approved, what waits, what is built, what is published.

Values, and what follows of them. Times are Unix seconds, 0.0 for never; a commit is 40 hex digits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

#: Kinds of places from which a recipe comes.
AUR, FOLDER, GIT = "aur", "folder", "git"


class Phase(StrEnum):
    """How far a job has come."""

    QUEUED = "queued"
    BUILDING = "building"
    EXAMINING = "examining"
    HELD = "held"
    FAILED = "failed"


class Stage(StrEnum):
    """What a person is told of a recipe."""

    WAITS = "waits for a person"
    MATURES = "waits for time"
    QUEUED = "queued"
    BLOCKED = "blocked"
    BUILDING = "building"
    EXAMINING = "examining"
    HELD = "held"
    PUBLISHED = "published"
    FAILED = "failed"
    ON_HOLD = "on hold"
    TAKEN_UP = "taken up by Arch"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a recipe comes from: ``place`` is a base, the path of a folder, or git's address."""

    kind: str
    place: str

    @property
    def can_be_approved_by_rule(self) -> bool:
        """Whether it has a history, in which what is new can be told from what was read."""
        return self.kind != FOLDER


@dataclass(frozen=True, slots=True)
class Needs:
    """What must be there to build: ``bases`` watched here, ``own`` packages that were added here.

    ``packages`` are pacman's, by name.
    """

    bases: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failing:
    """A check that did not pass, by its letter or word, and what is wrong in a sentence."""

    check: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A commit that nobody has approved yet, ``seen`` first at that time.

    ``matures`` is when a rule approves it; 0.0 where a person decides. ``heads`` are those of its
    sources where it is for them that it is to be built again.
    """

    commit: str
    version: str
    seen: float
    failing: tuple[Failing, ...] = ()
    matures: float = 0.0
    needs: Needs = field(default_factory=Needs)
    #: Who maintained it then, the maintainer first.
    maintainers: tuple[str, ...] = ()
    #: What it lacks that can be had nowhere, in sentences.
    lacks: tuple[str, ...] = ()
    #: Its packages, and what they are taken for once it is approved; () where that stays.
    names: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Approval:
    """Who let a commit be built, when, and what a rule had found against it."""

    commit: str
    version: str
    by: str
    when: float
    against: tuple[str, ...] = ()
    maintainers: tuple[str, ...] = ()
    needs: Needs = field(default_factory=Needs)


@dataclass(frozen=True, slots=True)
class Surprise:
    """What the signer found in a package that nobody expected."""

    package: str
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class Job:
    """The building of an approved commit. ``name`` is "" until it begins; its files have it.

    ``again`` is when it is tried once more; 0.0 for never by itself. ``digest`` stands for exactly
    these ``surprises``; ``accepted`` are those of what a person has let pass.
    """

    phase: Phase
    since: float
    name: str = ""
    reasons: tuple[str, ...] = ()
    #: How often it was begun, and how often something ended it that was not its own failure.
    attempts: int = 0
    interruptions: int = 0
    again: float = 0.0
    surprises: tuple[Surprise, ...] = ()
    digest: str = ""
    accepted: tuple[str, ...] = ()
    #: Whether nobody has asked for it in person: that is not done where the link costs by the byte.
    unasked: bool = False
    #: Libraries of our own packages with which it was built: the package, and what it provides.
    stands_on: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """What was signed last; ``heads`` are the commits of its sources that were built, by source.

    ``stands_on`` are the libraries of our own packages with which it was built.
    """

    commit: str
    version: str
    when: float
    heads: tuple[tuple[str, str], ...] = ()
    stands_on: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Watched:
    """All that is kept of a recipe."""

    base: str
    origin: Origin
    #: Its packages, and what they are taken for: ``NAME=VERSION`` of each and of what it provides.
    #: As they were approved, or where nothing was, as they are.
    names: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    since: float = 0.0
    #: Who needs it, by base; "" stands for a person.
    wanted_by: tuple[str, ...] = ("",)
    candidate: Candidate | None = None
    approval: Approval | None = None
    job: Job | None = None
    published: Published | None = None
    #: What a person has refused last.
    refused: Candidate | None = None
    on_hold: str = ""
    #: The repository of Arch that has it now.
    taken_up: str = ""
    #: What else a person should know.
    notes: tuple[str, ...] = ()
    #: What the AUR said last: version and time of change, as text.
    told: str = ""
    #: When its sources' heads were asked for.
    heads_asked: float = 0.0
    #: Mail addresses of the authors of commits that were approved.
    authors: tuple[str, ...] = ()
    #: All commits that a person has refused, the last ones.
    refusals: tuple[str, ...] = ()

    @property
    def open(self) -> Candidate | None:
        """What a person can approve: what waits, or the first commit, though it was refused."""
        return self.candidate or (None if self.approval else self.refused)

    @property
    def commit(self) -> str:
        """The commit that it is about now: what waits, else what was approved."""
        if self.open is not None:
            return self.open.commit
        return self.approval.commit if self.approval else ""

    @property
    def version(self) -> str:
        """The version of that commit, or what came of it."""
        if self.open is not None:
            return self.open.version
        if self.published is not None and self.job is None:
            return self.published.version
        return self.approval.version if self.approval else ""

    @property
    def is_at_work(self) -> bool:
        return self.job is not None and self.job.phase in {Phase.BUILDING, Phase.EXAMINING}

    def stage(self, *, is_blocked: bool = False) -> Stage:
        """Return what to tell of it; the queue knows whether it ``is_blocked``."""
        job = self.job
        if job is not None and self.is_at_work:
            return Stage(job.phase.value)
        if self.taken_up:
            return Stage.TAKEN_UP
        if self.on_hold:
            return Stage.ON_HOLD
        if self.candidate is not None:
            return Stage.MATURES if self.candidate.matures else Stage.WAITS
        if job is not None and job.phase is Phase.QUEUED:
            return Stage.BLOCKED if is_blocked else Stage.QUEUED
        if job is not None:
            return Stage(job.phase.value)
        return Stage.PUBLISHED if self.published else Stage.REJECTED

    def reasons(self) -> tuple[str, ...]:
        """Return why it is in its stage, in sentences."""
        if self.on_hold and not self.is_at_work:
            return (f"{self.on_hold} put it on hold",)
        if self.candidate is not None and not self.is_at_work:
            return tuple(one.sentence for one in self.candidate.failing) + self.candidate.lacks
        return self.job.reasons if self.job else ()

    @property
    def notice(self) -> str:
        """What of it a person is to be told once: the same key for the same thing, "" for none."""
        if self.taken_up:
            return f"taken up {self.base} {self.taken_up}"
        if self.on_hold:
            return ""
        if self.candidate is not None and not self.candidate.matures:
            return f"waits {self.base} {self.candidate.commit}"
        job = self.job
        if job is not None and job.phase is Phase.HELD:
            return f"held {self.base} {job.digest}"
        if job is not None and job.phase is Phase.FAILED and not job.again:
            return f"failed {self.base} {job.name}"
        return ""
