"""Lead this machine's pacman to its node, once or for good, and lead it back.

Here files are found, read, compared, written and restored, and pacman's own programs are asked;
what is to stand where is ``core.pacman_conf``'s to say. Nothing here needs a reactor: it runs in
a command that ends, and ``borrow`` ends by becoming pacman.

Beside each changed file lies ``FILE.flocon-backup``, the file without the node's lines, and beside
pacman.conf ``FILE.flocon-setup``, the record of what was written where. Where an Include would
read them as configuration, their names begin with a dot.

A run may be killed at any moment. So the record is written before anything that stands on it and
goes after all of that: whatever lies on the disk, undoing or setting up once more finds it. Files
are replaced at once by ``.FILE.flocon-new``, and one that was left half written is removed by the
next run; only one runs at a time.
"""

from __future__ import annotations

import difflib
import fcntl
import fnmatch
import glob
import hashlib
import http.client
import json
import os
import re
import shutil
import stat
import subprocess
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from flocon.core import node_lines, pacman_conf, set_up_plan
from flocon.core.node_lines import Method, OwnLine
from flocon.core.pacman_conf import Configuration
from flocon.errors import ConfigurationError, FloconError, ToolError, ToolMissing
from flocon.options import DEFAULT_PACMAN_CONF
from flocon.reading import read_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from flocon.core.set_up_plan import Plan

BACKUP = ".flocon-backup"
RECORD = ".flocon-setup"
#: What becomes a file once it is whole.
UNFINISHED = ".flocon-new"
#: Bytes of one file of pacman's; a list of all mirrors has a hundredth of that.
LARGEST_FILE = 4 << 20
#: Seconds for pacman and pacman-conf to say what they are asked.
PATIENCE = 10
#: Seconds for a node on this machine to say that it is there.
QUICK = 1
_RECORD_VERSION = 1
_UNKNOWN = "'CacheServer' in section"


@dataclass(frozen=True, slots=True)
class Report:
    """What was done, or would be: a unified diff, and sentences for the operator."""

    diff: str
    notes: tuple[str, ...]
    changed: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Written:
    """One file on record: where its backup is, digests of both, and the lines put in.

    ``older`` are backups of the set-up that this one is taking the place of.
    """

    path: str
    backup: str
    before: str
    after: str
    lines: tuple[OwnLine, ...]
    older: tuple[str, ...] = ()

    @property
    def backups(self) -> set[str]:
        return {self.backup, *self.older}


@dataclass(slots=True)
class _State:
    """One look at the disk: ``now`` as files are, ``bare`` without the lines on record."""

    root: str
    included: dict[str, tuple[str, ...]]
    now: dict[str, bytes]
    bare: dict[str, bytes]
    record: dict[str, _Written]
    lost: dict[str, tuple[OwnLine, ...]] = field(default_factory=dict)


# What the commands do


def set_up(
    path: Path, *, port: int, method: Method | None = None, databases: bool = False, dry_run: bool
) -> Report:
    """Lead the pacman that reads ``path`` to the node on ``port``; twice is once.

    Without ``method`` pacman's version decides. A set-up on record is brought to what is asked now.
    Raises ConfigurationError, with everything as it was, for what cannot be done.
    """
    with _alone(path, dry_run=dry_run):
        return _set_up(path, port, method, databases=databases, dry_run=dry_run)


def _set_up(
    path: Path, port: int, method: Method | None, *, databases: bool, dry_run: bool
) -> Report:
    state = _look(path)
    configuration = Configuration(state.root, state.bare, state.included)
    chosen = method or node_lines.method_for(pacman_version(), databases=databases)
    outcome = set_up_plan.plan(configuration, chosen, port)
    wanted = dict(state.bare)
    for name in {one.place.path for one in outcome.insertions}:
        mine = [one for one in outcome.insertions if one.place.path == name]
        wanted[name] = node_lines.put_in(state.bare[name], mine)
    changed = [name for name in wanted if wanted[name] != state.now[name]]
    report = _report(state.now, wanted, changed, outcome.notes)
    record = _new_record(state, wanted, outcome)
    if not dry_run:
        _sweep(state)
    # Files as they should be and another record: a run was killed when only that was missing.
    if dry_run or (not changed and _same(record, state.record)):
        return report
    ports = {port} | node_lines.own_ports(_lines(state.record.values()))
    verify = _verifier(state.root, outcome, chosen, port, ports, forced=method is not None)
    _change(state, wanted, changed, record, verify)
    return report


def undo(path: Path, *, dry_run: bool) -> Report:
    """Take the node's lines out again: to the byte where the files are as they were left.

    In a file that somebody changed since, only the lines on record go. Lines written by hand are
    not on record and stay, and a file that is gone keeps none of the others as they are, be it
    pacman.conf itself. Raises ConfigurationError, with everything as it was.
    """
    with _alone(path, dry_run=dry_run):
        return _undo(path, dry_run=dry_run)


def _undo(path: Path, *, dry_run: bool) -> Report:
    state = _look(path, follow=False)
    notes = []
    for name, written in state.record.items():
        if name not in state.now:
            notes.append(f"{name}: is gone, and so are its lines")
        elif _digest(state.now[name]) in {written.after, written.before}:
            continue
        elif lost := state.lost.get(name):
            gone = ", ".join(f"'{_shown(line.content)}'" for line in lost)
            notes.append(f"{name}: {gone} had been taken out by somebody else")
        else:
            notes.append(f"{name}: was changed since; only the node's lines are taken out")
    if not state.record:
        notes.append(f"{state.root}: no set-up is on record; there is nothing to undo")
    changed = [name for name in state.bare if state.bare[name] != state.now[name]]
    report = _report(state.now, state.bare, changed, notes)
    if not dry_run:
        _sweep(state)
    if not dry_run and state.record:
        _change(state, state.bare, changed, {}, lambda: None)
    return report


def borrow(
    arguments: Sequence[str],
    *,
    port: int,
    tell: Callable[[str], None],
    execute: Callable[[str, list[str], dict[str, str]], None] = os.execvpe,
) -> None:
    """Become ``pacman ARGUMENTS``, led to the node if one answers and plain if not.

    The changed configuration is a file without a name (memfd) that ends with pacman, so there is
    nothing to clean up, and the exit status is pacman's own. ``tell`` gets the sentence for the
    operator where it stays plain. Raises ToolMissing where there is no pacman.
    """
    base, rest = _named_configuration(arguments)
    command = ["pacman", *arguments]
    environment = dict(os.environ)
    if shutil.which("pacman") is None:
        raise ToolMissing("pacman")
    try:
        text = _borrowed_text(base, rest, port)
    except FloconError as error:
        tell(_printable(f"{error}; pacman goes on without the node"))
    else:
        if text is not None:
            command = ["pacman", "--config", _nameless_file(text), *rest]
            environment.update(_without_proxy(environment))
    execute("pacman", command, environment)


def read(path: Path) -> Configuration:
    """Return pacman's configuration as it is, all that it includes with it.

    Raises ConfigurationError where a part of it cannot be read.
    """
    state = _look(path)
    return Configuration(state.root, state.now, state.included)


def pacman_version() -> tuple[int, int]:
    """Ask pacman for its version; raise ConfigurationError where it cannot say."""
    try:
        _, output, _ = _run("pacman", "--version")
    except ToolError as error:
        problem = f"the version of pacman is not known ({error.reason})"
    else:
        if version := node_lines.parse_version(output):
            return version
        problem = "the version of pacman is not in what 'pacman --version' prints"
    remedy = "name the line with --server or --cache-server"
    raise ConfigurationError("pacman", problem, remedy)


def node_answers(port: int) -> bool:
    """Whether a node answers on this machine, within a second or so; no proxy is asked."""
    for host in ("127.0.0.1", "::1"):
        connection = http.client.HTTPConnection(host, port, timeout=QUICK)
        try:
            connection.request("GET", "/check")
            response = connection.getresponse()
            if response.status == http.client.OK and response.read(16).startswith(b"OK"):
                return True
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return False


# Reading


def _look(path: Path, *, follow: bool = True) -> _State:
    root = os.path.realpath(path)
    record = _load_record(root)
    state = _State(root, {}, {}, {}, record)
    # Where the lines are to go, what is gone has none; what cannot be read may have.
    if follow or not record or Path(root).exists():
        _read_into(state, root, str(path))
    for name in record:
        if Path(name).exists():
            _read_into(state, name, name)
    if follow:
        _follow(state)
    return state


def _read_into(state: _State, name: str, where: str, what: str = "") -> None:
    if name in state.now:
        return
    try:
        text = b"" if Path(name).is_dir() else read_plain(name, LARGEST_FILE)
    except OSError as error:
        problem = f"{what}cannot be read ({error.strerror})"
        remedy = "check the path and its permissions"
        raise ConfigurationError(_printable(where), problem, remedy) from None
    state.now[name] = text
    written = state.record.get(name)
    bare, lost = node_lines.take_out(text, written.lines if written else ())
    state.bare[name] = bare
    if lost:
        state.lost[name] = lost


def _follow(state: _State, *, relative: bool = False) -> None:
    """Read every file that is included, however deep."""
    waiting, seen = [state.root], set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for index, pattern in pacman_conf.include_patterns(state.bare[name]):
            place = f"{name} line {index + 1}"
            if not pattern.startswith("/") and not relative:
                problem = f"includes {pattern!r}, which depends on the folder pacman is started in"
                raise ConfigurationError(_printable(place), problem, "write a path from /")
            if pattern not in state.included:
                state.included[pattern] = _matches(pattern)
            for one in state.included[pattern]:
                _read_into(state, one, place, f"includes {_printable(pattern)}, which ")
                waiting.append(one)


def _matches(pattern: str) -> tuple[str, ...]:
    """Return the files a glob(3) pattern names, or itself where it names none."""
    names = sorted(glob.glob(re.sub(r"\\(.)", r"[\1]", pattern)))  # noqa: PTH207 - relative too
    return tuple(os.path.realpath(name) for name in names or [pattern])


# Writing


def _change(
    state: _State,
    wanted: Mapping[str, bytes],
    changed: Sequence[str],
    record: Mapping[str, _Written],
    verify: Callable[[], None],
) -> None:
    """Write record, backups and files; where that fails or ``verify`` refuses, put all back."""
    record_path = _beside(state.root, RECORD, state.included)
    kept = {record_path} if record else set()
    for name in changed:
        _check_writable(name, state.now[name])
    old_backups: set[str] = set().union(*(one.backups for one in state.record.values()))
    new_backups = {one.backup: name for name, one in record.items()}
    for backup, name in new_backups.items():
        _check_backup(backup, state.bare[name], old_backups)
    with _Writing() as writing:
        if record:
            writing.write(record_path, _dump_record(_both(state.record, record)), state.root)
        for backup, name in new_backups.items():
            writing.write(backup, state.bare[name], name)
        for name in changed:
            writing.write(name, wanted[name], name)
        verify()
        for backup in sorted(old_backups - new_backups.keys()):
            writing.remove(backup)
        if record:
            writing.write(record_path, _dump_record(record), state.root)
        for name in _record_paths(state.root):
            if name not in kept:
                writing.remove(name)


class _Writing:
    """What is written and removed within a ``with``: all of it, or where that fails nothing."""

    def __init__(self) -> None:
        self._before: dict[str, bytes | None] = {}

    def write(self, name: str, text: bytes, like: str) -> None:
        self._before.setdefault(name, _content(name))
        _write(name, text, like=like)

    def remove(self, name: str) -> None:
        self._before.setdefault(name, _content(name))
        Path(name).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for name in reversed(self._before):
                _put_back(name, self._before[name])


def _same(new: Mapping[str, _Written], old: Mapping[str, _Written]) -> bool:
    """Whether two records tell of the same lines and backups, whatever else the files say."""

    def told(record: Mapping[str, _Written]) -> dict[str, object]:
        return {name: (one.backups, Counter(one.lines)) for name, one in record.items()}

    return told(new) == told(old)


def _both(old: Mapping[str, _Written], new: Mapping[str, _Written]) -> dict[str, _Written]:
    """Return the record of the moment in which files have the lines of either."""
    result = {**old, **new}
    for name in old.keys() & new.keys():
        lines = Counter(old[name].lines) | Counter(new[name].lines)
        older = old[name].backups - {new[name].backup}
        result[name] = replace(new[name], lines=tuple(lines.elements()), older=tuple(sorted(older)))
    return result


@contextmanager
def _alone(path: Path, *, dry_run: bool) -> Iterator[None]:
    """Let no other run change what this one does; whoever is killed lets go."""
    folder = Path(os.path.realpath(path)).parent
    if dry_run or not folder.is_dir():
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        remedy = "check the path and its permissions"
        raise ConfigurationError(_printable(str(folder)), problem, remedy) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        problem = "is being set up by another 'flocon setup' at this moment"
        raise ConfigurationError(_printable(str(path)), problem, "wait for its end") from None
    finally:
        os.close(descriptor)


def _sweep(state: _State) -> None:
    """Remove what a run that was killed left half written beside these files."""
    names = {state.root, *state.now, *state.record}
    for folder in {Path(name).parent for name in names}:
        for left in folder.glob(f".*{UNFINISHED}"):
            # Without the right to, nothing else can be written here either, and that is told.
            with suppress(OSError):
                left.unlink()


def _put_back(name: str, text: bytes | None) -> None:
    # What fails here must not keep the others from being put back, nor hide why they are.
    with suppress(OSError, ConfigurationError):
        if text is None:
            Path(name).unlink(missing_ok=True)
        elif _content(name) is None:
            Path(name).write_bytes(text)
        elif _content(name) != text:
            _write(name, text, like=name)


def _content(name: str) -> bytes | None:
    try:
        return read_plain(name, LARGEST_FILE)
    except OSError:
        return None


def _check_writable(name: str, text: bytes) -> None:
    path = Path(name)
    where = _printable(name)
    for one in (path, path.parent):
        if not os.access(one, os.W_OK, effective_ids=True):
            problem = f"cannot be written (no permission for {_printable(str(one))})"
            raise ConfigurationError(where, problem, "run this as root, on a writable file system")
    if path.stat().st_nlink > 1:
        problem = "has another hard link, which would keep the old text"
        raise ConfigurationError(where, problem, "make it a file of its own")
    if _content(name) != text:
        raise ConfigurationError(where, "was changed just now", "run this again")


def _check_backup(backup: str, text: bytes, known: Iterable[str]) -> None:
    there = _content(backup)
    if there is not None and there != text and backup not in known:
        problem = "is there already and belongs to no set-up on record"
        raise ConfigurationError(_printable(backup), problem, "move it away")


def _write(name: str, text: bytes, *, like: str) -> None:
    """Replace a file at once or not at all, with owner, mode and attributes of ``like``."""
    path = Path(name)
    temporary = path.with_name(f".{path.name[:200]}{UNFINISHED}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                _make_alike(file.fileno(), like)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        remedy = "run this as root, on a writable file system"
        raise ConfigurationError(_printable(name), problem, remedy) from None


def _make_alike(descriptor: int, like: str) -> None:
    model, own = Path(like).stat(), os.fstat(descriptor)
    if (model.st_uid, model.st_gid) != (own.st_uid, own.st_gid):
        os.fchown(descriptor, model.st_uid, model.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(model.st_mode))
    # Access lists and labels, as far as the file system and our rights go.
    with suppress(OSError):
        for attribute in os.listxattr(like):
            with suppress(OSError):
                os.setxattr(descriptor, attribute, os.getxattr(like, attribute))


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# The record


def _beside(name: str, suffix: str, patterns: Iterable[str]) -> str:
    path = Path(name)
    candidate = str(path.with_name(path.name + suffix))
    for pattern in patterns:
        folder, _, last = pattern.rpartition("/")
        here = os.path.realpath(folder or "/") == str(path.parent)
        if fnmatch.fnmatchcase(candidate, pattern) or (
            here and fnmatch.fnmatchcase(path.name + suffix, last)
        ):
            return str(path.with_name(f".{path.name}{suffix}"))
    return candidate


def _record_paths(root: str) -> list[str]:
    path = Path(root)
    return [str(path.with_name(f"{dot}{path.name}{RECORD}")) for dot in ("", ".")]


def _new_record(state: _State, wanted: Mapping[str, bytes], outcome: Plan) -> dict[str, _Written]:
    lines: dict[str, list[OwnLine]] = {}
    for one in outcome.insertions:
        lines.setdefault(one.place.path, []).append(one.line)
    return {
        name: _Written(
            name,
            _beside(name, BACKUP, state.included),
            _digest(state.bare[name]),
            _digest(wanted[name]),
            tuple(own),
        )
        for name, own in lines.items()
    }


def _dump_record(record: Mapping[str, _Written]) -> bytes:
    files = [
        {
            "path": one.path,
            "backup": one.backup,
            "before": one.before,
            "after": one.after,
            "lines": [[line.section, os.fsdecode(line.content)] for line in one.lines],
            **({"older": list(one.older)} if one.older else {}),
        }
        for one in record.values()
    ]
    return json.dumps({"version": _RECORD_VERSION, "files": files}, indent=1).encode() + b"\n"


def _load_record(root: str) -> dict[str, _Written]:
    for path in _record_paths(root):
        text = _content(path)
        if text is None:
            continue
        try:
            return {one.path: one for one in _parse_record(text)}
        except (ValueError, KeyError, TypeError, RecursionError):
            problem = "is not a record that this flocon reads"
            remedy = f"restore FILE{BACKUP} by hand, and remove it"
            raise ConfigurationError(_printable(path), problem, remedy) from None
    return {}


def _parse_record(text: bytes) -> list[_Written]:
    table = json.loads(text)
    if table["version"] != _RECORD_VERSION:
        raise ValueError(table["version"])
    return [
        _Written(
            path=str(one["path"]),
            backup=str(one["backup"]),
            before=str(one["before"]),
            after=str(one["after"]),
            lines=tuple(OwnLine(str(section), os.fsencode(line)) for section, line in one["lines"]),
            older=tuple(map(str, one.get("older", ()))),
        )
        for one in table["files"]
    ]


def _lines(record: Iterable[_Written]) -> Iterable[OwnLine]:
    return (line for one in record for line in one.lines)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


# Asking pacman's own programs


def _run(tool: str, *arguments: str) -> tuple[int, str, str]:
    if shutil.which(tool) is None:
        raise ToolMissing(tool)
    try:
        done = subprocess.run(  # noqa: S603 - a fixed name, and arguments that are paths
            [tool, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(tool, str(error)) from None
    return done.returncode, os.fsdecode(done.stdout), os.fsdecode(done.stderr)


def _verifier(
    root: str, outcome: Plan, method: Method, port: int, ports: set[int], *, forced: bool
) -> Callable[[], None]:
    """Have pacman-conf read the configuration now; return what compares it with a later one.

    Without pacman-conf nothing is compared. Raises ConfigurationError where it reads an error.
    """
    if shutil.which("pacman-conf") is None:
        return lambda: None
    status, before, errors = _run("pacman-conf", "--config", root)
    if status != 0:
        problem = f"pacman itself cannot read it ({_first_line(errors)})"
        raise ConfigurationError(_printable(root), problem, "mend that first")

    def verify() -> None:
        status, after, errors = _run("pacman-conf", "--config", root)
        if status != 0:
            wrong = f"pacman could not read the outcome ({_first_line(errors)})"
        elif _UNKNOWN in errors and not forced:
            wrong = "pacman does not know CacheServer"
        else:
            wrong = set_up_plan.contradiction(
                before, after, outcome, method, port=port, ports=ports
            )
        if wrong:
            remedy = "everything was put back; set it up by hand, and tell flocon's authors"
            raise ConfigurationError(_printable(root), wrong, remedy)

    return verify


def _first_line(text: str) -> str:
    return _printable(text.strip().partition("\n")[0]) or "it does not say why"


# One run of pacman


def _named_configuration(arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """Return the configuration that pacman's arguments name, and the arguments without it."""
    path = str(DEFAULT_PACMAN_CONF)
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            return Path(path), [*rest, argument, *waiting]
        if argument == "--config":
            path = next(waiting, path)
        elif argument.startswith("--config="):
            path = argument.partition("=")[2]
        else:
            rest.append(argument)
    return Path(path), rest


def _borrowed_text(path: Path, arguments: Sequence[str], port: int) -> bytes | None:
    """Return a configuration led to the node, None where the system's does that already."""
    if not node_answers(port):
        problem = f"no node answers on port {port}"
        remedy = "start one with 'systemctl start flocon' or 'twistd flocon'"
        raise ConfigurationError("pacman", problem, remedy)
    if any(one.partition("=")[0] == "--sysroot" for one in arguments):
        problem = "its configuration lies in another root"
        raise ConfigurationError("--sysroot", problem, "set flocon up in that root")
    state = _State(os.path.realpath(path), {}, {}, {}, {})
    _read_into(state, state.root, str(path))
    _follow(state, relative=True)
    text = pacman_conf.flattened(Configuration(state.root, state.now, state.included))
    flat = Configuration(state.root, {state.root: text}, {})
    method = node_lines.method_for(pacman_version(), databases=False)
    insertions = set_up_plan.plan(flat, method, port).insertions
    return node_lines.put_in(text, insertions) if insertions else None


def _nameless_file(text: bytes) -> str:
    descriptor = os.memfd_create("pacman.conf", 0)
    os.set_inheritable(descriptor, True)
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(text)
    return f"/proc/self/fd/{descriptor}"


def _without_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what keeps libcurl from asking a proxy for the node."""
    if not any(environment.get(name) for name in ("http_proxy", "all_proxy", "ALL_PROXY")):
        return {}
    known = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    return {"no_proxy": f"{known},localhost" if known else "localhost"}


# Telling


def _report(
    now: Mapping[str, bytes],
    wanted: Mapping[str, bytes],
    changed: Sequence[str],
    notes: Iterable[str],
) -> Report:
    diff = "".join(_diff(name, now[name], wanted[name]) for name in changed)
    return Report(diff, tuple(_printable(note) for note in notes), tuple(map(Path, changed)))


def _diff(name: str, old: bytes, new: bytes) -> str:
    shown = _printable(name)
    before, after = _shown_lines(old), _shown_lines(new)
    lines = difflib.unified_diff(before, after, shown, shown, lineterm="")
    return "".join(line + "\n" for line in lines)


def _shown_lines(text: bytes) -> list[str]:
    return [_shown(line.rstrip(b"\r\n")) for line in pacman_conf.split_lines(text)]


def _shown(content: bytes) -> str:
    return _printable(content.decode(errors="replace"))


def _printable(text: str) -> str:
    """Return what a terminal can be given."""
    return "".join(
        one if one.isprintable() or one == "\t" else "\N{REPLACEMENT CHARACTER}" for one in text
    )
