"""The tree of parts: what stands in a message is found, and whatever stands in it nothing breaks."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.header import HeaderError
from mwall.message.structure import Part, walk
from mwall.message.transfer import raw_windows
from tests.fuzz import cases
from tests.message.reading import (
    TREES,
    Attached,
    Leaf,
    Tree,
    children_of,
    content_of,
    parts_of,
    read,
    stuffed,
    unstuffed,
    write,
)

MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n"
FRAGMENTS = [
    b"\r\n", b"\r\n\r\n", b"\r\n--b\r\n", b"\r\n--b--\r\n", b"\r\n--b", b"--b", b"\r\n--bb\r\n", b"\r\n--c\r\n",
    b"\r\n--b \r\n", b"\r\n--b x\r\n", b"\r\n--b-- x\r\n", b"\r\n--", b"--", b".", b"\r\n.", b"\r\n..", b"\r\n.--b\r\n",
    b"\r\n..--b\r\n", b'"', b"'", b";", b"=", b"*", b"%", b" ", b"\t", b"\0", b"\r", b"\n", b"\xff", b"a",
    b"From joe\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n", b'Content-Type: multipart/digest; boundary="c\r\n',
    b"Content-Type: message/rfc822\r\n", b"Content-Type: text/html; charset=utf-7\r\n", b"Content-Type:\r\n",
    b"Content-Type: multipart/x; boundary*0=b; boundary*1*=%63\r\n",
    b"content-type : multipart/a; boundary=b; boundary=\r\n",
    b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Transfer-Encoding: x-uuencode\r\n", b"Content-Transfer-Encoding: x\r\n", b"Content-Type: multipart/b",
    b"Content-Disposition: attachment; filename*=utf-8''%41; filename=\"\r\n", b"begin 644 x\r\n", b"M", b"LS1iDQo=",
    b"DQotLWINCg0KeA0KLS1iLS0=", b"=0D=0A--b=0D=0A", b"Content-Type: message/rfc822; boundary=b\r\n",
]  # fmt: skip
HOSTILE = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=8)), max_size=40).map(b"".join)


def assert_sound(root: Part, max_parts: int, max_depth: int) -> None:
    """What holds for each tree, whatever it was read from."""
    assert len(parts_of(root)) <= max_parts
    for part in walk(root):
        assert 0 <= part.start <= part.end <= len(part.source.octets)
        assert part.depth <= max_depth and part.types and part.encodings
        assert part.is_leaf or children_of(part)
        sure: list[Part] = []
        for child in part.children:
            assert child.parent is part and child.depth == part.depth + 1
            if child.source is part.source:
                assert child.cut == -1 or part.start - 2 <= child.cut <= child.start
                assert part.start - 2 <= child.start and child.end <= part.end
            if child.sure:
                assert part.sure and child.source is part.source
                sure.append(child)
        for before, behind in pairwise(sure):
            assert before.end <= behind.cut < behind.start


@cases(500)
@given(HOSTILE, st.sampled_from([b"", MIXED, b"Content-Type: message/rfc822\r\n"]))
def test_hostile_octets_give_a_sound_tree(octets: bytes, header: bytes) -> None:
    for max_parts, max_depth in ((1000, 50), (5, 3)):
        try:
            root = read(header + octets, max_parts, max_depth).root
        except HeaderError:
            continue
        assert_sound(root, max_parts, max_depth)
        for part in walk(root):
            faults: list[str] = []
            for encoding in part.encodings:
                content_of(part, encoding, faults)
            assert all(isinstance(fault, str) and fault for fault in [*faults, *part.faults])


def assert_is(part: Part, tree: Tree) -> None:
    """A part is what was written, nothing more, and without doubt."""
    assert part.sure and part.faults == []
    if isinstance(tree, Leaf):
        assert (part.types[0].name, part.encodings, part.children) == (tree.kind, (tree.encoding,), [])
        faults: list[str] = []
        content = content_of(part, None, faults)
        if tree.encoding == "quoted-printable":  # lines of text: they have the line ends of the wire
            assert content == tree.content.replace(b"\r", b"\n").replace(b"\n", b"\r\n")
        else:
            assert content == tree.content
        assert faults == []
    elif isinstance(tree, Attached):
        assert part.types[0].name == "message/rfc822"
        (child,) = part.children
        assert_is(child, tree.child)
    else:
        assert part.types[0].name == tree.kind and not part.is_leaf
        children = children_of(part)
        assert len(children) == len(tree.children)
        for child, written in zip(children, tree.children, strict=True):
            assert_is(child, written)
        texts = [(child.role, content_of(child)) for child in part.children if child.role != "part"]
        around = [("preamble", tree.preamble), ("epilogue", tree.epilogue)]
        assert [(role, text.strip(b"\r\n")) for role, text in texts] == [kept for kept in around if kept[1].strip()]


@cases(400)
@given(TREES)
def test_what_is_written_is_read(tree: Tree) -> None:
    wire = stuffed(write(tree))
    message = read(wire)
    assert_is(message.root, tree)
    assert unstuffed(b"".join(raw_windows(message.source, 2, len(message.source.octets)))) == unstuffed(
        unstuffed(wire.partition(b"\r\n\r\n")[2])
    )


@cases(200)
@given(TREES)
def test_limits_are_those_that_were_given(tree: Tree) -> None:
    wire = stuffed(write(tree))
    parts = parts_of(read(wire).root)
    count, depth = len(parts), max(part.depth for part in walk(read(wire).root))
    read(wire, count, depth)
    with pytest.raises(HeaderError, match="parts"):
        read(wire, count - 1, depth)
    if depth:
        with pytest.raises(HeaderError, match="nested"):
            read(wire, count, depth - 1)


def tree_of(body: bytes, header: bytes = MIXED) -> list[tuple[str, str, bytes]]:
    root = read(header + b"\r\n" + body).root
    return [(part.role, part.types[0].name, content_of(part)) for part in walk(root)][1:]


A = ("part", "text/plain", b"a")
B = ("part", "text/plain", b"b")
GIF = ("part", "image/gif", b"b")


@pytest.mark.parametrize(
    ("body", "parts", "fault"),
    [
        (b"--b\r\n\r\na\r\n--b--", [A], ""),
        (b"\r\n--b\r\n\r\na\r\n--b--\r\n", [A], ""),
        (b"--b \t\r\n\r\na\r\n--b-- \t\r\n", [A], ""),
        (b"hi\r\n--b\r\n\r\na\r\n--b--\r\nbye",
         [("preamble", "text/plain", b"hi"), A, ("epilogue", "text/plain", b"bye")], ""),
        (b"--b\r\n\r\na\r\n--b\r\nContent-Type: image/gif\r\n\r\nb\r\n--b--\r\n", [A, GIF], ""),
        (b"--b\r\n\r\n--bb\r\n--b--", [("part", "text/plain", b"--bb")],
         "a line that begins as a delimiter does, and goes on"),
        (b"--b\r\n\r\na", [A], "a multipart that is not closed"),
        (b"--b\r\n\r\na\r\n--b--\r\n--b\r\n\r\nb\r\n--b--\r\n", [A, B], "parts behind the closing delimiter"),
        (b"--b x\r\n\r\na\r\n--b--\r\n", [A], "text behind a boundary"),
        (b"--b\r\n\r\na\r\n--b-- x\r\n", [A], "text behind a boundary"),
        (b"a", [], "a multipart whose boundary never comes"),
        (b"", [], "a multipart whose boundary never comes"),
        (b"--B\r\n\r\na\r\n--B--\r\n", [], "a multipart whose boundary never comes"),
        (b".--b\r\n\r\na\r\n--b--", [A], ""),
        (b"..--b\r\n\r\na\r\n--b--", [("preamble", "text/plain", b".--b\r\n\r\na")],
         "a multipart whose boundary never comes"),
    ],
)  # fmt: skip
def test_delimiters(body: bytes, parts: list[tuple[str, str, bytes]], fault: str) -> None:
    assert tree_of(body) == parts
    assert read(MIXED + b"\r\n" + body).root.faults == ([fault] if fault else [])


@pytest.mark.parametrize(
    ("entity", "found", "fault"),
    [
        (b"\r\na", A, ""),
        (b"Content-Type: image/gif\r\n\r\nb", GIF, ""),
        (b"CONTENT-TYPE:\r\n image/gif\r\n\r\nb", GIF, ""),
        (b"Content-Type : image/gif\r\n\r\nb", GIF, ""),
        (b".Content-Type: image/gif\r\n\r\nb", GIF, ""),
        (b"Content-Type: image/gif", ("part", "image/gif", b""), ""),
        (b"Content-Type: image/gif\r\nx\r\n\r\nb", GIF, "a line of a part's header is no field"),
        (b"no header at all", ("part", "text/plain", b"no header at all"), "a line of a part's header is no field"),
        (b"x\r\n\r\ny", ("part", "text/plain", b"y"), "a line of a part's header is no field"),
        (b"Content-Type: gif\r\n\r\na", A, "a Content-Type that is none"),
        (b"Content-Type: image/gif\r\nContent-Type: text/html\r\n\r\nb", GIF, "Content-Type is given twice"),
        (b"Content-Transfer-Encoding: base64\r\n\r\nYQ==", A, ""),
    ],
)
def test_entities(entity: bytes, found: tuple[str, str, bytes], fault: str) -> None:
    assert tree_of(b"--b\r\n" + entity + b"\r\n--b--\r\n")[0] == found
    part = read(MIXED + b"\r\n--b\r\n" + entity + b"\r\n--b--\r\n").root.children[0]
    assert part.faults == ([fault] if fault else [])


@pytest.mark.parametrize(
    ("entity", "other"),
    [
        (b"x\r\n\r\ny", b"x\r\n\r\ny"),
        (b"no header at all", b"no header at all"),
        (b"Content-Type: text/html\r\nx: y\r\nz\r\n\r\na", b"z\r\n\r\na"),
    ],
)
def test_a_line_that_is_no_field_may_begin_the_content(entity: bytes, other: bytes) -> None:
    found = tree_of(b"--b\r\n" + entity + b"\r\n--b--\r\n")
    assert [(role, content) for role, _, content in found if role == "other"] == [("other", other)]


def test_every_reading_of_doubled_fields() -> None:
    header = b"".join(
        b"Content-Type: %s\r\n" % value for value in (b"image/gif; name=a", b"text/html; name=b", b"image/gif; name=a")
    )
    header += b"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 8bit\r\n"
    header += b"Content-Disposition: inline; filename=c\r\nContent-Disposition: inline; filename=a\r\n"
    root = read(header + b"\r\nYQ==").root
    assert [field.name for field in root.types] == ["image/gif", "text/html"]
    assert root.encodings == ("base64", "identity")
    assert root.names == ("c", "a", "b")
    assert {fault.partition(" is given")[0] for fault in root.faults} == {
        "Content-Type", "Content-Transfer-Encoding", "Content-Disposition",
    }  # fmt: skip


def test_each_of_two_boundaries_is_followed() -> None:
    body = b"--b\r\n\r\na\r\n--b--\r\n--c\r\nContent-Type: image/gif\r\n\r\nb\r\n--c--\r\n"
    root = read(b"Content-Type: multipart/mixed; boundary=b; boundary=c\r\n\r\n" + body).root
    assert {(part.types[0].name, content_of(part)) for part in children_of(root)} >= {A[1:], GIF[1:]}
    assert not any(part.sure for part in children_of(root))


def test_an_encoded_multipart_is_read_both_ways() -> None:
    header = MIXED + b"Content-Transfer-Encoding: quoted-printable\r\n"
    root = read(header + b"\r\n--b\r\n\r\n=61\r\n=2D-b\r\nContent-Type: image/gif\r\n\r\nb\r\n--b--\r\n").root
    assert {part.types[0].name for part in children_of(root)} == {"text/plain", "image/gif"}
    assert "a multipart or a message that is encoded itself" in root.faults


def test_an_outer_delimiter_ends_what_is_open_inside() -> None:
    inner = b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\na\r\n"
    assert tree_of(b"--b\r\n" + inner + b"--b\r\nContent-Type: image/gif\r\n\r\nb\r\n--b--\r\n") == [
        ("part", "multipart/mixed", b"--c\r\n\r\na"), A, GIF,
    ]  # fmt: skip


def test_parts_of_a_digest_are_messages() -> None:
    header = MIXED.replace(b"mixed", b"digest")
    assert [part[1] for part in tree_of(b"--b\r\n\r\nSubject: x\r\n\r\na\r\n--b--\r\n", header)] == [
        "message/rfc822", "text/plain",
    ]  # fmt: skip


def test_a_boundary_is_guessed_where_none_is_given() -> None:
    assert tree_of(b"--b\r\n\r\na\r\n--b--\r\n", b"Content-Type: multipart/mixed\r\n") == [A]


def test_a_message_in_a_message() -> None:
    header = b"Content-Type: message/rfc822\r\n"
    inner = b"From joe Mon Jan  1 00:00:00 2001\r\nContent-Type: image/gif\r\n\r\nb"
    for entity in (inner, b">" + inner, inner.partition(b"\r\n")[2]):
        assert tree_of(entity, header) == [GIF]


@pytest.mark.parametrize("count", [9, 100])
def test_too_many_boundaries(count: int) -> None:
    boundaries = "".join(f"; boundary=b{number}" for number in range(count))
    with pytest.raises(HeaderError, match="more than 8 boundaries"):
        read(f"Content-Type: multipart/mixed{boundaries}\r\n\r\n".encode())
