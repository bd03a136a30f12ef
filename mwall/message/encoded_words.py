"""Encoded words in header fields (RFC 2047), read as mail readers read them, not as the grammar would have it.

A filter that is stricter than the reader is blind: so words may be long, stand inside other text, hold spaces, lack
padding, or cut a character in two. Unknown charsets do not stop it. Codecs are looked up at import and never again:
a charset label comes from outside and must not reach for a file.
"""

import binascii
import codecs
import re
from collections.abc import Iterator
from encodings.aliases import aliases

_WORD_START = re.compile(r"=\?([^?\s]*+)\?([BbQq])\?")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_WINDOW_OCTETS = 16_384
_MAX_RUNS = 64

# Mail readers take these for the larger charset on the right, as https://encoding.spec.whatwg.org/#names-and-labels
# has it: whoever labels text so commonly means it.
_MEANT = {
    "ascii": "cp1252", "iso8859_1": "cp1252", "latin_1": "cp1252", "iso8859_9": "cp1254", "iso8859_11": "cp874",
    "tis_620": "cp874", "utf_16": "utf_16_le", "gb2312": "gb18030", "gbk": "gb18030",
    "euc_kr": "cp949", "shift_jis": "cp932",
}  # fmt: skip
_CODECS = (
    "utf_8", "utf_7", "utf_16_be", "utf_16_le", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255",
    "cp1256", "cp1257", "cp1258", "cp874", "cp437", "cp850", "cp852", "cp855", "cp866", "koi8_r", "koi8_u", "iso8859_2",
    "iso8859_3", "iso8859_4", "iso8859_5", "iso8859_6", "iso8859_7", "iso8859_8", "iso8859_10", "iso8859_13",
    "iso8859_14", "iso8859_15", "iso8859_16", "mac_roman", "mac_cyrillic", "gb18030", "hz", "big5", "big5hkscs",
    "cp949", "iso2022_kr", "johab", "cp932", "euc_jp", "iso2022_jp", "iso2022_jp_2",
)  # fmt: skip


def _plain_label(label: str) -> str:
    return label.lower().replace("-", "").replace("_", "").replace(" ", "")


def _preload() -> dict[str, codecs.CodecInfo]:
    infos = {name: codecs.lookup(name) for name in _CODECS}
    names = {name: name for name in _CODECS} | {name: name for name in _MEANT} | aliases
    known = {_plain_label(label): _MEANT.get(name, name) for label, name in names.items()}
    return {label: infos[name] for label, name in known.items() if name in infos}


_DECODERS = _preload()


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
    decoder: codecs.IncrementalDecoder | None = None
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
            yield _step(decoder, b"", True) if decoder else ""
            decoder, charset = _decoder(label), label
        if not between_words:
            yield gap
        octets = _from_base64(value[word.end() : end]) if word[2] in "Bb" else _from_q(value[word.end() : end])
        yield from _decoded(decoder, octets)
        position = end + 2
        word = _WORD_START.search(value, position) if following and following.start() < position else following
    yield _step(decoder, b"", True) if decoder else ""
    yield value[position:]


def _decoder(label: str) -> codecs.IncrementalDecoder | None:
    info = _DECODERS.get(_plain_label(label))
    return info.incrementaldecoder("replace") if info and info.incrementaldecoder else None


def _decoded(decoder: codecs.IncrementalDecoder | None, octets: bytes) -> Iterator[str]:
    if decoder is None:
        try:
            yield octets.decode("utf-8")
        except UnicodeDecodeError:
            yield octets.decode("latin-1")
        return
    for start in range(0, len(octets), _WINDOW_OCTETS):
        yield _step(decoder, octets[start : start + _WINDOW_OCTETS])


def _step(decoder: codecs.IncrementalDecoder, octets: bytes, final: bool = False) -> str:
    """The next piece. Some of Python's decoders (iso2022_jp) raise even when told to replace."""
    try:
        return decoder.decode(octets, final)
    except UnicodeError:
        decoder.reset()
        return "\ufffd"


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
