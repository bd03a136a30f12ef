"""Patterns of octets, and the file of them: the form of Open AntiVirus, one `Name=hex` a line.

Two hexadecimal digits are an octet, `??` is any one octet, `*` any distance, none included. Blank lines and lines that
begin with `#` say nothing. Nothing stops at the first fault: all are collected.
"""

import re
from typing import NamedTuple

from mwall.config.grammar import Fault, parse_lines, quoted

# Three given octets stand by chance in every 16 MB of anything, four in every 4 GB: with fewer, clean attachments
# would be refused. Every part between two `*` needs them, since one that occurs everywhere adds nothing.
LEAST_OCTETS = 4
# The longest part of all is what a scan keeps of one window for the next and reads again.
MOST_OCTETS = 4096
# Each part of a pattern is awaited in turn; real patterns have a handful.
MOST_SEGMENTS = 64

_ONLY_PAIRS = re.compile(r"(?:[0-9A-Fa-f]{2}|\?\?)*\Z")
_NO_DIGIT = re.compile(r"[^0-9A-Fa-f?]")
_PAIR_AT_FAULT = re.compile(r"(?:[0-9A-Fa-f]{2}|\?\?)*(.{1,2})")
_HOLE = re.compile(r"\?+")


class Segment(NamedTuple):
    """Octets at one place; in the `holes`, (start, end) each, any octet will do, and `octets` has zeros there."""

    octets: bytes
    holes: tuple[tuple[int, int], ...] = ()

    def runs(self) -> list[tuple[int, int]]:
        """What is between the holes, as (start, end)."""
        edges = [0, *(edge for hole in self.holes for edge in hole), len(self.octets)]
        return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end]


class Pattern(NamedTuple):
    """What is looked for: the segments one behind the other, at any distance, none overlapping the next."""

    name: str
    segments: tuple[Segment, ...]


def parse_patterns(text: bytes, file: str, faults: list[Fault]) -> list[Pattern]:
    """The patterns of a file in order; what is none goes to `faults`."""
    patterns = []
    first_line: dict[str, int] = {}
    for number, line in parse_lines(text, file, faults):
        name, equals, digits = line.rpartition("=")
        name = name.rstrip()
        try:
            if not equals:
                raise ValueError(f'{quoted(line)} has no "="; write Name=hex, or # for a comment')
            _check_name(name)
            if first_line.setdefault(name, number) != number:
                raise ValueError(f"{quoted(name)} is already in line {first_line[name]}; give one of them another name")
            patterns.append(Pattern(name, _parse_segments("".join(digits.split()))))
        except ValueError as error:
            faults.append(Fault(file, number, "", str(error)))
    return patterns


def _check_name(name: str) -> None:
    if not name:
        raise ValueError('no name before the "="; write Name=hex')
    if "=" in name:
        raise ValueError(f'{quoted(name)} has an "=" in it; take it out of the name')
    if not name.isprintable():
        raise ValueError(f"{quoted(name)} has a character that cannot be printed; take it out of the name")


def _parse_segments(digits: str) -> tuple[Segment, ...]:
    """The segments of a pattern without its white space. Raises ValueError."""
    if not digits:
        raise ValueError('nothing behind the "="; write Name=hex')
    parts = digits.split("*")
    if "" in parts:
        raise ValueError("a * with nothing before or behind it; it stands between two parts of a pattern")
    if len(parts) > MOST_SEGMENTS:
        raise ValueError(f"{len(parts)} parts between *; at most {MOST_SEGMENTS} are allowed")
    return tuple(map(_parse_segment, parts))


def _parse_segment(digits: str) -> Segment:
    if not _ONLY_PAIRS.match(digits):
        raise ValueError(_why_no_pairs(digits))
    if len(digits) > 2 * MOST_OCTETS:
        raise ValueError(f"{len(digits) // 2} octets without a *; at most {MOST_OCTETS} are allowed")
    if "?" not in digits:
        segment = Segment(bytes.fromhex(digits))
    else:
        holes = tuple((hole.start() // 2, hole.end() // 2) for hole in _HOLE.finditer(digits))
        segment = Segment(bytes.fromhex(digits.replace("?", "0")), holes)
    if max((end - start for start, end in segment.runs()), default=0) < LEAST_OCTETS:
        why = f"less than {LEAST_OCTETS} octets in a row without ??; clean mail would match, give more of them"
        raise ValueError(f"{quoted(digits)} has {why}")
    return segment


def _why_no_pairs(digits: str) -> str:
    bad = _NO_DIGIT.search(digits)
    if bad:
        return f"{quoted(bad.group())} is no hexadecimal digit; write two of 0-9a-f for each octet, ?? for any octet"
    pair = _PAIR_AT_FAULT.match(digits)
    if pair and len(pair[1]) == 2:
        return f"{quoted(pair[1])} is half an octet; write two digits, or ?? for any octet"
    return f"an odd number of digits in {quoted(digits)}; every octet has two"
