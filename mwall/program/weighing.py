"""One message judged by the daemon's own code, and measured check by check: what messagewalltest(1) shows."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mwall.dns.answers import Answer, Question
from mwall.master.files import Configuration
from mwall.message.body import take_header
from mwall.policy.checks import Check, Envelope, Finding, MailHeader
from mwall.policy.content import ContentCheck, Scanner
from mwall.policy.lookups import Asking, Lookup, Steps
from mwall.policy.profile import Profile
from mwall.policy.verdict import Bounds, Judging, Verdict, judge
from mwall.program.asking import Asked, Questioning
from mwall.smtp.maildata import MailDataReader
from mwall.smtp.replies import refusal
from mwall.worker.message import answer_to_fault


@dataclass
class Measured:
    """One check of the profile: the variables it stands for, the list it asks, what it found, and its CPU time."""

    variables: tuple[str, ...]
    zone: str = ""
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call` with its time added here; what it returns to be called later (a sink) is timed too."""

        def measured(*arguments: object) -> Any:
            began = time.thread_time()
            result = call(*arguments)
            self.seconds += time.thread_time() - began
            return self.timed(result) if callable(result) else result

        return measured


@dataclass
class Report:
    """All there is to say. `refused`: octets of the reply, b"" where the message passes. `seconds` of CPU."""

    profile: Profile
    envelope: Envelope
    verdict: Verdict | None
    refused: bytes
    measured: list[Measured]
    seconds: float
    octets: int
    asked: Sequence[Asked] = ()
    unanswered: Mapping[Question, str] = field(default_factory=dict)


def weigh(
    configuration: Configuration, profile: Profile, envelope: Envelope, message: bytes, asks: bool = True
) -> Report:
    """Judge a message as a worker does, and note what each check finds and takes. `asks`: the DNS too."""
    settings = configuration.settings
    reader = MailDataReader(settings.max_message_size, envelope.relay or settings.bare_newline == "normalize")
    reader.receive(on_the_wire(message))
    if reader.fault is not None:
        refused = answer_to_fault(reader.fault, settings.max_message_size)
        return Report(profile, envelope, None, refused, [], 0.0, len(message))
    measured: list[Measured] = []
    timed = dataclasses.replace(
        profile,
        checks=tuple(_timed_check(check, measured) for check in profile.checks),
        content=tuple(_timed_content(check, measured) for check in profile.content),
    )
    began = time.thread_time()
    header = take_header(reader.chunks)
    bounds = Bounds(settings.max_received, settings.max_parts, settings.max_depth)
    questioning = Questioning(settings, configuration.name_servers, asks)
    judging = judge(timed, envelope, header, reader.chunks, bounds, keeps_parts=True)
    verdict = _drive(judging, timed, envelope, questioning, measured)
    seconds = time.thread_time() - began
    refused = b""
    if verdict.action == "reject":
        refused = refusal(verdict.reply_code, verdict.enhanced_status_code, verdict.check, verdict.reason)
    return Report(
        profile, envelope, verdict, refused, measured, seconds, reader.octets, questioning.asked, questioning.unanswered
    )


def on_the_wire(message: bytes) -> bytes:
    """A saved message as a client sends it: CRLF line ends where the file has none at all, dots, the end of data."""
    if b"\r\n" not in message:
        message = message.replace(b"\n", b"\r\n")
    message = (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:]
    return message + (b".\r\n" if message.endswith(b"\r\n") else b"\r\n.\r\n")


def _drive(
    judging: Judging, profile: Profile, envelope: Envelope, questioning: Questioning, measured: list[Measured]
) -> Verdict:
    findings: list[Finding] | None = None
    while True:
        try:
            request = judging.send(findings)
        except StopIteration as stop:
            verdict: Verdict = stop.value
            return verdict
        findings = None
        if isinstance(request, Asking):
            lookups = [_timed_lookup(lookup, measured) for lookup in (*profile.lookups, *request.lookups)]
            findings = questioning.findings(envelope, lookups)


def _timed_lookup(lookup: Lookup, measured: list[Measured]) -> Lookup:
    one = Measured(lookup.variables, lookup.zone)
    measured.append(one)

    def steps(envelope: Envelope) -> Steps:
        its = lookup.steps(envelope)
        answers: Sequence[Answer] | None = None
        while True:
            began = time.thread_time()
            try:
                questions = its.send(answers)  # type: ignore[arg-type]
            except StopIteration as stop:
                one.findings += stop.value
                return one.findings
            finally:
                one.seconds += time.thread_time() - began
            answers = yield questions

    return lookup._replace(steps=steps)


def _timed_check(check: Check, measured: list[Measured]) -> Check:
    one = Measured(check.variables)
    measured.append(one)

    def look(envelope: Envelope, header: MailHeader) -> Generator[Any, object, list[Finding]]:
        steps = check.look(envelope, header)
        while True:
            began = time.thread_time()
            try:
                request = next(steps)
            except StopIteration as stop:
                one.findings += stop.value
                return one.findings
            finally:
                one.seconds += time.thread_time() - began
            yield request

    return Check(check.variables, look)


def _timed_content(check: ContentCheck, measured: list[Measured]) -> ContentCheck:
    one = Measured(check.variables)
    measured.append(one)

    def scanner() -> Scanner:
        made = check.scanner()
        find = made.findings

        def noted() -> list[Finding]:
            one.findings += find()
            return one.findings

        calls = {name: getattr(made, name) for name in made.cares_for} | {"findings": noted}
        for name, call in calls.items():
            setattr(made, name, one.timed(call))
        return made

    return ContentCheck(check.variables, scanner)
