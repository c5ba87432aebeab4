"""``flocon`` as a process: whatever happens to it is one sentence and a status, no traceback."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import flocon

ROOT = Path(flocon.__file__).parent.parent
COMMAND = (sys.executable, "-m", "flocon.cli")


def without_buffers(wanted: bool) -> dict[str, str]:
    """Return an environment in which Python writes at once, or when it ends."""
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return plain | ({"PYTHONUNBUFFERED": "1"} if wanted else {})


class ProcessTestCase(SynchronousTestCase):
    def run_in_shell(self, line: str, *, unbuffered: bool = False) -> tuple[int, str]:
        """Run a shell's line in which ``$@`` is the command; return its status and its errors."""
        done = subprocess.run(
            ["sh", "-c", line, "sh", *COMMAND],
            cwd=ROOT,
            env=without_buffers(unbuffered),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertNotIn("Traceback", done.stderr)
        self.assertNotIn("Exception ignored", done.stderr)
        return done.returncode, done.stderr


class Words(ProcessTestCase):
    def test_bare_it_is_its_help(self) -> None:
        self.assertEqual(self.run_in_shell('"$@" | grep -q "doctor  *find out"'), (0, ""))

    def test_the_version_is_told_by_both_names(self) -> None:
        for option in ("-V", "--version"):
            line = f'"$@" {option} | grep -qx "flocon {flocon.__version__}"'
            self.assertEqual(self.run_in_shell(line), (0, ""))

    def test_what_was_perhaps_meant(self) -> None:
        for words, wanted in (
            ("statsu", "no command 'statsu'; did you mean 'status'?"),
            ("setup --undoo", "setup takes no option '--undoo'; did you mean '--undo'?"),
            ("peers ada", "peers takes no argument 'ada'\n"),
            ("completion fsh", "no shell 'fsh'; did you mean 'fish'?"),
            ("qqqqqq", "no command 'qqqqqq'; 'flocon --help' lists them\n"),
            ("setup --pacman-conf ''", "an empty name is no file's\n"),
            ("config --config ''", "an empty name is no file's\n"),
        ):
            status, errors = self.run_in_shell(f'"$@" {words}')
            self.assertEqual(status, 2, errors)
            self.assertIn(wanted, errors)


class Settings(ProcessTestCase):
    def test_they_are_printed_and_checked_without_a_node(self) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write("prefetch = true\n")
            file.flush()
            line = f'"$@" config --config {file.name} | grep -qx \'prefetch = "all"\''
            self.assertEqual(self.run_in_shell(line)[0], 0)
            line = f'"$@" config --json --config {file.name} | grep -qx \' "prefetch": "all",\''
            self.assertEqual(self.run_in_shell(line)[0], 0)
            file.write("shop = 1\n")
            file.flush()
            status, errors = self.run_in_shell(f'"$@" config --config {file.name}')
        self.assertEqual(status, 1)
        self.assertIn("shop is not a key flocon knows", errors.replace(":", ""))


class Outputs(ProcessTestCase):
    """Nothing can be written, or nobody reads."""

    LOCAL = ("", "-V", "--help", "completion bash", "setup --help")

    def test_a_full_disk_is_one_sentence(self) -> None:
        for words in self.LOCAL:
            for unbuffered in (True, False):
                line = f'"$@" {words} > /dev/full'
                status, errors = self.run_in_shell(line, unbuffered=unbuffered)
                wanted = "flocon: standard output cannot be written to (No space left on device)\n"
                self.assertEqual((status, errors), (1, wanted), words)

    def test_a_closed_output_is_one_sentence(self) -> None:
        for words in self.LOCAL:
            status, errors = self.run_in_shell(f'"$@" {words} >&-')
            wanted = (1, "flocon: standard output is closed\n")
            self.assertEqual((status, errors), wanted, words)

    def test_whoever_has_read_enough_is_told_nothing(self) -> None:
        for words in self.LOCAL:
            line = f'{{ "$@" {words}; echo $? >&2; }} | true'
            for unbuffered in (True, False):
                status, errors = self.run_in_shell(line, unbuffered=unbuffered)
                # Whether `true` had ended by then is a matter of chance.
                self.assertIn((status, errors), [(0, "1\n"), (0, "0\n")], words)

    def test_without_any_stream_it_ends_all_the_same(self) -> None:
        self.assertEqual(self.run_in_shell('"$@" -V <&- >&- 2>&-'), (1, ""))
        self.assertEqual(self.run_in_shell('"$@" --port 1 peers <&- >&- 2>&-'), (1, ""))


class Interrupted(ProcessTestCase):
    """A signal while the node has not answered yet."""

    def setUp(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listening.close)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def end(self, number: int, *words: str) -> tuple[int, str, str]:
        """Send a signal once the command asks a node that is silent."""
        port = str(self.listening.getsockname()[1])
        process = subprocess.Popen(
            [*COMMAND, "--port", port, *words],
            cwd=self.folder.name,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        stop = threading.Timer(60, process.kill)
        stop.start()
        self.addCleanup(stop.cancel)
        connection, _ = self.listening.accept()
        with connection:
            connection.recv(1)
            process.send_signal(number)
            out, errors = process.communicate()
        return process.returncode, out, errors

    def test_ctrl_c_is_one_sentence_and_130(self) -> None:
        for words in (("status",), ("doctor",), ("has", "x"), ("get", "tool-1-1-any.pkg.tar.zst")):
            self.assertEqual(self.end(signal.SIGINT, *words), (130, "", "flocon: interrupted\n"))

    def test_so_it_is_before_all_is_imported(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "treq.py").write_text("raise KeyboardInterrupt\n")
        line = f'PYTHONPATH={shlex.quote(str(folder))}:. exec "$@" status'
        self.assertEqual(self.run_in_shell(line), (130, "flocon: interrupted\n"))

    def test_being_ended_is_one_too(self) -> None:
        self.assertEqual(self.end(signal.SIGTERM, "ban", "ada"), (143, "", "flocon: ended\n"))
        self.assertEqual(list(Path(self.folder.name).iterdir()), [])


class Importing(ProcessTestCase):
    def test_hardly_any_garbage_is_looked_for_until_all_is_there(self) -> None:
        script = (
            "import gc, sys\n"
            "rounds = lambda: gc.get_stats()[0]['collections']\n"
            "before = rounds()\n"
            "import flocon.cli\n"
            "few = rounds() - before < 10\n"
            "print(few, gc.isenabled(), gc.get_freeze_count() > 10_000, file=sys.stderr)\n"
        )
        line = f"{shlex.quote(sys.executable)} -c {shlex.quote(script)}"
        self.assertEqual(self.run_in_shell(line), (0, "True True True\n"))
