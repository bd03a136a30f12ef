"""Several recipients with mixed fates, recipients verified at RCPT, and what backends offer or lack."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.daemon.front import NOT_FOR_US, PATIENT, Front, refuse
from tests.daemon.harness import MESSAGE, Client, Daemon, Site, paused, until
from tests.daemon.scripted_backend import Answer, Say, ScriptedBackend

# Several recipients


def test_some_recipients_refused_then_the_retry(site: Site, daemon: Daemon, backend: ScriptedBackend) -> None:
    site.write(processes=2, max_backends=2)
    daemon.start()
    backend.script[b"RCPT"] = lambda _, line: (
        b"550 5.1.1 nobody of that name\r\n" if b"<bad@" in line else b"250 2.1.5 Ok\r\n"
    )
    mail = b"MAIL FROM:<a@example.net>"
    with Client(site.port) as client:
        client.ask(b"EHLO x", mail, b"RCPT TO:<good@example.org>", b"RCPT TO:<bad@example.org>", b"DATA")
        assert re.fullmatch(rb"451 4\.3\.0 MessageWall: BACKEND/TEMPORARY: [ -~]+\r\n", client.ask(MESSAGE + b"."))
    assert not backend.dots and until(lambda: backend.commands(b"RSET"), "RSET")
    asked = len(backend.commands(b"RCPT"))
    for other in daemon.workers():
        with paused(other), Client(site.port) as client:
            client.ask(b"EHLO x")
            for _ in range(2):
                assert client.ask(mail, b"RCPT TO:<bad@example.org>") == b"550 5.1.1 nobody of that name\r\n"
                assert client.ask(b"RSET").startswith(b"250 ")
            assert client.ask(b"MAIL FROM:<other@example.net>", b"RCPT TO:<bad@example.org>").startswith(b"250 ")
    assert len(backend.commands(b"RCPT")) == asked, "known in both workers without asking"
    with Client(site.port) as client:
        client.ask(b"EHLO x", mail, b"RCPT TO:<good@example.org>")
        assert client.ask(b"RCPT TO:<bad@example.org>") == b"550 5.1.1 nobody of that name\r\n"
        assert client.ask(b"DATA", MESSAGE + b".").startswith(b"250 ")
    assert [delivery.recipients for delivery in backend.deliveries] == [(b"RCPT TO:<good@example.org>",)]
    assert set(re.findall(r"\{(\d)\} .* RECIPIENT/REJECT", daemon.log())) == {"1", "2"}


@pytest.mark.parametrize(
    "answers", [(b"550 5.1.1 a\r\n", b"554 5.7.1 b\r\n"), (b"550 5.1.1 a\r\n", b"451 4.2.0 b\r\n")]
)
def test_all_recipients_refused(front: Front, answers: tuple[bytes, bytes]) -> None:
    front.backend.script[b"RCPT"] = lambda _, line: answers[b"<two@" in line]
    answer, _ = front.deliver(b"one@example.org", b"two@example.org")
    permanent = all(answer.startswith(b"5") for answer in answers)
    assert answer in (answers if permanent else answers[1:])
    assert not front.backend.dots


def test_refused_for_now_is_told_for_now_at_the_retry(front: Front) -> None:
    front.backend.script[b"RCPT"] = lambda _, line: b"450 4.2.1 busy\r\n" if b"<q@" in line else b"250 2.1.5 Ok\r\n"
    with Client(front.site.port) as client:
        opening = (b"EHLO x", b"MAIL FROM:<z@example.net>", b"RCPT TO:<p@example.org>")
        assert client.ask(*opening, b"RCPT TO:<q@example.org>", b"DATA", MESSAGE + b".").startswith(b"451 ")
        assert client.ask(*opening[1:], b"RCPT TO:<q@example.org>") == b"450 4.2.1 busy\r\n"


# What the backend offers


@pytest.mark.parametrize("extensions", [(), ("8BITMIME", "SIZE")])
def test_without_pipelining_nothing_is_sent_ahead(
    site: Site, daemon: Daemon, backend: ScriptedBackend, extensions: tuple[str, ...]
) -> None:
    site.write(processes=1, max_backends=1)
    backend.extensions = extensions
    backend.listens_before_answering = 0.02
    daemon.start()
    front = Front(site, backend, daemon)
    assert front.deliver(b"one@example.org", b"two@example.org")[0].startswith(b"250 ")
    refuse(front, b"MAIL", b"550 5.7.1 not from there\r\n")
    assert front.deliver()[0] == b"550 5.7.1 not from there\r\n"
    assert [connection.sent_ahead for connection in backend.connections] == [[]]


def test_with_pipelining_data_never_flies_with_several_recipients(
    site: Site, daemon: Daemon, backend: ScriptedBackend
) -> None:
    site.write(processes=1, max_backends=1)
    backend.listens_before_answering = 0.02
    daemon.start()
    front = Front(site, backend, daemon)
    assert front.deliver(b"one@example.org", b"two@example.org")[0].startswith(b"250 ")
    (connection,) = backend.connections
    assert [line[:4] for line in connection.sent_ahead] == [b"MAIL", b"RCPT"], "MAIL and RCPT fly together, DATA alone"


def test_8bitmime_is_offered_only_with_a_backend_that_has_it(
    site: Site, daemon: Daemon, backend: ScriptedBackend
) -> None:
    site.write(processes=1, max_backends=1)
    backend.extensions = ("PIPELINING", "SIZE 1000000")
    daemon.start()
    until(lambda: backend.commands(b"EHLO"), "the connection")
    with Client(site.port) as client:
        until(lambda: b"SIZE 50" not in client.ask(b"EHLO x"), "what the backend offers")
        offer = client.ask(b"EHLO x")
        assert b"8BITMIME" not in offer and b"SMTPUTF8" not in offer
        size = int(re.findall(rb"SIZE (\d+)", offer)[0])
        assert 900_000 < size < 1_000_000, "less room for our fields"
        assert client.ask(b"MAIL FROM:<a@example.net> BODY=8BITMIME").startswith(b"555 5.5.4 ")
        assert client.ask(b"MAIL FROM:<a@example.net> SIZE=%d" % (size + 1)).startswith(b"552 5.3.4 ")
        eightbit = MESSAGE + "schön\r\n".encode()
        assert client.message(eightbit, ehlo=False).startswith(b"250 "), "unannounced, it passes as it is"
    assert backend.deliveries[0].mail_data.endswith(eightbit + b"\r\n")
    assert b"BODY" not in backend.deliveries[0].reverse_path


@pytest.mark.parametrize("parameter", [b" BODY=8BITMIME", b" SMTPUTF8"])
def test_a_backend_that_came_back_with_less_is_451(
    site: Site, daemon: Daemon, backend: ScriptedBackend, parameter: bytes
) -> None:
    site.write(processes=1, max_backends=1)
    daemon.start()
    until(lambda: backend.commands(b"EHLO"), "the connection")
    with Client(site.port) as client:
        until(lambda: parameter.strip()[-8:] in client.ask(b"EHLO x"), "what the backend offers")
        client.ask(b"MAIL FROM:<a@example.net>" + parameter, b"RCPT TO:<b@example.org>", b"DATA")
        backend.extensions = ("PIPELINING",)
        for connection in backend.alive():
            connection.cut()
        assert re.fullmatch(NOT_FOR_US, client.ask(MESSAGE + b"."))
    daemon.logged("BACKEND/FATAL")
    assert not backend.commands(b"DATA")


def test_extensions_are_offered_only_where_all_backends_have_them(
    site: Site, daemon: Daemon, backend: ScriptedBackend, free_port: Callable[[], int]
) -> None:
    with ScriptedBackend(free_port()) as other:
        other.extensions = ("PIPELINING", "8BITMIME")
        site.write(backend_ip=f"127.0.0.1 127.0.0.1:{other.port}")
        daemon.start()

        def offer() -> bytes:
            with Client(site.port) as client:
                return client.ask(b"EHLO x")

        until(lambda: b"SMTPUTF8" not in offer(), "both known")
        assert b"8BITMIME" in offer()


# Recipients verified


@pytest.fixture
def verifying(site: Site, daemon: Daemon, backend: ScriptedBackend) -> Front:
    """One worker that asks the backend at RCPT."""
    site.write(processes=1, max_backends=2, verify_recipients=1, **PATIENT)
    daemon.start()
    return Front(site, backend, daemon)


def ask_for(front: Front, *lines: bytes) -> bytes:
    """The reply to the last of these commands, in a session of its own."""
    with Client(front.site.port) as client:
        return client.ask(b"EHLO x", *lines)


def test_a_yes_is_kept(verifying: Front) -> None:
    for _ in range(3):
        assert ask_for(verifying, b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>").startswith(b"250 2.1.5 ")
    assert len(verifying.backend.commands(b"RCPT")) == 1
    assert not verifying.backend.commands(b"DATA")


def test_a_permanent_no_is_kept_and_in_the_backends_words(verifying: Front) -> None:
    verifying.backend.script[b"RCPT"] = b"550 5.1.1 <b@example.org>: nobody\r\n"
    for _ in range(3):
        answer = ask_for(verifying, b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>")
        assert answer == b"550 5.1.1 <b@example.org>: nobody\r\n"
    assert len(verifying.backend.commands(b"RCPT")) == 1


def test_a_transient_no_is_not_kept(verifying: Front) -> None:
    verifying.backend.script[b"RCPT"] = b"451 4.7.1 greylisted\r\n"
    for number in (1, 2):
        answer = ask_for(verifying, b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>")
        assert answer == b"451 4.7.1 greylisted\r\n"
        assert len(verifying.backend.commands(b"RCPT")) == number
    verifying.backend.reset()
    assert ask_for(verifying, b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>").startswith(b"250 ")


def test_the_question_has_the_real_reverse_path_size_and_body(verifying: Front) -> None:
    with Client(verifying.site.port) as client:
        until(lambda: b"8BITMIME" in client.ask(b"EHLO x"), "what the backend offers")
        client.ask(b"MAIL FROM:<real@example.net> SIZE=12345 BODY=8BITMIME", b"RCPT TO:<b@example.org>")
    (mail,) = verifying.backend.commands(b"MAIL")
    assert mail.startswith(b"MAIL FROM:<real@example.net> ")
    assert {b"SIZE=12345", b"BODY=8BITMIME"} <= set(mail.split())
    assert ask_for(verifying, b"MAIL FROM:<>", b"RCPT TO:<c@example.org>").startswith(b"250 ")
    assert verifying.backend.commands(b"MAIL")[1] == b"MAIL FROM:<>"


@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT"])
def test_faults_of_a_backend_that_is_asked_are_transient(verifying: Front, verb: bytes) -> None:
    faults: list[Answer] = [b"530 5.7.0 authenticate\r\n", b"555 5.5.4 what\r\n", b"421 4.3.2 bye\r\n", b"354 go\r\n",
                            Say(b"", "close"), b"garbage\r\n", Say(b"550 5.1", "close")]  # fmt: skip
    for fault in faults:
        verifying.backend.script[verb] = fault
        answer = ask_for(verifying, b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>")
        assert answer.startswith(b"451 4."), fault
    verifying.backend.reset()
    assert ask_for(verifying, b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>").startswith(b"250 ")


def test_no_connection_is_held_between_rcpt_and_data(site: Site, daemon: Daemon, backend: ScriptedBackend) -> None:
    site.write(processes=1, max_backends=1, verify_recipients=1)
    daemon.start()
    with Client(site.port) as first, Client(site.port) as second:
        for client in (first, second):
            answer = client.ask(b"EHLO x", b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>", b"DATA")
            assert answer.startswith(b"354 ")
        assert second.ask(MESSAGE + b".").startswith(b"250 ")
        assert first.ask(MESSAGE + b".").startswith(b"250 ")
