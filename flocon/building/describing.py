"""What a builder can wall in here, and what it cannot, in sentences. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

_SEES = (
    "a recipe sees this machine's programs, what everybody may read of its settings, and a folder"
    " of its own, which alone it can change"
)
_REACHES = (
    "it has processes, names and a network of its own: while it fetches its sources the only way"
    " out leads to the Internet and not to the LAN, and while it is built there is none"
)
_ALWAYS = "a hole in the kernel lets it out: a machine, or a virtual one, for builds alone does not"
_LEAVES = "whatever it started ends with it, and what it wrote goes with it"


@dataclass(frozen=True, slots=True)
class Here:
    """``root`` is "clean" or "machine"; ``filtered`` is whether its system calls are."""

    root: str
    rights: bool
    grouped: bool
    filtered: bool


def can(here: Here) -> list[str]:
    """Return what is kept apart, a sentence each."""
    said = [_SEES, _REACHES, _LEAVES]
    if here.rights:
        said.append("it runs as a user of its own, without any right")
        said.append("what it needs is installed in a root that is thrown away")
    if here.grouped:
        said.append("the kernel bounds the memory that all of it takes together")
    if here.filtered:
        said.append("it cannot make namespaces, or ask the kernel what no build needs")
    return said


def cannot(here: Here) -> list[str]:
    """Return what is not, a sentence each."""
    return [_ALWAYS, *lacks(here)]


def lacks(here: Here) -> list[str]:
    """Return what is not kept apart here, and is elsewhere, a sentence each."""
    said = []
    if not here.rights:
        said.append("it runs as the user of the builder, who owns whatever a hole leads to")
        said.append("nothing can be installed for it: what a recipe needs must be here")
    if here.root == "machine":
        said.append(
            "it is built over this machine's own programs, whatever is installed here: another"
            " machine may lack what it found"
        )
    if not here.grouped:
        said.append(
            "there is no control group: the memory it takes together is looked at twice a second,"
            " and it may have more in between, and what the kernel keeps for it (sockets, page"
            " tables) ends it only where little memory is left"
        )
    if not here.filtered:
        said.append("this processor's system calls are not known, so none is kept from it")
    return said
