"""Any octets from a client: valid replies, no exception, bounded memory, only clean lines towards the backend."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mwall.smtp.addresses import Mailbox
from mwall.smtp.commands import Offers
from mwall.smtp.framing import MAX_LINE
from mwall.smtp.replies import refusal
from mwall.smtp.server import Session
from tests.fuzz import cases
from tests.smtp.cutting import Cut, cuts
from tests.smtp.playing import LIMITS, Message, Play
from tests.smtp.replies_form import check_replies

SIZE = 300
paths = st.sampled_from(
    [
        "<>",
        "<a@b>",
        "<a@B.example>",
        '<"a b"@c>',
        "<a%b@c>",
        "<\u00fc@c>",
        "<@x:a@b>",
        "<a@[192.0.2.1]>",
        "<postmaster>",
        "<a",
    ]
)
commands = st.one_of(
    st.sampled_from(
        ["EHLO x", "HELO y", "EHLO", "DATA", "RSET", "NOOP", "VRFY x", "HELP", "QUIT", "STARTTLS", "GET /", "FOO", ""]
    ),
    st.sampled_from(["EHLO x", "DATA", "EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA"]),
    st.builds(
        "MAIL FROM:{}{}".format,
        paths,
        st.sampled_from(["", " SIZE=5", " SIZE=99999", " BODY=8BITMIME", " SMTPUTF8", " X=Y"]),
    ),
    st.builds("RCPT TO:{}".format, paths),
).map(str.encode)
lines = st.builds(
    bytes.__add__, commands, st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\0\r\n"])
)
data = st.lists(
    st.sampled_from(
        [b"text", b"\r\n", b"\r\n", b".", b"\r\n.\r\n", b"\r", b"\n", b"\0", b"\r\n..", b"x" * 100, b"\xff"]
    ),
    max_size=12,
).map(b"".join)
flights = st.one_of(
    lines,
    lines,
    data,
    st.lists(lines, max_size=6).map(b"".join),
    st.binary(max_size=30),
    data.map(b"%b\r\n.\r\n".__mod__),
    st.just(b"y" * 5000),
)

# One whole transaction first, so that most cases come as far as mail data.
openings = st.sampled_from(
    [[], [b"EHLO x\r\n"], [b"EHLO x\r\n", b"MAIL FROM:<a@b> SMTPUTF8\r\nRCPT TO:<c@d>\r\nDATA\r\n"]]
)
refusals = st.sampled_from(
    [None, None, refusal(550, "5.1.1", "BACKEND", "no"), refusal(452, "4.5.3", "POLICY", "later")]
)


class Checked(Play):
    """A play that looks at the bounds after each piece."""

    def receive(self, octets: bytes) -> None:
        super().receive(octets)
        session = self.session
        assert session.closing or session.waiting is None
        assert session.closing or session.buffered <= MAX_LINE
        if session.transaction is not None:
            assert len(session.transaction.recipients) <= LIMITS.max_rcpt
            if session.transaction.mail_data is not None:
                held = b"".join(session.transaction.mail_data.chunks)
                assert len(held) - held.count(b"\r\n.") - held.startswith(b".") <= SIZE


def play(
    octets: list[bytes], cut: Cut, normalize: bool, offers: Offers, answers: dict[str, bytes | None]
) -> tuple[Checked, bytes]:
    def answer(mailbox: Mailbox) -> bytes | None:
        return answers.get(mailbox.domain)

    one = Checked(Session(LIMITS, offers, normalize), answer)
    return one, b"".join(one.flights(octets, cut))


def as_read(one: Checked) -> list[Message]:
    """Its messages, unstuffed: a dot that needed no stuffing may stay before the first mended line."""
    return [replace(message, mail_data=re.sub(rb"(?m)^\.", b"", message.mail_data)) for message in one.messages]


def check(one: Checked, replies: bytes) -> None:
    checked = check_replies(replies)
    assert checked[0].code == 220
    fatal = [b"/FATAL: " in reply.lines[0] or reply.code == 221 for reply in checked]
    assert not any(fatal[:-1]) and fatal[-1] == one.session.closing
    assert replies.count(b" MessageWall: SMTP/REJECT: ") <= 1000
    for message in one.messages:
        assert re.fullmatch(rb"(?:[^\r\n\0]*\r\n)*", message.mail_data)
        assert b"\r\n.\r\n" not in b"\r\n" + message.mail_data
        assert not message.fault or message.mail_data == b""
        for path in (message.reverse_path, *message.recipients):
            assert not re.search(r"[\x00-\x1f\x7f]", path)


@cases(400)
@given(
    openings,
    st.lists(flights, max_size=8),
    cuts,
    cuts,
    st.booleans(),
    st.booleans(),
    st.dictionaries(st.sampled_from("bcd"), refusals),
)
def test_any_octets(opening: list[bytes], rest: list[bytes], cut: Cut, other_cut: Cut, normalize: bool, extended: bool,
                    answers: dict[str, bytes | None]) -> None:  # fmt: skip
    offers = Offers(SIZE, extended, extended)
    one, replies = play(opening + rest, cut, normalize, offers, answers)
    check(one, replies)
    other, other_replies = play(opening + rest, other_cut, normalize, offers, answers)
    # Only whether something was sent ahead depends on how it came.
    if b"554 5.5.0" not in replies + other_replies:
        assert (replies, as_read(one)) == (other_replies, as_read(other))


@cases(200)
@given(st.binary(max_size=400), cuts, st.booleans())
def test_octets_of_chance(octets: bytes, cut: Cut, in_data: bool) -> None:
    opening = [b"EHLO x\r\n", b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"] if in_data else []
    check(*play([*opening, octets, b"\r\n.\r\n"], cut, False, Offers(SIZE, True, True), {}))
