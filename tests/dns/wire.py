"""Answers written octet by octet, for what no library would write."""

import struct
from collections.abc import Sequence

from mwall.dns.answers import A, Question
from mwall.dns.message import RANDOM_OCTETS, build_query

HERE = b"\xc0\x0c"  # a pointer to the name of the question
QUESTION = Question("2.0.0.127.zen.example.org", A)
NO_RANDOMNESS = bytes(RANDOM_OCTETS)


def query_for(question: Question) -> bytes:
    """A query with id 0 and a name in its own case."""
    return build_query(question, NO_RANDOMNESS)


def labels(*octets: bytes, end: bytes = b"\0") -> bytes:
    return b"".join(bytes((len(label),)) + label for label in octets) + end


def pointer(offset: int) -> bytes:
    return struct.pack("!H", 0xC000 | offset)


def record(owner: bytes, type_: int, data: bytes, ttl: int = 300, class_: int = 1) -> bytes:
    return owner + struct.pack("!HHIH", type_, class_, ttl, len(data)) + data


def response(
    query: bytes,
    answers: Sequence[bytes] = (),
    authority: Sequence[bytes] = (),
    additional: Sequence[bytes] = (),
    *,
    flags: int = 0x8180,
    rcode: int = 0,
    counts: tuple[int, int, int] | None = None,
) -> bytes:
    """An answer to `query` with these records; `counts` where they are to be other than their numbers."""
    counts = counts or (len(answers), len(authority), len(additional))
    header = query[:2] + struct.pack("!HHHHH", flags | rcode, 1, *counts)
    return header + query[12:-11] + b"".join([*answers, *authority, *additional])
