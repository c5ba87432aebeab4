"""Who may have the signer do what."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from flocon.signing.requests import (
    Add,
    Build,
    Init,
    Publish,
    Remove,
    ReplaceKey,
    Request,
    RollBack,
    ShowKey,
    ShowList,
    SwitchKey,
)
from flocon.signing.rights import Rights

OWN, NODE, COMMANDER, STRANGER = 500, 501, 502, 503
OF_NODE: tuple[Request, ...] = (
    ShowKey("home"),
    ShowList("home"),
    Publish("home", (), Build("foo", "1-1", "any", ("foo",), "", ""), ""),
)
OF_COMMANDERS: tuple[Request, ...] = (
    Init("home"),
    ReplaceKey("home"),
    SwitchKey("home"),
    Add("home", (), (), on_word=True),
    Remove("home", ("foo",)),
    RollBack("home", "foo", ""),
)


class RightsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rights = Rights(OWN, frozenset({NODE}), frozenset({COMMANDER}))

    def test_root_the_signer_itself_and_commanders_may_ask_for_anything(self) -> None:
        for user in (0, OWN, COMMANDER):
            for request in (*OF_NODE, *OF_COMMANDERS):
                self.assertTrue(self.rights.permit(user, request), (user, request))

    def test_the_node_may_have_builds_published_and_ask_what_there_is(self) -> None:
        for request in OF_NODE:
            self.assertTrue(self.rights.permit(NODE, request), request)

    def test_the_node_may_not_add_on_its_word_nor_change_keys(self) -> None:
        for request in OF_COMMANDERS:
            self.assertFalse(self.rights.permit(NODE, request), request)

    def test_nobody_else_may_ask_for_anything(self) -> None:
        for request in (*OF_NODE, *OF_COMMANDERS):
            self.assertFalse(self.rights.permit(STRANGER, request), request)
