"""The server's side of an SMTP session (RFC 5321 3 and 4), a state machine that touches no socket.

Octets go in by receive(); advance() obeys what is complete and returns an Event
when it needs an answer from outside, None when it needs more octets. Replies
pile up in `output` until the caller takes them.

The rules:
- Nothing is read past an open Event: replies keep the order of the commands.
- What may be sent ahead (RFC 2920 3.1) is obeyed from the buffer; octets that
  stand behind HELO, behind DATA, or came before the greeting end the session.
- A session has at most one transaction; it is replaced whole, never mended.
- A session that is draining ends at a command boundary, never in a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from mwall.smtp.addresses import Mailbox, is_routing_hack
from mwall.smtp.commands import (
    HTTP_VERBS,
    CommandError,
    MailCommand,
    Offers,
    parse_helo_name,
    parse_mail,
    parse_rcpt,
    split_command,
)
from mwall.smtp.framing import LineEndlessError, LineReader, LineTooLongError
from mwall.smtp.maildata import MailDataReader
from mwall.smtp.replies import refusal, reply

_OK = reply(250, "2.0.0", "OK")
_SENDER_OK = reply(250, "2.1.0", "OK")
_RECIPIENT_OK = reply(250, "2.1.5", "OK")
_GO_AHEAD = b"354 end the mail data with CRLF.CRLF\r\n"


_ENDS_ITS_FLIGHT = frozenset({b"HELO", b"DATA"})


class Event(Enum):
    """What the session waits for."""

    RECIPIENT = "answer_recipient() for `recipient`"
    MESSAGE = "answer_message() for `transaction`, whose mail data is complete"


class Limits(NamedTuple):
    """What of the configuration a session needs. `domain` is our name."""

    domain: str
    max_rcpt: int
    max_errors: int


class Transaction:
    """From MAIL to the end of data. `context` is whatever the caller ties to it."""

    __slots__ = ("context", "mail", "mail_data", "recipients")

    def __init__(self, mail: MailCommand) -> None:
        self.mail = mail
        self.recipients: list[Mailbox] = []
        self.mail_data: MailDataReader | None = None
        self.context: Any = None


class Session:
    """One client's session. `normalize` mends bare newlines in its mail data (maildata.py)."""

    __slots__ = (
        "_errors",
        "_limits",
        "_lines",
        "_normalize",
        "_transactions",
        "closing",
        "draining",
        "esmtp",
        "helo_name",
        "in_data",
        "offers",
        "output",
        "recipient",
        "said_goodbye",
        "transaction",
        "waiting",
    )  # fmt: skip

    def __init__(self, limits: Limits, offers: Offers, normalize: bool) -> None:
        self._limits = limits
        self._normalize = normalize
        self._lines = LineReader()
        self._errors = 0
        self._transactions = 0  # ended ones
        self.offers = offers
        self.output: list[bytes] = []
        self.said_goodbye = False  # the client has sent QUIT and nothing behind it
        self.closing = False  # nothing more is obeyed; close once `output` has gone
        self.draining = False
        self.esmtp = False
        self.helo_name = ""
        self.in_data = False  # mail data is being received
        self.recipient: Mailbox | None = None
        self.transaction: Transaction | None = None
        self.waiting: Event | None = None

    # What the caller does

    def greet(self) -> None:
        """The greeting; or 554 when the client has talked before it (RFC 5321 3.1)."""
        if self._lines.held:
            self._end(554, "5.5.0", "you talked before the greeting")
        else:
            self.output.append(f"220 {self._limits.domain} ESMTP MessageWall\r\n".encode("ascii"))

    def receive(self, octets: bytes) -> None:
        """Takes octets of the client; advance() obeys them."""
        self._lines.receive(octets)

    @property
    def buffered(self) -> int:
        """Octets received and not yet obeyed."""
        return self._lines.held

    def advance(self) -> Event | None:
        """Obeys what is complete. An Event must be answered before the next call."""
        while self._lines.held and not self.closing and self.waiting is None:
            if not (self._read_mail_data() if self.in_data else self._read_command()):
                return None
        return None if self.closing else self.waiting

    def answer_recipient(self, refused: bytes | None, counts: bool = True) -> None:
        """Answers Event.RECIPIENT: None takes the recipient, else the refusal it gets; `counts`: as an error."""
        assert self.waiting is Event.RECIPIENT and self.transaction is not None and self.recipient is not None
        self.waiting = None
        if refused is None:
            self.transaction.recipients.append(self.recipient)
            self.output.append(_RECIPIENT_OK)
        elif self.transaction.recipients or not counts:
            self.output.append(refused)  # one typing error among good recipients is no attack
        else:
            self._refuse(refused)

    def answer_message(self, answer: bytes) -> None:
        """Answers Event.MESSAGE with the reply to the end of data."""
        assert self.waiting is Event.MESSAGE
        self.waiting = None
        self.transaction = None
        self._transactions += 1
        self.output.append(answer)

    def end(self, reply_code: int, enhanced_status_code: str, text: str) -> None:
        """Ends the session from outside (a timeout, a drain, our own bug) with this reply."""
        if not self.closing:
            self._end(reply_code, enhanced_status_code, text)

    # Reading

    def _read_mail_data(self) -> bool:
        """Whether the end of data was reached."""
        octets = self._lines.take_all()
        if not octets:
            return False
        assert self.transaction is not None and self.transaction.mail_data is not None
        rest = self.transaction.mail_data.receive(octets)
        if rest is None:
            return False
        self._lines.receive(rest)
        self.in_data = False
        self.waiting = Event.MESSAGE
        return True

    def _read_command(self) -> bool:
        """Whether a whole line was there."""
        try:
            line = self._lines.next_line()
            if line is None:
                return False
            verb, argument = split_command(line)
            self._obey(verb, argument)
        except CommandError as error:
            self._refuse(refusal(error.reply_code, error.enhanced_status_code, "SMTP", error.why))
        except LineTooLongError:
            self._refuse(refusal(500, "5.5.2", "SMTP", "command line too long"))
        except LineEndlessError:
            self._end(500, "5.5.2", "command line without an end")
        return True

    def _obey(self, verb: bytes, argument: bytes) -> None:
        handle = _COMMANDS.get(verb)
        if handle is None:
            if verb in HTTP_VERBS and not self.helo_name:
                self._end(521, "5.5.1", "this is an SMTP server")
                return
            raise CommandError(500, "5.5.1", "unknown command")
        if self.draining and self.transaction is None and self._transactions and verb != b"QUIT":
            self._end(421, "4.3.2", "restarting, please connect again")
            return
        if self._lines.held and (verb in _ENDS_ITS_FLIGHT or (self.helo_name and not self.esmtp and verb != b"EHLO")):
            self._end(554, "5.5.0", "you sent ahead where PIPELINING gives no leave")
            return
        handle(self, argument)

    # Replying

    def _refuse(self, octets: bytes) -> None:
        """A refused command. 452 tells an honest client to send the rest later: it never counts."""
        if not octets.startswith(b"452"):
            self._errors += 1
            if self._errors > self._limits.max_errors:
                self._end(421, "4.7.0", "too many refused commands")
                return
        self.output.append(octets)

    def _end(self, reply_code: int, enhanced_status_code: str, text: str) -> None:
        self.output.append(refusal(reply_code, enhanced_status_code, "SMTP", text, fatal=True))
        self.closing = True

    # Commands

    def _handle_ehlo(self, argument: bytes) -> None:
        self.helo_name = parse_helo_name(argument)
        self.esmtp = True
        self.transaction = None
        self.output.append(_ehlo_reply(self._limits.domain, self.offers))

    def _handle_helo(self, argument: bytes) -> None:
        self.helo_name = parse_helo_name(argument)
        self.esmtp = False
        self.transaction = None
        self.output.append(f"250 {self._limits.domain}\r\n".encode("ascii"))

    def _handle_mail(self, argument: bytes) -> None:
        if not self.helo_name:
            raise CommandError(503, "5.5.1", "EHLO or HELO first")
        if self.transaction is not None:
            raise CommandError(503, "5.5.1", "a transaction is open already")
        offers = self.offers if self.esmtp else Offers(self.offers.size, False, False)
        mail = parse_mail(argument, offers)
        if mail.declared_size is not None and mail.declared_size > self.offers.size:
            raise CommandError(552, "5.3.4", f"a message here has at most {self.offers.size} octets")
        self.transaction = Transaction(mail)
        self.output.append(_SENDER_OK)

    def _handle_rcpt(self, argument: bytes) -> None:
        if self.transaction is None:
            raise CommandError(503, "5.5.1", "MAIL first")
        try:
            mailbox = parse_rcpt(argument, self.transaction.mail.smtputf8)
            if is_routing_hack(mailbox):
                raise CommandError(550, "5.1.3", "no %, ! or @ in a local part here")
        except CommandError as error:
            if not self.transaction.recipients:
                raise
            self.output.append(refusal(error.reply_code, error.enhanced_status_code, "SMTP", error.why))
            return
        if len(self.transaction.recipients) >= self._limits.max_rcpt:
            raise CommandError(452, "4.5.3", f"at most {self._limits.max_rcpt} recipients in one transaction")
        self.recipient = mailbox
        self.waiting = Event.RECIPIENT

    def _handle_data(self, argument: bytes) -> None:
        if self.transaction is None:
            raise CommandError(503, "5.5.1", "MAIL first")
        if argument:
            raise CommandError(501, "5.5.4", "DATA takes no argument")
        if not self.transaction.recipients:
            raise CommandError(554, "5.5.1", "no valid recipients")
        self.transaction.mail_data = MailDataReader(self.offers.size, self._normalize)
        self.in_data = True
        self.output.append(_GO_AHEAD)

    def _handle_rset(self, argument: bytes) -> None:
        if argument:
            raise CommandError(501, "5.5.4", "RSET takes no argument")
        self.transaction = None
        self.output.append(_OK)

    def _handle_noop(self, argument: bytes) -> None:
        self.output.append(_OK)

    def _handle_quit(self, argument: bytes) -> None:
        if argument:
            raise CommandError(501, "5.5.4", "QUIT takes no argument")
        self.output.append(reply(221, "2.0.0", f"{self._limits.domain} goodbye"))
        self.said_goodbye = not self._lines.held
        self.closing = True

    def _handle_vrfy(self, argument: bytes) -> None:
        self.output.append(reply(252, "2.5.2", "cannot tell; send mail and see"))

    def _handle_help(self, argument: bytes) -> None:
        self.output.append(reply(214, "2.0.0", "RFC 5321; EHLO MAIL RCPT DATA RSET NOOP VRFY QUIT"))

    def _handle_unimplemented(self, argument: bytes) -> None:
        raise CommandError(502, "5.5.1", "not implemented here")


@lru_cache(16)
def _ehlo_reply(domain: str, offers: Offers) -> bytes:
    keywords = ["PIPELINING", "ENHANCEDSTATUSCODES", f"SIZE {offers.size}"]
    if offers.eightbitmime:
        keywords.append("8BITMIME")
    if offers.smtputf8:
        keywords.append("SMTPUTF8")
    *lines, last = domain, *keywords
    return "".join([*(f"250-{line}\r\n" for line in lines), f"250 {last}\r\n"]).encode("ascii")


_COMMANDS: Mapping[bytes, Callable[[Session, bytes], None]] = {
    b"EHLO": Session._handle_ehlo,
    b"HELO": Session._handle_helo,
    b"MAIL": Session._handle_mail,
    b"RCPT": Session._handle_rcpt,
    b"DATA": Session._handle_data,
    b"RSET": Session._handle_rset,
    b"NOOP": Session._handle_noop,
    b"QUIT": Session._handle_quit,
    b"VRFY": Session._handle_vrfy,
    b"HELP": Session._handle_help,
    **dict.fromkeys(
        b"EXPN TURN ETRN ATRN BDAT BURL STARTTLS AUTH SEND SOML SAML".split(), Session._handle_unimplemented
    ),
}
