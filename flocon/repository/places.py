"""Where a file makes others' programs do something: hooks, units, rules, keys. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A kind of file that does something without anybody starting it.

    ``beginnings`` are those of paths, without a slash in front. ``is_power`` where such a file
    says who may do what, or runs as root without being enabled: the first one of a package counts,
    and each that has changed.
    """

    what: str
    beginnings: tuple[str, ...]
    is_power: bool = True


def _in_both(*names: str) -> tuple[str, ...]:
    """Return these below usr/lib, where packages put them, and below etc."""
    return tuple(f"{top}/{name}" for name in names for top in ("usr/lib", "etc"))


_BOOT = (
    *_in_both("initcpio/", "dracut", "kernel/"),
    *("etc/mkinitcpio", "etc/grub.d/", "etc/default/grub"),
)
PLACES = (
    Place("pacman hook", ("usr/share/libalpm/", "etc/pacman.d/hooks/")),
    Place(
        "setting or key of pacman",
        (
            "etc/pacman.conf",
            "etc/pacman.d/",
            "etc/makepkg.conf",
            "usr/share/pacman/keyrings/",
            "usr/share/makepkg/",
        ),
    ),
    Place("rule for sudo", ("etc/sudo", "etc/doas")),
    Place("rule for polkit", ("usr/share/polkit-1/", "etc/polkit-1/", "usr/lib/polkit-1/")),
    Place("rule for logging in (PAM)", _in_both("pam.d/", "security/")),
    Place(
        "user or secret that systemd takes up by itself",
        _in_both("userdb/", "credstore"),
    ),
    Place(
        "setting of what one logs in with",
        ("etc/lightdm/", "etc/sddm", "usr/lib/sddm/", "usr/share/sddm/scripts/", "etc/gdm/"),
    ),
    Place(
        "script that runs when somebody logs in",
        (
            "etc/profile",
            "etc/bash",
            "etc/zsh",
            "etc/fish/",
            "etc/environment",
            "usr/share/fish/vendor_conf.d/",
            "usr/share/fish/vendor_functions.d/",
            *_in_both("environment.d/"),
            "etc/skel/",
            "root/",
            "etc/X11/xinit/",
            "etc/xdg/autostart/",
            "etc/xdg/plasma-workspace/",
        ),
    ),
    Place("setting of the loader of programs", ("etc/ld.so", "usr/lib/ld")),
    Place(
        "library that every program takes",
        ("usr/lib/glibc-hwcaps/", "usr/lib/gconv/", "usr/lib/libnss_", "etc/nsswitch.conf"),
    ),
    Place("timed job (cron)", ("etc/cron", "etc/anacron", "var/spool/cron/", "var/spool/at")),
    Place(
        "program that systemd runs by itself",
        _in_both(
            "systemd/system-generators/",
            "systemd/user-generators/",
            "systemd/system-environment-generators/",
            "systemd/user-environment-generators/",
            "systemd/system-sleep/",
            "systemd/system-shutdown/",
            "systemd/system-preset/",
            "systemd/user-preset/",
        ),
    ),
    Place(
        "unit that is enabled at once",
        ("etc/systemd/", "etc/containers/systemd/", "usr/share/containers/systemd/"),
    ),
    Place(
        "part that systemd adds to the system",
        (
            *_in_both("extensions/", "confexts/", "repart.d/"),
            "var/lib/extensions",
            "var/lib/confexts",
        ),
    ),
    Place("hook of containers", ("usr/share/containers/oci/", "etc/containers/oci/")),
    Place("systemd unit", ("usr/lib/systemd/system/", "usr/lib/systemd/user/"), is_power=False),
    Place("system user", _in_both("sysusers.d/"), is_power=False),
    Place("file that systemd makes", _in_both("tmpfiles.d/"), is_power=False),
    Place("rule for devices", _in_both("udev/"), is_power=False),
    Place(
        "setting of the kernel",
        _in_both("modules-load.d/", "modprobe.d/", "sysctl.d/", "binfmt.d/"),
        is_power=False,
    ),
    Place("kernel module", ("usr/lib/modules/", "usr/src/"), is_power=False),
    Place("part of the boot", ("boot/", *_BOOT, "efi/")),
    Place(
        "system service of D-Bus",
        ("usr/share/dbus-1/system", "etc/dbus-1/system"),
        is_power=False,
    ),
    Place(
        "program that runs when the network changes",
        (
            *_in_both("NetworkManager/dispatcher.d/", "networkd-dispatcher/"),
            *("etc/ppp/", "etc/dhcpcd", "usr/lib/dhcpcd/", "etc/acpi/"),
        ),
    ),
    Place("key that programs trust", ("etc/ca-certificates/", "usr/share/ca-certificates/")),
    Place("setting of ssh", ("etc/ssh/",)),
    Place("script that runs when logs are turned over", ("etc/logrotate",)),
    Place(
        "setting of git, or hook of new repositories",
        ("etc/gitconfig", "usr/share/git-core/templates/"),
    ),
    Place("file that comes before the system's own", ("usr/local/",)),
    Place("file of the running system", ("var/run/", "var/lock/")),
    Place(
        "part of what pacman or flocon keeps",
        ("var/lib/pacman/", "var/cache/pacman/", "var/lib/flocon", "var/cache/flocon"),
    ),
)
#: What links one unit into the start of another, or says more of one: it does so at once.
_ENABLING = re.compile(
    r"usr/lib/systemd/(?:system|user)/[^/]+\.(?:wants|requires|upholds|d)/.*"
    r"|usr/lib/systemd/[^/]+\.conf\.d/.*"
)
_ENABLING_PLACE = Place("unit that is enabled at once", ())
#: Every Python that starts runs what these say.
_PYTHON = re.compile(r"usr/lib/python[0-9.]+/(site-packages/[^/]+\.pth|.*/?(site|user)customize.*)")
_PYTHON_PLACE = Place("code that every Python runs", ())
#: Folders that are links in Arch's file system: what is put there lies elsewhere.
_LINKED = {"usr/lib64/": "usr/lib/", "usr/sbin/": "usr/bin/"}
#: Where packages put things; all else is not theirs.
_TOPS = frozenset({"usr", "etc", "opt", "var", "boot"})


def place_of(path: str, *, is_link: bool = False) -> Place | None:
    """Return the kind of place that a path is in, the first that fits; None for all others.

    A link is in a place, too, where it stands for the folder itself, or for one above it: what lies
    behind it is in that place then.
    """
    for link, target in _LINKED.items():
        if path.startswith(link):
            path = target + path.removeprefix(link)
    if _PYTHON.fullmatch(path):
        return _PYTHON_PLACE
    if is_link:
        path += "/"
    if _ENABLING.fullmatch(path):
        return _ENABLING_PLACE
    for place in PLACES:
        if path.startswith(place.beginnings):
            return place
    if is_link:
        above = (one for one in PLACES if any(it.startswith(path) for it in one.beginnings))
        return max(above, key=lambda one: one.is_power, default=None)
    return None


def is_outside(path: str) -> bool:
    """Whether a path lies where no package puts anything."""
    return path.partition("/")[0] not in _TOPS
