"""The client's side of SMTP towards the backend (RFC 5321, RFC 2920, RFC 1047), as dialogues without I/O.

A dialogue is a generator: it yields a Flight (octets to send and how many
replies to wait for), is resumed with those replies, and returns its result. The
caller owns the connection, its deadlines and its loss.

The rules:
- A 250 is passed on only for a complete 2xx to the final dot (replies.py).
- With several recipients DATA never goes in one flight with RCPT: the 354 after
  a refused RCPT could not be taken back (RFC 2920 3.1).
- A 354 where no recipient stands, a 2xx to DATA: the other side is out of step;
  the connection is given up, no dot is sent.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from enum import Enum
from typing import NamedTuple, TypeAlias

from mwall.smtp.addresses import Mailbox
from mwall.smtp.printable import printable
from mwall.smtp.replies import Reply, accepted_by_backend, refusal, refusal_of_backend


class Wait(Enum):
    """What a flight waits for: each has its own deadline."""

    OPENING = "greeting"
    REPLY = "reply"
    FINAL = "reply to the final dot"


Chunks: TypeAlias = Sequence[bytes | bytearray | memoryview]


class Flight(NamedTuple):
    """Octets for one send, the number of replies they earn, and whether they end in the final dot."""

    chunks: Chunks
    replies: int
    wait: Wait = Wait.REPLY


class OutOfStepError(Exception):
    """The other side does not follow the dialogue; the text says how. Nothing was delivered by it."""


Dialogue = Generator[Flight, list[Reply], "Outcome"]


class Extensions(NamedTuple):
    """What the backend offered in its EHLO reply; `size` in octets, 0 is no fixed limit (RFC 1870 4)."""

    pipelining: bool
    size: int | None
    eightbitmime: bool
    smtputf8: bool


class Envelope(NamedTuple):
    """The envelope as the backend gets it. `size`: octets, None when not known."""

    reverse_path: Mailbox | None
    recipients: tuple[Mailbox, ...]
    size: int | None
    eightbit: bool
    smtputf8: bool


class Outcome(NamedTuple):
    """What the dialogue came to.

    answer: the reply for our client. backend_reply: what the backend said, for the log.
    delivered: the backend has the message. refused: recipients that the backend
    refused though others were taken, with the reply each gets at the next RCPT.
    misconfigured: the reply points at our set-up and not at the mail.
    """

    answer: bytes
    backend_reply: str
    delivered: bool = False
    refused: tuple[tuple[Mailbox, bytes], ...] = ()
    misconfigured: bool = False


def opening(domain: str) -> Generator[Flight, list[Reply], Extensions]:
    """Greeting and EHLO. Raises OutOfStepError when the backend will not have us."""
    (greeting,) = yield Flight((), 1, Wait.OPENING)
    if greeting.code != 220:
        raise OutOfStepError(f"greeting: {greeting}")
    (answer,) = yield Flight((f"EHLO {domain}\r\n".encode("ascii"),), 1)
    if answer.code != 250:
        raise OutOfStepError(f"EHLO: {answer}")
    return _read_extensions(answer)


def _read_extensions(answer: Reply) -> Extensions:
    offered: dict[bytes, bytes] = {}
    for line in answer.lines[1:]:
        keyword, _, value = line.upper().partition(b" ")
        offered[keyword] = value.strip()
    size = offered.get(b"SIZE")
    return Extensions(
        b"PIPELINING" in offered,
        None if size is None else int(size) if size.isdigit() and len(size) <= 20 else 0,
        b"8BITMIME" in offered,
        b"SMTPUTF8" in offered,
    )


def verification(envelope: Envelope, extensions: Extensions) -> Dialogue:
    """Asks whether the one recipient would be taken, with MAIL and RCPT; `delivered` is a yes.

    The caller sends reset() behind it.
    """
    lack = _what_is_lacking(envelope, extensions)
    if lack is not None:
        return lack
    mail, *recipients = yield from _fly(extensions, _envelope_commands(envelope, extensions))
    return _judge_envelope(envelope, mail, recipients) or Outcome(b"", str(recipients[0]), delivered=True)


def delivery(envelope: Envelope, extensions: Extensions, mail_data: Chunks) -> Dialogue:
    """A whole transaction. `mail_data` is dot-stuffed, its lines end in CRLF, without the final dot.

    Raises OutOfStepError. The caller sends reset() behind a refusal.
    """
    lack = _what_is_lacking(envelope, extensions)
    if lack is not None:
        return lack
    commands = _envelope_commands(envelope, extensions)
    if extensions.pipelining and len(envelope.recipients) == 1:
        mail, *recipients, data = yield Flight((b"".join(commands) + b"DATA\r\n",), 3)
        refused = _judge_envelope(envelope, mail, recipients)
        if refused is not None and data.code < 400:
            raise OutOfStepError(f"DATA with no recipient: {data}")
    else:
        mail, *recipients = yield from _fly(extensions, commands)
        refused = _judge_envelope(envelope, mail, recipients)
        if refused is None:
            (data,) = yield Flight((b"DATA\r\n",), 1)
    if refused is not None:
        return refused
    if data.code != 354:
        if data.code < 400:
            raise OutOfStepError(f"DATA: {data}")
        return _refused(data, "DATA")
    (final,) = yield Flight((*mail_data, b".\r\n"), 1, Wait.FINAL)
    if 200 <= final.code <= 299:
        return Outcome(accepted_by_backend(final), str(final), delivered=True)
    return _refused(final, "the message")


def _fly(extensions: Extensions, commands: list[bytes]) -> Generator[Flight, list[Reply], list[Reply]]:
    """The replies to `commands`, sent in one flight where that is offered."""
    if extensions.pipelining:
        return (yield Flight((b"".join(commands),), len(commands)))
    replies: list[Reply] = []
    for command in commands:
        replies += yield Flight((command,), 1)
        if command.startswith(b"MAIL") and replies[0].code >= 300:
            return replies  # without a MAIL that stands each RCPT would be an error of ours
    return replies


def _envelope_commands(envelope: Envelope, extensions: Extensions) -> list[bytes]:
    mail = f"MAIL FROM:<{envelope.reverse_path or ''}>"
    if envelope.size is not None and extensions.size is not None:
        mail += f" SIZE={envelope.size}"
    if envelope.eightbit:
        mail += " BODY=8BITMIME"
    if envelope.smtputf8:
        mail += " SMTPUTF8"
    return [f"{mail}\r\n".encode(), *(f"RCPT TO:<{recipient}>\r\n".encode() for recipient in envelope.recipients)]


def _what_is_lacking(envelope: Envelope, extensions: Extensions) -> Outcome | None:
    """A message taken for a backend that offered more than the one that serves now must wait for the other."""
    lack = "8BITMIME" if envelope.eightbit and not extensions.eightbitmime else ""
    if envelope.smtputf8 and not extensions.smtputf8:
        lack = "SMTPUTF8"
    if not lack:
        return None
    text = f"the mail server in use does not offer {lack} now, please try again later"
    return Outcome(refusal(451, "4.3.0", "BACKEND", text), f"no {lack} offered", misconfigured=True)


def _judge_envelope(envelope: Envelope, mail: Reply, recipients: list[Reply]) -> Outcome | None:
    """None when every recipient stands.

    All refused: that refusal, one that is transient for our client before a permanent one. Some refused: nothing
    may be delivered, or the others would get no word; the client's retry learns at RCPT whom the backend does not want.
    """
    if not 200 <= mail.code <= 299:
        return _refused(mail, "MAIL")
    refusals = [(mailbox, _refused(answer, "RCPT"))
                for mailbox, answer in zip(envelope.recipients, recipients, strict=True)
                if not 200 <= answer.code <= 299]  # fmt: skip
    if not refusals:
        return None
    # A 421 tells of the connection, not of its recipient: nothing to remember.
    if len(refusals) == len(recipients) or any(answer.code == 421 for answer in recipients):
        return min((outcome for _, outcome in refusals), key=lambda outcome: outcome.answer[:3])
    text = "some recipients are refused after all, please try again at once"
    return Outcome(
        refusal(451, "4.3.0", "BACKEND", text),
        "; ".join(printable(f"<{mailbox}> {outcome.backend_reply}", 200) for mailbox, outcome in refusals[:10]),
        refused=tuple((mailbox, outcome.answer) for mailbox, outcome in refusals),
        misconfigured=any(outcome.misconfigured for _, outcome in refusals),
    )


def _refused(answer: Reply, command: str) -> Outcome:
    if answer.code < 400:
        raise OutOfStepError(f"{command}: {answer}")
    octets, misconfigured = refusal_of_backend(answer, command)
    return Outcome(octets, str(answer), misconfigured=misconfigured)


def reset() -> Dialogue:
    """RSET, behind a transaction that was not carried through. Raises OutOfStepError."""
    return _ask(b"RSET")


def keep_alive() -> Dialogue:
    """NOOP. Raises OutOfStepError."""
    return _ask(b"NOOP")


def _ask(command: bytes) -> Dialogue:
    (answer,) = yield Flight((command + b"\r\n",), 1)
    if answer.code != 250:
        raise OutOfStepError(f"{command.decode()}: {answer}")
    return Outcome(b"", str(answer))
