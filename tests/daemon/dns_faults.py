"""What a hostile DNS server sends instead of the right answer (hostile_dns.py). A lie is an answer that would score."""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Iterable, Iterator

from tests.daemon.hostile_dns import CNAME, TXT, Data, Fault, Query, Send, a, answer, wire

LISTED = a("127.0.0.2")


def _lie(query: Query, record: Data = LISTED) -> bytes:
    return answer(query, [record])


def nothing(_: Query, __: bytes) -> Iterable[Send]:
    """No answer, by UDP; by TCP the connection is held."""
    return ()


def late(seconds: float, then: Fault | None = None) -> Fault:
    """The right answer, or what another fault makes of it, after some seconds."""

    def fault(query: Query, right: bytes) -> Iterator[Send]:
        time.sleep(seconds)
        yield from then(query, right) if then else (Send(right),)

    return fault


def then_right(fault: Fault) -> Fault:
    """What a fault makes of it, then the right answer."""

    def both(query: Query, right: bytes) -> Iterator[Send]:
        yield from fault(query, right)
        yield Send(right)

    return both


def once(fault: Fault) -> Fault:
    """What a fault makes of it the first time, the right answer after that."""
    seen: list[Query] = []

    def first(query: Query, right: bytes) -> Iterable[Send]:
        seen.append(query)
        return fault(query, right) if len(seen) == 1 else (Send(right),)

    return first


def refusing(rcode: int) -> Fault:
    """SERVFAIL, REFUSED and the like."""
    return lambda query, _: (Send(answer(query, [], rcode)),)


def garbage(query: Query, _: bytes) -> Iterator[Send]:
    """Octets by chance, alone and behind the right id and question."""
    yield Send(os.urandom(random.randrange(60)))
    yield Send(struct.pack(">6H", query.id, 0x8180, 1, 5, 5, 5) + query.question + os.urandom(200))


def other_id(query: Query, _: bytes) -> Iterator[Send]:
    """A lie under another id."""
    yield Send(_lie(query._replace(id=query.id ^ 0x0101)))


def other_question(query: Query, _: bytes) -> Iterator[Send]:
    """A lie to another question: its name, then its type, then none at all."""
    yield Send(_lie(query._replace(question=wire("other.example") + query.question[-4:])))
    yield Send(_lie(query._replace(question=query.question[:-4] + struct.pack(">2H", TXT, 1))))
    yield Send(struct.pack(">6H", query.id, 0x8180, 0, 1, 0, 0) + wire(query.name) + _lie(query)[-14:])


def other_case(query: Query, _: bytes) -> Iterator[Send]:
    """A lie to the same question with each letter in the other case."""
    yield Send(_lie(query._replace(question=wire(query.name.swapcase()) + query.question[-4:])))


def other_port(query: Query, _: bytes) -> Iterator[Send]:
    """A lie from another port of the server."""
    yield Send(_lie(query), "other port")


def other_address(query: Query, _: bytes) -> Iterator[Send]:
    """A lie from the same port of another address."""
    yield Send(_lie(query), "other address")


def other_owner(query: Query, _: bytes) -> Iterator[Send]:
    """The answer, but its record has another owner than the question."""
    yield Send(answer(query, [LISTED._replace(owner=wire("other.example"))]))


def a_query(query: Query, _: bytes) -> Iterator[Send]:
    """A lie that has no QR bit: it is a query itself."""
    octets = bytearray(_lie(query))
    octets[2] &= 0x7F
    yield Send(bytes(octets))


def pointer_loop(query: Query, _: bytes) -> Iterator[Send]:
    """A record whose owner is a pointer to itself, then two that point to each other."""
    at = 12 + len(query.question)
    yield Send(answer(query, [LISTED._replace(owner=struct.pack(">H", 0xC000 | at))]))
    yield Send(answer(query, [LISTED._replace(owner=struct.pack(">2H", 0xC000 | at + 2, 0xC000 | at))]))


def cname_loop(query: Query, _: bytes) -> Iterator[Send]:
    """A CNAME to itself; one of two that lead to each other."""
    there, back = wire("there.example"), wire(query.name)
    records = b"\xc0\x0c" + struct.pack(">HHIH", CNAME, 1, 300, len(there)) + there
    records += there + struct.pack(">HHIH", CNAME, 1, 300, len(back)) + back
    yield Send(struct.pack(">6H", query.id, 0x8180, 1, 2, 0, 0) + query.question + records)


def truncated(by_tcp: Fault | None = None) -> Fault:
    """TC by UDP with a lie in it; by TCP the right answer, or what another fault makes of it."""

    def fault(query: Query, right: bytes) -> Iterator[Send]:
        if query.transport == "udp":
            yield Send(answer(query, [LISTED], flags=0x0200))
        else:
            yield from by_tcp(query, right) if by_tcp else (Send(right),)

    return fault


def holding(octets: int | None) -> Fault:
    """By TCP: so many octets of a lie with its length, or not one (0), and then not another word."""

    def fault(query: Query, _: bytes) -> Iterator[Send]:
        lie = _lie(query)
        yield Send((struct.pack(">H", len(lie)) + lie)[:octets], then="hold", whole=False)

    return fault


def halved(query: Query, _: bytes) -> Iterator[Send]:
    """By TCP: half a lie, and the end of the connection."""
    lie = _lie(query)
    yield Send((struct.pack(">H", len(lie)) + lie)[: len(lie) // 2], whole=False)
    raise OSError("hangs up")


def oversized(query: Query, _: bytes) -> Iterator[Send]:
    """As large as an answer can be, all of it records that list nothing: 65,535 octets by TCP, 65,507 by UDP."""
    room = (65507 if query.transport == "udp" else 65535) - 12 - len(query.question)
    filler = [a("192.0.2.1")] * (room // 16 - 1)
    left = room - 16 * len(filler)
    yield Send(answer(query, [*filler, Data(TXT, bytes(left - 12))]))


def flood(query: Query, right: bytes) -> Iterator[Send]:
    """By UDP 1,000 lies under wrong ids, quickly, then the right answer; by TCP that alone."""
    for number in range(1000 if query.transport == "udp" else 0):
        yield Send(_lie(query._replace(id=(query.id + 1 + number) & 0xFFFF)))
        if number % 50 == 49:
            time.sleep(0.001)  # else the kernel drops the right one for want of room
    yield Send(right)
