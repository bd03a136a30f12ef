"""A small epoll SMTP client: the latency of whole transactions, and clients that only sit there.

One process, one thread, no pipelining (as smtp-source). Every loop is bounded in time.
"""

import errno
import select
import socket
import time
from dataclasses import dataclass
from typing import NamedTuple

from harness import HOST

_HEADER = (
    b"From: <a@example.org>\r\nTo: <b@example.org>\r\nSubject: test\r\n"
    b"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-Id: <1@example.org>\r\n\r\n"
)
_LINE = b"The quick brown fox jumps over the lazy dog, again and again and again......\r\n"


class Kind(NamedTuple):
    """A way to load for latency. rate 0: as fast as at_once connections allow.

    Otherwise a connection is due every 1/rate seconds whatever the server does, and latency counts from then: a
    stall of the server is seen by all that were due in it."""

    title: str
    transactions: int
    at_once: int
    octets: int
    rate: float


KINDS = {
    "one": Kind("one at a time, 1 KiB", 100, 1, 1024, 0.0),
    "twenty": Kind("20 at once, 1 KiB", 600, 20, 1024, 0.0),
    "twenty-10k": Kind("20 at once, 10 KiB", 600, 20, 10240, 0.0),
    "steady": Kind("100 a second, 1 KiB", 200, 200, 1024, 100.0),
}


@dataclass(frozen=True)
class LatencyRun:
    """From connect to the 250 of the message, milliseconds."""

    case: str
    peer: str
    round: int
    p50: float
    p99: float
    errors: int
    first_error: str


def percentile(values: list[float], part: float) -> float:
    """The value below which that part of them lies; not a number if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else float("nan")


def _dialogue(octets: int) -> list[tuple[bytes, bytes]]:
    """What is awaited, and what is said then."""
    data = _HEADER + (_LINE * (octets // len(_LINE) + 1))[:octets].rstrip(b"\r\n") + b"\r\n.\r\n"
    return [
        (b"220", b"EHLO client.example\r\n"),
        (b"250", b"MAIL FROM:<a@example.org>\r\n"),
        (b"250", b"RCPT TO:<b@example.org>\r\n"),
        (b"250", b"DATA\r\n"),
        (b"354", data),
        (b"250", b"QUIT\r\n"),
        (b"221", b""),
    ]


_ACCEPTED = 5


class _Connection:
    __slots__ = ("due", "reply", "socket", "step", "unsent")

    def __init__(self, due: float) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.due, self.step, self.reply, self.unsent = due, 0, b"", b""


class _Latency:
    def __init__(self, port: int, kind: Kind) -> None:
        self._port, self._kind = port, kind
        self._dialogue = _dialogue(kind.octets)
        self._epoll = select.epoll()
        self._open: dict[int, _Connection] = {}
        self._started = 0
        self.times: list[float] = []
        self.errors: list[str] = []

    def run(self, limit_seconds: float) -> None:
        begin = time.perf_counter()
        while len(self.times) + len(self.errors) < self._kind.transactions or self._open:
            now = time.perf_counter()
            if now > begin + limit_seconds:
                self.errors.append(f"not done after {limit_seconds:.0f} s")
                break
            wait = self._start_due(begin, now)
            for descriptor, event in self._epoll.poll(wait):
                self._handle(self._open[descriptor], event)
        for connection in list(self._open.values()):
            self._close(connection)
        self._epoll.close()

    def _start_due(self, begin: float, now: float) -> float:
        """Opens what is due; how long until the next, seconds."""
        kind = self._kind
        while self._started < kind.transactions and len(self._open) < kind.at_once:
            due = begin + self._started / kind.rate if kind.rate else now
            if due > now:
                return min(1.0, due - now)
            self._started += 1
            connection = _Connection(due)
            connection.socket.connect_ex((HOST, self._port))
            self._open[connection.socket.fileno()] = connection
            self._epoll.register(connection.socket.fileno(), select.EPOLLIN)
        return 1.0

    def _handle(self, connection: _Connection, event: int) -> None:
        try:
            if event & select.EPOLLOUT:
                self._send(connection)
            if event & ~select.EPOLLOUT:
                got = connection.socket.recv(65536)
                if not got:
                    raise ConnectionError(f"closed at step {connection.step}")
                connection.reply += got
                self._take_reply(connection)
        except BlockingIOError:
            pass
        except OSError as error:
            if connection.step <= _ACCEPTED:
                self.errors.append(str(error))
            self._close(connection)

    def _take_reply(self, connection: _Connection) -> None:
        reply = connection.reply
        last = reply.rstrip(b"\r\n").rsplit(b"\n", 1)[-1]
        if not reply.endswith(b"\n") or last[3:4] == b"-":
            return
        awaited, say = self._dialogue[connection.step]
        if not last.startswith(awaited):
            raise ConnectionError(f"step {connection.step}: {last[:80]!r}")
        if connection.step == _ACCEPTED:
            self.times.append((time.perf_counter() - connection.due) * 1000)
        connection.step, connection.reply = connection.step + 1, b""
        if not say:
            self._close(connection)
            return
        connection.unsent = say
        self._send(connection)

    def _send(self, connection: _Connection) -> None:
        try:
            sent = connection.socket.send(connection.unsent)
        except BlockingIOError:
            sent = 0
        waited = sent < len(connection.unsent)
        connection.unsent = connection.unsent[sent:]
        self._epoll.modify(connection.socket.fileno(), select.EPOLLIN | (select.EPOLLOUT if waited else 0))

    def _close(self, connection: _Connection) -> None:
        del self._open[connection.socket.fileno()]
        connection.socket.close()


def run_latency(peer: str, port: int, case: str, number: int, limit_seconds: float = 20.0) -> LatencyRun:
    """One run of one kind; what was not done in time is an error."""
    client = _Latency(port, KINDS[case])
    client.run(limit_seconds)
    return LatencyRun(
        case=case,
        peer=peer,
        round=number,
        p50=percentile(client.times, 0.5),
        p99=percentile(client.times, 0.99),
        errors=len(client.errors),
        first_error=client.errors[0] if client.errors else "",
    )


class Idle:
    """Opens so many clients and keeps those that are greeted. `silent` got nothing in time."""

    def __init__(self, port: int, clients: int, limit_seconds: float = 30.0) -> None:
        self._port = port
        self._held: list[socket.socket] = []
        self._waiting: dict[int, socket.socket] = {}
        self.refused = 0
        end = time.perf_counter() + limit_seconds
        opened = 0
        with select.epoll() as epoll:
            while (opened < clients or self._waiting) and time.perf_counter() < end:
                while opened < clients and len(self._waiting) < 64:
                    opened += 1
                    self._open(epoll)
                for descriptor, _ in epoll.poll(1.0):
                    epoll.unregister(descriptor)
                    self._take_greeting(self._waiting.pop(descriptor))
        self.held = len(self._held)
        self.silent = clients - self.held - self.refused

    def _open(self, epoll: select.epoll) -> None:
        client = socket.socket()
        client.setblocking(False)
        if client.connect_ex((HOST, self._port)) not in (0, errno.EINPROGRESS):
            self.refused += 1
            client.close()
            return
        self._waiting[client.fileno()] = client
        epoll.register(client.fileno(), select.EPOLLIN)

    def _take_greeting(self, client: socket.socket) -> None:
        try:
            greeted = client.recv(4096).startswith(b"220")
        except OSError:
            greeted = False
        if greeted:
            self._held.append(client)
        else:
            self.refused += 1
            client.close()

    def dead(self, most: int = 50) -> int:
        """How many of a sample no longer answer NOOP."""
        dead = 0
        for client in self._held[:: max(1, len(self._held) // most)]:
            client.settimeout(2)
            try:
                client.sendall(b"NOOP\r\n")
                dead += not client.recv(4096).startswith(b"250")
            except OSError:
                dead += 1
        return dead

    def close(self) -> None:
        """Hangs up on all of them."""
        for client in [*self._held, *self._waiting.values()]:
            client.close()
