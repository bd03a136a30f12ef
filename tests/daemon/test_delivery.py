"""A message from end to end, by the real command, to a real backend."""

from __future__ import annotations

from tests.daemon.harness import MESSAGE, Client, Daemon, Sink, Site, until


def test_a_good_message_arrives_with_our_fields_on_top(site: Site, sink: Sink, daemon: Daemon) -> None:
    daemon.start()
    with Client(site.port) as client:
        assert client.message(MESSAGE).startswith(b"250 2.0.0 ")
        assert client.ask(b"QUIT").startswith(b"221 2.0.0 ")
    (message,) = until(sink.messages, "the message")
    head, _, body = message.partition(b"\n\n")
    assert b"\nReceived: from client.example ([127.0.0.1])" in head
    assert b"\nX-MessageWall-Score: 0 (mx.example.org)" in head
    assert body.startswith(b"Hello.\n")
    line = daemon.logged("MESSAGE/ACCEPT")
    assert "from=<a@example.org> to=<b@example.org>" in line


def test_nobody_relays(site: Site, sink: Sink, daemon: Daemon) -> None:
    daemon.start()
    with Client(site.port) as client:
        answer = client.ask(b"EHLO x", b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.net>")
        assert answer.startswith(b"550 5.7.1 MessageWall: RELAY/REJECT: ")
