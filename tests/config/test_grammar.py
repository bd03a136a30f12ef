"""The grammar: what is an assignment, what is a fault, where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.config.grammar import ConfigurationError, Fault, Variable, parse_assignments, parse_value, read_variables
from mwall.config.values import integer

TABLE = (
    Variable("needed", integer(0, 9), None, example="5"),
    Variable("number", integer(0, 9), "7"),
    Variable("many", integer(0, 9), None, repeatable=True),
    Variable("word", str, "", computed="from elsewhere"),
)


def assignments_of(text: str) -> list[tuple[int, str, str]]:
    faults: list[Fault] = []
    assignments = parse_assignments(text.encode(), "x", faults)
    assert faults == []
    return [tuple(assignment) for assignment in assignments]  # type: ignore[misc]


def faults_of(text: bytes) -> list[str]:
    faults: list[Fault] = []
    parse_assignments(text, "x", faults)
    return [str(fault) for fault in faults]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('a="b"', "b"),
        ("a=b", "b"),
        ('  a = "b"  ', "b"),
        ('a=""', ""),
        ("a=", ""),
        ('a=" b "', " b "),
        ("a=b c", "b c"),
        ('a="b=c"', "b=c"),
        ('a="say "b" or \\d+\\."', 'say "b" or \\d+\\.'),
        ('a="1,Subject:#1"', "1,Subject:#1"),
        ('a="# no comment"', "# no comment"),
        ("a=b#c", "b#c"),
        ("a=\"'b'\"", "'b'"),
        ('a="\u00e9\t\u2603"', "\u00e9\t\u2603"),
        ('a="b"\r', "b"),
        ('\ufeffa="b"', "b"),
    ],
)
def test_values(text: str, value: str) -> None:
    assert assignments_of(text) == [(1, "a", value)]


def test_lines_are_counted_from_one_and_comments_and_blank_lines_passed_over() -> None:
    assert assignments_of('\n# c\n  # c\na="1"\r\n\t\nb=2') == [(4, "a", "1"), (6, "b", "2")]


def test_octets_that_are_no_utf8_are_a_fault_but_not_in_a_comment() -> None:
    assert faults_of(b'# Gr\xfc\xdfe\na="\xfc"\n') == [
        "x:2: a: octet 0xfc in column 4 is no UTF-8; save the file as UTF-8"
    ]


def test_a_fault_is_printable_whatever_is_in_it() -> None:
    assert str(Fault("a\nb", 3, "", "\x1b[31m")) == "a\\x0ab:3: \\x1b[31m"
    assert str(Fault("x", 0, "", "w")) == "x: w"
    assert str(Fault("x", 0, "v", "w")) == "x: v: w"
    assert str(ConfigurationError([Fault("x", 1, "v", "w"), Fault("x", 0, "", "w")])) == "x:1: v: w\nx: w"


def read(text: str) -> tuple[dict[str, object], list[str]]:
    faults: list[Fault] = []
    values = read_variables(TABLE, parse_assignments(text.encode(), "x", faults), "x", faults)
    return values, [str(fault) for fault in faults]


def test_defaults_repeats_and_computed() -> None:
    assert read("needed=1\nmany=2\nmany=1\nmany=2") == ({"needed": 1, "number": 7, "many": (2, 1, 2), "word": None}, [])


def test_all_faults_at_once_and_no_value_for_what_is_at_fault() -> None:
    values, faults = read('number=x\nmany=1\nmany=10\nnumber=3\nnunber=1\nword="')
    assert values == {"many": (1,)}
    assert faults == [
        'x:6: word: the closing quote is missing; write name="value"',
        'x:1: number: "x" is no whole number from 0 to 9',
        'x:3: many: "10" is no whole number from 0 to 9',
        "x:4: number: is already set in line 1; keep one of the two",
        "x:5: nunber: there is no such variable; did you mean number?",
        'x: needed: must be set and is not; add it, as needed="5"',
    ]


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp"))))
def test_a_quoted_value_is_itself(text: str) -> None:
    try:
        assert parse_value(f'"{text}"') == text
    except ValueError as error:
        assert "comment" in str(error) and '"' in text and "#" in text


LINES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([b'needed="1"', b"many=", b'"', b"=", b"#", b'number="7" #"', b"\xef\xbb\xbf", b"\0", b"\r"]),
    )
)


@given(LINES)
def test_any_octets_give_faults_or_values(lines: list[bytes]) -> None:
    faults: list[Fault] = []
    text = b"\n".join(lines)
    values = read_variables(TABLE, parse_assignments(text, "x", faults), "x", faults)
    assert set(values) <= {"needed", "number", "many", "word"}
    assert faults or "needed" in values
    for fault in faults:
        assert str(fault).isascii() and str(fault).isprintable()
        assert 0 <= fault.line <= text.count(b"\n") + 1
