"""Tells the admin which lists of the DNS misbehave: one worker looks at the start, at each reload, and now and then.

It decides nothing. Whether a list counts is asked anew wherever one has hit (policy/zones.py).
"""

from __future__ import annotations

from mwall.dns.answers import Answer, Question
from mwall.policy.load import Policy
from mwall.policy.zones import Kind, misbehaviour, test_questions
from mwall.worker.log import Log
from mwall.worker.loop import Loop
from mwall.worker.resolver import Resolver

_LOOK_SECONDS = 600.0


class _Test:
    """One list being looked at."""

    def __init__(self, watch: ZoneWatch, zone: str, kind: Kind) -> None:
        self.zone = zone
        self.kind = kind
        self._watch = watch
        self._questions = test_questions(zone, kind)
        self._answers: dict[Question, Answer] = {}

    def begin(self, resolver: Resolver) -> None:
        """Asks the list for its test entries."""
        for question in self._questions:
            answer = resolver.ask(question, self)
            if answer is not None:
                self.take(question, answer)

    def take(self, question: Question, answer: Answer) -> None:
        self._answers[question] = answer
        if len(self._answers) == len(self._questions):
            what = misbehaviour(self.zone, self.kind, [self._answers[asked] for asked in self._questions])
            self._watch.tell(self.zone, self.kind, what)

    def on_bug(self) -> None:
        """Nothing to end: it is looked at again."""


class ZoneWatch:
    """Looks at all lists that the profiles ask."""

    def __init__(self, loop: Loop, resolver: Resolver, policy: Policy, log: Log) -> None:
        self._loop = loop
        self._resolver = resolver
        self._policy = policy
        self._log = log
        self._told: dict[tuple[str, Kind], str] = {}

    def look(self) -> None:
        """Looks now, and again in ten minutes."""
        for zone, kinds in self._policy.zones.items():
            for kind in kinds:
                _Test(self, zone, kind).begin(self._resolver)
        self._loop.call_at(self._loop.now + _LOOK_SECONDS, self, self.look)

    def tell(self, zone: str, kind: Kind, what: str) -> None:
        """What is wrong with a list, '' for nothing: the log hears of changes only."""
        if what and self._told.get((zone, kind), "") != what:
            self._log.process("WARNING", f"{what}; ignored until it behaves")
        elif not what and self._told.get((zone, kind)):
            self._log.process("NOTICE", f"{zone} behaves again: its answers count")
        self._told[zone, kind] = what

    def on_bug(self) -> None:
        """Nothing to end."""
