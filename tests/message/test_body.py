"""A message that came in pieces: its header, and its body as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.body import joined, take_header
from mwall.message.header import MAX_HEADER_OCTETS
from mwall.smtp.maildata import MailDataReader
from tests.fuzz import cases
from tests.message.reading import TREES, Tree, outline, read, read_chunks, run, stuffed, unstuffed, write

LINES = st.lists(
    st.sampled_from([b"", b"a", b".", b"..", b".a", b"...", b"--b", b".--b", b"a.", b"a.b."]), max_size=12
).map(lambda lines: b"\r\n".join([*lines, b""]))


def cut_as_received(octets: bytes, places: list[int]) -> list[bytes | bytearray]:
    """Octets in pieces as MailDataReader leaves them: no line end, and no dot behind one, waits for its rest."""
    pieces: list[bytes | bytearray] = []
    for place in sorted(places):
        before = octets[: place % (len(octets) + 1)]
        start = sum(map(len, pieces))
        if before[start:] and not before.endswith((b"\r", b"\r\n", b"\r\n.")) and before != b".":
            pieces.append(before[start:])
    return [*pieces, octets[sum(map(len, pieces)) :]]


@cases(300)
@given(LINES, st.lists(st.integers(0, 200), max_size=5))
def test_however_a_body_is_cut_it_is_joined_to_the_same(body: bytes, places: list[int]) -> None:
    body = b"\r\n" + body
    chunks = cut_as_received(body, places)
    assert b"".join(chunks) == body
    source = run(joined(chunks))
    whole: list[bytes | bytearray] = [body]
    assert bytes(source.octets) == bytes(run(joined(whole)).octets)
    assert chunks == [source.octets]
    assert unstuffed(bytes(source.octets)) == unstuffed(body), "no octet of the text may go"
    assert source.stuffed == (b"\r\n." in body.replace(b"\r\n.", b"\r\n") or b"\r\n.." in body)


@cases(200)
@given(TREES, st.lists(st.integers(0, 4000), max_size=6))
def test_however_a_message_is_cut_its_tree_is_the_same(tree: Tree, places: list[int]) -> None:
    wire = stuffed(write(tree))
    assert outline(read_chunks(cut_as_received(wire, places)).root) == outline(read(wire).root)


@pytest.mark.parametrize("piece", [b".", b".a", b"..", b"..a", b"a", b"-"])
@pytest.mark.parametrize("last", [b"x", b".", b"x\r\n.."])
def test_a_piece_that_begins_with_a_dot_within_a_line(last: bytes, piece: bytes) -> None:
    """Received in large pieces, as they are not made one before: the dot belongs to the text, and must leave again."""
    large = b"\r\n" + b"x" * 65_536 + last
    reader = MailDataReader(1 << 20, False)
    assert reader.receive(large) is None
    assert reader.receive(piece + b"y" * 20_000) is None
    assert reader.receive(b"\r\n.\r\n") is not None
    body = b"".join(reader.chunks)
    assert len(reader.chunks) > 1
    assert bytes(run(joined(reader.chunks)).octets) == body


@pytest.mark.parametrize(
    ("body", "without"),
    [
        (b"\r\n.a\r\n", b"\r\na\r\n"),
        (b"\r\n..a\r\n", b"\r\n..a\r\n"),
        (b"\r\n...a\r\n", b"\r\n...a\r\n"),
        (b"\r\n.--b\r\n.\x20\r\n", b"\r\n--b\r\n \r\n"),
        (b"\r\na.\r\n..\r\n", b"\r\na.\r\n..\r\n"),
    ],
)
def test_needless_dots_go(body: bytes, without: bytes) -> None:
    chunks: list[bytes | bytearray] = [body]
    assert run(joined(chunks)).octets == without
    assert chunks == [without]


@cases(100)
@given(st.lists(st.sampled_from([b"A: b\r\n", b"\r\n", b"x", b" y\r\n"]), max_size=10).map(b"".join), st.data())
def test_the_header_is_taken_whatever_the_pieces(octets: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(octets)), max_size=5)))
    chunks: list[bytes | bytearray] = [
        octets[start:end] for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)
    ]
    whole: list[bytes | bytearray] = [octets]
    header = take_header(chunks)
    assert header == take_header(whole)
    assert header + b"".join(chunks) == octets
    assert not header or b"".join(chunks)[:2] in (b"", b"\r\n")


def test_more_than_can_be_a_header_is_not_looked_through() -> None:
    chunks: list[bytes | bytearray] = [b"x" * 65_536 for _ in range(64)]
    header = take_header(chunks)
    assert MAX_HEADER_OCTETS < len(header) <= MAX_HEADER_OCTETS + 65_536
