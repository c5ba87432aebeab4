"""What a program prints that reads an open file, taken while it prints. Blocks: for a thread."""

from __future__ import annotations

import subprocess
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flocon.machine.process import Bounds


@contextmanager
def printed(
    command: Sequence[str],
    given: int,
    *,
    seconds: float,
    bounds: Bounds,
    failing: Exception,
    folder: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[IO[bytes]]:
    """Yield what a program prints that reads the open file ``given``; raise ``failing`` in the end.

    That is where it has not ended well, or not within ``seconds`` and ``bounds``. It runs in
    ``folder`` and with ``environment``, or with ours.
    """
    process = subprocess.Popen(  # noqa: S603 - nothing of it comes from outside
        command,
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=environment,
    )
    bounds.impose(process.pid)
    late = threading.Timer(seconds, process.kill)
    late.daemon = True
    late.start()
    try:
        assert process.stdout is not None  # noqa: S101 - as asked for
        with process.stdout as output:
            yield output
        if process.wait(seconds):
            raise failing
    finally:
        late.cancel()
        process.kill()
        process.wait()
