"""Hostile answers take time in proportion to their length, and never long.

As in tests/message/test_linear_time.py: sizes are sixteen times apart, linear work takes about sixteen times as long,
quadratic work 256 times; the line is drawn at 80, over the best of several runs and with a floor under the smaller
time.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from time import process_time

import pytest

from mwall.dns.answers import CNAME, MX, NS, PTR, SOA, TXT, A, Question
from mwall.dns.message import MessageError, parse_answer
from tests.dns.wire import HERE, labels, pointer, query_for, record, response

SMALL, LARGE = 4_095, 65_535
QUESTION = Question("a.example", A)
AFTER_QUESTION = len(response(query_for(QUESTION)))
MAX_POINTED_AT = 0x3FFF
# What a record of no use looks like, and how far its data begins behind it.
FILLER, FILLER_HEAD = 99, 11


def best_seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(4):
        begun = process_time()
        work()
        best = min(best, process_time() - begun)
    return best


def many(first: bytes, unit: Callable[[int], bytes], size: int) -> list[bytes]:
    """`first`, and as many units as `size` octets hold, by number."""
    count = (size - AFTER_QUESTION - len(first)) // len(unit(0))
    return [first] * bool(first) + [unit(number) for number in range(count)]


def filler(data: bytes) -> bytes:
    return record(b"\0", FILLER, data)


def long_name(size: int) -> bytes:
    """A name of 127 labels somewhere, for all others to point at."""
    return filler(labels(*[b"b"] * 127))


def chain_of_pointers(size: int) -> bytes:
    """Each points at the one before, the first at the name of the question."""
    begin = AFTER_QUESTION + FILLER_HEAD
    count = (min(size, MAX_POINTED_AT) - begin) // 2
    return filler(HERE + b"".join(pointer(begin + 2 * number) for number in range(count - 1)))


def labels_and_pointers(size: int) -> bytes:
    """A label and a pointer at the one before, and so on, the first at the name of the question."""
    begin = AFTER_QUESTION + FILLER_HEAD
    count = (min(size, MAX_POINTED_AT) - begin) // 4
    units = [labels(b"b", end=pointer(begin + 4 * number)) for number in range(count - 1)]
    return filler(labels(b"b", end=HERE) + b"".join(units))


def into(number: int, step: int, depth: int) -> bytes:
    """A pointer into the filler, where the name is about `depth` steps of so many octets long; not always the same."""
    return pointer(AFTER_QUESTION + FILLER_HEAD + step * (depth - number % 8))


def assert_linear(answer_of: Callable[[int], tuple[bytes, Question]]) -> None:
    def parse(octets: bytes, question: Question) -> None:
        with suppress(MessageError):
            parse_answer(query_for(question), question, octets)

    (small, question), (large, _) = answer_of(SMALL), answer_of(LARGE)
    assert len(small) <= SMALL and LARGE - 700 < len(large) <= LARGE
    seconds = best_seconds(lambda: parse(large, question))
    assert seconds < 80 * max(best_seconds(lambda: parse(small, question)), 0.0005)
    assert seconds < 0.1  # nothing holds the event loop for longer, see DESIGN.md


# With how many octets a step of theirs has, and where one has to enter: a name that still can be read costs the most.
FIRSTS: dict[Callable[[int], bytes], tuple[int, int]] = {
    long_name: (2, 7),
    chain_of_pointers: (2, 120),
    labels_and_pointers: (4, 118),
}


@pytest.mark.parametrize("first_of", FIRSTS)
@pytest.mark.parametrize("too_far", [0, 500])
@pytest.mark.parametrize("type_", [A, CNAME, NS, PTR, MX, SOA])
@pytest.mark.parametrize("where", ["owner", "data", "both"])
@pytest.mark.parametrize("section", ["answer", "authority", "additional"])
def test_pointers(first_of: Callable[[int], bytes], too_far: int, type_: int, where: str, section: str) -> None:
    question = QUESTION._replace(type=type_)
    step, depth = FIRSTS[first_of]

    def answer_of(size: int) -> tuple[bytes, Question]:
        first = first_of(size)

        def unit(number: int) -> bytes:
            owner, name = into(2 * number, step, depth + too_far), into(2 * number + 1, step, depth + too_far)
            owner, name = owner if where != "data" else HERE, name if where != "owner" else HERE
            data = {A: bytes(4), MX: b"\0\1" + name, SOA: name + name + bytes(20)}.get(type_, name)
            return record(owner, type_, data)

        records = many(first, unit, size)
        empty: list[bytes] = []
        sections = [records if section == name else empty for name in ("answer", "authority", "additional")]
        return response(query_for(question), *sections), question

    assert_linear(answer_of)


UNITS: dict[str, Callable[[int], bytes]] = {
    "records that answer": lambda number: record(HERE, A, struct.pack("!I", number)),
    "least records": lambda number: record(b"\0", FILLER, b""),
    "aliases of themselves": lambda number: record(HERE, CNAME, HERE),
    "owners of their own": lambda number: record(labels(b"%05d" % number), A, bytes(4)),
    "chain": lambda number: record(labels(b"%05d" % number), CNAME, labels(b"%05d" % (number + 1))),
    "chain backwards": lambda number: record(labels(b"%05d" % (number + 1)), CNAME, labels(b"%05d" % number)),
    "long owners": lambda number: record(labels(*[b"%d" % (number % 10)] * 127), A, bytes(4)),
    "odd owners": lambda number: record(labels(*[b"\0" * 63] * 3, b"%05d" % number), A, bytes(4)),
    "addresses of no length": lambda number: record(HERE, A, b""),
    "OPT": lambda number: record(b"\0", 41, b""),
    "SOA": lambda number: record(HERE, SOA, HERE + HERE + bytes(20)),
    "octets": lambda number: b"\xff",
    "zeros": lambda number: b"\0",
    "labels": lambda number: b"\1a",
    "pointers": lambda number: HERE,
}


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("start", [b"", record(HERE, CNAME, labels(b"00000"))])
def test_units(name: str, start: bytes) -> None:
    def answer_of(size: int) -> tuple[bytes, Question]:
        records = many(start, UNITS[name], size)
        return response(query_for(QUESTION), records, records[:0], counts=(len(records), 0, 0)), QUESTION

    assert_linear(answer_of)


@pytest.mark.parametrize("text", [b"\0", b"\1a", b"\xff" + b"a" * 255])
@pytest.mark.parametrize("count", [1, 20])
def test_text(text: bytes, count: int) -> None:
    question = QUESTION._replace(type=TXT)

    def answer_of(size: int) -> tuple[bytes, Question]:
        strings = (size - AFTER_QUESTION - 12 * count) // count // len(text)
        return response(query_for(question), [record(HERE, TXT, text * strings)] * count), question

    def bounded(size: int) -> tuple[bytes, Question]:
        octets, question = answer_of(size)
        return octets + bytes(max(size - len(octets), 0)), question

    assert_linear(bounded)
