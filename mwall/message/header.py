"""The header section: where it ends, which fields it has, and what of it may not pass (RFC 5322 2.2, 3.6).

All offsets and all bytes here are those of the wire: lines end in CRLF, and a line that begins with a dot has lost
that dot once the receiver has read it (RFC 5321 4.5.2), so "." before a field name or before the white space of a
folded line counts for nothing. Every regular expression is possessive: linear on whatever comes.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

MAX_HEADER_OCTETS = 1 << 20
MAX_FIELDS = 10_000

# RFC 5322 2.2 and 4.5: a name is printable ASCII without space and colon; obsolete syntax has white space after it.
# No possessive group: before Python 3.11.5 one whose inside can backtrack matches wrongly (gh-106052). Nothing behind
# these groups can fail, so plain ones never backtrack either.
_FIELD = re.compile(r"^\.?+([!-9;-~]++)[ \t]*+:[ \t]*+([^\n]*+(?:\n\.?[ \t][^\n]*)*)\n?", re.MULTILINE)

_WHITE_SPACE = " \t\r\n"

_OURS = b"x-messagewall-"
# No colon is asked for: a reader that unfolds before it looks for one would find it on the next line.
_OUR_FIELD = re.compile(rb"^\.?x-messagewall-[^\n]*+(?:\n\.?[ \t][^\n]*)*\n?", re.MULTILINE | re.IGNORECASE)
# "From : joe@example.org" is a field in obsolete syntax, not the first line of an mbox.
_MBOX_LINES = re.compile(rb"(?:\.?From (?![ \t]*:)[^\n]*\n?)*")
_FOLDED = (b" ", b"\t", b". ", b".\t")


class HeaderError(Exception):
    """A header section that is too long or has too many fields; str() is the reason, in our own words."""


class Field(NamedTuple):
    """One field: `value` is unfolded and without white space around it; `start` and `end` are octets on the wire.

    Octets that are not ASCII are read as UTF-8 (RFC 6532) or, where they are none, as ISO 8859-1.
    """

    name: str
    value: str
    start: int
    end: int


def header_end(data: bytes | bytearray, start: int = 0) -> int:
    """Return the offset just after the last header line, where the CRLF of the empty line stands, or -1.

    0 means that there is no header at all. Who looks again after more octets came passes as `start` how many there
    were at the last look: nothing is scanned twice. Data that ends without an empty line is header as a whole
    (RFC 5322 2.1): only the caller knows that no more will come. Raises nothing.
    """
    if start < 2 and data.startswith(b"\r\n"):
        return 0
    found = data.find(b"\r\n\r\n", max(start - 3, 0))
    return found + 2 if found >= 0 else -1


def parse_fields(header: bytes) -> list[Field]:
    """Return the fields of a header section in their order (RFC 5322 2.2).

    Lines that are no field, and folded lines that belong to none, are passed over. Raises HeaderError beyond
    MAX_HEADER_OCTETS or MAX_FIELDS.
    """
    return [Field(match[1], _value(match[2]), match.start(), match.end()) for match in _matches(header)]


def values_by_name(header: bytes) -> dict[str, list[str]]:
    """Return the values of parse_fields by lower-case name, in their order: half the work where that is enough.

    Raises HeaderError as parse_fields does.
    """
    values: dict[str, list[str]] = {}
    for match in _matches(header):
        name, raw = match.groups()
        values.setdefault(name.lower(), []).append(_value(raw))
    return values


def _matches(header: bytes) -> Iterator[re.Match[str]]:
    if len(header) > MAX_HEADER_OCTETS:
        raise HeaderError(f"the header is longer than {MAX_HEADER_OCTETS} octets")
    # ISO 8859-1 keeps one character for each octet, so that the offsets are those of the wire.
    found = _FIELD.finditer(header.decode("latin-1"))
    # A field takes three octets at least: no need to count where that many cannot be.
    return found if len(header) <= 3 * MAX_FIELDS else _counted(found)


def _counted(matches: Iterator[re.Match[str]]) -> Iterator[re.Match[str]]:
    yield from islice(matches, MAX_FIELDS)
    if next(matches, None):
        raise HeaderError(f"the header has more than {MAX_FIELDS} fields")


def _value(raw: str) -> str:
    value = raw.strip(_WHITE_SPACE)
    return _unfold(value) if "\n" in value or not value.isascii() else value


def _unfold(raw: str) -> str:
    value = raw.replace("\r\n.", "").replace("\r\n", "")
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return value


def clean_header(header: bytes) -> bytes:
    """Return a header section fit to stand below the fields we add; the same object where it already is.

    Fields that pretend to be ours (X-MessageWall-) go, and so do the "From " lines that an mbox begins with. Where
    the first line is then a folded one, it would prolong the last field we add: an empty line before it makes it
    what it must be, the body of a message without a header. Raises nothing.
    """
    if _OURS in header.lower():
        header = _OUR_FIELD.sub(b"", header)
    if header[:1] in b"F. \t":
        mbox = _MBOX_LINES.match(header)
        if mbox and mbox.end():
            header = header[mbox.end() :]
        if header.startswith(_FOLDED):
            header = b"\r\n" + header
    return header
