"""Which machines with pacredir are of this machine's kind."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.foreign.browsed import Browsed
from flocon.foreign.place import Place
from flocon.mdns.services import Found


class Told(SynchronousTestCase):
    def setUp(self) -> None:
        self.there: dict[str, str] = {}
        self.browsed = Browsed("arch", self.come, self.go)

    def come(self, place: Place, instance: str) -> None:
        self.there[instance] = str(place)

    def go(self, instance: str) -> None:
        del self.there[instance]

    def tell(self, **texts: tuple[str, ...]) -> dict[str, str]:
        found = [
            Found(name, f"{name}.local", ("10.0.0.7", "fd00::7"), 7_078, said)
            for name, said in texts.items()
        ]
        self.browsed.tell(found, ("x86_64",))
        return self.there

    def test_who_has_packages_for_this_machine_is_a_place(self) -> None:
        found = self.tell(ada=("id=arch", "arch=aarch64", "arch=x86_64"))
        self.assertEqual(found, {"ada": "pacredir at 10.0.0.7"})

    def test_another_distribution_or_architecture_is_none(self) -> None:
        self.assertEqual(
            self.tell(ada=("id=manjaro", "arch=x86_64"), bob=("id=arch", "arch=aarch64")), {}
        )

    def test_who_does_not_say_may_be(self) -> None:
        self.assertEqual(list(self.tell(ada=())), ["ada"])

    def test_who_is_told_of_no_more_has_gone_and_so_has_who_became_another(self) -> None:
        ours = ("id=arch", "arch=x86_64")
        self.tell(ada=ours, bob=ours)
        self.assertEqual(list(self.tell(ada=("id=manjaro",))), [])
