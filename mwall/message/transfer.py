"""Transfer encodings undone, in windows: base64, quoted-printable, uuencode, or nothing but dot-stuffing.

Lenient where mail readers are: what they would show is what must be looked at. What a strict decoder would not take
is told as well (RFC 2045 6.7 and 6.8), for there two readers may see two things. Nothing is held but one window.
"""

import binascii
import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, TypeAlias

WINDOW_OCTETS = 65_536

# "unpadded": base64 with its padding passed over, as those read it who know it only at the end.
Encoding: TypeAlias = Literal["identity", "base64", "unpadded", "quoted-printable", "uuencode"]

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))
_NOT_PADDED_BASE64 = bytes(set(_NOT_BASE64) - {ord("=")})
_SPACE = b"\r\n \t"
_IS_BASE64 = re.compile(rb"[A-Za-z0-9+/]")
_MAX_RUNS = 4096  # of one part, each decoded by itself; beyond, padding is passed over
_NO_QUOTED_OCTET = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r\n|\Z)")
_LONGEST_LINE = 2 * WINDOW_OCTETS


class Source(NamedTuple):
    """Octets in which parts lie. `stuffed`: with a dot put before each line that begins with one (RFC 5321 4.5.2)."""

    octets: bytes | bytearray
    stuffed: bool


Complain: TypeAlias = Callable[[str], None]


def decoded(source: Source, start: int, end: int, encoding: Encoding, complain: Complain) -> Iterator[bytes]:
    """Yield the octets from `start` (where a line begins) to `end`, decoded, in pieces of WINDOW_OCTETS or so.

    An empty piece means that much was read which holds nothing. What is wrong goes to `complain`, in our own words,
    once or more. Raises nothing.
    """
    windows = raw_windows(source, start, end)
    if encoding == "identity":
        return windows
    if encoding == "base64":
        return _from_base64(windows, complain)
    if encoding == "unpadded":
        return _from_unpadded(windows)
    return _from_lines(windows, _from_quoted_printable if encoding == "quoted-printable" else _from_uuencode, complain)


def raw_windows(source: Source, start: int, end: int) -> Iterator[bytes]:
    """Yield the octets as they are, without dot-stuffing."""
    octets = source.octets
    if source.stuffed and octets[start : min(start + 1, end)] == b".":
        start += 1
    while start < end:
        stop = min(start + WINDOW_OCTETS, end)
        window = bytes(octets[start:stop])
        if source.stuffed:
            for _ in range(2):  # a dot keeps its line end before it
                if stop < end and window[-1] in b"\r\n" and octets[stop] in b"\n.":
                    stop += 1
                    window += bytes(octets[stop - 1 : stop])
            window = window.replace(b"\r\n.", b"\r\n")
        yield window
        start = stop


def has_inner_padding(source: Source, start: int, end: int) -> bool:
    """Tell whether base64 goes on behind an equals sign, where readers differ, or much else stands there."""
    padding = source.octets.find(b"=", start, end)
    if padding < 0:
        return False
    stop = padding + WINDOW_OCTETS
    return stop < end or _IS_BASE64.search(source.octets, padding, end) is not None


def _from_base64(windows: Iterator[bytes], complain: Complain) -> Iterator[bytes]:
    rest, padded = b"", False
    for window in windows:
        octets = rest + window.translate(None, _SPACE)
        whole = len(octets) - len(octets) % 4
        try:
            if padded and octets:
                raise binascii.Error("something stands behind the padding")
            yield binascii.a2b_base64(octets[:whole], strict_mode=True) if whole else b""
        except (binascii.Error, ValueError):
            complain("base64 that no strict decoder takes")
            yield from _from_loose_base64(octets, windows)
            return
        padded = padded or octets[whole - 1 : whole] == b"="
        rest = octets[whole:]
    if rest:
        complain("base64 that ends within an octet")
        yield _base64_run(rest.translate(None, _NOT_BASE64))


def _from_loose_base64(window: bytes, windows: Iterator[bytes]) -> Iterator[bytes]:
    """Anything that is no base64 is passed over; behind padding begins a new run."""
    rest, left = b"", _MAX_RUNS
    while True:
        octets = rest + window.translate(None, _NOT_PADDED_BASE64)
        left -= octets.count(b"=")
        runs = octets.split(b"=") if left > 0 else [octets.replace(b"=", b"")]
        last = runs.pop()
        whole = len(last) - len(last) % 4
        rest = last[whole:]
        yield b"".join([_base64_run(run) for run in [*runs, last[:whole]] if run])
        try:
            window = next(windows)
        except StopIteration:
            break
    if rest:
        yield _base64_run(rest)


def _from_unpadded(windows: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for window in windows:
        octets = rest + window.translate(None, _NOT_BASE64)
        whole = len(octets) - len(octets) % 4
        rest = octets[whole:]
        yield binascii.a2b_base64(octets[:whole])
    yield _base64_run(rest)


def _base64_run(run: bytes) -> bytes:
    if len(run) % 4 == 1:
        run = run[:-1]  # six bits are no octet
    return binascii.a2b_base64(run + b"=" * (-len(run) % 4))


def _from_lines(
    windows: Iterator[bytes], decode: Callable[[bytes, Complain], bytes], complain: Complain
) -> Iterator[bytes]:
    """Decode whole lines; one that is longer than any honest one is cut."""
    rest = b""
    for window in windows:
        octets = rest + window
        whole = octets.rfind(b"\n") + 1
        if not whole and len(octets) > _LONGEST_LINE:
            quoted = octets.rfind(b"=", len(octets) - 2)
            whole = len(octets) if quoted < 0 else quoted
        rest = octets[whole:]
        yield decode(octets[:whole], complain)
    if rest:
        yield decode(rest, complain)


def _from_quoted_printable(octets: bytes, complain: Complain) -> bytes:
    if not octets.isascii():
        complain("octets over 127 in quoted-printable")
    if b" \r\n" in octets or b"\t\r\n" in octets:  # white space before a line end is not the text's, RFC 2045 6.7 (3)
        octets = b"\r\n".join([line.rstrip(b" \t") for line in octets.split(b"\r\n")])
    if _NO_QUOTED_OCTET.search(octets):
        complain("an equals sign in quoted-printable that quotes nothing")
    return binascii.a2b_qp(octets)


def _from_uuencode(octets: bytes, complain: Complain) -> bytes:
    pieces = []
    for line in octets.replace(b"\r\n", b"\n").split(b"\n"):
        length = line[0] - 32 & 63 if line else 0
        if not length or line.startswith((b"begin ", b"begin-")) or line == b"end":
            continue
        if 2 * len(line) <= length:
            complain("uuencode that no strict decoder takes")
            line = bytes([32 + len(line) * 3 // 4]) + line[1:]  # or an octet would stand for 45
        try:
            pieces.append(binascii.a2b_uu(line))
        except binascii.Error:
            complain("uuencode that no strict decoder takes")
            # Some encoders count wrongly or put a check sum behind: as much as the length says is taken.
            pieces.append(_uu_line(line[: (length * 4 + 5) // 3]))
    return b"".join(pieces)


def _uu_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        return b""
