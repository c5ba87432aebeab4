"""Recipes as people write them, built and signed by the real programs."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.builds.whole import WholeTestCase

#: Two packages, of which one needs the very same version of the other.
SPLIT = """
pkgbase=suite
pkgname=(suite suite-data)
pkgver=1.0
pkgrel=1
epoch=2
arch=(x86_64)
package_suite() {
  depends=("suite-data=$epoch:$pkgver-$pkgrel")
  install -d "$pkgdir/usr/share/suite"
  date +%N >"$pkgdir/usr/share/suite/when"
}
package_suite-data() { arch=(any); install -Dm644 /etc/passwd "$pkgdir/usr/share/suite/ü b"; }
"""
#: It finds out its version, which counts as older than the one that stands there.
FINDING = """
pkgname=tool-git
pkgver=1
pkgrel=1
arch=(any)
pkgver() {{ echo {version}; }}
package() {{ install -d "$pkgdir/usr/share/x"; date +%N >"$pkgdir/usr/share/x/when"; }}
"""


class RebuildingTests(WholeTestCase):
    """What was published once is never published again with other content."""

    def test_the_same_version_is_a_newer_one_each_time(self) -> Deferred[None]:
        async def go() -> None:
            self.assertEqual(await self.build("suite", SPLIT), "published", self.why("suite"))
            for release in ("1.1", "1.2"):
                await self.steer("rebuild", "suite")
                self.assertEqual(await self.settled("suite"), "published", self.why("suite"))
                version = f"2:1.0-{release}"
                self.assertEqual(self.database(), {"suite": version, "suite-data": version})
            await self.steer("remove", "suite")
            self.assertEqual(await self.build("suite", SPLIT), "published", self.why("suite"))
            self.assertEqual(self.database()["suite"], "2:1.0-1.3")

        return Deferred.fromCoroutine(go())

    def test_what_finds_out_its_version_is_a_newer_one_too(self) -> Deferred[None]:
        async def go() -> None:
            name = "tool-git"
            await self.build(name, FINDING.format(version="r7.abc"))
            self.assertEqual(self.database(), {name: "r7.abc-1"}, self.why(name))
            await self.steer("rebuild", name)
            self.assertEqual(await self.settled(name), "published", self.why(name))
            self.assertEqual(self.database(), {name: "r7.abc-1.1"})
            await self.build(name, FINDING.format(version="r9.abc"))
            self.assertEqual(self.database(), {name: "r9.abc-1"}, self.why(name))

        return Deferred.fromCoroutine(go())
