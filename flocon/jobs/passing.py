"""How a watched recipe passes from one stage to the next: each step gives it as it is afterwards.

No step is taken in passing: what comes of it is written down before anything is done.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flocon.errors import BuildError
from flocon.jobs.watched import Approval, Candidate, Job, Phase, Published

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flocon.jobs.watched import Surprise, Watched

#: How often a build may be ended by something else before it counts as its own failure, and the
#: seconds until a failure that may pass is tried again: twice as many each time.
MOST_INTERRUPTIONS = 3
#: How often the signer may be ended while it looks at what came of one.
MOST_EXAMINED = 8
FIRST_AGAIN, MOST_AGAIN = 900.0, 6
#: Digits of a commit by which a person may call it.
FEWEST_DIGITS = 7
#: Mail addresses of authors, and commits that were refused, that are remembered.
MOST_AUTHORS, MOST_REFUSALS = 64, 64


def seen(one: Watched, candidate: Candidate) -> Watched:
    """Have a commit wait that nobody has approved; whatever waited before is over."""
    return replace(one, candidate=candidate)


def withdrawn(one: Watched) -> Watched:
    """Have nothing wait: the commit that did is there no more."""
    return replace(one, candidate=None)


def approved(
    one: Watched, by: str, now: float, authors: Iterable[str] = (), *, unasked: bool = False
) -> Watched:
    """Have what waits be built; raises BuildError where nothing does, or it cannot be built.

    It is ``unasked`` where no person has said so.
    """
    candidate = one.open
    if candidate is None:
        raise BuildError(f"nothing of {one.base} waits to be approved", "")
    if candidate.lacks:
        remedy = f"'flocon build check {one.base}' looks whether that is so still"
        raise BuildError(f"{one.base} cannot be built: {candidate.lacks[0]}", remedy)
    approval = Approval(
        candidate.commit,
        candidate.version,
        by,
        now,
        tuple(check.check for check in candidate.failing),
        candidate.maintainers,
        candidate.needs,
    )
    known = tuple(dict.fromkeys((*one.authors, *authors)))[-MOST_AUTHORS:]
    return replace(
        one,
        candidate=None,
        approval=approval,
        refused=None,
        refusals=tuple(said for said in one.refusals if said != candidate.commit),
        on_hold="",
        authors=known,
        job=Job(Phase.QUEUED, now, unasked=unasked),
        names=candidate.names or one.names,
        provides=candidate.provides or one.provides,
    )


def accepted(one: Watched, digest: str, now: float) -> Watched:
    """Let pass what the signer found; raises BuildError where that is not what waits."""
    job = one.job
    if job is None or job.phase is not Phase.HELD:
        raise BuildError(f"no package of {one.base} is held", "")
    if digest and not is_meant(digest, job.digest):
        raise BuildError(
            f"something else is held of {one.base} now", f"see 'flocon build diff {one.base}'"
        )
    let = (*job.accepted, job.digest)
    job = replace(job, phase=Phase.EXAMINING, since=now, accepted=let, reasons=())
    return replace(one, job=job)


def rejected(one: Watched, by: str, now: float) -> Watched:
    """Refuse what waits or is held; raises BuildError where nothing is."""
    if one.candidate is not None:
        # Whatever was approved before stays so.
        commits = dict.fromkeys((*one.refusals, one.candidate.commit))
        refusals = tuple(commits)[-MOST_REFUSALS:]
        return replace(one, candidate=None, refused=one.candidate, refusals=refusals)
    job = one.job
    if job is not None and job.phase is Phase.HELD:
        return failed(one, now, [f"{by} refused what came of it"])
    raise BuildError(f"nothing of {one.base} waits to be refused", "")


def again(one: Watched, now: float) -> Watched:
    """Queue what was approved once more; raises BuildError where nothing was."""
    if one.approval is None:
        remedy = f"see 'flocon build diff {one.base}', and approve it"
        raise BuildError(f"nothing of {one.base} was ever approved", remedy)
    return replace(one, job=Job(Phase.QUEUED, now), on_hold="")


def held_back(one: Watched, by: str) -> Watched:
    """Have nothing of it built, and no rule approve of it."""
    job = one.job
    if job is not None and job.phase is Phase.BUILDING:
        job = replace(job, phase=Phase.QUEUED, name="")
    return replace(one, on_hold=by, job=job)


def released(one: Watched) -> Watched:
    return replace(one, on_hold="")


# A job


def begun(one: Watched, name: str, now: float) -> Watched:
    """Begin the building of what was approved: ``name`` is the job's."""
    job = _job(one, Phase.QUEUED)
    attempts = job.attempts + 1
    started = replace(
        job, phase=Phase.BUILDING, since=now, name=name, reasons=(), attempts=attempts, again=0.0
    )
    return replace(one, job=started)


def built(one: Watched, now: float, stands_on: Iterable[tuple[str, str]] = ()) -> Watched:
    """Have what came out of it examined; its files are kept by now."""
    job = replace(
        _job(one, Phase.BUILDING),
        phase=Phase.EXAMINING,
        since=now,
        stands_on=tuple(stands_on),
        interruptions=0,
    )
    return replace(one, job=job)


def held(one: Watched, now: float, surprises: Iterable[Surprise], digest: str) -> Watched:
    """Have a person look at what was found."""
    found = tuple(surprises)
    reasons = tuple(": ".join(filter(None, (one.package, one.what, one.detail))) for one in found)
    job = _job(one, Phase.EXAMINING)
    return replace(
        one,
        job=replace(
            job, phase=Phase.HELD, since=now, surprises=found, digest=digest, reasons=reasons
        ),
    )


def published(
    one: Watched, version: str, now: float, heads: Iterable[tuple[str, str]] = ()
) -> Watched:
    """Take note that it is signed and offered."""
    job = _job(one, Phase.EXAMINING)
    commit = one.approval.commit if one.approval else ""
    made = Published(commit, version, now, tuple(heads), job.stands_on)
    return replace(one, job=None, published=made)


def failed(one: Watched, now: float, reasons: Iterable[str], *, may_pass: bool = False) -> Watched:
    """Take note that it could not be built; what ``may_pass`` is tried again, a few times."""
    job = one.job or Job(Phase.FAILED, now)
    later = 0.0
    if may_pass and job.attempts <= MOST_AGAIN:
        later = now + FIRST_AGAIN * 2 ** max(0, job.attempts - 1)
    return replace(
        one,
        job=replace(job, phase=Phase.FAILED, since=now, reasons=tuple(reasons), again=later),
    )


def interrupted(one: Watched, now: float, why: str) -> Watched:
    """Take up again what something else has ended; after a few times it has failed."""
    job = one.job
    if job is None or job.phase is not Phase.BUILDING:
        return one
    interruptions = job.interruptions + 1
    if interruptions >= MOST_INTERRUPTIONS:
        return failed(one, now, [f"it was ended {interruptions} times: {why}"])
    queued = replace(
        job,
        phase=Phase.QUEUED,
        since=now,
        name="",
        reasons=(why,),
        attempts=job.attempts - 1,
        interruptions=interruptions,
    )
    return replace(one, job=queued)


def unexamined(one: Watched, now: float, why: str) -> Watched:
    """Have it examined once more, as the signer was ended; after some times it has failed.

    What a build made may be what ends it: nothing else would ever be examined.
    """
    job = one.job
    if job is None or job.phase is not Phase.EXAMINING:
        return one
    interruptions = job.interruptions + 1
    if interruptions >= MOST_EXAMINED:
        times = f"the signer was ended {interruptions} times while it looked at it"
        return failed(one, now, [f"{times}: {why}"])
    return replace(one, job=replace(job, interruptions=interruptions))


def put_back(one: Watched) -> Watched:
    """Queue again what is being built, as if it had not begun: this node ends, and knows it."""
    job = one.job
    if job is None or job.phase is not Phase.BUILDING:
        return one
    queued = replace(job, phase=Phase.QUEUED, name="", attempts=job.attempts - 1)
    return replace(one, job=queued)


def due(one: Watched, now: float) -> Watched:
    """Queue once more what had failed for something that may have passed."""
    job = one.job
    if job is None or job.phase is not Phase.FAILED or not job.again:
        return one
    # It failed in times to come where the clock was set back since.
    if job.since <= now < job.again:
        return one
    queued = replace(job, phase=Phase.QUEUED, since=now, name="", again=0.0, unasked=True)
    return replace(one, job=queued)


def found_at_start(one: Watched, now: float, kept: frozenset[str]) -> Watched:
    """Return it as it is when the node begins: ``kept`` are the jobs whose files are whole.

    What was being built begins anew; what had been built is examined, if all of it is there.
    """
    job = one.job
    if job is None:
        return one
    if job.phase is Phase.BUILDING:
        return interrupted(one, now, "the node had ended meanwhile")
    if job.phase in {Phase.EXAMINING, Phase.HELD} and job.name not in kept:
        why = "what was built is not there any more"
        queued = replace(
            job, phase=Phase.QUEUED, since=now, name="", reasons=(why,), accepted=(), surprises=()
        )
        return replace(one, job=queued)
    return one


def is_meant(said: str, whole: str) -> bool:
    """Whether a person's word for a commit or a digest means this one."""
    return len(said) >= FEWEST_DIGITS and whole.startswith(said.lower())


def _job(one: Watched, phase: Phase) -> Job:
    if one.job is None or one.job.phase is not phase:
        raise BuildError(f"{one.base} is not {phase.value}", "")
    return one.job
