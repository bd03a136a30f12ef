"""Charsets: what a label means to those who read mail, and octets made text in pieces.

Codecs are looked up at import and never again: a label comes from outside and must not reach for a file. Those that
are no charset (punycode, unicode_escape) are left out; punycode takes quadratic time.
"""

import codecs
from encodings.aliases import aliases

# Mail readers take these for the larger charset on the right, as https://encoding.spec.whatwg.org/#names-and-labels
# has it: whoever labels text so commonly means it.
_MEANT = {
    "ascii": "cp1252", "iso8859_1": "cp1252", "latin_1": "cp1252", "iso8859_9": "cp1254", "iso8859_11": "cp874",
    "tis_620": "cp874", "utf_16": "utf_16_le", "utf_32": "utf_32_le", "gb2312": "gb18030", "gbk": "gb18030",
    "euc_kr": "cp949", "shift_jis": "cp932",
}  # fmt: skip
_WITHOUT_ALIAS = (
    "cp720", "cp737", "cp856", "cp874", "cp875", "cp1006", "koi8_t", "koi8_u", "mac_arabic", "mac_croatian",
    "mac_farsi", "mac_romanian",
)  # fmt: skip
_NO_CHARSETS = {"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"}
# A shift sequence of UTF-7 that never ends would be decoded from its begin with every piece: it is cut at so much.
_MAX_PENDING_OCTETS = 4096


def _plain_label(label: str) -> str:
    return label.lower().replace("-", "").replace("_", "").replace(" ", "")


def _lookup(name: str) -> codecs.CodecInfo | None:
    try:
        info = codecs.lookup(name)
    except LookupError:  # some belong to other systems
        return None
    return info if getattr(info, "_is_text_encoding", False) and info.incrementaldecoder else None


def _preload() -> dict[str, codecs.CodecInfo]:
    names = {*aliases.values(), *_MEANT, *_WITHOUT_ALIAS} - _NO_CHARSETS
    infos = {name: info for name in names if (info := _lookup(name)) is not None}
    labels = {name: name for name in names} | aliases
    known = {_plain_label(label): _MEANT.get(name, name) for label, name in labels.items()}
    return {label: infos[name] for label, name in known.items() if name in infos}


_CHARSETS = _preload()
KNOWN_LABELS = tuple(_CHARSETS)
CHARSET_NAMES = tuple({info.name: None for info in _CHARSETS.values()})


def charset_name(label: str) -> str:
    """Return the name of the charset that readers take a label for, "" where they know none; RFC 2231 tags go."""
    info = _CHARSETS.get(_plain_label(label.partition("*")[0]))
    return info.name if info else ""


class Decoder:
    """One charset's incremental decoder; what cannot be decoded becomes U+FFFD. Raises nothing."""

    __slots__ = ("_decoder", "_is_utf7")

    def __init__(self, name: str) -> None:
        """`name`: one that charset_name() returned."""
        info = _CHARSETS[_plain_label(name)]
        assert info.incrementaldecoder is not None
        self._decoder = info.incrementaldecoder("replace")
        self._is_utf7 = info.name == "utf-7"

    def decode(self, octets: bytes, final: bool = False) -> str:
        """Return the next piece of text."""
        try:
            text = self._decoder.decode(octets, final)
        except UnicodeError:  # iso2022_jp and its like raise even when told to replace
            self._decoder.reset()
            return "\ufffd"
        return text + self._cut_shift_sequence() if self._is_utf7 else text

    def _cut_shift_sequence(self) -> str:
        pending, flags = self._decoder.getstate()
        if len(pending) <= _MAX_PENDING_OCTETS:
            return ""
        # Eight characters of base64 are three whole units of UTF-16.
        cut = 1 + (len(pending) - 1) // 8 * 8
        self._decoder.setstate((b"+" + pending[cut:], flags))
        return pending[:cut].decode("utf-7", "replace")
