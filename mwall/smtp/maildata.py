"""Mail data on its way in: where it ends, and that only CRLF line ends leave (RFC 5321 2.3.8, 4.1.1.4, 4.5.2).

The rules:
- End of data is CRLF.CRLF and nothing else, however the octets were split; the
  CRLF of the DATA command counts as the first one.
- What is kept is the wire form: dot-stuffed, CRLF line ends only. Sent on
  behind CRLF and before CRLF.CRLF it is one message to any reader.
- A bare CR, a bare LF or a NUL is a fault (reject) or is mended (normalize):
  CR and LF become CRLF, NUL goes, and every line that was changed is stuffed
  anew. Mending never makes an end of data: the end was found before.
- Past a fault nothing is kept, but the end is still looked for; and the same
  octets have the same fault, however they were split: a bare newline anywhere
  outweighs the others, whichever came first.
"""

from __future__ import annotations

from enum import Enum

_END = b"\r\n.\r\n"
_TEXT = bytes(octet for octet in range(256) if octet not in b"\r\n\0")
_SMALL = 16384


class Fault(Enum):
    """Why mail data was not kept."""

    TOO_BIG = "too big"
    NO_MEMORY = "no memory"
    BARE_NEWLINE = "bare newline"


class MailDataReader:
    """Takes the octets that follow DATA until the end of data.

    `limit`: octets of message size as SIZE counts it, dot-stuffing not included (RFC 1870 5).
    """

    __slots__ = ("_held", "_limit", "_mending", "_normalize", "_started", "_stuffed_dots", "chunks", "fault", "octets",
                 "received")  # fmt: skip

    def __init__(self, limit: int, normalize: bool) -> None:
        self.chunks: list[bytes | bytearray] = []
        self.octets = 0  # held in `chunks`
        self.received = 0  # on the wire, held or not
        self.fault: Fault | None = None
        self._limit = limit
        self._stuffed_dots = 0
        self._held = b"\r\n"  # stands for the CRLF of the DATA command; never kept
        self._started = False
        self._normalize = normalize
        self._mending = False

    def receive(self, octets: bytes) -> bytes | None:
        """Takes `octets`; None while the data goes on, else what came behind its end."""
        self.received += len(octets)
        octets = self._held + octets
        # rfind is the cheaper search, and almost always says that there is no end here or that it is the last thing.
        if octets.rfind(_END) >= 0:
            end = octets.find(_END)
            self._held = b""
            self._keep(octets[: end + 2])
            return octets[end + 5 :]
        # Whatever may yet turn out to be the end, or half a CRLF, waits for the octets behind it.
        self._held = next((_END[:n] for n in (4, 3, 2, 1) if octets.endswith(_END[:n])), b"")
        self._keep(octets[: len(octets) - len(self._held)])
        return None

    def discard(self, fault: Fault) -> None:
        """Keeps nothing any more; the end of data is still found."""
        if self.fault is None or fault is Fault.BARE_NEWLINE:
            self.fault = fault
        self.chunks = []
        self.octets = 0

    def _keep(self, octets: bytes) -> None:
        if octets and not self._started:
            self._started = True
            octets = octets[2:]
        if not octets or self.fault is Fault.BARE_NEWLINE or (self.fault and self._normalize):
            return
        # All but CR, LF and NUL taken out, only the CRLFs may be left. Twice as fast as counting CR and LF.
        line_ends = octets.translate(None, _TEXT)
        crlfs = octets.count(b"\r\n")
        if self._mending or line_ends != b"\r\n" * crlfs:
            if not self._normalize:
                self.discard(Fault.BARE_NEWLINE)
                return
            octets = self._mend(octets)
        if octets and not self.fault:
            self._append(octets)

    def _append(self, octets: bytes) -> None:
        """Small pieces are joined: a client that sends octet by octet must not cost an object for each."""
        begins_line = self._at_line_start
        if self.chunks and len(octets) < _SMALL and len(self.chunks[-1]) < 4 * _SMALL:
            last = self.chunks[-1]
            if not isinstance(last, bytearray):
                last = self.chunks[-1] = bytearray(last)
            last += octets
        else:
            self.chunks.append(octets)
        self.octets += len(octets)
        # The dots of stuffing are no part of the size.
        self._stuffed_dots += octets.count(b"\r\n.") + (begins_line and octets.startswith(b"."))
        if self.octets - self._stuffed_dots > self._limit:
            self.discard(Fault.TOO_BIG)

    @property
    def _at_line_start(self) -> bool:
        """Whether what is kept next begins a line. A CRLF never lies across two chunks."""
        return not self.chunks or self.chunks[-1].endswith(b"\r\n")

    def _mend(self, octets: bytes) -> bytes:
        """Only CRLF line ends, no NUL, stuffed anew. From the first fault on all goes this way."""
        if not self._mending and not self.chunks:
            octets = octets.removeprefix(b".")  # it stands behind the CRLF of DATA
        self._mending = True
        # NUL goes last: CR NUL LF is two line ends, whether or not it came in one piece.
        lines = octets.replace(b"\r\n.", b"\r\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"")
        stuffed = lines.replace(b"\n.", b"\n..").replace(b"\n", b"\r\n")
        return b"." + stuffed if self._at_line_start and stuffed.startswith(b".") else stuffed
