"""How a job ended, in a word and a sentence. No I/O.

An exit status proves nothing: a recipe's own code may have said it. What counts is which packages
are there; the status only helps to say why there are none.
"""

from __future__ import annotations

from dataclasses import dataclass

BUILT, FAILED = "built", "failed"
TIMED_OUT, TOO_BIG, TOO_MUCH_MEMORY = "timed out", "too big", "too much memory"
DEPENDENCIES, UNREACHABLE, REFUSED = "dependencies", "unreachable", "refused"

#: makepkg(8), ERRORS: 4 to 7 come from what a recipe itself does, or says.
_REASONS = {
    2: "makepkg takes no settings: see in the log what is wrong with the builder's makepkg.conf",
    3: "makepkg does not know an option",
    4: "a function of the PKGBUILD failed",
    5: "a package could not be put together",
    6: "a file that the PKGBUILD names is missing, or the PKGBUILD cannot be read",
    7: "there is no folder to put a package together in",
    8: "dependencies are missing",
    12: "the PKGBUILD is invalid, or not for this architecture",
    15: "a program that the PKGBUILD needs is missing",
    16: "a key for a signature is missing",
    17: "a source was fetched from another address before",
}
#: What curl and git say of an address that does not answer: worth another try later.
_AWAY = (
    "Could not resolve host",
    "Connection timed out",
    "Connection reset by peer",
    "Failed to connect to",
    "The requested URL returned error: 5",
    "The requested URL returned error: 429",
    "CONNECT tunnel failed",
    "Received HTTP code 50",
    "early EOF",
    "unable to access",
)
_UNKNOWN_KEY = "unknown public key"
_KILLED = 128
#: What bubblewrap says in place of all that is said behind a wall.
_NO_WALL = "bwrap: "


@dataclass(frozen=True, slots=True)
class Ending:
    """``result`` is one of the words above; ``reason`` is for a person, "" where it was built."""

    result: str
    reason: str = ""
    exit: int = 0


def step_failed(
    step: str, status: int, tail: str, *, walled: bool = True, installed: bool = False
) -> Ending:
    """Return what came of a step that ended with ``status``, whose last words are ``tail``.

    Only where it was not ``walled`` are they bubblewrap's: behind a wall they are a recipe's. What
    was ``installed`` for it may have put others in the place of the programs that begin it.
    """
    if status == 1 and not walled and tail.startswith(_NO_WALL):
        said = tail.removeprefix(_NO_WALL).strip()[:500]
        if installed:
            reason = "what was installed for it keeps the wall from being built, or this machine"
            return Ending(DEPENDENCIES, f"{reason}: {said}", status)
        return Ending(REFUSED, f"the wall cannot be built: {said}", status)
    if status == 1 and step == "fetch" and _UNKNOWN_KEY in tail:
        reason = (
            "a source is signed by a key that is not known here; the recipe's keys/pgp has none"
            " for it"
        )
        return Ending(FAILED, reason, status)
    if status == 1 and step == "fetch" and any(sign in tail for sign in _AWAY):
        return Ending(UNREACHABLE, "a source could not be fetched", status)
    if status == 1 and step == "fetch":
        return Ending(FAILED, "a source could not be had, or is not what its sum says", status)
    if status < 0 or status > _KILLED:
        number = -status if status < 0 else status - _KILLED
        return Ending(FAILED, f"it was ended by signal {number}", status)
    reason = _REASONS.get(status, f"makepkg ended with status {status}: see its last words")
    return Ending(FAILED, reason, status)


def without_packages(status: int) -> Ending:
    """Return what came of a build that says it went well and left nothing."""
    return Ending(FAILED, "it ended well, it says, and left no package", status)
