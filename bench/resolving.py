"""What one DNS query costs a worker in CPU: building and reading alone, and all of it with socket, loop and cache."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass

from harness import HERE, PROJECT, free_port

sys.path.append(str(PROJECT))

from slow_dns import negative

from mwall.config.values import Endpoint
from mwall.dns.answers import A, Answer, Question, Status
from mwall.dns.message import RANDOM_OCTETS, build_query, parse_answer
from mwall.worker.loop import Loop
from mwall.worker.resolver import Resolver, name_server

_QUERIES = 20_000
_AT_ONCE = 8


@dataclass(frozen=True)
class QueryRun:
    """Microseconds of CPU for one query with a name of its own, and its negative answer."""

    build_and_parse: float
    with_socket: float


class _Asker:
    """Keeps so many questions open until all have been asked."""

    def __init__(self, loop: Loop, resolver: Resolver) -> None:
        self._loop = loop
        self._resolver = resolver
        self._asked = self.answered = 0

    def ask(self) -> None:
        """The next question."""
        self._asked += 1
        self._resolver.ask(_question(self._asked), self)

    def take(self, question: Question, answer: Answer) -> None:
        """Its answer; the next question."""
        self.answered += answer.status is Status.NO_NAME
        if self._asked < _QUERIES:
            self.ask()
        elif self.answered == _QUERIES:
            self._loop.running = False

    def on_bug(self) -> None:
        """Nothing goes on."""
        self._loop.running = False


def _question(number: int) -> Question:
    return Question(f"{number & 255}.{number >> 8 & 255}.{number >> 16}.10.list1.example", A)


def _build_and_parse() -> float:
    begun = time.process_time()
    for number in range(_QUERIES):
        query = build_query(_question(number), os.urandom(RANDOM_OCTETS))
    building = time.process_time() - begun
    question, answer = _question(_QUERIES - 1), negative(query)
    begun = time.process_time()
    for _ in range(_QUERIES):
        parse_answer(query, question, answer)
    return (building + time.process_time() - begun) / _QUERIES * 1e6


def _with_socket(port: int) -> float:
    loop = Loop(lambda: None)
    resolver = Resolver(loop, (name_server(Endpoint("127.0.0.1", port)),), 2.0, lambda _: None, lambda *_: None)
    asker = _Asker(loop, resolver)
    begun = time.process_time()
    for _ in range(_AT_ONCE):
        asker.ask()
    loop.run()
    return (time.process_time() - begun) / max(asker.answered, 1) * 1e6


def run_queries() -> QueryRun:
    """The best of three of each."""
    port = free_port()
    server = subprocess.Popen([sys.executable, str(HERE / "slow_dns.py"), str(port), "0"])
    try:
        return QueryRun(min(_build_and_parse() for _ in range(3)), min(_with_socket(port) for _ in range(3)))
    finally:
        server.kill()
        server.wait()


def query_table(run: QueryRun) -> list[str]:
    """One line."""
    return [
        f"\nCPU for one DNS query: {run.build_and_parse:.1f} us to build it and read its answer, "
        f"{run.with_socket:.1f} us with its socket, the loop and the cache"
    ]
