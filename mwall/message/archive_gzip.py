"""Reads gzip (RFC 1952): one or more members, whose contents are one file, as every unpacker has it.

Over zlib and not over the standard library's gzip, which stops at the first flaw without what stood before it, and
keeps names and extra fields to itself.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from mwall.message.archive_common import (
    ArchiveLimits,
    Event,
    Inflation,
    LimitReached,
    Member,
    Octets,
    Unreadable,
    lenient_text,
)

MAGIC = b"\x1f\x8b"
_MAX_NAME_OCTETS = 65_536
_ZEROS_OCTETS = 1 << 20
_NO_ZERO = re.compile(rb"[^\0]")
_HEADER_CRC, _EXTRA, _NAME, _COMMENT, _RESERVED = 2, 4, 8, 16, 0xE0
_TRAILER = struct.Struct("<2L")


class _Header(NamedTuple):
    name: str
    end: int
    flaw: str


def read_gzip(octets: Octets, name: str, limits: ArchiveLimits) -> Iterator[Event]:
    """Yield the one file: under the name in its header (7-Zip), then, without content, its other names (gunzip)."""
    header = _header(octets, 0)
    names = [text for text in (header.name, _outer_name(name)) if text] or [""]
    limits.count_member(len(names[0]))
    yield Member(names[0])
    try:
        yield from _contents(octets, header, names, limits)
    except LimitReached as limit:
        yield Unreadable(str(limit))
    for other in dict.fromkeys(names[1:]):
        if other != names[0]:
            yield Member(other)


def _contents(octets: Octets, header: _Header, names: list[str], limits: ArchiveLimits) -> Iterator[Event]:
    while True:
        if header.flaw:
            yield Unreadable(header.flaw)
        if not header.end:
            return
        inflation = Inflation(octets, header.end, limits)
        yield from inflation
        if inflation.flaw:
            yield Unreadable(f"gzip: the data {inflation.flaw}")
            return
        position = inflation.end + _TRAILER.size
        if position > len(octets):
            yield Unreadable("gzip: cut short behind the data")
            return
        if _TRAILER.unpack_from(octets, inflation.end) != (inflation.crc, inflation.size & 0xFFFFFFFF):
            yield Unreadable("gzip: checksum or length is wrong")
        # Zeros are what is left of a tape's block; a member behind them is read by some (Python), so by us.
        while position < len(octets) and not _NO_ZERO.search(octets, position, position + _ZEROS_OCTETS):
            position += _ZEROS_OCTETS
            yield b""
        something = _NO_ZERO.search(octets, position, position + _ZEROS_OCTETS)
        if not something:
            return
        position = something.start()
        if octets[position : position + 2] != MAGIC:
            yield Unreadable("gzip: other octets behind the end")
            return
        limits.count_member()
        header = _header(octets, position)
        if header.name and len(names) < 100:
            names.append(header.name)


def _header(octets: Octets, start: int) -> _Header:
    """The header at `start`; `end` is 0 where no data can follow."""
    if start + 10 > len(octets):
        return _Header("", 0, "gzip: the header is cut short")
    method, flags = octets[start + 2], octets[start + 3]
    if method != 8:
        return _Header("", 0, f"gzip: method {method} is unknown")
    flaw = "gzip: reserved flags are set" if flags & _RESERVED else ""
    end, name = start + 10, ""
    if flags & _EXTRA:
        end += 2 + int.from_bytes(octets[end : end + 2], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            zero = octets.find(0, end, end + _MAX_NAME_OCTETS)
            if zero < 0:
                return _Header("", 0, "gzip: a name or comment in the header does not end")
            if flag == _NAME:
                name = lenient_text(bytes(octets[end:zero]))
            end = zero + 1
    if flags & _HEADER_CRC:
        if int.from_bytes(octets[end : end + 2], "little") != zlib.crc32(memoryview(octets)[start:end]) & 0xFFFF:
            flaw = "gzip: the header's checksum is wrong"
        end += 2
    if end >= len(octets):
        return _Header(name, 0, "gzip: the header is cut short")
    return _Header(name, end, flaw)


def _outer_name(name: str) -> str:
    """The name gunzip gives."""
    lower = name.lower()
    for ending, instead in ((".gz", ""), (".tgz", ".tar"), (".taz", ".tar"), (".svgz", ".svg"), (".z", "")):
        if lower.endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)] + instead
    return name
