"""``flocon repo add``: packages made elsewhere, with the signature that lies beside each.

The files stay open from the moment that they are looked at, and are handed to the signer so.
"""

from __future__ import annotations

import base64
import os
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from flocon.errors import RepositoryError
from flocon.files import is_package
from flocon.machine.reading import open_plain, read_plain
from flocon.pacman.syncdb import LARGEST_SIGNATURE
from flocon.programs.talking import MOST_FILES
from flocon.publishing import bundle
from flocon.publishing.bundle import Given
from flocon.publishing.signer import tell
from flocon.terminal.deciding import agree
from flocon.terminal.printing import say, say_json, size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path


async def add(reactor: Any, options: argparse.Namespace) -> None:
    """Have the signer check, sign and publish packages; ask for a word where it takes one."""
    with given(options) as packages:
        on_word = is_on_word(packages, options)
        told = await tell(
            reactor,
            options,
            "add",
            [one.descriptor for one in packages],
            names=[one.name for one in packages],
            signatures=[_encoded(one.signature) for one in packages],
            trusted=on_word,
        )
    if options.json:
        say_json(told)
        return
    for one in told["added"]:
        say(f"{told['name']}: {one['name']} {one['version']} is signed and published")
    if not told["added"]:
        say(f"{told['name']}: all of it was published already")


@contextmanager
def given(options: argparse.Namespace) -> Iterator[list[Given]]:
    """Yield the packages that were named, or come by standard input; raises RepositoryError."""
    if not options.stdin and not options.files:
        raise RepositoryError("there is nothing to add", "name packages' files")
    with ExitStack() as stack:
        packages = bundle.read(sys.stdin.buffer) if options.stdin else []
        for one in packages:
            stack.callback(os.close, one.descriptor)
        for path in _packages(options.files):
            package = _open(path)
            stack.callback(os.close, package.descriptor)
            packages.append(package)
        if len(packages) > MOST_FILES:
            raise RepositoryError(
                f"{len(packages)} packages are too many at once", f"add {MOST_FILES} at a time"
            )
        yield packages


def _packages(files: Sequence[Path]) -> list[Path]:
    """Return the files without signatures of these packages, as a shell's ``*`` names both."""
    return [one for one in files if one.suffix != ".sig" or one.with_suffix("") not in files]


def _open(path: Path) -> Given:
    if path.suffix == ".sig":
        remedy = "name the package: a signature that lies beside it comes along"
        raise RepositoryError(f"{path} is a signature", remedy)
    if not is_package(path.name):
        raise RepositoryError(
            f"{path} has no package's name",
            "packages are called NAME-VERSION-RELEASE-ARCHITECTURE.pkg.tar.zst",
        )
    signature = b""
    try:
        beside = path.with_name(f"{path.name}.sig")
        if beside.exists():
            signature = read_plain(beside, LARGEST_SIGNATURE)
        return Given(path.name, open_plain(path), signature)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RepositoryError(f"{path}: {reason}", "name a package's file") from None


def is_on_word(packages: Sequence[Given], options: argparse.Namespace) -> bool:
    """Whether who asks answers for what no trusted key has signed; asks, where it can be asked."""
    unsigned = [one for one in packages if not one.signature]
    if options.yes or not unsigned:
        return bool(options.yes)
    names = ", ".join(one.name for one in unsigned)
    if options.stdin or options.json or sys.stdin is None or not sys.stdin.isatty():
        raise RepositoryError(
            f"{names}: there is no signature beside it", "say --yes for your word"
        )
    for one in unsigned:
        say(one.name, size(os.fstat(one.descriptor).st_size), "has no signature")
    if not agree("Sign it on your word, for all machines?"):
        raise RepositoryError("nothing is signed", "")
    return True


def _encoded(signature: bytes) -> str | None:
    return base64.b64encode(signature).decode("ascii") if signature else None
