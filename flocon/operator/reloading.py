"""Reads flocon.toml anew while the node runs, not more often than it has to."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from flocon.errors import ConfigurationError
from flocon.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flocon.machine.systemd import Supervision
    from flocon.settings.settings import Settings

#: Settings that SIGHUP changes; the others need a restart.
LIVE = (
    "debug",
    "relay",
    "prefetch",
    "databases",
    "transfer",
    "peers",
    "parents",
    "mdns",
    "foreign",
)
#: And those of ``store``.
LIVE_OF_STORE = ("adopt",)
#: And those of ``mirror``.
LIVE_OF_MIRROR = (
    *("networks", "refresh", "publish", "publish_within", "unused", "pins", "keep", "max_age"),
    *("hold_at_most", "archive"),
)
#: And those of ``repo`` and ``build``.
LIVE_OF_REPO = ("copies",)
LIVE_OF_BUILD = (
    *("poll", "auto", "wait", "trust", "networks", "online", "root", "check"),
    *("memory", "disk", "processes", "time", "notify_command", "notify_url", "notify_mail"),
)
#: And those of ``standins``.
LIVE_OF_STANDINS = ("networks",)
#: The tables of which some settings are.
_LIVE_OF = {
    "store": LIVE_OF_STORE,
    "mirror": LIVE_OF_MIRROR,
    "repo": LIVE_OF_REPO,
    "build": LIVE_OF_BUILD,
    "standins": LIVE_OF_STANDINS,
}
#: Seconds between two readings of flocon.toml.
PAUSE = 1.0


class Reloading:
    """The settings in force: ``reread`` gives those of the file, ``changed`` learns of new ones.

    ``reread`` raises ConfigurationError; then the settings stay as they are.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        reread: Callable[[], Settings],
        changed: Callable[[Settings, Settings], None],
        supervision: Supervision,
    ) -> None:
        self._reactor = reactor
        self.settings = settings
        self._reread = reread
        self._changed = changed
        self._supervision = supervision
        self._read_at = float("-inf")
        self._call: Any = None
        #: Why the settings that were read last are not used.
        self.problem = ""

    def ask(self) -> None:
        """Read flocon.toml anew, at most once a second, however often that is asked for.

        pacman's configuration is followed all the time.
        """
        if self._call is None:
            now = self._reactor.seconds()
            wait = max(0.0, self._read_at + PAUSE - now)
            self._call = self._reactor.callLater(wait, self._read)

    def stop(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _read(self) -> None:
        self._call = None
        self._read_at = self._reactor.seconds()
        self._supervision.reloading()
        try:
            self.problem = ""
            self._apply(self._reread())
        except ConfigurationError as error:
            self.problem = str(error)
            self._log.warn("the settings stay as they are: {error}", error=error)
        finally:
            # Whatever went wrong: systemd ends a unit that stays at reloading.
            self._supervision.reloaded()

    def _apply(self, settings: Settings) -> None:
        """Take what can be changed while running, and name what cannot."""
        old = self.settings
        fixed = {field.name: getattr(old, field.name) for field in fields(old)} | {
            name: getattr(settings, name) for name in LIVE
        }
        for table, names in _LIVE_OF.items():
            live = {name: getattr(getattr(settings, table), name) for name in names}
            fixed[table] = replace(getattr(old, table), **live)
        self.settings = replace(old, **fixed)
        self._changed(old, self.settings)
        waiting = list(_different(settings, self.settings))
        self._log.info(
            "settings read anew{rest}",
            rest=f"; a restart is needed for: {', '.join(waiting)}" if waiting else "",
        )


def _different(one: Any, other: Any, prefix: str = "") -> Iterator[str]:
    """Yield the keys, those of a table behind its name, whose values are not the same."""
    for field in fields(one):
        mine, others = getattr(one, field.name), getattr(other, field.name)
        # Where a key was set is compared with no other, and the file's own path is no key.
        if not field.compare or field.name == "config":
            continue
        if is_dataclass(mine):
            yield from _different(mine, others, f"{field.name}.")
        elif mine != others:
            yield prefix + field.name
