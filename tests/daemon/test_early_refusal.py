"""RCPT and the look-ups: how long it waits, what counts as an error, and that nobody can wait for others' account."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.daemon.dns_faults import nothing
from tests.daemon.dns_front import DnsFront, Mail, entry, write_profiles
from tests.daemon.harness import Client, Daemon, Site
from tests.daemon.hostile_dns import HostileDns, a
from tests.daemon.scripted_backend import ScriptedBackend

PROFILES = {
    "Default": 'dnsbl="2,list.test"\nrmx_required="0.5"\n',
    "Watch": 'mode="observe"\ndnsbl="2,list.test"\n',
}
SILENT, LISTED = "127.8.0.1", "127.8.0.2"
PATIENCE = 0.075  # seconds, as the manual has it
TIMEOUT = 2.0


@pytest.fixture(scope="module")
def server(free_port: Callable[[], int]) -> Iterator[HostileDns]:
    with HostileDns(free_port(), ["list.test"]) as running:
        running.fault_of[entry(SILENT, "list.test")] = nothing
        running.add(entry(LISTED, "list.test"), a("127.0.0.2"))
        running.add("good.example", a("192.0.2.1"))
        yield running


@pytest.fixture(scope="module")
def front(server: HostileDns, new_site: Callable[[], Site]) -> Iterator[DnsFront]:
    site = new_site()
    write_profiles(site, PROFILES)
    site.write(processes=1, max_backends=4, nameservers=f"127.0.0.1:{server.port}", dns_timeout=TIMEOUT)
    daemon = Daemon(site)
    with ScriptedBackend(site.backend_port) as backend:
        daemon.start()
        try:
            yield DnsFront(site, backend, daemon)
        finally:
            daemon.end()


def replies_to(client: Client, commands: list[bytes]) -> list[bytes]:
    """All at once, as PIPELINING allows."""
    client.send(b"".join(command + b"\r\n" for command in commands))
    return [client.reply() for _ in commands]


def to_many(recipient: bytes, number: int) -> list[bytes]:
    recipients = [b"RCPT TO:<%s+%d@example.org>" % (recipient, one) for one in range(number)]
    return [b"MAIL FROM:<x@good.example>", *recipients]


def test_a_transaction_waits_once_for_a_silent_list(front: DnsFront) -> None:
    with Client(front.site.port, SILENT) as client:
        client.ask(b"EHLO mail.good.example")
        begun = time.monotonic()
        replies = replies_to(client, to_many(b"default", 40))
        seconds = time.monotonic() - begun
    assert all(reply.startswith(b"250 ") for reply in replies)
    assert PATIENCE * 0.9 < seconds < 5 * PATIENCE


def test_nothing_waits_where_nothing_is_refused(front: DnsFront) -> None:
    with Client(front.site.port, SILENT) as client:
        client.ask(b"EHLO mail.good.example")
        begun = time.monotonic()
        assert all(reply.startswith(b"250 ") for reply in replies_to(client, to_many(b"watch", 1)))
        assert time.monotonic() - begun < PATIENCE * 0.9


def test_many_recipients_of_a_listed_client_are_one_error(front: DnsFront) -> None:
    with Client(front.site.port, LISTED) as client:
        client.ask(b"EHLO mail.good.example")
        replies = replies_to(client, to_many(b"default", 60))
        assert [reply[:9] for reply in replies] == [b"250 2.1.0", *[b"550 5.7.1"] * 60]
        # Each transaction is one, though.
        for _ in range(9):
            replies_to(client, [b"RSET", *to_many(b"default", 2)])
        assert replies_to(client, [b"RSET", *to_many(b"default", 1)])[-1].startswith(b"421 4.7.0 ")


def test_abandoned_questions_take_nobodys_place(front: DnsFront, server: HostileDns) -> None:
    """More questions than there are sockets, each about a name that its owner lets hang, and none is waited for."""
    names = [f"{number}.silent.test" for number in range(2500)]
    server.fault_of.update(dict.fromkeys(names, nothing))
    with Client(front.site.port, "127.8.0.3") as client:
        client.ask(b"EHLO mail.good.example")
        for start in range(0, len(names), 100):
            flight = []
            for name in names[start : start + 100]:
                flight += [b"MAIL FROM:<a@%s>" % name.encode(), b"RCPT TO:<default@example.org>", b"RSET"]
            assert all(reply.startswith(b"250 ") for reply in replies_to(client, flight))
        result = front.send(Mail(source=LISTED))
    assert result.refused_by("DNSBL", f"{LISTED} is listed by .*")
    assert result.seconds < TIMEOUT
    assert len({query.name.lower() for query in server.queries} & set(names)) > 1500
