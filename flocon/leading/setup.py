"""Lead this machine's pacman to its node for good, and lead it back.

What is to stand where is ``plan``'s to say. Nothing here needs a reactor: it runs in
a command that ends.

A run may be killed at any moment. So the record is written before anything that stands on it and
goes after all of that: whatever lies on the disk, undoing or setting up once more finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flocon.errors import ConfigurationError
from flocon.leading import node_lines, plan
from flocon.leading.look import BACKUP, RECORD, Look, beside, look, record_paths
from flocon.leading.pacman_conf import SERVER_KEYS, Configuration, statements
from flocon.leading.printable import difference, printable, printable_line
from flocon.leading.programs import pacman_version, verifier
from flocon.leading.record import Written, digest_of, dump_record, lines_of, of_both, tells_the_same
from flocon.leading.replacing import Writing, alone, check_backup, check_writable, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from flocon.leading.node_lines import Method, OwnLine
    from flocon.leading.plan import Plan


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, or would be: a unified diff, and sentences for the operator."""

    diff: str
    notes: tuple[str, ...]
    changed: tuple[Path, ...]


def set_up(
    path: Path, *, port: int, method: Method | None = None, databases: bool = False, dry_run: bool
) -> Report:
    """Lead the pacman that reads ``path`` to the node on ``port``; twice is once.

    Without ``method`` pacman's version decides. A set-up on record is brought to what is asked now.
    Raises ConfigurationError, with everything as it was, for what cannot be done.
    """
    with alone(path, dry_run=dry_run):
        return _set_up(path, port, method, databases=databases, dry_run=dry_run)


def _set_up(
    path: Path, port: int, method: Method | None, *, databases: bool, dry_run: bool
) -> Report:
    state = look(path)
    configuration = Configuration(state.root, state.bare, state.included)
    chosen = method or node_lines.method_for(pacman_version(), databases=databases)
    outcome = plan.plan(configuration, chosen, port)
    wanted = dict(state.bare)
    for name in {one.place.path for one in outcome.insertions}:
        mine = [one for one in outcome.insertions if one.place.path == name]
        wanted[name] = node_lines.put_in(state.bare[name], mine)
    changed = [name for name in wanted if wanted[name] != state.now[name]]
    report = _report(state.now, wanted, changed, outcome.notes)
    record = _new_record(state, wanted, outcome)
    if not dry_run:
        sweep({state.root, *state.now, *state.record})
    # Files as they should be and another record: a run was killed when only that was missing.
    if dry_run or (not changed and tells_the_same(record, state.record)):
        return report
    ports = {port} | node_lines.own_ports(lines_of(state.record.values()))
    verify = verifier(state.root, outcome, chosen, port, ports, forced=method is not None)
    _change(state, wanted, changed, record, verify)
    return report


def undo(path: Path, *, dry_run: bool) -> Report:
    """Take the node's lines out again: to the byte where the files are as they were left.

    In a file that somebody changed since, only the lines on record go. Lines written by hand are
    not on record and stay, and a file that is gone keeps none of the others as they are, be it
    pacman.conf itself. Raises ConfigurationError, with everything as it was.
    """
    with alone(path, dry_run=dry_run):
        return _undo(path, dry_run=dry_run)


def still_led(path: Path, ports: Collection[int], but: Collection[str] = ()) -> tuple[str, ...]:
    """Return where lines lead the pacman that reads ``path`` to a node of this machine's now.

    Those of the sections ``but`` are left out.
    """
    try:
        said = list(statements(look(path).configuration))
    except ConfigurationError:
        return ()
    places = (
        str(one.place)
        for one in said
        if one.key in SERVER_KEYS
        and one.section not in but
        and node_lines.is_node(one.value, ports)
    )
    # Several repositories include one file.
    return tuple(printable(place) for place in dict.fromkeys(places))


def _undo(path: Path, *, dry_run: bool) -> Report:
    state = look(path, follow=False)
    notes = []
    for name, written in state.record.items():
        if name not in state.now:
            notes.append(f"{name}: is gone, and so are its lines")
        elif digest_of(state.now[name]) in {written.after, written.before}:
            continue
        elif lost := state.lost.get(name):
            gone = ", ".join(f"'{printable_line(line.content)}'" for line in lost)
            notes.append(f"{name}: {gone} had been taken out by somebody else")
        else:
            notes.append(f"{name}: was changed since; only the node's lines are taken out")
    if not state.record:
        notes.append(f"{state.root}: no set-up is on record; there is nothing to undo")
    changed = [name for name in state.bare if state.bare[name] != state.now[name]]
    report = _report(state.now, state.bare, changed, notes)
    if not dry_run:
        sweep({state.root, *state.now, *state.record})
    if not dry_run and state.record:
        _change(state, state.bare, changed, {}, lambda: None)
    return report


def _change(
    state: Look,
    wanted: Mapping[str, bytes],
    changed: Sequence[str],
    record: Mapping[str, Written],
    verify: Callable[[], None],
) -> None:
    """Write record, backups and files; where that fails or ``verify`` refuses, put all back."""
    record_path = beside(state.root, RECORD, state.included)
    kept = {record_path} if record else set()
    for name in changed:
        check_writable(name, state.now[name])
    old_backups: set[str] = set().union(*(one.backups for one in state.record.values()))
    new_backups = {one.backup: name for name, one in record.items()}
    for backup, name in new_backups.items():
        check_backup(backup, state.bare[name], old_backups)
    with Writing() as writing:
        if record:
            writing.write(record_path, dump_record(of_both(state.record, record)), state.root)
        for backup, name in new_backups.items():
            writing.write(backup, state.bare[name], name)
        for name in changed:
            writing.write(name, wanted[name], name)
        verify()
        for backup in sorted(old_backups - new_backups.keys()):
            writing.remove(backup)
        if record:
            writing.write(record_path, dump_record(record), state.root)
        for name in record_paths(state.root):
            if name not in kept:
                writing.remove(name)


def _new_record(state: Look, wanted: Mapping[str, bytes], outcome: Plan) -> dict[str, Written]:
    lines: dict[str, list[OwnLine]] = {}
    for one in outcome.insertions:
        lines.setdefault(one.place.path, []).append(one.line)
    return {
        name: Written(
            name,
            beside(name, BACKUP, state.included),
            digest_of(state.bare[name]),
            digest_of(wanted[name]),
            tuple(own),
        )
        for name, own in lines.items()
    }


def _report(
    now: Mapping[str, bytes],
    wanted: Mapping[str, bytes],
    changed: Sequence[str],
    notes: Iterable[str],
) -> Report:
    diff = "".join(difference(name, now[name], wanted[name]) for name in changed)
    return Report(diff, tuple(printable(note) for note in notes), tuple(map(Path, changed)))
