"""Replies both ways; every bad answer of a backend that made another proxy lose mail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.smtp.replies import (
    MAX_REPLY_OCTETS,
    MalformedReplyError,
    Reply,
    ReplyReader,
    accepted_by_backend,
    refusal,
    refusal_of_backend,
    reply,
)
from tests.fuzz import cases
from tests.smtp.cutting import Cut, cuts, ways
from tests.smtp.replies_form import check_refusal, check_replies


def read(octets: bytes, cut: Cut) -> tuple[list[Reply], str]:
    """The replies, and how it ended: 'malformed', 'unfinished' or 'complete'."""
    reader = ReplyReader()
    replies: list[Reply] = []
    try:
        for piece in [*cut(octets), b""]:
            replies += reader.receive(piece)
    except MalformedReplyError as error:
        assert str(error).isascii() and str(error).isprintable() and len(str(error)) < 200
        return replies, "malformed"
    return replies, "unfinished" if reader.in_reply else "complete"


OK = Reply(250, (b"ok",))


@pytest.mark.parametrize("way", ways())
@pytest.mark.parametrize(
    ("octets", "replies", "end"),
    [
        (b"", [], "complete"),
        (b"250 ok\r\n", [OK], "complete"),
        (b"250\r\n", [Reply(250, (b"",))], "complete"),
        (b"250 \r\n", [Reply(250, (b"",))], "complete"),
        (b"250-\r\n250-a\r\n250\r\n", [Reply(250, (b"", b"a", b""))], "complete"),
        (b"250-a\r\n250 b\r\n354 go\r\n250 ok\r\n", [Reply(250, (b"a", b"b")), Reply(354, (b"go",)), OK], "complete"),
        (b"250 gr\xc3\xbc\xc3\x9fe \xff\tx\r\n", [Reply(250, (b"gr\xc3\xbc\xc3\x9fe \xff\tx",))], "complete"),
        (b"250-x\r\n" * 99 + b"250 x\r\n", [Reply(250, (b"x",) * 100)], "complete"),
        (b"250 " + b"x" * 5000 + b"\r\n", [Reply(250, (b"x" * 5000,))], "complete"),
        (b"250 2.0.0 o", [], "unfinished"),
        (b"250 2.0.0 ok\r", [], "unfinished"),
        (b"250-2.0.0 ok\r\n", [], "unfinished"),
        (b"250-2.0.0 ok\r\n250", [], "unfinished"),
        (b"250 ok\r\n2", [OK], "unfinished"),
        (b"250-ok\r\n550 no\r\n", [], "malformed"),
        (b"550-no\r\n250 ok\r\n", [], "malformed"),
        (b"250-ok\r\n251-ok\r\n250 ok\r\n", [], "malformed"),
        (b"650 ok\r\n", [], "malformed"),
        (b"150 ok\r\n", [], "malformed"),
        (b"25 ok\r\n", [], "malformed"),
        (b"2500 ok\r\n", [], "malformed"),
        (b"250_ok\r\n", [], "malformed"),
        (b"250ok\r\n", [], "malformed"),
        (b" 250 ok\r\n", [], "malformed"),
        (b"garbage\r\n250 ok\r\n", [], "malformed"),
        (b"\r\n250 ok\r\n", [], "malformed"),
        (b"250 ok\r\ngarbage\r\n250 ok\r\n", [OK], "malformed"),
        (b"250 ok\n", [], "malformed"),
        (b"250 ok\r\r\n", [], "malformed"),
        (b"250 o\0k\r\n", [], "malformed"),
        (b"250 \x1b[31mok\r\n", [], "malformed"),
        (b"250 o\x7fk\r\n", [], "malformed"),
        (b"\xb2\xb5\xb0 ok\r\n", [], "malformed"),
        (b"250 " + b"x" * (MAX_REPLY_OCTETS - 6) + b"\r\n", [Reply(250, (b"x" * (MAX_REPLY_OCTETS - 6),))], "complete"),
        (b"250 " + b"x" * (MAX_REPLY_OCTETS - 5) + b"\r\n", [], "malformed"),
        (b"250-x\r\n" * 10_000 + b"250 ok\r\n", [], "malformed"),
        (b"250 ok\r\n" + b"250-x\r\n" * 10_000, [OK], "malformed"),
        (b"x" * (MAX_REPLY_OCTETS + 1), [], "malformed"),
    ],
    ids=range(38),
)
def test_reading(octets: bytes, replies: list[Reply], end: str, way: str) -> None:
    assert read(octets, ways()[way]) == (replies, end)


@cases(400)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [b"250", b"250-", b"250 ", b"550 ", b"\r\n", b"\n", b"ok", b"\0", b"421-x\r\n", b"250 ok\r\n"]
            ),
            st.binary(max_size=4),
        ),
        max_size=20,
    ).map(b"".join),
    cuts,
)
def test_cuts_change_nothing(octets: bytes, cut: Cut) -> None:
    assert read(octets, cut) == read(octets, lambda octets: [octets])


def test_holds_no_more_than_its_limit() -> None:
    reader = ReplyReader()
    with pytest.raises(MalformedReplyError):
        for count in range(10_000):
            reader.receive(b"250-" + b"x" * 100 + b"\r\n")
            assert (count + 1) * 106 <= MAX_REPLY_OCTETS


def test_own_replies() -> None:
    assert reply(250, "2.0.0", "OK") == b"250 2.0.0 OK\r\n"
    assert refusal(550, "5.7.1", "POLICY", "no") == b"550 5.7.1 MessageWall: POLICY/REJECT: no\r\n"
    assert refusal(451, "4.3.0", "BACKEND", "later") == b"451 4.3.0 MessageWall: BACKEND/TEMPORARY: later\r\n"
    assert refusal(421, "4.3.2", "SMTP", "bye", fatal=True) == b"421 4.3.2 MessageWall: SMTP/FATAL: bye\r\n"
    assert refusal(554, "5.7.1", "X", "a\r\nb\x1b") == b"554 5.7.1 MessageWall: X/REJECT: a\\x0d\\x0ab\\x1b\r\n"


@pytest.mark.parametrize(
    ("answer", "octets", "misconfigured"),
    [
        (Reply(550, (b"5.1.1 unknown",)), b"550 5.1.1 unknown\r\n", False),
        (Reply(550, (b"unknown",)), b"550 5.0.0 unknown\r\n", False),
        (Reply(554, (b"4.1.1 odd",)), b"554 5.0.0 odd\r\n", False),
        (Reply(552, (b"",)), b"552 5.0.0\r\n", False),
        (Reply(553, (b"5.1.1",)), b"553 5.1.1\r\n", False),
        (Reply(551, (b"5.1.1x",)), b"551 5.0.0 5.1.1x\r\n", False),
        (Reply(550, (b"5.1.1 one", b"5.1.1 two\t\x9b")), b"550 5.1.1 one 5.1.1 two\\x09\\x9b\r\n", False),
        (Reply(450, (b"4.2.0 greylisted",)), b"450 4.2.0 greylisted\r\n", False),
        (Reply(452, (b"full",)), b"452 4.0.0 full\r\n", False),
    ],
)
def test_passed_on(answer: Reply, octets: bytes, misconfigured: bool) -> None:
    assert refusal_of_backend(answer, "RCPT") == (octets, misconfigured)


@pytest.mark.parametrize("code", [500, 501, 502, 503, 504, 521, 530, 535, 549, 555, 556, 571, 599, 421, 460, 499])
def test_not_passed_on(code: int) -> None:
    octets, misconfigured = refusal_of_backend(Reply(code, (b"5.7.1 go away",)), "MAIL")
    (one,) = check_replies(octets)
    check_refusal(one)
    assert one.start == "451 4.3.0"
    assert misconfigured is (code != 421)


@pytest.mark.parametrize(
    ("answer", "octets"),
    [
        (Reply(250, (b"2.0.0 Ok: queued as 1",)), b"250 2.0.0 Ok: queued as 1\r\n"),
        (Reply(299, (b"fine",)), b"250 2.0.0 fine\r\n"),
        (Reply(251, ()), b"250 2.0.0\r\n"),
        (Reply(250, (b"5.0.0 hm",)), b"250 2.0.0 hm\r\n"),
    ],
)
def test_accepted(answer: Reply, octets: bytes) -> None:
    assert accepted_by_backend(answer) == octets


@cases(300)
@given(st.integers(400, 599), st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_whatever_the_backend_says_ours_has_the_right_form(code: int, lines: list[bytes]) -> None:
    (one,) = check_replies(refusal_of_backend(Reply(code, tuple(lines)), "RCPT").octets)
    assert one.code == code or one.start == "451 4.3.0"
    assert one.code < 500 or 550 <= one.code <= 554
    (one,) = check_replies(accepted_by_backend(Reply(250, tuple(lines))))
    assert one.code == 250
