"""A machine without a node is given listed packages: from here, or as they come."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from flocon.asking.mirrors import LOOP_HEADER
from flocon.errors import Unreachable
from tests.clients.mirror_case import (
    ARM,
    CORE,
    DATA,
    MIRROR,
    NAME,
    PATH,
    SIGNATURE,
    MirrorCase,
    content_of,
    entry_of,
    signed,
)
from tests.faces.web import Browser

#: Another package of the same name and size.
OTHER = bytes(reversed(DATA))


class Held(MirrorCase):
    def setUp(self) -> None:
        super().setUp()
        self.publish(DATA)
        self.shelf.files[NAME] = DATA

    def test_one_is_given(self) -> None:
        found = self.get(PATH)
        self.assertEqual((found.status, found.body), (200, DATA))
        self.assertEqual(found.headers["etag"], f'"{content_of(DATA).sha256.hex()}"')
        self.assertEqual(self.shelf.begun, [])

    def test_escaped_or_not_and_by_other_tools_names(self) -> None:
        for path in (
            PATH.replace("+", "%2B"),
            f"/repo/archlinux{PATH}",
            f"/custom_repo/any{PATH}",
            f"//core/os//x86_64/{NAME}",
        ):
            self.assertEqual(self.get(path).body, DATA, path)
        self.layouts["arm"] = "$arch/$repo"
        self.assertEqual(self.get(f"/repo/arm/x86_64/core/{NAME}").body, DATA)
        self.assertRefused(self.get(f"/repo/arm{PATH}"), 404)

    def test_a_range_of_it(self) -> None:
        found = self.get(PATH, Range="bytes=10-19")
        self.assertEqual((found.status, found.body), (206, DATA[10:20]))
        self.assertEqual(self.get(PATH, Range=f"bytes={len(DATA)}-").status, 416)

    def test_all_who_ask_share_one_open_file(self) -> None:
        self.shelf.slow_disk = Deferred()
        exchanges = [self.browser.ask(PATH), self.another("10.0.0.10").ask(PATH)]
        self.shelf.slow_disk.callback(None)
        self.assertEqual([one.answer.body for one in exchanges], [DATA, DATA])
        self.assertEqual(len(self.shelf.opened), 1)

    def test_it_is_found_out_first_whether_one_is_held(self) -> None:
        del self.shelf.files[NAME]
        self.judging[NAME] = Deferred()
        exchange = self.browser.ask(PATH)
        self.shelf.files[NAME] = DATA
        self.judging[NAME].callback(None)
        self.assertEqual(exchange.answer.body, DATA)
        self.assertEqual(self.shelf.begun, [])

    def test_what_is_not_listed_is_not_found_whatever_is_held(self) -> None:
        name = "old-1-1-any.pkg.tar.zst"
        self.shelf.files[name] = b"old"
        self.assertRefused(self.get(f"/core/os/x86_64/{name}"), 404)
        self.assertRefused(self.get(f"/core/os/x86_64/{name}.sig"), 404)
        self.assertEqual((self.shelf.opened, self.shelf.begun), ([], []))

    def test_another_content_of_its_name_is_another_package(self) -> None:
        self.shelf.files[NAME] = OTHER
        self.browser.ask(PATH)
        self.assertEqual(self.shelf.opened, [])
        self.assertEqual(len(self.shelf.begun), 1)

    def test_what_vanished_a_moment_ago_is_fetched(self) -> None:
        self.shelf.gone = True
        self.browser.ask(PATH)
        self.assertEqual(len(self.shelf.begun), 1)

    def test_packages_of_the_state_before_are_there_still(self) -> None:
        name = "next-1-1-any.pkg.tar.zst"
        fields = {"NAME": "next", "VERSION": "1-1"}
        generation = self.generation(2, {CORE: [entry_of(OTHER, name, **fields)]})
        self.wait(self.states.publish(generation.identity))
        self.shelf.files[name] = OTHER
        self.assertEqual(self.get(f"/core/os/x86_64/{name}").body, OTHER)
        self.assertEqual(self.get(PATH).body, DATA)

    def test_who_has_the_state_before_gets_the_package_of_that(self) -> None:
        self.get("/core/os/x86_64/core.db")
        self.publish(OTHER, made=2)
        self.assertEqual(self.get(PATH).body, DATA)


class HandedOver(MirrorCase):
    """A proxy of this machine that has the store's packages itself sends them itself."""

    def setUp(self) -> None:
        super().setUp()
        self.publish(DATA)
        self.shelf.files[NAME] = DATA
        self.proxy = self.another("127.0.0.1")

    def test_it_is_told_where_the_file_is(self) -> None:
        found = self.proxy.get(PATH, X_Accel_Mapping="/of-flocon/", X_Forwarded_For="10.0.0.1")
        self.assertEqual((found.status, found.body), (200, b""))
        self.assertEqual(found.headers["x-accel-redirect"], f"/of-flocon/{NAME}")
        (client,) = self.clients
        self.assertEqual((client.address, client.sent), ("10.0.0.1", len(DATA)))

    def test_nobody_else_is(self) -> None:
        found = self.get(PATH, X_Accel_Mapping="/of-flocon/")
        self.assertEqual(found.body, DATA)
        self.assertNotIn("x-accel-redirect", found.headers)

    def test_what_it_has_not_it_is_sent(self) -> None:
        self.shelf.origin = "cache"
        self.assertEqual(self.proxy.get(PATH, X_Accel_Mapping="/of-flocon/").body, DATA)

    def test_nor_is_it_told_a_name_of_several_packages(self) -> None:
        self.ambiguous.add(NAME)
        self.assertEqual(self.proxy.get(PATH, X_Accel_Mapping="/of-flocon/").body, DATA)

    def test_what_is_gone_is_fetched(self) -> None:
        self.shelf.gone = True
        self.proxy.ask(PATH, X_Accel_Mapping="/of-flocon/")
        self.assertEqual(len(self.shelf.begun), 1)


class TwoArchitectures(MirrorCase):
    """An ``any`` package may be built for each of them, under one name."""

    def setUp(self) -> None:
        super().setUp()
        self.name = "gtk++-1:2.0-1-any.pkg.tar.zst"
        entries = {CORE: [entry_of(DATA, self.name)], ARM: [entry_of(OTHER, self.name)]}
        generation = self.generation(1, entries)
        self.wait(self.states.publish(generation.identity))
        self.shelf.files[self.name] = OTHER

    def test_they_are_never_mixed(self) -> None:
        self.assertEqual(self.get(f"/core/os/aarch64/{self.name}").body, OTHER)
        exchange = self.browser.ask(f"/core/os/x86_64/{self.name}")
        self.asked_of_mirror.whole(DATA)
        self.assertEqual(exchange.answer.body, DATA)


class Coming(MirrorCase):
    def setUp(self) -> None:
        super().setUp()
        self.publish(DATA)

    def bring(self, data: bytes = DATA) -> None:
        self.asked_of_mirror.whole(data)

    def test_however_many_ask_it_comes_once(self) -> None:
        exchanges = [self.browser.ask(PATH), self.another("10.0.0.10").ask(PATH)]
        self.assertEqual(len(self.shelf.tools.agent(MIRROR).requests), 1)
        self.bring()
        for one in exchanges:
            self.assertEqual((one.answer.status, one.answer.body), (200, DATA))

    def test_a_part_of_it(self) -> None:
        exchange = self.browser.ask(PATH, Range="bytes=100-")
        self.bring()
        self.assertEqual((exchange.answer.status, exchange.answer.body), (206, DATA[100:]))

    def test_wrong_bytes_are_never_a_whole_package(self) -> None:
        exchange = self.browser.ask(PATH)
        self.bring(OTHER)
        self.assertRefused(exchange.answer, 503)

    def test_its_head_fetches_nothing(self) -> None:
        found = self.browser.ask(PATH, "HEAD").answer
        self.assertEqual(found.headers["content-length"], str(len(DATA)))
        self.assertEqual(self.shelf.begun, [])

    def test_who_has_too_much_coming_is_told_so(self) -> None:
        self.shelf.refuses = True
        self.assertRefused(self.get(PATH), 503)
        self.assertEqual(self.asked_for, [])

    def test_it_is_wanted_once_a_client_has_it_and_not_because_it_was_asked_for(self) -> None:
        self.browser.ask(PATH)
        leaving = self.another("10.0.0.10").ask(PATH)
        leaving.leave()
        self.assertEqual(self.asked_for, [])
        self.bring()
        self.assertEqual([one[0] for one in self.asked_for], ["10.0.0.9"])

    def test_others_are_asked_to_fetch_it_unless_a_node_asks(self) -> None:
        self.browser.ask(PATH)
        self.browser.ask(PATH, **{LOOP_HEADER: "a node"})
        self.assertEqual(self.shelf.begun, [("10.0.0.9", True), ("10.0.0.9", False)])

    def test_what_every_mirror_lacks_is_not_found(self) -> None:
        exchange = self.browser.ask(PATH)
        self.asked_of_mirror.answer(404)
        self.assertRefused(exchange.answer, 404)

    def test_a_pacman_that_waits_is_kept_awake(self) -> None:
        exchange = self.browser.ask(PATH, User_Agent="pacman/7.1.0")
        self.reactor.advance(0.2)
        self.assertIn(b"102 Processing", exchange.raw)

    def test_but_not_through_a_proxy_which_may_take_that_for_the_answer(self) -> None:
        agent = "pacman/7.1.0"
        exchanges = [
            self.another("127.0.0.1").ask(PATH, User_Agent=agent),
            self.browser.ask(PATH, User_Agent=agent, X_Forwarded_For="10.0.0.1"),
            self.browser.ask(PATH, User_Agent=agent, Via="1.1 proxy"),
        ]
        self.reactor.advance(0.2)
        self.assertEqual([one.raw for one in exchanges], [b"", b"", b""])


class Signatures(MirrorCase):
    def ask(self) -> bytes:
        found = self.get(f"{PATH}.sig")
        self.assertEqual(found.status, 200)
        return found.body

    def test_what_lies_beside_the_package(self) -> None:
        self.publish(DATA)
        self.shelf.files[NAME], self.shelf.signatures[NAME] = DATA, SIGNATURE
        self.assertEqual(self.ask(), SIGNATURE)

    def test_that_of_the_database(self) -> None:
        generation = self.generation(1, {CORE: [entry_of(DATA) | signed(b"listed")]})
        self.wait(self.states.publish(generation.identity))
        self.assertEqual(self.ask(), b"listed")

    def test_that_which_comes_with_the_package(self) -> None:
        self.publish(DATA)
        package = self.browser.ask(PATH)
        signature = self.browser.ask(f"{PATH}.sig")
        self.asked_of_mirror.whole(DATA)
        self.assertEqual(package.answer.body, DATA)
        self.assertEqual(signature.answer.body, SIGNATURE)

    def test_a_mirrors(self) -> None:
        self.publish(DATA)
        self.shelf.at_mirrors = b"a mirror's"
        self.assertEqual(self.ask(), b"a mirror's")

    def test_none_where_there_is_none_and_not_now_where_nobody_knows(self) -> None:
        self.publish(DATA)
        self.assertRefused(self.get(f"{PATH}.sig"), 404)
        self.shelf.at_mirrors = Unreachable("m", "is off")
        self.assertRefused(self.get(f"{PATH}.sig"), 503)

    def test_never_that_of_another_content(self) -> None:
        self.publish(DATA)
        self.shelf.files[NAME], self.shelf.signatures[NAME] = OTHER, b"another's"
        self.assertRefused(self.get(f"{PATH}.sig"), 404)


class AtOnce(MirrorCase):
    """Asked for the second time on a connection, in the same words."""

    def setUp(self) -> None:
        super().setUp()
        self.publish(DATA)
        self.shelf.files[NAME], self.shelf.signatures[NAME] = DATA, SIGNATURE
        self.browser = Browser(
            self.reactor, self.face, "10.0.0.9", "10.0.0.1", at_once=self.face.at_once
        )

    def asked_twice(self, path: str, **headers: str) -> tuple[list[bytes], list[bytes]]:
        """Return the lines of both answers, without their dates, which may be of two seconds."""
        exchange, both = self.browser.ask(path, host="nas", **headers), []
        for _ in range(2):
            lines = exchange.raw.split(b"\r\n")
            both.append([line for line in lines if not line.startswith(b"Date: ")])
            exchange.again(self.browser.request(path, host="nas", **headers))
        return both[0], both[1]

    def test_a_package_is_answered_as_the_long_way_and_is_opened_once(self) -> None:
        long, at_once = self.asked_twice(PATH)
        self.assertEqual(at_once, long)
        self.assertEqual(len(self.shelf.opened), 1)

    def test_so_is_its_signature(self) -> None:
        long, at_once = self.asked_twice(f"{PATH}.sig")
        self.assertEqual(at_once, long)
        self.assertEqual(len(self.shelf.opened), 1)

    def test_it_counts_as_the_long_way_does(self) -> None:
        self.asked_twice(PATH)
        # The third was not looked at.
        self.assertEqual(self.face.counters["held"], 3)
        self.assertEqual(self.asked_for, [("10.0.0.9", CORE, NAME)] * 3)
        self.assertTrue(self.shelf.tools.precedence.holds_back)

    def test_a_repository_that_is_not_for_others_is_refused(self) -> None:
        exchange = self.browser.ask(PATH, host="nas")
        self.private.add("core")
        exchange.again(self.browser.request(PATH, host="nas"))
        self.assertRefused(exchange.answer, 404)

    def test_what_a_proxy_says_for_whom_it_asks_goes_the_long_way(self) -> None:
        self.asked_twice(PATH, X_Forwarded_For="10.0.0.77")
        self.assertEqual(len(self.shelf.opened), 3)

    def test_what_is_not_held_goes_the_long_way(self) -> None:
        exchange = self.browser.ask(PATH, host="nas")
        del self.shelf.files[NAME]
        exchange.again(self.browser.request(PATH, host="nas"))
        self.assertEqual(len(self.shelf.begun), 1)
