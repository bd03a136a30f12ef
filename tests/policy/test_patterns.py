"""The pattern file: what is read, and every fault with its line."""

from time import process_time

import pytest

from mwall.config.grammar import Fault
from mwall.policy.patterns import Pattern, Segment, parse_patterns


def parsed(text: str) -> list[Pattern]:
    faults: list[Fault] = []
    patterns = parse_patterns(text.encode(), "patterns", faults)
    assert faults == []
    return patterns


def faults_of(text: str) -> list[str]:
    faults: list[Fault] = []
    parse_patterns(text.encode(), "patterns", faults)
    return [str(fault) for fault in faults]


def one(digits: str) -> tuple[Segment, ...]:
    (pattern,) = parsed(f"Name={digits}")
    return pattern.segments


def test_lines() -> None:
    text = "# of 1998=zz\n\n  W97M/Class.A (1) = 41424344\r\nOther=45464748\n"
    assert parsed(text) == [
        Pattern("W97M/Class.A (1)", (Segment(b"ABCD"),)),
        Pattern("Other", (Segment(b"EFGH"),)),
    ]


def test_an_empty_file_has_no_patterns() -> None:
    assert parsed("") == []


@pytest.mark.parametrize(
    ("digits", "segments"),
    [
        ("41424344", (Segment(b"ABCD"),)),
        ("4a4B4c4D", (Segment(b"JKLM"),)),
        ("41 42\t43 44", (Segment(b"ABCD"),)),
        ("41424344*45464748", (Segment(b"ABCD"), Segment(b"EFGH"))),
        ("41424344??45??", (Segment(b"ABCD\0E\0", ((4, 5), (6, 7))),)),
        ("????41424344", (Segment(b"\0\0ABCD", ((0, 2),)),)),
        ("00000000", (Segment(bytes(4)),)),
        ("00" * 4096, (Segment(bytes(4096)),)),
        ("*".join(["41424344"] * 64), (Segment(b"ABCD"),) * 64),
    ],
)
def test_digits(digits: str, segments: tuple[Segment, ...]) -> None:
    assert one(digits) == segments


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("4142434445", '"4142434445" has no "="'),
        ("=41424344", 'no name before the "="'),
        ("a=b=41424344", '"a=b" has an "=" in it'),
        ("a\u200bb=41424344", "cannot be printed"),
        ("a=", 'nothing behind the "="'),
        ("a=4142434", "an odd number of digits"),
        ("a=4142434g", '"g" is no hexadecimal digit'),
        ("a=\u0664\u0661\u0664\u0662", "no hexadecimal digit"),
        ("a=414243444?", '"4?" is half an octet'),
        ("a=414243444??4", '"4?" is half an octet'),
        ("a=41424344?", "an odd number of digits"),
        ("a=0x41424344", '"x" is no hexadecimal digit'),
        ("a=414243", "less than 4 octets in a row"),
        ("a=414243??444546", "less than 4 octets in a row"),
        ("a=????????", "less than 4 octets in a row"),
        ("a=41424344*4142", '"4142" has less than 4 octets in a row'),
        ("a=*41424344", "a * with nothing before or behind it"),
        ("a=41424344*", "a * with nothing before or behind it"),
        ("a=41424344**41424344", "a * with nothing before or behind it"),
        ("a=*", "a * with nothing before or behind it"),
        (f"a={'00' * 4097}", "4097 octets without a *; at most 4096"),
        (f"a={'*'.join(['41424344'] * 65)}", "65 parts between *; at most 64"),
    ],
)
def test_a_fault(line: str, why: str) -> None:
    (fault,) = faults_of(f"first=41424344\n{line}")
    assert fault.startswith("patterns:2: ")
    assert why in fault


def test_all_faults_are_collected_and_the_rest_is_read() -> None:
    faults: list[Fault] = []
    patterns = parse_patterns(b"a=1\nb=41424344\nc=zz\nb=45464748\n\xff=41424344\n", "patterns", faults)
    assert [pattern.name for pattern in patterns] == ["b"]
    assert sorted(fault.line for fault in faults) == [1, 3, 4, 5]
    assert any("already in line 2" in fault.why for fault in faults)


def test_the_runs_of_a_segment() -> None:
    assert Segment(b"ABCD").runs() == [(0, 4)]
    assert Segment(b"\0AB\0\0C\0", ((0, 1), (3, 5), (6, 7))).runs() == [(1, 3), (5, 6)]


@pytest.mark.parametrize("piece", ["41", "??", "4?", "*", "41424344*", "g", " ", "="])
def test_time_grows_with_the_line(piece: str) -> None:
    def seconds(size: int) -> float:
        text = b"a=" + piece.encode() * (size // len(piece))
        best = float("inf")
        for _ in range(3):
            begun = process_time()
            parse_patterns(text, "patterns", [])
            best = min(best, process_time() - begun)
        return best

    assert seconds(1_048_576) < 80 * max(seconds(65_536), 0.0005)
