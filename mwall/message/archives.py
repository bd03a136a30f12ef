"""Looks into zip, gzip and tar attachments of hostile mail, and into archives in them, as far as the limits go.

The readers are our own, over struct and zlib, because a filter must see every reading that some unpacker has, and
libraries have one: theirs. Besides, those of the standard library work without a pause and without a bound.

Each file comes out with its name and content; if it is an archive itself, what is in it follows. What a strict
unpacker would not take comes out as Unreadable, and the walk goes on with what can be read.
"""

from collections.abc import Callable, Iterator

from mwall.message.archive_common import (
    WINDOW_OCTETS,
    ArchiveLimits,
    Event,
    LimitReached,
    Member,
    Octets,
    Unreadable,
    quoted,
)
from mwall.message.archive_gzip import MAGIC as GZIP_MAGIC
from mwall.message.archive_gzip import read_gzip
from mwall.message.archive_tar import TarReader, is_header
from mwall.message.archive_zip import read_zip
from mwall.message.archive_zip_records import END, LOCAL, TAIL_OCTETS, central_header, directories, is_end_of_zip
from mwall.message.archive_zip_records import last_end as last_end_of_zip

__all__ = ["ArchiveLimits", "Event", "Member", "Unreadable", "archive_kind", "read_archive"]

_HEAD_OCTETS = 512  # the first block of a tar
_ZIP_STARTS = (LOCAL, END, b"PK\x07\x08" + LOCAL, b"PK00" + LOCAL)


def archive_kind(octets: bytes | bytearray | memoryview) -> str:
    """Return "zip", "gzip", "tar" or "" for the whole octets of a file, by what they are. Raises nothing.

    A zip may have anything in front, as self-extracting programs do: its end tells. No more than head and tail are
    looked at.
    """
    return _kind_of_head(bytes(octets[:_HEAD_OCTETS])) or ("zip" if last_end_of_zip(octets) >= 0 else "")


def _kind_of_head(head: bytes) -> str:
    if head.startswith(GZIP_MAGIC + b"\x08"):
        return "gzip"
    # A zip has the checksum of a tar only by intent: then it is read as both.
    if is_header(head):
        return "tar"
    if head.startswith(_ZIP_STARTS):
        return "zip"
    return "tar" if head[257:262] == b"ustar" else ""


def read_archive(octets: Octets, kind: str, name: str, limits: ArchiveLimits) -> Iterator[Event]:
    """Yield what is in an archive of a kind that archive_kind found; `name` is its own.

    Octets that come after a Member are its content, up to the next Member; b"" is a pause. Never more than some
    milliseconds of work lie between two events. Raises nothing; a limit is told once.
    """
    told: set[str] = set()
    try:
        for event in _read(octets, kind, name, limits, limits.depth):
            if isinstance(event, Unreadable) and event.reason in limits.reasons:
                yield b"" if event.reason in told else event
                told.add(event.reason)
            else:
                yield event
    except LimitReached as limit:
        if str(limit) not in told:
            yield Unreadable(str(limit))


def _read(octets: Octets, kind: str, name: str, limits: ArchiveLimits, depth: int) -> Iterator[Event]:
    if kind == "zip":
        yield from _with_inner(read_zip(octets, limits), limits, depth)
    elif kind == "tar":
        windows = (bytes(octets[at : at + WINDOW_OCTETS]) for at in range(0, len(octets), WINDOW_OCTETS))
        yield from _with_inner(_read_tar(windows, limits), limits, depth)
    elif kind == "gzip":
        members = limits.members

        def again(size: int) -> Iterator[Event]:
            return read_gzip(octets, name, ArchiveLimits(size + len(octets) + WINDOW_OCTETS, members))

        yield from _with_inner(read_gzip(octets, name, limits), limits, depth, again)
    if kind != "zip" and _is_also_zip(octets):
        yield from _with_inner(read_zip(octets, limits), limits, depth)


def _with_inner(
    events: Iterator[Event],
    limits: ArchiveLimits,
    depth: int,
    again: Callable[[int], Iterator[Event]] | None = None,
) -> Iterator[Event]:
    """The events of one archive and, after each member that is an archive, those from in it.

    `again` reads the only member anew: a tar in a gzip need not be held.
    """
    content = _Content(limits, "", False)
    try:
        for event in events:
            if isinstance(event, bytes):
                content.add(event)
            elif isinstance(event, Member):
                yield from _inner(content, limits, depth, again)
                content = _Content(limits, event.name, again is not None)
            yield event
        yield from _inner(content, limits, depth, again)
    finally:
        content.release()


def _inner(
    content: "_Content", limits: ArchiveLimits, depth: int, again: Callable[[int], Iterator[Event]] | None
) -> Iterator[Event]:
    kind = content.kind() if content.size else ""
    try:
        if kind and depth <= 1:
            yield Unreadable("archives inside one another too deep")
        elif kind == "tar" and again:
            windows = (event for event in again(content.size) if isinstance(event, bytes))
            yield from _with_inner(_read_tar(windows, limits), limits, depth - 1)
        elif kind and not content.is_whole:
            yield Unreadable(f"{quoted(content.name)} is too large to be looked into")
        elif kind:
            yield from _read(content.octets, kind, content.name, limits, depth - 1)
    except LimitReached as limit:
        yield Unreadable(str(limit))
    finally:
        content.release()


def _read_tar(windows: Iterator[bytes], limits: ArchiveLimits) -> Iterator[Event]:
    reader = TarReader(limits)
    for window in windows:
        yield from reader.feed(window)
        yield b""
    yield from reader.close()


def _is_also_zip(octets: Octets) -> bool:
    """Whether an unpacker of zip would find a file: a zip that was stored in a gzip mostly loses its offsets."""
    at = last_end_of_zip(octets)
    for place in directories(octets, at) if at >= 0 else ():
        header = central_header(octets, place.start)
        local = header.local + place.shift if header else -1
        if local >= 0 and octets[local : local + 4] == LOCAL:
            return True
    return False


class _Content:
    """The content of the present member, held as long as limits allow, for the case that it is an archive."""

    def __init__(self, limits: ArchiveLimits, name: str, tar_streams: bool) -> None:
        self.name, self.size, self.octets, self.is_whole = name, 0, bytearray(), True
        self._limits, self._tar_streams = limits, tar_streams
        self._head, self._held = b"", 0

    def add(self, window: bytes) -> None:
        self.size += len(window)
        self.octets += window
        if len(self._head) < _HEAD_OCTETS:
            self._head = bytes(self.octets[:_HEAD_OCTETS])
        if self.is_whole:
            self._held += len(window)
            self._limits.held -= len(window)
            is_streaming_tar = self._tar_streams and _kind_of_head(self._head) == "tar"
            self.is_whole = self._limits.held >= 0 and not is_streaming_tar
            if not self.is_whole:
                self.release()
        if not self.is_whole and len(self.octets) > 4 * TAIL_OCTETS:
            del self.octets[:-TAIL_OCTETS]

    def kind(self) -> str:
        if self.is_whole:
            return archive_kind(self.octets)
        tail = bytes(self.octets[-TAIL_OCTETS:])
        return _kind_of_head(self._head) or ("zip" if is_end_of_zip(tail, self.size) else "")

    def release(self) -> None:
        self._limits.held += self._held
        self._held = 0
