"""The signer of this machine, as a command asks it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from flocon.publishing.published import may_ask
from flocon.settings.options import load
from flocon.signing.asking import ask

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path


def look(options: argparse.Namespace) -> Path | None:
    """Return the folder to look into for who may not ask the signer; None where he may, or must."""
    repo = load({}).repo
    asks = os.geteuid() == 0 or may_ask(options.signer or repo.signer)
    return None if asks else repo.published


async def tell(
    reactor: Any, options: argparse.Namespace, do: str, files: Sequence[int] = (), **words: Any
) -> dict[str, Any]:
    """Have it do something with the repository that ``options`` name; return what it answers."""
    request = {"do": do, "repository": getattr(options, "repository", ""), **words}
    path = options.signer or load({}).repo.signer
    return await ask(reactor, path, request, files)
