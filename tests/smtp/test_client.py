"""The client's side: each dialogue driven by hand against a backend that answers right, wrong, or out of step."""

from collections.abc import Generator
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.smtp.addresses import Mailbox
from mwall.smtp.client import (
    Envelope,
    Extensions,
    Flight,
    Outcome,
    OutOfStepError,
    Wait,
    delivery,
    opening,
    reset,
    verification,
)
from mwall.smtp.replies import MalformedReplyError, Reply, ReplyReader
from tests.fuzz import cases
from tests.smtp.cutting import Cut, cuts, ways, whole
from tests.smtp.replies_form import check_refusal, check_replies

FULL = Extensions(True, 0, True, True)
PIPELINING = Extensions(True, None, False, False)
PLAIN = Extensions(False, None, False, False)
B = Mailbox("b", "example.org")
C = Mailbox("c", "example.org")
D = Mailbox("d e", "example.org")
ONE = Envelope(Mailbox("a", "example.net"), (B,), 100, False, False)
TWO = ONE._replace(recipients=(B, C))
THREE = ONE._replace(recipients=(B, C, D))
MAIL = "MAIL FROM:<a@example.net>\r\n"
RCPT_B = "RCPT TO:<b@example.org>\r\n"
RCPT_C = "RCPT TO:<c@example.org>\r\n"
DATA = "DATA\r\n"
TEXT = (b"Subject: x\r\n", b"\r\n..\r\n")
DOT = "Subject: x\r\n\r\n..\r\n.\r\n"
GO = "354 go"
OK = "250 2.0.0 ok"
NO = "550 5.1.1 no"
LATER = "450 4.2.0 later"


class Played(NamedTuple):
    sent: list[str]
    result: Any  # what the dialogue returned
    error: str  # OutOfStepError: its text; 'malformed', 'lost' when the backend says no more; else ''


def drive(dialogue: Generator[Flight, list[Reply], Any], answers: list[list[str]], cut: Cut = whole) -> Played:
    """Plays the backend: `answers` has for each flight the lines it is answered with; none left: connection lost."""
    reader = ReplyReader()
    sent: list[str] = []
    remaining = list(answers)
    try:
        flight = next(dialogue)
        while True:
            sent.append(b"".join(flight.chunks).decode())
            if not remaining:
                dialogue.close()
                return Played(sent, None, "lost")
            octets = "".join(f"{line}\r\n" for line in remaining.pop(0)).encode()
            replies = [reply for piece in cut(octets) for reply in reader.receive(piece)]
            if len(replies) < flight.replies:
                dialogue.close()
                return Played(sent, None, "lost")
            assert len(replies) == flight.replies, "a test answers as often as it is asked"
            flight = dialogue.send(replies)
    except StopIteration as end:
        assert not remaining, f"never asked for {remaining}"
        return Played(sent, end.value, "")
    except OutOfStepError as error:
        return Played(sent, None, str(error))
    except MalformedReplyError:
        return Played(sent, None, "malformed")


def outcome_of(played: Played) -> Outcome:
    assert played.error == "" and isinstance(played.result, Outcome)
    return played.result


# envelope, extensions, answers by flight: octets sent by flight, start of our client's answer
DELIVERED = {
    "one flight": (ONE, PIPELINING, [[OK, OK, GO], [OK]], [MAIL + RCPT_B + DATA, DOT]),
    "no PIPELINING": (ONE, PLAIN, [[OK], [OK], [GO], [OK]], [MAIL, RCPT_B, DATA, DOT]),
    "several recipients": (TWO, PIPELINING, [[OK, OK, OK], [GO], [OK]], [MAIL + RCPT_B + RCPT_C, DATA, DOT]),
    "several, no PIPELINING": (TWO, PLAIN, [[OK], [OK], [OK], [GO], [OK]], [MAIL, RCPT_B, RCPT_C, DATA, DOT]),
    "251 and 252 to RCPT": (
        TWO,
        PIPELINING,
        [[OK, "251 fwd", "252 maybe"], [GO], [OK]],
        [MAIL + RCPT_B + RCPT_C, DATA, DOT],
    ),
    "null reverse-path, SIZE": (
        ONE._replace(reverse_path=None),
        FULL,
        [[OK, OK, GO], [OK]],
        ["MAIL FROM:<> SIZE=100\r\n" + RCPT_B + DATA, DOT],
    ),
    "size not known": (ONE._replace(size=None), FULL, [[OK, OK, GO], [OK]], [MAIL + RCPT_B + DATA, DOT]),
    "all parameters": (
        Envelope(Mailbox("\u00fc", "x"), (D,), 7, True, True),
        FULL,
        [[OK, OK, GO], [OK]],
        ['MAIL FROM:<\u00fc@x> SIZE=7 BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<"d e"@example.org>\r\n' + DATA, DOT],
    ),
    "postmaster": (
        ONE._replace(recipients=(Mailbox("postmaster", ""),)),
        PLAIN,
        [[OK], [OK], [GO], [OK]],
        [MAIL, "RCPT TO:<postmaster>\r\n", DATA, DOT],
    ),
    "replies of many lines": (
        ONE,
        PIPELINING,
        [["250-a", OK, "250-b", "250-c", OK, "354-d", GO], ["250-2.0.0 e", OK]],
        [MAIL + RCPT_B + DATA, DOT],
    ),
    "200 to the dot": (ONE, PIPELINING, [[OK, OK, GO], ["200 fine"]], [MAIL + RCPT_B + DATA, DOT]),
    "290 to the dot": (ONE, PIPELINING, [[OK, OK, GO], ["290"]], [MAIL + RCPT_B + DATA, DOT]),
    "251 to the dot": (ONE, PIPELINING, [[OK, OK, GO], ["251 5.1.1 odd"]], [MAIL + RCPT_B + DATA, DOT]),
    "5 KB in a line, 100 lines": (
        ONE,
        PIPELINING,
        [[OK, OK, GO], ["250-" + "x" * 5000] + ["250-x"] * 100 + [OK]],
        [MAIL + RCPT_B + DATA, DOT],
    ),
}


@pytest.mark.parametrize("way", ways())
@pytest.mark.parametrize("name", DELIVERED)
def test_delivered(name: str, way: str) -> None:
    envelope, extensions, answers, sent = DELIVERED[name]
    played = drive(delivery(envelope, extensions, TEXT), answers, ways()[way])
    outcome = outcome_of(played)
    assert played.sent == sent
    assert outcome.delivered and not outcome.refused and not outcome.misconfigured
    (one,) = check_replies(outcome.answer)
    assert one.start.startswith("250 2.")
    assert outcome.backend_reply.startswith(answers[-1][-1][:3])


# envelope, extensions, answers, flights that are sent, start of the answer, whether it points at our set-up
REFUSED = {
    "MAIL": (ONE, PIPELINING, [[NO, "503 x", "503 x"]], 1, "550 5.1.1", False),
    "MAIL transient": (ONE, PIPELINING, [[LATER, "503 x", "503 x"]], 1, "450 4.2.0", False),
    "MAIL, no PIPELINING": (TWO, PLAIN, [[NO]], 1, "550 5.1.1", False),
    "MAIL needs authentication": (ONE, PIPELINING, [["530 5.7.0 auth", "530 x", "530 x"]], 1, "451 4.3.0", True),
    "MAIL parameter unknown": (TWO, PIPELINING, [["555 5.5.4 x", "503 x", "503 x"]], 1, "451 4.3.0", True),
    "MAIL refused, RCPT taken": (TWO, PIPELINING, [[NO, OK, OK]], 1, "550 5.1.1", False),
    "MAIL 421": (TWO, PLAIN, [["421 4.3.2 bye"]], 1, "451 4.3.0", False),
    "RCPT": (ONE, PIPELINING, [[OK, NO, "503 x"]], 1, "550 5.1.1", False),
    "RCPT, DATA 554": (ONE, PIPELINING, [[OK, LATER, "554 no valid recipients"]], 1, "450 4.2.0", False),
    "RCPT, no PIPELINING": (ONE, PLAIN, [[OK], [NO]], 2, "550 5.1.1", False),
    "RCPT without its code": (ONE, PLAIN, [[OK], ["553 no"]], 2, "553 5.0.0", False),
    "RCPT code 500": (ONE, PLAIN, [[OK], ["500 5.5.2 what"]], 2, "451 4.3.0", True),
    "RCPT code 571": (ONE, PLAIN, [[OK], ["571 5.7.1 no"]], 2, "451 4.3.0", True),
    "RCPT code 421": (ONE, PLAIN, [[OK], ["421 4.3.2 bye"]], 2, "451 4.3.0", False),
    "all RCPT": (TWO, PIPELINING, [[OK, NO, "554 5.7.1 no"]], 1, "550 5.1.1", False),
    "all RCPT, transient first": (TWO, PIPELINING, [[OK, NO, LATER]], 1, "450 4.2.0", False),
    "all RCPT, one for our set-up": (TWO, PIPELINING, [[OK, NO, "555 5.5.4 x"]], 1, "451 4.3.0", True),
    "all RCPT, one 530": (TWO, PLAIN, [[OK], ["530 x"], [NO]], 3, "451 4.3.0", True),
    "DATA": (ONE, PIPELINING, [[OK, OK, "554 5.7.1 no"]], 1, "554 5.7.1", False),
    "DATA transient": (TWO, PIPELINING, [[OK, OK, OK], ["452 4.3.1 full"]], 2, "452 4.3.1", False),
    "DATA 503": (ONE, PLAIN, [[OK], [OK], ["503 5.5.1 x"]], 3, "451 4.3.0", True),
    "DATA 421": (ONE, PLAIN, [[OK], [OK], ["421 x"]], 3, "451 4.3.0", False),
    "dot 550": (ONE, PIPELINING, [[OK, OK, GO], ["550 5.7.1 spam"]], 2, "550 5.7.1", False),
    "dot 554 wrong class": (ONE, PIPELINING, [[OK, OK, GO], ["554 2.0.0 ok"]], 2, "554 5.0.0", False),
    "dot 552": (ONE, PIPELINING, [[OK, OK, GO], ["552 5.3.4 big"]], 2, "552 5.3.4", False),
    "dot 549": (ONE, PIPELINING, [[OK, OK, GO], ["549 x"]], 2, "451 4.3.0", True),
    "dot 555": (ONE, PIPELINING, [[OK, OK, GO], ["555 x"]], 2, "451 4.3.0", True),
    "dot 500": (ONE, PIPELINING, [[OK, OK, GO], ["500 x"]], 2, "451 4.3.0", True),
    "dot 421": (ONE, PIPELINING, [[OK, OK, GO], ["421 4.3.2 bye"]], 2, "451 4.3.0", False),
    "dot 451": (ONE, PIPELINING, [[OK, OK, GO], ["451 4.3.5 later"]], 2, "451 4.3.5", False),
    "dot 499": (ONE, PIPELINING, [[OK, OK, GO], ["499 x"]], 2, "451 4.3.0", True),
}


@pytest.mark.parametrize("way", ways())
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, way: str) -> None:
    envelope, extensions, answers, flights, start, misconfigured = REFUSED[name]
    played = drive(delivery(envelope, extensions, TEXT), answers, ways()[way])
    outcome = outcome_of(played)
    assert len(played.sent) == flights
    (one,) = check_replies(outcome.answer)
    assert one.start == start
    assert outcome == Outcome(outcome.answer, outcome.backend_reply, misconfigured=misconfigured)


# Nothing was said to our client yet: the caller drops the connection and answers 451.
BROKEN = {
    "354 after a refused RCPT": (ONE, PIPELINING, [[OK, NO, GO]], 1),
    "354 after a refused MAIL": (ONE, PIPELINING, [[LATER, "503 x", GO]], 1),
    "250 to DATA behind a refused RCPT": (ONE, PIPELINING, [[OK, NO, OK]], 1),
    "250 to DATA": (ONE, PIPELINING, [[OK, OK, OK]], 1),
    "250 to DATA, no PIPELINING": (ONE, PLAIN, [[OK], [OK], [OK]], 3),
    "354 to MAIL": (ONE, PLAIN, [[GO]], 1),
    "354 to RCPT": (ONE, PLAIN, [[OK], [GO]], 2),
    "354 to one RCPT of two": (TWO, PIPELINING, [[OK, OK, GO]], 1),
    "354 to one RCPT, other refused": (TWO, PIPELINING, [[OK, NO, "334 x"]], 1),
    "354 to the dot": (ONE, PIPELINING, [[OK, OK, GO], [GO]], 2),
    "354 twice, out of step": (ONE, PIPELINING, [[OK, GO, GO]], 1),
    "lost before MAIL": (ONE, PIPELINING, [], 1),
    "lost in the envelope": (ONE, PIPELINING, [[OK, OK]], 1),
    "421 and lost": (TWO, PIPELINING, [["421 bye"]], 1),
    "lost after the dot": (ONE, PIPELINING, [[OK, OK, GO]], 2),
    "unfinished after the dot": (ONE, PIPELINING, [[OK, OK, GO], ["250-2.0.0 ok"]], 2),
    "code changes": (ONE, PIPELINING, [[OK, OK, GO], ["250-ok", "550 no"]], 2),
    "650": (ONE, PIPELINING, [[OK, OK, GO], ["650 ok"]], 2),
    "two digits": (ONE, PIPELINING, [[OK, OK, GO], ["25 ok"]], 2),
    "garbage before 250": (ONE, PIPELINING, [[OK, OK, GO], ["hello", OK]], 2),
    "NUL": (ONE, PIPELINING, [[OK, OK, GO], ["250 o\0k"]], 2),
    "ESC": (ONE, PIPELINING, [[OK, OK, GO], ["250 \x1b[1mok"]], 2),
    "100,000 lines": (ONE, PIPELINING, [[OK, OK, GO], ["250-ok"] * 100_000 + [OK]], 2),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name: str) -> None:
    envelope, extensions, answers, flights = BROKEN[name]
    for cut in (whole, ways()["random 1"]) if "100,000" in name else ways().values():
        played = drive(delivery(envelope, extensions, TEXT), answers, cut)
        assert played.result is None and played.error
        assert played.error.isascii() and played.error.isprintable()
        assert len(played.sent) == flights
        assert flights == 2 or not any("Subject" in octets for octets in played.sent)


def test_some_recipients_refused() -> None:
    for extensions, answers in (
        (PIPELINING, [[OK, OK, NO, "452 4.2.2 full"]]),
        (PLAIN, [[OK], [OK], [NO], ["452 4.2.2 full"]]),
    ):
        played = drive(delivery(THREE, extensions, TEXT), answers)
        outcome = outcome_of(played)
        assert DATA not in "".join(played.sent)
        (one,) = check_replies(outcome.answer)
        check_refusal(one)
        assert one.start == "451 4.3.0"
        assert outcome.refused == ((C, b"550 5.1.1 no\r\n"), (D, b"452 4.2.2 full\r\n"))
        assert not outcome.delivered and not outcome.misconfigured
        assert outcome.backend_reply == '<c@example.org> 550 5.1.1 no; <"d e"@example.org> 452 4.2.2 full'


def test_some_refused_for_our_set_up() -> None:
    outcome = outcome_of(drive(delivery(TWO, PIPELINING, TEXT), [[OK, OK, "530 5.7.0 auth"]]))
    assert [(mailbox, octets[:9]) for mailbox, octets in outcome.refused] == [(C, b"451 4.3.0")]
    assert outcome.misconfigured


def test_421_is_no_refusal_of_its_recipient() -> None:
    outcome = outcome_of(drive(delivery(TWO, PIPELINING, TEXT), [[OK, OK, "421 4.3.2 bye"]]))
    assert outcome.answer.startswith(b"451 4.3.0") and not outcome.refused and not outcome.delivered


@pytest.mark.parametrize(
    ("envelope", "extensions", "lacks"),
    [
        (ONE._replace(eightbit=True), PIPELINING, "8BITMIME"),
        (ONE._replace(smtputf8=True), Extensions(True, 0, True, False), "SMTPUTF8"),
    ],
)
def test_backend_that_offers_less(envelope: Envelope, extensions: Extensions, lacks: str) -> None:
    for dialogue in (delivery(envelope, extensions, TEXT), verification(envelope, extensions)):
        played = drive(dialogue, [])
        outcome = outcome_of(played)
        assert played.sent == [] and outcome.misconfigured and not outcome.delivered
        assert outcome.answer.startswith(b"451 4.3.0") and lacks in outcome.answer.decode()


@pytest.mark.parametrize("way", ways())
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["250 b.example"], PLAIN),
        (
            ["250-b.example", "250-PIPELINING", "250-SIZE 1000", "250-8BITMIME", "250 SMTPUTF8"],
            Extensions(True, 1000, True, True),
        ),
        (["250-PIPELINING", "250-pipelining", "250-size", "250 Auth PLAIN"], Extensions(True, 0, False, False)),
        (["250-b", "250-SIZE x", "250-8BITMIMES", "250 XSMTPUTF8"], Extensions(False, 0, False, False)),
        (["250-b", "250 SIZE " + "9" * 5000], Extensions(False, 0, False, False)),
    ],
)
def test_opening(lines: list[str], expected: Extensions, way: str) -> None:
    played = drive(opening("mx.example.org"), [["220-hello", "220 b.example ESMTP"], lines], ways()[way])
    assert played.sent == ["", "EHLO mx.example.org\r\n"]
    assert played.result == expected


@pytest.mark.parametrize(
    "answers",
    [
        [["554 go away"]],
        [["421 busy"]],
        [["250 hello"]],
        [["221 x"]],
        [["354 x"]],
        [["220 x"], ["500 what"]],
        [["220 x"], ["550 no"]],
        [["220 x"], ["220 x"]],
        [["220 x"], ["421 bye"]],
        [["220 x"], ["251 x"]],
        [],
        [["220-x"]],
        [["hello"]],
        [["220 x"], ["250-x", "220 x"]],
    ],
)
def test_backend_that_will_not_have_us(answers: list[list[str]]) -> None:
    assert drive(opening("mx.example.org"), answers).error


def test_reset() -> None:
    assert outcome_of(drive(reset(), [[OK]])).backend_reply == OK
    for answer in ("221 x", "421 x", "500 x", "354 x"):
        assert drive(reset(), [[answer]]).error


@pytest.mark.parametrize(
    ("extensions", "answers", "start"),
    [
        (PIPELINING, [[OK, OK]], ""),
        (PLAIN, [[OK], ["251 will forward"]], ""),
        (PIPELINING, [[OK, NO]], "550 5.1.1"),
        (PLAIN, [[OK], [LATER]], "450 4.2.0"),
        (PLAIN, [[NO]], "550 5.1.1"),
        (PIPELINING, [["530 auth", "503 x"]], "451 4.3.0"),
        (PIPELINING, [[OK, "421 bye"]], "451 4.3.0"),
    ],
)
def test_verification(extensions: Extensions, answers: list[list[str]], start: str) -> None:
    played = drive(verification(ONE, extensions), answers)
    outcome = outcome_of(played)
    assert "".join(played.sent) == MAIL + (
        RCPT_B if len(answers) == len(played.sent) == 2 or extensions.pipelining else ""
    )
    assert outcome.delivered is (start == "")
    assert not start or check_replies(outcome.answer)[0].start == start


def test_each_flight_says_what_it_waits_for() -> None:
    dialogue = delivery(ONE, PIPELINING, TEXT)
    assert next(dialogue).wait is Wait.REPLY
    flight = dialogue.send([Reply(250, (b"",)), Reply(250, (b"",)), Reply(354, (b"",))])
    assert (flight.wait, flight.replies) == (Wait.FINAL, 1)
    assert next(opening("x")).wait is Wait.OPENING


codes = st.one_of(
    st.sampled_from([250, 250, 250, 354, 354]),
    st.sampled_from([421, 450, 451, 550, 554, 530, 555]),
    st.integers(200, 599),
)


@cases(600)
@given(
    st.integers(1, 4),
    st.booleans(),
    st.lists(codes, min_size=8, max_size=8),
    st.sampled_from(["x", "5.1.1 x", "2.0.0 \u00fc\ty", "4.0.0", ""]),
    cuts,
)
def test_any_codes(recipients: int, pipelining: bool, replies: list[int], text: str, cut: Cut) -> None:
    """A 250 only for a 2yz to the dot; a 5yz only where 550 to 554 was said; no dot where anything was refused."""
    envelope = ONE._replace(recipients=tuple(Mailbox(f"r{number}", "x") for number in range(recipients)))
    used: list[int] = []
    supply = iter(replies)
    flights: list[Flight] = []

    def play() -> Outcome | None:
        dialogue = delivery(envelope, Extensions(pipelining, 0, False, False), TEXT)
        reader = ReplyReader()
        try:
            flights.append(next(dialogue))
            while True:
                new = [next(supply) for _ in range(flights[-1].replies)]
                used.extend(new)
                octets = "".join(f"{code} {text}\r\n" for code in new).encode()
                flights.append(dialogue.send([reply for piece in cut(octets) for reply in reader.receive(piece)]))
        except StopIteration as end:
            assert isinstance(end.value, Outcome)
            return end.value
        except OutOfStepError:
            return None

    outcome = play()
    sent = [b"".join(flight.chunks) for flight in flights]
    dot_sent = sent[-1].endswith(b"\r\n.\r\n")
    taken = [200 <= code <= 299 for code in used]
    if dot_sent:
        assert all(taken[:-2]) and used[-2] == 354 and len(used) == recipients + 3
    assert not any(b"DATA" in octets and b"RCPT" in octets for octets in sent) or recipients == 1
    if outcome is None:
        return
    assert outcome.delivered is (dot_sent and taken[-1])
    (one,) = check_replies(outcome.answer)
    assert (one.code == 250) is outcome.delivered
    assert one.code < 500 or (550 <= one.code <= 554 and one.code in used)
    for mailbox, octets in outcome.refused:
        code = used[1 + envelope.recipients.index(mailbox)]
        (one,) = check_replies(octets)
        assert code >= 400 and (one.code == code or one.start == "451 4.3.0")
