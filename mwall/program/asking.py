"""The look-ups of one message for messagewalltest(1): asked as a worker asks them, and each question noted."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Sequence
from typing import NamedTuple

from mwall.config.settings import Settings
from mwall.dns.answers import Answer, Question
from mwall.policy.checks import Envelope, Finding
from mwall.policy.lookups import Inquiry, Lookup
from mwall.smtp.printable import printable
from mwall.worker.loop import Loop
from mwall.worker.resolver import NameServer, Resolver


class Asked(NamedTuple):
    """A question, its answer, and how long it took in seconds; `is_known`: an earlier question had brought it."""

    question: Question
    answer: Answer
    seconds: float
    is_known: bool


class Questioning:
    """All questions of one message. `asked`: in the order of their answers."""

    def __init__(self, settings: Settings, servers: tuple[NameServer, ...], asks: bool) -> None:
        """With `asks` false nobody is asked, and what would have to be asked finds nothing."""
        self.asked: list[Asked] = []
        self._check_timeout = settings.check_timeout
        self._asks = asks
        self._loop = Loop(traceback.print_exc)
        self._resolver = Resolver(self._loop, servers, settings.dns_timeout, _count_nothing, _tell)
        self._since: dict[Question, float] = {}
        self._inquiry: Inquiry | None = None

    def findings(self, envelope: Envelope, lookups: Sequence[Lookup]) -> list[Finding]:
        """What these look-ups find, after check_timeout at the latest. Once."""
        self._inquiry = inquiry = Inquiry(envelope)
        self._loop.now = time.monotonic()
        questions = inquiry.begin(lookups)
        if self._asks:
            self._ask(questions)
            if inquiry.open:
                self._loop.call_at(self._loop.now + self._check_timeout, self, self._end)
                self._loop.run()
        inquiry.give_up("no answer within check_timeout" if self._asks else "")
        return inquiry.findings

    @property
    def unanswered(self) -> dict[Question, str]:
        """The questions without an answer, each with why."""
        return self._inquiry.unanswered if self._inquiry is not None else {}

    def take(self, question: Question, answer: Answer) -> None:
        """An answer of the resolver."""
        assert self._inquiry is not None
        self.asked.append(Asked(question, answer, time.monotonic() - self._since[question], False))
        self._ask(self._inquiry.take(question, answer))
        if not self._inquiry.open:
            self._end()

    def on_bug(self) -> None:
        """The loop has printed it; what is open stays without an answer."""
        self._end()

    def _ask(self, questions: list[Question]) -> None:
        assert self._inquiry is not None
        while questions:
            question = questions.pop(0)
            answer = self._resolver.ask(question, self)
            if answer is None:
                self._since[question] = time.monotonic()
            else:
                self.asked.append(Asked(question, answer, 0.0, True))
                questions += self._inquiry.take(question, answer)

    def _end(self) -> None:
        self._loop.running = False


def _count_nothing(name: str) -> None:
    """There is nobody to read it."""


def _tell(server: str, what: str) -> None:
    print(f"messagewalltest: name server {server}: {printable(what)}", file=sys.stderr)
