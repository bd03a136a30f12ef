"""The stub resolver: questions to the name servers, by UDP, and by TCP where that does not do.

The rules:
- Each try has a socket of its own, connected: the kernel picks its port at random, and drops whatever does not come
  from the server's address and port.
- An answer counts only if id and question, the case of each letter included, are those that were sent (RFC 5452 9).
  Others are passed over; after _MOST_WRONG of them somebody is guessing, and TCP is asked, where nobody can.
- Equal questions in flight are asked once.
- A question has TRIES of `timeout` seconds each, round the servers, and lasts no longer than those together, though it
  had to wait for a socket.
- Who makes others wait must wait himself: once nobody waits for an answer, its question has no further try, and gives
  up its socket if there is no other.
- The first server is asked first. One that is silent, while no other question finds it otherwise, makes way for the
  next, for a minute: what is wrong with one name is not the server's fault.
- Whoever asks is told once, never from within ask().
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, Protocol

from mwall.config.values import Endpoint
from mwall.dns.answers import Answer, Question, Status
from mwall.dns.cache import Cache
from mwall.dns.message import (
    RANDOM_OCTETS,
    MessageError,
    TruncatedError,
    WrongAnswerError,
    build_query,
    parse_answer,
)
from mwall.dns.names import DnsNameError
from mwall.worker.loop import READ, WRITE, Loop, Owner
from mwall.worker.timeouts import Timeouts

TRIES = 3
MAX_SOCKETS = 1024  # for one worker
_MAX_QUESTIONS = 10_000  # in flight or waiting for a socket
_CACHE_OCTETS = 8 << 20
_FAILED_SECONDS = 5  # so long a failure is remembered (RFC 2308 7 allows five minutes)
_MOST_WRONG = 20
_DATAGRAM = 4096  # octets read of one; EDNS asks for no more than 1232
_AT_ONCE = 16  # datagrams of one socket before others are served
_NOTICE_SECONDS = 60.0
_SECOND_BEST_SECONDS = 60.0
_SIOCGIFINDEX = 0x8933  # netdevice(7)

_TOO_MANY = Answer(Status.FAILED, why="too many questions at once")
_IN_VAIN = Answer(Status.FAILED, why="too many questions without an answer")
_NO_NAME = Answer(Status.FAILED, why="can be no name in the DNS")


class NameServer(NamedTuple):
    """Where to ask; `address` as connect() takes it."""

    family: int
    address: tuple[str, int] | tuple[str, int, int, int]
    text: str


def name_server(endpoint: Endpoint) -> NameServer:
    """A server of the setting `nameservers`. Raises OSError where it names an interface that is not there."""
    port = endpoint.port or 53
    if ":" not in endpoint.address:
        return NameServer(socket.AF_INET, (endpoint.address, port), str(endpoint))
    ip, _, zone = endpoint.address.partition("%")
    return NameServer(socket.AF_INET6, (ip, port, 0, _interface(zone) if zone else 0), str(endpoint))


def _interface(name: str) -> int:
    """The number of an interface. Not if_nametoindex(3): the C library asks by a socket that the jail does not give."""
    if name.isdigit():
        return int(name)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asking:
        request = struct.pack("16si20x", name.encode(), 0)
        index: int = struct.unpack("16xi20x", fcntl.ioctl(asking, _SIOCGIFINDEX, request))[0]
        return index


class Asker(Owner, Protocol):
    """Who is told an answer."""

    def take(self, question: Question, answer: Answer) -> None:
        """The answer to what was asked."""


class Resolver:
    """One process's resolver; `timeout`: seconds for one try."""

    def __init__(
        self,
        loop: Loop,
        servers: tuple[NameServer, ...],
        timeout: float,
        count: Callable[[str], None],
        tell: Callable[[str, str], None],
    ) -> None:
        """`count(name)` adds to a counter; `tell(server, what)` is called where an admin should know of it; seldom."""
        self.loop = loop
        self.servers = servers
        self.timeout = timeout
        self.count = count
        self._first = 0  # index of the server that is asked first
        self._first_until = 0.0  # monotonic seconds; then it is the first of the list again
        self.last_answers = [0.0] * len(servers)  # monotonic seconds
        self._cache = Cache(_CACHE_OCTETS)
        self._searches: dict[Question, Search] = {}
        self._waiting: OrderedDict[Search, None] = OrderedDict()  # for a socket; the longest first
        self._abandoned: dict[Search, None] = {}  # those that nobody waits for, in their order
        self.tries = Timeouts(loop, timeout)
        self._tell = tell
        self._told: dict[str, float] = {}

    def ask(self, question: Question, asker: Asker) -> Answer | None:
        """The answer where it is known already; else asker.take() is called once, later."""
        answer = self._cache.get(question, self.loop.now)
        if answer is not None:
            self.count("dns_cache_hits")
            return answer
        search = self._searches.get(question)
        if search is None:
            if len(self._searches) >= _MAX_QUESTIONS:
                return _TOO_MANY
            search = Search(self, question)
            try:
                search.build_query()
            except DnsNameError:
                return _NO_NAME
            self._searches[question] = search
            if len(self.tries) >= MAX_SOCKETS and self._abandoned:
                self._drop(next(iter(self._abandoned)))
            if len(self.tries) < MAX_SOCKETS and not self._waiting:
                search.try_next()
            else:
                self._waiting[search] = None
        self._abandoned.pop(search, None)
        search.askers.append(asker)
        return None

    def forget(self, question: Question, asker: Asker) -> None:
        """The asker has gone. A try that is under way goes on, since its answer is worth having."""
        search = self._searches.get(question)
        if search is not None and asker in search.askers:
            search.askers.remove(asker)
            if search in self._waiting and not search.askers:
                del self._waiting[search], self._searches[question]
            elif not search.askers:
                self._abandoned[search] = None
                if self._waiting:
                    self._drop(search)
                    self._start_waiting()

    def _drop(self, search: Search) -> None:
        """Nobody waits for it, and its socket is needed."""
        search.abandon()
        del self._abandoned[search], self._searches[search.question]

    def _start_waiting(self) -> None:
        """Who has waited longest for a socket gets one, if there is one."""
        while self._waiting and len(self.tries) < MAX_SOCKETS:
            waiting, _ = self._waiting.popitem(last=False)
            if waiting.has_time:
                waiting.try_next()
            else:
                self._tell_askers(waiting, _IN_VAIN)

    # What searches do

    @property
    def first(self) -> int:
        """The index of the server that is asked first."""
        return self._first if self.loop.now < self._first_until else 0

    def blame(self, server: int, since: float) -> None:
        """A question asked then has had no answer of this server."""
        if server == self.first and self.last_answers[server] < since:
            self._first = (server + 1) % len(self.servers)
            self._first_until = self.loop.now + _SECOND_BEST_SECONDS

    def finish(self, search: Search, answer: Answer) -> None:
        """Whoever asked is told, and who waited for a socket gets one."""
        self._tell_askers(search, answer)
        self._start_waiting()

    def _tell_askers(self, search: Search, answer: Answer) -> None:
        question = search.question
        del self._searches[question]
        self._abandoned.pop(search, None)
        self._cache.put(question, answer, self.loop.now)
        for asker in search.askers:
            self.loop.guard(asker, asker.take, question, answer)

    def notice(self, server: NameServer, what: str) -> None:
        """Something that an admin should know, told once a minute for each server."""
        self.count("dns_wrong_answers")
        if self.loop.now >= self._told.get(server.text, 0.0):
            self._told[server.text] = self.loop.now + _NOTICE_SECONDS
            self._tell(server.text, what)

    def end_waiting(self) -> None:
        """Who has waited for a socket too long is told."""
        while self._waiting and not next(iter(self._waiting)).has_time:
            self._tell_askers(self._waiting.popitem(last=False)[0], _IN_VAIN)


class Search:
    """One question on its way to an answer. `asked_at`: monotonic seconds."""

    __slots__ = ("_incoming", "_outgoing", "_query", "_resolver", "_server", "_sock", "_tries", "_wrong", "asked_at",
                 "askers", "done", "question")  # fmt: skip

    def __init__(self, resolver: Resolver, question: Question) -> None:
        self._resolver = resolver
        self._server = resolver.first
        self._sock: socket.socket | None = None
        self._query = b""
        self._tries = 0
        self._wrong = 0
        self._outgoing = b""  # by TCP
        self._incoming: bytearray | None = None  # by TCP
        self.question = question
        self.askers: list[Asker] = []
        self.asked_at = resolver.loop.now
        self.done = False

    @property
    def has_time(self) -> bool:
        """Whether there is time for one more try, or very nearly."""
        resolver = self._resolver
        return resolver.loop.now - self.asked_at < (TRIES - 0.9) * resolver.timeout

    def build_query(self) -> None:
        """Makes the query, anew for each try: none has the id or the case of another. Raises DnsNameError."""
        self._query = build_query(self.question, os.urandom(RANDOM_OCTETS))

    def try_next(self) -> None:
        """Begins a try, at the server whose turn it is."""
        if self._tries:
            self.build_query()
            self._server = (self._server + 1) % len(self._resolver.servers)
        self._tries += 1
        self._wrong = 0
        self._resolver.tries.begin(self, self._time_out)
        self._open(socket.SOCK_DGRAM)

    # One try

    @property
    def _server_text(self) -> str:
        return self._resolver.servers[self._server].text

    def _open(self, kind: int) -> None:
        resolver = self._resolver
        server = resolver.servers[self._server]
        resolver.count("dns_queries")
        try:
            sock = self._sock = socket.socket(server.family, kind | socket.SOCK_NONBLOCK)
            if kind == socket.SOCK_DGRAM:
                sock.connect(server.address)
                sock.send(self._query)
                resolver.loop.watch(sock.fileno(), READ, self)
            else:
                self._outgoing = struct.pack("!H", len(self._query)) + self._query
                self._incoming = bytearray()
                with suppress(BlockingIOError):
                    sock.connect(server.address)
                resolver.loop.watch(sock.fileno(), WRITE, self)
        except OSError as error:
            why, tries = f"{server.text}: {error.strerror}", self._tries
            # Not at once: nobody is told from within ask().
            resolver.loop.call_soon(self, lambda: self._fail(why) if self._tries == tries else None)

    def _close(self) -> None:
        if self._sock is not None:
            self._resolver.loop.forget(self._sock.fileno())
            self._sock.close()
            self._sock = None
        self._incoming = None

    def on_ready(self, events: int) -> None:
        try:
            if self._incoming is None:
                self._read_datagrams()
            else:
                self._go_on_by_tcp()
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(f"{self._server_text}: {error.strerror}")

    def on_bug(self) -> None:
        self.end(Answer(Status.FAILED, why="internal error"))

    def _read_datagrams(self) -> None:
        sock = self._sock
        assert sock is not None
        for _ in range(_AT_ONCE):
            self._take(sock.recv(_DATAGRAM))
            if self._sock is not sock:
                return

    def _take(self, octets: bytes) -> None:
        resolver = self._resolver
        try:
            answer = parse_answer(self._query, self.question, octets)
        except WrongAnswerError as error:
            self._wrong += 1
            server = resolver.servers[self._server]
            resolver.notice(server, f"an answer does not fit its question and is passed over: {error}")
            if self._incoming is not None:
                self._fail(f"{self._server_text}: a wrong answer by TCP: {error}")
            elif self._wrong >= _MOST_WRONG:
                self._go_over_to_tcp()
        except TruncatedError:
            if self._incoming is None:
                self._go_over_to_tcp()
            else:
                self._fail(f"{self._server_text}: a truncated answer by TCP")
        except MessageError as error:
            resolver.last_answers[self._server] = resolver.loop.now
            self._fail(f"{self._server_text}: malformed answer: {error}")
        else:
            resolver.last_answers[self._server] = resolver.loop.now
            if answer.status is Status.FAILED:
                # Another server may know better; the same one would say the same.
                self._fail(f"{self._server_text}: {answer.why}", min(TRIES, len(resolver.servers)))
            else:
                self.end(answer)

    def _fail(self, why: str, most_tries: int = TRIES) -> None:
        """This try brings nothing: the next one, or the end."""
        if self.done:
            return
        self._close()
        resolver = self._resolver
        resolver.tries.end(self)
        resolver.blame(self._server, self.asked_at)
        if self._tries < most_tries and self.has_time and self.askers:
            self.try_next()
        else:
            self.end(Answer(Status.FAILED, ttl=_FAILED_SECONDS, why=why))

    def abandon(self) -> None:
        """Ends without a word."""
        self.done = True
        self._close()
        self._resolver.tries.end(self)

    def _time_out(self) -> None:
        self._resolver.count("dns_timeouts")
        self._fail(f"{self._server_text}: no answer in time")
        self._resolver.end_waiting()

    def end(self, answer: Answer) -> None:
        """Whoever asked is told this."""
        if not self.done:
            self.abandon()
            self._resolver.finish(self, answer)

    # TCP (RFC 7766)

    def _go_over_to_tcp(self) -> None:
        """In what is left of this try."""
        self._close()
        self.build_query()
        self._open(socket.SOCK_STREAM)

    def _go_on_by_tcp(self) -> None:
        sock, incoming = self._sock, self._incoming
        assert sock is not None and incoming is not None
        if self._outgoing:
            self._outgoing = self._outgoing[sock.send(self._outgoing) :]
            if not self._outgoing:
                self._resolver.loop.change(sock.fileno(), READ)
            return
        octets = sock.recv(65536)
        if not octets:
            self._fail(f"{self._server_text}: closed the connection without an answer")
            return
        incoming += octets
        end = 2 + int.from_bytes(incoming[:2], "big")
        if len(incoming) >= max(end, 3):
            self._take(bytes(incoming[2:end]))
