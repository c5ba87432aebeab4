"""The program that judges system calls, run here by a small machine of its own."""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from flocon.walls.filters import ATTRIBUTES, make_filter

ALLOW, KILL = 0x7FFF_0000, 0x8000_0000
EINVAL, EPERM, ENOSYS, EAFNOSUPPORT = 0x0005_0016, 0x0005_0001, 0x0005_0026, 0x0005_0061
ENOTTY, EOPNOTSUPP, ENOMEM = 0x0005_0019, 0x0005_005F, 0x0005_000C
EPROTONOSUPPORT, ESOCKTNOSUPPORT = 0x0005_005D, 0x0005_005E
X86_64, I386, AARCH64 = 0xC000_003E, 0x4000_0003, 0xC000_00B7


def run(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """Return what a filter says of a call: classic BPF, as far as it is used."""
    said = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    values = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack(
        "=iIQ6Q", number - (1 << 32) if number >> 31 else number, architecture, 0, *values
    )
    at, loaded = 0, 0
    while True:
        code, yes, no, value = said[at]
        at += 1
        if code == 0x20:
            loaded = struct.unpack_from("=I", data, value)[0]
        elif code == 0x05:
            at += value
        elif code == 0x54:
            loaded &= value
        elif code == 0x06:
            return int(value)
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            at += yes if holds else no


class FilterTests(SynchronousTestCase):
    """For each architecture that is known."""

    def setUp(self) -> None:
        self.program = make_filter("x86_64")

    def test_what_builds_use_is_let_through(self) -> None:
        for number in (0, 1, 9, 57, 59, 101, 257, 439):
            self.assertEqual(run(self.program, X86_64, number), ALLOW)

    def test_a_new_process_is_no_new_namespace(self) -> None:
        self.assertEqual(run(self.program, X86_64, 56, 17), ALLOW)
        self.assertEqual(run(self.program, X86_64, 56, 0x0100_0F00), ALLOW)
        for flag in (0x1000_0000, 0x2_0000, 0x4000_0000, 0x2000_0000):
            self.assertEqual(run(self.program, X86_64, 56, flag | 17), EPERM)
            self.assertEqual(run(self.program, X86_64, 272, flag), EPERM)
            self.assertEqual(run(self.program, I386, 310, flag), EPERM)

    def test_shared_memory_that_needs_no_process_is_little(self) -> None:
        for architecture, number, program in (
            (X86_64, 29, self.program),
            (I386, 395, self.program),
            (AARCH64, 194, make_filter("aarch64")),
        ):
            for size, said in ((56, ALLOW), (64 << 10, ALLOW), ((64 << 10) + 1, EINVAL)):
                self.assertEqual(run(program, architecture, number, 0, size), said)
        self.assertEqual(run(self.program, X86_64, 29, 0, 1 << 32), EINVAL)
        for number in (21, 23, 0x1_0017):
            self.assertEqual(run(self.program, I386, 117, number), ENOSYS)
        for number in (1, 4, 11, 14):
            self.assertEqual(run(self.program, I386, 117, number), ALLOW)

    def test_no_volume_is_made_within_a_file_system(self) -> None:
        for architecture, number, program in (
            (X86_64, 16, self.program),
            (I386, 54, self.program),
            (AARCH64, 29, make_filter("aarch64")),
        ):
            made = (0x5000_940E, 0x5000_9401, 0x5000_9417, 0x5000_9418, 0x4058_BC10)
            for request in (*made, 1 << 32 | 0x5000_940E):
                self.assertEqual(run(program, architecture, number, 3, request), ENOTTY)
            # Of a terminal, of bytes that wait, of files that share what they have.
            for request in (0x5401, 0x541B, 0x4004_9409, 0x4020_940D, 0xC018_9436):
                self.assertEqual(run(program, architecture, number, 3, request), ALLOW)

    def test_what_no_count_of_blocks_shows_is_not_there(self) -> None:
        arm = make_filter("aarch64")
        for number in (188, 189, 190, 463):
            self.assertEqual(run(self.program, X86_64, number), EOPNOTSUPP)
        for number in (226, 227, 228, 463):
            self.assertEqual(run(self.program, I386, number), EOPNOTSUPP)
        for number in (5, 6, 7, 463):
            self.assertEqual(run(arm, AARCH64, number), EOPNOTSUPP)
        for program, architecture in (
            (self.program, X86_64),
            (self.program, I386),
            (arm, AARCH64),
        ):
            self.assertEqual(run(program, architecture, 447), ENOSYS)
        installing = make_filter("x86_64", ATTRIBUTES)
        self.assertEqual(run(installing, X86_64, 190), ALLOW)
        self.assertEqual(run(installing, X86_64, 447), ENOSYS)

    def test_what_a_machine_has_once_is_not_a_jobs(self) -> None:
        arm = make_filter("aarch64")
        for program, architecture, log, waiting in (
            (self.program, X86_64, 103, 206),
            (self.program, I386, 103, 245),
            (arm, AARCH64, 116, 0),
        ):
            self.assertEqual(run(program, architecture, log), EPERM)
            self.assertEqual(run(program, architecture, waiting), ENOSYS)

    def test_threads_have_open_what_their_process_has(self) -> None:
        thread, files = 0x1_0F00, 0x400
        self.assertEqual(run(self.program, X86_64, 56, thread | files), ALLOW)
        self.assertEqual(run(self.program, X86_64, 56, thread & ~files), EPERM)
        self.assertEqual(run(self.program, X86_64, 272, files), EPERM)
        self.assertEqual(run(self.program, X86_64, 272, 0x4_0000), ALLOW)
        self.assertEqual(run(self.program, X86_64, 436, 3, 9, 4), ALLOW)
        self.assertEqual(run(self.program, X86_64, 436, 3, 9, 6), EPERM)

    def test_flags_that_cannot_be_read_are_not_known(self) -> None:
        for architecture in (X86_64, I386):
            self.assertEqual(run(self.program, architecture, 435), ENOSYS)

    def test_sockets_are_of_four_families(self) -> None:
        for family in range(46):
            said = ALLOW if family in {1, 2, 10, 16} else EAFNOSUPPORT
            self.assertEqual(run(self.program, X86_64, 41, family, 1), said)
            self.assertEqual(run(self.program, I386, 359, family, 1), said)
        self.assertEqual(run(self.program, I386, 102, 1), ENOSYS)

    def test_a_socket_makes_a_kernel_load_nothing(self) -> None:
        """Of SCTP, DCCP and others of the Internet's families, and of those of a link."""
        arm = make_filter("aarch64")
        for program, architecture, number in (
            (self.program, X86_64, 41),
            (self.program, I386, 359),
            (arm, AARCH64, 198),
        ):
            for family in (2, 10):
                for kind, protocol in ((1, 0), (2, 17), (1, 6), (2, 1), (0x8_0002, 58), (3, 0)):
                    self.assertEqual(
                        run(program, architecture, number, family, kind, protocol), ALLOW
                    )
                for protocol in (2, 33, 132, 136, 255, 262):
                    said = run(program, architecture, number, family, 1, protocol)
                    self.assertEqual(said, EPROTONOSUPPORT)
                for kind in (5, 6, 0x8_0006, 10):
                    said = run(program, architecture, number, family, kind, 0)
                    self.assertEqual(said, ESOCKTNOSUPPORT)
            for protocol in range(32):
                said = ALLOW if protocol in {0, 4, 15, 16} else EPROTONOSUPPORT
                self.assertEqual(run(program, architecture, number, 16, 3, protocol), said)
            self.assertEqual(run(program, architecture, number, 1, 5, 0), ALLOW)

    def test_a_terminal_is_one(self) -> None:
        for architecture, number, program in (
            (X86_64, 16, self.program),
            (I386, 54, self.program),
            (AARCH64, 29, make_filter("aarch64")),
        ):
            for request in (0x5423, 0x5412, 1 << 32 | 0x5423):
                self.assertEqual(run(program, architecture, number, 3, request), EPERM)
            for request in (0x5413, 0x5414, 0x540E, 0x5424):
                self.assertEqual(run(program, architecture, number, 3, request), ALLOW)

    def test_pages_that_were_set_aside_stay_so(self) -> None:
        for architecture, mapping, making, program in (
            (X86_64, 9, 319, self.program),
            (I386, 192, 356, self.program),
            (AARCH64, 222, 279, make_filter("aarch64")),
        ):
            self.assertEqual(run(program, architecture, mapping, 0, 4_096, 3, 0x22), ALLOW)
            self.assertEqual(run(program, architecture, mapping, 0, 4_096, 3, 0x4_0022), ENOMEM)
            self.assertEqual(run(program, architecture, making, 0, 3), ALLOW)
            self.assertEqual(run(program, architecture, making, 0, 7), EINVAL)

    def test_what_no_build_asks_is_refused(self) -> None:
        for number in (165, 166, 161, 250, 321, 298, 323, 308, 304, 246):
            self.assertEqual(run(self.program, X86_64, number), EPERM)

    def test_what_is_allowed_all_the_same_is(self) -> None:
        program = make_filter("x86_64", ["chroot"])
        self.assertEqual(run(program, X86_64, 161), ALLOW)
        self.assertEqual(run(program, I386, 61), ALLOW)
        self.assertEqual(run(program, X86_64, 165), EPERM)

    def test_the_same_call_by_another_number_is_not_known(self) -> None:
        self.assertEqual(run(self.program, X86_64, 0x4000_0000 | 272, 0x1000_0000), ENOSYS)

    def test_another_architecture_is_none(self) -> None:
        self.assertEqual(run(self.program, AARCH64, 1), KILL)
        self.assertEqual(run(make_filter("aarch64"), X86_64, 1), KILL)

    def test_arm_has_its_own_numbers(self) -> None:
        program = make_filter("aarch64")
        self.assertEqual(run(program, AARCH64, 97, 0x1000_0000), EPERM)
        self.assertEqual(run(program, AARCH64, 220, 17), ALLOW)
        self.assertEqual(run(program, AARCH64, 198, 40), EAFNOSUPPORT)

    def test_a_machine_that_is_not_known_has_none(self) -> None:
        self.assertEqual(make_filter("riscv64"), b"")
