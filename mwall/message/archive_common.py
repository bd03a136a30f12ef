"""What the readers of zip, gzip and tar share: the events, the limits of one message, and inflating in steps.

A signal does not interrupt zlib, and a few hundred octets may stand for megabytes: so no call gives more than one
window, and every octet handed out is paid for from limits that the whole message shares.
"""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from mwall.smtp.printable import printable

WINDOW_OCTETS = 65_536
_SLICE_OCTETS = 16_384
_QUOTED_CHARACTERS = 80

Octets = bytes | bytearray


class Member(NamedTuple):
    """A file begins: the octets up to the next Member are its content. `name` is text of outside origin."""

    name: str


class Unreadable(NamedTuple):
    """Something that no strict unpacker takes, that is encrypted, or that lies beyond the limits."""

    reason: str


Event = Member | Unreadable | bytes


class LimitReached(Exception):
    """The message has used up what may be unpacked; str() is the reason, in our own words."""


class ArchiveLimits:
    """What may still be unpacked: one object for all attachments of a message, counted down as they are read.

    `octets` of content handed out, `members` in all, archives inside one another up to `depth`, and `held` octets of
    inner archives in memory at the same time.
    """

    def __init__(self, octets: int = 64 << 20, members: int = 10_000, depth: int = 8, held: int = 8 << 20) -> None:
        self.octets, self.members, self.depth, self.held = octets, members, depth, held
        self._too_large = f"more than {octets} octets when unpacked"
        self._too_many = f"more than {members} files in archives"
        self.reasons = (self._too_large, self._too_many)

    def spend(self, octets: int) -> None:
        """Pay for `octets` handed out or worked through. Raises LimitReached."""
        self.octets -= octets
        if self.octets < 0:
            raise LimitReached(self._too_large)

    def count_octets(self, octets: int) -> None:
        """Pay for the octets of a header, which never raises: names are told even when no content can be."""
        self.octets -= octets

    def count_member(self, header_octets: int = 0) -> None:
        """Pay for one more member. Raises LimitReached if those are used up."""
        self.octets -= header_octets
        self.members -= 1
        if self.members < 0:
            raise LimitReached(self._too_many)


def quoted(name: str) -> str:
    """A name fit to stand in a reason."""
    return f'"{printable(name, _QUOTED_CHARACTERS)}"'


def lenient_text(octets: bytes) -> str:
    """Octets as UTF-8 or, where they are none, as ISO 8859-1."""
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


class Inflation:
    """One raw deflate stream (RFC 1951) that begins at `start`: iterate for its windows, then look at the rest.

    `end` is the offset behind the stream, `size` and `crc` are those of what came out, and `flaw` says in our words
    what is wrong with it, or is empty. What stands before a flaw is handed out: lenient unpackers write it too.
    """

    def __init__(self, octets: Octets, start: int, limits: ArchiveLimits) -> None:
        self.end, self.size, self.crc, self.flaw = start, 0, 0, ""
        self._octets, self._limits = memoryview(octets), limits

    def __iter__(self) -> Iterator[bytes]:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        while not inflater.eof:
            piece = self._octets[self.end : self.end + _SLICE_OCTETS]
            before = inflater.copy()
            try:
                window = inflater.decompress(piece, WINDOW_OCTETS)
            except zlib.error:
                self.flaw = "is corrupt"
                self._limits.spend(WINDOW_OCTETS)  # a thousand tiny corrupt streams are work as well
                yield self._counted(_before_flaw(before, piece))
                return
            # What is left over is cut anew from the source: carrying unconsumed_tail along would copy it each time.
            # At the end both attributes may hold it.
            taken = len(piece) - len(inflater.unused_data if inflater.eof else inflater.unconsumed_tail)
            self.end += taken
            if not taken and not window:
                self.flaw = "is cut short"
                return
            self._limits.spend(max(taken, len(window)))
            yield self._counted(window)

    def _counted(self, window: bytes) -> bytes:
        self.size += len(window)
        self.crc = zlib.crc32(window, self.crc)
        return window


def _before_flaw(inflater: "zlib._Decompress", piece: memoryview) -> bytes:
    """What `piece` gives before the error in it, which zlib throws away: found by halves."""
    windows = []
    while len(piece) > 1:
        half, trial = len(piece) // 2, inflater.copy()
        try:
            windows.append(trial.decompress(piece[:half], WINDOW_OCTETS))
        except zlib.error:
            piece = piece[:half]
        else:
            inflater, piece = trial, piece[half:]
    return b"".join(windows)[:WINDOW_OCTETS]
