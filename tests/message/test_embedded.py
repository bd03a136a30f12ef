"""Files within text."""

import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.embedded import MAX_BLOCKS, embedded_blocks, has_quoted_octets
from mwall.message.header import HeaderError
from mwall.message.transfer import Source, decoded
from tests.fuzz import cases

BEHIND = b"\r\n"  # the text stands behind a line end


def blocks(text: bytes) -> list[tuple[str, bytes]]:
    source = Source(BEHIND + text + b"\nbegin 644 outside\r\n", False)
    end = len(BEHIND) + len(text)
    found = []
    for block in embedded_blocks(source, len(BEHIND), end):
        if block is None:  # a pause
            continue
        assert len(BEHIND) <= block.start <= block.end <= end
        octets = b"".join(decoded(source, block.start, block.end, block.encoding, [].append))
        found.append((block.name, octets))
    return found


UU = b"#04)#\r\n`\r\nend\r\n"
LINE = base64.b64encode(b"x" * 57)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"", []),
        (b"no file\r\n", []),
        (b"begin 644 a.exe\r\n" + UU, [("a.exe", b"ABC")]),
        (b"Look:\r\n\r\nbegin 0644 a b.exe\r\n" + UU + b"bye", [("a b.exe", b"ABC")]),
        (b"begin 644 a\r\n" + UU + b"begin 755 b\r\n" + UU, [("a", b"ABC"), ("b", b"ABC")]),
        (b"begin 644 a\r\n#04)#\r\n", [("a", b"ABC")]),
        (b"begin 644 a\r\n#04)#", [("a", b"ABC")]),
        (b"begin 644 a\r\n", [("a", b"")]),
        (b"begin-base64 644 a\r\nQUJD\r\n====\r\n", [("a", b"ABC")]),
        (b" begin 644 a\r\n" + UU, []),
        (b"begin the day\r\nend\r\n", []),
        (b"begin 888 a\r\n" + UU, []),
        (b"begin 644 \xe4\r\n" + UU, [("\ufffd", b"ABC")]),
        (LINE + b"\r\n" + LINE + b"\r\nQQ==\r\n", [("", b"x" * 114 + b"A")]),
        (LINE, [("", b"x" * 57)]),
        (b"text\r\n" + LINE + b"\r\n\r\nmore text\r\n", [("", b"x" * 57)]),
        (LINE[:36] + b"\r\n", []),
        (LINE + b"!\r\n", []),
    ],
)
def test_table(text: bytes, found: list[tuple[str, bytes]]) -> None:
    assert blocks(text) == found


@cases(100)
@given(st.lists(st.binary(min_size=60, max_size=300), max_size=4), st.booleans())
def test_files_are_read_back(files: list[bytes], as_base64: bool) -> None:
    text = b"Hello\r\n"
    for number, octets in enumerate(files):
        if as_base64:
            text += b"\r\n" + base64.encodebytes(octets).replace(b"\n", b"\r\n") + b"\r\n"
        else:
            rows = [binascii.b2a_uu(octets[at : at + 45]).rstrip(b"\n") for at in range(0, len(octets), 45)]
            text += b"\r\n".join([b"begin 644 %d" % number, *rows, b"`", b"end", b""])
    assert [octets for name, octets in blocks(text) if as_base64 or name] == files


@cases(200)
@given(st.lists(st.sampled_from(
    [b"\nbegin 644 x\r\n", b"\nbegin-base64 644 x\r\n", b"\nbegin", b"begin 644 x\n", b"\nend", b"\n====", b"A" * 40,
     b"A", b"=", b"\r\n", b"\n", b" ", b"\0", b"M"]
), max_size=30).map(b"".join))  # fmt: skip
def test_any_octets(text: bytes) -> None:
    blocks(text)


def test_limit() -> None:
    text = b"begin 644 x\r\nend\r\n"
    assert len(blocks(text * MAX_BLOCKS)) == MAX_BLOCKS
    with pytest.raises(HeaderError, match="uuencoded"):
        blocks(text * (MAX_BLOCKS + 1))
    assert len(blocks((LINE + b"\r\n\r\n") * (MAX_BLOCKS + 5))) == MAX_BLOCKS


@pytest.mark.parametrize(
    ("text", "has"),
    [
        (b"=41" * 8, True),
        (b"a=3d" * 8, False),
        (b"x" + b"=e4" * 9 + b"y", True),
        (b"=41" * 7, False),
        (b"=4g" * 20, False),
        (b"", False),
    ],
)
def test_quoted_octets(text: bytes, has: bool) -> None:
    assert has_quoted_octets(Source(b"=41" * 8 + text + b"=41" * 8, False), 24, 24 + len(text)) == has
