"""Small things remembered across restarts, as JSON beside the store; lost ones are no disaster."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

#: Nothing that is remembered comes near; a larger file is not ours.
LARGEST = 4 << 20


def recall(path: Path) -> Any:
    """Return what was remembered at ``path``, or None where nothing readable is."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        return json.loads(data) if len(data) <= LARGEST else None
    return None


def remember(path: Path, value: Any) -> bool:
    """Write ``value`` so that either all of it or what was there before is found; False if not."""
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
        temporary = Path(name)
        with os.fdopen(descriptor, "w") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        return False
    return True
