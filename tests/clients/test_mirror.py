"""The face for machines without a node gives what the state lists, and nothing else."""

from __future__ import annotations

from email.utils import formatdate, parsedate_to_datetime
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from flocon.asking.mirrors import LOOP_DETECTED, LOOP_HEADER, loop_mark
from tests.clients.mirror_case import CORE, DATA, NAME, PATH, MirrorCase, database, entry_of

DB = "/core/os/x86_64/core.db"
FILES = "/core/os/x86_64/core.files"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def second(date: str) -> int:
    return int(parsedate_to_datetime(date).timestamp())


class Databases(MirrorCase):
    def test_one_is_given_since_it_was_published(self) -> None:
        self.publish(DATA)
        found = self.get(DB)
        self.assertEqual((found.status, found.body), (200, database(entry_of(DATA))))
        self.assertEqual(second(found.headers["last-modified"]), self.since)

    def test_who_has_it_is_told_so(self) -> None:
        self.publish(DATA)
        date = self.get(DB).headers["last-modified"]
        self.assertEqual(self.get(DB, If_Modified_Since=date).status, 304)

    def test_who_has_an_earlier_one_gets_the_next_also_where_it_goes_back(self) -> None:
        old = self.publish(DATA)
        first = self.get(DB)
        self.publish(DATA + b"newer", made=2)
        newer = self.get(DB, If_Modified_Since=first.headers["last-modified"])
        self.assertEqual(newer.status, 200)
        self.wait(self.states.publish(old.identity))
        back = self.get(DB, If_Modified_Since=newer.headers["last-modified"])
        self.assertEqual((back.status, back.body), (200, first.body))
        self.assertGreater(
            second(back.headers["last-modified"]), second(newer.headers["last-modified"])
        )

    def test_who_has_a_later_one_from_elsewhere_takes_ours_once(self) -> None:
        self.publish(DATA)
        # A minute of a day ago, of a state that is older than that.
        self.patch(self.face, "_now", lambda: self.since + 86_400.0)
        later = formatdate(self.since + 60, usegmt=True)
        found = self.get(DB, If_Modified_Since=later)
        self.assertEqual(found.status, 200)
        self.assertEqual(second(found.headers["last-modified"]), self.since + 61)
        again = self.get(DB, If_Modified_Since=found.headers["last-modified"])
        self.assertEqual(again.status, 304)

    def test_no_date_to_come_is_told(self) -> None:
        self.publish(DATA)
        found = self.get(DB, If_Modified_Since=formatdate(self.since + 86_400, usegmt=True))
        self.assertEqual(found.status, 200)
        self.assertNotIn("last-modified", found.headers)

    def test_a_part_of_it_and_its_head(self) -> None:
        self.publish(DATA)
        whole = self.get(DB).body
        found = self.get(DB, Range="bytes=10-19")
        self.assertEqual((found.status, found.body), (206, whole[10:20]))
        head = self.browser.ask(DB, "HEAD").answer
        self.assertEqual((head.headers["content-length"], head.body), (str(len(whole)), b""))

    def test_nor_does_a_later_signature_from_elsewhere_stay_beside_it(self) -> None:
        self.publish(
            DATA, signature=b"its signature", files=b"the list", files_signature=b"the list's"
        )
        self.patch(self.face, "_now", lambda: self.since + 86_400.0)
        elsewhere = formatdate(self.since + 60, usegmt=True)
        for name, expected in ((DB, b"its signature"), (FILES, b"the list's")):
            self.get(name, If_Modified_Since=elsewhere)
            found = self.get(f"{name}.sig", If_Modified_Since=elsewhere)
            self.assertEqual((found.status, found.body), (200, expected))
            found = self.get(f"{name}.sig", If_Modified_Since=found.headers["last-modified"])
            self.assertEqual(found.status, 304)

    def test_a_signature_is_that_of_the_database_that_this_client_has(self) -> None:
        self.publish(DATA, signature=b"first")
        other = self.another("10.0.0.10")
        self.get(DB)
        self.publish(DATA + b"newer", made=2, signature=b"second")
        other.get(DB)
        self.assertEqual(self.get(f"{DB}.sig").body, b"first")
        self.assertEqual(other.get(f"{DB}.sig").body, b"second")
        self.get(DB)
        self.assertEqual(self.get(f"{DB}.sig").body, b"second")

    def test_a_signature_is_as_new_as_its_database_to_who_comes_from_elsewhere(self) -> None:
        self.publish(DATA, signature=b"first")
        self.patch(self.face, "_now", lambda: self.since + 86_400.0)
        self.get(DB, If_Modified_Since=formatdate(self.since + 60, usegmt=True))
        # That of a mirror's database, which was signed a little later.
        later = formatdate(self.since + 63, usegmt=True)
        found = self.get(f"{DB}.sig", If_Modified_Since=later)
        self.assertEqual((found.status, found.body), (200, b"first"))
        self.assertEqual(second(found.headers["last-modified"]), self.since + 64)
        again = self.get(f"{DB}.sig", If_Modified_Since=found.headers["last-modified"])
        self.assertEqual(again.status, 304)

    def test_neither_bears_a_date_to_come(self) -> None:
        self.publish(DATA, signature=b"first", files=b"list", files_signature=b"list's")
        self.patch(self.face, "_now", lambda: self.since - 86_400.0 * 900)
        for path in (DB, f"{DB}.sig", FILES, f"{FILES}.sig"):
            self.assertNotIn("last-modified", self.get(path).headers)

    def test_no_proxy_between_is_to_keep_them(self) -> None:
        self.publish(DATA, signature=b"first", files=b"list", files_signature=b"list's")
        for path in (DB, f"{DB}.sig", FILES, f"{FILES}.sig"):
            self.assertEqual(self.get(path).headers["cache-control"], "no-cache", path)

    def test_a_look_at_its_head_gives_nothing(self) -> None:
        self.publish(DATA, signature=b"first")
        self.get(DB)
        self.publish(DATA + b"newer", made=2, signature=b"second")
        self.browser.ask(DB, "HEAD")
        self.assertEqual(self.get(f"{DB}.sig").body, b"first")

    def test_the_list_of_files_is_of_the_same_state(self) -> None:
        self.publish(DATA, files=b"first", files_signature=b"first's")
        self.get(DB)
        self.publish(DATA + b"newer", made=2, files=b"second", files_signature=b"second's")
        self.assertEqual(self.get(FILES).body, b"first")
        self.assertEqual(self.get(f"{FILES}.sig").body, b"first's")
        self.get(DB)
        self.assertEqual(self.get(FILES).body, b"second")
        self.assertEqual(self.get(f"{FILES}.sig").body, b"second's")

    def test_a_list_of_files_is_fetched_for_the_first_who_asks(self) -> None:
        generation = self.publish(DATA)
        exchange = self.browser.ask(FILES)
        self.assertFalse(exchange.answered)
        complete = generation.with_files(CORE, self.keep(b"list"), self.keep(b"list's"))
        self.fetching[generation.identity].callback(complete)
        self.assertEqual((exchange.answer.status, exchange.answer.body), (200, b"list"))

    def test_one_that_takes_long_is_not_waited_for(self) -> None:
        generation = self.publish(DATA)
        exchange = self.browser.ask(FILES)
        self.reactor.advance(10)
        self.assertRefused(exchange.answer, 404)
        self.assertTrue(self.fetching[generation.identity].called)

    def test_its_signature_is_that_of_the_list_that_was_given(self) -> None:
        self.publish(DATA, files=b"first", files_signature=b"first's")
        # Without a database of ours.
        self.get(FILES)
        self.publish(DATA + b"newer", made=2, files=b"second", files_signature=b"second's")
        self.assertEqual(self.get(f"{FILES}.sig").body, b"first's")
        self.get(FILES)
        self.assertEqual(self.get(f"{FILES}.sig").body, b"second's")

    def test_who_is_behind_a_proxy_of_this_machine_is_told_apart(self) -> None:
        self.publish(DATA, signature=b"first")
        proxy = self.another("127.0.0.1")
        proxy.get(DB, X_Forwarded_For="10.0.0.1")
        self.publish(DATA + b"newer", made=2, signature=b"second")
        proxy.get(DB, X_Forwarded_For="1.1.1.1, 10.0.0.2")
        for client, right in (("10.0.0.1", b"first"), ("10.0.0.2", b"second")):
            self.assertEqual(proxy.get(f"{DB}.sig", X_Forwarded_For=client).body, right)
        self.assertEqual({one.address for one in self.clients}, {"10.0.0.1", "10.0.0.2"})

    def test_nobody_else_is_believed_who_it_is(self) -> None:
        self.publish(DATA)
        self.get(DB, X_Forwarded_For="10.0.0.1")
        self.assertEqual([one.address for one in self.clients], ["10.0.0.9"])

    def test_what_there_is_not_is_not_found(self) -> None:
        self.publish(DATA)
        for path in (
            f"{DB}.sig",
            "/core/os/aarch64/core.db",
            "/extra/os/x86_64/extra.db",
            "/core/os/x86_64/extra.db",
        ):
            self.assertRefused(self.get(path), 404)

    def test_before_anything_is_published_a_client_is_to_come_back(self) -> None:
        found = self.get(DB)
        self.assertRefused(found, 503)
        self.assertIn("retry-after", found.headers)
        self.assertRefused(self.get(PATH), 503)

    def test_a_private_repository_is_given_to_nobody(self) -> None:
        self.publish(DATA)
        self.private.add("core")
        self.assertRefused(self.get(DB), 404)
        self.assertRefused(self.get(PATH), 404)

    def test_notes_tell_since_when(self) -> None:
        self.publish(DATA)
        self.assertEqual(self.get("/lastupdate").body, f"{self.since}\n".encode())
        refreshed = self.states.state.refreshed
        self.assertEqual(self.get("/lastsync").body, f"{refreshed}\n".encode())

    def test_many_are_sent_one_open_file(self) -> None:
        self.publish(DATA)
        self.reactor.held = True
        exchanges = [self.browser.ask(DB) for _ in range(3)]
        archive = self.archive
        with mock.patch.object(archive, "open_piece", wraps=archive.open_piece) as opening:
            self.reactor.work()
            self.reactor.held = False
        self.assertEqual({one.answer.status for one in exchanges}, {200})
        self.assertEqual(opening.call_count, 1)


class Visitors(MirrorCase):
    def setUp(self) -> None:
        super().setUp()
        self.publish(DATA)
        self.shelf.files[NAME] = DATA

    def test_it_answers_to_the_names_and_addresses_of_its_machine(self) -> None:
        for host in ("nas", "nas:19434", "nas.lan", "10.0.0.1:19434", "[fd00::1]:19434"):
            self.assertEqual(self.browser.ask(PATH, host=host).answer.status, 200, host)
        for host in ("host.docker.internal:19434", "host.containers.internal"):
            self.assertEqual(self.browser.ask(PATH, host=host).answer.status, 200, host)

    def test_but_to_no_name_that_a_page_made_mean_it(self) -> None:
        for path in ("/", PATH, DB, "/lastupdate"):
            self.assertRefused(self.browser.ask(path, host="nas.example.org").answer, 403)

    def test_pages_of_other_sites_have_nothing_here(self) -> None:
        for headers in ({"Sec_Fetch_Site": "cross-site"}, {"Origin": "http://evil.example"}):
            self.assertRefused(self.get(PATH, **headers), 403)

    def test_a_browser_reads_what_this_is_and_downloads_nothing(self) -> None:
        found = self.get("/", User_Agent=FIREFOX)
        self.assertEqual(found.status, 200)
        self.assertIn(b"core (x86_64)", found.body)
        self.assertRefused(self.get(PATH, User_Agent=FIREFOX), 403)
        self.assertEqual(self.shelf.opened, [])

    def test_other_methods_are_refused(self) -> None:
        for method in ("PUT", "DELETE", "POST", "OPTIONS"):
            found = self.browser.ask(PATH, method).answer
            self.assertRefused(found, 405)
            self.assertEqual(found.headers["allow"], "GET, HEAD")

    def test_this_very_node_is_told_that_it_asks_itself(self) -> None:
        self.assertRefused(self.get(PATH, **{LOOP_HEADER: loop_mark()}), LOOP_DETECTED)
        self.assertEqual(self.get(PATH, **{LOOP_HEADER: "another's"}).status, 200)

    def test_flexos_health_is_asked_without_an_answer(self) -> None:
        found = self.get("/status")
        self.assertEqual((found.status, found.body), (200, b""))

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                (NAME, "core", "os", "x86_64", "/", "..", "%2f", "%00", "repo", "core.db")
            )
            | st.sampled_from(("lastupdate", ".sig", "%", "\\", "status", "custom_repo")),
            max_size=9,
        ).map("".join)
    )
    def test_whatever_the_path_there_is_an_answer(self, path: str) -> None:
        found = self.get("/" + path)
        self.assertIn(found.status, {200, 404})
        if found.status == 404:
            self.assertEqual(found.headers["content-length"], "0")

    def test_each_client_is_counted(self) -> None:
        self.get(DB)
        self.get(PATH)
        (client,) = self.clients
        self.assertEqual((client.address, client.requests, client.packages), ("10.0.0.9", 2, 1))
        self.assertEqual(client.sent, len(DATA) + len(database(entry_of(DATA))))

    def test_where_a_state_has_it_for_one_architecture_another_has_it_not(self) -> None:
        self.assertRefused(self.get(f"/core/os/aarch64/{NAME}"), 404)
        self.assertEqual(self.asked_for, [])
        self.get(PATH)
        self.assertEqual(self.asked_for, [("10.0.0.9", CORE, NAME)])

    def test_who_asks_for_a_signature_or_a_head_wants_nothing_by_that(self) -> None:
        self.get(f"{PATH}.sig")
        self.browser.ask(PATH, method="HEAD")
        self.assertEqual(self.asked_for, [])
