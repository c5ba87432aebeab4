"""What is told to nobody: the name and password that an address may bear."""

from __future__ import annotations

import re

#: As curl reads it: whatever stands between ``://`` and the last ``@`` before the path.
_WHO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]*@")

#: The same where what is before the name of a host has been cut off: ``alice:secret@host``.
_BARE = re.compile(r"(?<![^\s'\"(<=])[^\s/@:'\"(<=]+:[^\s/]*@(?=[\w\[])")


def without_passwords(text: str) -> str:
    """Return ``text`` with ``***`` in the place of each user name and password of an address."""
    return _WHO.sub(r"\1***@", text) if "@" in text else text


def without_any_passwords(text: str) -> str:
    """Return a failure's text without what ``without_passwords`` finds and what is only its end.

    Not for names: a package's may look like that.
    """
    return _BARE.sub("***@", without_passwords(text)) if "@" in text else text
