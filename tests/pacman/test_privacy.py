"""What is of a private repository is told to nobody."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.files import Content
from flocon.pacman.entries import Entry
from flocon.pacman.listing import Database, Listing
from flocon.pacman.privacy import Privacy

THEIRS = Content(1, bytes(32))
OURS = Content(2, b"\x01" * 32)


def database(repository: str, *entries: tuple[str, str, Content]) -> Database:
    """Make a database of packages: each a name, a version and its content."""
    listed = {}
    for name, version, content in entries:
        file = f"{name}-{version}-any.pkg.tar.zst"
        listed[file] = Entry(repository, file, name, version, content.size, content.sha256, None)
    return Database(repository, "0" * 16, 0.0, listed)


class Telling(SynchronousTestCase):
    def setUp(self) -> None:
        self.listing = Listing(
            (
                database("core", ("bash", "5-1", THEIRS), ("zlib", "1-1", THEIRS)),
                database("ours", ("secret", "1-1", OURS), ("bash", "5-1", OURS)),
            )
        )
        self.privacy = Privacy(lambda: self.listing, ["ours"])

    def allows(self, file: str, content: Content = OURS) -> bool:
        return self.privacy.allows(f"{file}-any.pkg.tar.zst", content)

    def test_what_a_private_repository_alone_lists_is_not_told(self) -> None:
        self.assertFalse(self.allows("secret-1-1"))
        self.assertTrue(self.allows("zlib-1-1", THEIRS))

    def test_of_two_contents_of_a_name_each_is_its_own(self) -> None:
        self.assertFalse(self.allows("bash-5-1", OURS))
        self.assertTrue(self.allows("bash-5-1", THEIRS))

    def test_what_another_lists_too_is_told(self) -> None:
        self.listing = Listing((*self.listing.databases, database("more", ("secret", "1-1", OURS))))
        self.assertTrue(self.allows("secret-1-1"))

    def test_versions_that_nobody_lists_any_more_are_known_by_name(self) -> None:
        self.assertFalse(self.allows("secret-0.9-1"))
        self.assertFalse(self.allows("bash-4-1"))
        self.assertTrue(self.allows("zlib-0.9-1"))
        self.assertTrue(self.allows("secret-agent-1-1"))
        self.assertFalse(self.privacy.allows("no package", OURS))

    def test_until_the_private_databases_are_read_only_what_others_list_is_told(self) -> None:
        self.listing = Listing(self.listing.databases[:1])
        self.assertFalse(self.allows("secret-1-1"))
        self.assertFalse(self.allows("zlib-0.9-1"))
        self.assertTrue(self.allows("zlib-1-1", THEIRS))

    def test_what_this_machine_publishes_privately_is_not_told_before_pacman_lists_it(self) -> None:
        published = {"newest-1-1-any.pkg.tar.zst", "zlib-1-1-any.pkg.tar.zst"}
        self.assertTrue(self.allows("newest-1-1"))
        self.privacy.publishes = published.__contains__
        self.assertFalse(self.allows("newest-1-1"))
        self.assertTrue(self.allows("zlib-1-1", THEIRS))

    def test_without_private_repositories_everything_is_told(self) -> None:
        self.privacy.repositories = frozenset()
        self.assertTrue(self.allows("secret-1-1"))
        self.assertTrue(self.privacy.keeps("ours") is False)
