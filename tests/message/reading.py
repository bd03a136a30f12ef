"""Messages for the tests of mwall/message: saved or made, on the wire, and read into a tree of parts.

Hypothesis makes trees of what a message may hold (Leaf, Multipart, Attached); write() gives their octets.
"""

import base64
import importlib.util
import quopri
import re
from binascii import b2a_uu
from collections.abc import Generator
from email.message import Message
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

from hypothesis import strategies as st

from mwall.message.body import joined, take_header
from mwall.message.header import values_by_name
from mwall.message.structure import Part, StructureReader, walk
from mwall.message.transfer import Encoding, Source, decoded
from tests.conftest import lacking

MAIL = sorted((Path(__file__).parent.parent / "mail").glob("*/*.eml"))
Result = TypeVar("Result")


def standard_library_mail() -> list[Path]:
    """The messages of the standard library's own tests; without them the test ends as lacking() says."""
    package = importlib.util.find_spec("test.test_email") if importlib.util.find_spec("test") else None
    folders = list(package.submodule_search_locations or ()) if package else []
    found = sorted(file for folder in folders for file in (Path(folder) / "data").glob("*.txt"))
    return found or lacking("the standard library's tests are not installed (Debian: libpython3.11-testsuite)")


def run(generator: Generator[object, object, Result]) -> Result:
    """Drive a generator to its end; what it returns."""
    try:
        while True:
            next(generator)
    except StopIteration as stop:
        result: Result = stop.value
        return result


def wire_lines(saved: bytes) -> bytes:
    """A saved message with the line ends of the wire; dots are not stuffed."""
    return saved.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def stuffed(octets: bytes) -> bytes:
    return re.sub(rb"(\A|\r\n)\.", rb"\1..", octets)


def unstuffed(octets: bytes) -> bytes:
    return re.sub(rb"(\A|\r\n)\.", rb"\1", octets)


class Read(NamedTuple):
    """A message as it was read. `header`: stuffed as on the wire, as is `source`."""

    header: bytes
    source: Source
    root: Part


def read(wire: bytes, max_parts: int = 1000, max_depth: int = 50) -> Read:
    """Read a message as it stands on the wire. Raises HeaderError."""
    return read_chunks([wire], max_parts, max_depth)


def read_chunks(chunks: list[bytes | bytearray], max_parts: int = 1000, max_depth: int = 50) -> Read:
    octets = sum(map(len, chunks))
    header = take_header(chunks)
    fields = values_by_name(header)
    source = run(joined(chunks))
    return Read(header, source, run(StructureReader(max_parts, max_depth, octets).read(header, fields, source)))


def parts_of(root: Part) -> list[Part]:
    return [part for part in walk(root) if part.role == "part"]


def children_of(part: Part) -> list[Part]:
    return [child for child in part.children if child.role == "part"]


def content_of(part: Part, encoding: Encoding | None = None, faults: list[str] | None = None) -> bytes:
    """The octets of a part, decoded as it says first of all, or as `encoding` says."""
    complain = [].append if faults is None else faults.append
    return b"".join(decoded(part.source, part.start, part.end, encoding or part.encodings[0], complain))


def header_of(part: Part) -> bytes:
    """The header octets of a part that stands in the message as it is, without the empty line."""
    octets = bytes(part.source.octets)
    assert part.parent is not None
    start = octets.index(b"\r\n", part.cut + 2) + 2 if part.cut >= 0 else part.parent.start
    return octets[start : part.start].removesuffix(b"\r\n")


def outline(part: Part) -> tuple[object, ...]:
    """A tree as something that can be compared and printed."""
    return (
        part.role, part.start, part.end, part.cut, part.sure, part.is_leaf, part.types, part.encodings, part.names,
        part.faults, [outline(child) for child in part.children],
    )  # fmt: skip


def oracle_parts(message: Message) -> list[Message]:
    """The parts that the standard library finds, without those that are none.

    It makes parts of the blocks of a message/delivery-status (RFC 3464 2.1) and of the phantom body of a
    message/external-body (RFC 2046 5.2.3): for a mail reader these are text.
    """
    below = message.get_payload() if message.is_multipart() else []
    phantom = message.get_content_maintype() == "message" and message.get_content_type() != "message/rfc822"
    return [message, *(found for part in ([] if phantom else below) for found in oracle_parts(part))]


# Messages made by Hypothesis.


class Leaf(NamedTuple):
    kind: str
    encoding: Encoding
    content: bytes


class Multipart(NamedTuple):
    kind: str
    boundary: str
    preamble: bytes
    children: "list[Tree]"
    epilogue: bytes


class Attached(NamedTuple):
    child: "Tree"


Tree: TypeAlias = Leaf | Multipart | Attached

# No line begins with two hyphens and a digit, as all boundaries do.
_LINES = st.lists(
    st.sampled_from(
        [
            b"", b"text", b".", b"..", b".dot", b"-", b"--", b"--x", b" --0", b"-- 1", b"Content-Type: image/gif",
            b"Content-Type: multipart/mixed; boundary=0", b"From joe", b"begin 644 x", b"=41=", b"\xff\xe4", b"QUJD",
        ]
    ),
    max_size=6,
).map(b"\r\n".join)  # fmt: skip
_EPILOGUES = _LINES.map(lambda lines: lines.strip(b"\r\n"))
_KINDS = ["text/plain", "text/html", "image/gif", "application/octet-stream"]
_LEAVES = st.one_of(
    st.builds(Leaf, st.sampled_from(_KINDS), st.just("identity"), _LINES),
    st.builds(
        Leaf,
        st.sampled_from(_KINDS),
        st.sampled_from(["base64", "quoted-printable", "uuencode"]),
        st.binary(max_size=200).filter(lambda octets: octets[-1:] not in (b" ", b"\t")),
    ),
)
_MULTIPARTS = ["multipart/mixed", "multipart/alternative", "multipart/related"]


def _deeper(trees: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.one_of(
        st.builds(
            Multipart,
            st.sampled_from(_MULTIPARTS),
            st.text("'()+_,./:=?Aa1", max_size=20),
            _EPILOGUES,
            st.lists(trees, min_size=1, max_size=4),
            _EPILOGUES,
        ),
        st.builds(Attached, trees),
    )


TREES: st.SearchStrategy[Tree] = st.recursive(_LEAVES, _deeper, max_leaves=12)


def encoded(octets: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return base64.encodebytes(octets).replace(b"\n", b"\r\n")
    if encoding == "quoted-printable":
        return quopri.encodestring(octets.replace(b"\r", b"\n"), quotetabs=True).replace(b"\n", b"\r\n")
    if encoding == "uuencode":
        lines = [b2a_uu(octets[at : at + 45]) for at in range(0, len(octets), 45)]
        return b"begin 644 x\r\n" + b"".join(lines).replace(b"\n", b"\r\n") + b"`\r\nend\r\n"
    return octets


def write(tree: Tree, path: str = "0") -> bytes:
    """A tree as an entity: header, empty line, content; not stuffed. `path` makes boundaries differ."""
    if isinstance(tree, Leaf):
        label = {"identity": "8bit", "uuencode": "x-uuencode"}.get(tree.encoding, tree.encoding)
        fields = f"Content-Type: {tree.kind}\r\nContent-Transfer-Encoding: {label}\r\n\r\n".encode()
        return fields + encoded(tree.content, tree.encoding)
    if isinstance(tree, Attached):
        return b"Content-Type: message/rfc822\r\n\r\n" + write(tree.child, path + "0")
    # The boundary of the outer one is how that of the inner one begins: then only the whole line tells them apart.
    boundary = path + "-" + tree.boundary if tree.boundary else path
    octets = f'Content-Type: {tree.kind}; boundary="{boundary}"\r\n\r\n'.encode()
    if tree.preamble:
        octets += tree.preamble + b"\r\n"
    for number, child in enumerate(tree.children):
        octets += b"--" + boundary.encode() + b"\r\n" + write(child, f"{path}{number}") + b"\r\n"
    return octets + b"--" + boundary.encode() + b"--\r\n" + tree.epilogue


def types_of(tree: Tree) -> list[str]:
    """The types of all parts, in order."""
    if isinstance(tree, Leaf):
        return [tree.kind]
    if isinstance(tree, Attached):
        return ["message/rfc822", *types_of(tree.child)]
    return [tree.kind, *(name for child in tree.children for name in types_of(child))]
