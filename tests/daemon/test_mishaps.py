"""Our own errors, and events that run into another: nobody is told 2xx wrongly, nobody waits for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.detached import patched
from tests.daemon.front import PATIENT
from tests.daemon.harness import MESSAGE, Client, Daemon, Sink, Site
from tests.daemon.scripted_backend import ScriptedBackend

RAISES = (
    "import time\nimport mwall.worker.message as message\n"
    "def judge(*_):\n    time.sleep(0.02)\n    yield\n    raise RuntimeError('a bug of ours')\n"
    "message.judge = judge\n"
)


@pytest.mark.parametrize("behind", [b"QUIT\r\n", b"MAIL FROM:<c@example.org>\r\n", b"NOOP\r\nRSET\r\n"])
def test_a_bug_is_421_and_nothing_behind_the_message_is_obeyed(
    site: Site, sink: Sink, daemon: Daemon, tmp_path: Path, behind: bytes
) -> None:
    tmp_path.chmod(0o755)
    daemon.start(prefix=patched(tmp_path, RAISES))
    with Client(site.port) as client:
        client.ask(b"EHLO x", b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.org>", b"DATA")
        client.send(MESSAGE + b".\r\n" + behind)
        assert client.reply() == (
            b"421 4.3.0 MessageWall: SMTP/FATAL: internal error, please try again later\r\n"
        )
        assert client.at_end()
    daemon.logged("a bug of ours")
    assert sink.messages() == []


def test_a_charset_that_breaks_the_decoder_breaks_nothing_else(site: Site, sink: Sink, daemon: Daemon) -> None:
    daemon.start()
    with Client(site.port) as client:
        answer = client.message(b"From: A <a@example.org>\r\nSubject: =?iso-2022-jp?b?GyQkKJmcJCgb?=\r\n\r\nx")
        assert answer.startswith(b"250 ")


def test_a_connection_out_of_step_takes_no_waiting_job_with_it(
    site: Site, backend: ScriptedBackend, daemon: Daemon
) -> None:
    site.write(max_backends=1, processes=1, **PATIENT)
    backend.script[b"."] = b"250 2.0.0 Ok\r\n250 2.0.0 stray\r\n"
    daemon.start()
    clients = [Client(site.port) for _ in range(3)]
    for client in clients:
        client.ask(b"EHLO x", b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>", b"DATA")
    for client in clients:
        client.send(MESSAGE + b".\r\n")
    assert [client.reply()[:4] for client in clients] == [b"250 "] * 3
    for client in clients:
        client.close()


def test_pipelined_recipients_of_many_clients_when_no_backend_is_there(site: Site, daemon: Daemon) -> None:
    site.write(verify_recipients=1, processes=1, max_clients=200, greeting_delay=1)
    daemon.start()
    clients = [Client(site.port, greeted=False) for _ in range(150)]
    # All are greeted before the first of them makes the worker find out that no backend is there, or none is.
    greetings = [client.reply()[:3] for client in clients]
    for client in clients:
        client.send(b"EHLO x\r\nMAIL FROM:<a@example.net>\r\n" + b"RCPT TO:<b@example.org>\r\n" * 4)
    for client, greeting in zip(clients, greetings, strict=True):
        if greeting == b"220":
            replies = [client.reply()[:3] for _ in range(6)]
            assert replies == [b"250", b"250", b"451", b"451", b"451", b"451"]
        client.close()
    assert "bug, please" not in daemon.log()


def test_a_client_that_sends_far_ahead_holds_up_nobody(site: Site, backend: ScriptedBackend, daemon: Daemon) -> None:
    site.write(verify_recipients=1, processes=1)
    backend.script[b"RCPT"] = lambda _, line: b"250 2.1.5 Ok\r\n" if b"good@" in line else b"550 5.1.1 unknown\r\n"
    daemon.start()
    with Client(site.port) as flood, Client(site.port) as other:
        flood.ask(b"EHLO x", b"MAIL FROM:<a@example.net>", b"RCPT TO:<good@example.org>")
        flood.sock.settimeout(2)
        # More than any socket buffer takes.
        commands = b"".join(b"RCPT TO:<u%d@example.org>\r\n" % number for number in range(800_000))
        before = daemon.workers()[0].memory_info().rss
        with pytest.raises(TimeoutError):
            flood.send(commands)  # nobody reads the replies, so this cannot all be taken
        assert other.ask(b"NOOP").startswith(b"250 ")
        assert daemon.workers()[0].memory_info().rss - before < 8 << 20
