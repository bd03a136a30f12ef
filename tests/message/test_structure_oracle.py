"""Real mail read as the standard library's email package reads it, and each difference has a rule."""

import binascii
import email
import re
from collections import Counter
from email import errors
from email.message import Message
from email.policy import compat32
from pathlib import Path

import pytest

from mwall.message.structure import Part
from tests.message.reading import (
    MAIL,
    children_of,
    content_of,
    header_of,
    oracle_parts,
    parts_of,
    read,
    standard_library_mail,
    stuffed,
    wire_lines,
)

# Where the library finds one of these, two readers see two messages: its reading is not the right one, it is one.
_READ_IN_TWO_WAYS = (
    errors.MissingHeaderBodySeparatorDefect,
    errors.StartBoundaryNotFoundDefect,
    errors.NoBoundaryInMultipartDefect,
)


def is_nothing(part: Part) -> bool:
    """Several delimiters in a row are several parts by RFC 2046 5.1.1; the library takes them for one."""
    is_last = part.parent is not None and part is children_of(part.parent)[-1]
    return part.cut >= 0 and part.start == part.end and not header_of(part) and not is_last


def without_trailing_space(message: Message) -> bytes:
    """White space before a line end is not of the text (RFC 2045 6.7 (3)); the library leaves it there."""
    payload = message.get_payload()
    assert isinstance(payload, str)
    octets = payload.encode("ascii", "surrogateescape")
    return binascii.a2b_qp(re.sub(rb"[ \t]+(?=\r\n)", b"", octets))


def compared(saved: bytes) -> tuple[list[str], Counter[str]]:
    """(what no rule explains, how often each rule explained something) of a message in which all agree on the parts."""
    lines = wire_lines(saved)
    theirs = oracle_parts(email.message_from_bytes(lines, policy=compat32))
    all_ours = parts_of(read(stuffed(lines)).root)
    ours = [part for part in all_ours if not is_nothing(part)]
    rules = Counter({"delimiters in a row": len(all_ours) - len(ours)})
    types = [part.types[0].name for part in ours], [part.get_content_type() for part in theirs]
    if types[0] != types[1]:
        return [f"types {types}"], rules
    unexplained = []
    for part, their in zip(ours, theirs, strict=True):
        name = their.get_filename()
        if name is not None and name not in part.names:
            unexplained.append(f"name {name!r}: {part.names}")
        if their.get_content_maintype() in ("multipart", "message"):
            continue
        content, expected = content_of(part), their.get_payload(decode=True)
        if content == expected:
            rules["equal"] += 1
        elif part.encodings[0] == "quoted-printable" and content == without_trailing_space(their):
            rules["white space before a line end"] += 1
        else:
            unexplained.append(f"content of {their.get_content_type()}: {content!r} {expected!r}")
    return unexplained, rules


def defects(saved: bytes) -> list[errors.MessageDefect]:
    parts = list(email.message_from_bytes(wire_lines(saved), policy=compat32).walk())
    for part in parts:
        part.get_payload(decode=True)
    return [defect for part in parts for defect in part.defects]


def faults(saved: bytes) -> list[str]:
    found: list[str] = []
    for part in parts_of(read(stuffed(wire_lines(saved))).root):
        content_of(part, None, found)
        found += part.faults
    return found


def is_read_in_two_ways(saved: bytes) -> bool:
    return any(isinstance(defect, _READ_IN_TWO_WAYS) for defect in defects(saved))


def test_no_mail_of_the_corpus_is_read_in_two_ways() -> None:
    assert [file.name for file in MAIL if is_read_in_two_ways(file.read_bytes())] == []
    assert len(MAIL) == 199


@pytest.mark.parametrize("file", MAIL, ids=lambda file: file.stem)
def test_real_mail(file: Path) -> None:
    assert compared(file.read_bytes())[0] == []


def test_mail_of_the_standard_library() -> None:
    files = [file for file in standard_library_mail() if not is_read_in_two_ways(file.read_bytes())]
    assert len(files) > 30
    assert {file.name: found for file in files if (found := compared(file.read_bytes())[0])} == {}


def test_the_rules_are_needed() -> None:
    rules: Counter[str] = Counter()
    for file in [*MAIL, *standard_library_mail()]:
        rules += compared(file.read_bytes())[1]
    assert set(rules) == {"equal", "delimiters in a row", "white space before a line end"}
    assert rules["equal"] > 200


def test_what_the_library_finds_wrong_is_a_fault_of_ours() -> None:
    files = [*MAIL, *standard_library_mail()]
    silent = [file.name for file in files if defects(file.read_bytes()) and not faults(file.read_bytes())]
    assert silent == []
