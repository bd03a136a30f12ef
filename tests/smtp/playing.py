"""A Session played without a network: flights in, replies out, Events answered by functions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mwall.smtp.addresses import Mailbox
from mwall.smtp.commands import Offers
from mwall.smtp.maildata import Fault
from mwall.smtp.replies import refusal, reply
from mwall.smtp.server import Event, Limits, Session, Transaction
from tests.smtp.cutting import Cut

LIMITS = Limits("mx.example.org", max_rcpt=3, max_errors=4)
OFFERS = Offers(1000, True, True)
ANSWERS = {
    None: reply(250, "2.0.0", "taken"),
    Fault.TOO_BIG: refusal(552, "5.3.4", "SMTP", "too big"),
    Fault.NO_MEMORY: refusal(452, "4.3.1", "SMTP", "no memory"),
    Fault.BARE_NEWLINE: refusal(550, "5.5.2", "SMTP", "bare newline"),
}


def answer_by_name(mailbox: Mailbox) -> bytes | None:
    """no@ is refused, later@ has a transient answer, other@ has another profile, the rest is taken."""
    return {
        "no": refusal(550, "5.1.1", "BACKEND", "unknown"),
        "later": refusal(450, "4.2.0", "BACKEND", "later"),
        "other": refusal(452, "4.5.3", "POLICY", "another profile"),
    }.get(mailbox.local_part)


@dataclass
class Message:
    """What the caller of the session would see at Event.MESSAGE."""

    reverse_path: str
    recipients: list[str]
    mail_data: bytes
    fault: Fault | None


@dataclass
class Play:
    """A session under way, and what has come of it."""

    session: Session = field(default_factory=lambda: Session(LIMITS, OFFERS, False))
    answer_recipient: Callable[[Mailbox], bytes | None] = answer_by_name
    messages: list[Message] = field(default_factory=list)

    def take_output(self) -> bytes:
        octets = b"".join(self.session.output)
        self.session.output.clear()
        return octets

    def receive(self, octets: bytes) -> None:
        self.session.receive(octets)
        while event := self.session.advance():
            transaction = self.session.transaction
            assert transaction is not None
            if event is Event.RECIPIENT:
                assert self.session.recipient is not None
                self.session.answer_recipient(self.answer_recipient(self.session.recipient))
            else:
                self._take_message(transaction)

    def _take_message(self, transaction: Transaction) -> None:
        assert transaction.mail_data is not None
        mail_data = transaction.mail_data
        self.messages.append(
            Message(
                str(transaction.mail.reverse_path or ""),
                [str(mailbox) for mailbox in transaction.recipients],
                b"".join(mail_data.chunks),
                mail_data.fault,
            )
        )
        self.session.answer_message(ANSWERS[mail_data.fault])

    def flights(self, flights: Sequence[bytes], cut: Cut) -> list[bytes]:
        """The greeting, then the replies to each flight. A closed session is sent nothing more."""
        self.session.greet()
        replies = [self.take_output()]
        for flight in flights:
            for piece in cut(flight):
                if not self.session.closing:
                    self.receive(piece)
            replies.append(self.take_output())
        return replies
