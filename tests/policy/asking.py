"""Look-ups with their answers written down: what they ask, round by round, and what they find."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any, TypeAlias

from mwall.dns.answers import AAAA, A, Answer, Exchange, Question, Record, Status
from mwall.dns.names import to_wire
from mwall.policy.lookups import Lookup
from mwall.policy.verdict import Envelope, Finding
from mwall.smtp.addresses import Mailbox

NO_NAME = Answer(Status.NO_NAME)
NO_DATA = Answer(Status.NO_DATA)
FAILED = Answer(Status.FAILED, why="nobody answers")
# Names that no question may be asked for; the first ones do not even get as far as an envelope.
HOSTILE = [
    "a\0.example", "a\r\nb.example", "a..example", "a.example..", ".a.example", "a b.example", "*.example",
    "a" * 64 + ".example", "a." * 150 + "example", "b\u00fc\u00ff\u0080.example", "\udcff.example", "\u2024.example",
    "a\\046b.example", "a/b.example", '"a".example', "\u00fc" * 300, "xn--\u00fc.example", "\ufdfa" * 60 + ".example",
]  # fmt: skip

Answers: TypeAlias = Mapping[Any, Answer]  # by Question, or by the name alone


def found(*records: Record | str) -> Answer:
    """An answer with these records; addresses may be written as text."""
    return Answer(Status.FOUND, tuple(map(_record, records)), 300)


def _record(record: Record | str) -> Record:
    try:
        return ip_address(record) if isinstance(record, str) else record
    except ValueError:
        return record


def exchanges(*names: str) -> Answer:
    return Answer(Status.FOUND, tuple([Exchange(10, name) for name in names]), 300)


def envelope_of(
    client_address: str = "192.0.2.1",
    domain: str | None = "example.org",
    helo_name: str = "mail.example.org",
    relay: bool = False,
) -> Envelope:
    """What there is once MAIL has come; a domain of None is the null reverse-path."""
    reverse_path = None if domain is None else Mailbox("jane", domain)
    return Envelope(ip_address(client_address), relay, helo_name, reverse_path, [])


def ask(lookup: Lookup, envelope: Envelope, answers: Answers) -> tuple[list[Finding], list[list[Question]]]:
    """What a look-up finds, and what it asks, round by round.

    Answers stand under the question, or under the name for all of its types; what has none does not exist.
    """
    steps = lookup.steps(envelope)
    rounds: list[list[Question]] = []
    replies: Sequence[Answer] | None = None
    try:
        while True:
            questions = steps.send(replies)  # type: ignore[arg-type]
            for question in questions:
                to_wire(question.name)
                assert question.name == question.name.lower()
            rounds.append(list(questions))
            replies = [answers.get(question, answers.get(question.name, NO_NAME)) for question in questions]
    except StopIteration as stop:
        findings: list[Finding] = stop.value
    assert lookup.least <= sum([finding.score for finding in findings]) <= lookup.most
    return findings, rounds


def addresses_of(name: str) -> list[list[Question]]:
    """The questions for a host's addresses, one after the other."""
    return [[Question(name, A)], [Question(name, AAAA)]]
