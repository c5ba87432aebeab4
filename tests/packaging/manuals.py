"""Finds the commands that README and the manuals tell a person to run.

Found are the lines of literal blocks, ``commands`` in literals and in bold, each form of a
synopsis, and each option that is described. Settings are no commands. Names that stand for
something are capitals, examples are brought to that, and nothing is said of what runs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
TEXTS = (
    "README.rst",
    "docs/switching.rst",
    *(f"docs/{path.name}" for path in sorted(PROJECT.glob("docs/*.[1-8].rst"))),
)
#: What a command begins with.
PROGRAMS = frozenset(
    {
        *("flocon", "twistd", "pacman", "pacman-conf", "systemctl", "journalctl"),
        *("kill", "curl", "make", "cd", "python", "makepkg", "sudo", "ufw", "firewall-cmd"),
    }
)
#: Examples, and what they are examples of.
_EXAMPLES = {
    r"linux-6\S+": "FILE",
    r"(?<=has |get |why )linux\b": "NAME",
    r"(?<=--contains )firefox\b": "NAME",
    r"(?<=repo init |repo join )home\b": "NAME",
}
#: What stands before a line's text, the mark of a list's item too.
_INDENT = re.compile(r"^ *(?:[0-9]+\. |- )?")
_SETTING = re.compile(r"\[{1,2}[a-z]+\]{1,2}|[A-Za-z_.]+ = .*")
_INLINE = re.compile(r"``([^`]+)``|\*\*([^*]+)\*\*")
_SYNOPSIS = re.compile(r"^\| (\*\*.*)$", re.MULTILINE)
_SECTION = re.compile(r"^flocon (.+)\n-+$", re.MULTILINE)
_OPTION = re.compile(r"^(--[a-z][a-z, -]*)((?: [A-Z]+)?)$", re.MULTILINE)
#: Options that stand with every command, and are described once.
_COMMON = re.compile(r"\[--(?:port PORT|json)\] ")


def told() -> dict[str, set[str]]:
    """Return each command with the texts that tell of it."""
    found: dict[str, set[str]] = {}
    for name in TEXTS:
        for command in commands((PROJECT / name).read_text(), name):
            found.setdefault(command, set()).add(name)
    # Without the argument that it needs, a command is only spoken of.
    spoken_of = {one.rpartition(" ")[0] for one in found if one.rpartition(" ")[2].isupper()}
    return {one: names for one, names in found.items() if one not in spoken_of}


def commands(text: str, name: str) -> Iterator[str]:
    """Yield the commands of a text, those of a synopsis in each of its forms."""
    blocks, prose = _parts(text)
    for line in blocks:
        command = line.partition(" #")[0].strip()
        if command and not _SETTING.fullmatch(command):
            yield _general(command)
    for literal, bold in _INLINE.findall(_SYNOPSIS.sub("", prose)):
        command = " ".join((literal or bold).split())
        program, _, arguments = command.partition(" ")
        # A program's name alone is a name; flocon's own manuals are full of it.
        if program in PROGRAMS and arguments:
            yield _general(command)
    for line in _SYNOPSIS.findall(prose):
        yield from _forms(re.sub(r"\\ |\\|\*", "", line))
    yield from _options(prose, name)


def _parts(text: str) -> tuple[list[str], str]:
    """Return the lines of literal blocks, which are indented after ``::``, and all the rest."""
    blocks: list[str] = []
    prose: list[str] = []
    bound: int | None = None
    for line in text.splitlines():
        indent = len(line) - len(_INDENT.sub("", line))
        if bound is not None and line and indent <= bound:
            bound = None
        (prose if bound is None else blocks).append(line)
        if bound is None and line.endswith("::"):
            bound = indent
    return blocks, "\n".join([*prose, ""])


def _general(command: str) -> str:
    # As root, and out of an environment of its own: it is the same command.
    command = re.sub(r"^(?:sudo )?(?:~/[\w./]*/bin/)?", "", command)
    for example, placeholder in _EXAMPLES.items():
        command = re.sub(example, placeholder, command)
    return command


def _forms(line: str) -> Iterator[str]:
    """Yield a synopsis without its optional parts, and once with each of them."""
    line = _COMMON.sub("", line).replace(" | ", "|")
    optional = [one for one in re.findall(r"\[[^]]*\]", line) if one.startswith("[--")]
    for kept in ("", *optional):
        form = line.replace(kept, kept[1:-1]) if kept else line
        yield from _alternatives(re.sub(r"\[[^]]*\](?:\.\.\.)?", "", form))


def _alternatives(text: str) -> list[str]:
    """Return the texts that come of choosing one at each ``|``."""
    choices = [""]
    for word in text.split():
        choices = [f"{before} {one}".strip() for before in choices for one in word.split("|")]
    return choices


def _options(text: str, name: str) -> Iterator[str]:
    """Yield the command of each option that is described, and that option."""
    if name.endswith(".8.rst"):
        parts = ["twistd flocon", text]
    else:
        parts = ["flocon", *_SECTION.split(text)]
        parts[2::2] = [f"flocon {one}" for one in parts[2::2]]
    for command, part in zip(parts[::2], parts[1::2], strict=True):
        for names, argument in _OPTION.findall(part):
            for option in names.split(", "):
                yield f"{command} {option}{argument}"
