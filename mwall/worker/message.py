"""A message's way from the end of its data to its reply: judged, passed to the backend or refused, and logged.

The rules:
- The client's 250 is the backend's, for this message; anything else is 4yz or 5yz.
- Judging is a generator (policy/verdict.py): what it asks for is answered here,
  a slice of time by serving others first once it has had its share, look-ups by
  waiting check_timeout at most; what has no answer then finds nothing.
- A client that goes before our final dot has its message stopped; behind the dot
  the message may be there twice, and the log says so (RFC 1047).
- One line in the log for each message, whatever became of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mwall.message.body import take_header
from mwall.message.fields_added import format_score, received_field, score_field, warning_field
from mwall.message.header import clean_header
from mwall.policy.checks import Finding
from mwall.policy.verdict import Asking, Bounds, Judging, Verdict, judge
from mwall.shared.health import Backend
from mwall.smtp.client import Dialogue, Envelope, Extensions, Outcome, delivery
from mwall.smtp.maildata import Fault
from mwall.smtp.replies import refusal
from mwall.worker.backend import Job, Loss
from mwall.worker.looking import Looking

if TYPE_CHECKING:
    from mwall.worker.client import ClientConnection
    from mwall.worker.worker import Worker

_SLICE = 0.01  # seconds of judging before others are served
_SMALL = 65_536  # octets of body that are copied behind the header, so that one send has both
_REMEMBER_REFUSED = 4 * 3600.0  # seconds


class MessagePassage(Job):
    """One message, from the end of its data to its reply."""

    def __init__(self, worker: Worker, client: ClientConnection) -> None:
        transaction = client.session.transaction
        assert transaction is not None and transaction.mail_data is not None
        self._worker = worker
        self._client = self.owner = client
        self._transaction = transaction
        self._mail_data = transaction.mail_data
        self._size = self._mail_data.octets or self._mail_data.received
        self._id = worker.next_id()
        self._helo_name = client.session.helo_name
        self._waiting = False
        self._finished = False
        self._judging: Judging | None = None
        self._looking: Looking | None = None
        self._verdict: Verdict | None = None
        self._header = b""
        self._pieces: list[bytes | bytearray | memoryview] = []  # of the message as it leaves
        self._backend: Backend | None = None
        self._times = [client.data_since or worker.loop.now, time.monotonic()]

    # The client's side

    def begin(self) -> None:
        """Judges and passes on; the client is answered now or later."""
        fault = self._mail_data.fault
        if fault is not None:
            self._finish(answer_to_fault(fault, self._client.session.offers.size), "")
        else:
            self._header = take_header(self._mail_data.chunks)
            settings = self._worker.settings
            bounds = Bounds(settings.max_received, settings.max_parts, settings.max_depth)
            profile, chunks = self._transaction.context, self._mail_data.chunks
            self._looking = self._client.take_looking(profile)
            self._judging = judge(profile, self._looking.inquiry.envelope, self._header, chunks, bounds)
            self._judge()
        self._waiting = not self._finished

    def client_gone(self) -> None:
        """The client has gone while the message was on its way."""
        if self._worker.pool.withdraw(self):
            self._finish(b"", "client gone; nothing was delivered")

    def abandon(self) -> None:
        """Our own error: nothing more is to come of this message."""
        self._worker.pool.withdraw(self)
        self._finish(b"", "internal error")

    def broken_off(self, why: str) -> None:
        """The mail data never came to its end: only the log hears of it."""
        self._worker.counters.add("messages_temporary")
        self._log("TEMPORARY", why)

    # Judging

    def _judge(self, answer: Any = None) -> None:
        """Runs the policy until it is done, has had its share of time, or asks for what is not there yet."""
        if self._finished:
            return
        assert self._judging is not None
        until = time.monotonic() + _SLICE
        try:
            while True:
                request = self._judging.send(answer)
                answer = None
                if isinstance(request, Asking):
                    if not self._look_up(request):
                        return
                    answer = self._findings
                elif time.monotonic() >= until:
                    self._worker.loop.call_soon(self._client, self._judge)
                    return
        except StopIteration as stop:
            verdict: Verdict = stop.value
        verdict.root = None  # its part is done, and it may hold much
        self._verdict = verdict
        self._times.append(time.monotonic())
        if verdict.action == "reject":
            code, enhanced_status_code = verdict.reply_code, verdict.enhanced_status_code
            self._finish(refusal(code, enhanced_status_code, verdict.check, verdict.reason), "")
        else:
            self._complete(verdict)
            self._worker.pool.request(self)

    def _look_up(self, request: Asking) -> bool:
        """Whether all look-ups are done; else judging goes on once they are, or check_timeout is over."""
        assert self._looking is not None
        self._looking.look_at_message(request.lookups)
        if not self._looking.inquiry.open:
            return True
        self._looking.on_answer = self._go_on_when_answered
        self._worker.check_timeouts.begin(self._looking, self._looking.time_out)
        return False

    def _go_on_when_answered(self) -> None:
        if self._looking is not None and not self._looking.inquiry.open:
            self._judge(self._findings)

    @property
    def _client_name(self) -> str:
        """The client's name in the DNS, where it is known."""
        return self._looking.inquiry.envelope.client_name if self._looking is not None else ""

    @property
    def _findings(self) -> list[Finding]:
        """What the look-ups have found."""
        assert self._looking is not None
        self._end_looking()
        return self._looking.inquiry.findings

    def _end_looking(self) -> None:
        if self._looking is not None:
            self._worker.check_timeouts.end(self._looking)
            self._looking.close()

    def _complete(self, verdict: Verdict) -> None:
        """The message as it leaves: our fields on top, the header cleaned, the body as it came."""
        domain = self._worker.settings.domain
        transaction = self._transaction
        recipients = transaction.recipients
        fields = [
            received_field(
                self._helo_name,
                self._client.address,
                domain,
                ("UTF8SMTP" if transaction.mail.smtputf8 else "ESMTP") if self._client.session.esmtp else "SMTP",
                self._id,
                str(recipients[0]) if len(recipients) == 1 else None,
                self._worker.date(),
                self._client_name,
            ),
            score_field(verdict.score, domain),
        ]
        fields += [warning_field(finding.check, finding.reason, finding.score) for finding in verdict.findings]
        if verdict.observed:
            fields.append(warning_field("OBSERVE", f"would have been refused: {verdict.text}", verdict.score))
        self._put_on_top(b"".join([*fields, clean_header(self._header)]), verdict.cuts)
        self._header = b""

    def _put_on_top(self, header: bytes, cuts: list[tuple[int, int]]) -> None:
        """The pieces of the message that is sent on: the header, and what stays of the body; without copies of much."""
        pieces: list[bytes | bytearray | memoryview] = [*self._mail_data.chunks]
        if cuts:
            body = memoryview(self._mail_data.chunks[0])
            edges = [0, *(edge for cut in cuts for edge in cut), len(body)]
            pieces = [body[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]
        top = [header, *pieces[:1]] if pieces and len(pieces[0]) <= _SMALL else [header]
        self._pieces = [b"".join(top), *pieces[len(top) - 1 :]]

    # What the pool does

    def dialogue(self, extensions: Extensions) -> Dialogue:
        if len(self._times) == 3:
            self._times.append(time.monotonic())
        mail = self._transaction.mail
        size = sum(map(len, self._pieces))
        envelope = Envelope(mail.reverse_path, tuple(self._transaction.recipients), size, mail.eightbit, mail.smtputf8)
        return delivery(envelope, extensions, self._pieces)

    def done(self, backend: Backend, outcome: Outcome) -> None:
        self._backend = backend
        reverse_path = str(self._transaction.mail.reverse_path or "")
        for mailbox, octets in outcome.refused:
            until = self._worker.loop.now + _REMEMBER_REFUSED
            self._worker.refused_recipients.remember(reverse_path, str(mailbox), octets, until)
        if outcome.misconfigured:
            text = f"refuses what we send: {outcome.backend_reply}"
            self._worker.log.backend(str(backend), "BACKEND", "FATAL", text)
        if outcome.delivered and (self._client.gone or self._client.session.closing):
            self._worker.counters.add("possible_duplicates")
            self._finish(outcome.answer, f"{outcome.backend_reply}; client gone before our reply: possible duplicate")
        else:
            self._finish(outcome.answer, outcome.backend_reply)

    def lost(self, backend: Backend, loss: Loss, why: str) -> None:
        self._backend = backend
        text = "the mail server was lost before it had the message, please try again later"
        if loss is Loss.AFTER_DOT:
            self._worker.counters.add("possible_duplicates")
            text = "no clear word from the mail server, please try again later"
        self._finish(refusal(451, "4.4.2", "BACKEND", text), f"lost {loss.value}: {why}")

    def unserved(self, answer: bytes, why: str) -> None:
        self._finish(answer, why)

    # The end

    def _finish(self, answer: bytes, word: str) -> None:
        """Answers the client and logs the one line; `word` is the backend's, or why it was not asked."""
        if self._finished:
            return
        self._finished = True
        self._end_looking()
        level = "ACCEPT" if answer.startswith(b"2") else "REJECT" if answer.startswith(b"5") else "TEMPORARY"
        counters = self._worker.counters
        counters.add(_COUNTED_AS[level])
        if level == "ACCEPT":
            counters.add("octets_accepted", self._size)
        self._client.answer_message(answer)
        if self._waiting:
            self._client.resume()
        self._log(level, word or answer[:-2].decode("ascii"))

    def _log(self, level: str, reply: str) -> None:
        transaction, verdict = self._transaction, self._verdict
        fields: dict[str, object] = {
            "id": self._id,
            **({"name": self._client_name} if self._client_name else {}),
            "helo": self._helo_name,
            "from": f"<{transaction.mail.reverse_path or ''}>",
            "to": ",".join([f"<{recipient}>" for recipient in transaction.recipients]),
            "size": self._size,
        }
        if verdict is not None:
            fields["message-id"] = verdict.message_id
        fields["profile"] = transaction.context.name
        if verdict is not None:
            fields["score"] = f"{format_score(verdict.score)}/{format_score(verdict.limit)}"
            fields["checks"] = checks_text(verdict.findings)
        if self._looking is not None and self._looking.inquiry.unanswered:
            unanswered = self._looking.inquiry.unanswered.items()
            fields["unanswered"] = "; ".join([f"{question}: {why}" for question, why in unanswered])
        if self._backend is not None:
            fields["backend"] = str(self._backend)
        fields["reply"] = reply
        times = [*self._times, time.monotonic()] if verdict is not None else self._times
        for name, start, end in zip(("receive", "check", "wait", "deliver"), times, times[1:], strict=False):
            fields[name] = f"{end - start:.3f}"
        self._worker.log.write("client", self._client.text, "MESSAGE", level, fields)


_COUNTED_AS = {"ACCEPT": "messages_accepted", "REJECT": "messages_rejected", "TEMPORARY": "messages_temporary"}


def checks_text(findings: Iterable[Finding]) -> str:
    """The failed checks with their scores, as the log has them."""
    return ",".join([f"{finding.check}:{format_score(finding.score)}" for finding in findings])


def answer_to_fault(fault: Fault, size: int) -> bytes:
    """The refusal of mail data that was not kept; `size`: octets that a message may have."""
    if fault is Fault.TOO_BIG:
        return refusal(552, "5.3.4", "SIZE", f"a message here has at most {size} octets")
    if fault is Fault.NO_MEMORY:
        return refusal(452, "4.3.1", "MEMORY", "too much mail at once, please try again later")
    return refusal(550, "5.5.2", "NEWLINE", "the message has a bare CR, a bare LF or a NUL; lines end in CRLF")
