"""What is asked of the DNS, and what its answer says.

Names are text in lower case without the final dot, as `2.0.0.127.zen.example`. Names that come from the DNS are
presentation format (RFC 1035 5.1): whatever is no letter, digit, hyphen or underscore stands there escaped, a dot
within a label as \\046, so that no octet of outside origin gets further.
"""

from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, TypeAlias

# RFC 1035 3.2.2, RFC 3596 2.1
A, NS, CNAME, SOA, PTR, MX, TXT, AAAA = 1, 2, 5, 6, 12, 15, 16, 28
TYPE_NAMES = {A: "A", NS: "NS", CNAME: "CNAME", SOA: "SOA", PTR: "PTR", MX: "MX", TXT: "TXT", AAAA: "AAAA"}


class Question(NamedTuple):
    """A name and a type, one of the above; the class is always IN."""

    name: str
    type: int

    def __str__(self) -> str:
        return f"{self.name} {TYPE_NAMES.get(self.type, self.type)}"


class Exchange(NamedTuple):
    """An MX record (RFC 1035 3.3.9); `name` is '' in a null MX (RFC 7505)."""

    preference: int
    name: str


class Authority(NamedTuple):
    """What matters of an SOA record (RFC 1035 3.3.13); `minimum` in seconds."""

    name: str
    mailbox: str
    serial: int
    minimum: int


# A and AAAA are addresses; NS, CNAME and PTR names; TXT the octets of all its strings together.
Record: TypeAlias = IPv4Address | IPv6Address | str | Exchange | Authority | bytes


class Status(Enum):
    """What became of a question."""

    FOUND = "found"
    NO_DATA = "no such record"  # the name exists (RFC 2308 2.2)
    NO_NAME = "no such name"  # RFC 2308 2.1
    FAILED = "no answer"  # nobody answered, or nothing that can be used; it says nothing about the name


class Answer(NamedTuple):
    """An answer; `ttl`: seconds it may be kept, 0 not at all. `why`: of one that failed, in our own words."""

    status: Status
    records: tuple[Record, ...] = ()
    ttl: int = 0
    why: str = ""
