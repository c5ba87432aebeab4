"""The keys of one repository: which one signs, which takes its place, when each signed last.

::

    HOME/keys/NAME/gnupg/       GNUPGHOME
    HOME/keys/NAME/keys.json    which key signs, which is next, which were before; the last second

The last second is written down before a signature is made, so that no other is made in it, whatever
happens to the program. What is said of a key here is written whole or not at all.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flocon.errors import RepositoryError
from flocon.machine.beneath import read_small, sync_folder, write_small
from flocon.signing.gpg import Gpg, is_fingerprint
from flocon.signing.seconds import next_second

if TYPE_CHECKING:
    from collections.abc import Callable

_NOTE, _GNUPG = "keys.json", "gnupg"
_LARGEST_NOTE = 64 << 10
#: What cannot stand in the mail address of a key.
_ODD = re.compile(r"[^A-Za-z0-9.-]")


@dataclass(frozen=True, slots=True)
class Keys:
    """Fingerprints: of the key that signs, of the next one ("" for none), of those before.

    ``signed`` is the second of the last signature, since 1970; ``is_switching`` while what the key
    before signed has not all been signed anew.
    """

    current: str
    next: str = ""
    revoked: tuple[str, ...] = ()
    signed: int = 0
    is_switching: bool = False

    @property
    def handed_out(self) -> tuple[str, ...]:
        """All that others are to know."""
        return (self.current, *((self.next,) if self.next else ()), *self.revoked)


class Keyholder:
    """Holds the keys of the repository ``name`` in ``folder``; ``wall`` tells the time.

    Raises RepositoryError where gpg or the disk does not do what it should.
    """

    def __init__(self, reactor: Any, folder: Path, name: str, wall: Callable[[], float]) -> None:
        self._reactor = reactor
        self._folder = folder
        self.name = name
        self._wall = wall
        self._gpg = Gpg(reactor, folder / _GNUPG)
        self.keys = _read(folder)

    @property
    def home(self) -> Path:
        return self._folder

    async def sign(self, descriptor: int, at: int) -> bytes:
        """Return the signature of an open file, of a second that ``begin`` gave."""
        return await self._gpg.sign(descriptor, self.keys.current, at)

    def begin(self, published: int = 0) -> int:
        """Return the second of what is signed next; ``published`` is that of what others have."""
        second = next_second(max(self.keys.signed, published), self._wall())
        self._write(replace(self.keys, signed=second))
        return second

    async def public_keys(self) -> bytes:
        """Return all keys that others are to know, binary; those before are revoked in it."""
        for old in self.keys.revoked:
            await self._gpg.revoke(old)
        return await self._gpg.public_keys(self.keys.handed_out)

    @property
    def revocation(self) -> Path:
        """Where the certificate lies that revokes the key in use."""
        return self._gpg.revocation(self.keys.current)

    async def prepare(self, host: str) -> None:
        """Make the key that is to be next, signed by the one in use."""
        if self.keys.next:
            raise RepositoryError(
                f"{self.name} has a key that takes the place of this one already",
                "'flocon repo key --switch' signs by it",
            )
        user = user_of(self.name, host)
        new = await self._gpg.make_key(user, self.keys.current)
        # No signature of a key is older than the key.
        signed = max(self.keys.signed, int(self._wall()))
        self._write(replace(self.keys, next=new, signed=signed))

    def switch(self) -> None:
        """Sign by the next key from now on; ``switched`` is to follow."""
        keys = self.keys
        if not keys.next:
            raise RepositoryError(
                f"{self.name} has no other key", "'flocon repo key --replace' makes one"
            )
        revoked = (keys.current, *keys.revoked)
        self._write(replace(keys, current=keys.next, next="", revoked=revoked, is_switching=True))

    def switched(self) -> None:
        """Note that all is signed by the key that signs now."""
        self._write(replace(self.keys, is_switching=False))

    async def rest(self) -> None:
        """Have gpg's agent end."""
        await self._gpg.rest()

    def _write(self, keys: Keys) -> None:
        _write(self._folder, keys)
        self.keys = keys


async def make(
    reactor: Any, folder: Path, name: str, host: str, wall: Callable[[], float]
) -> Keyholder:
    """Make the keys of a repository that has none: all of them are there in the end, or nothing."""
    beginning = _begin(folder.parent)
    gpg = Gpg(reactor, beginning / _GNUPG)
    try:
        fingerprint = await gpg.make_key(user_of(name, host))
        await gpg.rest()
        # No signature of a key is older than the key.
        _write(beginning, Keys(fingerprint, signed=int(wall())))
        _settle(beginning, folder)
    except BaseException:
        await gpg.rest()
        shutil.rmtree(beginning, ignore_errors=True)
        raise
    return Keyholder(reactor, folder, name, wall)


def _begin(parent: Path) -> Path:
    """Return a new folder: a short name, for gpg's agent has its socket in it."""
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=".", dir=parent))
    except OSError as error:
        raise _failed(parent, error) from None


def _settle(beginning: Path, folder: Path) -> None:
    """Give the keys their place, for good."""
    try:
        beginning.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise _failed(folder, error) from None


def sweep(folder: Path) -> None:
    """Remove keys that were being made when the signer was killed: nobody has seen them."""
    for left in folder.glob(".*") if folder.is_dir() else ():
        shutil.rmtree(left, ignore_errors=True)


def user_of(name: str, host: str) -> str:
    """Return whom a key says that it belongs to."""
    return f"{name} repository <flocon@{_ODD.sub('-', host).strip('.-')[:200] or 'localhost'}>"


def has_keys(folder: Path) -> bool:
    return (folder / _NOTE).is_file()


def _read(folder: Path) -> Keys:
    try:
        value = json.loads(read_small(folder / _NOTE, _LARGEST_NOTE))
    except OSError as error:
        raise _failed(folder / _NOTE, error) from None
    except (ValueError, RecursionError):
        value = None
    match value:
        case {"current": str(current), "next": str(following), "revoked": list(revoked)} if (
            is_fingerprint(current)
            and (following == "" or is_fingerprint(following))
            and all(map(is_fingerprint, revoked))
            and isinstance(signed := value.get("signed"), int)
        ):
            is_switching = value.get("is_switching") is True
            return Keys(current, following, tuple(revoked), signed, is_switching)
    raise RepositoryError(f"{folder / _NOTE} is damaged", "put it back from a copy")


def _write(folder: Path, keys: Keys) -> None:
    try:
        write_small(folder / _NOTE, json.dumps(asdict(keys)).encode())
        sync_folder(folder)
    except OSError as error:
        raise _failed(folder / _NOTE, error) from None


def _failed(path: Path, error: OSError) -> RepositoryError:
    reason = error.strerror or str(error)
    return RepositoryError(f"{path}: {reason}", "see to the disk and its permissions")
