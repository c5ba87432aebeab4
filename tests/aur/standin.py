"""A stand-in for the AUR: its RPC and its git, a copy of its recipes, and upstream's sources.

All of it lies in one folder, which a test changes while ``standin_site`` serves it, in this process
or in another one (``python -m tests.aur.standin FOLDER HOST PORT``). As at the AUR one repository
has every base in a git namespace of its own, and git answers for it by ``git http-backend``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.aur.standin_site import LISTS, Site, read_state

AUTHOR, MAIL = "An Author", "author@example.org"
_GIT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": AUTHOR,
    "GIT_AUTHOR_EMAIL": MAIL,
    "GIT_COMMITTER_NAME": AUTHOR,
    "GIT_COMMITTER_EMAIL": MAIL,
}


@dataclass(frozen=True, slots=True)
class Blob:
    """A file that is pushed with a mode of its own.

    Of a link (``120000``) ``data`` is where it leads, of a submodule (``160000``) its commit.
    """

    mode: str
    data: bytes


class StandIn:
    """The folder, and what a maintainer, the AUR's staff and upstream do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("aur.git", "copy.git"):
            if not (folder / name).exists():
                self._git("init", "--quiet", "--bare", "--initial-branch=master", name)

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> Site:
        """Answer from threads of this process until the site's ``stop``."""
        site = Site(self.folder, host, port)
        site.start()
        return site

    # What maintainers do.

    def push(
        self,
        base: str,
        files: Mapping[str, bytes | Blob],
        *,
        author: str = AUTHOR,
        mail: str = MAIL,
        when: int | None = None,
        subject: str = "Update",
        parent: str | None = None,
    ) -> str:
        """Push a commit with these files alone; return it. Without ``parent`` ("") it is a first.

        The records of its packages are made of its .SRCINFO, what ``change`` said of them stays.
        """
        when = int(time.time()) if when is None else when
        ref = f"refs/namespaces/{base}/refs/heads/master"
        self._git("symbolic-ref", f"refs/namespaces/{base}/HEAD", ref, repository="aur.git")
        commit = self._commit(
            "aur.git",
            ref,
            files,
            author=author,
            mail=mail,
            when=when,
            subject=subject,
            parent=parent,
        )
        text = files.get(".SRCINFO")
        if isinstance(text, bytes):
            self._record(base, text.decode("utf-8", "replace"), when)
        return commit

    def push_source(
        self,
        name: str,
        files: Mapping[str, bytes | Blob],
        *,
        branch: str = "main",
        tag: str = "",
        parent: str | None = None,
    ) -> str:
        """Push a commit to upstream's repository ``name``, with a tag on it; return it."""
        repository = f"sources/{name}.git"
        if not (self.folder / repository).exists():
            (self.folder / "sources").mkdir(exist_ok=True)
            self._git("init", "--quiet", "--bare", f"--initial-branch={branch}", repository)
        commit = self._commit(repository, f"refs/heads/{branch}", files, parent=parent)
        if tag:
            self._git("tag", "--annotate", "--message", tag, tag, commit, repository=repository)
        return commit

    def change(self, base: str, **fields: Any) -> None:
        """Have the records of a base say something else: ``Maintainer``, ``NumVotes``, ..."""
        state = self.state()
        state["changed"].setdefault(base, {}).update(fields)
        self._write(state)

    # What the AUR and its staff do.

    def head(self, base: str) -> str:
        return self._git("rev-parse", f"refs/namespaces/{base}/refs/heads/master^{{commit}}",
                         repository="aur.git")  # fmt: skip

    def rewind(self, base: str, commit: str) -> None:
        """Have an earlier commit be the newest again: what came behind it was taken away."""
        ref = f"refs/namespaces/{base}/refs/heads/master"
        self._git("update-ref", ref, commit, repository="aur.git")

    def drop(self, base: str) -> None:
        """Have the RPC know a base no more; git still does."""
        state = self.state()
        state["records"] = [one for one in state["records"] if one["PackageBase"] != base]
        self._write(state)

    def trouble(
        self, status: int | None, *, of: str = "all", retry_after: int | None = None
    ) -> None:
        """Answer so from now on: a status, 0 to hang up, None as always.

        ``of``: "rpc", "git", "copy" or "all".
        """
        state = self.state()
        for part in ("rpc", "git", "copy") if of == "all" else (of,):
            state["trouble"][part] = [status, retry_after]
        self._write(state)

    def copy_now(self) -> None:
        """Have the copy of all recipes be what the AUR is now, one branch for each base."""
        refs = self._git("for-each-ref", "--format=%(refname)", "refs/namespaces",
                         repository="aur.git")  # fmt: skip
        bases = [one.split("/")[2] for one in refs.split() if one.endswith("/refs/heads/master")]
        mapped = [f"+refs/namespaces/{one}/refs/heads/master:refs/heads/{one}" for one in bases]
        self._git("push", "--quiet", "--force", "../copy.git", *mapped, repository="aur.git")

    # What a test sees.

    def asked(self) -> list[str]:
        """Return what was asked since the last call, as "GET PATH?QUERY"."""
        log = self.folder / "asked"
        if not log.exists():
            return []
        taken = log.with_name("asked.taken")
        log.replace(taken)
        return taken.read_text().splitlines()

    def state(self) -> dict[str, Any]:
        return read_state(self.folder)

    # How it is done.

    def _write(self, state: Mapping[str, Any]) -> None:
        fresh = self.folder / "state.json.new"
        fresh.write_text(json.dumps(state, indent=1))
        fresh.replace(self.folder / "state.json")

    def _record(self, base: str, text: str, when: int) -> None:
        state = self.state()
        before = {one["Name"]: one for one in state["records"]}
        kept = [one for one in state["records"] if one["PackageBase"] != base]
        state["records"] = kept + records_of(text, when, before)
        self._write(state)

    def _commit(
        self,
        repository: str,
        ref: str,
        files: Mapping[str, bytes | Blob],
        *,
        author: str = AUTHOR,
        mail: str = MAIL,
        when: int | None = None,
        subject: str = "Update",
        parent: str | None = None,
    ) -> str:
        when = int(time.time()) if when is None else when
        if parent is None:
            found = self._run(["rev-parse", "--quiet", "--verify", ref], repository, b"")
            parent = found.stdout.decode().strip()
        said = subject.encode()
        lines = [
            f"commit {ref}\n".encode(),
            f"author {author} <{mail}> {when} +0000\n".encode(),
            f"committer {author} <{mail}> {when} +0000\n".encode(),
            b"data %d\n%b\n" % (len(said), said),
            f"from {parent}\n".encode() if parent else b"",
            b"deleteall\n",
        ]
        for path, given in files.items():
            one = given if isinstance(given, Blob) else Blob("100644", given)
            quoted = json.dumps(path).encode()
            if one.mode == "160000":
                lines.append(b"M 160000 %b %b\n" % (one.data, quoted))
            else:
                head = b"M %b inline %b\n" % (one.mode.encode(), quoted)
                lines.append(head + b"data %d\n%b\n" % (len(one.data), one.data))
        self._git("fast-import", "--quiet", "--force", repository=repository,
                  given=b"".join(lines))  # fmt: skip
        return self._git("rev-parse", ref, repository=repository)

    def _git(self, *words: str, repository: str = "", given: bytes = b"") -> str:
        done = self._run(words, repository, given)
        if done.returncode:
            raise AssertionError(f"git {words}: {done.stderr.decode()}")
        return done.stdout.decode().strip()

    def _run(
        self, words: Sequence[str], repository: str, given: bytes
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["git", *words],
            cwd=self.folder / repository,
            env={**os.environ, **_GIT},
            input=given,
            capture_output=True,
            check=False,
        )


def records_of(
    srcinfo: str, when: int, before: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the records of a .SRCINFO's packages, as the AUR makes them."""
    sections: list[dict[str, list[str]]] = []
    for line in srcinfo.splitlines():
        key, mark, value = (part.strip() for part in line.partition("="))
        if not mark or line.startswith("#"):
            continue
        if key in {"pkgbase", "pkgname"}:
            sections.append({})
        if sections:
            sections[-1].setdefault(key, []).append(value)
    base, *packages = sections
    made = []
    for own in packages:
        said = {**base, **own}
        epoch = f"{said['epoch'][0]}:" if "epoch" in said else ""
        name = own["pkgname"][0]
        record: dict[str, Any] = {
            "Name": name,
            "PackageBase": base["pkgbase"][0],
            "Version": f"{epoch}{said['pkgver'][0]}-{said['pkgrel'][0]}",
            "Description": said.get("pkgdesc", [None])[0],
            "URL": said.get("url", [None])[0],
            "URLPath": f"/cgit/aur.git/snapshot/{name}.tar.gz",
            "Maintainer": "maintainer",
            "Submitter": "maintainer",
            "NumVotes": 10,
            "Popularity": 1.5,
            "OutOfDate": None,
            "FirstSubmitted": before.get(name, {}).get("FirstSubmitted", when),
            "LastModified": when,
            "License": [],
            "Keywords": [],
        }
        for key, called in LISTS.items():
            values = [
                one for kind, ones in said.items() if kind.split("_")[0] == key for one in ones
            ]
            if values := [one for one in values if one]:
                record[called] = values
        made.append(record)
    return made


if __name__ == "__main__":
    Site(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])).serve_forever()
