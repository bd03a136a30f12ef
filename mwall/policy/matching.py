"""Which of many patterns of octets occur in a stream: exact, and in time that grows with the stream alone.

A number of eight octets is looked up faster than eight octets: a window is read as an array of such numbers, and
`frozenset.intersection` tells in one call which of them any pattern has. Numbers of an array begin at every eighth
octet only, a pattern begins anywhere: so of every segment a stretch of fifteen octets is chosen and all eight numbers
in it are in the set, of which one must fall on the array. The stretch is one that few others have, so that nearly
every number found is a match. Segments with shorter runs have stretches of their own: see _TIERS.

Where a number is found, the segments that have it are not tried one by one: those of the same shape are the keys of
one dict, and a slice of the window is looked up there.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from heapq import heappop, heappush
from itertools import chain, compress
from struct import Struct
from typing import Literal, NamedTuple

from mwall.policy.patterns import Pattern, Segment

# A number with more places than this is remembered with what is around it: data that repeats is tried once.
_CROWD = 8
# As many surroundings are remembered in one window.
_MEMORY = 256
# Of a window that has more occurrences of awaited segments than this, the halves are searched, down to this size.
_MOST_OCCURRENCES = 16_384
_SMALL_WINDOW = 1024


_Holes = tuple[tuple[int, int], ...]


class _Tier(NamedTuple):
    """A way to look numbers up: their memoryview code and size; the array begins at each of `shifts`.

    It finds a run of `least_octets`. From `worth` literals on it is quicker than `in` for each of them.
    """

    code: Literal["Q", "I"]
    octets: int
    shifts: range
    least_octets: int
    worth: int


_TIERS = (
    _Tier("Q", 8, range(1), 15, 12),
    _Tier("I", 4, range(1), 7, 24),
    _Tier("I", 4, range(4), 4, 100),
)


class _Shape:
    """The segments of one length with the same holes, by what they have outside of them."""

    def __init__(self, length: int, holes: _Holes) -> None:
        self.length = length
        self.has_holes = bool(holes)
        self._mask = 0
        if holes:
            mask = bytearray(b"\xff" * length)
            for start, end in holes:
                mask[start:end] = bytes(end - start)
            self._mask = int.from_bytes(mask, "little")
        self._members: dict[bytes | int, int] = {}

    def add(self, octets: bytes, segment: int) -> None:
        self._members[self._key(octets)] = segment

    def at(self, buffer: bytes, start: int) -> tuple[int, ...]:
        """The segment that stands there, if any."""
        octets = buffer[start : start + self.length]
        segment = self._members.get(self._key(octets)) if len(octets) == self.length else None
        return () if segment is None else (segment,)

    def _key(self, octets: bytes) -> bytes | int:
        return int.from_bytes(octets, "little") & self._mask if self._mask else octets


class _Crowd:
    """Segments without holes of so many lengths that a look-up for each would take long: one search for all of them.

    The last in order that is not behind the text is a segment which begins it, or has all of those at its start.
    """

    def __init__(self, members: dict[bytes, int]) -> None:
        self._members = sorted(members.items())
        self._octets = [octets for octets, _ in self._members]
        self.length = max(map(len, self._octets), default=0)
        self.has_holes = False
        # The longest other member that each begins with, or -1.
        self._shorter: list[int] = []
        nested: list[int] = []
        for index, octets in enumerate(self._octets):
            while nested and not octets.startswith(self._octets[nested[-1]]):
                nested.pop()
            self._shorter.append(nested[-1] if nested else -1)
            nested.append(index)

    def at(self, buffer: bytes, start: int) -> list[int]:
        """The segments that stand there."""
        octets = buffer[start : start + self.length]
        index = bisect_right(self._octets, octets) - 1
        found = []
        while index >= 0:
            if octets.startswith(self._octets[index]):
                found.append(self._members[index][1])
            index = self._shorter[index]
        return found


class _Place(NamedTuple):
    """Where a number can stand: so many octets behind the start of a segment that is among those."""

    lead: int
    among: _Shape | _Crowd


class _Table:
    """The numbers of one tier, and all places where each can stand in a segment."""

    def __init__(self, tier: _Tier, segments: dict[int, Segment], ordered: frozenset[int]) -> None:
        self.tier = tier
        self._ordered = ordered
        self.places: dict[int, tuple[_Place, ...]] = {}
        # So many octets before and behind a crowded number say all about its places.
        self.crowded: dict[int, tuple[int, int]] = {}
        shapes: dict[tuple[int, _Holes], _Shape] = {}
        interned: dict[tuple[int, int, _Holes], tuple[_Place]] = {}
        shared: dict[int, set[_Place]] = {}
        numbers = _numbers(tier, segments)
        for segment, leads in numbers.items():
            octets, holes = segments[segment]
            length = len(octets)
            shape = shapes.get((length, holes))
            if shape is None:
                shape = shapes[length, holes] = _Shape(length, holes)
            shape.add(octets, segment)
            for lead, number in leads:
                place = interned.setdefault((lead, length, holes), (_Place(lead, shape),))
                if self.places.setdefault(number, place) is not place:
                    shared.setdefault(number, {*self.places[number]}).update(place)
        self.places.update((number, tuple(places)) for number, places in shared.items())
        self._gather_crowd(segments, numbers)
        self.numbers = frozenset(self.places)

    def _gather_crowd(self, segments: dict[int, Segment], numbers: dict[int, list[tuple[int, int]]]) -> None:
        crowded = {number for number, places in self.places.items() if len(places) > _CROWD}
        members = {
            segments[segment].octets: segment
            for segment, leads in numbers.items()
            if not segments[segment].holes and any(number in crowded for _, number in leads)
        }
        crowd = _Crowd(members)
        for number in crowded:
            places = self.places[number]
            before = max(place.lead for place in places)
            behind = max(place.among.length - place.lead for place in places)
            self.crowded[number] = before, max(behind, crowd.length)
            gathered = {place if place.among.has_holes else _Place(place.lead, crowd) for place in places}
            self.places[number] = tuple(gathered)

    def segments_in(self, buffer: bytes) -> Iterator[tuple[int, int]]:
        """(start, segment) of all in `buffer`, in no order; of those which are not ordered at least one."""
        tier = self.tier
        for shift in tier.shifts:
            end = len(buffer) - (len(buffer) - shift) % tier.octets
            if end > shift:
                array = memoryview(buffer)[shift:end].cast(tier.code)
                found = self.numbers.intersection(array)
                if found:
                    yield from self._verified(buffer, array, found, range(shift, end, tier.octets))

    def _verified(
        self, buffer: bytes, array: memoryview, found: Container[int], positions: range
    ) -> Iterator[tuple[int, int]]:
        remembered: dict[tuple[int, int, bytes], list[tuple[int, int]]] = {}
        is_found = list(map(found.__contains__, array))
        for position, number in zip(compress(positions, is_found), compress(array, is_found), strict=True):
            reach = self.crowded.get(number) if self.crowded else None
            if reach is None:
                yield from self._at(buffer, position, number)
                continue
            before = min(position, reach[0])
            key = number, before, buffer[position - before : position + reach[1]]
            if key in remembered:
                yield from ((position - lead, segment) for lead, segment in remembered[key])
                continue
            here = list(self._at(buffer, position, number))
            yield from here
            if len(remembered) < _MEMORY:
                remembered[key] = [(position - start, segment) for start, segment in here if segment in self._ordered]

    def _at(self, buffer: bytes, position: int, number: int) -> Iterator[tuple[int, int]]:
        """(start, segment) of all that have the number at `position`."""
        for lead, among in self.places[number]:
            start = position - lead
            if start >= 0:
                for segment in among.at(buffer, start):
                    yield start, segment


class Matcher:
    """Patterns made ready to be looked for; made once before the fork, then only read.

    A scan touches the reference counts of what it finds alone, so that the workers share the memory.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        """Raises ValueError for a pattern without segments, and for `??` or `*` with less than four octets in a row."""
        self.patterns = tuple(patterns)
        numbers: dict[Segment, int] = {}
        # The numbers of a pattern's segments, where it has more than one.
        self.chains: dict[int, tuple[int, ...]] = {}
        # The patterns that begin with a segment.
        self.begun_by: dict[int, list[int]] = {}
        for index, pattern in enumerate(patterns):
            chain = tuple(numbers.setdefault(segment, len(numbers)) for segment in pattern.segments)
            if not chain:
                raise ValueError("a pattern without segments")
            self.begun_by.setdefault(chain[0], []).append(index)
            if len(chain) > 1:
                self.chains[index] = chain
        self.lengths = [len(segment.octets) for segment in numbers]
        self.heads = frozenset(parts[0] for parts in self.chains.values())
        # Of these it matters where they occur, of all others only whether.
        self.ordered = frozenset(segment for parts in self.chains.values() for segment in parts)
        self.overlap = max(self.lengths, default=1) - 1
        self.plain, self.tables = _split(numbers, self.ordered)

    def scan(self) -> "Scan":
        return Scan(self)


class Scan:
    """One stream as it is searched; it holds the last octets, one less than the longest segment has, and what matched.

    Of patterns with more than one segment it holds, for each that has begun, which segment is awaited behind which
    octet: the earliest end of the one before is the best, since any distance will do.
    """

    __slots__ = ("_awaited", "_awaits_another", "_matcher", "_offset", "_seen", "_tail", "found")

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._tail = b""
        self._offset = 0
        self._seen: set[int] = set()
        # By segment, a heap of (from this octet of the stream on, pattern, which of its segments).
        self._awaited: dict[int, list[tuple[int, int, int]]] = {}
        self._awaits_another = False
        self.found: set[int] = set()

    def feed(self, window: bytes) -> None:
        """Search the next octets of the stream; costs as much as those and the octets held together."""
        matcher = self._matcher
        buffer = self._tail + window
        for octets, segment in matcher.plain:
            if octets in buffer and segment not in self._seen:
                self._begin(segment, 0)
        most = _MOST_OCCURRENCES if len(window) > max(_SMALL_WINDOW, matcher.overlap) else None
        if matcher.tables and not self._search(buffer, most):
            half = len(window) // 2
            self.feed(window[:half])
            self.feed(window[half:])
            return
        if matcher.overlap:
            self._tail = buffer[-matcher.overlap :]
        self._offset += len(buffer) - len(self._tail)

    def _search(self, buffer: bytes, most: int | None) -> bool:
        """False if there were more occurrences than `most` to be put in order, and all must be done again.

        What nobody awaits is passed over: else a part that is mere zeros would make the search of zeros slow. So the
        buffer is searched once more if, in it, one part was found and the next is now awaited.
        """
        self._awaits_another = True
        while self._awaits_another:
            self._awaits_another = False
            occurrences = []
            for table in self._matcher.tables:
                for occurrence in table.segments_in(buffer):
                    segment = occurrence[1]
                    is_new = segment not in self._seen
                    if self._awaited.get(segment) or (is_new and segment in self._matcher.heads):
                        occurrences.append(occurrence)
                        if most and len(occurrences) > most:
                            return False
                    elif is_new:
                        self._begin(segment, 0)
            for start, segment in sorted(occurrences):
                self._pass(segment, self._offset + start)
        return True

    def _pass(self, segment: int, start: int) -> None:
        """An occurrence of a segment, in the order of the stream."""
        if segment not in self._seen:
            self._begin(segment, start)
        awaited = self._awaited.get(segment)
        while awaited and awaited[0][0] <= start:
            _, pattern, which = heappop(awaited)
            self._advance(pattern, which, start)

    def _begin(self, segment: int, start: int) -> None:
        self._seen.add(segment)
        for pattern in self._matcher.begun_by.get(segment, ()):
            if pattern in self._matcher.chains:
                self._advance(pattern, 0, start)
            else:
                self.found.add(pattern)

    def _advance(self, pattern: int, which: int, start: int) -> None:
        chain = self._matcher.chains[pattern]
        if which + 1 == len(chain):
            self.found.add(pattern)
        else:
            awaited = self._awaited.setdefault(chain[which + 1], [])
            self._awaits_another |= not awaited
            heappush(awaited, (start + self._matcher.lengths[chain[which]], pattern, which + 1))


def literal(name: str, octets: bytes) -> Pattern:
    """The pattern of these octets, of which there may be as few as one. Raises ValueError for none."""
    if not octets:
        raise ValueError("a literal without octets")
    return Pattern(name, (Segment(octets),))


def _split(
    numbers: dict[Segment, int], ordered: frozenset[int]
) -> tuple[tuple[tuple[bytes, int], ...], tuple[_Table, ...]]:
    """The literals that `in` looks for, with their numbers, and tables of all else."""
    plain: list[tuple[bytes, int]] = []
    by_tier: dict[_Tier, dict[int, Segment]] = {tier: {} for tier in _TIERS}
    for segment, number in numbers.items():
        longest = max((end - start for start, end in segment.runs()), default=0)
        tier = next((tier for tier in _TIERS if longest >= tier.least_octets), None)
        if tier:
            by_tier[tier][number] = segment
        elif segment.holes or number in ordered:
            raise ValueError(f"less than {_TIERS[-1].least_octets} octets in a row")
        else:
            plain.append((segment.octets, number))
    tables = []
    for tier, segments in by_tier.items():
        if len(segments) >= tier.worth or any(one.holes or number in ordered for number, one in segments.items()):
            tables.append(_Table(tier, segments, ordered))
        else:
            plain += [(one.octets, number) for number, one in segments.items()]
    return tuple(plain), tuple(tables)


def _numbers(tier: _Tier, segments: dict[int, Segment]) -> dict[int, list[tuple[int, int]]]:
    """For each segment the numbers to be looked up, as (octets before it, number).

    They are those of one stretch: one whose first and last number few other segments have, and among those one with
    many different octets, since zeros and blanks are in all mail and would be verified each time.
    """
    size = tier.octets
    number_at = Struct("=" + tier.code).unpack_from
    stretches = {number: _stretches(segment, tier.least_octets) for number, segment in segments.items()}
    popular = Counter(chain.from_iterable((one[:size], one[-size:]) for _, one in chain(*stretches.values())))

    def cost(stretch: tuple[int, bytes]) -> tuple[int, int]:
        octets = stretch[1]
        count = max(popular[octets[:size]], popular[octets[-size:]])
        # Where many share even the rarest, it should stand at the same place in all of them, the first.
        return count, -(len(set(octets)) // (1 if count <= _CROWD else 4))

    # Where the array begins at every octet, one number is enough.
    leads = range(1 if len(tier.shifts) > 1 else size)
    chosen = {}
    for segment, places in stretches.items():
        first, octets = min(places, key=cost)
        chosen[segment] = [(first + lead, number_at(octets, lead)[0]) for lead in leads]
    return chosen


def _stretches(segment: Segment, octets: int) -> list[tuple[int, bytes]]:
    """Some places of so many literal octets: every sixteenth from the start of a run, and its last.

    Patterns of one family begin alike, so that what they share is met here at the same places.
    """
    found = []
    for start, end in segment.runs():
        last = end - octets
        for first in [*range(start, last, 16), last] if last >= start else ():
            found.append((first, segment.octets[first : first + octets]))
    return found
