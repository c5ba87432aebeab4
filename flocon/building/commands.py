"""What runs behind a recipe's wall, as text: two scripts, and the environment of both. No I/O."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from flocon.walls.bubblewrap import BUILD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flocon.building.orders import Order

#: What the scripts leave beside packages: what makepkg says of the recipe, and which commits of
#: which sources were checked out.
SRCINFO, CHECKOUTS = "srcinfo", "checkouts"
#: What both scripts say before anything of a recipe's is run: the wall stands.
BEGUN = "==> Behind the wall"
#: Where keys for signatures of sources lie that are not the recipe's own.
KEYS = "/run/flocon-keys"
#: Where makepkg finds its settings: the machine's, and after them the job's own.
SETTINGS = "/run/flocon-makepkg.conf"
#: As makepkg ends where it cannot take them (makepkg(8), ERRORS), and what says that it can: they
#: may end who reads them, and with any other status.
_NO_SETTINGS, _TAKEN = 2, 77
#: Bytes of memory that a compiler of C++ may want.
A_COMPILERS = 1 << 30

_FETCH = """
echo '{begun}'
(source {settings} && exit {taken})
[ $? = {taken} ] || exit {no_settings}
mkdir -p -m 700 "$GNUPGHOME"
shopt -s nullglob
for key in keys/pgp/*.asc {keys}/*; do
  gpg --batch --quiet --import "$key" || exit 16
done
exec makepkg --config {settings} --nobuild --nodeps --nosign --noconfirm \\
  --noprogressbar --nocolor
"""
_BUILD = """
echo '{begun}'
makepkg --config {settings} --printsrcinfo --nocolor >{build}/report/{srcinfo} 2>/dev/null
shopt -s nullglob
for checkout in "$BUILDDIR"/*/src/*/.git; do
  folder=${{checkout%/.git}}
  commit=$(git -C "$folder" rev-parse --verify --quiet HEAD) &&
    printf '%s\\t%s\\n' "$commit" "${{folder##*/}}" >>{build}/report/{checkouts}
done
exec makepkg --config {settings} --noextract --holdver --nodeps --nosign --noconfirm \\
  --noprogressbar --nocolor{check}
"""

_SETTINGS = """
[ -r /etc/makepkg.conf ] || echo '==> flocon: not everybody may read /etc/makepkg.conf'
source /etc/makepkg.conf || return
for one in /etc/makepkg.conf.d/*.conf; do
  [ ! -r "$one" ] || source "$one" || return
done
unset one
BUILDENV+=(fakeroot !ccache !distcc !sign)
"""


def fetch_command() -> list[str]:
    """Return what fetches, unpacks and prepares the sources."""
    script = _FETCH.format(
        begun=BEGUN, keys=KEYS, settings=SETTINGS, no_settings=_NO_SETTINGS, taken=_TAKEN
    )
    return ["bash", "-c", script]


def build_command(order: Order) -> list[str]:
    """Return what builds from what was fetched."""
    script = _BUILD.format(
        begun=BEGUN,
        settings=SETTINGS,
        build=BUILD,
        srcinfo=SRCINFO,
        checkouts=CHECKOUTS,
        check="" if order.check else " --nocheck",
    )
    return ["bash", "-c", script]


def settings(environment: Mapping[str, str]) -> str:
    """Return what makepkg is set to: as the machine is, but for what is this job's to say.

    Folders, keys and a proxy of the machine's are not here, nor is who compiles for others.
    """
    own = [
        f"export {name}={shlex.quote(value)} || return"
        for name, value in environment.items()
        if name != "MAKEFLAGS"
    ]
    return _SETTINGS + "\n".join([*own, ""])


def environment(
    order: Order, user: str, *, proxy: int, rights: bool, processors: int
) -> dict[str, str]:
    """Return what is set; ``proxy`` is the port of the way out, 0 for none.

    As many of the ``processors`` are used at a time as a compiler's memory allows; where the
    machine's makepkg.conf says how many, or a recipe that it is none, that holds.
    """
    at_a_time = max(1, min(processors, order.bounds.memory // A_COMPILERS))
    values = {
        "HOME": f"{BUILD}/home",
        "USER": user,
        "LOGNAME": user,
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TERM": "dumb",
        "TMPDIR": "/tmp",  # noqa: S108 - the job's own
        "CARCH": order.architecture,
        "PKGDEST": f"{BUILD}/packages",
        "SRCDEST": f"{BUILD}/sources",
        "SRCPKGDEST": f"{BUILD}/logs",
        "LOGDEST": f"{BUILD}/logs",
        "BUILDDIR": f"{BUILD}/work",
        "PKGEXT": ".pkg.tar.zst",
        "MAKEFLAGS": f"-j{at_a_time}",
        "SOURCE_DATE_EPOCH": str(order.epoch),
        "GNUPGHOME": f"{BUILD}/home/gnupg",
        "GIT_TERMINAL_PROMPT": "0",
    }
    if not rights:
        # Root has no number there, so the kernel says of a change to it that there is none such.
        values["FAKEROOTDONTTRYCHOWN"] = "1"
    if proxy:
        way = f"http://127.0.0.1:{proxy}"
        for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            values[name] = way
    return values
