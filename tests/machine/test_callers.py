"""Who is at the other end of a socket is named, or not named wrongly."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from flocon.machine import callers
from flocon.machine.callers import OVERFLOW, caller, has_number
from tests.needs import leave_out

#: What systemd's PrivateUsers=yes maps: root and the service's own user.
PRIVATE = "         0          0          1\n       971        971          1\n"
WHOLE = "         0          0 4294967295\n"
#: Says who connects to a socket, as a process with users of its own.
_SERVER = """
import socket, sys
from flocon.machine.callers import caller
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("listens", flush=True)
print(caller(listening.accept()[0]))
"""


class Callers(SynchronousTestCase):
    def test_a_user_of_this_process_own_is_named(self) -> None:
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        self.assertEqual(caller(one), pwd.getpwuid(os.geteuid()).pw_name)

    def test_what_is_no_such_socket_names_nobody(self) -> None:
        one = socket.socket()
        self.addCleanup(one.close)
        for wrong in (None, one):
            self.assertNotIn("somebody", caller(wrong))

    def test_numbers_are_those_of_the_namespace(self) -> None:
        self.assertEqual(
            [has_number(PRIVATE, user) for user in (0, 971, 972, OVERFLOW)],
            [True, True, False, False],
        )
        self.assertTrue(has_number(WHOLE, OVERFLOW))
        # Where nothing can be read, what the kernel says is taken as it is.
        self.assertTrue(has_number("", OVERFLOW))

    def test_whoever_has_no_number_here_is_not_taken_for_nobody(self) -> None:
        if os.geteuid():
            leave_out("only root can be another user")
        with TemporaryDirectory(prefix="flocon-") as folder:
            Path(folder).chmod(0o755)
            path = f"{folder}/socket"
            serving = subprocess.Popen(
                ["unshare", "--user", "--map-root-user", sys.executable, "-c", _SERVER, path],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert serving.stdout is not None
            if serving.stdout.readline() != "listens\n":
                leave_out(f"no namespace of users can be made: {serving.communicate()[1]}")
            Path(path).chmod(0o666)
            connecting = f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})"
            other = ["setpriv", "--reuid=1000", "--clear-groups", "--regid=1000"]
            subprocess.run([*other, "/usr/bin/python3", "-c", connecting], check=True)
            said, _ = serving.communicate(timeout=20)
        self.assertEqual(said, f"somebody of the group {grp.getgrgid(0).gr_name}\n")


class Unread(SynchronousTestCase):
    def test_a_map_that_is_not_there_says_nothing(self) -> None:
        self.patch(callers, "_MAP", callers._MAP.with_name("nothing"))
        self.assertEqual(callers._read_map(), "")
