"""The records of a zip (PKWARE's APPNOTE.TXT 4.3 to 4.6): local and central headers, and where a directory may stand.

Every function takes the whole zip and an offset, and gives a value or none: nothing here is trusted to be true.
"""

import codecs
import re
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from mwall.message.archive_common import Octets

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
TAIL_OCTETS = 65_535 + 22  # an end record with the longest comment

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_DESCRIPTOR = re.compile(rb"(?s)PK\x07\x08.{12}(?:.{8}(?=PK|\Z))?")

_ENCRYPTED, _SIZES_FOLLOW, _UTF8, _MASKED = 0x1, 0x8, 0x800, 0x2000
_AES = 99
_UNKNOWN = (0, 0xFFFFFFFF)
_MAX_EXTRA_FIELDS = 64
_MAX_FALSE_ENDS = 64
_ZEROS = re.compile(rb"(?:\0{4})*")
_CP437 = codecs.lookup("cp437")  # now: nothing can be loaded later


class Plan(NamedTuple):
    """How a header would have its content read. Sizes and checksum are -1 where it does not know them."""

    encrypted: bool
    method: int
    crc: int
    packed: int
    size: int


class Header(NamedTuple):
    """A local or a central header; `local` is where the local one stands, `end` the offset behind this one."""

    name: str
    other_names: list[str]
    flaw: str
    plan: Plan
    sizes_follow: bool
    local: int
    end: int


class Directory(NamedTuple):
    """Where a directory begins and should end, how many entries are claimed, what is to be added to its offsets."""

    start: int
    end: int
    entries: int
    shift: int
    is_zip64: bool


def local_header(octets: Octets, at: int) -> Header | None:
    """The local header at `at` (4.3.7)."""
    if at < 0 or at + _LOCAL.size > len(octets) or octets[at : at + 4] != LOCAL:
        return None
    _, _, flags, method, _, _, crc, packed, size, name_octets, extra_octets = _LOCAL.unpack_from(octets, at)
    end = at + _LOCAL.size + name_octets + extra_octets
    header = _header(octets, end, flags, method, (crc, packed, size), (name_octets, extra_octets), at)
    if not header.sizes_follow:
        return header
    told = header.plan
    unknown = told._replace(
        crc=-1 if crc in _UNKNOWN else crc,
        packed=-1 if told.packed in _UNKNOWN else told.packed,
        size=-1 if told.size in _UNKNOWN else told.size,
    )
    return header._replace(plan=unknown)


def central_header(octets: Octets, at: int) -> Header | None:
    """The central header at `at` (4.3.12)."""
    if at < 0 or at + _CENTRAL.size > len(octets) or octets[at : at + 4] != CENTRAL:
        return None
    fields = _CENTRAL.unpack_from(octets, at)
    flags, method, crc, packed, size, name_octets, extra_octets, comment_octets = *fields[3:5], *fields[7:13]
    end = at + _CENTRAL.size + name_octets + extra_octets
    header = _header(octets, end, flags, method, (crc, packed, size), (name_octets, extra_octets), fields[16])
    return header._replace(end=end + comment_octets)


def _header(
    octets: Octets, end: int, flags: int, method: int, sums: tuple[int, int, int], lengths: tuple[int, int], local: int
) -> Header:
    name_octets, extra_octets = lengths
    raw_name = bytes(octets[end - extra_octets - name_octets : end - extra_octets])
    name, names, flaw = _text(raw_name, flags), [], ""
    crc, packed, size = sums
    if end > len(octets):
        flaw = "is cut short"
    if extra_octets:
        extra = dict(islice(_extra_fields(octets, end - extra_octets, min(end, len(octets))), _MAX_EXTRA_FIELDS))
        if len(extra) == _MAX_EXTRA_FIELDS:
            flaw = "has too many extra fields"
        size, packed, local = _wide(extra.get(1, b""), (size, packed, local))
        path = extra.get(0x7075, b"")
        if path:
            names.append(path[5:].decode("utf-8", "replace"))
            if path[0] != 1 or int.from_bytes(path[1:5], "little") != zlib.crc32(raw_name):
                flaw = "has a Unicode name that contradicts the plain one"
    if "\0" in name:
        flaw = "has a NUL in its name"
        names.append(name.partition("\0")[0])
    encrypted = bool(flags & (_ENCRYPTED | _MASKED)) or method == _AES
    plan = Plan(encrypted, method, crc, packed, size)
    return Header(name, names, flaw, plan, bool(flags & _SIZES_FOLLOW), local, end)


def _text(name: bytes, flags: int) -> str:
    """A name as most unpackers show it: without the flag too it is often UTF-8 (macOS)."""
    if name.isascii():
        return name.decode("ascii")
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("utf-8", "replace") if flags & _UTF8 else _CP437.decode(name)[0]


def _extra_fields(octets: Octets, at: int, end: int) -> Iterator[tuple[int, bytes]]:
    while at + 4 <= end:
        kind, length = struct.unpack_from("<2H", octets, at)
        if kind == length == 0:
            # zipalign pads with zeros, which look like many fields of nothing.
            zeros = _ZEROS.match(octets, at, end)
            at = zeros.end() if zeros else end
            continue
        yield kind, bytes(octets[at + 4 : min(at + 4 + length, end)])
        at += 4 + length


def _wide(field: bytes, values: tuple[int, int, int]) -> list[int]:
    """Each value that is all ones stands in the zip64 field instead, in this order (4.5.3)."""
    wide = []
    for value in values:
        if value == 0xFFFFFFFF and len(field) >= 8:
            value, field = int.from_bytes(field[:8], "little"), field[8:]
        wide.append(value)
    return wide


def after_descriptor(octets: Octets, at: int) -> int:
    """The offset behind a data descriptor that may stand at `at` (4.3.9)."""
    match = _DESCRIPTOR.match(octets, at)
    return match.end() if match else at


def directories(octets: Octets | memoryview, at: int) -> list[Directory]:
    """The directories that the end record at `at` may mean (4.3.16), by its size and by its offset: none if neither.

    With something in front of the zip the offset is too small, unless it was mended afterwards: unpackers try both.
    """
    if at + _END.size > len(octets):
        return []
    _, _, _, _, entries, size, offset, _ = _END.unpack_from(octets, at)
    found: list[Directory] = []
    locator = at - _LOCATOR.size
    if locator >= 0 and octets[locator : locator + 4] == b"PK\x06\x07":
        _, _, told, _ = _LOCATOR.unpack_from(octets, locator)
        for at64 in (locator - _END64.size, told):
            if 0 <= at64 <= locator - _END64.size and octets[at64 : at64 + 4] == b"PK\x06\x06":
                *_, entries64, size64, offset64 = _END64.unpack_from(octets, at64)
                found += _places(octets, at64, entries64, size64, offset64, True)
    found += _places(octets, at, entries, size, offset, False)
    return list({directory.start: directory for directory in reversed(found)}.values())[::-1]


def _places(
    octets: Octets | memoryview, end: int, entries: int, size: int, offset: int, is_zip64: bool
) -> list[Directory]:
    places = []
    for start, shift in ((end - size, end - size - offset), (offset, 0)):
        is_empty = not entries and not size and start == end
        if 0 <= start <= end and (is_empty or octets[start : start + 4] == CENTRAL):
            places.append(Directory(start, end, entries, shift, is_zip64))
    return places


def last_end(octets: Octets | memoryview) -> int:
    """The offset of the last end record that may hold, if it lies where unpackers look for it; -1 if there is none.

    Each false one costs time, and only malice writes many: then the last that was looked at is given.
    """
    tail_start = max(len(octets) - TAIL_OCTETS, 0)
    tail = bytes(octets[tail_start:])
    found = tail.rfind(END)
    for _ in range(_MAX_FALSE_ENDS):
        if found < 0 or directories(octets, tail_start + found):
            break
        found = tail.rfind(END, 0, found + 3)
    return tail_start + found if found >= 0 else -1


def is_end_of_zip(tail: bytes, octets: int) -> bool:
    """Whether something of so many `octets`, of which only the tail is left, seems to end as a zip does."""
    found = tail.rfind(END)
    if found < 0 or found + _END.size > len(tail):
        return False
    _, disk, _, here, entries, size, offset, comment = _END.unpack_from(tail, found)
    at = octets - len(tail) + found
    fits = found + _END.size + comment <= len(tail) and size + offset <= at and 46 * entries <= size
    return disk == 0 and here == entries > 0 and (fits or 0xFFFFFFFF in (size, offset))
