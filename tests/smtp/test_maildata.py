"""End of data, stuffing, mending, against a little oracle and every sequence known to have smuggled somewhere."""

import itertools
import re
import sys
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.smtp.maildata import Fault, MailDataReader
from tests.fuzz import cases
from tests.smtp.cutting import Cut, at, byte_by_byte, cuts, whole

NO_LIMIT = 10**9
NOT_AN_END = [
    b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n. \r\n", b"\r\n..\r\n", b"\n\r.\n\r", b"\r\n.\x1a\r\n",
    b"\r\n.\r\0\n", b"\r\n.\r\r\r\n", b"\r\0\n.\r\0\n",
]  # fmt: skip
MODES = pytest.mark.parametrize("normalize", [False, True], ids=["reject", "normalize"])


class Result(NamedTuple):
    kept: bytes
    fault: Fault | None
    rest: bytes | None


def read(wire: bytes, cut: Cut, normalize: bool, limit: int = NO_LIMIT) -> Result:
    """What the reader makes of `wire`; the pieces that come behind the end are added to its rest."""
    reader = MailDataReader(limit, normalize)
    rest: bytes | None = None
    for piece in cut(wire):
        if rest is not None:
            rest += piece
        else:
            rest = reader.receive(piece)
        assert reader.octets == sum(map(len, reader.chunks))
        assert reader.octets - b"".join(reader.chunks).count(b".") <= limit
        assert not reader.fault or not reader.chunks
    return Result(b"".join(reader.chunks), reader.fault, rest)


def oracle(wire: bytes, normalize: bool, limit: int = NO_LIMIT) -> tuple[bytes | None, Fault | None, bytes | None]:
    """(message unstuffed, fault, rest), from the words of the reference: slow, plain, over the whole."""
    body, end, rest = (b"\r\n" + wire).partition(b"\r\n.\r\n")
    if not end:
        return None, None, None
    lines = [line.removeprefix(b".") for line in body.split(b"\r\n")[1:]]
    if re.search(rb"[\0\r\n]", b"".join(lines)):
        if not normalize:
            return None, Fault.BARE_NEWLINE, rest
        lines = [line.replace(b"\0", b"") for whole_line in lines for line in re.split(rb"[\r\n]", whole_line)]
    message = b"".join(line + b"\r\n" for line in lines)
    return (None, Fault.TOO_BIG, rest) if len(message) > limit else (message, None, rest)


def unstuffed(kept: bytes) -> bytes:
    return b"".join(line.removeprefix(b".") for line in kept.splitlines(keepends=True))


def check_clean(kept: bytes) -> None:
    """Only (line CRLF)*, no line a lone dot, and none that a lenient reader takes for one."""
    assert re.fullmatch(rb"(?:[^\r\n\0]*\r\n)*", kept)
    assert b"\r\n.\r\n" not in b"\r\n" + kept


def check(wire: bytes, cut: Cut, normalize: bool, limit: int = NO_LIMIT) -> None:
    message, fault, rest = oracle(wire, normalize, limit)
    result = read(wire, cut, normalize, limit)
    assert (result.fault, result.rest) == (fault, rest)
    if message is None:
        assert result.kept == b""
    else:
        check_clean(result.kept)
        assert re.sub(rb"(?m)^\.", b"", result.kept) == message == unstuffed(result.kept)


@MODES
@pytest.mark.parametrize("sequence", NOT_AN_END, ids=repr)
def test_ends_nothing_at_any_split(sequence: bytes, normalize: bool) -> None:
    smuggled = b"MAIL FROM:<a@example.org>\r\nDATA\r\n"
    wire = b"Subject: x\r\n\r\nbody" + sequence + smuggled + b".\r\nQUIT\r\n"
    start = wire.index(sequence)
    places = range(start - 1, start + len(sequence) + 2)
    results = {read(wire, lambda octets, p=p: at(octets, *p), normalize)  # type: ignore[misc]
               for number in range(4) for p in itertools.combinations(places, number)}  # fmt: skip
    results |= {read(wire, lambda octets, p=p: at(octets, p), normalize) for p in range(len(wire) + 1)}  # type: ignore[misc]
    results.add(read(wire, byte_by_byte, normalize))
    assert len(results) == 1
    (result,) = results
    assert result.rest == b"QUIT\r\n"
    faulty = bool(re.search(rb"\0|\r(?!\n)|(?<!\r)\n", sequence + b"M"))
    assert result.fault is (Fault.BARE_NEWLINE if faulty and not normalize else None)
    assert result.fault or smuggled in result.kept
    check(wire, whole, normalize)


@MODES
@pytest.mark.parametrize(
    ("wire", "message", "faulty"),
    [
        (b".\r\n", b"", False),
        (b"\r\n.\r\n", b"\r\n", False),
        (b"a\r\n.\r\n", b"a\r\n", False),
        (b"a\r\r\n.\r\n", b"a\r\n\r\n", True),
        (b"\r\r\n.\r\n", b"\r\n\r\n", True),
        (b"\n\r\n.\r\n", b"\r\n\r\n", True),
        (b"..\r\n.\r\n", b".\r\n", False),
        (b".a\r\n..b\r\n.\r\n", b"a\r\n.b\r\n", False),
        (b"a\n.\n.b\r\n.\r\n", b"a\r\n.\r\n.b\r\n", True),
        (b"a\r\n.\0\r\n\0.\r\n.\r\n", b"a\r\n\r\n.\r\n", True),
        (b"a\r\0\nb\r\n.\r\n", b"a\r\n\r\nb\r\n", True),
        (b"\0.\r\n.\r\n", b".\r\n", True),
        (b".\0.\r\n.\r\n", b".\r\n", True),
        (b"caf\xe9 \x80\r\n.\r\n", b"caf\xe9 \x80\r\n", False),
    ],
    ids=range(14),
)
def test_ends_at_any_split(wire: bytes, message: bytes, faulty: bool, normalize: bool) -> None:
    rest = b"NOOP\r\n.\r\n"
    everywhere: list[Cut] = [lambda octets, p=p: at(octets, p) for p in range(len(wire + rest) + 1)]  # type: ignore[misc]
    for cut in (whole, byte_by_byte, *everywhere):
        result = read(wire + rest, cut, normalize)
        assert result.rest == rest
        if faulty and not normalize:
            assert result[:2] == (b"", Fault.BARE_NEWLINE)
        else:
            assert result.fault is None
            check_clean(result.kept)
            assert unstuffed(result.kept) == message


def test_clean_data_is_kept_as_it_came() -> None:
    wire = b"Subject: x\r\n\r\n..\r\n.a\r\n" + b"x" * 5000 + b"\r\n"
    for normalize in (False, True):
        assert read(wire + b".\r\n", byte_by_byte, normalize).kept == wire


@MODES
def test_all_short_data(normalize: bool) -> None:
    for length in range(7):
        for octets in itertools.product((b"\r", b"\n", b".", b"\0", b"a"), repeat=length):
            wire = b"".join(octets)
            for end in (b"", b"\r\n.\r\n"):
                message, fault, rest = oracle(wire + end, normalize)
                for cut in (whole, byte_by_byte):
                    result = read(wire + end, cut, normalize)
                    assert (result.rest, result.rest is None or result.fault) == (rest, rest is None or fault), wire
                    if message is not None:
                        check_clean(result.kept)
                        assert unstuffed(result.kept) == message, wire


tokens = st.one_of(
    st.sampled_from([b"\r", b"\n", b".", b"\0", b"\r\n", b"\r\n.", b"\n.", b"\r.", b"..", b"\r\n.\r\n", *NOT_AN_END]),
    st.sampled_from([b"a", b" ", b"\x1a", b"\xff", b"line of text"]),
    st.binary(max_size=5),
)
clean_tokens = st.sampled_from([b"\r\n", b"\r\n.", b"\r\n..", b"a", b".", b"text"])
wires = st.one_of(st.lists(tokens, max_size=25), st.lists(clean_tokens, max_size=25)).map(b"".join)


@cases(600)
@given(wires, st.booleans(), cuts, st.one_of(st.just(NO_LIMIT), st.integers(0, 60)))
def test_any_octets_against_the_oracle(wire: bytes, normalize: bool, cut: Cut, limit: int) -> None:
    check(wire + b"\r\n.\r\nQUIT\r\n", cut, normalize, limit)


@cases(300)
@given(wires, st.booleans())
def test_mended_once_is_mended_for_ever(wire: bytes, normalize: bool) -> None:
    kept = read(wire + b"\r\n.\r\n", whole, True).kept
    assert read(kept + b".\r\n", byte_by_byte, normalize) == Result(kept, None, b"")


def test_size_is_counted_without_stuffing() -> None:
    wire = b"..a\r\n" * 10
    assert read(wire + b".\r\n", byte_by_byte, False, 40).fault is None
    assert read(wire + b".\r\n", byte_by_byte, False, 39).fault is Fault.TOO_BIG
    mended = b".\n" * 10
    assert read(b"x\n" + mended + b"\r\n.\r\n", byte_by_byte, True, 35).fault is None
    assert read(b"x\n" + mended + b"\r\n.\r\n", whole, True, 34).fault is Fault.TOO_BIG


@MODES
def test_end_is_found_past_the_limit(normalize: bool) -> None:
    for cut in (whole, byte_by_byte):
        result = read(b"x" * 100 + b"\r\n..\r\n.\r\nQUIT\r\n", cut, normalize, limit=10)
        assert result == Result(b"", Fault.TOO_BIG, b"QUIT\r\n")


def test_bare_newline_outweighs_size_whichever_came_first() -> None:
    for wire in (b"x\n" + b"y" * 100, b"y" * 100 + b"\nx"):
        for cut in (whole, byte_by_byte):
            assert read(wire + b"\r\n.\r\n", cut, False, 50).fault is Fault.BARE_NEWLINE


def test_discarded_keeps_nothing_and_ends() -> None:
    reader = MailDataReader(NO_LIMIT, False)
    assert reader.receive(b"some text\r\n") is None
    reader.discard(Fault.NO_MEMORY)
    assert reader.receive(b"more text\r\n.") is None
    assert reader.receive(b"\r\nQUIT\r\n") == b"QUIT\r\n"
    assert (reader.fault, reader.chunks, reader.octets) == (Fault.NO_MEMORY, [], 0)


@MODES
@pytest.mark.parametrize("piece", [b"x", b"xy", b"\r\n", b"..", b"\n\0.", b"x" * 100])
def test_small_pieces_cost_no_more_memory_than_large_ones(piece: bytes, normalize: bool) -> None:
    limit = 200_000
    reader = MailDataReader(limit, normalize)
    for _ in range(2 * limit // len(piece)):
        assert reader.receive(piece) is None
        assert reader.octets <= 2 * limit + 10
    reader = MailDataReader(limit, normalize)
    for _ in range(limit // len(piece) // 4):
        reader.receive(piece)
    assert sys.getsizeof(reader.chunks) + sum(map(sys.getsizeof, reader.chunks)) <= 1.2 * reader.octets + 4096
