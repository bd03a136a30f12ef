"""RCPT: local or relay, which profile, is enough known to refuse, and does the backend want the recipient.

What was looked up while the client talked may suffice for a refusal: then the message is never read. Answers that
are still to come are waited for here for a moment only, and only while they could decide it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mwall.message.fields_added import format_score
from mwall.policy.checks import Finding
from mwall.policy.profile import Profile
from mwall.policy.routing import is_local, profile_for
from mwall.policy.verdict import early_refusal, may_refuse_early
from mwall.shared.health import Backend
from mwall.smtp.addresses import Mailbox
from mwall.smtp.client import Dialogue, Envelope, Extensions, Outcome, verification
from mwall.smtp.replies import refusal
from mwall.worker.backend import Job, Loss
from mwall.worker.looking import Looking, nothing
from mwall.worker.message import checks_text

if TYPE_CHECKING:
    from mwall.worker.client import ClientConnection
    from mwall.worker.worker import Worker

_YES_SECONDS = 3600.0
_NO_SECONDS = 60.0
_MAX_ANSWERS = 10_000
PATIENCE = 0.075  # seconds that the replies to RCPT of one transaction wait for look-ups


class RecipientAnswers:
    """What the backend has said of recipients, as one worker remembers it. Bounded: the oldest answers go first.

    A yes holds for the recipient, whoever writes; a no only with that reverse-path, which may be what it was about.
    """

    def __init__(self) -> None:
        self._yes: dict[Mailbox, float] = {}
        self._no: dict[tuple[Mailbox | None, Mailbox], tuple[float, bytes]] = {}

    def is_wanted(self, recipient: Mailbox, now: float) -> bool:
        """Whether a yes is known; `now` in monotonic seconds."""
        return self._yes.get(recipient, 0.0) > now

    def refusal_of(self, reverse_path: Mailbox | None, recipient: Mailbox, now: float) -> bytes | None:
        """The reply of a no that is known."""
        until, octets = self._no.get((reverse_path, recipient), (0.0, b""))
        return octets if until > now else None

    def remember_yes(self, recipient: Mailbox, now: float) -> None:
        """Keeps a yes."""
        self._yes.pop(recipient, None)
        self._yes[recipient] = now + _YES_SECONDS
        if len(self._yes) > _MAX_ANSWERS:
            del self._yes[next(iter(self._yes))]

    def remember_no(self, reverse_path: Mailbox | None, recipient: Mailbox, octets: bytes, now: float) -> None:
        """Keeps a permanent no."""
        self._no.pop((reverse_path, recipient), None)
        self._no[reverse_path, recipient] = (now + _NO_SECONDS, octets)
        if len(self._no) > _MAX_ANSWERS:
            del self._no[next(iter(self._no))]


class RecipientQuestion(Job):
    """One RCPT, from the command to its reply."""

    def __init__(self, worker: Worker, client: ClientConnection) -> None:
        session = client.session
        assert session.transaction is not None and session.recipient is not None
        self._worker = worker
        self._client = self.owner = client
        self._transaction = session.transaction
        self._recipient = session.recipient
        self._reverse_path = session.transaction.mail.reverse_path
        self._profile: Profile | None = None
        self._looking: Looking | None = None  # while answers to look-ups are waited for
        self._findings: list[Finding] = []  # that it was refused for
        self._waiting = False

    def ask(self) -> bool:
        """Whether the reply is there at once; else the client is resumed with it later."""
        octets = self._judge()
        if octets is not None:
            self._answer(octets)
        else:
            assert self._profile is not None
            self._looking = self._client.look_up(self._profile)
            if self._looking is not None:
                self._looking.on_answer = self._look
                if self._looking.patient_until is None:
                    self._looking.patient_until = self._worker.loop.now + PATIENCE
            self._look()
            if self._looking is not None and self._looking.patient_until is not None:
                self._worker.loop.call_at(self._looking.patient_until, self._client, self._lose_patience)
        self._waiting = self._client.question is self
        return not self._waiting

    def withdraw(self) -> None:
        """The client has gone. An answer of the backend under way is worth having all the same."""
        self._stop_looking()
        if self.connection is None:
            self._worker.pool.withdraw(self)

    def abandon(self) -> None:
        """Our own error: nothing more is to come of this question."""
        self._stop_looking()
        self._worker.pool.withdraw(self)

    def _look(self) -> None:
        """Refuses by what has been found, waits for what may still be, or goes on."""
        if self._looking is not None:
            profile, inquiry = self._looking.profile, self._looking.inquiry
            finding = early_refusal(profile, inquiry)
            is_patient = self._worker.loop.now < (self._looking.patient_until or 0.0)
            if finding is None and is_patient and may_refuse_early(profile, inquiry):
                return
            if finding is not None:
                # It is about the client, whoever the recipient is: not each of a hundred is an error of its own.
                counts, self._looking.has_refused = not self._looking.has_refused, True
                self._findings = inquiry.findings
                self._stop_looking()
                self._answer(refusal(550, "5.7.1", finding.check, finding.reason), counts)
                return
            self._stop_looking()
        self._ask_backend()

    def _lose_patience(self) -> None:
        if self._looking is not None:
            self._stop_looking()
            self._ask_backend()

    def _stop_looking(self) -> None:
        if self._looking is not None:
            self._looking.on_answer = nothing
            self._looking = None

    def _ask_backend(self) -> None:
        octets = None
        if self._worker.settings.verify_recipients:
            now = self._worker.loop.now
            if not self._worker.answers.is_wanted(self._recipient, now):
                octets = self._worker.answers.refusal_of(self._reverse_path, self._recipient, now)
                if octets is None:
                    self._worker.pool.request(self)
                    return
        self._answer(octets)

    def _judge(self) -> bytes | None:
        """The refusal that needs no backend, None if there is none."""
        policy = self._worker.policy
        if not self._client.relay and not is_local(policy, self._recipient):
            return refusal(550, "5.7.1", "RELAY", f"no mail for {self._recipient.domain} here; relaying denied")
        profile = profile_for(policy, self._recipient, self._client.relay)
        if self._transaction.recipients and self._transaction.context is not profile:
            return refusal(452, "4.5.3", "PROFILE", "this recipient needs a transaction of its own, send it again")
        if profile.refuses_all:
            return refusal(550, "5.7.1", "PROFILE", "no mail is taken for this recipient")
        self._profile = profile
        reverse_path = "" if self._reverse_path is None else str(self._reverse_path)
        return self._worker.refused_recipients.recall(reverse_path, str(self._recipient), self._worker.loop.now)

    def _answer(self, octets: bytes | None, counts: bool = True) -> None:
        client = self._client
        client.question = None
        if octets is None:
            self._transaction.context = self._profile
        else:
            if not octets.startswith(b"452"):
                self._worker.counters.add("recipients_rejected")
            fields: dict[str, object] = {
                "from": f"<{self._reverse_path or ''}>",
                "to": f"<{self._recipient}>",
            }
            if self._findings and self._profile is not None:
                score = sum([finding.score for finding in self._findings])
                fields |= {
                    "helo": client.session.helo_name,
                    "profile": self._profile.name,
                    "score": f"{format_score(score)}/{format_score(self._profile.reject_score)}",
                    "checks": checks_text(self._findings),
                }
            fields["reply"] = octets[:-2].decode("ascii")
            level = "REJECT" if octets.startswith(b"5") else "TEMPORARY"
            self._worker.log.write("client", client.text, "RECIPIENT", level, fields)
        client.session.answer_recipient(octets, counts)
        if self._waiting:
            client.resume()

    # What the pool does

    def dialogue(self, extensions: Extensions) -> Dialogue:
        mail = self._transaction.mail
        envelope = Envelope(mail.reverse_path, (self._recipient,), mail.declared_size, mail.eightbit, mail.smtputf8)
        return verification(envelope, extensions)

    def done(self, backend: Backend, outcome: Outcome) -> None:
        now = self._worker.loop.now
        if outcome.delivered:
            self._worker.answers.remember_yes(self._recipient, now)
            self._answer(None)
            return
        if outcome.misconfigured:
            text = f"refuses our question for a recipient: {outcome.backend_reply}"
            self._worker.log.backend(str(backend), "BACKEND", "FATAL", text)
        elif outcome.answer.startswith(b"5"):
            self._worker.answers.remember_no(self._reverse_path, self._recipient, outcome.answer, now)
        self._answer(outcome.answer)

    def lost(self, backend: Backend, loss: Loss, why: str) -> None:
        self._worker.log.backend(str(backend), "BACKEND", "TEMPORARY", f"lost when asked for a recipient: {why}")
        self._answer(refusal(451, "4.4.2", "BACKEND", "the mail server was lost, please try again later"))

    def unserved(self, answer: bytes, why: str) -> None:
        self._answer(answer)
