"""The header section: its end, its fields, what may not pass."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.header import (
    MAX_FIELDS,
    MAX_HEADER_OCTETS,
    HeaderError,
    clean_header,
    header_end,
    parse_fields,
    values_by_name,
)

LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"X-MessageWall-Score: 0",
                b"x-messagewall-warning : TO_REQUIRED: (1)",
                b".X-MESSAGEWALL-Score: 0",
                b"X-MessageWall-",
                b"From joe@example.org  Thu Aug 22 12:36:23 2002",
                b".From joe",
                b"From : joe@example.org",
                b" folded",
                b"\tfolded",
                b". folded",
                b"..dotted: 1",
                b"To: joe@example.org",
                b"no field",
                b" ",
            ]
        ),
        st.binary(min_size=1, max_size=20).map(lambda octets: re.sub(rb"[\r\n]", b"x", octets)),
    ),
    max_size=12,
)
HEADERS = LINES.map(lambda lines: b"".join([line + b"\r\n" for line in lines]))


def named(header: bytes) -> list[tuple[str, str]]:
    return [(field.name, field.value) for field in parse_fields(header)]


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", -1),
        (b"\r\n", 0),
        (b"\r\nbody\r\n\r\n", 0),
        (b"A: 1\r\n", -1),
        (b"A: 1\r\n\r", -1),
        (b"A: 1\r\n\r\n", 6),
        (b"A: 1\r\n\r\nbody\r\n\r\n", 6),
        (b"A: 1\n\nB: 2\r\n\r\n", 12),
        (b"A: 1\r\n \r\nB: 2\r\n\r\n", 15),
    ],
)
def test_header_end(data: bytes, end: int) -> None:
    assert header_end(data) == end


@given(st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n"]), max_size=12).map(b"".join), st.data())
def test_header_end_found_in_steps_is_the_same(data: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=4)))
    seen, found = 0, -1
    for cut in [*cuts, len(data)]:
        found = header_end(bytearray(data[:cut]), seen)
        if found >= 0:
            break
        seen = cut
    assert found == header_end(data)


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (b"To: joe\r\n", [("To", "joe")]),
        (b"To:joe\r\nTO : jane \r\n", [("To", "joe"), ("TO", "jane")]),
        (b"Subject: one\r\n two\r\n\tthree\r\nTo:\r\n", [("Subject", "one two\tthree"), ("To", "")]),
        (b"Subject:\r\n one\r\n", [("Subject", "one")]),
        (b".To: joe\r\n. folded\r\n..A: dot\r\n", [("To", "joe folded"), (".A", "dot")]),
        (b"From joe@example.org Thu Aug 22 12:36:23 2002\r\nTo: joe\r\n", [("To", "joe")]),
        (b" folded: no\r\nnonsense\r\n: empty\r\nTo: joe\r\n", [("To", "joe")]),
        (b"no name: 1\r\nn\xc3\xa4me: 1\r\nTo: joe", [("To", "joe")]),
        ("Subject: schön\r\n".encode(), [("Subject", "schön")]),
        ("Subject: schön\r\n".encode("latin-1"), [("Subject", "schön")]),
        (b"Subject: a: b\r\n", [("Subject", "a: b")]),
        (b"Subject: a\r\n..b\r\nTo: c\r\n", [("Subject", "a"), ("To", "c")]),
    ],
)
def test_parse_fields(header: bytes, fields: list[tuple[str, str]]) -> None:
    assert named(header) == fields


def test_offsets_hold_the_whole_field() -> None:
    header = b"junk\r\nA: 1\r\n 2\r\n. 3\r\nB: \xff\r\n"
    assert [header[field.start : field.end] for field in parse_fields(header)] == [
        b"A: 1\r\n 2\r\n. 3\r\n",
        b"B: \xff\r\n",
    ]


def test_limits() -> None:
    assert len(parse_fields(b"a:\r\n" * MAX_FIELDS)) == MAX_FIELDS
    with pytest.raises(HeaderError, match="more than 10000 fields"):
        parse_fields(b"a:\r\n" * (MAX_FIELDS + 1))
    assert parse_fields(b"x" * MAX_HEADER_OCTETS) == []
    with pytest.raises(HeaderError, match="longer than 1048576 octets"):
        parse_fields(b"x" * (MAX_HEADER_OCTETS + 1))


@given(st.one_of(st.binary(), HEADERS))
def test_any_octets_give_fields_in_order(header: bytes) -> None:
    fields = parse_fields(header)
    edges = [edge for field in fields for edge in (field.start, field.end)]
    assert edges == sorted(edges)
    for field in fields:
        assert header[field.start : field.end].lstrip(b".").startswith(field.name.lstrip(".").encode())
    named_values: dict[str, list[str]] = {}
    for field in fields:
        named_values.setdefault(field.name.lower(), []).append(field.value)
    assert values_by_name(header) == named_values


@pytest.mark.parametrize(
    "header",
    [b"", b"To: joe\r\n", b"From: joe\r\nX-Other: X-MessageWall\r\n", b"From : joe\r\n", b"\r\n", b"..\r\nX: 1\r\n"],
)
def test_clean_header_returns_what_is_clean(header: bytes) -> None:
    assert clean_header(header) is header


@pytest.mark.parametrize(
    ("header", "clean"),
    [
        (b"X-MessageWall-Score: 0\r\nTo: joe\r\n", b"To: joe\r\n"),
        (b"To: joe\r\nx-messagewall-WARNING \t: a\r\n b\r\n. c\r\nCc: jane\r\n", b"To: joe\r\nCc: jane\r\n"),
        (b"To: joe\r\n.X-MessageWall-Score: 0\r\n", b"To: joe\r\n"),
        (b"To: joe\r\n..X-MessageWall-Score: 0\r\n", b"To: joe\r\n..X-MessageWall-Score: 0\r\n"),
        (b"To: joe\r\n X-MessageWall-Score: 0\r\n", b"To: joe\r\n X-MessageWall-Score: 0\r\n"),
        (b"X-MessageWall-Score\r\n : 0\r\nTo: joe\r\n", b"To: joe\r\n"),
        (b"Subject: X-MessageWall-Score: 0\r\n", b"Subject: X-MessageWall-Score: 0\r\n"),
        (b"From joe Thu Aug 22 12:36:23 2002\r\nTo: joe\r\n", b"To: joe\r\n"),
        (b".From joe\r\nTo: joe\r\n", b"To: joe\r\n"),
        (b"To: joe\r\nFrom joe\r\n", b"To: joe\r\nFrom joe\r\n"),
        (b"X-MessageWall-A: 1\r\nFrom joe\r\nTo: joe\r\n", b"To: joe\r\n"),
        (b" a report\r\n", b"\r\n a report\r\n"),
        (b"From joe\r\n. a report\r\n", b"\r\n. a report\r\n"),
        (b"X-MessageWall-Score: 0", b""),
    ],
)
def test_clean_header(header: bytes, clean: bytes) -> None:
    assert clean_header(header) == clean


@given(st.one_of(st.binary(), HEADERS))
def test_clean_header_is_idempotent(header: bytes) -> None:
    clean = clean_header(header)
    assert clean_header(clean) == clean


@given(HEADERS)
def test_clean_header_leaves_crlf_lines_and_nothing_of_ours(header: bytes) -> None:
    clean = clean_header(header)
    lines = clean.split(b"\r\n")
    assert lines.pop() == b""
    assert all(b"\r" not in line and b"\n" not in line for line in lines)
    # As the receiver reads it, below a field of ours.
    below = b"X-MessageWall-Score: 1\r\n" + clean
    head = below[:end] if (end := header_end(below)) >= 0 else below
    names = [(field.name.lower(), field.value) for field in parse_fields(head)]
    assert [name for name in names if name[0].startswith("x-messagewall-")] == [("x-messagewall-score", "1")]


@given(HEADERS)
def test_clean_header_keeps_every_other_field(header: bytes) -> None:
    kept = [field for field in named(header) if not field[0].lower().startswith("x-messagewall-")]
    assert named(clean_header(header)) == kept
