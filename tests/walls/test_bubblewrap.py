"""What bubblewrap is told."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from flocon.walls.bubblewrap import (
    Kernel,
    Shown,
    Wall,
    behind_installation_wall,
    behind_recipe_wall,
)

WALL = Wall("/root", 500, 501, True, (Shown("/a", "/b"), Shown("/c", "/d", True)), filtered=True)


def _added(words: list[str]) -> set[str]:
    return {words[at + 1] for at, word in enumerate(words) if word == "--cap-add"}


class WallTests(SynchronousTestCase):
    """Of a recipe, and of an installation."""

    def test_a_recipe_writes_what_is_shown_as_writable(self) -> None:
        words = behind_recipe_wall(WALL, ["true"])
        self.assertEqual(words[words.index("/root") - 1], "--ro-bind")
        self.assertEqual(words[words.index("/a") - 1], "--ro-bind")
        self.assertEqual(words[words.index("/c") - 1], "--bind")

    def test_a_recipe_has_a_user_and_no_right(self) -> None:
        words = behind_recipe_wall(WALL, ["true"])
        after = words[words.index("--") + 1 :]
        self.assertEqual(after[0], "setpriv")
        for word in ("--reuid=500", "--regid=501", "--clear-groups", "--bounding-set=-all"):
            self.assertIn(word, after)
        self.assertEqual(_added(words), {"CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID"})
        self.assertIn("--seccomp", words)

    def test_without_a_right_it_is_somebody_in_a_namespace(self) -> None:
        words = behind_recipe_wall(Wall("/root", 1_000, 1_000, False), ["true"])
        self.assertIn("--unshare-user", words)
        self.assertNotIn("setpriv", words)
        self.assertEqual(_added(words), set())

    def test_an_installation_may_not_mount_trace_or_make_devices(self) -> None:
        words = behind_installation_wall(WALL, ["pacman"])
        self.assertEqual(words[words.index("/root") - 1], "--bind")
        dangerous = {
            "CAP_SYS_ADMIN",
            "CAP_SYS_PTRACE",
            "CAP_MKNOD",
            "CAP_NET_ADMIN",
            "CAP_SYS_MODULE",
        }
        self.assertFalse(_added(words) & dangerous)
        self.assertLess(words.index("--cap-drop"), words.index("--cap-add"))

    def test_a_system_that_is_made_alone_is_written(self) -> None:
        kernel = Kernel(["/proc/keys"], ["/proc/fs"], ["/proc/sys"])
        wall = replace(WALL, shown=(Shown("/new", "/mnt", True),), system="/mnt", kernel=kernel)
        words = behind_installation_wall(wall, ["pacman"])
        self.assertEqual(words[words.index("/root") - 1], "--ro-bind")
        self.assertEqual([one for one in words if one == "--bind"], ["--bind"])
        self.assertEqual(words[words.index("/mnt/proc") - 1], "--proc")
        self.assertEqual(words[words.index("/mnt/dev") - 1], "--dev")
        for one in ("/mnt/proc/sys", "/mnt/proc/keys", "/mnt/proc/fs"):
            self.assertLess(words.index("/mnt/proc"), words.index(one))
        self.assertEqual(words[words.index("/mnt/proc/keys") - 1], "/dev/null")
        self.assertEqual(words[words.index("/mnt/proc/fs") - 1], "--tmpfs")

    def test_nothing_is_put_beside_devices(self) -> None:
        system = replace(WALL, shown=(Shown("/new", "/mnt", True),), system="/mnt")
        for words, places in (
            (behind_recipe_wall(WALL, []), ["/dev"]),
            (behind_installation_wall(WALL, []), ["/dev"]),
            (behind_installation_wall(system, []), ["/dev", "/mnt/dev"]),
        ):
            found = [words[at + 1] for at, word in enumerate(words) if word == "--remount-ro"]
            self.assertEqual(found, places)
            self.assertLess(words.index("/dev/shm"), words.index("--remount-ro"))

    def test_both_have_an_environment_of_their_own(self) -> None:
        for words in (behind_recipe_wall(WALL, []), behind_installation_wall(WALL, [])):
            self.assertIn("--clearenv", words)
            self.assertIn("--unshare-pid", words)
            self.assertIn("--die-with-parent", words)
