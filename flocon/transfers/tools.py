"""What every transfer of a node shares, and whom it tells how its sources did.

Interfaces alone: the node makes what fills them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from twisted.internet.defer import Deferred
    from twisted.web.iweb import IAgent

    from flocon.asking.patience import Pace
    from flocon.asking.source import Source
    from flocon.errors import SourceError
    from flocon.files import Content
    from flocon.precedence import Precedence
    from flocon.writing.growing_file import Files

#: Calls a function with arguments in one of a transfer's threads.
InThread: TypeAlias = "Callable[..., Deferred[Any]]"


if TYPE_CHECKING:

    class Reporter(Protocol):
        """Learns how sources did."""

        def began(self, source: Source) -> None: ...

        def ended(
            self, source: Source, size: int, seconds: float, failure: SourceError | None
        ) -> None: ...

        def left(self, source: Source, size: int, seconds: float) -> None:
            """Learn that nothing more was wanted of a source: not how good it is."""

        def slow(self, source: Source) -> None: ...

        def took(self, source: Source, size: int) -> None:
            """Learn of bytes that were asked for only to keep pacman patient."""

        def sent_elsewhere(self, parent: Source, answering: Source) -> None:
            """Learn that another host answers what a parent was asked, by its redirect."""

        def led_back(self, parent: Source) -> None:
            """Learn that a node answers what a parent was asked, and will not, for a node asks."""

        def contradicted(self, file_name: str, contributors: Sequence[Source]) -> None: ...

    class Tools(Files, Protocol):
        """What every transfer of a node shares."""

        pace: Pace
        precedence: Precedence

        @property
        def reporter(self) -> Reporter: ...

        @property
        def look_up(self) -> Callable[[str, Content], Deferred[None] | None]:
            """Have those asked for a file that do not tell what they hold.

            What comes of it fires soon, once whom to ask is known; None where nobody is waited for.
            """

        def agent(self, source: Source) -> IAgent: ...
