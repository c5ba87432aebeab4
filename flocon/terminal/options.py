"""What options of several commands may be, for argparse."""

from __future__ import annotations

import argparse
from pathlib import Path


def as_file(text: str) -> Path:
    """Return the file that an option names."""
    # Path would take nothing for the folder that it is run in.
    if not text:
        raise argparse.ArgumentTypeError("an empty name is no file's")
    return Path(text)
