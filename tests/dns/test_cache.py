import gc
import tracemalloc
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.dns.answers import AAAA, A, Answer, Authority, Exchange, Question, Record, Status
from mwall.dns.cache import Cache
from mwall.dns.message import MAX_KEPT, MAX_TTL
from tests.fuzz import cases

QUESTION = Question("2.0.0.127.zen.example.org", A)
ANSWER = Answer(Status.FOUND, (IPv4Address("127.0.0.2"),), 300)
ROOM = 1 << 20


def question(number: int) -> Question:
    return Question(f"{number % 256}.{number >> 8}.0.127.zen.example.org", A)


def test_kept_for_its_ttl() -> None:
    cache = Cache(ROOM)
    assert cache.get(QUESTION, 1000.0) is None
    cache.put(QUESTION, ANSWER, 1000.0)
    assert cache.get(QUESTION, 1000.0) is ANSWER
    assert cache.get(QUESTION, 1299.9) is ANSWER
    assert cache.get(QUESTION, 1300.0) is None
    assert (len(cache), cache.octets) == (0, 0)
    assert cache.get(QUESTION, 1000.0) is None


def test_use_does_not_prolong() -> None:
    cache = Cache(ROOM)
    cache.put(QUESTION, ANSWER, 0.0)
    assert all(cache.get(QUESTION, now) for now in range(300))
    assert cache.get(QUESTION, 300.0) is None


@pytest.mark.parametrize("ttl", [MAX_TTL, MAX_TTL + 1, 0x7FFFFFFF])
def test_kept_no_longer_than_an_hour(ttl: int) -> None:
    cache = Cache(ROOM)
    cache.put(QUESTION, ANSWER._replace(ttl=ttl), 5.0)
    assert cache.get(QUESTION, 5.0 + MAX_TTL - 1)
    assert cache.get(QUESTION, 5.0 + MAX_TTL) is None


def test_no_ttl_is_not_kept() -> None:
    cache = Cache(ROOM)
    cache.put(QUESTION, ANSWER._replace(ttl=0), 0.0)
    cache.put(QUESTION, Answer(Status.FAILED, why="SERVFAIL"), 0.0)
    assert cache.get(QUESTION, 0.0) is None
    assert (len(cache), cache.octets) == (0, 0)


def test_types_and_negative_answers_are_entries_of_their_own() -> None:
    cache = Cache(ROOM)
    nothing = Answer(Status.NO_DATA, ttl=60)
    cache.put(QUESTION, ANSWER, 0.0)
    cache.put(QUESTION._replace(type=AAAA), nothing, 0.0)
    assert cache.get(QUESTION, 1.0) is ANSWER
    assert cache.get(QUESTION._replace(type=AAAA), 1.0) is nothing


def test_the_later_answer_counts() -> None:
    cache = Cache(ROOM)
    cache.put(QUESTION, ANSWER._replace(records=ANSWER.records * 50), 0.0)
    cache.put(QUESTION, ANSWER, 200.0)
    assert cache.get(QUESTION, 400.0) is ANSWER
    other = Cache(ROOM)
    other.put(QUESTION, ANSWER, 0.0)
    assert (len(cache), cache.octets) == (1, other.octets)


def test_least_recently_used_leaves_first() -> None:
    cache = Cache(100_000)
    number = 0
    while len(cache) == number:  # until the first have left
        cache.put(question(number), ANSWER, 0.0)
        number += 1
        for used in (0, 3):
            cache.get(question(used), 0.0)
    kept = [cache.get(question(at), 1.0) is ANSWER for at in range(number)]
    gone = kept.count(False)
    assert 0 < gone < number // 8
    assert kept == [True, False, False, True] + [False] * (gone - 2) + [True] * (number - gone - 2)


def test_one_larger_than_all_room_is_not_kept() -> None:
    cache = Cache(2_000)
    cache.put(QUESTION, ANSWER, 0.0)
    cache.put(question(1), Answer(Status.FOUND, (b"x" * 2_000,), 300), 0.0)
    assert cache.get(QUESTION, 1.0) is ANSWER
    assert len(cache) == 1


def test_one_that_fills_all_room_stays() -> None:
    text = Answer(Status.FOUND, (b"x" * 1_000,), 300)
    measured = Cache(ROOM)
    measured.put(QUESTION, text, 0.0)
    cache = Cache(measured.octets)
    cache.put(question(1), ANSWER, 0.0)
    cache.put(QUESTION, text, 0.0)
    assert cache.get(QUESTION, 1.0) is text
    assert (len(cache), cache.octets) == (1, measured.octets)


def test_no_room_at_all() -> None:
    cache = Cache(0)
    cache.put(QUESTION, ANSWER, 0.0)
    assert cache.get(QUESTION, 0.0) is None


# A question, the TTL and the number of records of its answer, and whether it is put or asked for.
steps_of_use = st.tuples(st.integers(0, 12), st.sampled_from((0, 1, 30, 9999)), st.integers(0, 30), st.booleans())


@cases(100)
@given(st.lists(steps_of_use, max_size=60), st.integers(0, 8_000))
def test_bounds_and_freshness(steps: list[tuple[int, int, int, bool]], room: int) -> None:
    """Whatever is put and asked for: within the room, never stale, never another's."""
    cache = Cache(room)
    put: dict[Question, tuple[Answer, float]] = {}
    now = 0.0
    for number, ttl, records, is_put in steps:
        now += 7
        asked = question(number)
        if is_put:
            answer = Answer(Status.FOUND, (IPv4Address(number),) * records, ttl)
            cache.put(asked, answer, now)
            if ttl:
                put[asked] = answer, now + min(ttl, MAX_TTL)
        elif answer_kept := cache.get(asked, now):
            assert answer_kept is put[asked][0] and now < put[asked][1]
        assert 0 <= cache.octets <= room and (cache.octets > 0) == (len(cache) > 0)


def several(make: Callable[[int], Record], count: int) -> Callable[[int], Answer]:
    return lambda number: Answer(Status.FOUND, tuple([make(number + at) for at in range(count)]), 300 + number % 3000)


MAKERS: dict[str, Callable[[int], Record]] = {
    "A": lambda number: IPv4Address(0x7F000002 + number),
    "AAAA": lambda number: IPv6Address((1 << 127) + number),
    "PTR": lambda number: f"host{number}.example.com",
    "TXT": lambda number: b"v=spf1 %d -all" % number,
    "MX": lambda number: Exchange(1000 + number % 3000, f"mx{number}.example.com"),
    "SOA": lambda number: Authority(f"ns{number}.example", f"host.ns{number}.example", 10**9 + number, 9_000 + number),
}
KINDS: dict[str, Callable[[int], Answer]] = {
    "none": lambda number: Answer(Status.NO_NAME, (), 300 + number % 3000),
    "long TXT": lambda number: Answer(Status.FOUND, (b"%d" % number * 500,), 300),
    **{f"{name} {count}": several(make, count) for name, make in MAKERS.items() for count in (1, 3, MAX_KEPT)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_octets_are_an_honest_estimate(kind: str) -> None:
    """Also once many have left: what it holds, not what went through it."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        cache = Cache(ROOM)
        number = measured = 0
        while measured < 20:
            had = len(cache)
            cache.put(question(number), KINDS[kind](number), number / 1000)
            number += 1
            if len(cache) < had:
                measured += 1
                if measured in (1, 7, 20):
                    gc.collect()
                    assert 0.95 < cache.octets / (tracemalloc.get_traced_memory()[0] - before) < 1.3
    finally:
        tracemalloc.stop()


def test_a_hundred_thousand_questions() -> None:
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        cache = Cache(2 * ROOM)
        for number in range(100_000):
            cache.put(question(number), ANSWER, number / 1000)
        assert cache.octets <= 2 * ROOM
        assert tracemalloc.get_traced_memory()[1] - before < 2.1 * ROOM
        assert len(cache) > 3000
        assert cache.get(question(99_999), 100.0) is ANSWER
    finally:
        tracemalloc.stop()
