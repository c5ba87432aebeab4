"""What mirrors are asked, and by which way: as curl does it, and never back to this machine."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from unittest import mock

from twisted.internet import protocol, reactor, ssl
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import Clock, deferLater
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from flocon.asking import mirrors as module
from flocon.asking.attempts import Limits
from flocon.asking.fetch import Wanted
from flocon.asking.mirrors import LOOP_HEADER, MOST_REDIRECTS, MirrorAgent, loop_mark, mirror_agent
from flocon.asking.proxies import ENVIRONMENT, Proxies, Proxy, parse_proxy
from flocon.asking.resolving import Names
from flocon.asking.small import fetch_small
from flocon.errors import Broken, FloconError, Refused, SourceError, Unreachable
from tests.certificate import CERTIFICATE

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
LIMITS = Limits(first_byte=3.0, stall=3.0)


class Asked:
    """One request that a server got."""

    def __init__(self, head: bytes) -> None:
        lines = head.decode("ascii").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ")
        self.headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])
        }


Answering = Callable[[Asked], bytes]


def ok(body: bytes = b"body") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def status(code: int, *lines: str) -> bytes:
    fields = "".join(f"{line}\r\n" for line in lines)
    return f"HTTP/1.1 {code} No\r\n{fields}Content-Length: 0\r\n\r\n".encode("latin-1")


def redirect(location: str) -> bytes:
    return status(302, f"Location: {location}")


class Speaker(protocol.Protocol):
    """Answers each request with what its server's ``answer`` says; after CONNECT it is a pipe."""

    transport: Any
    _before = b""
    _beyond: Any = None

    def connectionMade(self) -> None:
        self.server: Server = self.factory
        self.server.connections.append(self)
        self.server.open.add(self)

    def dataReceived(self, data: bytes) -> None:
        if self._beyond is not None:
            self._beyond.transport.write(data)
            return
        self._before += data
        while b"\r\n\r\n" in self._before:
            head, self._before = self._before.split(b"\r\n\r\n", 1)
            asked = Asked(head)
            self.server.asked.append(asked)
            answer = self.server.answer(asked)
            if asked.method == "CONNECT" and answer == ESTABLISHED:
                self._pipe(asked.target, answer)
            else:
                self.transport.write(answer)

    def _pipe(self, target: str, answer: bytes) -> None:
        port = int(target.rpartition(":")[2])
        back = Back(self)
        connected = connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), back)

        def piped(_: object) -> None:
            self._beyond = back
            self.transport.write(answer)

        connected.addCallback(piped)

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        self.server.open.discard(self)
        if self._beyond is not None:
            self._beyond.transport.abortConnection()


class Back(protocol.Protocol):
    def __init__(self, front: Speaker) -> None:
        self._front = front

    def dataReceived(self, data: bytes) -> None:
        self._front.transport.write(data)


class Server(protocol.ServerFactory):
    protocol = Speaker
    noisy = False

    def __init__(self, answer: Answering) -> None:
        self.answer = answer
        self.asked: list[Asked] = []
        self.connections: list[Speaker] = []
        self.open: set[Speaker] = set()
        self.port = 0

    @property
    def targets(self) -> list[str]:
        return [asked.target for asked in self.asked]


@implementer(IPolicyForHTTPS)
class _Anything:
    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:  # noqa: N802
        return ssl.optionsForClientTLS(hostname.decode(), trustRoot=CERTIFICATE)


class MirrorsTestCase(TestCase):
    def setUp(self) -> None:
        self.patch(module, "BrowserLikePolicyForHTTPS", _Anything)
        self.names = Names(reactor, lambda _: ["127.0.0.1"])
        self.use(Proxies())

    def use(self, proxies: Proxies) -> None:
        self.agent = MirrorAgent(reactor, 2.0, proxies, self.names)
        self.addCleanup(self.agent.closeCachedConnections)

    def serve(self, answer: Answering, *, tls: bool = False) -> Server:
        server = Server(answer)
        listen: Any = reactor
        if tls:
            options = CERTIFICATE.options()
            port = listen.listenSSL(0, server, options, interface="127.0.0.1")
        else:
            port = listen.listenTCP(0, server, interface="127.0.0.1")
        server.port = port.getHost().port
        self.addCleanup(self.disconnect, server)
        self.addCleanup(port.stopListening)
        return server

    async def disconnect(self, server: Server) -> None:
        for connection in list(server.open):
            connection.transport.abortConnection()
        await deferLater(reactor, 0.01)

    def ask(self, url: str) -> Deferred[bytes]:
        wanted = Wanted(url, "the mirror")
        return ensureDeferred(fetch_small(self.agent, reactor, wanted, LIMITS, 1_000))


class RedirectTests(MirrorsTestCase):
    async def test_as_many_as_curl_follows_are_followed(self) -> None:
        def answer(asked: Asked) -> bytes:
            number = int(asked.target[1:])
            return redirect(f"/{number + 1}") if number < MOST_REDIRECTS else ok(b"found")

        server = self.serve(answer)
        self.assertEqual(await self.ask(f"http://m:{server.port}/0"), b"found")
        self.assertEqual(MOST_REDIRECTS, 10)
        # On the one connection, whose small bodies are read over.
        self.assertEqual(len(server.connections), 1)

    async def test_one_more_is_not(self) -> None:
        server = self.serve(lambda asked: redirect(asked.target + "x"))
        with self.assertRaises(Broken):
            await self.ask(f"http://m:{server.port}/")
        self.assertEqual(len(server.asked), 11)

    async def test_each_is_read_from_where_it_stands(self) -> None:
        hops = {"/a/b": "c/d", "/a/c/d": "../e", "/a/e": "f?g"}
        server = self.serve(
            lambda asked: redirect(hops[asked.target]) if asked.target in hops else ok()
        )
        await self.ask(f"http://m:{server.port}/a/b")
        self.assertEqual(server.targets, ["/a/b", "/a/c/d", "/a/e", "/a/f?g"])

    async def test_one_that_leads_nowhere_is_the_mirrors_failure(self) -> None:
        for location in (
            "",
            "ftp://x/y",
            "http://[::1/",
            "http://h:99999/",
            "//",
            "/" + "x" * 9_000,
        ):
            server = self.serve(lambda _, location=location: redirect(location))  # type: ignore[misc]
            with self.assertRaises(Broken):
                await self.ask(f"http://m:{server.port}/x")

    async def test_strange_letters_are_escaped(self) -> None:
        server = self.serve(lambda asked: redirect("/\xe9 y") if asked.target == "/x" else ok())
        await self.ask(f"http://m:{server.port}/x")
        self.assertEqual(server.targets, ["/x", "/%E9%20y"])

    async def test_a_large_body_beside_one_is_not_read(self) -> None:
        server = self.serve(
            lambda asked: (
                b"HTTP/1.1 302 No\r\nLocation: /y\r\nContent-Length: 9999999\r\n\r\n"
                if asked.target == "/x"
                else ok()
            )
        )
        await self.ask(f"http://m:{server.port}/x")
        self.assertEqual(len(server.connections), 2)


class OwnMachine(MirrorsTestCase):
    """A mirror that is elsewhere sends here; what is here must not hear of it."""

    def setUp(self) -> None:
        super().setUp()
        # "m" is elsewhere for all that can be told: only where a redirect leads is looked at.
        self.here = self.serve(lambda _: ok(b"never"))

    async def refuses(self, host: str) -> None:
        server = self.serve(lambda _: redirect(f"http://{host}:{self.here.port}/x"))
        with self.assertRaises(SourceError):
            await self.ask(f"http://m:{server.port}/x")
        self.assertEqual(self.here.asked, [])

    async def test_by_address(self) -> None:
        for host in ("127.0.0.1", "127.9.9.9", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[::]"):
            await self.refuses(host)

    async def test_by_name(self) -> None:
        for host in ("localhost", "LOCALHOST.", "x.localhost", "evil.example", "2130706433"):
            await self.refuses(host)

    async def test_after_another_redirect(self) -> None:
        place = f"127.0.0.1:{self.here.port}"
        server = self.serve(
            lambda asked: redirect("/y" if asked.target == "/x" else f"http://{place}/z")
        )
        with self.assertRaises(SourceError):
            await self.ask(f"http://m:{server.port}/x")
        self.assertEqual(self.here.asked, [])

    async def test_a_kept_connection_to_a_mirror_here_is_not_taken(self) -> None:
        self.assertEqual(await self.ask(f"http://nas:{self.here.port}/a"), b"never")
        server = self.serve(lambda _: redirect(f"http://nas:{self.here.port}/b"))
        with self.assertRaises(SourceError):
            await self.ask(f"http://m:{server.port}/x")
        self.assertEqual(self.here.targets, ["/a"])

    async def test_a_mirror_that_is_here_may_redirect_within_itself(self) -> None:
        for host in ("127.0.0.1", "localhost"):
            server = self.serve(lambda asked: redirect("/y") if asked.target == "/x" else ok())
            self.assertEqual(await self.ask(f"http://{host}:{server.port}/x"), b"body")

    async def test_a_mirror_that_is_here_may_not_redirect_to_another_port(self) -> None:
        server = self.serve(lambda _: redirect(f"http://127.0.0.1:{self.here.port}/x"))
        with self.assertRaises(SourceError):
            await self.ask(f"http://127.0.0.1:{server.port}/x")
        self.assertEqual(self.here.asked, [])

    async def test_each_request_bears_this_processs_mark(self) -> None:
        await self.ask(f"http://m:{self.here.port}/x")
        self.assertEqual(self.here.asked[0].headers[LOOP_HEADER.lower()], loop_mark())


def basic(text: bytes) -> str:
    return "Basic " + b64encode(text).decode()


class Passwords(MirrorsTestCase):
    async def test_a_user_and_a_password_are_sent_and_not_told_in_the_address(self) -> None:
        server = self.serve(lambda _: ok())
        await self.ask(f"http://al%40ce:s3%2Fcr%3Aet@m:{server.port}/x")
        asked = server.asked[0]
        self.assertEqual(asked.headers["authorization"], basic(b"al@ce:s3/cr:et"))
        self.assertEqual((asked.target, asked.headers["host"]), ("/x", f"m:{server.port}"))

    async def test_they_are_sent_on_within_the_same_server(self) -> None:
        server = self.serve(lambda asked: redirect("/y") if asked.target == "/x" else ok())
        await self.ask(f"http://a:b@m:{server.port}/x")
        self.assertEqual(
            [asked.headers["authorization"] for asked in server.asked], [basic(b"a:b")] * 2
        )

    async def test_they_are_sent_to_no_other(self) -> None:
        self.patch(module, "Sifted", lambda names: names)
        for host in ("n", "m"):
            other = self.serve(lambda _: ok())
            location = f"http://{host}:{other.port}/y"
            server = self.serve(lambda _, location=location: redirect(location))  # type: ignore[misc]
            self.use(Proxies())
            await self.ask(f"http://a:b@m:{server.port}/x")
            self.assertNotIn("authorization", other.asked[0].headers)

    async def test_no_error_tells_them(self) -> None:
        server = self.serve(lambda _: status(401))
        closed = self.serve(lambda _: ok())
        for url in (
            f"http://a:s3cret@m:{server.port}/x",
            f"http://a:s3cret@m:{closed.port}00/x",
            "http://a:s3cret@/x",
            "http://a:s3cret@m:1/x y",
            "http://a:s3cret@m:1/\N{SNOWMAN}",
            "ftp://a:s3cret@m:1/x",
            "http://a:s3cret@m:1/x",
        ):
            with self.assertRaises(FloconError) as caught:
                await self.ask(url)
            self.assertNotIn("s3cret", str(caught.exception) + repr(caught.exception))


class Spellings(MirrorsTestCase):
    """An object store knows ``+`` only as ``%2B``."""

    def store(self, *known: str, missing: int = 404) -> Server:
        return self.serve(lambda asked: ok() if asked.target in known else status(missing))

    async def test_the_other_one_is_asked_for_what_is_not_there(self) -> None:
        for missing in (404, 403):
            server = self.store("/a/x%2B%2B-1%3A2", missing=missing)
            await self.ask(f"http://m:{server.port}/a/x++-1:2")
            self.assertEqual(server.targets, ["/a/x++-1:2", "/a/x%2B%2B-1%3A2"])

    async def test_the_mirrors_way_is_remembered(self) -> None:
        server = self.store("/x%2B", "/y%2B")
        await self.ask(f"http://m:{server.port}/x+")
        await self.ask(f"http://m:{server.port}/y+")
        self.assertEqual(server.targets, ["/x+", "/x%2B", "/y%2B"])

    async def test_a_way_that_is_no_more_is_forgotten(self) -> None:
        server = self.store("/x%2B", "/y+", "/z+")
        for name in "xyz":
            await self.ask(f"http://m:{server.port}/{name}+")
        self.assertEqual(server.targets, ["/x+", "/x%2B", "/y%2B", "/y+", "/z+"])

    async def test_what_is_nowhere_is_not_there(self) -> None:
        server = self.store()
        with self.assertRaises(Refused) as caught:
            await self.ask(f"http://m:{server.port}/x+")
        self.assertEqual(caught.exception.status, 404)
        self.assertEqual(len(server.asked), 2)

    async def test_a_signature_is_looked_for_once_where_packages_are_spelled_as_pacman_does(
        self,
    ) -> None:
        server = self.store("/a/x+", "/b/y%2B", "/b/y%2B.sig")
        await self.ask(f"http://m:{server.port}/a/x+")
        with self.assertRaises(Refused):
            await self.ask(f"http://m:{server.port}/a/x+.sig")
        self.assertEqual(server.targets, ["/a/x+", "/a/x+.sig"])
        # Another folder of the same mirror may be another store.
        await self.ask(f"http://m:{server.port}/b/y+.sig")
        self.assertEqual(server.targets[2:], ["/b/y+.sig", "/b/y%2B.sig"])

    async def test_a_folder_that_is_spelled_otherwise_by_now_is_noticed(self) -> None:
        server = self.store("/x+", "/y%2B", "/z%2B.sig")
        for name in ("x+", "y+", "z+.sig"):
            await self.ask(f"http://m:{server.port}/{name}")
        self.assertEqual(server.targets, ["/x+", "/y+", "/y%2B", "/z%2B.sig"])

    async def test_a_name_without_such_letters_is_asked_for_once(self) -> None:
        server = self.store()
        with self.assertRaises(Refused):
            await self.ask(f"http://m:{server.port}/a+b/x")
        self.assertEqual(server.targets, ["/a+b/x"])


class ProxyTests(MirrorsTestCase):
    def proxy(self, answer: Answering, userinfo: str = "") -> Server:
        server = self.serve(answer)
        proxy: Proxy = parse_proxy(f"http://{userinfo}127.0.0.1:{server.port}")
        self.use(Proxies(proxy, proxy, ("direct",)))
        return server

    async def test_http_mirrors_are_asked_by_their_whole_address(self) -> None:
        proxy = self.proxy(lambda _: ok())
        await self.ask("http://mirror.example/a/b?c")
        asked = proxy.asked[0]
        self.assertEqual(asked.target, "http://mirror.example/a/b?c")
        self.assertEqual(asked.headers["host"], "mirror.example")
        self.assertNotIn("proxy-authorization", asked.headers)

    async def test_a_proxys_password_is_for_the_proxy(self) -> None:
        proxy = self.proxy(lambda _: ok(), "al%40:p%3A@")
        await self.ask("http://u:v@mirror.example/x")
        headers = proxy.asked[0].headers
        self.assertEqual(headers["proxy-authorization"], basic(b"al@:p:"))
        self.assertEqual(headers["authorization"], basic(b"u:v"))

    async def test_one_connection_serves_many_mirrors(self) -> None:
        proxy = self.proxy(lambda _: ok())
        for host in "abc":
            await self.ask(f"http://{host}.example/x")
        self.assertEqual(len(proxy.connections), 1)

    async def test_https_mirrors_are_asked_through_a_tunnel(self) -> None:
        mirror = self.serve(lambda _: ok(b"secret"), tls=True)
        proxy = self.proxy(lambda _: ESTABLISHED, "a:b@")
        for _ in range(2):
            self.assertEqual(await self.ask(f"https://u:v@localhost:{mirror.port}/x"), b"secret")
        # Twice on the one tunnel, whose password the mirror does not see.
        self.assertEqual(proxy.targets, [f"localhost:{mirror.port}"])
        self.assertEqual(proxy.asked[0].method, "CONNECT")
        self.assertEqual(proxy.asked[0].headers["proxy-authorization"], basic(b"a:b"))
        self.assertNotIn("authorization", proxy.asked[0].headers)
        self.assertNotIn("proxy-authorization", mirror.asked[0].headers)
        self.assertEqual(mirror.targets, ["/x", "/x"])

    async def test_a_proxy_that_opens_no_tunnel_is_the_mirrors_failure(self) -> None:
        for answer in (
            status(407),
            status(502),
            b"220 smtp\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nmore",
            b"x" * 20_000,
        ):
            self.proxy(lambda _, answer=answer: answer)  # type: ignore[misc]
            with self.assertRaises(Unreachable):
                await self.ask("https://mirror.example/x")

    async def test_a_proxy_that_is_silent_is_waited_for_no_longer_than_a_mirror(self) -> None:
        proxy = self.proxy(lambda _: b"")
        wanted = Wanted("https://mirror.example/x", "s")
        limits = Limits(first_byte=0.2, stall=0.2)
        with self.assertRaises(SourceError):
            await ensureDeferred(fetch_small(self.agent, reactor, wanted, limits, 10))
        self.assertEqual(len(proxy.asked), 1)

    async def test_who_is_exempt_is_asked_directly(self) -> None:
        proxy = self.proxy(lambda _: ok(b"proxy"))
        server = self.serve(lambda _: ok(b"direct"))
        self.assertEqual(await self.ask(f"http://direct:{server.port}/x"), b"direct")
        self.assertEqual(proxy.asked, [])

    async def test_a_redirect_to_this_machine_is_not_followed_through_one_either(self) -> None:
        proxy = self.proxy(lambda _: redirect("http://localhost:19433/x"))
        with self.assertRaises(Broken):
            await self.ask("http://mirror.example/x")
        self.assertEqual(len(proxy.asked), 1)


class Environments(SynchronousTestCase):
    def setUp(self) -> None:
        self.lines: list[Any] = []
        keep: Any = self.lines.append
        globalLogPublisher.addObserver(keep)
        self.addCleanup(globalLogPublisher.removeObserver, keep)

    def made(self, proxy: str = ENVIRONMENT, **environment: str) -> Proxies:
        with mock.patch.dict(os.environ, environment, clear=True):
            agent, same = mirror_agent(Clock(), 1.0, proxy)
        self.assertIs(agent, same)
        return same._proxies

    def test_the_environment_names_the_proxy_unless_the_operator_does(self) -> None:
        self.assertEqual(self.made(http_proxy="p:1").http, parse_proxy("p:1"))
        self.assertEqual(self.made("http://q:2", http_proxy="p:1").http, parse_proxy("q:2"))
        self.assertIsNone(self.made("", http_proxy="p:1").http)
        self.assertEqual(self.lines, [])

    def test_one_that_cannot_be_used_is_told_by_its_variable_alone(self) -> None:
        self.assertEqual(self.made(all_proxy="socks5://u:secret@h:1"), Proxies())
        [line] = self.lines
        self.assertEqual(line["name"], "all_proxy")
        self.assertNotIn("secret", str(line))
