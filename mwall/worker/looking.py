"""The look-ups of one message under way: what its Inquiry asks goes to the resolver, and the answers come back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mwall.dns.answers import Answer, Question
from mwall.policy.checks import Envelope
from mwall.policy.lookups import Inquiry, Lookup, Needs
from mwall.policy.profile import Profile
from mwall.worker.counters import Counters
from mwall.worker.loop import Owner
from mwall.worker.resolver import Resolver


def nothing() -> None:
    """Nobody waits."""


class Looking:
    """What `profile` asks of one envelope. `on_answer` is called after each answer that comes later."""

    def __init__(
        self, resolver: Resolver, counters: Counters, profile: Profile, envelope: Envelope, owner: Owner
    ) -> None:
        self.profile = profile
        self.inquiry = Inquiry(envelope)
        self.on_answer: Callable[[], None] = nothing
        self.patient_until: float | None = None  # monotonic seconds, of replies to RCPT; None before the first
        self.has_refused = False  # a recipient
        self._resolver = resolver
        self._counters = counters
        self._owner = owner
        self._asked: set[Question] = set()
        self._closed = False
        self._begin(lookup for lookup in profile.lookups if lookup.needs is Needs.CLIENT)
        self.knows_reverse_path = False

    def look_at_reverse_path(self) -> None:
        """The envelope has its reverse-path and its EHLO name now."""
        self.knows_reverse_path = True
        self._begin(lookup for lookup in self.profile.lookups if lookup.needs is Needs.REVERSE_PATH)

    def look_at_message(self, lookups: Iterable[Lookup]) -> None:
        """The message calls for these besides."""
        self._begin(lookups)

    def take(self, question: Question, answer: Answer) -> None:
        """An answer of the resolver."""
        if self._closed:
            return
        self._asked.discard(question)
        self._ask(self.inquiry.take(question, answer))
        self.on_answer()

    def on_bug(self) -> None:
        self._owner.on_bug()

    def time_out(self) -> None:
        """check_timeout is over: what is open finds nothing, and whoever waits is told."""
        on_answer = self.on_answer
        self.close("no answer within check_timeout")
        on_answer()

    def close(self, why: str = "", is_replaced: bool = False) -> None:
        """Nobody waits any longer. `why` an open question has no answer; '' where none is wanted any more.

        `is_replaced`: others, which count for the same client, take its place.
        """
        if self._closed:
            return
        self._closed = True
        self.on_answer = nothing
        for question in tuple(self._asked):
            self._resolver.forget(question, self)
        for one in self.inquiry.running:
            if (zone := one.lookup.zone) and one.questions and not is_replaced:
                self._counters.add_zone(zone, "asked")
                if one.failed or (one.open and why):
                    self._counters.add_zone(zone, "late")
                elif one.findings:
                    self._counters.add_zone(zone, "listed")
        self.inquiry.give_up(why)

    def _begin(self, lookups: Iterable[Lookup]) -> None:
        self._ask(self.inquiry.begin(lookups))

    def _ask(self, questions: list[Question]) -> None:
        while questions:
            question = questions.pop()
            answer = self._resolver.ask(question, self)
            if answer is None:
                self._asked.add(question)
            else:
                questions += self.inquiry.take(question, answer)
