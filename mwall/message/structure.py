"""The tree of a message's parts (RFC 2045, RFC 2046): each part a pair of offsets, nothing is copied.

The rules:
- Whatever a reader could take for a part is one: parts behind a closing delimiter, in each of several boundaries,
  in encoded multiparts. What no two readers are sure to agree on is noted in `faults`.
- An outer delimiter ends whatever is open inside (RFC 2046 5.1.2).
- Work is bounded by the size of the message, whatever it holds: each nesting level looks through its own octets once,
  and all levels together may not look through more than _SCANS times the message.
"""

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from weakref import ref

from mwall.message.content_fields import ContentField, is_media_type, parse_content_field, parse_encodings
from mwall.message.encoded_words import decode_words
from mwall.message.header import MAX_HEADER_OCTETS, HeaderError, values_by_name
from mwall.message.transfer import Encoding, Source, decoded

_SCANS = 16
_SLACK_OCTETS = 16 << 20
_HELD_SLACK_OCTETS = 2 << 20
_FIND_OCTETS = 16 << 20  # some 10 ms
_MAX_BOUNDARIES = 8
_LONGEST_BOUNDARY = 70  # RFC 2046 5.1.1
_LONGEST_LINE = 1000
_MAX_ODD_LINES = 10_000
_MAX_FAULTS = 20  # of one part: the first ones say enough
_PAUSE_PARTS = 64
_MAX_CONTENT_FIELDS = 100  # of a name, in one header
_CONTENT_FIELDS = (
    "content-type", "content-transfer-encoding", "content-disposition", "content-location", "content-description",
)  # fmt: skip

_SOMETHING = re.compile(rb"[^\r\n\t ]")
_NO_FIELD = re.compile(rb"^(?![!-9;-~]++[ \t]*:|[ \t]+[^\s]|\Z)", re.MULTILINE)
_FIRST_DASHES = re.compile(rb"\r\n--([^\r\n]{1,200})\r\n")
_MBOX_LINE = re.compile(rb">?From [^\n]*\n")
_MESSAGES = {"message/rfc822", "message/global", "message/news"}
_TEXT = ContentField("text/plain", {}, ())
_MESSAGE = ContentField("message/rfc822", {}, ())


class _Line(Enum):
    DELIMITER = "delimiter"
    CLOSE = "closing delimiter"
    ODD = "begins as a delimiter does, and goes on"


class Part:
    """One part. `start` and `end` are octets of `source`, where its content lies; the header lies before.

    types, encodings, names: every reading, the likeliest first. cut: offset of the delimiter before it, -1 where
    there is none. role: "part", or "preamble" or "epilogue" of a multipart, or "other" for the part before it with
    another begin. is_leaf: may be read as no container. sure: it is where it is for every reader, in the octets of the
    wire.
    """

    __slots__ = ("__weakref__", "_parent", "children", "cut", "depth", "encodings", "end", "faults", "is_leaf", "names",
                 "role", "source", "start", "sure", "types")  # fmt: skip

    def __init__(self, source: Source, start: int, end: int, parent: "Part | None", role: str = "part") -> None:
        self.source = source
        self.start = start
        self.end = end
        # Weak: a circle of parts would hold the message long after it is done with.
        self._parent = None if parent is None else ref(parent)
        self.role = role
        self.cut = -1
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.sure = True
        self.types: tuple[ContentField, ...] = (_TEXT,)
        self.encodings: tuple[Encoding, ...] = ("identity",)
        self.names: tuple[str, ...] = ()
        self.faults: list[str] = []
        self.children: list[Part] = []
        self.is_leaf = True

    @property
    def parent(self) -> "Part | None":
        """What it lies in; there as long as the message's own part is held."""
        return None if self._parent is None else self._parent()

    def complain(self, fault: str) -> None:
        """Note what is wrong, once."""
        if fault not in self.faults and len(self.faults) < _MAX_FAULTS:
            self.faults.append(fault)

    def read_fields(self, fields: Mapping[str, Sequence[str]], default: ContentField = _TEXT) -> None:
        """Take what the Content fields say; all values of each, in their order, by lower-case name."""
        if max([len(fields.get(name, ())) for name in _CONTENT_FIELDS]) > _MAX_CONTENT_FIELDS:
            raise HeaderError(f"a header has one Content field more than {_MAX_CONTENT_FIELDS} times")
        types = fields.get("content-type", ())
        self.types = tuple(self._read_types(types)) if types else (default,)
        if len(types) > 1:
            self.complain("Content-Type is given twice")
        self.encodings, faults = parse_encodings(fields.get("content-transfer-encoding", ()))
        dispositions = [parse_content_field(value) for value in fields.get("content-disposition", ())]
        if len(dispositions) > 1:
            faults = (*faults, "Content-Disposition is given twice")
        names = [name for field in (*dispositions, *self.types) for name in field.values("filename")]
        names += [name for field in (*self.types, *dispositions) for name in field.values("name")]
        for field in ("content-location", "content-description"):  # some readers take these for want of a name
            names += [decode_words(value) for value in fields.get(field, ())]
        self.names = tuple(dict.fromkeys(names)) if names else ()
        if any("\0" in name for name in names):
            self.complain("a NUL in the name of a file")
        for fault in (*faults, *(fault for field in (*self.types, *dispositions) for fault in field.faults)):
            self.complain(fault)

    def _read_types(self, values: Sequence[str]) -> Iterator[ContentField]:
        seen = set()
        for value in values:
            field = parse_content_field(value)
            if not is_media_type(field.name):
                self.complain("a Content-Type that is none")
                field = field._replace(name="text/plain")
            if str(field) not in seen:
                seen.add(str(field))
                yield field


class StructureReader:
    """Reads the structure of one message. `holdable`: decoded octets that may still be held beside it."""

    def __init__(self, max_parts: int, max_depth: int, octets: int) -> None:
        """`octets`: the size of the message."""
        self._count = 0
        self._others = 0
        self._max_parts = max_parts
        self._max_depth = max_depth
        self._scans_left = _SCANS * octets + _SLACK_OCTETS
        self.holdable = octets + _HELD_SLACK_OCTETS
        self._to_open: list[Part] = []
        self._boundaries: set[bytes] = set()
        self._odd_lines: list[tuple[Part, bytes]] = []

    def read(self, header: bytes, fields: Mapping[str, Sequence[str]], source: Source) -> Generator[None, None, Part]:
        """Return the message as a part. Pauses after each few milliseconds of work.

        `fields`: the values of the header by lower-case name. `source` begins with the empty line below it. Raises
        HeaderError where the message is beyond measure.
        """
        root = Part(source, min(2, len(source.octets)), len(source.octets), None)
        root.read_fields(fields)
        mbox = _MBOX_LINE.match(header)
        if _NO_FIELD.search(header, mbox.end() if mbox else 0):
            root.complain("a line of the header is no field")
        self._add(root)
        while self._to_open:
            yield from self._open(self._to_open.pop())
            yield
        for part, line in self._odd_lines:
            if line not in self._boundaries:
                part.complain("a line that begins as a delimiter does, and goes on")
        return root

    def _add(self, part: Part) -> None:
        self._count += part.role == "part"
        self._others += part.role != "part"
        if self._count > self._max_parts or self._others > 2 * self._max_parts:
            raise HeaderError(f"the message has more than {self._max_parts} parts")
        if part.depth > self._max_depth:
            raise HeaderError(f"parts are nested more than {self._max_depth} deep")
        if part.parent is not None:
            part.parent.children.append(part)
        if part.role == "part":
            self._to_open.append(part)

    def _open(self, part: Part) -> Generator[None, None, None]:
        """Find the parts within a part."""
        names = [field.name for field in part.types]
        is_multipart = any(name.startswith("multipart/") for name in names)
        is_message = not _MESSAGES.isdisjoint(names)
        is_saved_message = not is_message and any(name.lower().endswith(".eml") for name in part.names)
        if not (is_multipart or is_message or is_saved_message):
            return
        is_message = is_message or is_saved_message
        boundaries = self._boundaries_of(part) if is_multipart else []
        contents = yield from self._contents(part, is_multipart, is_saved_message)
        readings = len(contents) * (len(boundaries) + is_message)
        for source, start, end in contents:
            for boundary in boundaries:
                yield from self._split(part, source, start, end, boundary, readings == 1)
            if is_message:
                self._add_entity(part, source, start, end, readings == 1)
        has_parts = any(child.role == "part" for child in part.children)
        if is_multipart and not has_parts:
            part.complain("a multipart whose boundary never comes")
        part.is_leaf = not (
            has_parts and all(name.startswith("multipart/") or name in _MESSAGES for name in names)
        )

    def _boundaries_of(self, part: Part) -> list[bytes]:
        values = [value for field in part.types for value in field.values("boundary")]
        boundaries = list(dict.fromkeys([value.encode("utf-8", "replace") for value in values]))
        if not values:
            part.complain("a multipart without a boundary")
            guess = _FIRST_DASHES.search(part.source.octets, part.start - 2, min(part.start + 65_536, part.end))
            return [bytes(guess[1])] if guess else []
        for boundary in tuple(boundaries):
            if len(boundary) > _LONGEST_BOUNDARY or not boundary.strip() or not boundary.isascii():
                part.complain("a boundary that is none")
            if boundary.rstrip() != boundary:
                part.complain("a boundary that ends in a space")
                boundaries.append(boundary.rstrip())
        if len(boundaries) > 1:
            part.complain("a multipart with more than one boundary")
        if len(boundaries) > _MAX_BOUNDARIES:
            raise HeaderError(f"a multipart has more than {_MAX_BOUNDARIES} boundaries")
        self._boundaries.update(boundaries)
        return boundaries

    def _contents(
        self, part: Part, is_multipart: bool, is_saved_message: bool
    ) -> Generator[None, None, list[tuple[Source, int, int]]]:
        """The octets of a container: its own, and where it says that it is encoded, the decoded ones."""
        contents = []
        if is_multipart or "identity" in part.encodings:
            contents.append((part.source, part.start, part.end))  # many readers do not believe a multipart in this
        for encoding in part.encodings:
            if encoding == "identity":
                continue
            if not is_saved_message:
                part.complain("a multipart or a message that is encoded itself")
            octets = bytearray(b"\r\n")
            has_bare_lines = None
            for piece in decoded(part.source, part.start, part.end, encoding, part.complain):
                if has_bare_lines is None and b"\n" in piece:
                    has_bare_lines = b"\r\n" not in piece
                if has_bare_lines:
                    piece = piece.replace(b"\n", b"\r\n")
                self.holdable -= len(piece)
                if self.holdable < 0:
                    raise HeaderError("encoded parts within encoded parts, too large to be looked into")
                octets += piece
                yield
            contents.append((Source(octets, False), 2, len(octets)))
        return contents

    def _split(
        self, part: Part, source: Source, start: int, end: int, boundary: bytes, only: bool
    ) -> Generator[None, None, None]:
        """Find the parts of a multipart by one boundary (RFC 2046 5.1.1); `only`: there is no other reading."""
        octets, needle = source.octets, b"\r\n--" + boundary
        position, begin, cut, role = max(start - 2, 0), start, -1, "preamble"
        self._scans_left -= end - position
        if self._scans_left < 0:
            raise HeaderError("parts within parts, too many for the size of the message")
        for number in range(self._max_parts + _MAX_ODD_LINES):
            found = yield from _find(octets, needle, position, end)
            if found < 0:
                break
            behind = found + len(needle)
            kind, line_end = _line_kind(octets, behind, end, part)
            if kind is _Line.ODD:
                self._note_odd_line(part, boundary + octets[behind : max(line_end, behind)])
                position = behind
                continue
            self._take(part, source, begin, found, role, cut, only)
            cut, begin, position = found, min(line_end + 2, end), line_end
            if role == "epilogue":
                part.complain("parts behind the closing delimiter")
            role = "part" if kind is _Line.DELIMITER else "epilogue"
            if number % _PAUSE_PARTS == _PAUSE_PARTS - 1:
                yield
        else:
            raise HeaderError("too many lines that begin as a delimiter does")
        if role == "part":
            part.complain("a multipart that is not closed")
        if cut >= 0:
            self._take(part, source, begin, end, role, cut, only)

    def _note_odd_line(self, part: Part, line: bytes) -> None:
        if len(self._odd_lines) >= _MAX_ODD_LINES:
            raise HeaderError("too many lines that begin as a delimiter does")
        self._odd_lines.append((part, line.rstrip().removesuffix(b"--")))

    def _take(self, part: Part, source: Source, start: int, end: int, role: str, cut: int, only: bool) -> None:
        """What lies between two delimiters; a preamble or an epilogue only where there is something in it."""
        if role == "part":
            self._add_entity(part, source, start, end, only, cut)
        elif _SOMETHING.search(source.octets, start, min(start + 65_536, end)) or end - start > 65_536:
            text = Part(source, start, end, part, role)
            text.sure = False
            self._add(text)

    def _add_entity(self, parent: Part, source: Source, start: int, end: int, only: bool, cut: int = -1) -> None:
        """A header and what is below it, from `start` to `end`."""
        if cut < 0 and _MESSAGES.isdisjoint([field.name for field in parent.types]):
            with suppress(HeaderError):  # only its name says that it is a message
                self._add_entity_at(parent, source, start, end, only, cut)
        else:
            self._add_entity_at(parent, source, start, end, only, cut)

    def _add_entity_at(self, parent: Part, source: Source, start: int, end: int, only: bool, cut: int) -> None:
        octets = source.octets
        if cut < 0 and (mbox := _MBOX_LINE.match(octets, start, end)):
            start = mbox.end()
        header_end = octets.find(b"\r\n\r\n", start, min(start + MAX_HEADER_OCTETS + 4, end))
        if octets[start : start + 2] == b"\r\n":
            header, content = b"", start + 2
        elif header_end >= 0:
            header, content = bytes(octets[start : header_end + 2]), header_end + 4
        elif end - start > MAX_HEADER_OCTETS:
            raise HeaderError(f"the header of a part is longer than {MAX_HEADER_OCTETS} octets")
        else:
            header, content = bytes(octets[start:end]), end
        junk = _NO_FIELD.search(header)
        if junk and header_end < 0 and content == end:
            content = start + junk.start()  # no empty line: what is no field begins the content
        part = Part(source, min(content, end), end, parent)
        part.cut = cut
        part.sure = only and parent.sure and source is parent.source
        in_digest = any(field.name == "multipart/digest" for field in parent.types)
        part.read_fields(values_by_name(header), _MESSAGE if in_digest else _TEXT)
        self._add(part)
        if header.startswith((b" ", b"\t")):
            part.complain("a part's header begins with a folded line")
        if junk:
            part.complain("a line of a part's header is no field")
            other = Part(source, start + junk.start(), end, parent, "other")
            other.types, other.names = part.types, part.names
            other.encodings = tuple(dict.fromkeys((*part.encodings, "identity")))
            other.sure = False
            self._add(other)


def _find(octets: bytes | bytearray, needle: bytes, start: int, end: int) -> Generator[None, None, int]:
    """As bytes.find, with pauses."""
    while start < end:
        stop = start + _FIND_OCTETS
        found = octets.find(needle, start, min(stop + len(needle) - 1, end))
        if found >= 0 or stop >= end:
            return found
        start = stop
        yield
    return -1


def _line_kind(octets: bytes | bytearray, behind: int, end: int, part: Part) -> tuple[_Line, int]:
    """What a line is that begins as a delimiter, by what is behind the boundary; and where it ends."""
    line_end = octets.find(b"\r\n", behind, min(behind + _LONGEST_LINE, end))
    if line_end < 0:
        if end - behind > _LONGEST_LINE:
            return _Line.ODD, behind
        line_end = end
    rest = octets[behind:line_end]
    padding = rest.rstrip(b" \t")
    if not padding:
        return _Line.DELIMITER, line_end
    if padding == b"--":
        return _Line.CLOSE, line_end
    kind = _Line.CLOSE if rest.startswith((b"-- ", b"--\t")) else _Line.DELIMITER
    if kind is _Line.DELIMITER and not rest.startswith((b" ", b"\t")):
        return _Line.ODD, line_end
    part.complain("text behind a boundary")
    return kind, line_end


def walk(root: Part) -> Iterator[Part]:
    """Yield a part and all below it, in the order in which they stand in the message."""
    stack = [root]
    while stack:
        part = stack.pop()
        yield part
        stack += reversed(part.children)
