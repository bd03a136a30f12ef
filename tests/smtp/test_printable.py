import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.smtp.printable import printable
from tests.fuzz import cases


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("plain ~ text", "plain ~ text"),
        (b"plain", "plain"),
        ("", ""),
        ("a\r\nb", r"a\x0d\x0ab"),
        ("\x1b[31mred\x00\x7f\t", r"\x1b[31mred\x00\x7f\x09"),
        ("\u0085\u2028\ufeff", r"\x85\u2028\ufeff"),
        ("\U0001f4e7", r"\U0001f4e7"),
        ("\udcff", r"\udcff"),
        ("gr\u00fc\u00dfe".encode(), r"gr\xfc\xdfe"),
        (b"\xff\xfe", r"\xff\xfe"),
    ],
)
def test_table(given_text: str | bytes, expected: str) -> None:
    assert printable(given_text) == expected


def test_cut_to_the_limit() -> None:
    assert printable("x" * 10, 10) == "x" * 10
    assert printable("x" * 11, 10) == "x" * 7 + "..."
    assert printable("\n" * 10**6, 10) == r"\x0a\x0"[:7] + "..."


@cases(200)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)), st.integers(3, 200))
def test_never_anything_else(text: str | bytes, limit: int) -> None:
    result = printable(text, limit)
    assert len(result) <= limit
    assert all(" " <= character <= "~" for character in result)
