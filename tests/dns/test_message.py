import struct
from ipaddress import IPv4Address, IPv6Address
from random import Random

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
    RANDOM_OCTETS,
    MessageError,
    TruncatedError,
    WrongAnswerError,
    build_query,
    parse_answer,
)
from mwall.dns.names import DnsNameError
from tests.dns.wire import HERE, NO_RANDOMNESS, QUESTION, labels, pointer, query_for, record, response

QUERY = query_for(QUESTION)
ADDRESS = b"\x7f\0\0\2"
FOUND = Answer(Status.FOUND, (IPv4Address("127.0.0.2"),), 300)
FOUND_RECORD = record(HERE, A, ADDRESS)
OPT = b"\0" + struct.pack("!HHIH", 41, 4096, 0, 0)


def parse(*answers: bytes, question: Question = QUESTION, **how: object) -> Answer:
    query = query_for(question)
    return parse_answer(query, question, response(query, answers, **how))  # type: ignore[arg-type]


def soa(minimum: int = 60, ttl: int = 300, class_: int = 1) -> bytes:
    data = labels(b"ns") + labels(b"host.master", b"example") + struct.pack("!IIIII", 7, 1, 2, 3, minimum)
    return record(labels(b"example", b"org"), SOA, data, ttl, class_)


# Queries


def test_query() -> None:
    expected = b"\0\0\1\0\0\1\0\0\0\0\0\1\1a\2bc\0\0\x10\0\1\0\0\x29\x04\xd0\0\0\0\0\0\0"
    assert build_query(Question("a.bc", TXT), NO_RANDOMNESS) == expected
    assert EDNS_OCTETS == 0x04D0


def test_randomness_is_the_id_and_the_case_of_letters() -> None:
    query = build_query(Question("ab-9_Z.example", A), b"\x12\x34" + b"\xff" * 32)
    assert query[:2] == b"\x12\x34"
    assert query[12:28] == b"\6AB-9_z\7EXAMPLE\0"
    # The lowest bit of the third octet is for the first octet of the name on the wire, a length.
    query = build_query(Question("abcdefghij", A), b"\0\0\x02\x01" + b"\0" * 30)
    assert query[12:24] == b"\x0aAbcdefgHij\0"


def test_each_letter_has_a_bit_of_its_own() -> None:
    name = ".".join(["a" * 63] * 3 + ["a" * 61])
    random = Random(1)
    for _ in range(200):
        bits = random.randbytes(32)
        query = build_query(Question(name, A), b"\0\0" + bits)[12:-15]
        expected = [bits[at // 8] >> at % 8 & 1 for at in range(255)]
        assert all(octet == (0x41 if bit else 0x61) for octet, bit in zip(query, expected, strict=True) if octet > 63)


@pytest.mark.parametrize("size", [0, RANDOM_OCTETS - 1, RANDOM_OCTETS + 1])
def test_wrong_number_of_random_octets(size: int) -> None:
    with pytest.raises(ValueError, match="random"):
        build_query(QUESTION, bytes(size))


def test_name_that_cannot_be_asked_for() -> None:
    with pytest.raises(DnsNameError):
        build_query(Question("a\\046b.example", A), NO_RANDOMNESS)


# What is no answer to the query


def changed(octets: bytes, at: int, value: int) -> bytes:
    return octets[:at] + bytes((value,)) + octets[at + 1 :]


ANSWER = response(QUERY, [FOUND_RECORD])


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "shorter"),
        (ANSWER[:11], "shorter"),
        (ANSWER[:12], "another question"),
        (ANSWER[: len(QUERY) - 12], "another question"),
        (changed(ANSWER, 0, 1), "id"),
        (changed(ANSWER, 1, 1), "id"),
        (QUERY, "query"),
        (changed(ANSWER, 2, 0x01), "query"),
        (changed(ANSWER, 2, 0x89), "opcode"),
        (changed(ANSWER, 2, 0xF9), "opcode"),
        (changed(ANSWER, 4, 1), "257 questions"),
        (changed(ANSWER, 5, 0), "0 questions"),
        (changed(ANSWER, 5, 2), "2 questions"),
        (changed(ANSWER, len(QUERY) - 14, AAAA), "another question"),  # the type
        (changed(ANSWER, len(QUERY) - 12, 3), "another question"),  # the class
        (ANSWER.replace(b"zen", b"zeN"), "another case"),
        (ANSWER.replace(b"zen", b"xen"), "another question"),
        (ANSWER.replace(b"\3zen", b"\xc0\x0cn"), "another question"),
    ],
)
def test_wrong_answer(octets: bytes, reason: str) -> None:
    with pytest.raises(WrongAnswerError, match=reason):
        parse_answer(QUERY, QUESTION, octets)


def test_case_has_to_be_the_one_asked_with() -> None:
    random = Random(2)
    query = build_query(QUESTION, random.randbytes(RANDOM_OCTETS))
    assert parse_answer(query, QUESTION, response(query, [FOUND_RECORD])) == FOUND
    for at, octet in enumerate(query[12:-15], 12):
        if octet > 63:
            other = changed(response(query, [FOUND_RECORD]), at, octet ^ 0x20)
            with pytest.raises(WrongAnswerError):
                parse_answer(query, QUESTION, other)


@pytest.mark.parametrize("rcode", range(16))
@pytest.mark.parametrize("rest", [b"", b"\xff", FOUND_RECORD])
def test_truncated(rcode: int, rest: bytes) -> None:
    with pytest.raises(TruncatedError):
        parse(rest, flags=0x8380, rcode=rcode, counts=(99, 99, 99))


def test_truncated_answer_to_something_else() -> None:
    with pytest.raises(WrongAnswerError):
        parse_answer(QUERY, QUESTION, changed(response(QUERY, flags=0x8380), 0, 1))


# RCODEs

# fmt: off
RCODES = [
    "FORMERR", "SERVFAIL", "-", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE",
    "DSOTYPENI",
]
# fmt: on


@pytest.mark.parametrize("rcode", [1, 2, *range(4, 16)])
@pytest.mark.parametrize("counts", [(1, 0, 0), (0, 0, 0), (9, 9, 9)])
def test_failed(rcode: int, counts: tuple[int, int, int]) -> None:
    why = RCODES[rcode - 1] if rcode <= len(RCODES) else f"RCODE {rcode}"
    assert parse(FOUND_RECORD, rcode=rcode, counts=counts) == Answer(Status.FAILED, (), 0, why)


@pytest.mark.parametrize(
    ("extended", "rcode", "why"),
    [(1, 0, "BADVERS"), (1, 3, "RCODE 19"), (0xFF, 0, "RCODE 4080"), (0x80, 3, "RCODE 2051")],
)
def test_extended_rcode(extended: int, rcode: int, why: str) -> None:
    opt = b"\0" + struct.pack("!HHIH", 41, 512, extended << 24 | 0x8000, 0)
    assert parse(FOUND_RECORD, additional=[opt], rcode=rcode) == Answer(Status.FAILED, why=why)


def test_opt_counts_in_the_additional_section_only() -> None:
    opt = b"\0" + struct.pack("!HHIH", 41, 512, 1 << 24, 0)
    assert parse(FOUND_RECORD, opt, authority=[opt]) == FOUND


def test_no_name() -> None:
    assert parse(rcode=3) == Answer(Status.NO_NAME)
    assert parse(rcode=3, authority=[soa()], additional=[OPT]) == Answer(Status.NO_NAME, ttl=60)
    assert parse(FOUND_RECORD, rcode=3, authority=[soa()]) == Answer(Status.NO_NAME, ttl=60)


@pytest.mark.parametrize(
    ("minimum", "ttl", "kept"),
    [
        (60, 300, 60),
        (300, 60, 60),
        (0, 60, 0),
        (60, 0, 0),
        (99999, 88888, MAX_TTL),
        (0x80000000, 60, 0),
        (60, 0x80000000, 0),
        (0xFFFFFFFF, 0xFFFFFFFF, 0),
        (0x7FFFFFFF, 0x7FFFFFFF, MAX_TTL),
    ],
)
def test_negative_ttl(minimum: int, ttl: int, kept: int) -> None:
    assert parse(authority=[soa(minimum, ttl)]) == Answer(Status.NO_DATA, ttl=kept)
    assert parse(authority=[soa(minimum, ttl)], rcode=3) == Answer(Status.NO_NAME, ttl=kept)


def test_a_referral_is_no_answer() -> None:
    """RFC 2308 2.2: of a server that looks nothing up for us; nobody may be refused for that."""
    ns = record(labels(b"org"), NS, labels(b"ns"), 10)
    referral = Answer(Status.FAILED, why="a referral: it does not look names up for us")
    assert parse(authority=[ns]) == referral
    assert parse(authority=[ns, soa()]) == Answer(Status.NO_DATA, ttl=60)
    assert parse(flags=0x8000) == referral
    assert parse(flags=0x8400) == Answer(Status.NO_DATA), "an authority"
    assert parse(flags=0x8080) == Answer(Status.NO_DATA), "a resolver"
    assert parse(authority=[ns], rcode=3) == Answer(Status.NO_NAME)


def test_soa_among_others() -> None:
    ns = record(labels(b"org"), NS, labels(b"ns"), 10)
    assert parse(authority=[ns, soa(5, 5, class_=3), soa(), soa(1, 1), ns]) == Answer(Status.NO_DATA, ttl=60)


def test_negative_ttl_is_no_more_than_the_chain_s() -> None:
    alias = record(HERE, CNAME, labels(b"a"), 20)
    assert parse(alias, authority=[soa()]) == Answer(Status.NO_DATA, ttl=20)
    assert parse(alias, authority=[soa()], rcode=3) == Answer(Status.NO_NAME, ttl=20)
    assert parse(alias, rcode=3) == Answer(Status.NO_NAME)


# Records

ADDRESS_6 = bytes(range(16))
TYPED: list[tuple[int, bytes, Record]] = [
    (A, ADDRESS, IPv4Address("127.0.0.2")),
    (AAAA, ADDRESS_6, IPv6Address("1:203:405:607:809:a0b:c0d:e0f")),
    (NS, labels(b"NS", b"a b"), "ns.a\\032b"),
    (PTR, labels(b"a.b", end=HERE), "a\\046b." + QUESTION.name),
    (PTR, b"\0", ""),
    (PTR, labels(b"a\0\r\n"), "a\\000\\013\\010"),
    (CNAME, HERE, QUESTION.name),
    (MX, b"\1\2" + labels(b"mx", end=HERE), Exchange(258, "mx." + QUESTION.name)),
    (MX, b"\0\0\0", Exchange(0, "")),
    (MX, b"\xff\xff" + HERE, Exchange(65535, QUESTION.name)),
    (TXT, b"\3abc", b"abc"),
    (TXT, b"\3a\0\n\0\2\xffb", b"a\0\n\xffb"),
    (TXT, b"\0", b""),
    (TXT, (b"\xff" + b"x" * 255) * 16, b"x" * 4080),
    (
        SOA,
        labels(b"Ns") + labels(b"a.b", b"c") + struct.pack("!5I", 0xFFFFFFFF, 1, 2, 3, 60),
        Authority("ns", "a\\046b.c", 0xFFFFFFFF, 60),
    ),
    (SOA, HERE + b"\0" + struct.pack("!5I", 1, 2, 3, 4, 5), Authority(QUESTION.name, "", 1, 5)),
]


@pytest.mark.parametrize(("type_", "data", "value"), TYPED)
def test_record(type_: int, data: bytes, value: Record) -> None:
    question = Question(QUESTION.name, type_)
    assert parse(record(HERE, type_, data), question=question) == Answer(Status.FOUND, (value,), 300)


@pytest.mark.parametrize(("type_", "data", "value"), TYPED)
def test_wrong_length(type_: int, data: bytes, value: Record) -> None:
    question = Question(QUESTION.name, type_)
    for wrong in (data[:-1], data + b"\xff", data[:1], b""):
        if (type_, wrong) in ((TXT, b"\0"), (PTR, b"\0")):  # these are right again
            continue
        for others in ((), (record(HERE, 99, b""),)):
            with pytest.raises(MessageError):
                parse(record(HERE, type_, wrong), *others, question=question)


@pytest.mark.parametrize("data", [b"\xc0\xff", b"\x40a\0", labels(*[b"a" * 63] * 4), b"\5a", b"\xff\xff"])
@pytest.mark.parametrize(("type_", "before"), [(PTR, b""), (CNAME, b""), (MX, b"\0\1"), (SOA, b"\0")])
def test_bad_name_in_data(type_: int, before: bytes, data: bytes) -> None:
    with pytest.raises(MessageError):
        parse(record(HERE, type_, before + data), question=Question(QUESTION.name, type_))


def test_name_that_is_a_loop_of_pointers() -> None:
    at = len(response(QUERY)) + 12
    question = Question(QUESTION.name, PTR)
    for data in (pointer(at), labels(b"a", end=pointer(at)), pointer(at + 2) + pointer(at), pointer(0x3FFF)):
        with pytest.raises(MessageError, match="pointer"):
            parse(record(HERE, PTR, data), question=question)


@pytest.mark.parametrize(
    "owner",
    [
        labels(b"2", b"0", b"0", b"127", b"zen", b"example", b"org"),
        labels(b"2", b"0", b"0", b"127", b"ZEN", b"Example", b"oRG"),
        labels(b"2", b"0", b"0", b"127", end=pointer(12 + 10)),
        labels(b"2", end=pointer(12 + 2)),
    ],
)
def test_owner_is_the_name_however_it_is_written(owner: bytes) -> None:
    assert parse(record(owner, A, ADDRESS)) == FOUND


def test_question_in_upper_case() -> None:
    question = Question("A.Example", A)
    alias = record(labels(b"a", b"example"), CNAME, labels(b"b", end=pointer(14)))
    assert parse(record(HERE, A, ADDRESS), question=question) == FOUND
    assert parse(alias, record(labels(b"B", b"EXAMPLE"), A, ADDRESS), question=question) == FOUND


def test_what_is_passed_over() -> None:
    others = [
        record(labels(b"2", b"0", b"0", b"127", b"zen", b"example", b"com"), A, ADDRESS),
        record(labels(b"2.0", b"0", b"127", b"zen", b"example", b"org"), A, ADDRESS),
        record(b"\0", A, ADDRESS),
        record(pointer(14), A, ADDRESS),
        record(HERE, A, ADDRESS, class_=3),
        record(HERE, A, b"", class_=255),
        record(HERE, AAAA, ADDRESS_6),
        record(HERE, MX, b""),
        record(HERE, 46, b"\xff" * 300),
        record(labels(b"other"), A, b""),
        record(labels(b"other"), CNAME, b"\xff"),
        record(HERE, CNAME, HERE, class_=3),
    ]
    assert parse(*others) == Answer(Status.NO_DATA)
    assert parse(*others, FOUND_RECORD, *others) == FOUND
    assert parse(authority=[FOUND_RECORD], additional=[FOUND_RECORD, OPT]) == Answer(Status.NO_DATA)


@pytest.mark.parametrize(
    ("ttls", "kept"),
    [
        ((300,), 300),
        ((300, 20, 100), 20),
        ((0, 20), 0),
        ((MAX_TTL + 1,), MAX_TTL),
        ((0x7FFFFFFF,), MAX_TTL),
        ((0x80000000, 20), 0),
        ((0xFFFFFFFF,), 0),
    ],
)
def test_ttl(ttls: tuple[int, ...], kept: int) -> None:
    assert parse(*[record(HERE, A, ADDRESS, ttl) for ttl in ttls]).ttl == kept


# Chains


def link(number: int) -> bytes:
    return HERE if number == 0 else labels(b"Link%d" % number, b"example")


def chain(links: int, ttl: int = 300) -> list[bytes]:
    return [record(link(number), CNAME, link(number + 1), ttl) for number in range(links)]


@pytest.mark.parametrize("links", range(MAX_LINKS + 1))
def test_chain_in_any_order(links: int) -> None:
    records = [*chain(links), record(link(links), A, ADDRESS)]
    assert parse(*records) == FOUND
    assert parse(*reversed(records)) == FOUND
    Random(links).shuffle(records)
    assert parse(*records) == FOUND
    assert parse(*[octets.replace(b"Link", b"lINK", at % 2) for at, octets in enumerate(records)]) == FOUND


def test_chain_that_ends_in_nothing() -> None:
    assert parse(*chain(MAX_LINKS), authority=[soa()]) == Answer(Status.NO_DATA, ttl=60)


def test_ttl_of_a_chain_is_the_least() -> None:
    assert parse(*chain(2), *chain(1, 0)[1:], record(link(2), A, ADDRESS, 400)).ttl == 300
    assert parse(*chain(2, 7), record(link(2), A, ADDRESS)).ttl == 7


@pytest.mark.parametrize("links", [MAX_LINKS + 1, 100])
def test_chain_too_long(links: int) -> None:
    with pytest.raises(MessageError, match="CNAME"):
        parse(*chain(links), record(link(links), A, ADDRESS))


@pytest.mark.parametrize("links", [1, 2, 3, 16, 17, 50])
@pytest.mark.parametrize("rcode", [0, 3])
def test_loop(links: int, rcode: int) -> None:
    loop = [*chain(links - 1), record(link(links - 1), CNAME, link(0))]
    with pytest.raises(MessageError, match="loop"):
        parse(*loop, rcode=rcode)


def test_question_for_the_alias_itself() -> None:
    question = Question(QUESTION.name, CNAME)
    assert parse(*chain(3), question=question) == Answer(Status.FOUND, ("link1.example",), 300)
    assert parse(question=question) == Answer(Status.NO_DATA)


def test_first_of_two_aliases_counts() -> None:
    aliases = [record(HERE, CNAME, labels(b"a")), record(HERE, CNAME, labels(b"b"))]
    assert parse(*aliases, record(labels(b"b"), A, b"\1\1\1\1"), record(labels(b"a"), A, ADDRESS)) == FOUND


# Counts


@pytest.mark.parametrize(
    "counts", [(2, 0, 0), (65535, 0, 0), (1, 1, 0), (1, 0, 1), (0, 2, 0), (0, 0, 2), (1, 65535, 65535)]
)
@pytest.mark.parametrize("rcode", [0, 3])
def test_counts_that_promise_too_much(counts: tuple[int, int, int], rcode: int) -> None:
    with pytest.raises(MessageError, match="fewer records"):
        parse(FOUND_RECORD, counts=counts, rcode=rcode)


def test_octets_behind_the_last_record_count_for_nothing() -> None:
    assert parse(FOUND_RECORD, FOUND_RECORD, counts=(1, 0, 0)) == FOUND
    assert parse(FOUND_RECORD, counts=(0, 0, 0)) == Answer(Status.NO_DATA)


def test_data_beyond_the_end() -> None:
    for cut in range(1, len(FOUND_RECORD)):
        with pytest.raises(MessageError, match="fewer records"):
            parse(FOUND_RECORD[:-cut], counts=(1, 0, 0))
    huge = HERE + struct.pack("!HHIH", 99, 1, 0, 65535)
    with pytest.raises(MessageError):
        parse(FOUND_RECORD, huge)


# Bounds


def test_records_kept() -> None:
    answer = parse(*[record(HERE, A, struct.pack("!I", number)) for number in range(MAX_KEPT + 9)])
    assert answer.records == tuple(IPv4Address(number) for number in range(MAX_KEPT))


def test_records_looked_at() -> None:
    other = record(labels(b"other"), A, ADDRESS)
    assert parse(*[other] * (MAX_RECORDS - 1), FOUND_RECORD) == FOUND
    assert parse(*[other] * MAX_RECORDS, authority=[soa()]) == Answer(Status.NO_DATA, ttl=60)
    assert parse(FOUND_RECORD, *[other] * 5000) == FOUND
    for records in ([other] * MAX_RECORDS + [FOUND_RECORD], [other] * (MAX_RECORDS + 1)):
        with pytest.raises(MessageError, match="first 256"):
            parse(*records)


def test_text_is_bounded_and_never_cut() -> None:
    question = Question(QUESTION.name, TXT)
    kilobyte = b"\xff" + b"x" * 255 + b"\xff" + b"y" * 255 + b"\xff" + b"z" * 255 + b"\xff" + b"." * 255 + b"\4abcd"
    long, short = record(HERE, TXT, kilobyte), record(HERE, TXT, b"\7v=spf1 ")
    answer = parse(*[long] * 5, short, question=question)
    assert [len(text) for text in answer.records if isinstance(text, bytes)] == [1024] * 4
    answer = parse(short, *[long] * 5, short, question=question)
    assert [len(text) for text in answer.records if isinstance(text, bytes)] == [7, 1024, 1024, 1024, 7]
    with pytest.raises(MessageError, match="4096"):
        parse(record(HERE, TXT, kilobyte * 5), question=question)
