"""What bash, zsh and fish need to complete ``flocon``: made from the parser, so never behind it.

The package installs what ``flocon completion SHELL`` prints. Names of peers are asked of the node
when they are wanted; there are none where it does not answer.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.cli.parser import make_parser
from flocon.terminal.printing import put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Prints names of peers, one a line. Peers choose them: one that begins with a dash would be taken
#: for an option, and any sign that a shell reads is offered by no one.
_PEERS = (
    "flocon peers --json 2>/dev/null | sed -n "
    '\'s/^ *"name": "\\([A-Za-z0-9][A-Za-z0-9._-]*\\)",$/\\1/p\''
)


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its names, what it takes (empty for a flag), and a sentence."""

    names: tuple[str, ...]
    takes: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its options, what its arguments are called, whether the last may be several.

    ``verbs`` are the commands behind a word that has some; their names have that word, too.
    """

    name: str
    text: str
    options: tuple[Option, ...]
    arguments: tuple[str, ...]
    choices: tuple[str, ...]
    repeats: bool = False
    verbs: tuple[Command, ...] = ()

    @property
    def word(self) -> str:
        return self.name.rpartition(" ")[2]


def show(options: argparse.Namespace) -> None:
    put(script(options.shell))


def script(shell: str) -> str:
    """Return the completion of ``shell``: "bash", "zsh" or "fish"."""
    make: dict[str, Callable[[tuple[Option, ...], list[Command]], str]] = {
        "bash": _bash,
        "zsh": _zsh,
        "fish": _fish,
    }
    parser = make_parser()
    return make[shell](_options(parser), commands(parser))


def commands(parser: argparse.ArgumentParser, before: str = "") -> list[Command]:
    """Return every command of the parser, in its order; ``before`` stands before their names."""
    found = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to be asked
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            texts = {one.dest: one.help or "" for one in action._choices_actions}  # noqa: SLF001
            found = [
                _command(before + name, texts[name], one) for name, one in action.choices.items()
            ]
    return found


def every_command(parser: argparse.ArgumentParser) -> Iterator[Command]:
    """Yield every command that can be given: in the place of one with verbs, these."""
    for command in commands(parser):
        yield from command.verbs or (command,)


def _command(name: str, text: str, parser: argparse.ArgumentParser) -> Command:
    verbs = tuple(commands(parser, f"{name} "))
    positional = [one for one in parser._actions if not one.option_strings]  # noqa: SLF001
    choices = [str(choice) for one in positional for choice in one.choices or ()]
    names = tuple(str(one.metavar or one.dest).upper() for one in positional)
    repeats = any(one.nargs == "+" for one in positional)
    return Command(name, text, _options(parser), names, tuple(choices), repeats, verbs)


def _options(parser: argparse.ArgumentParser) -> tuple[Option, ...]:
    return tuple(
        Option(
            tuple(action.option_strings),
            "" if action.nargs == 0 else str(action.metavar or action.dest).upper(),
            (action.help or "") % {"default": action.default} if action.help else "",
        )
        for action in parser._actions  # noqa: SLF001
        if action.option_strings
    )


def _words(options: tuple[Option, ...]) -> list[str]:
    return [name for option in options for name in option.names if name.startswith("--")]


def _bash(common: tuple[Option, ...], every: list[Command]) -> str:
    cases = []
    for command in (one for group in every for one in (group, *group.verbs)):
        if command.name == "pacman":
            continue
        words = " ".join([*_words(command.options), *command.choices])
        peers = f'; words+=" $({_PEERS})"' if command.arguments == ("PEER",) else ""
        name = f'"{command.name}"' if " " in command.name else command.name
        cases.append(f'        {name}) words="{words}"{peers} ;;')
    groups = "|".join(command.name for command in every if command.verbs)
    names = " ".join(command.name for command in every)
    return f"""\
# bash completion for flocon; made by `flocon completion bash`.

_flocon() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
    local command="" at words
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${{COMP_WORDS[at]}} in
        --port) ((at++)) ;;
        -*) ;;
        *)
            command+="${{command:+ }}${{COMP_WORDS[at]}}"
            [[ $command =~ ^({groups})$ ]] || break
            ;;
        esac
    done
    case $previous in
    --pacman-conf) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    --port) return ;;
    esac
    if [[ $command == pacman ]]; then
        declare -F _command_offset > /dev/null && _command_offset "$at"
        return
    fi
    case $command in
        "") words="{names} {" ".join(_words(common))}" ;;
{chr(10).join(cases)}
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}}

complete -F _flocon flocon
"""


def _zsh(common: tuple[Option, ...], every: list[Command]) -> str:
    listed = "\n".join(f"    {_zsh_quoted(f'{one.name}:{one.text}')}" for one in every)
    cases = [_zsh_case(command, "    ") for command in every]
    options = " \\\n    ".join(map(_zsh_option, common))
    return f"""\
#compdef flocon
# zsh completion for flocon; made by `flocon completion zsh`.

_flocon_peers() {{
  local -a peers
  peers=(${{(f)"$({_PEERS})"}})
  _describe peer peers
}}

_flocon() {{
  local -a commands
  commands=(
{listed}
  )
  local curcontext=$curcontext state line
  _arguments -C \\
    {options} \\
    '1:command:->command' \\
    '*::argument:->argument'
  case $state in
  command) _describe command commands ;;
  argument)
    case $line[1] in
{chr(10).join(cases)}
    esac
    ;;
  esac
}}

_flocon "$@"
"""


def _zsh_case(command: Command, indent: str) -> str:
    """Return what is offered behind a command, as a branch of ``case``."""
    if command.name == "pacman":
        return f"{indent}pacman) _normal ;;"
    specs = [*map(_zsh_option, command.options), *_zsh_arguments(command)]
    inner, ends = f"{indent}  ", f"{indent}  ;;"
    if not command.verbs:
        lines = f" \\\n{inner}  ".join(specs)
        return f"{indent}{command.word})\n{inner}_arguments \\\n{inner}  {lines}\n{ends}"
    lines = f" \\\n{inner}  ".join([*specs, "'*::argument:->verb'"])
    verbs = "\n".join(_zsh_case(verb, inner) for verb in command.verbs)
    return (
        f"{indent}{command.word})\n{inner}_arguments -C \\\n{inner}  {lines}\n"
        f"{inner}[[ $state == verb ]] && case $line[1] in\n{verbs}\n{inner}esac\n{ends}"
    )


def _zsh_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _zsh_option(option: Option) -> str:
    text = option.text.replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    takes = ""
    if option.takes:
        takes = f":{option.takes.lower()}:{'_files' if option.takes == 'FILE' else ''}"
    names = option.names
    if len(names) == 1:
        return _zsh_quoted(f"{names[0]}[{text}]{takes}")
    exclusive = f"({' '.join(names)})"
    return f"'{exclusive}'{{{','.join(names)}}}" + _zsh_quoted(f"[{text}]{takes}")


def _zsh_arguments(command: Command) -> list[str]:
    if command.choices:
        return [_zsh_quoted(f"1:{command.arguments[0].lower()}:({' '.join(command.choices)})")]
    if command.arguments == ("PEER",):
        return ["'1:peer:_flocon_peers'"]
    place = "*" if command.repeats else "1"
    return [_zsh_quoted(f"{place}:{name.lower()}: ") for name in command.arguments]


def _fish(common: tuple[Option, ...], every: list[Command]) -> str:
    lines = [
        "# fish completion for flocon; made by `flocon completion fish`.",
        "",
        "function __flocon_needs_command",
        "    set -l words (commandline -opc)",
        "    for word in $words[2..-1]",
        "        string match -qr '^(-|[0-9]+$)' -- $word; or return 1",
        "    end",
        "end",
        "",
        "complete -c flocon -f",
    ]
    lines += [_fish_option("__flocon_needs_command", option) for option in common]
    for command in every:
        lines.append(
            f"complete -c flocon -n __flocon_needs_command -a {command.name}"
            f" -d {_fish_quoted(command.text)}"
        )
    for command in (one for group in every for one in (group, *group.verbs)):
        seen = _fish_seen(command, every)
        if command.name == "pacman":
            lines.append(
                f"complete -c flocon -n '{seen}' -a '(__fish_complete_subcommand --fcs-skip=2)'"
            )
            continue
        lines += [_fish_option(seen, option) for option in command.options]
        if command.choices:
            lines.append(f"complete -c flocon -n '{seen}' -a '{' '.join(command.choices)}'")
        if command.arguments == ("PEER",):
            lines.append(f"complete -c flocon -n '{seen}' -a {_fish_quoted(f'({_PEERS})')}")
    return "\n".join(lines) + "\n"


def _fish_seen(command: Command, every: list[Command]) -> str:
    """Return fish's condition for a command that was given, and no one behind it."""
    seen = [f"__fish_seen_subcommand_from {word}" for word in command.name.split()]
    if command.verbs:
        others = [verb.word for verb in command.verbs]
    else:
        # The word may be another command's verb.
        verbs = {one.name: {verb.word for verb in one.verbs} for one in every}
        others = [name for name, words in verbs.items() if command.name in words]
    if others:
        seen.append(f"not __fish_seen_subcommand_from {' '.join(others)}")
    return "; and ".join(seen)


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _fish_option(condition: str, option: Option) -> str:
    names = "".join(
        f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}" for name in option.names
    )
    takes = ""
    if option.takes:
        takes = " -r -F" if option.takes == "FILE" else " -x"
    return f"complete -c flocon -n '{condition}'{names}{takes} -d {_fish_quoted(option.text)}"
