"""Warm connections that are stale, worn or idle, and backends that go away and come back."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

import pytest

from tests.daemon.front import PATIENT, Front, greeting_of, only_on, refuse
from tests.daemon.harness import MESSAGE, Client, Daemon, Site, paused, until
from tests.daemon.scripted_backend import Answer, Connection, Say, ScriptedBackend

# Warm connections


def test_an_idle_connection_that_speaks_is_never_used_again(front: Front) -> None:
    for octets in (b"250 2.0.0 stray\r\n", b"421 4.4.2 timeout\r\n", b"x"):
        front.backend.reset()
        assert front.deliver()[0].startswith(b"250 ")
        stale = front.backend.alive()
        for connection in stale:
            connection.sock.sendall(octets)
        front.backend.script[b"."] = b"550 5.7.1 not this one\r\n"
        assert front.deliver()[0] == b"550 5.7.1 not this one\r\n"
        assert all(connection.ended.wait(10) for connection in stale)


@pytest.mark.parametrize(
    "fault", [Say(b"", "close"), Say(b"", "reset"), Say(b"421 4.4.2 idle for too long\r\n", "close")]
)
@pytest.mark.parametrize("verb", [b"MAIL", b"RCPT", b"DATA"])
def test_a_stale_warm_connection_is_no_fault_of_the_mail(front: Front, verb: bytes, fault: Answer) -> None:
    assert front.deliver()[0].startswith(b"250 ")
    stale = front.backend.alive()
    front.backend.script[verb] = only_on(stale, verb, fault)
    answer, line = front.deliver()
    assert answer.startswith(b"250 ") and "MESSAGE/ACCEPT" in line
    assert len(front.backend.deliveries) == 2


def test_a_connection_opened_at_the_start_may_be_stale_as_well(
    site: Site, daemon: Daemon, backend: ScriptedBackend
) -> None:
    site.write(processes=1, max_backends=3, **PATIENT)
    daemon.start()
    until(lambda: len(backend.commands(b"EHLO")) == 3, "the connections opened at the start")
    backend.script[b"MAIL"] = only_on(backend.alive(), b"MAIL", Say(b"", "close"))
    assert Front(site, backend, daemon).deliver()[0].startswith(b"250 ")


def test_a_fault_of_reset_harms_no_message(front: Front) -> None:
    for fault in (Say(b"", "close"), b"421 4.3.2 bye\r\n", b"500 5.5.1 what\r\n", b"garbage\r\n"):
        front.backend.reset()
        front.backend.script[b"RSET"] = fault
        refuse(front, b"RCPT", b"550 5.1.1 unknown\r\n")
        assert front.deliver()[0] == b"550 5.1.1 unknown\r\n"
        front.backend.reset()
        assert front.deliver()[0].startswith(b"250 ")


def test_warm_connections_are_used_again_and_renewed(site: Site, daemon: Daemon, backend: ScriptedBackend) -> None:
    site.write(processes=1, max_backends=1, backend_max_messages=5)
    daemon.start()
    front = Front(site, backend, daemon)
    for _ in range(12):
        assert front.deliver()[0].startswith(b"250 ")
    assert [connection.commands.count(b"DATA") for connection in backend.connections][:3] == [5, 5, 2]


def test_a_connection_is_renewed_after_8_refusals(site: Site, daemon: Daemon, backend: ScriptedBackend) -> None:
    site.write(processes=1, max_backends=1)
    daemon.start()
    front = Front(site, backend, daemon)
    backend.script[b"."] = b"550 5.7.1 no\r\n"
    for _ in range(10):
        assert front.deliver()[0] == b"550 5.7.1 no\r\n"
    assert [connection.commands.count(b"DATA") for connection in backend.connections][:2] == [8, 2]


def test_an_idle_connection_is_closed_after_backend_idle(site: Site, daemon: Daemon, backend: ScriptedBackend) -> None:
    site.write(processes=1, max_backends=1, backend_idle=1)
    daemon.start()
    until(lambda: backend.commands(b"QUIT"), "QUIT", limit=5)
    assert Front(site, backend, daemon).deliver()[0].startswith(b"250 ")


# Backends that are away


def test_failover_and_back(site: Site, daemon: Daemon, backend: ScriptedBackend, free_port: Callable[[], int]) -> None:
    with ScriptedBackend(free_port()) as second:
        site.write(backend_ip=f"127.0.0.1 127.0.0.1:{second.port}", max_backends=4)
        daemon.start()
        front = Front(site, backend, daemon)

        def goes_to(wanted: ScriptedBackend) -> bool:
            before = len(wanted.deliveries)
            for other in daemon.workers():
                with paused(other):
                    assert front.deliver()[0].startswith(b"250 "), "no message is refused for it"
            return len(wanted.deliveries) == before + 2

        assert goes_to(backend), "the first one serves"
        backend.stop()
        assert goes_to(second), "the next one serves while the first is down"
        backend.start()
        daemon.logged(r"answers again")
        until(lambda: goes_to(backend), "the first one to serve again, in both workers")


def test_a_first_backend_that_takes_no_more_connections_keeps_those_it_has(
    site: Site, daemon: Daemon, backend: ScriptedBackend, free_port: Callable[[], int]
) -> None:
    with ScriptedBackend(free_port()) as second:
        site.write(processes=1, backend_ip=f"127.0.0.1 127.0.0.1:{second.port}", max_backends=2)
        daemon.start()
        until(lambda: second.commands(b"QUIT"), "the second one to have been asked what it offers")
        (warm,) = until(lambda: len(backend.alive()) == 1 and backend.alive(), "a connection to the first one")
        backend.script[b""] = b"421 4.3.2 too many connections\r\n"
        go_on = threading.Event()

        def hold(_: Connection, __: bytes) -> Answer:
            go_on.wait(20)
            return b"250 2.0.0 Ok\r\n"

        backend.script[b"."] = hold
        front = Front(site, backend, daemon)
        with Client(site.port) as first:
            first.ask(b"EHLO x", b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>", b"DATA")
            first.send(MESSAGE + b".\r\n")
            until(lambda: b"DATA" in warm.commands, "the first message")
            assert front.deliver()[0].startswith(b"250 ") and len(second.deliveries) == 1
            go_on.set()
            assert first.reply().startswith(b"250 ")
        assert not warm.ended.is_set() and len(backend.deliveries) == 1


def test_all_backends_away_and_back(site: Site, daemon: Daemon, backend: ScriptedBackend) -> None:
    site.write(processes=2, max_backends=2, **PATIENT)
    daemon.start()
    front = Front(site, backend, daemon)
    assert front.deliver()[0].startswith(b"250 ")
    with Client(site.port) as client:
        client.ask(b"EHLO x", b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>", b"DATA")
        backend.stop()
        assert re.fullmatch(rb"451 4\.4\.1 MessageWall: BACKEND/TEMPORARY: [ -~]+\r\n", client.ask(MESSAGE + b"."))
        down = until(lambda: not (got := greeting_of(site)).startswith(b"220 ") and got, "421")
        assert re.fullmatch(rb"421 4\.3\.2 MessageWall: BACKEND/FATAL: [ -~]+\r\n", down)
        backend.start()
        until(lambda: greeting_of(site).startswith(b"220 "), "the backend to be found again", limit=9)
        client.ask(b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>", b"DATA")
        assert client.ask(MESSAGE + b".").startswith(b"250 "), "in the session that was there all along"


@pytest.mark.parametrize(
    ("verb", "fault"),
    [
        (b"", b"554 5.7.1 go away\r\n"),
        (b"", b"421 4.3.2 too busy\r\n"),
        (b"", b"SSH-2.0-OpenSSH\r\n"),
        (b"", Say(b"", "fall silent")),
        (b"EHLO", b"550 5.7.1 not you\r\n"),
        (b"EHLO", b"421 4.3.2 bye\r\n"),
        (b"EHLO", Say(b"250-half\r\n", "close")),
    ],
)
def test_a_backend_that_will_not_have_us_is_no_fault_of_the_mail(
    site: Site, daemon: Daemon, backend: ScriptedBackend, verb: bytes, fault: Answer
) -> None:
    site.write(processes=1, max_backends=1, **PATIENT)
    daemon.start()
    until(lambda: greeting_of(site).startswith(b"220 ") and backend.commands(b"EHLO"), "the connection")
    with Client(site.port) as client:
        client.ask(b"EHLO x", b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>", b"DATA")
        backend.script[verb] = fault
        for connection in backend.alive():
            connection.cut()
        assert client.ask(MESSAGE + b".").startswith(b"451 4.")
        assert until(lambda: not (got := greeting_of(site)).startswith(b"220") and got, "421").startswith(b"421 4.3.2 ")
        backend.reset()
        until(lambda: greeting_of(site).startswith(b"220 "), "the backend to be found again", limit=9)
        assert client.message(MESSAGE, ehlo=False).startswith(b"250 ")


def test_started_before_its_backend(site: Site, daemon: Daemon) -> None:
    site.write(processes=1, max_backends=1, **PATIENT)
    daemon.start()
    assert until(lambda: not (got := greeting_of(site)).startswith(b"220") and got, "421").startswith(b"421 4.3.2 ")
    with ScriptedBackend(site.backend_port):
        until(lambda: greeting_of(site).startswith(b"220 "), "the backend to be found", limit=9)


def test_no_free_connection_in_time(site: Site, daemon: Daemon, backend: ScriptedBackend) -> None:
    site.write(processes=1, max_backends=1, backend_wait=0)
    daemon.start()
    backend.script[b"."] = Say(b"", "fall silent")
    with Client(site.port) as first, Client(site.port) as second:
        opening = (b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>", b"DATA")
        first.ask(b"EHLO x", *opening)
        first.send(MESSAGE + b".\r\n")
        until(lambda: backend.dots, "the first message at the backend")
        second.ask(b"EHLO x", *opening)
        answer = second.ask(MESSAGE + b".")
        assert re.fullmatch(rb"451 4\.3\.2 MessageWall: BACKEND/TEMPORARY: [ -~]+\r\n", answer)
