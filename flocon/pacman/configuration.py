"""What of pacman's configuration matters here, as values; nothing is read or asked here.

Which of two servers is asked, and what a listing is good for, is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from flocon.files import is_architecture, is_repository


class SignatureLevel(Enum):
    """Whether pacman asks for a signature."""

    NEVER = "Never"
    OPTIONAL = "Optional"
    REQUIRED = "Required"


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository of pacman.conf.

    ``servers`` and ``cache_servers`` are http(s) addresses in the order to ask them, with $repo
    and $arch filled in and no slash at the end; this node's own are not among them.
    """

    name: str
    servers: tuple[str, ...] = ()
    cache_servers: tuple[str, ...] = ()
    #: Whether pacman has servers for it that only pacman can ask: ``file://``, mostly.
    has_others: bool = False
    package_signature: SignatureLevel = SignatureLevel.OPTIONAL
    database_signature: SignatureLevel = SignatureLevel.OPTIONAL


@dataclass(frozen=True, slots=True)
class PacmanConfiguration:
    """What of pacman.conf matters here, resolved.

    ``general_servers`` keep their $repo and $arch: a machine without pacman knows no repository.
    ``files`` are pacman.conf and what it includes; ``unusable`` are servers that are not http(s).
    """

    repositories: tuple[Repository, ...] = ()
    cache_directories: tuple[Path, ...] = ()
    database_path: Path = Path("/var/lib/pacman")
    gpg_directory: Path = Path("/etc/pacman.d/gnupg")
    architectures: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    general_servers: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()
    #: Patterns of names, of packages and groups, that pacman upgrades only if they are named.
    ignored: tuple[str, ...] = ()
    ignored_groups: tuple[str, ...] = ()
    #: As whom pacman downloads where root runs it, if not as root.
    download_user: str = "alpm"

    @property
    def sync_directory(self) -> Path:
        """Where pacman keeps its sync databases."""
        return self.database_path / "sync"

    @property
    def caches(self) -> frozenset[str]:
        """The servers that CacheServer lines name and no Server line does."""
        servers = {one for repository in self.repositories for one in repository.servers}
        named = {one for repository in self.repositories for one in repository.cache_servers}
        return frozenset(named - servers)

    @property
    def all_servers(self) -> tuple[str, ...]:
        """Every server that is named, each once."""
        named = (
            server
            for repository in self.repositories
            for server in (*repository.cache_servers, *repository.servers)
        )
        return tuple(dict.fromkeys((*named, *self.general_servers)))

    def repository(self, name: str) -> Repository | None:
        return next((each for each in self.repositories if each.name == name), None)


def servers_for(
    configuration: PacmanConfiguration, repository: str, architecture: str
) -> tuple[str, ...]:
    """Return the servers to ask for a file of ``repository``, in order, complete but for the file.

    A repository of pacman.conf has its own, resolved for this machine's architecture whatever is
    asked for; any other has the general ones.
    """
    known = configuration.repository(repository)
    if known is not None:
        return known.servers
    if not is_repository(repository) or not is_architecture(architecture):
        return ()
    return tuple(
        fill_in(server, repository, architecture) for server in configuration.general_servers
    )


def package_servers_for(
    configuration: PacmanConfiguration, repository: str, architecture: str
) -> tuple[str, ...]:
    """Return the servers to ask for a package or its signature: caches first, as pacman does."""
    known = configuration.repository(repository)
    caches = known.cache_servers if known is not None else ()
    servers = servers_for(configuration, repository, architecture)
    return tuple(dict.fromkeys((*caches, *servers)))


def fill_in(server: str, repository: str, architecture: str) -> str:
    return server.replace("$repo", repository).replace("$arch", architecture)
