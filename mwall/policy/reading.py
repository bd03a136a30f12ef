"""Reads a message's content once, for all scanners of a profile at the same time, in windows.

Each part is decoded in every way that some mail reader might decode it, each text is read in every charset that it
may be in, and archives are unpacked as far as the limits go. Nothing is held whole but what has to be: a file that
may be an archive, and a text that may have files in it.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeAlias

from mwall.message.archives import ArchiveLimits, Member, Unreadable, archive_kind, read_archive
from mwall.message.embedded import embedded_blocks, has_quoted_octets
from mwall.message.header import HeaderError
from mwall.message.kinds import kind_of
from mwall.message.structure import Part, walk
from mwall.message.text import TextStreams, charset_readings, is_plain_ascii, looks_like_html
from mwall.message.transfer import Encoding, Source, decoded, has_inner_padding, raw_windows
from mwall.policy.checks import TIME_SLICE, Request
from mwall.policy.content import File, Scanner, wanted

# All readings of all parts together may decode so many times the size of the message.
_DECODINGS = 4
_SLACK_OCTETS = 4 << 20
_HELD_BY_ARCHIVES = 4 << 20
_HTML_TYPES = {"text/html", "application/xhtml+xml", "text/enriched", "text/richtext"}
_TEXTS = ("text/", "message/", "multipart/", "application/xhtml+xml")
_HTML_NAMES = (".htm", ".html", ".shtml", ".xhtml", ".xht")
_TEXT_NAMES = (*_HTML_NAMES, ".txt", ".text")
_SAYS_NOTHING = "application/octet-stream"

_Sink: TypeAlias = Callable[[bytes], None]
# A text in one charset, and who is given each of its lines.
_Text: TypeAlias = tuple[TextStreams, list[list[_Sink]]]


class ContentReader:
    """One message on its way through the scanners."""

    def __init__(self, scanners: Sequence[Scanner], octets: int, holdable: int) -> None:
        """`octets`: the size of the message; `holdable`: how many decoded ones may be held beside it."""
        self._scanners = scanners
        self._raw = wanted(scanners, "raw")
        self._files = wanted(scanners, "file")
        self._texts = wanted(scanners, "text")
        self._names = wanted(scanners, "name")
        self._faults = wanted(scanners, "fault")
        self._unreadables = wanted(scanners, "unreadable")
        self._opens_archives = bool(self._files or self._names or self._unreadables)
        self._decodes_all = bool(self._opens_archives or self._faults)
        self._decodable = _DECODINGS * octets + _SLACK_OCTETS
        self._holdable = holdable
        self._archive_limits = ArchiveLimits(held=_HELD_BY_ARCHIVES)

    def read(self, header: bytes, root: Part) -> Generator[Request, object, None]:
        """Show the scanners everything. Raises HeaderError where a message can be read in too many ways."""
        if self._raw:
            whole = chain(
                raw_windows(Source(header, True), 0, len(header)), raw_windows(root.source, 0, len(root.source.octets))
            )
            raws = [sink for scanner in self._raw if (sink := scanner.raw())]
            yield from self._pass_on(next(whole, b""), next(whole, None), whole, raws)
        parts = wanted(self._scanners, "part")
        for number, part in enumerate(walk(root)):
            if part.role == "part":
                for scanner in parts:
                    scanner.part(part)
                self._show_names(part.names)
            if part.is_leaf:
                yield from self._read_leaf(part, root.source)
            for fault in part.faults:
                for scanner in self._faults:
                    scanner.fault(fault)
            if number % 32 == 31:
                yield TIME_SLICE

    def _show_names(self, names: Iterable[str]) -> None:
        for name in names:
            for scanner in self._names:
                scanner.name(name)

    # Parts

    def _read_leaf(self, part: Part, message: Source) -> Generator[Request, object, None]:
        is_text = any(field.name.startswith(_TEXTS) for field in part.types) or _ends(part, _TEXT_NAMES)
        shows_text = is_text and part.role in ("part", "other") and bool(self._texts)
        if not (shows_text or self._decodes_all):
            return
        name = part.names[0] if part.names else ""
        for encoding in _readings(part, is_text):
            windows = self._decoded(part.source, part.start, part.end, encoding, part.complain)
            is_bare = encoding == "identity"
            held = None if is_bare and is_text else self._hold(part.end - part.start)
            # What stands in the message as it is has been seen with the message as it came.
            is_seen = is_bare and part.source is message
            yield from self._read_part(part, windows, shows_text, is_seen, held)
            if not self._opens_archives:
                held = None
                continue
            is_archive = held is not None and (yield from self._open_archive(held, name))
            if held is not None and not is_bare and not is_archive:
                held[:0] = b"\r\n"
                self._holdable -= len(held)
                yield from self._read_blocks(Source(held, False), 2, len(held), part.complain)
                self._holdable += len(held)
            held = None
        if self._opens_archives and part.encodings != ("base64",):
            yield from self._read_blocks(part.source, part.start, part.end, part.complain)

    def _decoded(
        self, source: Source, start: int, end: int, encoding: Encoding, complain: Callable[[str], None]
    ) -> Iterator[bytes]:
        self._count_decoding(end - start)
        return decoded(source, start, end, encoding, complain)

    def _count_decoding(self, octets: int) -> None:
        self._decodable -= octets
        if self._decodable < 0:
            raise HeaderError("the message can be read in too many ways")

    def _hold(self, octets: int) -> bytearray | None:
        """Where decoded octets are kept; None where they are too many."""
        if octets <= self._holdable:
            return bytearray()
        self._tell_unreadable("a file is too large to be looked into")
        return None

    def _read_part(
        self, part: Part, windows: Iterator[bytes], shows_text: bool, is_seen: bool, held: bytearray | None
    ) -> Generator[Request, object, None]:
        head, second = next(windows, b""), next(windows, None)
        types = [field.name for field in part.types if field.name != _SAYS_NOTHING]
        file = File(part.names, types, head)
        sinks = [
            sink
            for scanner in self._files
            if (sink := scanner.file(file)) and (scanner.takes_bare or not is_seen)
        ]
        if held is not None:
            sinks.append(held.extend)
        texts = self._text_streams(part, types, head, second is None) if shows_text else []
        yield from self._pass_on(head, second, windows, sinks, texts)

    def _pass_on(
        self,
        window: bytes,
        following: bytes | None,
        windows: Iterator[bytes],
        sinks: Sequence[_Sink],
        texts: Sequence[_Text] = (),
    ) -> Generator[Request, object, None]:
        """One file's octets to all who care for them."""
        while True:
            for sink in sinks:
                sink(window)
            for nth, (streams, lines) in enumerate(texts):
                if nth:
                    yield TIME_SLICE
                for number, piece in streams.feed(window, following is None):
                    octets = piece.encode("utf-8", "replace")
                    for sink in lines[number]:
                        sink(octets)
            if following is None:
                return
            window, following = following, next(windows, None)
            yield TIME_SLICE

    def _text_streams(self, part: Part, types: Sequence[str], head: bytes, is_whole: bool) -> list[_Text]:
        is_html = not _HTML_TYPES.isdisjoint(types) or looks_like_html(head) or _ends(part, _HTML_NAMES)
        labels = [label for field in part.types for label in field.values("charset")]
        charsets = charset_readings(labels, head, is_html)
        if len(charsets) > 1 and is_whole and is_plain_ascii(charsets, head):
            del charsets[1:]
        self._count_decoding((part.end - part.start) * (len(charsets) - 1))
        streams = [TextStreams(charset, is_html) for charset in charsets]
        return [
            (stream, [[sink for scanner in self._texts if (sink := scanner.text())] for _ in range(len(stream))])
            for stream in streams
        ]

    # Files in texts, and in archives

    def _read_blocks(
        self, source: Source, start: int, end: int, complain: Callable[[str], None]
    ) -> Generator[Request, object, None]:
        for block in embedded_blocks(source, start, end):
            if block is None:
                yield TIME_SLICE
                continue
            names = [block.name] if block.name else []
            self._show_names(names)
            its_complain = complain if block.is_meant else _nothing
            windows = self._decoded(source, block.start, block.end, block.encoding, its_complain)
            held = self._hold(block.end - block.start)
            head, second = next(windows, b""), next(windows, None)
            sinks = [sink for scanner in self._files if (sink := scanner.file(File(names, (), head)))]
            if held is not None:
                sinks.append(held.extend)
            yield from self._pass_on(head, second, windows, sinks)
            if held is not None:
                yield from self._open_archive(held, block.name)
            yield TIME_SLICE

    def _open_archive(self, octets: bytearray, name: str) -> Generator[Request, object, bool]:
        """Show what is in an archive; whether it is one that is looked into."""
        kind = archive_kind(octets)
        if not kind:
            self._tell_closed(bytes(octets[:16]), name)
            return False
        member = name
        sinks: list[_Sink] = []
        is_open = False
        for event in read_archive(octets, kind, name, self._archive_limits):
            if isinstance(event, Member):
                self._show_names([event.name])
                member, is_open = event.name, False
            elif isinstance(event, Unreadable):
                self._tell_unreadable(event.reason)
            elif event:
                if not is_open:
                    is_open = True
                    file = File([member], (), event)
                    self._tell_closed(event, member)
                    sinks = [sink for scanner in self._files if (sink := scanner.file(file))]
                for sink in sinks:
                    sink(event)
            yield TIME_SLICE
        return True

    def _tell_closed(self, head: bytes, name: str) -> None:
        """An archive of a kind that is not looked into."""
        kind, title = kind_of(head)
        if kind == "archive" and not archive_kind(head):
            file = File([name] if name else [], (), head)
            self._tell_unreadable(f"{file.title} is {title}, which is not looked into")

    def _tell_unreadable(self, reason: str) -> None:
        for scanner in self._unreadables:
            scanner.unreadable(reason)


def _ends(part: Part, endings: tuple[str, ...]) -> bool:
    return any(name.rstrip(". ").lower().endswith(endings) for name in part.names)


def _readings(part: Part, is_text: bool) -> list[Encoding]:
    """All encodings that a leaf may be in: what it says, and what it looks like though it does not say so."""
    readings = list(part.encodings)
    source, start, end = part.source, part.start, part.end
    if "base64" in readings and has_inner_padding(source, start, end):
        readings.append("unpadded")
    if is_text and "quoted-printable" not in readings and has_quoted_octets(source, start, end):
        readings.append("quoted-printable")
    return readings


def _nothing(fault: str) -> None:
    """Nobody said that it is encoded, so nothing is wrong with it."""
