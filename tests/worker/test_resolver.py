"""The resolver against a server that lies on demand: what it asks, how often, and how long it takes at most."""

from __future__ import annotations

import random
import socket
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address

import pytest

from mwall.config.values import parse_nameservers
from mwall.dns.answers import A, Answer, Question, Status
from mwall.worker import resolver as module
from mwall.worker.loop import Loop
from mwall.worker.resolver import TRIES, Resolver, name_server
from tests.daemon import dns_faults as faults
from tests.daemon.hostile_dns import HostileDns, a

TIMEOUT = 0.2  # seconds for one try
LATE = 10.0  # what takes longer is stuck


class Asker:
    """Whoever asks; keeps the answers in their order."""

    def __init__(self) -> None:
        self.answers: list[tuple[Question, Answer]] = []

    def take(self, question: Question, answer: Answer) -> None:
        self.answers.append((question, answer))

    def on_bug(self) -> None:
        raise AssertionError


class Asking:
    """A resolver with its loop."""

    def __init__(self, servers: str) -> None:
        self.bugs: list[str] = []
        self.told: list[tuple[str, str]] = []
        self.counted: Counter[str] = Counter()
        self.loop = Loop(lambda: self.bugs.append("bug"))
        self.resolver = Resolver(
            self.loop, tuple(map(name_server, parse_nameservers(servers))), TIMEOUT,
            lambda name: self.counted.update([name]), lambda *what: self.told.append(what),
        )  # fmt: skip

    def on_bug(self) -> None:
        raise AssertionError

    def ask(self, *names: str) -> tuple[list[Answer], float]:
        """The answers to these questions, in the order of the questions, and the seconds that it took."""
        self.loop.now = begun = time.monotonic()
        asker = Asker()
        for name in names:
            answer = self.resolver.ask(Question(name, A), asker)
            if answer is not None:
                asker.answers.append((Question(name, A), answer))
        self.run_until(lambda: len(asker.answers) >= len(names))
        answers = dict(asker.answers)
        return [answers[Question(name, A)] for name in names], time.monotonic() - begun

    def run_until(self, condition: Callable[[], bool]) -> None:
        """Serves until the condition holds."""
        end = time.monotonic() + LATE

        def look() -> None:
            assert time.monotonic() < end, "stuck"
            self.loop.running = not condition()
            if self.loop.running:
                self.loop.call_at(time.monotonic() + 0.002, self, look)

        self.loop.running = True
        look()
        self.loop.run()
        assert not self.bugs


def free_port() -> int:
    """A port that nobody has, UDP or TCP, below those that the kernel gives to clients."""
    while True:
        port = random.randrange(10_000, 30_000)
        with (
            suppress(OSError),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        ):
            udp.bind(("", port))
            tcp.bind(("", port))
            return port


@pytest.fixture
def server() -> Iterator[HostileDns]:
    with HostileDns(free_port()) as running:
        running.add("yes.example", a("127.0.0.2"))
        yield running


@pytest.fixture
def asking(server: HostileDns) -> Asking:
    return Asking(f"127.0.0.1:{server.port}")


def test_found_and_not_found(asking: Asking) -> None:
    (found, missing), _ = asking.ask("yes.example", "no.example")
    assert (found.status, found.records) == (Status.FOUND, (ip_address("127.0.0.2"),))
    assert missing.status is Status.NO_NAME


def test_an_answer_is_kept_as_long_as_it_says(asking: Asking, server: HostileDns) -> None:
    for _ in range(3):
        asking.ask("yes.example", "no.example")
    assert len(server.queries) == 2
    assert asking.counted == {"dns_queries": 2, "dns_cache_hits": 4}
    asker = Asker()
    asking.loop.now += 301  # the TTL of both
    assert asking.resolver.ask(Question("yes.example", A), asker) is None
    asking.run_until(lambda: bool(asker.answers))
    assert len(server.queries) == 3


def test_equal_questions_are_asked_once_and_all_are_told(asking: Asking, server: HostileDns) -> None:
    askers = [Asker() for _ in range(5)]
    for asker in askers:
        assert asking.resolver.ask(Question("yes.example", A), asker) is None
    asking.resolver.forget(Question("yes.example", A), askers[0])
    asking.run_until(lambda: all(asker.answers for asker in askers[1:]))
    assert len(server.queries) == 1
    assert not askers[0].answers


def test_each_query_has_its_own_port_id_and_case(asking: Asking, server: HostileDns) -> None:
    names = [f"abcdefghijklmnop.{number}.example" for number in range(100)]
    asking.ask(*names)
    assert len({query.id for query in server.queries}) > 95
    assert len({query.port for query in server.queries}) > 90
    assert len({query.name[:16] for query in server.queries}) > 95


@pytest.mark.parametrize("fault", [
    faults.other_id, faults.other_question, faults.other_case, faults.other_port, faults.other_address, faults.flood,
    faults.truncated(),
], ids=["id", "question", "case", "port", "address", "flood", "truncated"])  # fmt: skip
def test_a_lie_is_passed_over(asking: Asking, server: HostileDns, fault: faults.Fault) -> None:
    """Each lie says 127.0.0.9 first; then the right answer comes, by TCP or with the next try."""
    server.add("lied.example", a("127.0.0.2"))
    server.fault_of["lied.example"] = faults.once(faults.then_right(fault))
    (answer,), seconds = asking.ask("lied.example")
    assert answer.records == (ip_address("127.0.0.2"),)
    assert seconds < TRIES * TIMEOUT


def test_whoever_keeps_guessing_is_answered_by_tcp(asking: Asking, server: HostileDns) -> None:
    server.add("guessed.example", a("127.0.0.2"))
    server.fault_of["guessed.example"] = faults.flood
    (answer,), _ = asking.ask("guessed.example")
    assert answer.records == (ip_address("127.0.0.2"),)
    assert asking.counted["dns_wrong_answers"] >= 20
    assert len(asking.told) == 1, "once a minute"
    assert asking.told[0][0] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(("fault", "why"), [
    (faults.nothing, "no answer in time"),
    (faults.garbage, "malformed answer: "),
    (faults.pointer_loop, "malformed answer: "),
    (faults.cname_loop, "malformed answer: "),
    (faults.refusing(2), "SERVFAIL"),
    (faults.refusing(5), "REFUSED"),
    (faults.truncated(faults.holding(3)), "no answer in time"),
    (faults.truncated(faults.halved), ""),
])  # fmt: skip
def test_what_is_no_answer_fails_in_time(asking: Asking, server: HostileDns, fault: faults.Fault, why: str) -> None:
    server.fault_of["bad.example"] = fault
    (answer,), seconds = asking.ask("bad.example")
    assert answer.status is Status.FAILED
    assert why in answer.why
    assert seconds < (TRIES + 0.5) * TIMEOUT
    again, _ = asking.ask("bad.example")
    assert again[0].status is Status.FAILED
    assert len(server.asked("bad.example", "udp")) <= TRIES, "a failure is kept for a moment"


def test_a_server_that_refuses_connections_fails_at_once() -> None:
    asking = Asking(f"127.0.0.1:{free_port()}")
    (answer,), seconds = asking.ask("yes.example")
    assert answer.status is Status.FAILED
    assert "refused" in answer.why
    assert seconds < TIMEOUT


def test_the_second_server_serves_and_is_asked_first_from_then_on(server: HostileDns) -> None:
    with HostileDns(free_port()) as silent:
        asking = Asking(f"127.0.0.1:{silent.port} 127.0.0.1:{server.port}")
        for name in ("yes.example", "one.example"):
            silent.fault_of[name] = faults.nothing
        assert asking.ask("yes.example")[0][0].status is Status.FOUND
        assert asking.ask("one.example")[0][0].status is Status.NO_NAME
        assert len(silent.queries) == 1
    assert asking.counted["dns_timeouts"] == 1


def test_another_server_is_asked_where_one_fails(server: HostileDns) -> None:
    with HostileDns(free_port()) as failing:
        failing.fault_of["yes.example"] = faults.refusing(2)
        asking = Asking(f"127.0.0.1:{failing.port} 127.0.0.1:{server.port}")
        assert asking.ask("yes.example")[0][0].status is Status.FOUND


def test_a_name_that_cannot_be_asked_fails_at_once(asking: Asking, server: HostileDns) -> None:
    for name in ("", "a..b", "x" * 64, "a b.example", "a\\010.example", "\r\nEHLO x.example", "\0.example"):
        answer = asking.resolver.ask(Question(name, A), Asker())
        assert answer is not None
        assert answer.status is Status.FAILED
    assert not server.queries


def test_who_waits_for_a_socket_waits_no_longer_than_others(
    asking: Asking, server: HostileDns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SOCKETS", 4)
    names = [f"{number}.silent.example" for number in range(200)]
    for name in names:
        server.fault_of[name] = faults.nothing
    answers, seconds = asking.ask(*names)
    assert all(answer.status is Status.FAILED for answer in answers)
    assert seconds < (TRIES + 1) * TIMEOUT
    assert len(asking.resolver.tries) == 0
    found, _ = asking.ask(*(f"{number}.example" for number in range(100)))
    assert all(answer.status is Status.NO_NAME for answer in found), "sockets are given on"


def test_too_many_questions_fail_at_once(asking: Asking, server: HostileDns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_QUESTIONS", 10)
    answers = [asking.resolver.ask(Question(f"{number}.example", A), Asker()) for number in range(15)]
    assert [answer is None for answer in answers] == [True] * 10 + [False] * 5


def test_memory_is_bounded_whoever_asks(asking: Asking) -> None:
    """100,000 clients whose questions are all answered: what is kept stays within the cache's bound."""
    questions = [Question(f"{number >> 8 & 255}.{number & 255}.{number >> 16}.10.zen.example", A)
                 for number in range(100_000)]  # fmt: skip
    asker = Asker()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for question in questions:
            search = module.Search(asking.resolver, question)
            search.askers.append(asker)
            asking.resolver._searches[question] = search
            search.end(Answer(Status.NO_NAME, ttl=3600))
            asker.answers.clear()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 1 << 20 < grown < module._CACHE_OCTETS + (1 << 20)


def test_an_address_with_a_scope() -> None:
    server = name_server(*parse_nameservers("[fe80::1%lo]:5353"))
    assert server.address == ("fe80::1", 5353, 0, socket.if_nametoindex("lo"))
    assert name_server(*parse_nameservers("fe80::1%7")).address == ("fe80::1", 53, 0, 7)
    with pytest.raises(OSError, match="No such device"):
        name_server(*parse_nameservers("fe80::1%nosuch0"))


def test_ipv6() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        asking = Asking(f"[::1]:{sock.getsockname()[1]}")
        asking.resolver.ask(Question("yes.example", A), Asker())
        query, client = sock.recvfrom(4096)
        assert b"\x07example\x00" in query.lower()
        assert client[0] == "::1"


def test_nobody_waits_no_further_try(asking: Asking, server: HostileDns) -> None:
    server.fault_of["silent.example"] = faults.nothing
    question, asker = Question("silent.example", A), Asker()
    asking.loop.now = time.monotonic()
    assert asking.resolver.ask(question, asker) is None
    asking.resolver.forget(question, asker)
    asking.run_until(lambda: len(asking.resolver.tries) == 0)
    assert len(server.asked("silent.example")) == 1


def test_who_waits_takes_the_place_of_who_does_not(
    asking: Asking, server: HostileDns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SOCKETS", 4)
    asker = Asker()
    asking.loop.now = time.monotonic()
    for number in range(50):
        server.fault_of[f"{number}.silent.example"] = faults.nothing
        question = Question(f"{number}.silent.example", A)
        assert asking.resolver.ask(question, asker) is None
        asking.resolver.forget(question, asker)
    assert len(asking.resolver.tries) == 4
    (answer,), seconds = asking.ask("yes.example")
    assert answer.status is Status.FOUND
    assert seconds < TIMEOUT
    assert not asker.answers
    again = asking.resolver.ask(Question("0.silent.example", A), asker)
    assert again is None, "what was given up has not been answered"


def test_who_gives_up_gives_up_his_socket_to_who_waits(
    asking: Asking, server: HostileDns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SOCKETS", 2)
    impatient, waiting = Asker(), Asker()
    asking.loop.now = begun = time.monotonic()
    for name in ("1.silent.example", "2.silent.example"):
        server.fault_of[name] = faults.nothing
        assert asking.resolver.ask(Question(name, A), impatient) is None
    assert asking.resolver.ask(Question("yes.example", A), waiting) is None
    asking.resolver.forget(Question("2.silent.example", A), impatient)
    asking.run_until(lambda: bool(waiting.answers))
    assert waiting.answers[0][1].status is Status.FOUND
    assert time.monotonic() - begun < TIMEOUT


def test_whoever_asks_again_for_what_was_abandoned_keeps_it(
    asking: Asking, server: HostileDns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SOCKETS", 1)
    server.add("slow.example", a("127.0.0.2"))
    server.fault_of["slow.example"] = faults.late(TIMEOUT / 4)
    first, second, third = Asker(), Asker(), Asker()
    asking.loop.now = time.monotonic()
    slow = Question("slow.example", A)
    assert asking.resolver.ask(slow, first) is None
    asking.resolver.forget(slow, first)
    assert asking.resolver.ask(slow, second) is None
    assert asking.resolver.ask(Question("yes.example", A), third) is None
    asking.run_until(lambda: bool(second.answers and third.answers))
    assert second.answers[0][1].status is Status.FOUND
    assert third.answers[0][1].status is Status.FOUND
    assert not first.answers


@pytest.mark.parametrize("fault", [faults.nothing, faults.refusing(2), faults.garbage], ids=["silent", "fails", "bad"])
def test_a_bad_name_is_not_the_servers_fault(server: HostileDns, fault: faults.Fault) -> None:
    with HostileDns(free_port()) as second:
        asking = Asking(f"127.0.0.1:{server.port} 127.0.0.1:{second.port}")
        for bad in (server, second):
            bad.fault_of["bad.example"] = fault
        askers = [Asker(), Asker()]
        asking.loop.now = time.monotonic()
        assert asking.resolver.ask(Question("bad.example", A), askers[0]) is None
        assert asking.resolver.ask(Question("yes.example", A), askers[1]) is None
        asking.run_until(lambda: all(asker.answers for asker in askers))
        assert asking.resolver.first == 0
        asking.ask("one.example", "two.example")
        assert {query.name.lower() for query in second.queries} == {"bad.example"}


def test_the_first_server_is_asked_again_after_a_while(server: HostileDns) -> None:
    asking = Asking(f"127.0.0.1:{free_port()} 127.0.0.1:{server.port}")
    assert asking.ask("yes.example")[0][0].status is Status.FOUND
    assert asking.resolver.first == 1
    asking.loop.now += 61
    assert asking.resolver.first == 0
