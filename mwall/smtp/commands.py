"""The commands of a client, read (RFC 5321 4.1, RFC 1870, RFC 6152, RFC 6531).

Parsing alone: what may come when is the session's, see server.py.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mwall.smtp.addresses import AddressError, Mailbox, parse_path

MAX_COMMAND_OCTETS = 512  # RFC 5321 4.5.3.1.4, CRLF included
# What the extensions add to MAIL: SIZE 26 (RFC 1870 6), BODY 17 (RFC 6152 3), SMTPUTF8 10 (RFC 6531 3.4).
MAX_MAIL_OCTETS = MAX_COMMAND_OCTETS + 26 + 17 + 10

_NOT_IN_A_COMMAND = re.compile(rb"[\0\r\n]")
_HELO_NAME = re.compile(r"[!-~](?:[ -~]*[!-~])?\Z")
_SIZE_VALUE = re.compile(r"[0-9]{1,20}\Z")
HTTP_VERBS = frozenset(b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PRI".split())


class CommandError(Exception):
    """A command that cannot be obeyed, with the reply it earns; `why` is our own text."""

    def __init__(self, reply_code: int, enhanced_status_code: str, why: str) -> None:
        super().__init__(why)
        self.reply_code = reply_code
        self.enhanced_status_code = enhanced_status_code
        self.why = why


class Offers(NamedTuple):
    """What we can offer in EHLO, beside what we always do. `size` in octets (RFC 1870 4)."""

    size: int
    eightbitmime: bool
    smtputf8: bool


class MailCommand(NamedTuple):
    """MAIL FROM, read. `declared_size` in octets, None where the client said nothing."""

    reverse_path: Mailbox | None
    declared_size: int | None
    eightbit: bool
    smtputf8: bool


def split_command(line: bytes) -> tuple[bytes, bytes]:
    """(verb in upper case, argument) of a line that ends in LF. Raises CommandError."""
    if line[-2:] != b"\r\n" or _NOT_IN_A_COMMAND.search(line, 0, len(line) - 2):
        raise CommandError(501, "5.5.2", "a command ends in CRLF and holds no bare CR, bare LF or NUL")
    verb, _, argument = line[:-2].partition(b" ")
    verb = verb.upper()
    if len(line) > (MAX_MAIL_OCTETS if verb == b"MAIL" else MAX_COMMAND_OCTETS):
        raise CommandError(500, "5.5.2", "command line too long")
    return verb, argument.strip(b" ")


def parse_helo_name(argument: bytes) -> str:
    """The name a client gives itself: anything printable, since honest clients give all kinds. Raises CommandError."""
    name = argument.decode("latin-1")
    if not _HELO_NAME.match(name):
        raise CommandError(501, "5.5.4", "need a host name in printable ASCII")
    return name


def parse_mail(argument: bytes, offers: Offers) -> MailCommand:
    """The argument of MAIL. Raises CommandError. Source: RFC 5321 4.1.1.2."""
    text = _decode(argument)
    mailbox, parameters = _parse_path_behind("FROM:", text)
    if mailbox is not None and not mailbox.domain:
        raise CommandError(501, "5.1.7", "need a domain behind the local part, as <user@example.org>")
    given = _parse_parameters(parameters)
    size = given.pop("SIZE", None)
    if size is not None and not _SIZE_VALUE.match(size):
        raise CommandError(501, "5.5.4", "SIZE needs a number of octets, as SIZE=1000")
    body = given.pop("BODY", "7BIT") if offers.eightbitmime else "7BIT"
    if body not in ("7BIT", "8BITMIME"):
        raise CommandError(501, "5.5.4", "BODY is 7BIT or 8BITMIME")
    utf8_value = given.pop("SMTPUTF8", None) if offers.smtputf8 else None
    if utf8_value:
        raise CommandError(501, "5.5.4", "SMTPUTF8 has no value")
    smtputf8 = utf8_value is not None
    if given:
        raise CommandError(555, "5.5.4", "MAIL has a parameter that is not offered here")
    _check_ascii(text, smtputf8)
    return MailCommand(mailbox, None if size is None else int(size), body == "8BITMIME", smtputf8)


def _parse_parameters(text: str) -> dict[str, str]:
    """Mail-parameters: keyword to value, both in upper case (RFC 5321 4.1.2)."""
    if not text.isascii():  # upper() makes ASCII of some letters beyond it
        raise CommandError(555, "5.5.4", "MAIL has a parameter that is not offered here")
    given: dict[str, str] = {}
    for parameter in filter(None, text.upper().split(" ")):
        keyword, _, value = parameter.partition("=")
        if keyword in given:
            raise CommandError(501, "5.5.4", "a parameter of MAIL is given twice")
        given[keyword] = value
    return given


def parse_rcpt(argument: bytes, smtputf8: bool) -> Mailbox:
    """The argument of RCPT. Raises CommandError. Source: RFC 5321 4.1.1.3."""
    text = _decode(argument)
    mailbox, parameters = _parse_path_behind("TO:", text)
    if mailbox is None:
        raise CommandError(501, "5.1.3", "the null path is no recipient")
    if parameters:
        raise CommandError(555, "5.5.4", "RCPT has a parameter that is not offered here")
    _check_ascii(text, smtputf8)
    return mailbox


def _decode(argument: bytes) -> str:
    try:
        return argument.decode("utf-8")
    except UnicodeDecodeError:
        raise CommandError(553, "5.6.7", "the address is neither ASCII nor UTF-8") from None


def _check_ascii(text: str, smtputf8: bool) -> None:
    if not smtputf8 and not text.isascii():
        raise CommandError(553, "5.6.7", "an address beyond ASCII needs SMTPUTF8")


def _parse_path_behind(word: str, text: str) -> tuple[Mailbox | None, str]:
    """Path and parameters. RFC 5321 3.3 allows no space behind the colon; honest senders put one."""
    if text[: len(word)].upper() != word:
        raise CommandError(501, "5.5.4", f"need {word}<address>")
    try:
        mailbox, rest = parse_path(text[len(word) :].lstrip(" "))
    except AddressError as error:
        raise CommandError(501, "5.1.7" if word == "FROM:" else "5.1.3", str(error)) from None
    if rest and rest[0] != " ":
        raise CommandError(501, "5.5.4", "need a space behind the address")
    return mailbox, rest.strip(" ")
