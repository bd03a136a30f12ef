import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.smtp.framing import MAX_LINE, MAX_SWALLOWED, LineEndlessError, LineReader, LineTooLongError
from tests.fuzz import cases
from tests.smtp.cutting import Cut, cuts, ways


def read_all(octets: bytes, cut: Cut) -> list[bytes | str]:
    """Its lines; 'too long' or 'endless' where they are that. Nothing is read behind an endless one."""
    reader = LineReader()
    result: list[bytes | str] = []
    for piece in cut(octets):
        reader.receive(piece)
        line: bytes | None = b""
        while line is not None:
            try:
                line = reader.next_line()
            except LineTooLongError:
                result.append("too long")
            except LineEndlessError:
                return [*result, "endless"]
            else:
                if line is not None:
                    result.append(line)
        assert reader.held <= MAX_LINE
    return result


@pytest.mark.parametrize("way", ways())
@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", []),
        (b"NOOP", []),
        (b"NOOP\r\nQUIT\r\n", [b"NOOP\r\n", b"QUIT\r\n"]),
        (b"\n\r\n\r", [b"\n", b"\r\n"]),
        (b"a\rb\0\xff\n", [b"a\rb\0\xff\n"]),
        (b"x" * (MAX_LINE - 1) + b"\nNOOP\n", [b"x" * (MAX_LINE - 1) + b"\n", b"NOOP\n"]),
        (b"x" * MAX_LINE + b"\nNOOP\n", ["too long", b"NOOP\n"]),
        (b"x" * (MAX_LINE + 1), []),
        (b"x" * 3 * MAX_LINE + b"\nNOOP\n" + b"y" * 2 * MAX_LINE + b"\n\n", ["too long", b"NOOP\n", "too long", b"\n"]),
        (b"x" * (MAX_SWALLOWED - 1) + b"\nNOOP\n", ["too long", b"NOOP\n"]),
        (b"x" * MAX_SWALLOWED + b"\nNOOP\n", ["endless"]),
        (b"x" * (MAX_SWALLOWED + 1), ["endless"]),
    ],
    ids=range(12),
)
def test_lines(octets: bytes, expected: list[bytes | str], way: str) -> None:
    assert read_all(octets, ways()[way]) == expected


def test_64_kib_without_an_end_are_the_limit() -> None:
    assert MAX_SWALLOWED == 64 * 1024


def test_take_all() -> None:
    reader = LineReader()
    reader.receive(b"one\r\ntwo")
    assert reader.next_line() == b"one\r\n"
    assert reader.held == 3
    assert reader.take_all() == b"two"
    assert (reader.held, reader.take_all(), reader.next_line()) == (0, b"", None)


@cases(200)
@given(
    st.lists(st.sampled_from([b"\n", b"\r\n", b"a", b"\0", b"y" * 100, b"x" * 4090, b"z" * 30000]), max_size=12), cuts
)
def test_cuts_change_nothing(pieces: list[bytes], cut: Cut) -> None:
    octets = b"".join(pieces)
    assert read_all(octets, cut) == read_all(octets, lambda octets: [octets])
