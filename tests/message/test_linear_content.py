"""Hostile content takes time in proportion to its length: parts, transfer encodings, Content fields, texts.

Measured as in test_linear_time.py.
"""

from collections.abc import Callable
from contextlib import suppress

import pytest

from mwall.message.content_fields import MAX_VALUE, parse_content_field, parse_encodings
from mwall.message.cutting import cut_out
from mwall.message.embedded import embedded_blocks, has_quoted_octets
from mwall.message.header import HeaderError
from mwall.message.kinds import contradiction
from mwall.message.structure import walk
from mwall.message.text import TextStreams, charset_readings, looks_like_html
from mwall.message.transfer import Encoding, Source, decoded, has_inner_padding
from tests.message.reading import read, wire_lines
from tests.message.test_linear_time import LARGE, SMALL, assert_linear, best_seconds

MIXED = "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
MORE = 8  # a tree is read so fast that more is needed to measure it

STRUCTURE_UNITS = [
    "\r\n--b",
    "\r\n--b\r\n",
    "\r\n--b\r\n\r\n",
    "\r\n--b--",
    "\r\n--b--\r\n",
    "\r\n--b x\r\n",
    "\r\n--bb\r\n",
    "\r\n--b" + " " * 900,
    "--",
    "\r\n--",
    "\r\n",
    "\r\n\r\n",
    "\r\n ",
    "\r",
    ".",
    "\r\n.",
    "a",
    "a:",
    "a: b\r\n",
    " " * 50 + "\r\n",
    "\r\n--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
    "\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n",
    "\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD",
    "\r\n--b\r\nx\r\n\r\n",
    "Content-Type: message/rfc822\r\n\r\n",
    "Content-Type: message/rfc822\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
    "From \r\n",
]
TRANSFER_UNITS = [
    "=", "= ", " ", "\t", "\r\n", "\n", "\r", " \r\n", "=\r\n", "= \r\n", "=41", "=4", "=zz", "a", "A=", "A==", "QUJD",
    "QQ==", "====", "!", "M", "M\r\n", "`\r\n", "_\r\n", "begin 644 x\r\n", "end\r\n", ".", "\r\n.", "\r\n..",
    "\0", "\xff", "-",
]  # fmt: skip
FIELD_UNITS = [
    ";", "=", '"', "\\", '\\"', "(", ")", "()", "a", " ", "a ", "a=", "a=b;", 'a="b";', 'a="', "a=b ", "a*0=b;",
    "a*=b;", "a*1*=%41;", "%41", "%", "'", "*", "=?", "=?utf-8?q?a?=", "a=b c d", ",", "/",
]  # fmt: skip
TEXT_UNITS = [
    "\nbegin 644 x\r\n",
    "\nbegin 644 x\r\nend\r\n",
    "\nbegin-base64 644 x\r\n",
    "\nbegin",
    "\nbegin 644 ",
    "A",
    "A\r\n",
    "A" * 60 + "\r\n",
    "\r\n" + "A" * 60 + "!",
    "A" * 60 + "=\r\n",
    "A" * 40 + "\n\n",
    "\r\n",
    "=41",
    "=",
    "=4",
    " ",
    "\n",
    "<",
    "<a ",
    "<b>",
    "<p hidden>",
    "<!--",
    "&",
    "&amp;",
    "<meta ",
    "<meta charset",
    "+",
    "+AGE",
    "\x1b$B",
    "\xad",
    "\xe4",
    "a\xad ",
]


def drive(content: bytes, header: str) -> None:
    with suppress(HeaderError):
        root = read(header.encode() + content, len(content), 50).root
        for part in walk(root):
            assert part.start <= part.end
        cut_out(root, lambda part: part.depth % 2 == 1)


def assert_linear_octets(work: Callable[[bytes], object], unit: str, size: int = 1) -> None:
    assert_linear(lambda text: work(text.encode("latin-1") * size), unit)


@pytest.mark.parametrize("unit", STRUCTURE_UNITS)
def test_structure(unit: str) -> None:
    for header in (MIXED, "Content-Type: message/rfc822\r\n\r\n", ""):
        assert_linear_octets(lambda octets, header=header: drive(octets, header), unit, MORE)


def test_multiparts_within_one_another() -> None:
    """Each with its own boundary; depth is bounded, so as deep as may be and many of them side by side."""
    opened = "".join(
        f"\r\n--{level}\r\nContent-Type: multipart/mixed; boundary={level + 1}\r\n\r\n" for level in range(40)
    )
    closed = "".join(f"\r\n--{level}--\r\n" for level in range(40, 0, -1))
    unit = (opened + closed).encode()
    header = "Content-Type: multipart/mixed; boundary=0\r\n\r\n"
    small, large = best_seconds(lambda: drive(unit * 4, header)), best_seconds(lambda: drive(unit * 64, header))
    assert large < 80 * max(small, 0.0005)


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x-uuencode"])
def test_encoded_multiparts_within_one_another(encoding: str) -> None:
    unit = f"\r\n--b\r\nContent-Type: multipart/x; boundary=b\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    assert_linear_octets(lambda octets: drive(octets, MIXED), unit)
    assert_linear_octets(lambda octets: drive(octets, unit.removeprefix("\r\n--b\r\n")), "DQotLWINCg0K")


@pytest.mark.parametrize("encoding", ["identity", "base64", "unpadded", "quoted-printable", "uuencode"])
@pytest.mark.parametrize("unit", TRANSFER_UNITS)
def test_transfer(encoding: Encoding, unit: str) -> None:
    def work(octets: bytes) -> None:
        # On the wire, where dots are stuffed, each line ends in CRLF.
        for source in (Source(octets, False), Source(wire_lines(octets), True)):
            for _ in decoded(source, 0, len(source.octets), encoding, [].append):
                pass
        has_inner_padding(Source(octets, False), 0, len(octets))

    assert_linear_octets(work, unit, MORE)


@pytest.mark.parametrize("before", ["", "text/plain;", 'text/plain; name="', "text/plain; name*0*=", "("])
@pytest.mark.parametrize("unit", FIELD_UNITS)
def test_content_fields(unit: str, before: str) -> None:
    def work(text: str) -> None:
        # As much of it as one field may be: sixteen times as long where it is sixteen times as much.
        value = before + text[: len(text) * (MAX_VALUE - len(before)) // LARGE]
        for parse in (parse_content_field, lambda value: parse_encodings([value])):
            with suppress(HeaderError):
                parse(value)

    assert LARGE // SMALL == 16
    assert_linear(work, unit)


@pytest.mark.parametrize("unit", TEXT_UNITS)
def test_embedded(unit: str) -> None:
    def work(octets: bytes) -> None:
        source = Source(b"\r\n" + octets, False)
        with suppress(HeaderError):
            for _ in embedded_blocks(source, 2, len(source.octets)):
                pass
        has_quoted_octets(source, 2, len(source.octets))

    assert_linear_octets(work, unit, MORE)


@pytest.mark.parametrize("charset", ["utf-8", "utf-7", "iso2022_jp", "gb18030", "utf-16-le"])
@pytest.mark.parametrize("unit", TEXT_UNITS)
def test_text(unit: str, charset: str) -> None:
    def work(octets: bytes) -> None:
        for is_html in (False, True):
            streams = TextStreams(charset, is_html)
            for start in range(0, len(octets), 4096):
                list(streams.feed(octets[start : start + 4096]))
            list(streams.feed(b"", True))
            charset_readings([charset], octets, is_html)
        looks_like_html(octets)
        contradiction(octets, ["text/plain"], [octets.decode("latin-1")])

    assert_linear_octets(work, unit)
