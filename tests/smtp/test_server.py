"""The server's side: dialogues in flights, cut in every way, and what must hold for any octets of a client."""

from collections.abc import Sequence

import pytest

from mwall.smtp.commands import Offers
from mwall.smtp.framing import MAX_LINE, MAX_SWALLOWED
from mwall.smtp.maildata import Fault
from mwall.smtp.replies import refusal
from mwall.smtp.server import Event, Limits, Session
from tests.smtp.cutting import ways, whole
from tests.smtp.playing import LIMITS, OFFERS, Message, Play
from tests.smtp.replies_form import check_refusal, check_replies

EHLO = b"EHLO client.example\r\n"
HELO = b"HELO client.example\r\n"
MAIL = b"MAIL FROM:<a@example.net>\r\n"
RCPT = b"RCPT TO:<b@example.org>\r\n"
TRANSACTION = MAIL + RCPT + b"DATA\r\n"
TEXT = b"Subject: x\r\n\r\n..text\r\n.\r\n"
TAKEN = "250 2.1.0|250 2.1.5|354"
SHUT = "(closed)"

# Flights of a client, and the replies to each: codes, those of one flight between bars, SHUT where the session ends.
DIALOGUES: dict[str, list[tuple[bytes, str]]] = {
    "a message": [(EHLO, "250"), (TRANSACTION, TAKEN), (TEXT, "250 2.0.0"), (b"QUIT\r\n", "221 2.0.0 " + SHUT)],
    "two messages": [
        (EHLO, "250"),
        (TRANSACTION, TAKEN),
        (TEXT + TRANSACTION, "250 2.0.0|" + TAKEN),
        (TEXT + b"QUIT\r\n", "250 2.0.0|221 2.0.0 " + SHUT),
    ],
    "without pipelining": [
        (HELO, "250"),
        (MAIL, "250 2.1.0"),
        (RCPT, "250 2.1.5"),
        (b"DATA\r\n", "354"),
        (TEXT, "250 2.0.0"),
        (MAIL, "250 2.1.0"),
        (b"QUIT\r\n", "221 2.0.0 " + SHUT),
    ],
    "empty message": [(EHLO, "250"), (TRANSACTION, TAKEN), (b".\r\n", "250 2.0.0")],
    "lower case": [
        (b"ehlo x\r\n", "250"),
        (b"mail from:<a@b>\r\nrcpt to: <c@d>\r\ndata\r\n", TAKEN),
        (TEXT, "250 2.0.0"),
    ],
    "one recipient refused": [
        (EHLO, "250"),
        (MAIL + b"RCPT TO:<no@x>\r\n" + RCPT + b"DATA\r\n", "250 2.1.0|550 5.1.1|250 2.1.5|354"),
        (TEXT, "250 2.0.0"),
    ],
    "all recipients refused": [
        (EHLO, "250"),
        (MAIL + b"RCPT TO:<no@x>\r\nRCPT TO:<later@x>\r\nDATA\r\n", "250 2.1.0|550 5.1.1|450 4.2.0|554 5.5.1"),
        (RCPT, "250 2.1.5"),
    ],
    "another profile": [
        (EHLO, "250"),
        (MAIL + RCPT + b"RCPT TO:<other@x>\r\nDATA\r\n", "250 2.1.0|250 2.1.5|452 4.5.3|354"),
        (TEXT, "250 2.0.0"),
    ],
    "too many recipients": [
        (EHLO, "250"),
        (MAIL + RCPT * 4 + b"RCPT TO:<no@x>\r\nDATA\r\n", "250 2.1.0" + "|250 2.1.5" * 3 + "|452 4.5.3" * 2 + "|354"),
        (TEXT, "250 2.0.0"),
    ],
    "out of order": [
        (MAIL, "503 5.5.1"),
        (EHLO, "250"),
        (RCPT, "503 5.5.1"),
        (b"DATA\r\n", "503 5.5.1"),
        (MAIL, "250 2.1.0"),
        (MAIL, "503 5.5.1"),
    ],
    "data without recipients": [(EHLO, "250"), (MAIL + b"DATA\r\n", "250 2.1.0|554 5.5.1"), (RCPT, "250 2.1.5")],
    "RSET": [
        (EHLO, "250"),
        (MAIL + RCPT + b"RSET\r\n" + RCPT, "250 2.1.0|250 2.1.5|250 2.0.0|503 5.5.1"),
        (MAIL, "250 2.1.0"),
    ],
    "EHLO ends the transaction": [
        (EHLO, "250"),
        (MAIL, "250 2.1.0"),
        (EHLO, "250"),
        (RCPT, "503 5.5.1"),
        (HELO, "250"),
    ],
    "a bad EHLO changes nothing": [(EHLO, "250"), (MAIL, "250 2.1.0"), (b"EHLO\r\n", "501 5.5.4"), (RCPT, "250 2.1.5")],
    "other commands": [
        (b"NOOP\r\n", "250 2.0.0"),
        (b"NOOP x y\r\n", "250 2.0.0"),
        (b"VRFY root\r\n", "252 2.5.2"),
        (b"HELP\r\n", "214 2.0.0"),
        (b"RSET\r\n", "250 2.0.0"),
    ],
    "not implemented": [(b"EXPN x\r\n", "502 5.5.1"), (b"TURN\r\n", "502 5.5.1"), (b"BDAT 5 LAST\r\n", "502 5.5.1")],
    "unknown": [(b"FOO\r\n", "500 5.5.1"), (b"\r\n", "500 5.5.1"), (b"MAILFROM:<a@b>\r\n", "500 5.5.1"), (EHLO, "250")],
    "arguments where none are": [
        (EHLO, "250"),
        (b"QUIT now\r\n", "501 5.5.4"),
        (b"RSET x\r\n", "501 5.5.4"),
        (MAIL + RCPT + b"DATA x\r\n", "250 2.1.0|250 2.1.5|501 5.5.4"),
    ],
    "octets no command may hold": [
        (EHLO, "250"),
        (b"NOOP\n", "501 5.5.2"),
        (b"NO\0OP\r\n", "501 5.5.2"),
        (b"NO\rOP\r\n", "501 5.5.2"),
        (b"NOOP\r\n", "250 2.0.0"),
    ],
    "long lines": [
        (EHLO, "250"),
        (b"NOOP " + b"x" * 506 + b"\r\n", "500 5.5.2"),
        (b"NOOP " + b"x" * 60000 + b"\r\nNOOP\r\n", "500 5.5.2|250 2.0.0"),
    ],
    "a line without an end": [(EHLO, "250"), (b"x" * (MAX_SWALLOWED + 1), "500 5.5.2 " + SHUT)],
    "HTTP": [(b"GET / HTTP/1.1\r\n", "521 5.5.1 " + SHUT)],
    "HTTP by POST": [(b"post /x HTTP/1.0\r\nHost: x\r\n\r\nEHLO x\r\nMAIL FROM:<a@b>\r\n", "521 5.5.1 " + SHUT)],
    "declared too big": [
        (EHLO, "250"),
        (b"MAIL FROM:<a@b> SIZE=1001\r\n" + RCPT, "552 5.3.4|503 5.5.1"),
        (b"MAIL FROM:<a@b> SIZE=1000\r\n", "250 2.1.0"),
    ],
    "is too big": [
        (EHLO, "250"),
        (TRANSACTION, TAKEN),
        (b"x" * 1100 + b"\r\n\r\n..\r\n" + TEXT, "552 5.3.4"),
        (MAIL, "250 2.1.0"),
    ],
    "bare newline": [(EHLO, "250"), (TRANSACTION, TAKEN), (b"x\n.\n" + MAIL + TEXT, "550 5.5.2"), (MAIL, "250 2.1.0")],
    "routing hacks": [
        (EHLO, "250"),
        (MAIL, "250 2.1.0"),
        (b'RCPT TO:<a%b@c>\r\nRCPT TO:<b!a@c>\r\nRCPT TO:<"a@b"@c>\r\n', "550 5.1.3|550 5.1.3|550 5.1.3"),
    ],
    "beyond ASCII": [
        (EHLO, "250"),
        ("MAIL FROM:<\u00fc@b>\r\n".encode(), "553 5.6.7"),
        (b"MAIL FROM:<\xfc@b>\r\n", "553 5.6.7"),
        ("MAIL FROM:<\u00fc@b> SMTPUTF8\r\nRCPT TO:<\u00fc@c>\r\n".encode(), "250 2.1.0|250 2.1.5"),
    ],
    "no extensions after HELO": [
        (HELO, "250"),
        (b"MAIL FROM:<a@b> BODY=8BITMIME\r\n", "555 5.5.4"),
        (MAIL, "250 2.1.0"),
    ],
    "too many errors": [(EHLO, "250"), (b"FOO\r\n" * 5, "500 5.5.1|" * 4 + "421 4.7.0 " + SHUT)],
    "refused recipients are errors": [
        (EHLO, "250"),
        (MAIL + b"RCPT TO:<no@x>\r\n" * 5, "250 2.1.0|" + "550 5.1.1|" * 4 + "421 4.7.0 " + SHUT),
    ],
    "not among accepted ones": [
        (EHLO, "250"),
        (
            MAIL + RCPT + b"RCPT TO:<no@x>\r\nRCPT TO:<>\r\nRCPT TO:<a%b@c>\r\n" * 5,
            "250 2.1.0|250 2.1.5" + "|550 5.1.1|501 5.1.3|550 5.1.3" * 5,
        ),
        (b"NOOP\r\n", "250 2.0.0"),
    ],
    "452 is no error": [
        (EHLO, "250"),
        (MAIL + b"RCPT TO:<other@x>\r\n" * 9, "250 2.1.0" + "|452 4.5.3" * 9),
        (RCPT, "250 2.1.5"),
    ],
    "source route and postmaster": [
        (EHLO, "250"),
        (b"MAIL FROM:<@x,@y:a@b>\r\nRCPT TO:<postmaster>\r\n", "250 2.1.0|250 2.1.5"),
    ],
}


def summary(octets: bytes, closing: bool) -> str:
    return "|".join(one.start for one in check_replies(octets)) + (f" {SHUT}" if closing else "")


@pytest.mark.parametrize("way", ways())
@pytest.mark.parametrize("name", DIALOGUES)
def test_dialogue(name: str, way: str) -> None:
    cut = ways()[way]
    play = Play()
    play.session.greet()
    assert play.take_output().startswith(b"220 mx.example.org ")
    for flight, expected in DIALOGUES[name]:
        for piece in cut(flight):
            if not play.session.closing:
                play.receive(piece)
        replies = play.take_output()
        assert summary(replies, play.session.closing) == expected
        refusals = [one for one in check_replies(replies) if one.code >= 400]
        for one in refusals:
            check_refusal(one, fatal=play.session.closing and one is refusals[-1])


def play_whole(*flights: bytes, session: Session | None = None) -> tuple[Play, list[bytes]]:
    play = Play(session or Session(LIMITS, OFFERS, False))
    return play, play.flights(flights, whole)


def test_every_cut_gives_the_same_octets_and_messages() -> None:
    for name, dialogue in DIALOGUES.items():
        flights = [flight for flight, _ in dialogue]
        outcomes = []
        for cut in ways().values():
            play = Play()
            outcomes.append((play.flights(flights, cut), play.messages))
        assert all(outcome == outcomes[0] for outcome in outcomes), name


def test_what_the_caller_gets() -> None:
    play, _ = play_whole(EHLO, b"MAIL FROM:<A@Example.NET> SIZE=50 BODY=8BITMIME\r\n" + RCPT + b"DATA\r\n", TEXT,
                         b"MAIL FROM:<>\r\n" + RCPT * 2 + b"DATA\r\n", b"a\0\r\n.\r\n")  # fmt: skip
    assert play.messages == [
        Message("A@example.net", ["b@example.org"], b"Subject: x\r\n\r\n..text\r\n", None),
        Message("", ["b@example.org"] * 2, b"", Fault.BARE_NEWLINE),
    ]
    assert play.session.helo_name == "client.example"


def test_normalize() -> None:
    play, replies = play_whole(EHLO, TRANSACTION, b"a\n.\n" + TEXT, session=Session(LIMITS, OFFERS, True))
    assert play.messages[0].mail_data == b"a\r\n..\r\nSubject: x\r\n\r\n..text\r\n"
    assert replies[-1].startswith(b"250 2.0.0")


@pytest.mark.parametrize(
    ("offers", "keywords"),
    [
        (Offers(1000, True, True), ["PIPELINING", "ENHANCEDSTATUSCODES", "SIZE 1000", "8BITMIME", "SMTPUTF8"]),
        (Offers(50_000_000, True, False), ["PIPELINING", "ENHANCEDSTATUSCODES", "SIZE 50000000", "8BITMIME"]),
        (Offers(1, False, False), ["PIPELINING", "ENHANCEDSTATUSCODES", "SIZE 1"]),
    ],
)
def test_ehlo_offers(offers: Offers, keywords: list[str]) -> None:
    _, replies = play_whole(EHLO, HELO, session=Session(LIMITS, offers, False))
    (one,) = check_replies(replies[1])
    assert one.lines[0].split()[0] == b"mx.example.org"
    assert sorted(line.decode() for line in one.lines[1:]) == sorted(keywords)
    assert replies[2] == b"250 mx.example.org\r\n"


@pytest.mark.parametrize(
    ("flights", "messages"),
    [
        ([HELO + MAIL], 0),
        ([HELO, MAIL + RCPT], 0),
        ([HELO, MAIL, RCPT + b"DATA\r\n"], 0),
        ([HELO, MAIL, RCPT, b"DATA\r\n" + TEXT], 0),
        ([HELO, MAIL, RCPT, b"DATA\r\n", TEXT + MAIL + RCPT], 1),
        ([EHLO, TRANSACTION + TEXT], 0),
        ([EHLO, TRANSACTION + b"x"], 0),
        ([EHLO, TRANSACTION, TEXT + TRANSACTION + TEXT], 1),
    ],
    ids=range(8),
)
def test_sent_ahead_without_leave(flights: Sequence[bytes], messages: int) -> None:
    play, replies = play_whole(*flights)
    last = check_replies(replies[-1])[-1]
    assert last.start == "554 5.5.0"
    check_refusal(last, fatal=True)
    assert play.session.closing
    assert len(play.messages) == messages


def test_talks_before_the_greeting() -> None:
    session = Session(LIMITS, OFFERS, False)
    session.receive(EHLO)
    session.greet()
    assert session.advance() is None
    (one,) = check_replies(b"".join(session.output))
    assert one.start == "554 5.5.0" and session.closing
    check_refusal(one, fatal=True)


def test_nothing_is_read_past_an_open_event() -> None:
    session = Session(LIMITS, OFFERS, False)
    session.receive(EHLO + MAIL + RCPT + RCPT)
    assert session.advance() is Event.RECIPIENT
    session.output.clear()
    assert session.advance() is Event.RECIPIENT
    assert (session.output, session.buffered) == ([], len(RCPT))
    session.answer_recipient(refusal(450, "4.4.1", "BACKEND", "later"))
    assert session.output[0].startswith(b"450 4.4.1")
    assert session.advance() is Event.RECIPIENT
    session.answer_recipient(None)
    assert session.advance() is None
    assert b"".join(session.output).endswith(b"250 2.1.5 OK\r\n")


def test_goodbye_counts_only_with_nothing_behind_it() -> None:
    assert play_whole(EHLO, b"QUIT\r\n")[0].session.said_goodbye
    assert not play_whole(EHLO, b"QUIT\r\nNOOP\r\n")[0].session.said_goodbye
    assert not play_whole(b"GET /\r\n")[0].session.said_goodbye


def test_ended_from_outside() -> None:
    play, _ = play_whole(EHLO, MAIL)
    play.session.end(421, "4.4.2", "too slow")
    play.session.end(421, "4.4.2", "again")
    (one,) = check_replies(play.take_output())
    check_refusal(one, fatal=True)
    assert one.start == "421 4.4.2" and play.session.closing
    play.receive(b"NOOP\r\n")
    assert play.take_output() == b""


def test_draining_lets_the_transaction_end() -> None:
    play, _ = play_whole(EHLO, MAIL)
    play.session.draining = True
    play.receive(RCPT + b"DATA\r\n")
    assert not play.session.closing
    play.receive(TEXT)
    assert [one.start for one in check_replies(play.take_output())] == ["250 2.1.5", "354", "250 2.0.0"]
    play.receive(MAIL + RCPT)
    (one,) = check_replies(play.take_output())
    assert one.start == "421 4.3.2" and play.session.closing


def test_draining_lets_a_second_transaction_end() -> None:
    play, _ = play_whole(EHLO, TRANSACTION, TEXT + MAIL)
    play.session.draining = True
    play.receive(RCPT + b"DATA\r\n")
    play.receive(TEXT + b"NOOP\r\n")
    assert summary(play.take_output(), play.session.closing) == "250 2.1.5|354|250 2.0.0|421 4.3.2 " + SHUT


def test_draining_lets_quit() -> None:
    play, _ = play_whole(EHLO, TRANSACTION, TEXT)
    play.session.draining = True
    play.receive(b"QUIT\r\n")
    assert play.take_output().startswith(b"221 2.0.0")


def test_a_hundred_recipients() -> None:
    play, replies = play_whole(EHLO, MAIL + RCPT * 100 + b"DATA\r\n", TEXT,
                               session=Session(Limits("mx.example.org", 100, 10), OFFERS, False))  # fmt: skip
    assert replies[2].count(b"250 2.1.5") == 100
    assert len(play.messages[0].recipients) == 100


def test_lines_that_wait_are_bounded() -> None:
    play, _ = play_whole(EHLO)
    for _ in range(10):
        play.receive(b"x" * 6000)
        assert play.session.buffered <= MAX_LINE
