"""Against dnspython: messages that it writes read here as it reads them, and queries written here read there.

MWALL_DNS_MESSAGES says how many messages are tried, 5,000 where it is not set: half as dnspython wrote them, half with
octets changed. Each has a number, that of its random seed; a failure names it.
"""

import os
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random
from typing import Any

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.NS
import dns.rdtypes.ANY.PTR
import dns.rdtypes.ANY.SOA
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.rrset
import pytest

from mwall.dns.answers import (
    AAAA,
    CNAME,
    MX,
    NS,
    PTR,
    SOA,
    TXT,
    A,
    Answer,
    Authority,
    Exchange,
    Question,
    Record,
    Status,
)
from mwall.dns.message import (
    EDNS_OCTETS,
    MAX_KEPT,
    MAX_LINKS,
    MAX_RECORDS,
    MAX_TTL,
    MAX_TXT_OCTETS,
    RANDOM_OCTETS,
    MessageError,
    TruncatedError,
    WrongAnswerError,
    build_query,
    parse_answer,
)

MESSAGES = int(os.environ.get("MWALL_DNS_MESSAGES", "5000"))
TYPES = (A, AAAA, NS, CNAME, PTR, MX, TXT, SOA)
TTLS = (0, 1, 60, 300, 3599, 3600, 3601, 86400, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
IN, OTHER_CLASS = dns.rdataclass.IN, dns.rdataclass.HS
# dnspython has types for few of these.
CLASSES: dict[int, Any] = {
    A: dns.rdtypes.IN.A.A,
    AAAA: dns.rdtypes.IN.AAAA.AAAA,
    NS: dns.rdtypes.ANY.NS.NS,
    CNAME: dns.rdtypes.ANY.CNAME.CNAME,
    PTR: dns.rdtypes.ANY.PTR.PTR,
    MX: dns.rdtypes.ANY.MX.MX,
    TXT: dns.rdtypes.ANY.TXT.TXT,
    SOA: dns.rdtypes.ANY.SOA.SOA,
}


# What dnspython writes


def some_labels(random: Random) -> list[bytes]:
    if random.random() < 0.7:
        return [random.choice((b"a", b"b", b"mail", b"MX1", b"2", b"_spf")) for _ in range(random.randrange(1, 4))]
    size = random.choice((1, 5, 63))
    return [random.randbytes(random.randrange(1, size + 1)) for _ in range(random.randrange(1, 4))]


def some_name(random: Random, known: list[dns.name.Name]) -> dns.name.Name:
    """A new name or one of those known, or one beneath one of them, so that there is something to compress."""
    chance = random.random()
    if known and chance < 0.3:
        return random.choice(known)
    above = random.choice(known) if known and chance < 0.7 else dns.name.from_text("Example.org")
    if chance > 0.97:
        return dns.name.root
    try:
        name = dns.name.Name([*some_labels(random), *above.labels])
    except dns.name.NameTooLong:
        return above
    known.append(name)
    return name


def some_data(random: Random, type_: int, known: list[dns.name.Name]) -> dns.rdata.Rdata:
    values: list[object]
    if type_ in (A, AAAA):
        values = [str(ip_address(random.randbytes(4 if type_ == A else 16)))]
    elif type_ == MX:
        values = [random.randrange(65536), some_name(random, known)]
    elif type_ == TXT:
        size = random.choice((0, 10, 255))
        values = [[random.randbytes(random.randrange(size + 1)) for _ in range(random.randrange(1, 5))]]
    elif type_ == SOA:
        numbers = [random.choice((0, 60, 7200, 0x7FFFFFFF)) for _ in range(4)]
        values = [some_name(random, known), some_name(random, known), random.getrandbits(32), *numbers]
    else:
        values = [some_name(random, known)]
    return new_data(type_, *values)


def new_data(type_: int, *values: object) -> dns.rdata.Rdata:
    data: dns.rdata.Rdata = CLASSES[type_](IN, type_, *values)
    return data


def as_set(random: Random, owner: dns.name.Name, data: dns.rdata.Rdata) -> dns.rrset.RRset:
    rrset = dns.rrset.from_rdata(owner, 0, data)
    rrset.ttl = random.choice(TTLS)
    return rrset


def some_answer(random: Random, question: Question, name: dns.name.Name) -> list[dns.rrset.RRset]:
    """A chain, records at its end, and some that have nothing to do with it, in random order."""
    known = [name]
    records = []
    links = random.choices((0, 1, 2, 5, MAX_LINKS, MAX_LINKS + 1), (60, 15, 10, 10, 3, 2))[0]
    if question.type == CNAME:
        links = min(links, 2)
    owner = name
    for number in range(links):
        target = dns.name.from_text(f"link{number}.example.org")
        if random.random() < 0.2:
            target = some_name(random, known)
        records.append(as_set(random, owner, new_data(CNAME, target)))
        owner = target
    count = random.choices((0, 1, 2, 5, MAX_KEPT + 6), (20, 50, 20, 9, 1))[0]
    records += [as_set(random, owner, some_data(random, question.type, known)) for _ in range(count)]
    for _ in range(random.choice((0, 0, 0, 1, 2, 4))):
        records.append(as_set(random, some_name(random, known), some_data(random, random.choice(TYPES), known)))
        if random.random() < 0.2:
            records[-1].rdclass = OTHER_CLASS
    if random.random() < 0.5:
        random.shuffle(records)
    return records


def some_message(random: Random) -> tuple[bytes, Question, bytes]:
    """A query, its question, and what dnspython writes as the answer."""
    parts = ("a", "2", "127", "mail", "x" * 63, "_dmarc", "a-b")
    name = ".".join(random.choices(parts, k=random.choice((1, 3))))
    question = Question(f"{name}.zen.Example.org" if random.random() < 0.9 else name, random.choice(TYPES))
    query = build_query(question, random.randbytes(RANDOM_OCTETS))
    asked = dns.message.from_wire(query)
    message = dns.message.QueryMessage(asked.id)
    message.question = asked.question
    # Any of AA, RD, RA, AD, CD.
    message.flags = dns.flags.Flag(dns.flags.QR | random.getrandbits(16) & 0x05B0)
    if random.random() < 0.7:
        cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, random.randbytes(8))
        message.use_edns(0, payload=random.getrandbits(16), options=[cookie])
    message.set_rcode(dns.rcode.Rcode(random.choices((0, 3, 2, 5, 16), (75, 20, 2, 2, 1))[0]))
    message.answer = some_answer(random, question, asked.question[0].name)
    known = [asked.question[0].name]
    for section in (message.authority, message.additional):
        for _ in range(random.choice((0, 0, 1, 3))):
            type_ = random.choice((SOA, SOA, NS, A))
            section.append(as_set(random, some_name(random, known), some_data(random, type_, known)))
    return query, question, message.to_wire(max_size=65535)


# What dnspython reads, as an Answer


def text_of(name: dns.name.Name) -> str:
    escaped = [[chr(octet) if octet in PLAIN else f"\\{octet:03}" for octet in label.lower()] for label in name.labels]
    text = ".".join(map("".join, escaped[:-1]))
    assert dns.name.from_text(text or ".") == name
    return text


def value_of(data: object) -> Record:
    match data:
        case dns.rdtypes.IN.A.A():
            return IPv4Address(data.address)
        case dns.rdtypes.IN.AAAA.AAAA():
            return IPv6Address(data.address)
        case dns.rdtypes.ANY.MX.MX():
            return Exchange(data.preference, text_of(data.exchange))
        case dns.rdtypes.ANY.TXT.TXT():
            return b"".join(data.strings)
        case dns.rdtypes.ANY.SOA.SOA():
            return Authority(text_of(data.mname), text_of(data.rname), data.serial, data.minimum)
        case dns.rdtypes.ANY.NS.NS() | dns.rdtypes.ANY.CNAME.CNAME() | dns.rdtypes.ANY.PTR.PTR():
            return text_of(data.target)
    raise AssertionError(data)


def kept(values: list[Record]) -> tuple[Record, ...]:
    room = MAX_TXT_OCTETS
    result: list[Record] = []
    for value in values[:MAX_KEPT]:
        if isinstance(value, bytes):
            if len(value) > room:
                continue
            room -= len(value)
        result.append(value)
    return tuple(result)


def read_by_dnspython(question: Question, octets: bytes) -> Answer | None:
    """What is expected; None for a chain that is too long. Raises what dnspython raises."""
    message = dns.message.from_wire(octets, one_rr_per_rrset=True, ignore_trailing=True)
    if message.rcode() not in (0, 3):
        return Answer(Status.FAILED)
    answered = [rrset for rrset in message.answer[:MAX_RECORDS] if rrset.rdclass == IN]
    name, ttls = message.question[0].name, [MAX_TTL]
    for _ in range(MAX_LINKS + 1):
        wanted = [rrset for rrset in answered if rrset.name == name and rrset.rdtype == question.type]
        alias = next((rrset for rrset in answered if rrset.name == name and rrset.rdtype == CNAME), None)
        if wanted or not alias:
            break
        ttls.append(alias.ttl)
        name = alias[0].target
    else:
        return None
    ttls += [rrset.ttl for rrset in wanted[:MAX_KEPT]]
    if wanted and message.rcode() == 0:
        return Answer(Status.FOUND, kept([value_of(rrset[0]) for rrset in wanted]), min(ttls))
    start = next((rrset for rrset in message.authority if rrset.rdtype == SOA and rrset.rdclass == IN), None)
    is_referral = any(rrset.rdtype == NS and rrset.rdclass == IN for rrset in message.authority)
    if message.rcode() == 0 and start is None and (is_referral or not message.flags & (dns.flags.AA | dns.flags.RA)):
        return Answer(Status.FAILED)
    minimum = start[0].minimum if start and start[0].minimum < 0x80000000 else 0
    ttls += [start.ttl, minimum] if start else [0]
    return Answer(Status.NO_DATA if message.rcode() == 0 else Status.NO_NAME, (), min(ttls))


def read_here(query: bytes, question: Question, octets: bytes) -> Answer | None:
    """What parse_answer says, without the reason of a failure; None for a MessageError."""
    try:
        return parse_answer(query, question, octets)._replace(why="")
    except MessageError:
        return None


def mutated(random: Random, octets: bytes, question_end: int) -> bytes:
    """With octets changed, taken out, or doubled: mostly of the counts or behind the question."""
    changed = bytearray(octets)
    for _ in range(random.choice((1, 1, 2, 8))):
        first = random.choices((0, 6, question_end), (1, 2, 17))[0]
        at = random.randrange(first, 12 if first == 6 else max(len(changed), first + 1)) % len(changed)
        match random.randrange(6):
            case 0:
                changed[at] ^= 1 << random.randrange(8)
            case 1:
                changed[at] = random.choice((0, 1, 63, 64, 0xC0, 0xFF))
            case 2:
                changed[at : at + 2] = bytes((0xC0, random.randrange(min(len(changed), 256))))
            case 3:
                changed[at] = (changed[at] + random.choice((1, 255))) & 255
            case 4:
                changed[at:at] = changed[at : at + random.randrange(20)]
            case 5 if len(changed) > 40:
                del changed[at : at + random.randrange(1, 8)]
    return bytes(changed)


def seeds(kind: int) -> range:
    return range(kind, MESSAGES, 2)


def test_messages() -> None:
    for seed in seeds(0):
        query, question, octets = some_message(Random(seed))
        assert read_here(query, question, octets) == read_by_dnspython(question, octets), f"message {seed}"


def test_mutated_messages() -> None:
    """Either may refuse what the other takes; where both take it, they read the same."""
    both = 0
    for seed in seeds(1):
        random = Random(seed)
        query, question, octets = some_message(random)
        octets = mutated(random, octets, len(query) - 11)
        try:
            answer = read_here(query, question, octets)
        except (WrongAnswerError, TruncatedError):
            continue
        try:
            expected = read_by_dnspython(question, octets)
        except (dns.exception.DNSException, ValueError):
            continue
        if answer and expected:
            assert answer == expected, f"message {seed}"
            both += 1
    assert both > MESSAGES // 10


@pytest.mark.parametrize("type_", TYPES)
def test_queries(type_: int) -> None:
    random = Random(type_)
    for _ in range(20):
        name = ".".join("".join(random.choices("abcXYZ019-_", k=random.randrange(1, 40))) for _ in range(5))
        query = dns.message.from_wire(build_query(Question(name, type_), random.randbytes(RANDOM_OCTETS)))
        (asked,) = query.question
        assert (asked.name, asked.rdtype, asked.rdclass) == (dns.name.from_text(name), type_, IN)
        assert asked.name.to_text() != name + "."
        assert query.flags == dns.flags.RD and query.opcode() == 0
        assert (query.edns, query.payload, query.ednsflags, query.options) == (0, EDNS_OCTETS, 0, ())
        assert not (query.answer or query.authority or query.additional)
