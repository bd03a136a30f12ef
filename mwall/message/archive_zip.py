"""Reads zip (PKWARE's APPNOTE.TXT) in all the ways unpackers do, and says where those ways part.

Own code over struct and zlib, because the standard library's zipfile knows one reading only (the last end record and
its directory), cannot stop in between, and unpacks bzip2 and LZMA without bound. A filter must see what those see too
who walk the local headers from the front (Java's ZipInputStream, bsdtar) or believe another end record.
"""

import re
import zlib
from bisect import bisect_right
from collections.abc import Iterator

from mwall.message.archive_common import (
    WINDOW_OCTETS,
    ArchiveLimits,
    Event,
    Inflation,
    LimitReached,
    Member,
    Octets,
    Unreadable,
    quoted,
)
from mwall.message.archive_zip_records import (
    END,
    LOCAL,
    Directory,
    Header,
    Plan,
    after_descriptor,
    central_header,
    directories,
    last_end,
    local_header,
)

_STORED, _DEFLATED = 0, 8
_SCAN_OCTETS = 1 << 20
_MAX_DIRECTORIES = 16
_MAX_FALSE_ENDS = 1_000
# A local header where none is expected: the signature also stands in the code of self-extracting programs, so the
# version (4.4.3), the method (4.4.5) and the name's length must make sense.
_STRAY = re.compile(rb"(?s)PK\x03\x04[\x00-\x3f][\x00-\x14]..[\x00-\x14\x5c-\x63]\x00.{16}(?!\x00\x00)")
_END = re.compile(END)


class _Spans:
    """The octets that entries and directories cover, as intervals that do not touch."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.overlapped = False

    def add(self, start: int, end: int) -> None:
        if end <= start:
            return
        at = bisect_right(self._starts, start)
        if at and self._ends[at - 1] > start:
            self.overlapped = True
            at -= 1
            start, end = self._starts[at], max(end, self._ends[at])
        upto = at
        while upto < len(self._starts) and self._starts[upto] < end:
            self.overlapped = self.overlapped or self._starts[upto] != start
            end = max(end, self._ends[upto])
            upto += 1
        self._starts[at:upto], self._ends[at:upto] = [start], [end]

    def end_over(self, position: int) -> int:
        """The end of the interval that covers `position`, or `position` itself."""
        at = bisect_right(self._starts, position)
        return max(position, self._ends[at - 1]) if at else position


def read_zip(octets: Octets, limits: ArchiveLimits) -> Iterator[Event]:
    """Yield what the last end record leads to, then the directories and local headers that it does not know of."""
    return _ZipReader(octets, limits).events()


class _ZipReader:
    def __init__(self, octets: Octets, limits: ArchiveLimits) -> None:
        self._octets, self._limits = octets, limits
        self._spans = _Spans()
        self._read: dict[int, list[Plan]] = {}  # by the offset of the local header
        self._data_end = 0
        self._directories = 0

    def events(self) -> Iterator[Event]:
        last = last_end(self._octets)
        if last >= 0:
            yield from self._take_end(last)
            if self._spans.overlapped:
                yield Unreadable("zip: entries overlap")
        yield from self._other_ends(last)
        if not self._directories:
            yield Unreadable("zip: no directory, cut short or damaged")
        for at in self._outside(_STRAY):
            if self._limits.octets < 0:
                return  # entries that could not be read have no known end: what stands behind them is no stray
            if at < 0:
                yield b""
            else:
                yield from self._take_stray(at)

    def _other_ends(self, last: int) -> Iterator[Event]:
        false_ends = 0
        for at in self._outside(_END):
            yield b""
            if at < 0 or at == last:
                continue
            if not directories(self._octets, at):
                false_ends += 1
            else:
                if self._directories:
                    yield Unreadable("zip: several end records")
                yield from self._take_end(at)
            if self._directories > _MAX_DIRECTORIES or false_ends > _MAX_FALSE_ENDS:
                yield Unreadable("zip: too many end records")
                return

    def _outside(self, pattern: "re.Pattern[bytes]") -> Iterator[int]:
        """The offsets of what matches outside the spans, which may grow meanwhile; -1 now and then for a pause."""
        octets, position, adjoins = self._octets, 0, True
        while position < len(octets):
            behind = self._spans.end_over(position)
            if behind > position:
                adjoins, position = True, behind
                yield -1
                continue
            if adjoins and pattern is _STRAY and octets[position : position + 4] == LOCAL:
                # Who walks from the front takes whatever bears the signature here.
                yield position
                position += 1
                continue
            adjoins = False
            limit = min(position + _SCAN_OCTETS, len(octets))
            match = pattern.search(octets, position, limit + 64)
            if not match:
                position = limit
                yield -1
            elif self._spans.end_over(match.start()) > match.start():
                position = match.start()
                yield -1
            else:
                yield match.start()
                position = match.start() + 4

    def _take_end(self, at: int) -> Iterator[Event]:
        places = directories(self._octets, at)
        if not places:
            yield Unreadable("zip: the end record leads nowhere")
        if len(places) > 1:
            yield Unreadable("zip: the end record leads to several directories")
        if any(self._octets[at + 4 : at + 8]):
            yield Unreadable("zip: one volume of several")
        end = at + 22
        if end + int.from_bytes(self._octets[end - 2 : end], "little") > len(self._octets):
            yield Unreadable("zip: the comment is cut short")
        self._spans.add(at, end)
        self._directories += len(places)
        for place in places:
            yield from self._take_directory(place)

    def _take_directory(self, place: Directory) -> Iterator[Event]:
        position, entries = place.start, 0
        while header := central_header(self._octets, position):
            entries += 1
            self._limits.count_member(header.end - position)
            yield from self._take_entry(header, header.local + place.shift)
            position = header.end
        self._spans.add(place.start, position)
        if entries != place.entries and (place.is_zip64 or entries & 0xFFFF != place.entries):
            yield Unreadable(f"zip: {place.entries} entries announced, {entries} in the directory")
        if position != place.end:
            yield Unreadable("zip: the directory does not end at its end record")

    def _take_entry(self, central: Header, at: int) -> Iterator[Event]:
        """One entry of a directory: its content as this header and, if that differs, as the local one has it read."""
        name = quoted(central.name)
        local = local_header(self._octets, at) if self._limits.octets >= 0 else None
        if local is None:
            yield from self._without_local(central, name)
            return
        self._limits.count_octets(local.end - at)
        for flaw in filter(None, (central.flaw, local.flaw)):
            yield Unreadable(f"zip: {name} {flaw}")
        plan = _completed(local.plan, central.plan)
        if local.name != central.name or plan != central.plan:
            yield Unreadable(f"zip: {name} differs between its local header and the directory")
        yield Member(central.name)
        known = self._read.setdefault(at, [])
        if known:
            yield Unreadable(f"zip: {name} shares its data with another entry")
        data_end = at
        for way in dict.fromkeys((central.plan, plan)):
            if way in known:
                continue
            if known:
                yield Member(local.name)
            known.append(way)
            yield from self._take_content(name, way, local)
            data_end = max(data_end, self._data_end)
        if data_end > at:
            self._spans.add(at, data_end)
        others = dict.fromkeys((*central.other_names, *local.other_names, local.name))
        yield from (Member(other) for other in others if other != central.name)

    def _without_local(self, central: Header, name: str) -> Iterator[Event]:
        yield Member(central.name)
        try:
            self._limits.spend(0)
            yield Unreadable(f"zip: {name} has no local header where the directory says")
        except LimitReached as limit:
            yield Unreadable(str(limit))
        yield from map(Member, central.other_names)

    def _take_stray(self, at: int) -> Iterator[Event]:
        header = local_header(self._octets, at)
        if not header:
            return
        self._limits.count_member(header.end - at)
        if self._directories:
            yield Unreadable(f"zip: {quoted(header.name)} stands in no directory")
        if header.flaw:
            yield Unreadable(f"zip: {quoted(header.name)} {header.flaw}")
        yield Member(header.name)
        yield from self._take_content(quoted(header.name), header.plan, header)
        self._spans.add(at, self._data_end)
        yield from map(Member, header.other_names)

    def _take_content(self, name: str, plan: Plan, local: Header) -> Iterator[Event]:
        """The content; `_data_end` is then the offset behind it."""
        self._data_end = local.end
        try:
            if plan.encrypted:
                yield Unreadable(f"zip: {name} is encrypted")
                self._data_end = min(local.end + max(plan.packed, 0), len(self._octets))
            elif plan.method == _STORED or (plan.packed == plan.size == 0 and not local.sizes_follow):
                yield from self._stored(name, plan, local.end)
            elif plan.method == _DEFLATED:
                yield from self._deflated(name, plan, local.end)
            else:
                yield Unreadable(f"zip: {name} is compressed by method {plan.method}, which is not read")
                self._data_end = min(local.end + max(plan.packed, 0), len(self._octets))
        except LimitReached as limit:
            yield Unreadable(str(limit))
        if local.sizes_follow:
            self._data_end = after_descriptor(self._octets, self._data_end)

    def _stored(self, name: str, plan: Plan, start: int) -> Iterator[Event]:
        crc, size = 0, max(plan.packed, plan.size)
        end = min(start + size, len(self._octets))
        self._data_end = max(start, end)
        for position in range(start, end, WINDOW_OCTETS):
            window = bytes(self._octets[position : min(position + WINDOW_OCTETS, end)])
            self._limits.spend(len(window))
            crc = zlib.crc32(window, crc)
            yield window
        if size < 0:
            yield Unreadable(f"zip: {name} does not say how long it is")
        elif start + size > end:
            yield Unreadable(f"zip: {name} is cut short")
        elif plan.packed != plan.size:
            yield Unreadable(f"zip: {name} has two sizes")
        elif crc != plan.crc:
            yield Unreadable(f"zip: {name} has a wrong checksum")

    def _deflated(self, name: str, plan: Plan, start: int) -> Iterator[Event]:
        """To the end of the stream, whatever the sizes say: some unpackers go by them and some do not."""
        inflation = Inflation(self._octets, start, self._limits)
        yield from inflation
        # What is damaged may hide headers behind the damage: it covers nothing.
        self._data_end = start if inflation.flaw else inflation.end
        if inflation.flaw:
            yield Unreadable(f"zip: {name} {inflation.flaw}")
        elif plan.packed not in (-1, inflation.end - start) or plan.size not in (-1, inflation.size):
            yield Unreadable(f"zip: {name} does not have the size it should")
        elif plan.crc not in (-1, inflation.crc):
            yield Unreadable(f"zip: {name} has a wrong checksum")


def _completed(local: Plan, central: Plan) -> Plan:
    """A local plan with what it leaves open (sizes follow the data) taken from the directory."""
    return local._replace(
        crc=central.crc if local.crc == -1 else local.crc,
        packed=central.packed if local.packed == -1 else local.packed,
        size=central.size if local.size == -1 else local.size,
    )
