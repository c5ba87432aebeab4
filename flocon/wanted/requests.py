"""What was asked for, or is held, by which kind of machine; what somebody wants by name. No I/O.

Names of packages, each with the second in which it was last seen so: what nobody has asked for or
held for long is wanted no more. A machine that is off at night is not forgotten in the morning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flocon.files import is_architecture, is_package_name, is_repository

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

#: Names of all scopes together: Arch's repositories for two architectures list fewer.
MOST_NAMES = 40_000
#: Kinds of machines that are told apart; what comes after them is of all repositories.
MOST_SCOPES = 64
MOST_REPOSITORIES = 32
#: New names of one client and day; a whole machine has fewer packages. Clients that are counted.
MOST_OF_A_CLIENT = 5_000
MOST_CLIENTS = 4_096
#: Names that are wanted by hand.
MOST_BY_HAND = 1_000
DAY = 86_400.0
#: A name is noted again at the earliest after so large a part of the time for which it counts.
_PART = 30


class Scope(NamedTuple):
    """Machines of an architecture, with these repositories in their order; none named: all."""

    architecture: str
    repositories: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.architecture}/{','.join(self.repositories)}"


class Requests:
    """``unused`` tells for how many seconds a name counts. ``changed`` is called once one is new.

    ``remembered`` is what ``dump`` gave; it may be damaged.
    """

    def __init__(
        self,
        unused: Callable[[], float],
        remembered: Any = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._unused = unused
        self.changed = changed
        self._seen: dict[Scope, dict[str, int]] = {}
        #: New names of each client in a day: the day, and how many.
        self._of_clients: dict[str, tuple[int, int]] = {}
        #: What is wanted by hand, packages and groups.
        self.by_hand: dict[str, None] = {}
        #: Names that were not noted since a bound was reached.
        self.overflowed = 0
        if isinstance(remembered, dict):
            self._recall(remembered)

    def __len__(self) -> int:
        return sum(map(len, self._seen.values()))

    # What was asked for and is held

    def ask(self, client: str, scope: Scope, name: str, now: float) -> None:
        """Note that a client without a node asked for a package that is listed."""
        if name not in self._seen.get(scope, ()) and not self._may_add(client, now):
            self.overflowed += 1
            return
        self.note(scope, (name,), now)

    def _may_add(self, client: str, now: float) -> bool:
        today = int(now // DAY)
        day, count = self._of_clients.pop(client, (today, 0))
        count = count + 1 if day == today else 1
        while len(self._of_clients) >= MOST_CLIENTS:
            del self._of_clients[next(iter(self._of_clients))]
        self._of_clients[client] = today, min(count, MOST_OF_A_CLIENT + 1)
        return count <= MOST_OF_A_CLIENT

    def note(self, scope: Scope, names: Iterable[str], now: float) -> None:
        """Note that machines of a kind have these packages now."""
        if scope not in self._seen and len(self._seen) >= MOST_SCOPES:
            scope = Scope(scope.architecture)
            if scope not in self._seen and len(self._seen) >= 2 * MOST_SCOPES:
                self.overflowed += 1
                return
        seen, step = self._seen.setdefault(scope, {}), self._unused() / _PART
        left, is_new = MOST_NAMES - len(self), False
        for name in names:
            last = seen.get(name)
            if last is None:
                if left <= 0:
                    self.overflowed += 1
                    continue
                left -= 1
            elif abs(now - last) < step:
                continue
            seen[name] = int(now)
            is_new = True
        if is_new:
            self.changed()

    def wanted(self, now: float) -> dict[Scope, list[str]]:
        """Return the names that count, in order; those that do not are forgotten."""
        unused = self._unused()
        for scope, seen in list(self._seen.items()):
            for name in [name for name, last in seen.items() if abs(now - last) > unused]:
                del seen[name]
            if not seen:
                del self._seen[scope]
        return {scope: sorted(self._seen[scope]) for scope in sorted(self._seen)}

    # What somebody wants

    def want(self, names: Iterable[str]) -> list[str]:
        """Want packages and groups whoever asks for them; return those for which there is room."""
        taken = []
        for name in names:
            if name in self.by_hand or len(self.by_hand) < MOST_BY_HAND:
                self.by_hand[name] = None
                taken.append(name)
        self.changed()
        return taken

    def unwant(self, names: Iterable[str]) -> list[str]:
        """Want these no more; return those that were wanted by hand."""
        gone = [name for name in names if name in self.by_hand]
        for name in gone:
            del self.by_hand[name]
        self.changed()
        return gone

    # What is remembered

    def dump(self) -> dict[str, Any]:
        return {
            "by_hand": list(self.by_hand),
            "seen": {str(scope): seen for scope, seen in self._seen.items()},
        }

    def _recall(self, remembered: Mapping[str, Any]) -> None:
        by_hand, seen = remembered.get("by_hand"), remembered.get("seen")
        if isinstance(by_hand, list):
            names = [one for one in by_hand if isinstance(one, str) and is_package_name(one)]
            self.by_hand = dict.fromkeys(names[:MOST_BY_HAND])
        left = MOST_NAMES
        for text, names in seen.items() if isinstance(seen, dict) else ():
            scope = load_scope(text)
            if scope is None or not isinstance(names, dict) or len(self._seen) >= 2 * MOST_SCOPES:
                continue
            sound = {
                name: last
                for name, last in names.items()
                if type(last) is int and is_package_name(name)
            }
            self._seen[scope] = dict(list(sound.items())[:left])
            left -= len(self._seen[scope])


def load_scope(text: str) -> Scope | None:
    """Return the scope whose ``str`` this is, None where it is no scope's."""
    architecture, slash, rest = text.partition("/")
    repositories = tuple(rest.split(",")) if rest else ()
    if not slash or not is_architecture(architecture) or len(repositories) > MOST_REPOSITORIES:
        return None
    return Scope(architecture, repositories) if all(map(is_repository, repositories)) else None


def scope_of(architecture: str, announced: Collection[str], mirrored: Iterable[str]) -> Scope:
    """Return the scope of a machine that has these repositories, of those that are mirrored."""
    known = tuple(one for one in mirrored if one in announced)[:MOST_REPOSITORIES]
    return Scope(architecture, known)
