"""Encoded words in header fields (RFC 2047), read as mail readers read them, not as the grammar would have it.

A filter that is stricter than the reader is blind: so words may be long, stand inside other text, hold spaces, lack
padding, or cut a character in two. Unknown charsets do not stop it.
"""

import binascii
import re
from collections.abc import Iterator

from mwall.message.charsets import Decoder, charset_name

_WORD_START = re.compile(r"=\?([^?\s]*+)\?([BbQq])\?")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_WINDOW_OCTETS = 16_384
_MAX_RUNS = 64


def decode_words(value: str) -> str:
    """Return an unfolded field value with its encoded words decoded (RFC 2047 sections 2, 4 and 6.2).

    Anything that cannot be decoded stays, or becomes U+FFFD. Raises nothing.
    """
    if "=?" not in value:
        return value
    return "".join(decoded_pieces(value))


def decoded_pieces(value: str) -> Iterator[str]:
    """Yield what decode_words returns, in pieces: for who must stop in between to serve others."""
    position, end, charset = 0, -1, ""
    decoder: Decoder | None = None
    word = _WORD_START.search(value)
    while word:
        if end < word.end():
            end = value.find("?=", word.end())
            if end < 0:
                break
        following = _WORD_START.search(value, word.end())
        if following and following.start() < end:
            word = following  # the word before never ended
            yield ""
            continue
        gap = value[position : word.start()]
        # White space between two words is no text (RFC 2047 6.2). A decoder lives on over words of one charset,
        # because many senders cut a character in two.
        between_words = position > 0 and (not gap or gap.isspace())
        label = word[1].partition("*")[0]
        if not between_words or label != charset:
            yield decoder.decode(b"", True) if decoder else ""
            decoder, charset = _decoder(label), label
        if not between_words:
            yield gap
        octets = _from_base64(value[word.end() : end]) if word[2] in "Bb" else _from_q(value[word.end() : end])
        yield from _decoded(decoder, octets)
        position = end + 2
        word = _WORD_START.search(value, position) if following and following.start() < position else following
    yield decoder.decode(b"", True) if decoder else ""
    yield value[position:]


def _decoder(label: str) -> Decoder | None:
    name = charset_name(label)
    return Decoder(name) if name else None


def _decoded(decoder: Decoder | None, octets: bytes) -> Iterator[str]:
    if decoder is None:
        try:
            yield octets.decode("utf-8")
        except UnicodeDecodeError:
            yield octets.decode("latin-1")
        return
    for start in range(0, len(octets), _WINDOW_OCTETS):
        yield decoder.decode(octets[start : start + _WINDOW_OCTETS])


def _from_q(text: str) -> bytes:
    return binascii.a2b_qp(text.encode("utf-8", "replace"), header=True)


def _from_base64(text: str) -> bytes:
    # Padding may stand in the middle, where words were glued together: each run is decoded by itself.
    runs = text.encode("utf-8", "replace").split(b"=", _MAX_RUNS)
    return b"".join([_base64_run(run.translate(None, _NOT_BASE64)) for run in runs if run])


def _base64_run(run: bytes) -> bytes:
    if len(run) % 4 == 1:
        run = run[:-1]  # six bits are no octet
    return binascii.a2b_base64(run + b"=" * (-len(run) % 4))
