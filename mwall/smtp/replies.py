"""Replies, both ways: ours to the client, and the strict reading of the backend's (RFC 5321 4.2, RFC 2034).

Reading is strict because a 250 means that the backend has the message: only a
complete reply, well formed in every line, is believed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mwall.smtp.printable import printable

MAX_REPLY_OCTETS = 65536
MAX_PASSED_ON = 400  # characters of a backend's text; a reply line may have 512 octets (RFC 5321 4.5.3.1.5)

# Reply-line = Reply-code [ ("-" / SP) textstring ]; textstring = HT / SP..~, and UTF-8 since RFC 6531 3.5.
_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])([\t\x20-\x7e\x80-\xff]*))?\r\n")
_ENHANCED_STATUS_CODE = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?= |\Z)")


def reply(reply_code: int, enhanced_status_code: str, text: str) -> bytes:
    """A reply that is no refusal. `text` is ours: printable ASCII."""
    return f"{reply_code} {enhanced_status_code} {text}\r\n".encode("ascii")


def refusal(reply_code: int, enhanced_status_code: str, module: str, text: str, *, fatal: bool = False) -> bytes:
    """A refusal in MessageWall's form; `fatal` says that the connection is closed after it.

    `text` may hold octets of outside origin: they leave escaped and capped.
    """
    level = "FATAL" if fatal else "REJECT" if reply_code >= 500 else "TEMPORARY"
    line = f"{reply_code} {enhanced_status_code} MessageWall: {module}/{level}: {printable(text, MAX_PASSED_ON)}\r\n"
    return line.encode("ascii")


class MalformedReplyError(Exception):
    """What the backend sent is no reply; the connection cannot be trusted any further."""


class Reply(NamedTuple):
    """A complete reply of the backend: its code and the text of its lines, as received."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def text(self) -> str:
        """Its lines as one, escaped and capped."""
        return printable(b" ".join(self.lines), MAX_PASSED_ON)

    def __str__(self) -> str:
        return f"{self.code} {self.text}".rstrip()


class ReplyReader:
    """Cuts what the backend sends into replies. Never holds more than MAX_REPLY_OCTETS."""

    __slots__ = ("_buffer", "_code", "_lines", "_octets")

    def __init__(self) -> None:
        self._buffer = b""
        self._code = b""
        self._lines: list[bytes] = []
        self._octets = 0  # of `_lines`

    def receive(self, octets: bytes) -> list[Reply]:
        """The replies that `octets` completed. Raises MalformedReplyError.

        Replies complete before a fault are given first, as if the fault had come later: it is raised by the next call.
        """
        replies: list[Reply] = []
        buffer = self._buffer + octets if self._buffer else octets
        start = 0
        line_ended = b"\n" in octets  # else a line that comes octet by octet would be matched anew for each
        while line_ended and (match := _REPLY_LINE.match(buffer, start)):
            code, separator, text = match.groups()
            if self._lines and code != self._code:
                self._raise_behind(replies, buffer, start, f"{self._code.decode()} goes on as {code.decode()}")
                return replies
            octets_so_far = self._octets + match.end() - start
            if octets_so_far > MAX_REPLY_OCTETS:
                break
            self._code = code
            self._lines.append(text or b"")
            self._octets = octets_so_far
            start = match.end()
            if separator != b"-":
                replies.append(Reply(int(code), tuple(self._lines)))
                self._lines = []
                self._octets = 0
        end = buffer.find(b"\n", start)
        if self._octets + (end if end >= 0 else len(buffer)) - start > MAX_REPLY_OCTETS:
            self._raise_behind(replies, buffer, start, f"over {MAX_REPLY_OCTETS} octets")
        elif end >= 0:
            self._raise_behind(replies, buffer, start, printable(buffer[start:end], 100))
        else:
            self._buffer = buffer[start:]
        return replies

    def _raise_behind(self, replies: list[Reply], buffer: bytes, start: int, why: str) -> None:
        """Raises for what stands at `start`; where replies came before it, at the next call."""
        self._buffer = buffer[start:]
        if not replies:
            raise MalformedReplyError(f"no SMTP reply: {why}")

    @property
    def in_reply(self) -> bool:
        """Whether a reply has begun that is not complete."""
        return bool(self._buffer or self._lines)


class Refusal(NamedTuple):
    """A backend's refusal as the client gets it; `misconfigured` when it points at our set-up, not at the mail."""

    octets: bytes
    misconfigured: bool


def refusal_of_backend(answer: Reply, command: str) -> Refusal:
    """What becomes of a backend's reply that is not the one hoped for.

    Only 550 to 554 are passed on as permanent: for anything else a good
    message must not bounce. 421 closes their connection, not our client's.
    """
    if 550 <= answer.code <= 554:
        return Refusal(_pass_on(answer), False)
    if 400 <= answer.code <= 459 and answer.code != 421:  # a reply code's second digit is 0 to 5 (RFC 5321 4.2)
        return Refusal(_pass_on(answer), False)
    text = f"the mail server behind this one does not take {command} now, please try again later"
    return Refusal(refusal(451, "4.3.0", "BACKEND", text), answer.code != 421)


def accepted_by_backend(answer: Reply) -> bytes:
    """The client's 250 for a message that the backend has accepted."""
    return _pass_on(answer._replace(code=250))


def _pass_on(answer: Reply) -> bytes:
    code_class = str(answer.code)[0]
    text = answer.text
    match = _ENHANCED_STATUS_CODE.match(text)
    if match is None:
        text = f"{code_class}.0.0 {text}"
    elif text[0] != code_class:
        text = f"{code_class}.0.0 {text[match.end() :].lstrip()}"
    return f"{answer.code} {text}".rstrip().encode("ascii") + b"\r\n"
