"""What is told to nobody: the name and password that an address may bear."""

from __future__ import annotations

import re

#: As curl reads it: whatever stands between ``://`` and the last ``@`` before the path.
_WHO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]*@")


def without_passwords(text: str) -> str:
    """Return ``text`` with ``***`` in the place of each user name and password of an address."""
    return _WHO.sub(r"\1***@", text) if "@" in text else text
