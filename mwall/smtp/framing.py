"""Command lines out of a stream of octets (RFC 5321 2.3.8, 4.5.3.1.4).

A line ends at LF; whether CRLF came before it is for the caller to judge. What
is held never grows past MAX_LINE: the rest of a longer line is swallowed.
"""

from __future__ import annotations

MAX_LINE = 4096
MAX_SWALLOWED = 65536


class LineTooLongError(Exception):
    """One whole line longer than MAX_LINE was swallowed."""


class LineEndlessError(Exception):
    """More than MAX_SWALLOWED octets came without a line end."""


class LineReader:
    """Holds what was received and gives it line by line, each octet looked at once."""

    __slots__ = ("_buffer", "_start", "_swallowed", "held")

    def __init__(self) -> None:
        self._buffer = b""
        self._start = 0
        self._swallowed = 0
        self.held = 0  # octets

    def receive(self, octets: bytes) -> None:
        """Adds octets behind what is held."""
        self._buffer = self._buffer[self._start :] + octets if self.held else octets
        self._start = 0
        self.held = len(self._buffer)

    def next_line(self) -> bytes | None:
        """The next line with its LF; None when it is not complete.

        Raises LineTooLongError, LineEndlessError.
        """
        end = self._buffer.find(b"\n", self._start) + 1
        if not end:
            if self._swallowed or self.held > MAX_LINE:
                self._swallowed += self.held
                self.clear()
                if self._swallowed > MAX_SWALLOWED:
                    raise LineEndlessError
            return None
        line = self._buffer[self._start : end]
        self._start = end
        self.held -= len(line)
        if self._swallowed or len(line) > MAX_LINE:
            endless = self._swallowed + len(line) > MAX_SWALLOWED
            self._swallowed = 0
            raise LineEndlessError if endless else LineTooLongError
        return line

    def clear(self) -> None:
        """Drops what is held."""
        self._buffer = b""
        self._start = self.held = 0

    def take_all(self) -> bytes:
        """All that is held, as it came."""
        octets = self._buffer[self._start :] if self._start else self._buffer
        self.clear()
        return octets
