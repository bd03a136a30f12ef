"""The fields put on top of a message that passes: Received (RFC 5321 4.4) and ours.

Whatever text comes in, what goes out is printable ASCII in lines that end in CRLF, each under the 998 octets of
RFC 5322 2.1.1; no such line begins with a dot. Parentheses always pair, so that no text of outside origin closes a
comment or leaves one open.
"""

import ipaddress
import re
from functools import lru_cache

from mwall.smtp.printable import printable

_LINE_OCTETS = 78
_MAX_TEXT = 500
_MAX_HELO = 255
# What may stand as it is: a domain or an address literal, an addr-spec without anything that asks for quoting.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,253})|\[[A-Za-z0-9:.]{1,60}\]")
_PATH = re.compile(r"[!#-'*+\-./0-9=?A-Z^_`a-z{|}~]{1,128}(?:@[A-Za-z0-9.:_\[\]-]{1,255})?")


@lru_cache(1024)
def format_score(score: int) -> str:
    """Return a score, given in thousandths, as a decimal without needless digits: 1500 is "1.5"."""
    whole, thousandths = divmod(abs(score), 1000)
    fraction = f".{thousandths:03d}".rstrip("0") if thousandths else ""
    return f"{'-' if score < 0 else ''}{whole}{fraction}"


def escaped(text: str, limit: int = _MAX_TEXT) -> str:
    """Return text as printable ASCII of at most `limit` octets, anything else as a backslash escape.

    Parentheses that do not pair are escaped too. Backslashes come out doubled: a single one would make the
    parenthesis behind it a quoted-pair (RFC 5322 3.2.1). A text that was cut ends in "...".
    """
    if "\\" in text:
        text = text[:limit].replace("\\", "\\\\")
    text = printable(text, limit)
    if ("(" in text or ")" in text) and not _paired(text):
        text = printable(text.replace("(", "\\x28").replace(")", "\\x29"), limit)
    return text


def _paired(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0


def received_field(
    helo_name: str,
    client_address: ipaddress.IPv4Address | ipaddress.IPv6Address,
    domain: str,
    protocol: str,
    message_id: str,
    recipient: str | None,
    date: str,
    client_name: str = "",
) -> bytes:
    """Return the Received field of RFC 5321 4.4, CRLF at its end.

    `date` is a date-time of RFC 5322 3.3, `message_id` our own id of the transaction, `protocol` one of the names
    of RFC 3848. `recipient` is local@domain or None where there are several (RFC 5321 7.2: no Bcc betrayed); one
    that would need quoting is left out. A helo_name that is no name stands escaped in a comment. `client_name`: that of
    the address in the DNS, '' if it is not known; left out where it or the helo_name is no name. Raises nothing.
    """
    literal = f"[IPv6:{client_address}]" if client_address.version == 6 else f"[{client_address}]"
    if _NAME.fullmatch(helo_name):
        name = f"{client_name} " if _NAME.fullmatch(client_name) else ""
        origin = f"{helo_name} ({name}{literal})"
    else:
        origin = f"{literal} (helo={escaped(helo_name, _MAX_HELO)})"
    fold = "\r\n\t"
    path = f"{fold}for <{recipient}>;" if recipient and _PATH.fullmatch(recipient) else ";"
    by = f"{_by(domain, protocol)} id {escaped(message_id, 64)}"
    return f"Received: from {origin}{fold}{by}{path}{fold}{escaped(date)}\r\n".encode("ascii")


@lru_cache(16)
def _by(domain: str, protocol: str) -> str:
    return f"by {escaped(domain, 255)} (MessageWall) with {escaped(protocol, 32)}"


@lru_cache(256)
def score_field(score: int, domain: str) -> bytes:
    """Return the X-MessageWall-Score field, CRLF at its end; `score` in thousandths."""
    return _folded(f"X-MessageWall-Score: {format_score(score)} ({escaped(domain)})")


def warning_field(check: str, reason: str, score: int) -> bytes:
    """Return the X-MessageWall-Warning field of one failed check, CRLF at its end; `score` in thousandths."""
    return _folded(f"X-MessageWall-Warning: {escaped(check)}: {escaped(reason)} ({format_score(score)})")


def _folded(line: str) -> bytes:
    if len(line) <= _LINE_OCTETS:
        return f"{line}\r\n".encode("ascii")
    lines = []
    # Runs of spaces become one: a line of nothing but white space would be obsolete syntax (RFC 5322 4.2).
    current, *words = line.split()
    for word in words:
        if len(current) + 1 + len(word) > _LINE_OCTETS:
            lines.append(current)
            current = f" {word}"
        else:
            current = f"{current} {word}"
    lines.append(current)
    return "".join([f"{one}\r\n" for one in lines]).encode("ascii")
