"""Files within text: uuencoded ones, which mail readers offer as attachments, and lines that are base64 and say not so.

Nobody has to decode the latter; but what a label denies, a filter had better look at all the same.
"""

import re
from collections.abc import Generator, Iterator
from typing import NamedTuple

from mwall.message.header import HeaderError
from mwall.message.transfer import Encoding, Source

MAX_BLOCKS = 1000
# A text in base64 may have bare line feeds, once decoded.
_BEGIN = re.compile(rb"\nbegin(-base64)?[ \t]{1,9}[0-7]{3,4}[ \t]{1,9}([^\r\n]{1,255})\r?\n")
_BASE64_LINE = re.compile(rb"\n[A-Za-z0-9+/]{40,}={0,2}(?=\r?\n|\Z)")
_NO_BASE64 = re.compile(rb"[^A-Za-z0-9+/=\r\n]|\n\r?\n")
_STEP_OCTETS = 1 << 20  # some milliseconds at the worst
_LONGEST_LINE = 1000
_QUOTED_OCTETS = re.compile(rb"=[0-9A-Fa-f]{2}(?:=[0-9A-Fa-f]{2}){7}")  # begins with a literal: much quicker


class Block(NamedTuple):
    """A file in a text: its name, "" where it has none, and where its encoded octets lie.

    `is_meant`: it has a begin, a first line and an end as they should be, so that it can hardly be some other text.
    """

    name: str
    start: int
    end: int
    encoding: Encoding
    is_meant: bool


def embedded_blocks(source: Source, start: int, end: int) -> Iterator[Block | None]:
    """Yield the files within a text whose octets are `source` from `start` (behind a line end) to `end`.

    None is a pause. Of base64 without a label the first MAX_BLOCKS count; such a block begins with a line of 40
    characters or more and goes on as long as nothing else comes. Raises HeaderError beyond as many uuencoded files.
    """
    yield from _begun_blocks(source.octets, start, end)
    yield from _base64_blocks(source.octets, start, end)


def _begun_blocks(octets: bytes | bytearray, start: int, end: int) -> Iterator[Block | None]:
    position = octets.find(b"\nbegin", start - 1, end)
    count = 0
    while position >= 0:
        match = _BEGIN.match(octets, position, end)
        if match is None:
            position = octets.find(b"\nbegin", position + 1, end)
            count += 1
            if count % 1000 == 0:
                yield None
            continue
        count += 1000
        if count > 1000 * MAX_BLOCKS:
            raise HeaderError(f"a text has more than {MAX_BLOCKS} uuencoded files in it")
        following = yield from _next_begin(octets, match.end() - 1, end)
        stop = octets.find(b"\n====" if match[1] else b"\nend", match.end() - 1, following)
        is_meant = stop >= 0 and _has_its_length(octets, match.end())
        stop = max(following, match.end()) if stop < 0 else stop + 1
        name = bytes(match[2]).decode("utf-8", "replace")
        yield Block(name, match.end(), stop, "base64" if match[1] else "uuencode", is_meant)
        position = octets.find(b"\nbegin", stop - 1, end)


def _next_begin(octets: bytes | bytearray, start: int, end: int) -> Generator[None, None, int]:
    """Where the next file begins, or the text ends: what has no end of its own goes on until there."""
    position, count = octets.find(b"\nbegin", start, end), 0
    while position >= 0 and not _BEGIN.match(octets, position, end):
        position = octets.find(b"\nbegin", position + 1, end)
        count += 1
        if count % 1000 == 0:
            yield
    return end if position < 0 else position


def _base64_blocks(octets: bytes | bytearray, start: int, end: int) -> Iterator[Block | None]:
    position, count = start - 1, 0
    while position < end and count < MAX_BLOCKS:
        stop = min(position + _STEP_OCTETS, end)
        # A line that the step cuts is found by the next one.
        match = _BASE64_LINE.search(octets, position, min(stop + _LONGEST_LINE, end))
        if match is None:
            position = stop
            yield None
            continue
        count += 1
        position = match.end()
        while position < end and not (other := _NO_BASE64.search(octets, position, min(position + _STEP_OCTETS, end))):
            position += _STEP_OCTETS
            yield None
        if position >= end or other is None:
            position = end
        elif other[0].startswith(b"\n"):
            position = other.start()
        else:
            position = max(octets.rfind(b"\n", match.end(), other.start()), match.end())  # its line is none of these
        yield Block("", match.start() + 1, position, "base64", False)


def _has_its_length(octets: bytes | bytearray, start: int) -> bool:
    """Whether the line is as long as its first octet says; some encoders put one more behind."""
    line = bytes(octets[start : start + 80]).partition(b"\n")[0].rstrip(b"\r")
    count = line[0] - 32 & 63 if line else 0
    return len(line) - 1 - (count + 2) // 3 * 4 in (0, 1)


def has_quoted_octets(source: Source, start: int, end: int) -> bool:
    """Tell by the begin of a text whether it is in quoted-printable that no label speaks of."""
    end = min(end, start + _STEP_OCTETS)
    return source.octets.find(b"=", start, end) >= 0 and _QUOTED_OCTETS.search(source.octets, start, end) is not None
