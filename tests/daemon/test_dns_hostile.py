"""A name server that lies, floods, stalls and falls silent: no lie scores, no loop stalls, no mail waits for long."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.daemon import dns_faults as faults
from tests.daemon.dns_front import DnsFront, Mail, Result, entry, write_profiles
from tests.daemon.harness import MESSAGE, Client, Daemon, Site, until
from tests.daemon.hostile_dns import Fault, HostileDns, a, cname, mx, ptr, txt
from tests.daemon.scripted_backend import ScriptedBackend

TIMEOUT = 0.3
TRIES = 3
LONGEST = TRIES * TIMEOUT + 1.0  # seconds from connect to the reply, with a margin
RIGHT = a("127.0.0.9")  # as a lie is 127.0.0.2, the reason of a refusal tells which of them was believed
EVIL = (b"evil\r\nX-Evil: yes", b"nul\0\x1b[31m", b"dot.dot", b"\xff\\\"<>", b"test")
PROFILES = {
    "Lists": 'dnsbl="2,list.test"\ndnsbl="-5,allow.test"\n',
    "One": 'dnsbl="2,list.test"\n',
    "Late": 'dnsbl="2,late.test"\n',
    "Names": 'reject_score="9"\nrdns_required="1"\nrdns_confirmed="1"\nrmx_required="1"\nhelo_required="1"\n',
    "Back": 'rdns_confirmed="1"\n',
    "Return": 'rmx_required="1"\n',
}
ONE = b"one@example.org"


@pytest.fixture(scope="module")
def server(free_port: Callable[[], int]) -> Iterator[HostileDns]:
    """The name server; faults are set for the names that one test asks for, so that none outlasts its test."""
    with HostileDns(free_port(), ["list.test", "allow.test", "late.test"]) as running:
        running.add("good.example", mx(10, "mail.good.example"))
        running.add("mail.good.example", a("192.0.2.1"))
        yield running


@pytest.fixture(scope="module")
def front(server: HostileDns, new_site: Callable[[], Site]) -> Iterator[DnsFront]:
    """One worker that asks the server and nobody else."""
    site = new_site()
    write_profiles(site, PROFILES)
    site.put("relay_ips", "127.5.0.0/16\n")
    site.write(relay_ips="relay_ips", relay_profile="Lists", processes=1, max_backends=6)
    site.write(nameservers=f"127.0.0.1:{server.port}", dns_timeout=TIMEOUT)
    daemon = Daemon(site)
    with ScriptedBackend(site.backend_port) as backend:
        daemon.start()
        try:
            yield DnsFront(site, backend, daemon)
        finally:
            daemon.end()


def clients(network: int, those: dict[str, Any]) -> dict[str, str]:
    """An address in 127.network/16 for each of those."""
    return {name: f"127.{network}.0.{number}" for number, name in enumerate(those, 1)}


def send_to(front: DnsFront, server: HostileDns, network: int, wanted: dict[str, Fault]) -> dict[str, Result]:
    """The result for each fault, each met by a client of its own that is on the list; all at once."""
    sources = clients(network, wanted)
    for name, fault in wanted.items():
        question = entry(sources[name], "list.test")
        server.add(question, RIGHT)
        server.fault_of[question] = fault
    results = front.send_all(Mail(recipient=ONE, source=source) for source in sources.values())
    return dict(zip(wanted, results, strict=True))


# Lies, and what is no answer

# Nothing else is said: by the end there is no answer.
NO_ANSWER: dict[str, Fault] = {
    "other id": faults.other_id,
    "other question": faults.other_question,
    "other case": faults.other_case,
    "other port": faults.other_port,
    "other address": faults.other_address,
    "a query": faults.a_query,
    "garbage": faults.garbage,
    "pointer loop": faults.pointer_loop,
    "cname loop": faults.cname_loop,
    "servfail": faults.refusing(2),
    "refused": faults.refusing(5),
    "formerr": faults.refusing(1),
    "nothing": faults.nothing,
    "too late": faults.late(TIMEOUT + 0.2),
    "oversized by UDP": faults.oversized,
    "truncated, nothing by TCP": faults.truncated(faults.holding(0)),
    "truncated, the length by TCP": faults.truncated(faults.holding(2)),
    "truncated, ten octets by TCP": faults.truncated(faults.holding(10)),
    "truncated, half by TCP": faults.truncated(faults.halved),
    "truncated, other id by TCP": faults.truncated(faults.other_id),
    "truncated, other case by TCP": faults.truncated(faults.other_case),
    "truncated, garbage by TCP": faults.truncated(faults.garbage),
}
# An answer, though not one that lists.
ANSWER: dict[str, Fault] = {
    "other owner": faults.other_owner,
    "truncated, oversized by TCP": faults.truncated(faults.oversized),
}
# The right answer comes, too, at once or at a later try, and wins.
RIGHT_WINS: dict[str, Fault] = {
    "after other id": faults.then_right(faults.other_id),
    "after other question": faults.then_right(faults.other_question),
    "after other case": faults.then_right(faults.other_case),
    "after other port": faults.then_right(faults.other_port),
    "after other address": faults.then_right(faults.other_address),
    "after a query": faults.then_right(faults.a_query),
    "after 1,000 lies": faults.flood,
    "after a while": faults.late(TIMEOUT / 2),
    "truncated": faults.truncated(),
    "at the second try": faults.once(faults.nothing),
    "after garbage": faults.once(faults.garbage),
    "after a loop of pointers": faults.once(faults.pointer_loop),
}


@pytest.fixture(scope="module")
def results(front: DnsFront, server: HostileDns) -> dict[str, Result]:
    """Of all faults, which take their time together."""
    return send_to(front, server, 10, NO_ANSWER | ANSWER | RIGHT_WINS)


@pytest.mark.parametrize("name", NO_ANSWER)
def test_no_lie_scores(results: dict[str, Result], name: str) -> None:
    result = results[name]
    assert result.unscored and "list.test" in result.unanswered and result.seconds < LONGEST, result


@pytest.mark.parametrize("name", ANSWER)
def test_what_lists_nobody(results: dict[str, Result], name: str) -> None:
    result = results[name]
    assert result.unscored and not result.unanswered, result


@pytest.mark.parametrize("name", RIGHT_WINS)
def test_the_right_answer_wins(results: dict[str, Result], name: str) -> None:
    result = results[name]
    assert result.refused_by("DNSBL", r"[0-9.]+ is listed by list\.test \(127\.0\.0\.9\)"), result


def test_tcp_is_refused(front: DnsFront, server: HostileDns) -> None:
    server.refuse_tcp()
    try:
        (result,) = send_to(front, server, 11, {"truncated": faults.truncated()}).values()
    finally:
        server.listen()
    assert result.unscored and "list.test" in result.unanswered and result.seconds < LONGEST


def test_a_cname_is_followed(front: DnsFront, server: HostileDns) -> None:
    """Within the answer; a resolver leaves out nothing of it."""
    server.add(entry("127.12.0.1", "list.test"), cname("elsewhere.test"))
    server.add("elsewhere.test", RIGHT)
    server.add(entry("127.12.0.2", "list.test"), cname("nowhere.test"))
    assert front.send(Mail(recipient=ONE, source="127.12.0.1")).refused_by("DNSBL", ".*")
    assert front.send(Mail(recipient=ONE, source="127.12.0.2")).unscored


def test_queries_are_hard_to_guess(front: DnsFront, server: HostileDns) -> None:
    sources = [f"127.13.0.{number}" for number in range(1, 41)]
    assert all(result.unscored for result in front.send_all(Mail(recipient=ONE, source=source) for source in sources))
    queries = [query for source in sources for query in server.asked(entry(source, "list.test"))]
    assert len(queries) == 40
    assert len({query.id for query in queries}) > 36 and len({query.port for query in queries}) > 36
    assert len({query.name[-9:] for query in queries}) > 20, "the case of list.test"
    retried = server.asked(entry(clients(10, NO_ANSWER)["nothing"], "list.test"))
    assert len(retried) == TRIES and len({(query.id, query.port) for query in retried}) == TRIES


def test_equal_questions_are_asked_once(front: DnsFront, server: HostileDns) -> None:
    question = entry("127.14.0.1", "list.test")
    server.add(question, RIGHT)
    server.fault_of[question] = faults.late(TIMEOUT / 2)
    results = front.send_all([Mail(source="127.14.0.1")] * 4)
    assert all(result.refused_by("DNSBL", ".*") for result in results)
    assert front.send(Mail(source="127.14.0.1")).refused_by("DNSBL", ".*")
    assert len(server.asked(question)) == 1


# Names with evil octets

PLAIN = re.compile(rb"[ -~]*(?:\r\n|\Z)")


def test_names_with_evil_octets_reach_nothing(front: DnsFront, server: HostileDns) -> None:
    server.add("1.0.15.127.in-addr.arpa", ptr(EVIL), ptr((*EVIL[::-1],)))
    server.add("evil.test", mx(5, EVIL), txt(b"\r\nX-Evil: yes"))
    server.add("evil-helo.test", cname(EVIL))
    mail = Mail(b"names@example.org", "127.15.0.1", b"evil.test", b"evil-helo.test")
    result = front.send(mail)
    assert result.reply.startswith(b"250 ") and "RDNS_CONFIRMED:1" in result.line and not result.unanswered
    header = front.backend.deliveries[-1].mail_data.partition(b"\r\n\r\n")[0]
    assert all(re.fullmatch(rb"[ -~\t]*", line) for line in header.split(b"\r\n"))
    assert not re.search(rb"(?m)^X-Evil", header)
    refused = front.send(mail._replace(recipient=b"back@example.org"))
    assert refused.refused_by("RDNS_CONFIRMED", "[ -~]+"), "one line of printable octets"
    assert not re.search(r"(?m)^X-Evil|\x1b|\0|\r", front.daemon.log())


# At RCPT


def test_a_score_that_may_still_fall_refuses_nobody_early(front: DnsFront, server: HostileDns) -> None:
    """The list has answered, that of good ones not yet: RCPT takes the recipient, the end of data tells."""
    for source, is_good in (("127.16.0.1", True), ("127.16.0.2", False)):
        server.add(entry(source, "list.test"), RIGHT)
        server.fault_of[entry(source, "allow.test")] = faults.late(TIMEOUT - 0.05)
        if is_good:
            server.add(entry(source, "allow.test"), a("127.0.0.2"))
        with Client(front.site.port, source) as client:
            client.ask(b"EHLO x", b"MAIL FROM:<a@good.example>")
            began = time.monotonic()
            assert client.ask(b"RCPT TO:<b@example.org>").startswith(b"250 ")
            assert time.monotonic() - began < 0.2
            answer = client.ask(b"DATA", MESSAGE + b".")
            assert answer.startswith(b"250 " if is_good else b"554 5.7.1 MessageWall: DNSBL/REJECT: ")


def test_address_checks_begin_at_connect(front: DnsFront, server: HostileDns) -> None:
    """And once all have answered, a listed client is refused at RCPT."""
    server.add(entry("127.17.0.1", "list.test"), RIGHT)
    with Client(front.site.port, "127.17.0.1") as client:
        for zone in ("list.test", "allow.test"):
            until(lambda zone=zone: server.has_answered(entry("127.17.0.1", zone)), zone)  # type: ignore[misc]
        until(lambda: server.has_answered("1.0.0.127.list.test"), "the test entries")
        client.ask(b"EHLO early.example", b"NOOP", b"MAIL FROM:<a@good.example>")
        assert client.ask(b"RCPT TO:<b@example.org>").startswith(b"550 5.7.1 MessageWall: DNSBL/REJECT: ")
        assert re.match(rb"(503|554) 5\.5\.1 ", client.ask(b"DATA"))
    front.daemon.logged(r"\(127\.17\.0\.1\) RECIPIENT/REJECT: ")


def test_reverse_path_checks_begin_at_mail(front: DnsFront, server: HostileDns, site: Site, daemon: Daemon) -> None:
    write_profiles(site, {"Both": 'rmx_required="1"\nhelo_required="1"\n'})
    site.write(nameservers=f"127.0.0.1:{server.port}", dns_timeout=TIMEOUT, processes=1)
    with ScriptedBackend(site.backend_port):
        daemon.start()
        with Client(site.port) as client:
            client.ask(b"EHLO helo-at-mail.test", b"MAIL FROM:<a@path-at-mail.test>")
            until(lambda: server.has_answered("path-at-mail.test"), "the MX to be asked for")
            until(lambda: server.has_answered("helo-at-mail.test"), "the EHLO name to be asked for")
            assert client.ask(b"RCPT TO:<b@example.org>").startswith(b"550 5.7.1 MessageWall: ")


def test_relay_clients_are_not_asked_about(front: DnsFront, server: HostileDns) -> None:
    server.add(entry("127.5.0.1", "list.test"), RIGHT)
    assert front.send(Mail(source="127.5.0.1")).reply.startswith(b"250 ")
    assert not server.asked(entry("127.5.0.1", "list.test"))


def test_a_client_that_goes_while_answers_are_awaited(front: DnsFront, server: HostileDns) -> None:
    """Nothing is delivered, and the log says that it has gone."""
    server.fault_of[entry("127.18.0.1", "list.test")] = faults.nothing
    before = len(front.backend.dots)
    with Client(front.site.port, "127.18.0.1") as client:
        client.ask(b"EHLO gone.example", b"MAIL FROM:<a@good.example>", b"RCPT TO:<b@example.org>", b"DATA")
        client.send(MESSAGE + b".\r\n")
        client.wait_until_read()
    front.daemon.logged(r"\(127\.18\.0\.1\) MESSAGE/TEMPORARY: ", LONGEST)
    assert len(front.backend.dots) == before


# The loop, the clock, the admin


def test_a_flood_stalls_nobody(front: DnsFront, server: HostileDns) -> None:
    sources = [f"127.19.0.{number}" for number in range(1, 21)]
    for source in sources:
        server.fault_of[entry(source, "list.test")] = faults.flood
    flooded = [Client(front.site.port, source) for source in sources]
    longest = 0.0
    with Client(front.site.port) as client:
        end = time.monotonic() + 10
        while not all(server.has_answered(entry(source, "list.test")) for source in sources):
            began = time.monotonic()
            assert client.ask(b"NOOP").startswith(b"250 ") and began < end
            longest = max(longest, time.monotonic() - began)
    for each in flooded:
        each.close()
    assert longest < 0.3, "the server and this client share one interpreter: the worker itself is far quicker"


def test_a_message_waits_for_check_timeout_at_most(server: HostileDns, site: Site, daemon: Daemon) -> None:
    write_profiles(site, PROFILES)
    site.write(nameservers=f"127.0.0.1:{server.port}", dns_timeout=5, check_timeout=0.4, processes=1)
    server.fault_of[entry("127.20.0.1", "list.test")] = faults.nothing
    with ScriptedBackend(site.backend_port) as backend:
        daemon.start()
        result = DnsFront(site, backend, daemon).send(Mail(source="127.20.0.1"))
    assert result.unscored and "list.test" in result.unanswered and 0.4 < result.seconds < 1.5


def test_counters(front: DnsFront, server: HostileDns, results: dict[str, Result]) -> None:
    front.daemon.signal(signal.SIGUSR1)
    numbers = dict(re.findall(r"(\w+)=(\d+)", front.daemon.logged("COUNTERS.* dns_queries=")))
    assert int(numbers["dns_queries"]) >= len(results) and int(numbers["dns_timeouts"]) >= TRIES
    numbers = dict(re.findall(r"(\w+)=(\d+)", front.daemon.logged(r"COUNTERS.*\blist\.test\b")))
    assert int(numbers["asked"]) > int(numbers["listed"]) >= len(RIGHT_WINS)
    assert int(numbers["late"]) >= len(NO_ANSWER)


def test_a_list_that_misbehaves_from_a_hup_on(front: DnsFront, server: HostileDns) -> None:
    """Last, since a new generation begins with an empty cache."""
    mail = Mail(b"late@example.org", "127.21.0.1")
    server.add(entry(mail.source, "late.test"), RIGHT)
    assert front.send(mail).refused_by("DNSBL", ".*")
    server.add("1.0.0.127.late.test", RIGHT)
    front.daemon.signal(signal.SIGHUP)
    assert "127.0.0.1" in front.daemon.logged(r"/WARNING: .*\blate\.test\b")
    assert front.send(mail).unscored
