"""Programs of a test's own making, found before those of the machine."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import TestCase


def fake_program(case: TestCase, name: str, script: str) -> Path:
    """Put a shell script called ``name`` first on PATH until ``case`` ends; return its folder."""
    folder = Path(case.mktemp()).absolute()
    folder.mkdir()
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    patch = mock.patch.dict(os.environ, {"PATH": f"{folder}:{os.environ['PATH']}"})
    patch.start()
    case.addCleanup(patch.stop)
    return folder


def no_programs(case: TestCase) -> None:
    """Have PATH lead nowhere until ``case`` ends."""
    patch = mock.patch.dict(os.environ, {"PATH": str(Path(case.mktemp()).absolute())})
    patch.start()
    case.addCleanup(patch.stop)
