"""Configurations of pacman as texts: some, and any."""

from __future__ import annotations

from hypothesis import strategies as st

from flocon.leading.node_lines import Method, node_url
from flocon.leading.pacman_conf import Configuration

PORT = 19433
URL = node_url(PORT).encode()
OPTIONS = b"[options]\nArchitecture = auto\n"
LIST = b"# mirrors\n\nServer = http://a/$repo/$arch\nServer = http://b/$repo/$arch\n"


def configuration(root: bytes, **included: bytes) -> Configuration:
    """Return a pacman.conf that includes files by their bare names."""
    files = {name: (name,) for name in included}
    return Configuration("pacman.conf", {"pacman.conf": root, **included}, files)


LINES = st.sampled_from(
    [
        b"[core]",
        b" [extra]\t",
        b"[a b]",
        b"[options]",
        b"Architecture = auto",
        b"#[core]",
        b"Include = one",
        b"Include=two",
        b"Server = http://a/$repo",
        b"\tServer=https://b/$arch # c",
        b"Server = file:///c",
        b"Server = ftp://d",
        b"#Server = http://localhost:19433/$repo/os/$arch",
        b"Server = " + URL,
        b"CacheServer = " + URL,
        b"CacheServer = http://127.0.0.1:19433/",
        b"CacheServer = http://c",
        b"SigLevel = Never\0Server = http://x",
        b"",
        b"\xff\xfe",
    ]
)
ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b" \n"])
TEXTS = st.builds(
    lambda lines, last: b"".join(a + b for a, b in lines) + last,
    st.lists(st.tuples(LINES | st.binary(max_size=4), ENDS), max_size=12),
    LINES | st.just(b""),
)
CONFIGURATIONS = st.builds(
    lambda head, root, tail, one, two: configuration(head + root + tail, one=one, two=two),
    st.sampled_from(
        [
            OPTIONS,
            OPTIONS + b"[core]\nInclude = one\n",
            OPTIONS + b"[core]\nServer = http://m/$repo\n",
            b"",
        ]
    ),
    TEXTS,
    st.sampled_from([b"", b"\n[last]\nInclude = two", b"\n[last]\r\nServer = http://m"]),
    TEXTS.filter(lambda text: b"Include" not in text),
    TEXTS.filter(lambda text: b"Include" not in text),
)
METHODS = st.sampled_from(list(Method))
