"""Reads tar as it streams by: v7, ustar, GNU and pax (POSIX.1-2017, pax, "ustar Interchange Format" and those below).

Own code and not the standard library's tarfile, because that had quadratic regular expressions (CVE-2024-6232) and an
endless loop (CVE-2025-8194) on Pythons that MessageWall runs on, pulls where the octets of a compressed tar are
pushed, and cannot stop in between. Where unpackers disagree (sizes told twice, links with content, entries behind the
end) that is a finding, and the reading that sees more is followed.
"""

import re
from collections.abc import Iterator

from mwall.message.archive_common import (
    WINDOW_OCTETS,
    ArchiveLimits,
    Event,
    Member,
    Unreadable,
    lenient_text,
    quoted,
)

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_MAX_EXTENSION_OCTETS = 1 << 18
_MAX_RECORDS = 1_000
_MAX_IN_A_ROW = 4
_NUMBER = re.compile(rb"[ \0]*([0-7]*)(?:[ \0]|\Z)")
_RECORD = re.compile(rb"([1-9][0-9]{0,8}) ([^=\n]+)=")
_HIGH_OCTETS = bytes(range(128, 256))
_ZIP = re.compile(rb"PK(?:\x03\x04|\x05\x06)")

_FILES = b"0\0007"
_WITHOUT_CONTENT = b"123456V"
_LONG_NAME, _LONG_LINK = b"L", b"K"
_EXTENSIONS = (_LONG_NAME, _LONG_LINK, b"x", b"X", b"g")


def _number(field: bytes) -> int:
    """An octal number, or one in base 256 (GNU). -1 where it is neither."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big") if field[0] == 0x80 else -1
    match = _NUMBER.match(field)
    return int(match[1] or b"0", 8) if match else -1


def is_header(block: bytes) -> bool:
    """Whether a block of 512 octets has the checksum of a header (some old tars added up signed octets)."""
    told = _number(block[148:156]) if len(block) >= _BLOCK else -1
    if told < 256:
        return False
    counted = block[:148] + block[156:_BLOCK]
    plain = sum(counted) + 8 * 32
    return told == plain or told == plain - 256 * (len(counted) - len(counted.translate(None, _HIGH_OCTETS)))


class TarReader:
    """A push parser: feed() it windows of any size as they come, then close() it; both yield events.

    At most one window, one block and one extension header are held. LimitReached comes out of both.
    """

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._rest = b""  # of a block that has not come whole
        self._content = 0  # octets of the present content still to come
        self._padding = 0  # octets behind it up to the next block
        self._extension: bytearray | None = None  # content that is an extension header
        self._kind = b""
        self._long_name: bytes | None = None
        self._pax: dict[bytes, bytes] = {}
        self._global: dict[bytes, bytes] = {}
        self._in_a_row = 0  # extension headers
        self._other_names: list[str] = []  # of the present file, told when its content is over
        self._zero_blocks = 0
        self._began = self._lost = self._told_end = False

    def feed(self, window: bytes) -> Iterator[Event]:
        octets = memoryview(self._rest + window if self._rest else window)
        self._rest = b""
        position = 0
        while position < len(octets):
            if self._content:
                piece = bytes(octets[position : position + min(self._content, WINDOW_OCTETS)])
                yield from self._take_content(piece)
            elif self._padding:
                piece = bytes(octets[position : position + self._padding])
                self._padding -= len(piece)
                if _ZIP.search(piece):
                    yield Unreadable("tar: a piece of a zip between the files")
            else:
                yield from self._tell_other_names()
                piece = bytes(octets[position : position + _BLOCK])
                if len(piece) < _BLOCK:
                    self._rest = piece
                    return
                yield from self._take_block(piece)
            position += len(piece)

    def close(self) -> Iterator[Event]:
        yield from self._tell_other_names()
        if self._content or self._rest.strip(b"\0") or self._extension is not None:
            yield Unreadable("tar: cut short")
        elif not self._began:
            yield Unreadable("tar: no file in it")

    def _tell_other_names(self) -> Iterator[Event]:
        names, self._other_names = self._other_names, []
        yield from map(Member, names)

    def _take_content(self, piece: bytes) -> Iterator[Event]:
        self._content -= len(piece)
        self._limits.spend(len(piece))
        if self._extension is None:
            yield piece
            return
        if self._kind != _LONG_LINK:
            self._extension += piece
        if not self._content:
            yield from self._take_extension(bytes(self._extension))
            self._extension = None

    def _take_block(self, block: bytes) -> Iterator[Event]:
        if block == _ZEROS:
            self._zero_blocks += 1
            return
        if not is_header(block):
            # GNU tar skips to the next header as well. A sum takes longer than a copy, and is paid for.
            self._limits.spend(8 * _BLOCK)
            if not self._lost:
                where = "octets behind the end" if self._zero_blocks else "a header is wrong"
                yield Unreadable(f"tar: {where}")
            self._lost = True
            return
        if self._zero_blocks and not self._told_end:
            self._told_end = True
            yield Unreadable("tar: files behind the end")
        self._zero_blocks, self._lost, self._began = 0, False, True
        if _ZIP.search(block):
            yield Unreadable("tar: a piece of a zip in a header")
        yield from self._take_header(block)

    def _take_header(self, block: bytes) -> Iterator[Event]:
        kind, size = block[156:157], _number(block[124:136])
        if size < 0:
            yield Unreadable("tar: a size is no number")
            self._lost = True
            return
        if kind in _EXTENSIONS:
            self._kind = kind
            self._expect(size)
            self._extension = bytearray() if size else None
            self._in_a_row += 1
            if self._in_a_row > _MAX_IN_A_ROW:
                self._limits.count_member()
            if size > _MAX_EXTENSION_OCTETS:
                yield Unreadable("tar: a name or extended header is too long")
                self._kind = _LONG_LINK  # which is not kept
            return
        self._limits.count_member()
        yield from self._take_member(block, kind, size)
        self._long_name, self._pax, self._in_a_row = None, {}, 0

    def _take_member(self, block: bytes, kind: bytes, size: int) -> Iterator[Event]:
        pax = self._global | self._pax
        own = _own_name(block)
        names = [pax[key] for key in (b"GNU.sparse.name", b"path") if key in pax]
        # Who knows no pax (BusyBox) writes the file under the name of the plain header.
        names += [own] if self._long_name is None else [self._long_name]
        texts = list(dict.fromkeys(part for name in names for part in (lenient_text(name), _before_zero(name))))
        yield Member(texts[0])
        name = quoted(texts[0])
        if self._long_name is not None and b"path" in pax and pax[b"path"] != self._long_name:
            yield Unreadable(f"tar: {name} has two long names")
        told = pax.get(b"size", b"%d" % size)
        if not told.isdigit() or len(told) > 20 or int(told) != size:
            yield Unreadable(f"tar: {name} has two sizes")
            size = int(told) if told.isdigit() and len(told) <= 20 else size
        is_folder = kind == b"\0" and texts[0].endswith("/")
        if is_folder or kind in _WITHOUT_CONTENT:
            if size:
                yield Unreadable(f"tar: {name} is no file, yet has a size")
            size = 0
        elif kind == b"S" or any(key.startswith(b"GNU.sparse.") for key in pax):
            yield Unreadable(f"tar: {name} is sparse, which is not read")
        elif kind not in _FILES:
            yield Unreadable(f"tar: {name} is of an unknown type")
        self._expect(size)
        self._other_names = texts[1:]

    def _expect(self, size: int) -> None:
        self._content, self._padding = size, -size % _BLOCK

    def _take_extension(self, data: bytes) -> Iterator[Event]:
        if self._kind == _LONG_NAME:
            self._long_name = data.rstrip(b"\0")
        elif self._kind != _LONG_LINK:
            records = self._global if self._kind == b"g" else self._pax
            if not _read_records(data, records):
                yield Unreadable("tar: an extended header is wrong")


def _read_records(data: bytes, records: dict[bytes, bytes]) -> bool:
    """Read "length key=value" lines into `records`, those that matter here; False where one is wrong."""
    position = 0
    for _ in range(_MAX_RECORDS):
        match = _RECORD.match(data, position)
        if not match:
            return position == len(data)
        end = position + int(match[1])
        if end <= match.end() or data[end - 1 : end] != b"\n":
            return False
        key = match[2]
        if key in (b"path", b"size") or key.startswith(b"GNU.sparse."):
            records[key] = data[match.end() : end - 1]
        position = end
    return position == len(data)


def _own_name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    # GNU's magic is "ustar  ": there other things stand where POSIX has the prefix.
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _before_zero(name: bytes) -> str:
    """The name as those see it who end it at a NUL."""
    return lenient_text(name.partition(b"\0")[0])
