"""Checks that know the envelope alone and may ask the DNS: what they are, and how those of a message run side by side.

A look-up is a generator: it yields the questions that it needs answered all together, is resumed with their answers in
the same order, and returns its findings. Nothing here asks anybody: whoever runs an Inquiry does.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from enum import Enum
from typing import NamedTuple, TypeAlias

from mwall.dns.answers import Answer, Question, Status
from mwall.policy.checks import Envelope, Finding

Steps: TypeAlias = Generator[Sequence[Question], Sequence[Answer], list[Finding]]


class Needs(Enum):
    """What has to be known before a look-up can begin."""

    CLIENT = "the client's address"
    REVERSE_PATH = "the EHLO name and the reverse-path"
    CONTENT = "the message"


class Lookup(NamedTuple):
    """One look-up of a profile.

    `variables`: those of the profile that it stands for; `zone`: the list that it asks, '' where it asks none.
    `least` and `most`: the sums of its negative and of its positive scores, what it may come to in thousandths.
    """

    variables: tuple[str, ...]
    needs: Needs
    steps: Callable[[Envelope], Steps]
    least: int
    most: int
    zone: str = ""


class Asking(NamedTuple):
    """A request of judge() for the findings of its profile's look-ups and of these, which the message calls for."""

    lookups: Sequence[Lookup]


def bounds_of(scores: Iterable[int]) -> tuple[int, int]:
    """The `least` and `most` of a look-up with rules of these scores."""
    scores = tuple(scores)
    return sum([score for score in scores if score < 0]), sum([score for score in scores if score > 0])


def without_questions(find: Callable[[Envelope], list[Finding]]) -> Callable[[Envelope], Steps]:
    """The steps of a plain function, one that has nothing to ask."""

    def steps(envelope: Envelope) -> Steps:
        return find(envelope)
        yield ()  # never reached: it makes this a generator

    return steps


class Running:
    """A look-up that has begun. `failed`: one of its questions had no answer."""

    __slots__ = ("answers", "failed", "findings", "lookup", "open", "questions", "steps")

    def __init__(self, lookup: Lookup, envelope: Envelope) -> None:
        self.lookup = lookup
        self.steps = lookup.steps(envelope)
        self.questions: Sequence[Question] = ()
        self.answers: dict[Question, Answer] = {}
        self.open = True
        self.findings: list[Finding] = []
        self.failed = False


class Inquiry:
    """The look-ups of one message, each on its own way.

    `least` and `most`: what those that are still open may add to the score, in thousandths. `unanswered`: the questions
    that had no answer, each with why.
    """

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self.running: list[Running] = []
        self.unanswered: dict[Question, str] = {}
        self.least = 0
        self.most = 0
        self.open = 0  # look-ups
        self._waiting: dict[Question, list[Running]] = {}

    @property
    def findings(self) -> list[Finding]:
        """What has been found so far, in the order in which the look-ups were begun."""
        return [finding for one in self.running for finding in one.findings]

    def begin(self, lookups: Iterable[Lookup]) -> list[Question]:
        """Begin these look-ups; the questions that are to be asked for them."""
        asked: list[Question] = []
        for lookup in lookups:
            one = Running(lookup, self.envelope)
            self.running.append(one)
            self.open += 1
            self.least += lookup.least
            self.most += lookup.most
            self._go_on(one, None, asked)
        return asked

    def take(self, question: Question, answer: Answer) -> list[Question]:
        """Take the answer to a question; the questions that are to be asked now."""
        asked: list[Question] = []
        if answer.status is Status.FAILED:
            self.unanswered[question] = answer.why
        for one in self._waiting.pop(question, ()):
            one.answers[question] = answer
            one.failed = one.failed or answer.status is Status.FAILED
            if len(one.answers) == len(set(one.questions)):
                self._go_on(one, [one.answers[question] for question in one.questions], asked)
        return asked

    def give_up(self, why: str) -> None:
        """Wait no longer: what has no answer finds nothing. `why` there is none; '' where nobody wants to know."""
        for question in self._waiting if why else ():
            self.unanswered.setdefault(question, why)
        self._waiting.clear()
        for one in self.running:
            if one.open:
                one.steps.close()
                self._end(one, [])

    def _go_on(self, one: Running, answers: Sequence[Answer] | None, asked: list[Question]) -> None:
        try:
            # None begins a generator; an empty list of questions is answered at once.
            one.questions = one.steps.send(answers)  # type: ignore[arg-type]
            while not one.questions:
                one.questions = one.steps.send(())
        except StopIteration as stop:
            self._end(one, stop.value)
            return
        one.answers.clear()
        for question in dict.fromkeys(one.questions):
            waiting = self._waiting.setdefault(question, [])
            if not waiting:
                asked.append(question)
            waiting.append(one)

    def _end(self, one: Running, findings: list[Finding]) -> None:
        one.open = False
        one.findings = findings
        self.open -= 1
        self.least -= one.lookup.least
        self.most -= one.lookup.most
