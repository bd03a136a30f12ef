"""Queries and answers as octets (RFC 1035 4, RFC 6891): one question, one answer to it.

- A query asks one question, with RD set, an id and the case of its letters at random ("0x20"): whoever answers without
  having seen it has to guess them all. It offers EDNS_OCTETS by EDNS(0), so that no answer is cut to fragments.
- An answer has the id, is a response, and repeats the question octet for octet, case included. Whatever does not is
  not the answer, and the right one may still come: WrongAnswerError. What follows in it is believed only as far as it
  answers the question: records of other names, types and classes are passed over.
- CNAME records are followed inside the answer section, in whatever order they stand. The resolver we ask is recursive:
  what it left out is not asked for again.
- No message costs much: every record is stepped over once, at most MAX_RECORDS are looked at, at most MAX_KEPT kept.
  Where those looked at hold no answer and there are more, nothing is said about the name.
- Extended RCODEs (RFC 6891 6.1.3) count: BADVERS has the four bits of NOERROR in the header.
"""

from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from struct import error as StructError
from typing import NamedTuple

from mwall.dns.answers import (
    AAAA,
    CNAME,
    MX,
    NS,
    SOA,
    TXT,
    TYPE_NAMES,
    A,
    Answer,
    Authority,
    Exchange,
    Question,
    Record,
    Status,
)
from mwall.dns.names import MAX_LABEL_OCTETS, DnsNameError, read_name, to_wire

EDNS_OCTETS = 1232  # fits an IPv6 packet of 1280 octets (DNS flag day 2020)
RANDOM_OCTETS = 34  # of a query: 2 for the id, 32 for the case of up to 255 letters
MAX_TTL = 3600  # seconds

MAX_RECORDS = 256  # of each section that are looked at
MAX_KEPT = 64
MAX_TXT_OCTETS = 4096  # of all records together; one that no longer fits is left out whole, for half a rule misleads
MAX_LINKS = 16

_HEADER = Struct("!HHHHHH")  # id, flags, and the number of questions, answers, authority and additional records
_TYPE_AND_CLASS = Struct("!HH")
_RECORD = Struct("!HHIH")  # type, class, TTL, RDLENGTH
_FIVE_NUMBERS = Struct("!IIIII")

# RFC 1035 4.1.1
_QR, _OPCODE, _AA, _TC, _RD, _RA, _RCODE = 0x8000, 0x7800, 0x0400, 0x0200, 0x0100, 0x0080, 0x000F
_IN = 1
_OPT = 41
_EDNS = b"\0" + _RECORD.pack(_OPT, EDNS_OCTETS, 0, 0)  # RFC 6891 6.1.2
_QUESTION_NAME = bytes((0xC0, _HEADER.size))  # a pointer to it: what nearly every owner is

NOERROR, NXDOMAIN = 0, 3
# https://www.iana.org/assignments/dns-parameters
RCODE_NAMES = {
    1: "FORMERR",
    2: "SERVFAIL",
    4: "NOTIMP",
    5: "REFUSED",
    6: "YXDOMAIN",
    7: "YXRRSET",
    8: "NXRRSET",
    9: "NOTAUTH",
    10: "NOTZONE",
    11: "DSOTYPENI",
    16: "BADVERS",
}

# For each random octet the eight that its bits make: 0x20, what the two cases of a letter differ by, or 0.
_CASES = [bytes(0x20 if octet >> bit & 1 else 0 for bit in range(8)) for octet in range(256)]
# 0x20 for a letter: length octets are below 64 and thus never one.
_LETTERS = bytes(0x20 if octet < 128 and chr(octet).isalpha() else 0 for octet in range(256))


class WrongAnswerError(Exception):
    """Octets that are no answer to the query: whoever sent them, the right one may still come."""


class TruncatedError(Exception):
    """It is the answer, but cut (TC): the question has to be asked by TCP (RFC 7766)."""


class MessageError(Exception):
    """It is the answer, but malformed; str() says in what, in our own words."""


class _RawRecord(NamedTuple):
    """A record as it stands: offsets of its owner, and of the begin and the end of its RDATA."""

    owner: int
    type: int
    ttl: int
    begin: int
    end: int


def build_query(question: Question, randomness: bytes) -> bytes:
    """Return a query; `randomness`: RANDOM_OCTETS octets that nobody can guess.

    Raises DnsNameError where the name cannot be asked for, ValueError for another number of random octets.
    """
    if len(randomness) != RANDOM_OCTETS:
        raise ValueError(f"a query takes {RANDOM_OCTETS} random octets, not {len(randomness)}")
    name = to_wire(question.name)
    size = len(name)
    bits = b"".join([_CASES[octet] for octet in randomness[2 : 2 + (size + 7) // 8]])
    changed = int.from_bytes(bits[:size], "big") & int.from_bytes(name.translate(_LETTERS), "big")
    name = (int.from_bytes(name, "big") ^ changed).to_bytes(size, "big")
    header = _HEADER.pack(randomness[0] << 8 | randomness[1], _RD, 1, 0, 0, 1)
    return header + name + _TYPE_AND_CLASS.pack(question.type, _IN) + _EDNS


def parse_answer(query: bytes, question: Question, octets: bytes) -> Answer:
    """Return what `octets` answer to `query`, which build_query made of `question`.

    The TTL of what was found is the least of the records and of the CNAME records that lead to them; that of what was
    not, the SOA record's (RFC 2308 5), and again no more than theirs. Raises WrongAnswerError, TruncatedError and
    MessageError.
    """
    question_end = len(query) - len(_EDNS)
    flags, answers, authorities, additional = _check_head(query, octets, question_end)
    if flags & _TC:
        raise TruncatedError("the answer is truncated")
    rcode = flags & _RCODE
    if rcode not in (NOERROR, NXDOMAIN):  # before all else: the counts of such answers often lie
        return _failed(rcode)
    answered, offset = _read_section(octets, question_end, answers, (question.type, CNAME))
    authority, offset = _read_section(octets, offset, authorities, (SOA, NS))
    for options in _read_section(octets, offset, additional, (_OPT,))[0]:
        rcode |= options.ttl >> 24 << 4
    if rcode not in (NOERROR, NXDOMAIN):
        return _failed(rcode)
    try:
        records, ttl = _find(octets, question, answered)
        if records and rcode == NOERROR:
            return Answer(Status.FOUND, records, ttl)
        if answers > MAX_RECORDS:
            raise MessageError(f"it has {answers} records, and none of the first {MAX_RECORDS} answers the question")
        owners = [raw for raw in authority if raw.type == SOA]
        if rcode == NOERROR and not owners and (authority or not flags & (_AA | _RA)):
            return Answer(Status.FAILED, why="a referral: it does not look names up for us")  # RFC 2308 2.2
        status = Status.NO_DATA if rcode == NOERROR else Status.NO_NAME
        return Answer(status, (), min(ttl, _negative_ttl(octets, owners)))
    except DnsNameError as error:
        raise MessageError(str(error)) from None


def _check_head(query: bytes, octets: bytes, question_end: int) -> tuple[int, int, int, int]:
    """The flags, and the numbers of answer, authority and additional records. Raises WrongAnswerError."""
    if len(octets) < _HEADER.size:
        raise WrongAnswerError("it is shorter than a header")
    _, flags, questions, answers, authorities, additional = _HEADER.unpack_from(octets)
    if octets[:2] != query[:2]:
        raise WrongAnswerError("it has another id")
    if not flags & _QR:
        raise WrongAnswerError("it is a query")
    if flags & _OPCODE:
        raise WrongAnswerError("it has another opcode")
    if questions != 1:
        raise WrongAnswerError(f"it has {questions} questions")
    if octets[_HEADER.size : question_end] != query[_HEADER.size : question_end]:
        raise WrongAnswerError("it repeats another question, or the same in another case")
    return flags, answers, authorities, additional


def _failed(rcode: int) -> Answer:
    return Answer(Status.FAILED, why=RCODE_NAMES.get(rcode, f"RCODE {rcode}"))


def _read_section(octets: bytes, offset: int, count: int, types: tuple[int, ...]) -> tuple[list[_RawRecord], int]:
    """The records of a section that are of `types` and class IN, and the offset after it.

    Owners are stepped over: only those that matter are read, later. Raises MessageError.
    """
    records: list[_RawRecord] = []
    try:
        for number in range(count):
            owner = offset
            while length := octets[offset]:
                if length > MAX_LABEL_OCTETS:
                    offset += 1  # the second octet of a pointer; that it is one, read_name says
                    break
                offset += 1 + length
            type_, class_, ttl, length = _RECORD.unpack_from(octets, offset + 1)
            begin = offset + 1 + _RECORD.size
            offset = begin + length
            # The class of OPT is no class but a size (RFC 6891 6.1.2).
            if type_ in types and (class_ == _IN or type_ == _OPT) and number < MAX_RECORDS:
                records.append(_RawRecord(owner, type_, ttl, begin, offset))
    except (IndexError, StructError):
        offset = len(octets) + 1
    if offset > len(octets):
        raise MessageError("it has fewer records than it says, or one that goes beyond its end")
    return records, offset


def _find(octets: bytes, question: Question, answered: list[_RawRecord]) -> tuple[tuple[Record, ...], int]:
    """The records that answer the question, at the end of its CNAME chain, and how many seconds they may be kept.

    Raises DnsNameError and MessageError; a chain that is a loop is one that is too long.
    """
    name = question.name.lower()  # a name that can be asked for is its own text
    found: dict[tuple[str, int], list[_RawRecord]] = {}
    for raw in answered:
        is_question = octets.startswith(_QUESTION_NAME, raw.owner)
        owner = name if is_question else read_name(octets, raw.owner)[0]
        found.setdefault((owner, raw.type), []).append(raw)
    ttl = MAX_TTL
    for _ in range(MAX_LINKS + 1):
        if wanted := found.get((name, question.type)):
            wanted = wanted[:MAX_KEPT]
            return _read_records(octets, wanted), min(ttl, *[_seconds(raw.ttl) for raw in wanted])
        if not (aliases := found.get((name, CNAME))):
            return (), ttl
        ttl = min(ttl, _seconds(aliases[0].ttl))
        name = _read_whole_name(octets, aliases[0])
    raise MessageError(f"its CNAME records are a loop, or more than {MAX_LINKS}")


def _negative_ttl(octets: bytes, authority: list[_RawRecord]) -> int:
    """How many seconds it may be kept that something does not exist (RFC 2308 5)."""
    if not authority:
        return 0
    return min(_seconds(authority[0].ttl), _seconds(_read_authority(octets, authority[0]).minimum))


def _seconds(ttl: int) -> int:
    return 0 if ttl & 0x80000000 else ttl  # RFC 2181 8


def _read_records(octets: bytes, raws: list[_RawRecord]) -> tuple[Record, ...]:
    """The records of one name and type, at least one. Raises DnsNameError and MessageError."""
    type_ = raws[0].type
    if type_ == A:
        return tuple([IPv4Address(_read_address(octets, raw, 4)) for raw in raws])
    if type_ == AAAA:
        return tuple([IPv6Address(_read_address(octets, raw, 16)) for raw in raws])
    if type_ == TXT:
        return _read_texts(octets, raws)
    if type_ == MX:
        return tuple([_read_exchange(octets, raw) for raw in raws])
    if type_ == SOA:
        return tuple([_read_authority(octets, raw) for raw in raws])
    return tuple([_read_whole_name(octets, raw) for raw in raws])


def _read_address(octets: bytes, raw: _RawRecord, size: int) -> bytes:
    if raw.end - raw.begin != size:
        raise _malformed(raw)
    return octets[raw.begin : raw.end]


def _read_texts(octets: bytes, raws: list[_RawRecord]) -> tuple[bytes, ...]:
    texts: list[bytes] = []
    room = MAX_TXT_OCTETS
    for raw in raws:
        text = _read_text(octets, raw)
        if len(text) <= room:
            texts.append(text)
            room -= len(text)
    if not texts:
        raise MessageError(f"its TXT records have more than {MAX_TXT_OCTETS} octets")
    return tuple(texts)


def _read_text(octets: bytes, raw: _RawRecord) -> bytes:
    """All strings of a TXT record (RFC 1035 3.3.14), together."""
    strings: list[bytes] = []
    offset = raw.begin
    while offset < raw.end:
        end = offset + 1 + octets[offset]
        strings.append(octets[offset + 1 : end])
        offset = end
    if not strings or offset != raw.end:
        raise _malformed(raw)
    return b"".join(strings)


def _read_exchange(octets: bytes, raw: _RawRecord) -> Exchange:
    if raw.end - raw.begin < 3:
        raise _malformed(raw)
    return Exchange(octets[raw.begin] << 8 | octets[raw.begin + 1], _read_whole_name(octets, raw, 2))


def _read_authority(octets: bytes, raw: _RawRecord) -> Authority:
    name, offset = read_name(octets, raw.begin)
    mailbox, offset = read_name(octets, offset)
    if offset + _FIVE_NUMBERS.size != raw.end:
        raise _malformed(raw)
    serial, _, _, _, minimum = _FIVE_NUMBERS.unpack_from(octets, offset)
    return Authority(name, mailbox, serial, minimum)


def _read_whole_name(octets: bytes, raw: _RawRecord, skipped: int = 0) -> str:
    """The name that is all of the RDATA but its first `skipped` octets."""
    name, offset = read_name(octets, raw.begin + skipped)
    if offset != raw.end:
        raise _malformed(raw)
    return name


def _malformed(raw: _RawRecord) -> MessageError:
    return MessageError(f"the data of its {TYPE_NAMES.get(raw.type, raw.type)} record has the wrong length")
