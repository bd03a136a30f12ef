"""Whatever comes: an Answer, or one of the three exceptions. MWALL_FUZZ multiplies the cases, see tests/fuzz.py."""

from contextlib import suppress
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mwall.dns.answers import MX, PTR, SOA, TXT, TYPE_NAMES, A, Answer, Question
from mwall.dns.message import (
    MAX_KEPT,
    MAX_TTL,
    MAX_TXT_OCTETS,
    RANDOM_OCTETS,
    MessageError,
    TruncatedError,
    WrongAnswerError,
    build_query,
    parse_answer,
)
from mwall.dns.names import DnsNameError, read_name, to_wire
from tests.dns.wire import HERE, QUESTION, labels, pointer, query_for, record, response
from tests.fuzz import cases

NUMBERS = bytes(16) + b"\0\0\0\x3c"
RECORDS = [
    record(HERE, 5, labels(b"alias", end=pointer(22))),
    record(labels(b"alias", end=pointer(22)), A, b"\x7f\0\0\2"),
    record(labels(b"alias", end=pointer(22)), MX, b"\0\1" + labels(b"mx", end=HERE)),
    record(labels(b"alias", end=pointer(22)), TXT, b"\3abc\0"),
    record(HERE, SOA, HERE + labels(b"host.master") + NUMBERS),
]
OPT = b"\0\0\x29\x10\0\0\0\0\0\0\0"

types = st.sampled_from(sorted(TYPE_NAMES))
offsets = st.integers(0, 400)
names = st.one_of(
    st.just(HERE),
    st.builds(labels, st.binary(max_size=70)),
    st.builds(pointer, offsets),
    st.builds(lambda label, offset: labels(label, end=pointer(offset)), st.binary(max_size=9), offsets),
    st.binary(max_size=12),
)
data = st.one_of(
    names,
    names.map(lambda name: b"\0\1" + name),
    st.builds(lambda first, second: first + second + NUMBERS, names, names),
)
ttls = st.integers(0, 0xFFFFFFFF)
records = st.lists(st.builds(record, names, types | st.just(41), data, ttls, st.sampled_from((1, 1, 1, 3))), max_size=6)


def assert_harmless(octets: bytes, question: Question) -> None:
    with suppress(WrongAnswerError, TruncatedError, MessageError):
        answer = parse_answer(query_for(question), question, octets)
        assert isinstance(answer, Answer)
        assert 0 <= answer.ttl <= MAX_TTL
        assert len(answer.records) <= MAX_KEPT
        assert sum(len(text) for text in answer.records if isinstance(text, bytes)) <= MAX_TXT_OCTETS
        for name in answer.records:
            if isinstance(name, str):
                assert name.isascii() and name.isprintable() and not set(name) & set(" \"'")


@cases(300)
@given(st.binary(max_size=2000))
def test_any_octets(octets: bytes) -> None:
    assert_harmless(octets, QUESTION)


@cases(500)
@given(
    st.binary(max_size=300),
    types,
    st.tuples(st.integers(0, 65535), st.integers(0, 9), st.integers(0, 9)),
    st.sampled_from((0, 3)),
)
@example(b"", A, (0, 0, 0), 0)
def test_any_octets_after_a_valid_head(octets: bytes, type_: int, counts: tuple[int, int, int], rcode: int) -> None:
    question = Question(QUESTION.name, type_)
    assert_harmless(response(query_for(question), [octets], counts=counts, rcode=rcode), question)


@cases(500)
@given(records, records, records, types, st.sampled_from((0, 0, 3)))
def test_any_records(
    answers: list[bytes], authority: list[bytes], additional: list[bytes], type_: int, rcode: int
) -> None:
    question = Question(QUESTION.name, type_)
    assert_harmless(response(query_for(question), answers, authority, additional, rcode=rcode), question)


@pytest.mark.parametrize("type_", [A, MX, TXT, SOA])
def test_cuts(type_: int) -> None:
    """Cut anywhere, it is never taken for the answer: each record was promised."""
    question = Question(QUESTION.name, type_)
    octets = response(query_for(question), RECORDS, RECORDS[-1:], [OPT])
    assert parse_answer(query_for(question), question, octets).records
    for size in range(len(octets)):
        with pytest.raises((WrongAnswerError, MessageError)):
            parse_answer(query_for(question), question, octets[:size])


@pytest.mark.parametrize("type_", [A, MX, TXT, SOA, PTR])
def test_bit_flips(type_: int) -> None:
    question = Question(QUESTION.name, type_)
    octets = response(query_for(question), RECORDS, RECORDS[-1:], [OPT])
    random = Random(type_)
    for at in range(len(octets)):
        for bit in range(8):
            flipped = octets[:at] + bytes((octets[at] ^ 1 << bit,)) + octets[at + 1 :]
            assert_harmless(flipped, question)
            elsewhere = random.randrange(len(octets))
            assert_harmless(flipped[:elsewhere] + random.randbytes(1) + flipped[elsewhere + 1 :], question)


@cases(300)
@given(st.binary(max_size=400), st.integers(0, 400))
def test_any_name(message: bytes, offset: int) -> None:
    with suppress(DnsNameError):
        text, after = read_name(message, offset)
        assert offset < after <= len(message)
        assert text == text.lower() and len(text) <= 4 * 255
        with suppress(DnsNameError):  # what can be asked for is its own text
            assert read_name(to_wire(text), 0)[0] == text


@cases(300)
@given(st.text(max_size=300), types, st.binary(min_size=RANDOM_OCTETS, max_size=RANDOM_OCTETS))
def test_any_question(name: str, type_: int, randomness: bytes) -> None:
    with suppress(DnsNameError):
        query = build_query(Question(name, type_), randomness)
        assert read_name(query, 12) == (name.lower(), len(query) - 15)
