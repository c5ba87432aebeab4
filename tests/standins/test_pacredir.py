"""In pacredir's place this machine's pacman is answered, and nobody else."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from flocon.faces.loopback import Loopback
from flocon.pacman.entries import Entry
from flocon.serving.accepting import Admitting
from flocon.standins.needs import ForPacredir
from flocon.standins.pacredir import PacredirFace
from tests.faces.pacman_case import CONTENT, DATA, MIRROR_A, NAME, FakeDesk, HeldFile
from tests.faces.web import Answer, Browser

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class PacredirCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.desk = FakeDesk()
        self.entries = [Entry("extra", NAME, "gtk++", "1:2.0-1", CONTENT.size, CONTENT.sha256)]
        self.settling: Deferred[None] = succeed(None)
        self.loopback = Loopback(self.desk.parts())
        anything = self.desk.parts().offering
        self.face = PacredirFace(
            ForPacredir(
                pacman=self.loopback,
                offering=anything,  # type: ignore[arg-type]  # finds what is here
                settled=lambda: self.settling,
                listed=lambda name: [one for one in self.entries if one.file_name == name],
                architectures=lambda: ("x86_64",),
            ),
            Admitting(None, None),
        )
        self.browser = Browser(self.desk.reactor, self.face)
        self.addCleanup(self.finish)

    def finish(self) -> None:
        self.browser.close()
        self.desk.transfers.stop()
        self.assertEqual(self.desk.reactor.getDelayedCalls(), [])

    def get(self, path: str, **headers: str) -> Answer:
        return self.browser.get(path, **headers)

    def assertRefused(self, answer: Answer, status: int) -> None:
        self.assertEqual((answer.status, answer.body), (status, b""))


class Files(PacredirCase):
    def test_a_package_is_given_by_its_name_alone(self) -> None:
        self.desk.here[NAME] = HeldFile()
        for path in (f"/{NAME}", f"//{NAME}", f"/any/thing/{NAME}", "/" + NAME.replace("+", "%2B")):
            self.assertEqual(self.get(path).body, DATA, path)

    def test_one_that_is_not_here_comes_as_for_the_face_on_19433(self) -> None:
        exchange = self.browser.ask(f"/{NAME}")
        request = self.desk.tools.agent(MIRROR_A).last
        request.whole(DATA)
        self.assertEqual((exchange.answer.status, exchange.answer.body), (200, DATA))

    def test_so_is_its_signature(self) -> None:
        self.desk.embedded = b"embedded"
        self.assertEqual(self.get(f"/{NAME}.sig").body, b"embedded")

    def test_a_database_is_asked_for_by_its_repository(self) -> None:
        self.browser.ask("/core.db")
        (transfer,) = self.desk.transfers
        self.assertEqual(transfer.subject.file_name, "core.db")

    def test_a_path_that_names_the_repository_is_read_as_it_is(self) -> None:
        self.desk.here[NAME] = HeldFile()
        self.assertEqual(self.get(f"/extra/os/x86_64/{NAME}").body, DATA)

    def test_what_no_database_lists_is_not_looked_for(self) -> None:
        self.assertRefused(self.get("/other-1-1-any.pkg.tar.zst"), 404)
        self.assertEqual(list(self.desk.transfers), [])

    def test_but_given_if_it_is_here(self) -> None:
        self.entries.clear()
        self.desk.listed.clear()
        self.desk.here[NAME] = HeldFile()
        self.assertEqual(self.get(f"/{NAME}").body, DATA)

    def test_of_two_files_of_one_name_pacmans_next_server_tells_which_is_meant(self) -> None:
        self.entries.append(Entry("other", NAME, "gtk++", "1:2.0-1", 7, b"x" * 32))
        self.assertRefused(self.get(f"/{NAME}"), 404)

    def test_the_same_file_in_two_repositories_is_no_doubt(self) -> None:
        self.entries.append(self.entries[0])
        self.desk.here[NAME] = HeldFile()
        self.assertEqual(self.get(f"/{NAME}").body, DATA)

    def test_databases_that_are_just_being_read_are_waited_for(self) -> None:
        self.desk.here[NAME] = HeldFile()
        self.settling = Deferred()
        exchange = self.browser.ask(f"/{NAME}")
        self.assertFalse(exchange.answered)
        self.settling.callback(None)
        self.assertEqual(exchange.answer.body, DATA)

    def test_other_names_are_of_nothing(self) -> None:
        for path in ("/passwd", "/..", "/favicon.png", "/status.json", "/metrics", "/%ff", "/%2f"):
            self.assertRefused(self.get(path), 404)
        self.assertRefused(self.get("/" + "x" * 3_000), 404)


class Visitors(PacredirCase):
    def test_it_tells_that_it_is_there(self) -> None:
        self.assertEqual(self.get("/check").body, b"OK\n")
        self.assertIn(b"flocon", self.get("/").body)

    def test_no_other_machine_is_answered(self) -> None:
        for client in ("10.0.0.9", "fe80::1%eth0", "::ffff:10.0.0.9"):
            browser = Browser(self.desk.reactor, self.face, client, "10.0.0.1")
            for path in ("/", "/check", f"/{NAME}"):
                self.assertRefused(browser.ask(path, host="10.0.0.1").answer, 403)
            browser.close()

    def test_no_page_that_made_a_name_mean_this_machine_is(self) -> None:
        for host in ("evil.example", "evil.example:7077", "nas.local", "10.0.0.7"):
            self.assertRefused(self.browser.ask(f"/{NAME}", host=host).answer, 403)

    def test_nor_is_a_page_of_another_site(self) -> None:
        self.desk.here[NAME] = HeldFile()
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Referer": "http://evil.example/"},
            {"Sec_Fetch_Site": "cross-site"},
            {"User_Agent": FIREFOX},
        ):
            self.assertRefused(self.get(f"/{NAME}", **headers), 403)
        self.assertEqual(self.desk.opened, [])

    def test_nothing_but_reading_is_allowed(self) -> None:
        for method in ("POST", "PUT", "DELETE"):
            answer = self.browser.ask(f"/{NAME}", method).answer
            self.assertRefused(answer, 405)
            self.assertEqual(answer.headers["allow"], "GET, HEAD")
