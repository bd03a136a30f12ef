"""What a check is given, what it yields while it works, and what it gives back.

A check is a generator: it yields when it has worked for long, and whoever drives it resumes it once others have been
served. So the same code runs in a worker, in a command and in a test. It gives back the findings it made. What asks
the DNS is a check of another kind (lookups.py).
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple, TypeAlias, TypeVar

from mwall.message.encoded_words import decode_words, decoded_pieces
from mwall.message.header import values_by_name
from mwall.smtp.addresses import Mailbox

# So much text is worked on before others are served: a few milliseconds at the worst (design.md, promise 6).
WINDOW = 65_536

_Result = TypeVar("_Result")


@dataclass(slots=True)
class Envelope:
    """What the transaction says of a message; `relay` tells that the client is one of relay_ips.

    `client_name`: the name of the client's address, '' unless a check has found one that leads back to the address.
    """

    client_address: IPv4Address | IPv6Address
    relay: bool
    helo_name: str
    reverse_path: Mailbox | None
    recipients: list[Mailbox]
    smtputf8: bool = False
    client_name: str = ""


class Finding(NamedTuple):
    """A failed check: the variable's name in capitals, why (raw text of outside origin), its score in thousandths."""

    check: str
    reason: str
    score: int


class TimeSlice(NamedTuple):
    """A request for nothing but a pause, so that others are served; resumed with None."""


TIME_SLICE = TimeSlice()

Request: TypeAlias = TimeSlice


class MailHeader:
    """The fields of one message, found by name in any case; `by_name` has all values of each."""

    __slots__ = ("by_name",)

    def __init__(self, header: bytes) -> None:
        """Parse a header section; raises HeaderError."""
        self.by_name = values_by_name(header)

    def values(self, name: str) -> list[str]:
        """The unfolded, undecoded values of all fields of this lower-case name, in their order."""
        return self.by_name.get(name, [])


Look: TypeAlias = Callable[[Envelope, MailHeader], Generator[Request, object, list[Finding]]]


class Check(NamedTuple):
    """A check of envelope and header; `variables`: those of the profile that it stands for."""

    variables: tuple[str, ...]
    look: Look


def paused(steps: Generator[None, None, _Result]) -> Generator[Request, object, _Result]:
    """Drive a reader of the message that pauses by itself: each of its pauses is a time slice."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: _Result = stop.value
            return result
        yield TIME_SLICE


def decoded(values: list[str]) -> Generator[Request, object, str]:
    """Return the values as a reader sees them (RFC 2047), one a line, with a space before and behind each.

    The spaces let a key that begins or ends with one match a whole word at either end too.
    """
    if sum(map(len, values)) <= WINDOW:
        text = " \n ".join([decode_words(value) for value in values])
    else:
        pieces: list[str] = []
        work = 0
        for value in values:
            pieces.append(" \n " if pieces else "")
            # A piece costs something however short it is, hence the 64.
            for piece in decoded_pieces(value):
                if piece:
                    pieces.append(piece)
                work += len(piece) + 64
                if work > WINDOW:
                    yield TIME_SLICE
                    work = 0
        text = "".join(pieces)
    return f" {text} ".replace("\t", " ")


def casefolded(text: str) -> Generator[Request, object, str]:
    """Return text.casefold(), made in windows: Python needs up to twelve octets a character to make it at once."""
    if len(text) <= WINDOW:
        return text.casefold()
    pieces = []
    for start in range(0, len(text), WINDOW):
        pieces.append(text[start : start + WINDOW].casefold())
        yield TIME_SLICE
    return "".join(pieces)
