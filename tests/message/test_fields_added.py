"""The fields put on top: pure printable ASCII, folded, never broken by what comes from outside."""

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.fields_added import escaped, format_score, received_field, score_field, warning_field
from mwall.message.header import parse_fields

TEXT = st.one_of(
    st.text(st.characters(), max_size=1200),
    st.lists(st.sampled_from(["(", ")", "\\", "\r\n", "\r\nX: 1", "\x1b", "\0", "é", " ", "joe", "\ud800"])).map(
        "".join
    ),
)
DATE = "Mon, 1 Jan 2024 00:00:00 +0000"
ADDRESSES = st.ip_addresses()
SCORES = st.integers(-(10**7), 10**7)


def assert_one_field(field: bytes, name: str) -> str:
    """One field, of ASCII lines that no reader can take for anything else; returns its value."""
    assert field.endswith(b"\r\n")
    first, *folded = field[:-2].split(b"\r\n")
    assert re.fullmatch(rb"[ -~]+", first)
    for line in folded:
        assert re.fullmatch(rb"[ \t][ -~]*[!-~][ -~]*", line)
    assert max(len(line) for line in (first, *folded)) <= 998
    (parsed,) = parse_fields(field)
    assert parsed.name == name
    assert parsed.end == len(field)
    assert_paired(parsed.value)
    return parsed.value


def assert_paired(text: str) -> None:
    """Whether a backslash is a quoted-pair or just itself, the parentheses pair."""
    for view in (text, re.sub(r"\\.", "", text)):
        depth = 0
        for character in view:
            depth += (character == "(") - (character == ")")
            assert depth >= 0
        assert depth == 0


@given(TEXT, ADDRESSES, TEXT, TEXT, TEXT, st.none() | TEXT)
def test_received_is_one_field(helo, address, domain, protocol, message_id, recipient) -> None:
    assert_one_field(received_field(helo, address, domain, protocol, message_id, recipient, DATE), "Received")


@given(SCORES, TEXT)
def test_score_is_one_field(score: int, domain: str) -> None:
    assert_one_field(score_field(score, domain), "X-MessageWall-Score")


@given(st.sampled_from(["TO_REQUIRED", "HEADER_REJECT"]), TEXT, SCORES)
def test_warning_is_one_field(check: str, reason: str, score: int) -> None:
    value = assert_one_field(warning_field(check, reason, score), "X-MessageWall-Warning")
    assert value.startswith(f"{check}:")
    assert value.endswith(f"({format_score(score)})")


@given(TEXT, st.integers(10, 300))
def test_escaped(text: str, limit: int) -> None:
    shown = escaped(text, limit)
    assert re.fullmatch(r"[ -~]*", shown)
    assert len(shown) <= limit
    assert_paired(shown)


RECEIVED = [
    (
        ("mail.example.org", "192.0.2.1", "joe@example.net"),
        b"Received: from mail.example.org ([192.0.2.1])\r\n"
        b"\tby mx.example.net (MessageWall) with ESMTP id 4f2a\r\n"
        b"\tfor <joe@example.net>;\r\n"
        b"\tMon, 1 Jan 2024 00:00:00 +0000\r\n",
    ),
    (
        ("[IPv6:2001:db8::1]", "2001:db8::1", None),
        b"Received: from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n"
        b"\tby mx.example.net (MessageWall) with ESMTP id 4f2a;\r\n"
        b"\tMon, 1 Jan 2024 00:00:00 +0000\r\n",
    ),
    (
        ("a) b\r\nX: \x1b", "192.0.2.1", '"a b"@example.net'),
        b"Received: from [192.0.2.1] (helo=a\\x29 b\\x0d\\x0aX: \\x1b)\r\n"
        b"\tby mx.example.net (MessageWall) with ESMTP id 4f2a;\r\n"
        b"\tMon, 1 Jan 2024 00:00:00 +0000\r\n",
    ),
]


@pytest.mark.parametrize(("given_values", "field"), RECEIVED)
def test_received_field(given_values: tuple[str, str, str | None], field: bytes) -> None:
    helo, address, recipient = given_values
    made = received_field(helo, ipaddress.ip_address(address), "mx.example.net", "ESMTP", "4f2a", recipient, DATE)
    assert made == field


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0, "0"),
        (1000, "1"),
        (1500, "1.5"),
        (-1500, "-1.5"),
        (1, "0.001"),
        (-1, "-0.001"),
        (10_000, "10"),
        (-500, "-0.5"),
    ],
)
def test_format_score(score: int, text: str) -> None:
    assert format_score(score) == text


def test_score_field() -> None:
    assert score_field(1500, "mx.example.net") == b"X-MessageWall-Score: 1.5 (mx.example.net)\r\n"


def test_warning_field_is_folded() -> None:
    field = warning_field("HEADER_REJECT", "the Subject contains " + "word " * 12, 1000)
    assert max(len(line) for line in field.split(b"\r\n")) <= 78
    assert field.count(b"\r\n ") == 1
    short = warning_field("TO_REQUIRED", "no recipient is in To or Cc", 500)
    assert short == b"X-MessageWall-Warning: TO_REQUIRED: no recipient is in To or Cc (0.5)\r\n"
