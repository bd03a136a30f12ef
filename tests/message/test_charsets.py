"""Charsets: labels as readers take them, and text in pieces."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.charsets import KNOWN_LABELS, Decoder, charset_name
from mwall.message.transfer import WINDOW_OCTETS
from tests.fuzz import cases


def decoded_windows(octets: bytes, name: str) -> Iterator[str]:
    decoder = Decoder(name)
    for start in range(0, len(octets), WINDOW_OCTETS):
        yield decoder.decode(octets[start : start + WINDOW_OCTETS])
    yield decoder.decode(b"", True)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("ISO-8859-1", "cp1252"),
        ("us-ascii", "cp1252"),
        ("UTF8", "utf-8"),
        ("utf-8*en", "utf-8"),
        ("Windows 1251", "cp1251"),
        ("gb2312", "gb18030"),
        ("punycode", ""),
        ("base64", ""),
        ("x-unknown", ""),
        ("", ""),
    ],
)
def test_label(label: str, name: str) -> None:
    assert charset_name(label) == name


def test_each_name_has_a_decoder() -> None:
    for label in KNOWN_LABELS:
        assert isinstance(Decoder(charset_name(label)).decode(bytes(range(256)), True), str)


@cases(100)
@given(st.lists(st.sampled_from([b"+", b"-", b"AGEA", b"2D3eAA", b"x", b"\xff"])).map(b"".join), st.integers(1, 300))
def test_a_long_shift_sequence_of_utf_7_is_read_as_one(unit: bytes, count: int) -> None:
    octets = b"+" + (unit * count)[: 5 * 4096]
    octets += b"AGEA" * 2000
    assert "".join(decoded_windows(octets, "utf-7")).replace("\ufffd", "") == octets.decode("utf-7", "replace").replace(
        "\ufffd", ""
    )


def test_what_utf_7_holds_back_is_bounded() -> None:
    decoder = Decoder("utf-7")
    pieces = [decoder.decode((b"+" if not number else b"") + b"AGEA" * 4096) for number in range(64)]
    assert min(map(len, pieces)) > 0, "every piece comes out when it came in, so none is decoded twice"


@pytest.mark.parametrize("name", ["utf-8", "gb18030", "iso2022_jp", "utf-16-le"])
def test_a_character_cut_by_a_window(name: str) -> None:
    text = "a中" * WINDOW_OCTETS
    assert "".join(decoded_windows(text.encode(name), name)) == text
