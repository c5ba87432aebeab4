"""Says that a node of another network is here now, ever further ahead of it, and answers as it.

    python -m tests.sites_on_lan.double HOST VICTIM NODE EPOCH

HOST is the double's own address, VICTIM a node that hears nodes of this network; NODE and EPOCH
are those of the one that it says to be. Prints a line for each question that it answers.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from flocon.datagrams.messages import SITES, Announcement, Kind, encode
from tests.lan.lan import LAN_PORT


def announcement(node: str, epoch: str, sequence: int) -> bytes:
    said = Announcement(
        kind=Kind.BEAT,
        node=node,
        epoch=epoch,
        sequence=sequence,
        name="n2h2",
        port=LAN_PORT,
        system="arch",
        architectures=("x86_64",),
        beat=30.0,
        generation=0,
        files=0,
        abilities=frozenset({SITES}),
    )
    return encode(said)


def answer(host: str, epoch: str) -> None:
    """Answer every question as a node of that epoch which has no files."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"flocon-inventory 1 {epoch} 0 whole\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            print("asked", flush=True)

        def log_message(self, *_: object) -> None:
            pass

    ThreadingHTTPServer((host, LAN_PORT), Handler).serve_forever()


def main(host: str, victim: str, node: str, epoch: str) -> None:
    threading.Thread(target=answer, args=(host, epoch), daemon=True).start()
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((host, LAN_PORT))
    sequence = 1
    while True:
        sequence += 3
        opened.sendto(announcement(node, epoch, sequence), (victim, LAN_PORT))
        time.sleep(0.2)


if __name__ == "__main__":
    main(*sys.argv[1:])
