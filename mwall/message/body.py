"""A message as it came in pieces: its header taken off, its body made one buffer with no more memory than it had.

Offsets into that buffer are those of the wire. It begins with the empty line that ends the header, and each of its
lines ends in CRLF, as smtp/maildata.py left it.
"""

import re
from collections.abc import Generator, MutableSequence

from mwall.message.header import MAX_HEADER_OCTETS, header_end
from mwall.message.transfer import Source

# A dot before a line that needs none says nothing (RFC 5321 4.5.2), but hides a delimiter from who looks for "--".
_NEEDLESS_DOT = re.compile(rb"(\r\n)\.(?!\.)")


def take_header(chunks: list[bytes | bytearray]) -> bytes:
    """Cut the header section off, in place, and return it. More than can be one is taken for one: judge() refuses it.

    Without an empty line all is header (RFC 5322 2.1). Raises nothing.
    """
    number, end, start = 0, -1, b""
    while end < 0 and number < len(chunks) and len(start) <= MAX_HEADER_OCTETS:
        looked_at = len(start)
        start += chunks[number]
        end = header_end(start, looked_at)
        number += 1
    if end < 0:
        end = len(start)
    chunks[:number] = [start[end:]]
    return start[:end]


def joined(chunks: MutableSequence[bytes | bytearray]) -> Generator[None, None, Source]:
    """Make `chunks` one, in place, without needless dots. Pauses after each piece; returns it. Raises nothing."""
    if len(chunks) == 1:
        chunks[0] = _without_needless_dots(chunks[0])
        return Source(chunks[0], b"\r\n." in chunks[0])
    whole = bytearray(sum(map(len, chunks)))
    end, held = 0, b""
    for number, chunk in enumerate(chunks):
        chunk = held + chunk if held else chunk
        # What a dot is tells only the octet behind it.
        held = next((tail for tail in (b"\r\n.", b"\r\n") if chunk.endswith(tail)), b"")
        chunk = _without_needless_dots(chunk[: len(chunk) - len(held)])
        whole[end : end + len(chunk)] = chunk
        end += len(chunk)
        chunks[number] = b""
        yield
    whole[end:] = held
    chunks[:] = [whole]
    return Source(whole, b"\r\n." in whole)


def _without_needless_dots(chunk: bytes | bytearray) -> bytes | bytearray:
    return _NEEDLESS_DOT.sub(rb"\1", chunk) if b"\r\n." in chunk else chunk
