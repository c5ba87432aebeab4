"""The signer as a program: who asks is let in, heard, and answered, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from flocon.errors import FloconError, RepositoryError
from flocon.log import logger
from flocon.programs.reception import Reception
from flocon.signing.requests import read

if TYPE_CHECKING:
    from flocon.programs.talking import Conversation, Message
    from flocon.signing.rights import Rights
    from flocon.signing.signer import Signer

#: Packages told in one answer: a message has 1 MiB.
_TOLD_AT_ONCE = 500


class Service:
    """Answers for ``signer`` whom ``rights`` permit to ask."""

    _log = logger()

    def __init__(self, reactor: Any, signer: Signer, rights: Rights) -> None:
        self._signer = signer
        self._rights = rights
        #: Whose request waits or is done: one of each, for it may hold 250 open files.
        self._answering: set[Conversation] = set()
        self.reception = Reception(reactor, self._received, is_busy=self._is_busy)

    async def start(self, path: str) -> None:
        """Go on from what was done last, and begin to listen, at a path or systemd's socket."""
        await self._signer.start()
        self.reception.listen(path)

    async def stop(self) -> None:
        await self.reception.stop()
        await self._signer.stop()

    def _is_busy(self, conversation: Conversation | None) -> bool:
        if conversation is None:
            return self._signer.is_busy
        return conversation in self._answering

    def _received(self, conversation: Conversation, message: Message) -> None:
        if conversation in self._answering:
            message.close()
            conversation.leave_now()
            return
        self._answering.add(conversation)
        done = Deferred.fromCoroutine(self._answer(conversation, message))
        done.addErrback(lambda failure: self._log.failure("no answer was given", failure))

    async def _answer(self, conversation: Conversation, message: Message) -> None:
        try:
            said = await self._do(conversation, message)
        except FloconError as error:
            said = _refusal(error)
        except Exception:  # noqa: BLE001 - whatever it was, who asks reads one sentence
            self._log.failure("a request failed")
            said = {"error": "the signer failed", "remedy": "see 'journalctl -u flocon-sign'"}
        finally:
            message.close()
            self._answering.discard(conversation)
        if self.reception.is_present(conversation):
            _say(conversation, said)
            self.reception.worked(conversation)

    async def _do(self, conversation: Conversation, message: Message) -> dict[str, Any]:
        request = read(message.values, len(message.files))
        user = conversation.caller.user
        if not self._rights.permit(user, request):
            self._log.warn("user {user} may not ask for this", user=user)
            raise RepositoryError("that is not for this user to ask", "run it as root")
        return await self._signer.do(
            request, message.files, lambda: self.reception.is_present(conversation)
        )


def _refusal(error: FloconError) -> dict[str, Any]:
    if isinstance(error, RepositoryError):
        return {"error": error.problem, "remedy": error.remedy}
    return {"error": str(error)}


def _say(conversation: Conversation, said: dict[str, Any]) -> None:
    """Say it, a long list in parts."""
    packages = said.get("packages", [])
    while len(packages) > _TOLD_AT_ONCE:
        conversation.say({"packages": packages[:_TOLD_AT_ONCE]})
        packages = packages[_TOLD_AT_ONCE:]
    rest = {"packages": packages} if "packages" in said else {}
    ending = {} if "error" in said else {"done": True}
    conversation.say({**said, **rest, **ending})
