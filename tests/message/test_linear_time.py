"""Hostile input takes time in proportion to its length.

Sizes are sixteen times apart: linear work takes about sixteen times as long, quadratic work 256 times. The line is
drawn at 80, over the best of several runs and with a floor under the smaller time, so that a busy machine does not
matter.
"""

from collections.abc import Callable
from contextlib import suppress
from time import process_time

import pytest

from mwall.message.addresses import addresses_in, has_display_name
from mwall.message.encoded_words import decode_words
from mwall.message.fields_added import escaped, warning_field
from mwall.message.header import HeaderError, clean_header, parse_fields

SMALL, LARGE = 8_192, 131_072


def best_seconds(work: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(4):
        begun = process_time()
        work()
        best = min(best, process_time() - begun)
    return best


def assert_linear(work: Callable[[str], object], unit: str) -> None:
    small, large = (unit * (size // len(unit)) for size in (SMALL, LARGE))
    assert best_seconds(lambda: work(large)) < 80 * max(best_seconds(lambda: work(small)), 0.0005)


def parse(text: str) -> None:
    with suppress(HeaderError):
        parse_fields(text.encode("latin-1"))


HEADER_UNITS = [
    "a",
    "a ",
    " ",
    "a:",
    "\r\n ",
    "a:\r\n ",
    "a: b\r\n",
    ".\r\n",
    "a \r\n",
    "x-messagewall-\r\n ",
    "From \r\n",
]
WORD_UNITS = [
    "=?",
    "=?a?q?",
    "=?a?q?x",
    "=?a?q??=",
    "=?a?b?QQ=",
    "=?utf-8?q?=C3?= ",
    "?=",
    "=?utf-8?q?a?= =?koi8-r?q?b?= ",
]
ADDRESS_UNITS = [
    '"',
    '"\\',
    "(",
    "()",
    "\\(",
    "[",
    "<",
    ",",
    ":",
    "@",
    "a@",
    "a ",
    "a@b, ",
    "<a@b>, ",
    '""@',
    '("',
    '"a" ',
]


@pytest.mark.parametrize("unit", HEADER_UNITS)
def test_header(unit: str) -> None:
    assert_linear(parse, unit)
    assert_linear(lambda text: clean_header(text.encode()), unit)


@pytest.mark.parametrize("unit", WORD_UNITS)
def test_encoded_words(unit: str) -> None:
    assert_linear(decode_words, unit)


@pytest.mark.parametrize("unit", ADDRESS_UNITS)
def test_addresses(unit: str) -> None:
    assert_linear(addresses_in, unit)
    assert_linear(has_display_name, unit)


@pytest.mark.parametrize("unit", ["(", ")", "\\", "\0", "\U0001f600", "a "])
def test_fields_added(unit: str) -> None:
    assert_linear(lambda text: warning_field("CHECK", text, 1), unit)
    assert_linear(lambda text: escaped(text, len(text)), unit)
