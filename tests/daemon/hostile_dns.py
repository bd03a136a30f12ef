"""A DNS server that lies as it is told to: UDP and TCP on one port of 127.0.0.1, and a second address to speak from.

What is in its table it answers rightly, what is not does not exist. A fault, chosen by the name asked for, is given the
query and the right answer and says what is sent instead. Every query is kept, octet for octet what matters of it.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Literal, NamedTuple, Self

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA = 1, 2, 5, 6, 12, 15, 16, 28
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
ELSEWHERE = "127.0.0.53"
_MOST_BY_UDP = 1232

Labels = tuple[bytes, ...]
"""A name that may hold any octets, as they stand in its labels."""


def wire(name: str | Labels) -> bytes:
    """A name on the wire; text is split at its dots."""
    labels = tuple(name.encode().split(b".")) if isinstance(name, str) else name
    return b"".join(bytes([len(label)]) + label for label in labels if label) + b"\0"


def _text(octets: bytes) -> str:
    """A name of plain labels on the wire, as text."""
    labels = []
    while octets[0]:
        labels.append(octets[1 : 1 + octets[0]].decode("latin-1"))
        octets = octets[1 + octets[0] :]
    return ".".join(labels)


class Data(NamedTuple):
    """The data of a record, and its type. `owner` on the wire, unless it is the question's name."""

    type: int
    octets: bytes
    owner: bytes = b"\xc0\x0c"


def a(address: str) -> Data:
    """An A record, or an AAAA record."""
    kind = AAAA if ":" in address else A
    return Data(kind, socket.inet_pton(socket.AF_INET6 if kind == AAAA else socket.AF_INET, address))


def ptr(name: str | Labels) -> Data:
    """A PTR record."""
    return Data(PTR, wire(name))


def cname(name: str | Labels) -> Data:
    """A CNAME record."""
    return Data(CNAME, wire(name))


def mx(preference: int, name: str | Labels) -> Data:
    """An MX record."""
    return Data(MX, struct.pack(">H", preference) + wire(name))


def txt(text: bytes) -> Data:
    """A TXT record, of one string up to 255 octets."""
    return Data(TXT, bytes([len(text)]) + text)


class Query(NamedTuple):
    """What was asked: `name` with its case, `question` the section on the wire; `port` the client's."""

    name: str
    type: int
    id: int
    port: int
    transport: Literal["udp", "tcp"]
    question: bytes
    came: float  # monotonic seconds

    @property
    def key(self) -> tuple[str, int]:
        """How the table and the faults know it."""
        return self.name.lower(), self.type


class Send(NamedTuple):
    """Octets of an answer. `by`: who sends them by UDP; `then`, by TCP: hold the connection open without a word."""

    octets: bytes
    by: Literal["server", "other port", "other address"] = "server"
    then: Literal["close", "hold"] = "close"
    whole: bool = True  # by TCP: the length before them; else the octets alone


Fault = Callable[[Query, bytes], Iterable[Send]]
"""Says what is sent instead of the right answer; sleeps where it has to wait."""


def answer(query: Query, records: Iterable[Data], rcode: int = NOERROR, flags: int = 0) -> bytes:
    """A whole answer to the query."""
    records = list(records)
    negative = not records and rcode in (NOERROR, NXDOMAIN)
    head = struct.pack(">6H", query.id, 0x8180 | flags | rcode, 1, len(records), int(negative), 0)
    body = b"".join(
        record.owner + struct.pack(">HHIH", record.type, 1, 300, len(record.octets)) + record.octets
        for record in records
    )
    if negative:
        soa = wire("ns.invalid") + wire("admin.invalid") + struct.pack(">5I", 1, 600, 300, 86400, 300)
        body += b"\0" + struct.pack(">HHIH", SOA, 1, 300, len(soa)) + soa
    return head + query.question + body


class HostileDns:
    """The server. `records`: by name in lower case and type; `fault_of`: by name in lower case, for any type."""

    def __init__(self, port: int, lists: Iterable[str] = ()) -> None:
        """`lists`: zones that are proven as lists of addresses: 127.0.0.2 is in them, 127.0.0.1 is not."""
        self.port = port
        self.records: dict[tuple[str, int], list[Data]] = {}
        for zone in lists:
            self.add(f"2.0.0.127.{zone}", a("127.0.0.2"))
        self.fault_of: dict[str, Fault] = {}
        self.queries: list[Query] = []
        self.answered: list[Query] = []
        self._pool = ThreadPoolExecutor(64)
        self._open: list[socket.socket] = []
        self._udp: socket.socket | None = None
        self._others: dict[str, socket.socket] = {}

    def add(self, name: str, *records: Data) -> None:
        """Puts records into the table."""
        for record in records:
            self.records.setdefault((name.lower(), record.type), []).append(record)

    def start(self) -> None:
        """Listens."""
        self._udp = self._socket(socket.SOCK_DGRAM, ("127.0.0.1", self.port))
        self._others["other port"] = self._socket(socket.SOCK_DGRAM, ("127.0.0.1", 0))
        self._others["other address"] = self._socket(socket.SOCK_DGRAM, (ELSEWHERE, self.port))
        threading.Thread(target=self._serve_udp, args=(self._udp,), daemon=True).start()
        self.listen()

    def listen(self) -> None:
        """Opens TCP."""
        self._listener = self._socket(socket.SOCK_STREAM, ("127.0.0.1", self.port))
        self._listener.listen(100)
        threading.Thread(target=self._serve_tcp, args=(self._listener,), daemon=True).start()

    def refuse_tcp(self) -> None:
        """Closes TCP: whoever connects now is refused."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _socket(self, kind: int, address: tuple[str, int]) -> socket.socket:
        sock = socket.socket(socket.AF_INET, kind)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        self._open.append(sock)
        return sock

    def stop(self) -> None:
        """Closes all; what still waits sends nothing any more."""
        for sock in self._open:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes who reads from it, though it is not connected
            sock.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def asked(self, name: str, transport: str = "") -> list[Query]:
        """The queries for a name, whatever their case and type."""
        return [
            query
            for query in list(self.queries)
            if query.name.lower() == name.lower() and transport in ("", query.transport)
        ]

    def has_answered(self, name: str) -> bool:
        """Whether a query for the name has been answered to the end."""
        return any(query.name.lower() == name.lower() for query in list(self.answered))

    def right(self, query: Query) -> bytes:
        """What an honest server would say."""
        name, kind = query.key
        records = self.records.get((name, kind), [])
        if not records and (aliases := self.records.get((name, CNAME))):
            target = _text(aliases[0].octets)
            there = self.records.get((target, kind), [])
            records = [*aliases, *[record._replace(owner=wire(target)) for record in there]]
        exists = records or any(known == name for known, _ in list(self.records))
        return answer(query, records, NOERROR if exists else NXDOMAIN)

    def _replies(self, query: Query) -> Iterator[Send]:
        right = self.right(query)
        if fault := self.fault_of.get(query.name.lower()):
            yield from fault(query, right)
        elif query.transport == "udp" and len(right) > _MOST_BY_UDP:
            yield Send(answer(query, [], flags=0x0200))
        else:
            yield Send(right)

    # UDP

    def _serve_udp(self, sock: socket.socket) -> None:
        with suppress(OSError, RuntimeError):  # the latter of the pool, once it is shut down
            while client := (received := sock.recvfrom(65536))[1]:  # none once it is shut down
                if (query := _parse(received[0], client[1], "udp")) is not None:
                    self.queries.append(query)
                    self._pool.submit(self._answer_udp, sock, query, client)

    def _answer_udp(self, sock: socket.socket, query: Query, client: tuple[str, int]) -> None:
        with suppress(OSError):
            for send in self._replies(query):
                self._others.get(send.by, sock).sendto(send.octets, client)
            self.answered.append(query)

    # TCP

    def _serve_tcp(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                sock, client = listener.accept()
                self._open.append(sock)
                threading.Thread(target=self._answer_tcp, args=(sock, client[1]), daemon=True).start()

    def _answer_tcp(self, sock: socket.socket, port: int) -> None:
        with suppress(OSError), sock, sock.makefile("rb") as stream:
            while size := stream.read(2):
                query = _parse(stream.read(int.from_bytes(size, "big")), port, "tcp")
                if query is None:
                    return
                self.queries.append(query)
                for send in self._replies(query):
                    sock.sendall((struct.pack(">H", len(send.octets)) if send.whole else b"") + send.octets)
                    if send.then == "hold":
                        stream.read()
                self.answered.append(query)


def _parse(octets: bytes, port: int, transport: Literal["udp", "tcp"]) -> Query | None:
    try:
        name = _text(octets[12:])
        end = 12 + len(wire(name)) + 4
        (kind,) = struct.unpack_from(">H", octets, end - 4)
    except (IndexError, struct.error):
        return None
    number = int.from_bytes(octets[:2], "big")
    return Query(name, kind, number, port, transport, octets[12:end], time.monotonic())
