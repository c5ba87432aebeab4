"""Announces a service by python-zeroconf, as many programs do, until it is ended without a word.

    python -m tests.interop_on_lan.announcer INSTANCE TYPE HOST ADDRESS PORT SECONDS TEXT...

SECONDS is for how long others may remember it.
"""

from __future__ import annotations

import sys
import threading

from zeroconf import ServiceInfo, Zeroconf


def main(*words: str) -> None:
    instance, kind, host, address, port, seconds, *texts = words
    properties = dict(text.split("=", 1) for text in texts)
    info = ServiceInfo(
        f"{kind}.local.",
        f"{instance}.{kind}.local.",
        port=int(port),
        properties=properties,
        server=f"{host}.local.",
        host_ttl=int(seconds),
        other_ttl=int(seconds),
        parsed_addresses=[address],
    )
    Zeroconf(interfaces=[address]).register_service(info)
    print("announced", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
