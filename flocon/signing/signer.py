"""Does what the signer is told, one thing after the other; who may tell it is not known here."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import DeferredLock

from flocon.errors import RepositoryError, StoreError
from flocon.files import ARCH
from flocon.log import logger
from flocon.programs.talking import LARGEST_MESSAGE
from flocon.repository.generations import Generations
from flocon.repository.keeping import tell
from flocon.repository.telling import told
from flocon.signing import keyholder
from flocon.signing.approved import left_out
from flocon.signing.copying import Desk
from flocon.signing.examination import Examination, digest_of
from flocon.signing.publisher import Publisher
from flocon.signing.requests import (
    Add,
    Init,
    Publish,
    Remove,
    ReplaceKey,
    RollBack,
    ShowKey,
    ShowList,
    SwitchKey,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from flocon.repository.generation import Generation
    from flocon.signing.requests import Request

    Answer = dict[str, Any]

_KEYS, _DESK = "keys", "desk"
#: Bytes of what is told of surprises: of one message most.
LARGEST_TOLD = LARGEST_MESSAGE * 3 // 4


class Signer:
    """Signs with the keys in ``home``, and publishes in ``published``.

    ``host`` is what its keys say of where they are; ``keyring`` is pacman's; ``keep`` versions of
    each package stay, and packages of debugging symbols are published where ``debug`` is so.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        home: Path,
        published: Path,
        *,
        wall: Callable[[], float],
        host: str,
        keyring: Path,
        keep: int,
        debug: bool = False,
    ) -> None:
        self._reactor = reactor
        self._keys = home / _KEYS
        self._published = published
        self._wall = wall
        self._host = host
        self._keep = keep
        self._desk = Desk(home / _DESK)
        self._examination = Examination(reactor, self._desk, keyring, debug=debug)
        self._turn = DeferredLock()
        self._publishers: dict[str, Publisher] = {}
        #: Why a repository cannot be used.
        self._problems: dict[str, str] = {}

    async def start(self) -> None:
        """Go on from whatever was done when the signer ended last."""
        try:
            self._desk.clear()
            if not self._published.exists():
                # For everybody, whatever else is made is for nobody else.
                self._published.mkdir(parents=True)
                self._published.chmod(0o755)
        except OSError as error:
            raise StoreError(str(error.filename), error.strerror or str(error)) from None
        keyholder.sweep(self._keys)
        for folder in sorted(self._keys.iterdir()) if self._keys.is_dir() else ():
            if keyholder.has_keys(folder):
                await self._take_up(folder.name)

    async def stop(self) -> None:
        """End what gpg leaves running."""
        for publisher in self._publishers.values():
            await publisher.keyholder.rest()

    @property
    def is_busy(self) -> bool:
        return bool(self._turn.locked)

    async def do(
        self,
        request: Request,
        files: Sequence[int] = (),
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Answer:
        """Do it, and return what there is to say; raises FloconError, and has done nothing then.

        The open files stay the caller's to close. ``is_wanted`` is asked when it is its turn.
        """
        await self._turn.acquire()
        try:
            if not is_wanted():
                raise RepositoryError("who asked for it has left", "")
            if isinstance(request, Init):
                return await self._init(request)
            publisher = await self._publisher(request.repository)
            if isinstance(request, (Add, Publish)):
                taking = self._add if isinstance(request, Add) else self._publish
                return await taking(publisher, request, files)  # type: ignore[arg-type]
            return await self._doing[type(request)](publisher, request)
        finally:
            self._turn.release()

    async def _take_up(self, name: str) -> None:
        try:
            holder = keyholder.Keyholder(self._reactor, self._keys / name, name, self._wall)
            await self._open(holder)
        except Exception as error:  # noqa: BLE001 - another repository is none the worse for it
            self._problems[name] = str(error)
            self._log.error("{name}: {error}", name=name, error=error)

    async def _open(self, holder: keyholder.Keyholder) -> Publisher:
        generations = Generations(self._published, holder.name)
        publisher = Publisher(self._reactor, holder, generations, self._keep, self._wall)
        await publisher.open()
        self._publishers[holder.name] = publisher
        self._problems.pop(holder.name, None)
        return publisher

    async def _publisher(self, name: str) -> Publisher:
        """Return the repository that is meant."""
        known = sorted({*self._publishers, *self._problems})
        if not known:
            raise RepositoryError(
                "there is no repository on this machine yet", "'flocon repo init NAME' makes one"
            )
        if not name and len(known) > 1:
            raise RepositoryError(
                f"there are several repositories: {', '.join(known)}",
                "say which by --repository, for what is built by [build] repository",
            )
        name = name or known[0]
        if name not in known:
            raise RepositoryError(
                f"there is no repository {name} here", f"say {' or '.join(known)}"
            )
        if name in self._problems:
            await self._take_up(name)
        if name in self._problems:
            raise RepositoryError(f"{name} cannot be used: {self._problems[name]}", "")
        return self._publishers[name]

    # What can be asked for

    async def _init(self, request: Init) -> Answer:
        name, folder = request.repository, self._keys / request.repository
        if name in ARCH:
            raise RepositoryError(
                f"{name} is Arch's own repository, which this node hands on",
                "give yours another name",
            )
        if keyholder.has_keys(folder):
            raise RepositoryError(f"there is a repository {name} already", "see 'flocon repo key'")
        holder = await keyholder.make(self._reactor, folder, name, self._host, self._wall)
        return await self._key(await self._open(holder), request)

    async def _key(self, publisher: Publisher, _: Any) -> Answer:
        holder = publisher.keyholder
        key = await publisher.public_keys()
        return {
            "name": publisher.name,
            "fingerprint": holder.keys.current,
            "next": holder.keys.next,
            "revoked": list(holder.keys.revoked),
            "key": base64.b64encode(key).decode("ascii"),
            "signed": publisher.newest.signed,
            "home": str(holder.home),
            "revocation": str(holder.revocation),
        }

    async def _replace_key(self, publisher: Publisher, request: ReplaceKey) -> Answer:
        await publisher.replace_key(self._host)
        return await self._key(publisher, request)

    async def _switch_key(self, publisher: Publisher, request: SwitchKey) -> Answer:
        await publisher.switch_key()
        return await self._key(publisher, request)

    async def _list(self, publisher: Publisher, _: Any) -> Answer:
        present = await publisher.files()
        return tell(publisher.newest, present)

    async def _remove(self, publisher: Publisher, request: Remove) -> Answer:
        generation = await publisher.drop(request.packages)
        return {**_told_of(publisher, generation), "removed": list(request.packages)}

    async def _roll_back(self, publisher: Publisher, request: RollBack) -> Answer:
        before = publisher.newest.find(request.package)
        version, generation = await publisher.roll_back(request.package, request.version)
        was = "" if before is None else before.version
        return {**_told_of(publisher, generation), "version": version, "before": was}

    async def _add(self, publisher: Publisher, request: Add, files: Sequence[int]) -> Answer:
        async with self._examination.reading(request.names, files) as examined:
            await self._examination.of_stranger(publisher, request, examined)
            known = {one.file_name for one in publisher.newest.files}
            packages = [(one.copied.descriptor, one.package) for one in examined]
            generation = await publisher.take(packages)
        added = [
            {"name": one.name, "version": one.version, "file": one.file_name}
            for _, one in packages
            if one.file_name not in known
        ]
        return {**_told_of(publisher, generation), "added": added}

    async def _publish(
        self, publisher: Publisher, request: Publish, files: Sequence[int]
    ) -> Answer:
        async with self._examination.reading(request.names, files) as examined:
            wanted, surprises = await self._examination.of_build(publisher, request.build, examined)
            digest = digest_of(wanted, surprises)
            if surprises and request.accept != digest:
                held = [
                    {"package": one.package, "what": one.what, "detail": one.detail}
                    for one in told(surprises, LARGEST_TOLD)
                ]
                return {"name": publisher.name, "held": held, "digest": digest}
            names = {one.package.name for one in wanted}
            gone = left_out(request.build, names, publisher.newest.files)
            generation = await publisher.take(
                [(one.copied.descriptor, one.package) for one in wanted], gone
            )
        return _told_of(publisher, generation)

    @property
    def _doing(self) -> Mapping[type, Callable[[Publisher, Any], Awaitable[Answer]]]:
        return {
            ShowKey: self._key,
            ReplaceKey: self._replace_key,
            SwitchKey: self._switch_key,
            ShowList: self._list,
            Remove: self._remove,
            RollBack: self._roll_back,
        }


def _told_of(publisher: Publisher, generation: Generation) -> Answer:
    return {
        "name": publisher.name,
        "generation": generation.sequence,
        "signed": generation.signed,
    }
