"""Parts cut out: what stays is a valid message that holds exactly the parts that should stay, octet by octet."""

import email
from collections.abc import Callable
from email.policy import compat32
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.cutting import cut_out
from mwall.message.structure import Part
from tests.fuzz import cases
from tests.message.reading import (
    MAIL,
    TREES,
    Read,
    Tree,
    children_of,
    content_of,
    header_of,
    oracle_parts,
    parts_of,
    read,
    stuffed,
    unstuffed,
    wire_lines,
    write,
)

Goes = Callable[[Part], bool]
# The header and, of what holds no parts, the content.
Kept = list[tuple[str, bytes, bytes]]


def strip(kind: str) -> Goes:
    """As mime_strip: parts of this type go."""
    return lambda part: any(field.name == kind for field in part.types)


def allow(kind: str) -> Goes:
    """As mime_allow: only parts of this type stay; a multipart is none by itself."""
    return lambda part: any(
        not name.startswith("multipart/") and name != kind for name in (field.name for field in part.types)
    )


def kept(part: Part, goes: Goes) -> Kept:
    """What should be left, found another way: from the top down, and nothing is cut."""
    if goes(part):
        return []
    children = children_of(part)
    below = [found for child in children for found in kept(child, goes)]
    if children and not below:
        return []
    header = header_of(part) if part.parent else b""
    return [(part.types[0].name, header, b"" if children else bytes(part.source.octets[part.start : part.end])), *below]


def left(message: Read, ranges: list[tuple[int, int]]) -> bytes:
    """The octets of the message on the wire without the ranges."""
    octets = message.header + bytes(message.source.octets)
    for start, end in reversed(ranges):
        octets = octets[: len(message.header) + start] + octets[len(message.header) + end :]
    return octets


def around(root: Part) -> list[tuple[str, bytes]]:
    """The preamble and the epilogue of the message."""
    return [(part.role, content_of(part)) for part in root.children if part.role != "part"]


def assert_cut(message: Read, goes: Goes) -> bool:
    """Whether anything is left."""
    cuts = cut_out(message.root, goes)
    expected = kept(message.root, goes)
    assert cuts.parts == [part for part in parts_of(message.root) if goes(part)]
    if not expected:
        assert cuts.ranges is None
        return False
    assert cuts.ranges is not None
    assert all(start < end for start, end in cuts.ranges)
    assert all(before[1] <= behind[0] for before, behind in pairwise(cuts.ranges))
    assert bool(cuts.ranges) == bool(cuts.parts)
    octets = left(message, cuts.ranges)
    again = read(octets)
    assert kept(again.root, lambda part: False) == expected
    assert again.header == message.header and again.root.faults == message.root.faults
    assert not any(goes(part) for part in parts_of(again.root))
    assert around(again.root) == around(message.root)
    theirs = oracle_parts(email.message_from_bytes(unstuffed(octets), policy=compat32))
    assert [part.get_content_type() for part in theirs] == [name for name, _, _ in expected]
    return True


def test_the_corpus_has_multiparts() -> None:
    assert len(MULTIPARTS) >= 20


def multiparts() -> list[Path]:
    return [file for file in MAIL if read(stuffed(wire_lines(file.read_bytes()))).root.children]


MULTIPARTS = multiparts()


@pytest.mark.parametrize("file", MULTIPARTS, ids=lambda file: file.stem)
def test_real_mail(file: Path) -> None:
    message = read(stuffed(wire_lines(file.read_bytes())))
    types = {part.types[0].name for part in parts_of(message.root)}
    assert all(part.sure for part in parts_of(message.root))
    for kind in types:
        assert_cut(message, strip(kind))
        assert_cut(message, allow(kind))
    assert not assert_cut(message, strip(message.root.types[0].name))
    assert not assert_cut(message, allow("video/none"))
    assert assert_cut(message, strip("video/none"))
    for header in {header_of(part) for part in parts_of(message.root) if part.parent}:
        assert_cut(message, lambda part, header=header: part.parent is not None and header_of(part) == header)


@cases(300)
@given(TREES, st.data())
def test_trees(tree: Tree, draw: st.DataObject) -> None:
    message = read(stuffed(write(tree)))
    types = sorted({part.types[0].name for part in parts_of(message.root)})
    kind = draw.draw(st.sampled_from(types))
    assert_cut(message, strip(kind))
    assert_cut(message, allow(kind))


MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
TEXT = b"--b\r\n\r\ntext\r\n"
GIF = b"--b\r\nContent-Type: image/gif\r\n\r\ngif\r\n"
END = b"--b--\r\n"
INNER = b"--b\r\nContent-Type: multipart/related; boundary=i\r\n\r\n--i\r\nContent-Type: image/gif\r\n\r\ngif\r\n"
ATTACHED = b"--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: image/gif\r\n\r\ngif\r\n"


@pytest.mark.parametrize(
    ("body", "without_gif"),
    [
        (TEXT + END, TEXT + END),
        (TEXT + GIF + END, TEXT + END),
        (GIF + TEXT + END, TEXT + END),
        (GIF + TEXT + GIF + GIF + END, TEXT + END),
        (b"hi\r\n" + GIF + TEXT + END + b"bye\r\n", b"hi\r\n" + TEXT + END + b"bye\r\n"),
        (b"\r\n" + GIF + TEXT + END, b"\r\n" + TEXT + END),
        (TEXT + GIF.replace(b"--b", b"--b \t") + END, TEXT + END),
        (TEXT + GIF, TEXT),
        (TEXT + INNER + b"--i--\r\n" + END, TEXT + END),
        (INNER + b"--i--\r\n" + TEXT + END, TEXT + END),
        (TEXT + INNER + b"--i\r\n\r\nx\r\n--i--\r\n" + END,
         TEXT + INNER.partition(b"--i\r\n")[0] + b"--i\r\n\r\nx\r\n--i--\r\n" + END),
        (TEXT + ATTACHED + END, TEXT + END),
        (TEXT + ATTACHED + GIF + ATTACHED + END, TEXT + END),
        (GIF + END, None),
        (INNER + b"--i--\r\n" + ATTACHED + END, None),
    ],
)  # fmt: skip
def test_table(body: bytes, without_gif: bytes | None) -> None:
    message = read(MIXED + body)
    ranges = cut_out(message.root, strip("image/gif")).ranges
    assert (None if ranges is None else left(message, ranges)) == (without_gif and MIXED + without_gif)


def test_a_message_of_one_part_goes_whole_or_not_at_all() -> None:
    message = read(b"Content-Type: text/plain\r\n\r\nx")
    assert cut_out(message.root, strip("text/plain")).ranges is None
    assert cut_out(message.root, strip("image/gif")).ranges == []


UNSURE = [
    b"--b\r\nContent-Type: multipart/mixed; boundary=i; boundary=j\r\n\r\n"
    b"--i\r\nContent-Type: image/gif\r\n\r\nx\r\n--i--\r\n",
    b"--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"Q29udGVudC1UeXBlOiBpbWFnZS9naWYNCg0KeA==\r\n",
    b"--b\r\nContent-Type: multipart/mixed; boundary=i\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    b"--i\r\nContent-Type: image/=67if\r\n\r\nx\r\n--i--\r\n",
    b"--b\r\nContent-Type: text/plain\r\nContent-Type: image/gif\r\n\r\nx\r\n",
]


@pytest.mark.parametrize("part", UNSURE)
def test_where_readers_differ_what_it_lies_in_goes(part: bytes) -> None:
    message = read(MIXED + TEXT + part + TEXT + END)
    ranges = cut_out(message.root, strip("image/gif")).ranges
    assert ranges is not None
    assert left(message, ranges) == MIXED + TEXT + TEXT + END
