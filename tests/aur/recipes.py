"""Recipes that makepkg builds without a network: PKGBUILD, .SRCINFO, and what lies beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence


def recipe(
    base: str,
    version: str = "1.0-1",
    *,
    names: Sequence[str] = (),
    depends: Sequence[str] = (),
    makedepends: Sequence[str] = (),
    checkdepends: Sequence[str] = (),
    provides: Sequence[str] = (),
    sources: Sequence[str] = (),
    local: Mapping[str, bytes] | None = None,
    install: str = "",
    url: str = "https://example.org",
    build: str = ":",
    package: str = "",
) -> dict[str, bytes]:
    """Return the files of a recipe by name.

    Each of ``names`` (the base alone where there are none) has /usr/share/NAME/version. ``sources``
    are further ones, not checked (SKIP); ``local`` are files beside the PKGBUILD that are sources
    with their sums; ``install`` is the text of the install script. ``build`` is what build() does,
    ``package`` what each package() does further.
    """
    names = tuple(names) or (base,)
    local = dict(local or {})
    epoch, _, rest = version.rpartition(":")
    pkgver, _, pkgrel = rest.rpartition("-")
    sums = [hashlib.sha256(data).hexdigest() for data in local.values()] + ["SKIP"] * len(sources)
    fields = {
        "pkgdesc": [f"{base}, for a test"],
        "pkgver": [pkgver],
        "pkgrel": [pkgrel],
        "epoch": [epoch] if epoch else [],
        "url": [url],
        "install": [f"{base}.install"] if install else [],
        "arch": ["any"],
        "license": ["MIT"],
        "checkdepends": list(checkdepends),
        "makedepends": list(makedepends),
        "depends": list(depends),
        "provides": list(provides),
        "source": [*local, *sources],
        "sha256sums": sums,
    }
    lists = {
        "arch", "license", "checkdepends", "makedepends", "depends", "provides", "source",
        "sha256sums",
    }  # fmt: skip
    text = ["# Maintainer: An Author <author@example.org>", f"pkgbase={base}"]
    text.append(f"pkgname=({' '.join(names)})")
    for key, values in fields.items():
        if key in lists and values:
            text.append(f"{key}=({' '.join(map(_quoted, values))})")
        elif values:
            text.append(f"{key}={_quoted(values[0])}")
    text += ["", "build() {", f"  {build}", "}"]
    for name in names:
        text += [
            "",
            f"package_{name}() {{" if len(names) > 1 else "package() {",
            f'  mkdir -p "$pkgdir/usr/share/{name}"',
            f'  echo "$pkgver-$pkgrel" > "$pkgdir/usr/share/{name}/version"',
            *([f"  {package}"] if package else []),
            "}",
        ]
    srcinfo = [f"pkgbase = {base}"]
    srcinfo += [f"\t{key} = {value}" for key, values in fields.items() for value in values]
    for name in names:
        srcinfo += ["", f"pkgname = {name}"]
    made = {
        "PKGBUILD": "\n".join(text).encode() + b"\n",
        ".SRCINFO": "\n".join(srcinfo).encode() + b"\n",
        **local,
    }
    if install:
        made[f"{base}.install"] = install.encode()
    return made


def _quoted(word: str) -> str:
    """Return a word as bash reads it back, bare where it may be."""
    bare = all(sign.isalnum() or sign in "._+-~" for sign in word) and word
    return word if bare else "'" + word.replace("'", "'\\''") + "'"
