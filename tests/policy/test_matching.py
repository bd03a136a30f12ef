"""The matching engine: exact however the stream is cut, and in time that grows with the stream.

The oracle is a regular expression over the whole stream: `.*?` for a `*`, `.` for a `??`. It has no groups.
"""

import random
import re
from collections.abc import Sequence
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.policy import matching
from mwall.policy.matching import Matcher, literal
from mwall.policy.patterns import Pattern, Segment
from tests.fuzz import cases


def found(matcher: Matcher, windows: Sequence[bytes]) -> set[int]:
    scan = matcher.scan()
    for window in windows:
        scan.feed(window)
    return set(scan.found)


def expression(pattern: Pattern) -> re.Pattern[bytes]:
    parts = []
    for segment in pattern.segments:
        octets = [re.escape(bytes([octet])) for octet in segment.octets]
        for start, end in segment.holes:
            octets[start:end] = [b"."] * (end - start)
        parts.append(b"".join(octets))
    return re.compile(b".*?".join(parts), re.DOTALL)


def oracle(patterns: Sequence[Pattern], data: bytes) -> set[int]:
    return {index for index, pattern in enumerate(patterns) if expression(pattern).search(data)}


def cut(data: bytes, at: random.Random) -> list[bytes]:
    edges = sorted(at.randrange(len(data) + 1) for _ in range(at.randrange(8)))
    return [data[start:end] for start, end in zip([0, *edges], [*edges, len(data)], strict=True)]


# Few different octets, so that everything occurs nearly everywhere.
OCTETS = {1: b"a", 2: b"ab", 3: b"\0a\xff", 256: bytes(range(256))}


def some_octets(at: random.Random, number: int) -> bytes:
    return bytes(at.choice(OCTETS[at.choice((1, 2, 2, 3, 256))]) for _ in range(number))


def some_segment(at: random.Random) -> Segment:
    octets = some_octets(at, at.choice((4, 5, 7, 8, 14, 15, 16, 23, 40)))
    holes: list[tuple[int, int]] = []
    if at.random() < 0.4:
        before, behind = some_octets(at, at.randrange(12)), some_octets(at, at.randrange(12))
        for piece in (before, behind):
            hole = at.randrange(1, 4)
            holes.append((len(octets), len(octets) + hole))
            octets += bytes(hole) + piece
    return Segment(octets, tuple(holes))


def some_patterns(at: random.Random, number: int) -> list[Pattern]:
    patterns = []
    for index in range(number):
        if at.random() < 0.3:
            patterns.append(literal(str(index), some_octets(at, at.randrange(1, 30))))
        else:
            segments = tuple(some_segment(at) for _ in range(at.choice((1, 1, 2, 3))))
            if patterns and at.random() < 0.3:
                segments = (*at.choice(patterns).segments, *segments)
            short = [one for one in segments if len(segments) > 1 and len(one.octets) < 4]
            patterns.append(Pattern(str(index), tuple(one for one in segments if one not in short)))
    return patterns


def some_data(at: random.Random, patterns: Sequence[Pattern]) -> bytes:
    """Pieces of the patterns, whole and damaged, in any order, and what is like them."""
    data = b""
    for _ in range(at.randrange(1, 12)):
        segment = at.choice(at.choice(patterns).segments)
        piece = bytearray(segment.octets)
        for start, end in segment.holes:
            piece[start:end] = some_octets(at, end - start)
        if at.random() < 0.3:
            piece[at.randrange(len(piece))] ^= 1
        data += some_octets(at, at.randrange(9)) + bytes(piece) * at.choice((1, 1, 2, 5))
    return data


@pytest.mark.parametrize("most", [1, 8, 60, 300])
@cases(60)
@given(seed=st.integers(0, 2**64))
def test_the_oracle_agrees(most: int, seed: int) -> None:
    at = random.Random(seed)
    patterns = some_patterns(at, at.randrange(1, most + 1))
    matcher = Matcher(patterns)
    for _ in range(3):
        data = some_data(at, patterns)
        expected = oracle(patterns, data)
        assert found(matcher, [data]) == expected
        assert found(matcher, cut(data, at)) == expected
        assert found(matcher, cut(data, at)) == expected


@cases(60)
@given(seed=st.integers(0, 2**64))
def test_the_oracle_agrees_where_nothing_is_remembered_or_everything(seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_CROWD", seed % 2)
        patch.setattr(matching, "_MEMORY", seed % 3)
        patch.setattr(matching, "_MOST_OCCURRENCES", 1 + seed % 5)
        patch.setattr(matching, "_SMALL_WINDOW", 1 + seed % 40)
        test_tables_alone_agree(seed)


def test_tables_alone_agree(seed: int = 1) -> None:
    at = random.Random(seed)
    patterns = [one for one in some_patterns(at, 120) if len(one.segments[0].octets) > 3]
    data = some_data(at, patterns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_TIERS", tuple(tier._replace(worth=0) for tier in matching._TIERS))
        matcher = Matcher(patterns)
    assert matcher.plain == ()
    assert found(matcher, cut(data, at)) == oracle(patterns, data)


@pytest.mark.parametrize("length", [1, 2, 3, 4, 6, 7, 14, 15, 16, 22, 64])
@pytest.mark.parametrize("others", [0, 200])
def test_a_literal_at_every_place_and_every_cut(length: int, others: int) -> None:
    at = random.Random(length)
    wanted = at.randbytes(length)
    matcher = Matcher([literal("other", at.randbytes(max(length, 4))) for _ in range(others)] + [literal("", wanted)])
    for place in range(20):
        data = bytes(place) + wanted + bytes(20)
        for edge in range(len(data)):
            assert others in found(matcher, [data[:edge], data[edge:]])
        damaged = bytearray(data)
        damaged[place + at.randrange(length)] ^= 0x10
        assert others not in found(matcher, [bytes(damaged)]) or length == 1


def test_octet_by_octet() -> None:
    at = random.Random(5)
    patterns = some_patterns(at, 40)
    data = some_data(at, patterns)
    assert found(Matcher(patterns), [data[i : i + 1] for i in range(len(data))]) == oracle(patterns, data)


@pytest.mark.parametrize(
    ("data", "matches"),
    [
        (b"ABCDEFGH", True),
        (b"ABCD" + bytes(1000) + b"EFGH", True),
        (b"EFGHABCD", False),
        (b"ABCDEFG", False),
        (b"EFGHABCDEFGH", True),
    ],
)
def test_the_order_of_segments(data: bytes, matches: bool) -> None:
    matcher = Matcher([Pattern("", (Segment(b"ABCD"), Segment(b"EFGH")))])
    for step in (1, 3, 8, 2000):
        windows = [data[start : start + step] for start in range(0, len(data), step)]
        assert found(matcher, windows) == ({0} if matches else set())


def test_segments_do_not_overlap() -> None:
    twice = Matcher([Pattern("", (Segment(b"aaaaaaaa"), Segment(b"aaaaaaaa")))])
    for number in range(24):
        assert bool(found(twice, [b"a" * number])) == (number >= 16)
        assert bool(found(twice, [b"a"] * number)) == (number >= 16)


def test_patterns_that_are_the_same_are_all_found() -> None:
    patterns = [literal(str(index), b"the same sixteen") for index in range(50)]
    assert found(Matcher(patterns), [b"... the same sixteen ..."]) == set(range(50))


def test_streams_are_apart() -> None:
    matcher = Matcher([literal("", b"ABCD")])
    one, other = matcher.scan(), matcher.scan()
    one.feed(b"AB")
    other.feed(b"CD")
    assert not one.found
    assert not other.found
    one.feed(b"CD")
    assert one.found == {0}
    assert not other.found


def test_no_patterns_and_no_octets() -> None:
    assert found(Matcher([]), [b"", b"anything", b""]) == set()
    assert found(Matcher([literal("", b"a")]), [b""]) == set()


def test_what_cannot_be_looked_for() -> None:
    with pytest.raises(ValueError, match="a literal without octets"):
        literal("", b"")
    with pytest.raises(ValueError, match="a pattern without segments"):
        Matcher([Pattern("", ())])
    with pytest.raises(ValueError, match="less than 4 octets in a row"):
        Matcher([Pattern("", (Segment(b"a\0b", ((1, 2),)),))])
    with pytest.raises(ValueError, match="less than 4 octets in a row"):
        Matcher([Pattern("", (Segment(b"abcd"), Segment(b"abc")))])


def test_few_literals_need_no_table() -> None:
    assert Matcher([literal("", b"a text key of some length"), literal("", b"short")]).tables == ()


def family(name: str) -> list[Pattern]:
    """Patterns that are as much alike as can be."""
    at = random.Random(9)
    gram = b"\x01\x02\x03\x04\x05\x06\x07\x08"
    return {
        "zeros": [literal("", bytes(length)) for length in range(20, 200)],
        "zeros, then two octets": [literal("", bytes(20 + index % 180) + at.randbytes(2)) for index in range(4000)],
        "a gram, then two octets": [literal("", gram * (3 + index % 20) + at.randbytes(2)) for index in range(4000)],
        "zeros in two parts": [
            Pattern("", (Segment(bytes(length)), Segment(bytes(length)), Segment(b"\1" * 9)))
            for length in range(20, 60)
        ],
        "short": [literal("", at.randbytes(4)) for _ in range(4000)],
        "holes": [
            Pattern("", (Segment(gram * 2 + bytes(1 + index % 9) + at.randbytes(2), ((16, 17 + index % 9),)),))
            for index in range(4000)
        ],
    }[name]


FAMILIES = ["zeros", "zeros, then two octets", "a gram, then two octets", "zeros in two parts", "short", "holes"]


def hostile(name: str, patterns: Sequence[Pattern], size: int) -> bytes:
    at = random.Random(3)
    if name == "zeros":
        return bytes(size)
    if name == "gram":
        return b"\x01\x02\x03\x04\x05\x06\x07\x08" * (size // 8)
    pieces = [at.choice(patterns).segments[0].octets[:-1] for _ in range(size // 8)]
    return b"".join(pieces)[:size]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("kind", ["zeros", "gram", "pieces"])
def test_time_grows_with_the_stream(name: str, kind: str) -> None:
    patterns = family(name)
    matcher = Matcher(patterns)

    def seconds(size: int) -> float:
        data = hostile(kind, patterns, size)
        best = float("inf")
        for _ in range(2):
            scan = matcher.scan()
            begun = process_time()
            for start in range(0, size, 32_768):
                scan.feed(data[start : start + 32_768])
            best = min(best, process_time() - begun)
        return best

    assert seconds(65_536) < 80 * max(seconds(4_096), 0.0005)
