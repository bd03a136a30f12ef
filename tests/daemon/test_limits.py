"""What one client, or all of them, may take: counts, sizes, times, manners; and that a refused one sees our words."""

from __future__ import annotations

import re
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from tests.daemon.harness import MESSAGE, Client, Daemon, Site, paused, until
from tests.daemon.scripted_backend import GOOD, Answer, Connection, ScriptedBackend

SMALL = 65536  # octets: the smallest max_message_size
TO_DATA = (b"MAIL FROM:<a@example.net>", b"RCPT TO:<b@example.org>", b"DATA")


@pytest.fixture
def start(site: Site, daemon: Daemon, backend: ScriptedBackend) -> Callable[..., Site]:
    """start(name=value, ...) starts the daemon with these settings; it is up and knows its backend."""

    def begin(**settings: object) -> Site:
        site.write(**{"processes": 1, "max_backends": 2, **settings})
        daemon.start()
        until(lambda: backend.commands(b"EHLO"), "the connection to the backend")
        return site

    return begin


def over_both_workers(daemon: Daemon, site: Site, each: int, **how: str) -> list[Client]:
    """Clients, as many with either worker."""
    clients = []
    for other in daemon.workers():
        with paused(other):
            clients += [Client(site.port, **how) for _ in range(each)]  # type: ignore[arg-type]
    assert all(client.greeting.startswith(b"220 mx.example.org ESMTP") for client in clients)
    return clients


def is_turned_away(client: Client, pattern: bytes) -> bool:
    """Whether it was told this instead of a greeting, and nothing else."""
    with client:
        return re.fullmatch(pattern, client.greeting) is not None and client.at_end()


# How many


def test_max_clients_is_exact_over_two_workers(start: Callable[..., Site], daemon: Daemon) -> None:
    site = start(processes=2, max_clients=6)
    clients = over_both_workers(daemon, site, 3)
    for other in daemon.workers():
        with paused(other):
            assert is_turned_away(Client(site.port), rb"421 4\.3\.2 MessageWall: \w+/FATAL: [ -~]+\r\n")
    clients.pop().close()
    until(lambda: has_room(site, clients), "the seat that was left")
    assert is_turned_away(Client(site.port), rb"421 4\.3\.2 MessageWall: \w+/FATAL: [ -~]+\r\n")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_max_per_ip_is_exact_over_two_workers(start: Callable[..., Site], daemon: Daemon, address: str) -> None:
    site = start(processes=2, max_per_ip=4, listen_ip="127.0.0.1 ::1")
    over = {"source": address, "address": address}
    clients = over_both_workers(daemon, site, 2, **over)
    for other in daemon.workers():
        with paused(other):
            refused = Client(site.port, **over)  # type: ignore[arg-type]
            assert is_turned_away(refused, rb"421 4\.7\.0 MessageWall: \w+/FATAL: [ -~]+\r\n")
    with Client(site.port, "127.0.0.2") as another:
        assert another.greeting.startswith(b"220 ")
    clients.pop().close()
    until(lambda: has_room(site, clients, **over), "the seat that was left")


def test_max_per_ip_counts_an_ipv6_network_of_64_bits(
    start: Callable[..., Site], need_program: Callable[[str], str]
) -> None:
    ip = need_program("ip")
    here = ("2001:db8:0:1::1", "2001:db8:0:1:ffff::1", "2001:db8:0:2::1")
    try:
        for address in here:
            subprocess.run([ip, "addr", "add", f"{address}/128", "dev", "lo", "nodad"], check=True)
        site = start(max_per_ip=2, listen_ip="127.0.0.1 ::1")
        one, another, elsewhere = ({"source": address, "address": "::1"} for address in here)
        with Client(site.port, **one) as first, Client(site.port, **another) as second:  # type: ignore[arg-type]
            assert first.greeting.startswith(b"220 ") and second.greeting.startswith(b"220 ")
            for refused in (one, another):
                assert is_turned_away(Client(site.port, **refused), rb"421 4\.7\.0 [ -~]+\r\n")  # type: ignore[arg-type]
            with Client(site.port, **elsewhere) as third:  # type: ignore[arg-type]
                assert third.greeting.startswith(b"220 ")
    finally:
        for address in here:
            subprocess.run([ip, "addr", "del", f"{address}/128", "dev", "lo"], check=False)


def test_relay_clients_are_exempt_from_max_per_ip(start: Callable[..., Site], site: Site) -> None:
    site.put("relay_ips", "127.0.0.3\n")
    start(max_per_ip=1, relay_ips="relay_ips")
    clients = [Client(site.port, "127.0.0.3") for _ in range(4)]
    assert all(client.greeting.startswith(b"220 ") for client in clients)


@pytest.mark.parametrize("workers", [1, 2])
def test_max_memory(start: Callable[..., Site], daemon: Daemon, backend: ScriptedBackend, workers: int) -> None:
    site = start(processes=workers, max_memory="64K", max_message_size="64K")
    body = MESSAGE + b"0123456789abcde\r\n" * 3000
    holder = daemon.workers()[0]
    with paused(*daemon.workers()[1:]):
        first = Client(site.port)
        assert first.ask(b"EHLO x", *TO_DATA).startswith(b"354 ")
        first.send(body)
        first.wait_until_read()
    if workers == 2:
        with paused(holder):
            second = Client(site.port)
    else:
        second = Client(site.port)
    assert re.fullmatch(rb"452 4\.3\.1 MessageWall: \w+/TEMPORARY: [ -~]+\r\n", second.message(body))
    first.send(b".\r\n")
    assert first.reply().startswith(b"250 ")
    assert second.message(body, ehlo=False).startswith(b"250 "), "what was held has been given back"
    assert len(backend.deliveries) == 2


def test_memory_of_clients_that_left_is_given_back(start: Callable[..., Site]) -> None:
    site = start(max_memory="64K", max_message_size="64K")
    for _ in range(5):
        with Client(site.port) as client:
            client.ask(b"EHLO x", *TO_DATA)
            client.send(b"x" * 50_000)
            client.wait_until_read()
    with Client(site.port) as client:
        until(lambda: client.message(MESSAGE + b"x" * 40_000).startswith(b"250 "), "memory")


def test_max_rcpt_and_452_never_counts(start: Callable[..., Site], backend: ScriptedBackend) -> None:
    site = start(max_rcpt=100, max_errors=3)
    with Client(site.port) as client:
        client.ask(b"EHLO x", TO_DATA[0])
        for number in range(100):
            assert client.ask(b"RCPT TO:<r%d@example.org>" % number).startswith(b"250 2.1.5 ")
        for number in range(100, 120):
            answer = client.ask(b"RCPT TO:<r%d@example.org>" % number)
            assert re.fullmatch(rb"452 4\.5\.3 MessageWall: \w+/TEMPORARY: [ -~]+\r\n", answer)
        assert client.ask(b"DATA", MESSAGE + b".").startswith(b"250 ")
    assert len(backend.deliveries[0].recipients) == 100


def test_max_errors(start: Callable[..., Site]) -> None:
    site = start(max_errors=3)
    with Client(site.port) as client:
        for command in (b"WHAT", b"MAIL FROM:<a@example.net>", b"EHLO"):
            assert client.ask(command).startswith(b"50")
        assert re.fullmatch(rb"421 4\.7\.0 MessageWall: \w+/FATAL: [ -~]+\r\n", client.ask(b"WHAT"))
        assert client.at_end()


def test_refused_recipients_count_only_without_an_accepted_one(start: Callable[..., Site]) -> None:
    site = start(max_errors=3)
    with Client(site.port) as client:
        client.ask(b"EHLO x", *TO_DATA[:2])
        for _ in range(10):
            assert client.ask(b"RCPT TO:<c@example.net>").startswith(b"550 5.7.1 ")
        assert client.ask(b"RSET", TO_DATA[0]).startswith(b"250 ")
        for _ in range(3):
            assert client.ask(b"RCPT TO:<c@example.net>").startswith(b"550 5.7.1 ")
        assert client.ask(b"RCPT TO:<c@example.net>").startswith(b"421 4.7.0 ")


# How large


def sized(octets: int, line: bytes = b"x" * 70) -> bytes:
    """Mail data of exactly so many octets, its last CRLF included, without the one that the harness adds."""
    head = b"Subject: x\r\nTo: b@example.org\r\nFrom: A <a@example.net>\r\n\r\n"
    lines, rest = divmod(octets - len(head), len(line) + 2)
    data = head + (line + b"\r\n") * lines
    return data + b"y" * (rest - 2) if rest > 2 else data[: -2 - len(line)] + b"y" * (len(line) + rest)


def test_the_declared_size(start: Callable[..., Site]) -> None:
    site = start(max_message_size="64K")
    with Client(site.port) as client:
        assert b"SIZE 65536\r\n" in client.ask(b"EHLO x")
        answer = client.ask(b"MAIL FROM:<a@example.net> SIZE=65537")
        assert re.fullmatch(rb"552 5\.3\.4 MessageWall: \w+/REJECT: [ -~]+\r\n", answer)
        assert client.ask(b"MAIL FROM:<a@example.net> SIZE=65536").startswith(b"250 2.1.0 ")


@pytest.mark.parametrize("line", [b"x" * 70, b"." + b"x" * 69])
def test_the_real_size_to_the_octet(start: Callable[..., Site], backend: ScriptedBackend, line: bytes) -> None:
    """The dots of stuffing are not part of a message's size (RFC 1870 5)."""
    site = start(max_message_size="64K")
    with Client(site.port) as client:
        for octets, expected in ((SMALL - 1, b"250 "), (SMALL, b"250 "), (SMALL + 1, b"552 5.3.4 MessageWall: ")):
            data = sized(octets, line)
            assert len(data) + 2 == octets
            assert client.message(data.replace(b"\r\n.", b"\r\n..")).startswith(expected), octets
        assert client.message(MESSAGE, ehlo=False).startswith(b"250 ")
    assert len(backend.deliveries) == 3


def test_past_the_limit_only_crlf_dot_crlf_ends(start: Callable[..., Site], backend: ScriptedBackend) -> None:
    site = start(max_message_size="64K")
    with Client(site.port) as client:
        client.ask(b"EHLO x")
        for sequence in (b"\r\n..\r\n", b"\r\n. \r\n", b"x.\r\n"):
            for cut in range(1, 5):
                assert client.ask(*TO_DATA).startswith(b"354 ")
                client.send(sized(SMALL * 3) + sequence + b"RSET\r\nMAIL FROM:<evil@example.net>")
                client.send(b"\r\n.\r\n"[:cut])
                client.wait_until_read()
                client.send(b"\r\n.\r\n"[cut:])
                assert client.reply().startswith(b"552 5.3.4 ")
        assert client.ask(b"NOOP").startswith(b"250 ")
    assert not backend.dots


# How long


@pytest.mark.parametrize("trickle", [b"", b"N"])
def test_a_command_has_its_time_however_it_arrives(start: Callable[..., Site], trickle: bytes) -> None:
    site = start(command_timeout=1)
    with Client(site.port) as client:
        answer = trickling(client, trickle)
        assert re.fullmatch(rb"421 4\.4\.2 MessageWall: \w+/FATAL: [ -~]+\r\n", answer)
        assert client.at_end()


@pytest.mark.parametrize(("trickle", "rate"), [(b"", 0), (b"octets\r\n", 1000)])
def test_mail_data_that_stops_or_drips(
    start: Callable[..., Site], daemon: Daemon, backend: ScriptedBackend, trickle: bytes, rate: int
) -> None:
    site = start(data_timeout=1, min_data_rate=rate)
    with Client(site.port) as client:
        client.ask(b"EHLO x", *TO_DATA)
        client.send(MESSAGE)
        answer = trickling(client, trickle)
        assert re.fullmatch(rb"421 4\.4\.2 MessageWall: \w+/FATAL: [ -~]+\r\n", answer)
        assert client.at_end()
    assert not backend.dots
    daemon.logged(r"MESSAGE/TEMPORARY.*from=<a@example\.net>")


def test_slow_but_fast_enough_mail_data_passes(start: Callable[..., Site]) -> None:
    site = start(data_timeout=1, min_data_rate=10)
    with Client(site.port) as client:
        client.ask(b"EHLO x", *TO_DATA)
        end = time.monotonic() + 2.2
        while time.monotonic() < end:
            client.send(b"twenty octets of it\r\n")
            assert not select.select([client.sock], [], [], 0.3)[0]
        client.send(b".\r\n")
        assert client.reply().startswith(b"250 ")


def trickling(client: Client, octets: bytes) -> bytes:
    """Sends octets again and again until there is a reply."""
    end = time.monotonic() + 6
    while not select.select([client.sock], [], [], 0.1)[0]:
        assert time.monotonic() < end
        client.send(octets)
    return client.reply()


def test_greeting_delay(start: Callable[..., Site]) -> None:
    site = start(greeting_delay=1)
    begun = time.monotonic()
    patient = Client(site.port, greeted=False)
    with Client(site.port, greeted=False) as hasty:
        hasty.send(b"EHLO x\r\n")
        assert re.fullmatch(rb"554 5\.5\.0 MessageWall: \w+/FATAL: [ -~]+\r\n", hasty.reply())
        assert hasty.at_end()
    with patient:
        assert patient.reply().startswith(b"220 ") and time.monotonic() - begun >= 0.9
        assert patient.message(MESSAGE).startswith(b"250 ")


# Manners


@pytest.mark.parametrize(
    ("before", "flight"),
    [
        ((), b"HELO x\r\nMAIL FROM:<a@example.net>\r\n"),
        ((b"HELO x",), b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\n"),
        ((b"EHLO x", *TO_DATA[:2]), b"DATA\r\n" + MESSAGE + b".\r\n"),
        ((b"EHLO x",), b"MAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: x\r\n"),
    ],
)
def test_who_sends_ahead_without_leave_is_cut(
    start: Callable[..., Site], backend: ScriptedBackend, before: tuple[bytes, ...], flight: bytes
) -> None:
    site = start()
    with Client(site.port) as client:
        client.ask(*before)
        client.send(flight)
        replies = list(iter(client.reply, b""))
        assert re.fullmatch(rb"554 5\.5\.0 MessageWall: \w+/FATAL: [ -~]+\r\n", replies[-1])
    assert not backend.dots


def test_what_may_be_sent_ahead(start: Callable[..., Site]) -> None:
    site = start()
    with Client(site.port) as client:
        client.ask(b"EHLO x")
        client.send(b"\r\n".join(TO_DATA) + b"\r\n")
        assert [client.reply()[:3] for _ in TO_DATA] == [b"250", b"250", b"354"]
        client.send(MESSAGE + b".\r\n" + b"\r\n".join(TO_DATA) + b"\r\n")
        assert [client.reply()[:3] for _ in range(4)] == [b"250", b"250", b"250", b"354"]
        client.send(MESSAGE + b".\r\nQUIT\r\n")
        assert [client.reply()[:3] for _ in range(2)] == [b"250", b"221"] and client.at_end()


@pytest.mark.parametrize("verb", [b"GET", b"POST", b"CONNECT"])
def test_http_is_sent_away(start: Callable[..., Site], verb: bytes) -> None:
    site = start()
    with Client(site.port) as client:
        client.send(verb + b" / HTTP/1.1\r\nHost: mx.example.org\r\n\r\nEHLO x\r\nMAIL FROM:<a@example.net>\r\n")
        assert re.fullmatch(rb"521 5\.5\.1 MessageWall: \w+/FATAL: [ -~]+\r\n", client.reply())
        assert client.at_end()


@pytest.mark.parametrize("last", [b"GET / HTTP/1.0\r\n", b"x" * 70_000, b"EHLO x\r\nRCPT TO:<b@example.org>\r\n" * 20])
def test_who_still_sends_sees_our_words_and_no_reset(start: Callable[..., Site], last: bytes) -> None:
    site = start(max_errors=3)
    with Client(site.port) as client:
        client.send(last)
        for _ in range(50):
            client.send(b"still talking\r\n" * 100)
        client.wait_until_read()
        client.send(b"and more\r\n")
        replies = list(iter(client.reply, b""))
        assert replies[-1][:3] in (b"521", b"500", b"421") and b"/FATAL: " in replies[-1]


def test_who_is_turned_away_while_talking_sees_our_words(start: Callable[..., Site]) -> None:
    site = start(max_clients=1)
    with Client(site.port):
        for _ in range(20):
            with Client(site.port, greeted=False) as another:
                another.send(b"EHLO x\r\n" * 10)
                assert another.reply().startswith(b"421 4.3.2 ")
                assert another.at_end()


# A client that goes


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("verb", [b"MAIL", b"DATA"])
def test_a_client_gone_before_our_dot_has_nothing_delivered(
    start: Callable[..., Site], daemon: Daemon, backend: ScriptedBackend, verb: bytes, how: str
) -> None:
    site = start()
    held, go_on = threading.Event(), threading.Event()
    good = GOOD[verb]

    def hold(connection: Connection, line: bytes) -> Answer:
        held.set()
        go_on.wait(20)
        assert isinstance(good, bytes)
        return good

    backend.script[verb] = hold
    client = Client(site.port)
    client.ask(b"EHLO x", *TO_DATA)
    client.send(MESSAGE + b".\r\n")
    assert held.wait(20)
    if how == "RST":
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    line = daemon.logged(r"MESSAGE/TEMPORARY.*from=<a@example\.net>")
    assert "possible duplicate" not in line
    go_on.set()
    used = next(connection for connection in backend.connections if TO_DATA[0] in connection.received[:200])
    assert used.ended.wait(10), "the connection is dropped"
    assert not backend.dots


def test_a_client_gone_within_the_mail_data(
    start: Callable[..., Site], daemon: Daemon, backend: ScriptedBackend
) -> None:
    site = start()
    with Client(site.port) as client:
        client.ask(b"EHLO x", *TO_DATA)
        client.send(MESSAGE + b"\r\n.")
    daemon.logged(r"MESSAGE/TEMPORARY.*from=<a@example\.net>")
    assert not backend.commands(b"MAIL")


def has_room(site: Site, clients: list[Client], **how: str) -> bool:
    """Whether another client is taken, who then stays."""
    client = Client(site.port, **how)  # type: ignore[arg-type]
    if client.greeting.startswith(b"220 "):
        clients.append(client)
        return True
    client.close()
    return False
