"""Every fault a backend can have, and what the client is told: a 250 only where the backend has the message, a 5yz
only where the backend meant the mail, and 'possible duplicate' exactly where the final dot had gone (RFC 1047)."""

from __future__ import annotations

import re
import threading

import pytest

from tests.daemon.front import LOST, NOT_FOR_US, PATIENT, Front, refuse
from tests.daemon.harness import MESSAGE, Client, Daemon, Site, until
from tests.daemon.scripted_backend import GOOD, Answer, Choice, Connection, Say, ScriptedBackend

# The reply to the final dot

UNCLEAR: dict[str, Answer] = {
    "closed": Say(b"", "close"),
    "reset": Say(b"", "reset"),
    "half a reply": Say(b"250 2.0.0 o", "close"),
    "half a code": Say(b"25", "close"),
    "CR without LF": Say(b"250 2.0.0 Ok\r", "close"),
    "unfinished lines": Say(b"250-2.0.0 Ok\r\n", "close"),
    "another class within a reply": b"250-2.0.0 Ok\r\n550 2.0.0 Ok\r\n",
    "another code within a reply": b"250-2.0.0 Ok\r\n251 2.0.0 Ok\r\n",
    "354 again": b"354 go ahead\r\n",
    "150": b"150 on its way\r\n",
    "650": b"650 2.0.0 Ok\r\n",
    "050": b"050 2.0.0 Ok\r\n",
    "two digits": b"25 2.0.0 Ok\r\n",
    "four digits": b"2500 2.0.0 Ok\r\n",
    "no separator": b"250Ok\r\n",
    "garbage before it": b"what?\r\n250 2.0.0 Ok\r\n",
    "empty line before it": b"\r\n250 2.0.0 Ok\r\n",
    "LF alone": b"250 2.0.0 Ok\n",
    "NUL": b"250 2.0.0 O\0k\r\n",
    "ESC": b"250 2.0.0 \x1b[2JOk\r\n",
    "bare CR": b"250 2.0.0 O\rk\r\n",
    "a line without an end": Say(b"250 2.0.0 " + b"x" * 100_000, "fall silent"),
    "lines without an end": Say(b"250-2.0.0 Ok\r\n" * 10_000, "fall silent"),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_no_clear_answer_to_the_dot_is_451_and_a_possible_duplicate(front: Front, name: str) -> None:
    front.backend.script[b"."] = UNCLEAR[name]
    answer, line = front.deliver()
    assert re.fullmatch(LOST, answer)
    assert "MESSAGE/TEMPORARY" in line and "possible duplicate" in line
    assert len(front.backend.dots) == 1, "a message is never sent again once its dot has gone"
    front.backend.reset()
    assert front.deliver()[0].startswith(b"250 ")


YES: dict[str, tuple[Answer, bytes]] = {
    "words": (b"250 2.0.0 Ok: queued as 4F\r\n", rb"250 2\.0\.0 Ok: queued as 4F\r\n"),
    "no enhanced code": (b"250 queued as 4F\r\n", rb"250 2\.\d+\.\d+ queued as 4F\r\n"),
    "no text": (b"250\r\n", rb"250 2\.\d+\.\d+[ -~]*\r\n"),
    "251": (b"251 2.1.5 elsewhere\r\n", rb"250 2\.1\.5 elsewhere\r\n"),
    "100 lines": (b"250-2.0.0 Ok\r\n" * 99 + b"250 2.0.0 Ok\r\n", rb"250 2\.0\.0 [ -~]{1,500}\r\n"),
    "5 KB in a line": (b"250 2.0.0 " + b"x" * 5000 + b"\r\n", rb"250 2\.0\.0 [ -~]{1,500}\r\n"),
    "beyond ASCII": ("250 2.0.0 schön\r\n".encode(), rb"250 2\.0\.0 [ -~]+\r\n"),
    "another behind it": (b"250 2.0.0 Ok\r\n250 2.0.0 Ok\r\n", rb"250 2\.0\.0 Ok\r\n"),
    "then closed": (Say(b"250 2.0.0 Ok\r\n", "close"), rb"250 2\.0\.0 Ok\r\n"),
    "then reset": (Say(b"250 2.0.0 Ok\r\n"), rb"250 2\.0\.0 Ok\r\n"),
}


@pytest.mark.parametrize("name", YES)
def test_a_complete_2yz_to_the_dot_is_250(front: Front, name: str) -> None:
    front.backend.script[b"."], expected = YES[name]
    answer, line = front.deliver()
    assert re.fullmatch(expected, answer)
    assert len(answer) <= 512
    assert "MESSAGE/ACCEPT" in line and "possible duplicate" not in line
    assert len(front.backend.deliveries) == 1


PASSED_ON = {
    "550": (b"550 5.7.1 we do not like it\r\n", rb"550 5\.7\.1 we do not like it\r\n"),
    "551": (b"551 5.1.6 gone\r\n", rb"551 5\.1\.6 gone\r\n"),
    "552": (b"552 5.2.2 full\r\n", rb"552 5\.2\.2 full\r\n"),
    "553": (b"553 5.1.8 no such\r\n", rb"553 5\.1\.8 no such\r\n"),
    "554": (b"554 5.7.1 spam\r\n", rb"554 5\.7\.1 spam\r\n"),
    "no enhanced code": (b"554 spam\r\n", rb"554 5\.\d+\.\d+ spam\r\n"),
    "one of another class": (b"554 4.7.1 spam\r\n", rb"554 5\.\d+\.\d+ [ -~]*spam\r\n"),
    "several lines": (b"554-5.7.1 spam\r\n554 5.7.1 it is\r\n", rb"554 5\.7\.1 spam [ -~]*it is\r\n"),
    "5 KB": (b"550 5.7.1 " + b"x" * 5000 + b"\r\n", rb"550 5\.7\.1 [ -~]{1,500}\r\n"),
    "beyond ASCII": ("550 5.7.1 schön\r\n".encode(), rb"550 5\.7\.1 sch[ -~]+n\r\n"),
    "450": (b"450 4.2.0 later\r\n", rb"450 4\.2\.0 later\r\n"),
    "451": (b"451 4.7.1 greylisted\r\n", rb"451 4\.7\.1 greylisted\r\n"),
    "452": (b"452 4.3.1 no room\r\n", rb"452 4\.3\.1 no room\r\n"),
    "451 without enhanced code": (b"451 later\r\n", rb"451 4\.\d+\.\d+ later\r\n"),
}
OURS_TO_MEND = (500, 501, 502, 503, 504, 521, 530, 535, 549, 555, 556, 571, 599)


@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT", b"DATA", b"."])
@pytest.mark.parametrize("name", PASSED_ON)
def test_a_refusal_of_the_mail_is_passed_on(front: Front, name: str, verb: bytes) -> None:
    refuse(front, verb, PASSED_ON[name][0])
    answer, line = front.deliver()
    assert re.fullmatch(PASSED_ON[name][1], answer)
    assert len(answer) <= 512
    assert ("MESSAGE/REJECT" if answer.startswith(b"5") else "MESSAGE/TEMPORARY") in line
    assert "possible duplicate" not in line
    assert not front.backend.deliveries
    assert len(front.backend.dots) == (verb == b".")


@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT", b"DATA", b"."])
def test_any_other_refusal_is_451_and_logged_as_fatal(front: Front, verb: bytes) -> None:
    for code in OURS_TO_MEND:
        mark = len(front.daemon.log())
        refuse(front, verb, b"%d 5.5.1 not you\r\n" % code)
        answer, line = front.deliver()
        assert re.fullmatch(NOT_FOR_US, answer), code
        assert "possible duplicate" not in line
        assert "BACKEND/FATAL" in front.daemon.log()[mark:], code
    assert not front.backend.deliveries


@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT", b"DATA", b"."])
@pytest.mark.parametrize("then", ["go on", "close"])
@pytest.mark.parametrize("warm", [False, True])
def test_421_is_never_a_5yz(front: Front, verb: bytes, then: str, warm: bool) -> None:
    if warm:
        assert front.deliver()[0].startswith(b"250 ")
    front.backend.reset()
    refuse(front, verb, Say(b"421 4.3.2 going away\r\n", "close" if then == "close" else "go on"))
    answer, line = front.deliver()
    assert answer.startswith(b"451 4.")
    assert "MESSAGE/TEMPORARY" in line and "possible duplicate" not in line
    front.backend.reset()
    assert front.deliver()[0].startswith(b"250 ")


BROKEN: dict[str, Answer] = {
    name: UNCLEAR[name]
    for name in ("closed", "reset", "half a reply", "unfinished lines", "another class within a reply",
                 "650", "two digits", "garbage before it", "NUL", "a line without an end")
}  # fmt: skip


@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT", b"DATA"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_backend_lost_before_the_dot_is_451_and_no_duplicate(front: Front, name: str, verb: bytes) -> None:
    front.backend.script[verb] = BROKEN[name]
    answer, line = front.deliver()
    assert re.fullmatch(LOST, answer)
    assert "MESSAGE/TEMPORARY" in line and "possible duplicate" not in line
    assert not front.backend.dots
    front.backend.reset()
    assert front.deliver()[0].startswith(b"250 ")


def test_silence_is_451_and_a_possible_duplicate_only_behind_the_dot(front: Front) -> None:
    """All at once, since each takes its time."""
    for verb in (b"MAIL", b"RCPT", b"DATA", b"."):
        front.backend.script[verb] = silent_for(verb)
    clients = {}
    for tag in (b"MAIL", b"RCPT", b"DATA", b"dot", b"half"):
        clients[tag] = client = Client(front.site.port)
        client.ask(b"EHLO x", b"MAIL FROM:<silent-%s@example.net>" % tag, b"RCPT TO:<b@example.org>", b"DATA")
        client.send(MESSAGE + b".\r\n")
    for tag, client in clients.items():
        with client:
            assert re.fullmatch(LOST, client.reply())
        line = front.daemon.logged(f"MESSAGE/TEMPORARY.*from=<silent-{tag.decode()}@")
        assert ("possible duplicate" in line) == (tag in (b"dot", b"half"))


def test_silence_is_waited_for_once_and_not_on_every_warm_connection(
    site: Site, daemon: Daemon, backend: ScriptedBackend
) -> None:
    """The client's patience is 600 s (RFC 5321 4.5.3.2.6); a backend that hangs must not use it up."""
    site.write(processes=1, max_backends=4, **PATIENT)
    daemon.start()
    until(lambda: len(backend.commands(b"EHLO")) == 4, "the connections opened at the start")
    backend.script[b"MAIL"] = Say(b"", "fall silent")
    assert re.fullmatch(LOST, Front(site, backend, daemon).deliver()[0])
    assert len(backend.commands(b"MAIL")) == 1


@pytest.mark.parametrize("end", [b"250 2.0.0 Ok\r\n", Say(b"", "close"), b"550 5.7.1 no\r\n"])
def test_a_client_gone_behind_the_dot(front: Front, end: Answer) -> None:
    """Where the backend has the message, or may have it, the client will send it again."""
    held, go_on = threading.Event(), threading.Event()

    def hold(_: Connection, __: bytes) -> Answer:
        held.set()
        go_on.wait(20)
        return end

    front.backend.script[b"."] = hold
    tag = f"gone-{len(front.daemon.log())}"
    with Client(front.site.port) as client:
        client.ask(b"EHLO x", b"MAIL FROM:<%s@example.net>" % tag.encode(), b"RCPT TO:<b@example.org>", b"DATA")
        client.send(MESSAGE + b".\r\n")
        assert held.wait(20)
    go_on.set()
    line = front.daemon.logged(f"MESSAGE/.*from=<{tag}@")
    assert ("possible duplicate" in line) == (end != b"550 5.7.1 no\r\n")


@pytest.mark.parametrize(
    ("verb", "octets"),
    [
        (b"DATA", b"250 2.0.0 Ok\r\n"),
        (b"DATA", b"354 go\r\n250 2.0.0 Ok\r\n"),
        (b"DATA", b"354 go\r\n550 5.7.1 no\r\n"),
        (b"MAIL", b"354 go\r\n"),
        (b"RCPT", b"354 go\r\n"),
        (b"MAIL", b"250 2.1.0 Ok\r\n250 2.1.0 Ok\r\n"),
    ],
)
def test_a_backend_out_of_step_gets_no_dot(front: Front, verb: bytes, octets: bytes) -> None:
    front.backend.script[verb] = octets
    answer, line = front.deliver()
    assert answer.startswith(b"451 4.")
    assert "possible duplicate" not in line
    assert not front.backend.dots


@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT"])
def test_354_where_no_recipient_stands_gets_no_dot(front: Front, verb: bytes) -> None:
    front.backend.script[verb] = b"550 5.1.1 unknown\r\n"  # and DATA is answered 354 all the same
    answer, line = front.deliver()
    assert answer[:3] in (b"451", b"550")
    assert "possible duplicate" not in line
    used = front.backend.connections[-1]
    assert used.ended.wait(10), "the connection is dropped"
    assert not front.backend.dots and b"Subject:" not in used.received


@pytest.mark.parametrize(
    ("early", "expected"),
    [
        (b"552 5.3.4 too big for me\r\n", rb"552 5\.3\.4 too big for me\r\n"),
        (b"451 4.3.1 no room\r\n", rb"451 4\.3\.1 no room\r\n"),
        (b"500 5.5.1 what\r\n", NOT_FOR_US),
        (b"421 4.3.2 going away\r\n", rb"451 4\.[ -~]+\r\n"),
        (b"250 2.0.0 Ok\r\n", rb"451 4\.[ -~]+\r\n"),
        (b"354 go on\r\n", rb"451 4\.[ -~]+\r\n"),
        (b"garbage\r\n", rb"451 4\.[ -~]+\r\n"),
    ],
)
def test_a_reply_before_the_dot(front: Front, early: bytes, expected: bytes) -> None:
    """More than the kernels between take, so that the dot cannot have gone."""
    front.backend.early = early
    answer, line = front.deliver(body=MESSAGE + b"0123456789abcdef" * 64 * 1024 * 20)
    assert re.fullmatch(expected, answer)
    assert "possible duplicate" not in line
    front.backend.reads_on.set()
    assert front.backend.connections[-1].ended.wait(10)
    assert not front.backend.dots


def silent_for(verb: bytes) -> Choice:
    """Falls silent at this verb where the reverse-path says so."""
    good = GOOD[verb]
    assert isinstance(good, bytes)

    def choose(connection: Connection, _: bytes) -> Answer:
        mail = next(line for line in reversed(connection.commands) if line.startswith(b"MAIL"))
        if b"silent-half@" in mail and verb == b".":
            return Say(b"250-2.0.0 Ok\r\n250 2.0.0 O", "fall silent")
        if b"silent-%s@" % (b"dot" if verb == b"." else verb) in mail:
            return Say(b"", "fall silent")
        return good

    return choose
