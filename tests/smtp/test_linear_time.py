"""No octets of outside origin make the protocol slow: eight times as many take about eight times as long.

Measured in CPU time of this process. Quadratic code takes 64 times as long, so the bound need not be tight.
"""

import contextlib
import time
from collections.abc import Callable

import pytest

from mwall.smtp.addresses import AddressError, parse_path
from mwall.smtp.commands import CommandError, Offers, parse_helo_name, parse_mail, split_command
from mwall.smtp.framing import LineEndlessError, LineReader, LineTooLongError
from mwall.smtp.maildata import MailDataReader
from mwall.smtp.printable import printable
from mwall.smtp.replies import MalformedReplyError, ReplyReader

NO_LIMIT = 10**9


def read_mail_data(octets: bytes, piece: int, normalize: bool, limit: int = NO_LIMIT) -> None:
    reader = MailDataReader(limit, normalize)
    for start in range(0, len(octets), piece):
        reader.receive(octets[start : start + piece])


def read_lines(octets: bytes, piece: int) -> None:
    reader = LineReader()
    for start in range(0, len(octets), piece):
        reader.receive(octets[start : start + piece])
        try:
            while reader.next_line() is not None:
                pass
        except (LineTooLongError, LineEndlessError):
            pass


def read_replies(octets: bytes, piece: int) -> None:
    reader = ReplyReader()
    for start in range(0, len(octets), piece):
        try:
            reader.receive(octets[start : start + piece])
        except MalformedReplyError:
            reader = ReplyReader()


def attempt(parse: Callable[[], object]) -> None:
    with contextlib.suppress(AddressError, CommandError):
        parse()


OFFERS = Offers(1000, True, True)
WORK: dict[str, Callable[[int], None]] = {
    "dots": lambda n: read_mail_data(b"\r\n." * n, 65536, False),
    "dots over the limit": lambda n: read_mail_data(b"\r\n.." * n, 1000, False, 4 * n - n // 4),
    "mended dots near the limit": lambda n: read_mail_data(b"\n." * n, 100, True, 2 * n + 10),
    "mended NULs": lambda n: read_mail_data(b"\0" * n + b"\n." * n + b"\r" * n, 65536, True),
    "mended in small pieces": lambda n: read_mail_data(b"\r\n.\n" * n, 7, True),
    "half ends": lambda n: read_mail_data(b"\r\n.\r" * n, 65536, True),
    "mail data octet by octet": lambda n: read_mail_data(b"xy\r\n" * (n // 4), 1, False),
    "discarded": lambda n: read_mail_data(b"\r\n.\r\r\n" * n, 100, False, 0),
    "short lines": lambda n: read_lines(b"\n" * n, 65536),
    "one reply line octet by octet": lambda n: read_replies(b"250 " + b"x" * n, 1),
    "lines octet by octet": lambda n: read_lines(b"x" * n, 1),
    "reply lines": lambda n: read_replies(b"250-x\r\n" * n, 65536),
    "reply octet by octet": lambda n: read_replies((b"250-" + b"x" * 9000 + b"\r\n") * (n // 9000 + 1), 1),
    "printable": lambda n: attempt(lambda: printable("\u00fc\n" * n, 10 * n)),
    "local part": lambda n: attempt(lambda: parse_path("<" + "a." * n)),
    "quoted local part": lambda n: attempt(lambda: parse_path('<"' + r"\"a" * n)),
    "domain": lambda n: attempt(lambda: parse_path("<a@" + "a-." * n + ">")),
    "source route": lambda n: attempt(lambda: parse_path("<" + "@a," * n)),
    "colons": lambda n: attempt(lambda: parse_path("<@" + "a:" * n)),
    "helo name": lambda n: attempt(lambda: parse_helo_name(b"a " * n + b"\xff")),
    "parameters": lambda n: attempt(
        lambda: parse_mail(b"FROM:<a@b>" + b"".join(map(b" X%d=".__mod__, range(n))), OFFERS)
    ),
    "command": lambda n: attempt(lambda: split_command(b" " * n + b"\r\r\n")),
}


def seconds(work: Callable[[int], None], size: int) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        work(size)
        best = min(best, time.process_time() - start)
    return best


@pytest.mark.parametrize("name", WORK)
def test_linear(name: str) -> None:
    work = WORK[name]
    size = 2000
    while (small := seconds(work, size)) < 0.002 and size < 100_000:
        size *= 4
    large = seconds(work, 8 * size)
    # The constant is for clocks that tick every 10 ms: what stays below it is fast enough, whatever its growth.
    assert large < 24 * small + 0.02, f"{size}: {small:.4f} s, {8 * size}: {large:.4f} s"
