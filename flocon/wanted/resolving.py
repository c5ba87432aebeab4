"""What targets need, depth first and in order, as pacman does it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flocon.wanted.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flocon.pacman.relations import Description, Relation
    from flocon.wanted.dependencies import Databases, Listed
    from flocon.wanted.transactions import Targets

#: Packages looked at for one transaction. Where much cannot be had, the same are tried again.
MOST_STEPS = 200_000


@dataclass(slots=True)
class _Step:
    """A package whose needs are looked at; ``mark`` is how many were taken before it."""

    listed: Listed
    needs: Iterator[Relation]
    mark: int
    failed: bool = False
    pending: Relation | None = None


class Resolving:
    """``taken`` is what is to be installed, ``problems`` is what cannot be had, in words."""

    def __init__(
        self,
        databases: Databases,
        installed: Pool,
        ignores: Callable[[Description], bool],
        targets: Targets,
    ) -> None:
        self._databases = databases
        self._installed = installed
        self._ignores = ignores
        self._targets = Pool(targets.packages)
        self._going = {name for names in targets.replaced.values() for name in names}
        self._staying = Pool(
            one
            for one in installed
            if one.description.name not in self._targets and one.description.name not in self._going
        )
        self._steps = 0
        self.taken = Pool()
        self.problems: list[str] = []

    def resolve(self, listed: Listed) -> None:
        """Take a target, and what it needs; or nothing of it, and a problem more."""
        steps = [self._begin(listed)] if listed.description.name not in self.taken else []
        failed: list[str] = []
        ended: bool | None = None
        while steps:
            step = steps[-1]
            if ended is False and step.pending is not None:
                self._fall_back(step, step.pending, failed)
            ended = None
            following = self._next(step, failed)
            if following is not None:
                steps.append(self._begin(following))
                continue
            steps.pop()
            ended = not step.failed
            if step.failed:
                self.taken.shorten(step.mark)
        if ended is False:
            self.problems += dict.fromkeys(failed)

    def _begin(self, listed: Listed) -> _Step:
        self._steps += 1
        mark = len(self.taken)
        self.taken.add(listed)
        return _Step(listed, iter(self._missing(listed.description)), mark)

    def _missing(self, description: Description) -> list[Relation]:
        """Return what a package needs that neither it nor what stays installed satisfies."""
        return [
            one
            for one in description.depends
            if not description.satisfies(one)
            and not self._staying.satisfies(one, but=description.name)
        ]

    def _next(self, step: _Step, failed: list[str]) -> Listed | None:
        """Return the next package that one needs and that is not taken; None where it has all."""
        for relation in step.needs:
            if self.taken.satisfies(relation):
                continue
            found = self._targets.first(relation) or self._find(relation)
            if found is None or self._steps >= MOST_STEPS:
                self._fall_back(step, relation, failed)
            elif found.description.name not in self.taken:
                step.pending = relation
                return found
        return None

    def _fall_back(self, step: _Step, relation: Relation, failed: list[str]) -> None:
        """Be content with what is installed of it, though a newer one comes; or fail."""
        for one in self._installed.satisfying(relation):
            ignored = self._ignores(one.description)
            if one.description.name not in self._going and not ignored:
                return
        step.failed = True
        failed.append(f"nothing satisfies {relation}, which {step.listed.description.name} needs")

    def _find(self, relation: Relation) -> Listed | None:
        """Return a package to be had that satisfies, and that is not taken in another version."""
        places = self._databases.places
        for listed in self._databases.named(relation.name, places):
            if relation.fits(listed.description.version) and self._is_free(listed):
                return listed
        first = None
        for listed in self._databases.providing(relation, places):
            if self._is_free(listed):
                if listed.description.name in self._installed:
                    return listed
                first = first or listed
        return first

    def _is_free(self, listed: Listed) -> bool:
        return listed.description.name not in self.taken and not self._ignores(listed.description)
