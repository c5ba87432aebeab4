"""Waiting goes on as before, whatever somebody sets the time of day to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from twisted.internet.epollreactor import EPollReactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from flocon.machine.clock import steady, steady_clock

#: The time of day is what the file says, in seconds beside the true one.
SHIFTED = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME) {
        char text[32] = {0};
        int file = open(getenv("SHIFT"), O_RDONLY);
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0) now->tv_sec += atol(text);
            close(file);
        }
    }
    return result;
}
"""
#: Waits half a second by makeService's reactor while the time of day is set by so much; tells how
#: long that took, and how far the time of day went.
WAITING = r"""
import os, sys, time
from twisted.internet import reactor
from flocon.settings.options import Options
from flocon.node.service import makeService

options = Options()
options.parseOptions(["--store", sys.argv[1] + "/store", "--pacman-conf", "/nonexistent"]
    + ["--lan", "tcp:0:interface=127.0.0.1", "--loopback", "tcp:0:interface=127.0.0.1"])
makeService(options)
began, day = time.monotonic(), time.time()

def shift():
    with open(os.environ["SHIFT"], "w") as file:
        file.write(sys.argv[2])

def end():
    print(time.monotonic() - began, time.time() - day)
    reactor.stop()

reactor.callLater(0.1, shift)
reactor.callLater(0.5, end)
reactor.run()
"""


class Steady(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = EPollReactor()
        self.addCleanup(self.reactor.disconnectAll)

    def test_it_counts_the_time_that_the_machine_slept(self) -> None:
        self.assertGreaterEqual(steady(), time.clock_gettime(time.CLOCK_MONOTONIC) - 1e-3)

    def test_what_waits_already_stays_due_when_it_was(self) -> None:
        early = self.reactor.callLater(10, lambda: None)
        late = self.reactor.callLater(500, lambda: None)
        steady_clock(self.reactor)
        steady_clock(self.reactor)
        self.assertTrue(9 < early.getTime() - steady() <= 10)
        late.reset(20)
        self.assertTrue(19 < late.getTime() - steady() <= 20)

    def test_what_is_due_is_called_and_what_is_not_waits(self) -> None:
        steady_clock(self.reactor)
        called: list[str] = []
        self.reactor.callLater(0, called.append, "now")
        self.reactor.callLater(3600, called.append, "in an hour")
        self.reactor.runUntilCurrent()
        self.assertEqual(called, ["now"])
        self.assertLess(self.reactor.timeout() or 0, 3600)


class SetBack(TestCase):
    """A real process whose time of day is moved while it waits."""

    if shutil.which("cc") is None:
        skip = "needs a C compiler"

    def wait(self, shift: int) -> tuple[float, float]:
        """Return the seconds that half a second took, and how far the time of day went."""
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        (folder / "shifted.c").write_text(SHIFTED)
        library = folder / "shifted.so"
        make = ["cc", "-shared", "-fPIC", "-o", str(library), str(folder / "shifted.c"), "-ldl"]
        subprocess.run(make, check=True)
        environment = os.environ | {"LD_PRELOAD": str(library), "SHIFT": str(folder / "shift")}
        waited = subprocess.run(
            [sys.executable, "-c", WAITING, folder, str(shift)],
            env=environment,
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        )
        took, day = waited.stdout.split()
        return float(took), float(day)

    def test_by_an_hour_holds_up_nothing(self) -> None:
        took, day = self.wait(-3600)
        self.assertLess(day, -3000)
        self.assertTrue(0.4 < took < 10, took)

    def test_or_ahead_makes_nothing_early(self) -> None:
        took, day = self.wait(3600)
        self.assertGreater(day, 3000)
        self.assertGreater(took, 0.45)
