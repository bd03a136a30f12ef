"""A text part as its reader sees it: in each charset that it may be taken for, as one long line.

Every run of white space is one space, so that a key matches across line ends; invisible characters are left out. HTML
comes three times: as it is written, as it is seen, and what of it is hidden.
"""

import re
from collections.abc import Iterator, Sequence

from mwall.message.charsets import CHARSET_NAMES, Decoder, charset_name
from mwall.message.html import HtmlReader, without_invisible

_ASCII_TEST = "A zaZ09<>&;=-.,!?$#@\x1b$B\x1b(B~{+AGEAYg-\r\n\t\\"
_HTML = re.compile(rb"<(?:!doctype[ \t\r\n]|html|head|body|title|meta|table|div|p>|br|a[ \t\r\n])", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset[ \t]*=[ \t]*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_SNIFFED_OCTETS = 1024
_BYTE_ORDER_MARKS = {
    b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be",
}  # fmt: skip


def _reads_ascii(name: str) -> bool:
    return Decoder(name).decode(_ASCII_TEST.encode(), True) == _ASCII_TEST


_ASCII_BASED = frozenset(filter(_reads_ascii, CHARSET_NAMES))


def looks_like_html(head: bytes) -> bool:
    """Tell by the first octets of a part."""
    return b"<" in head[:_SNIFFED_OCTETS] and _HTML.search(head, 0, _SNIFFED_OCTETS) is not None


def charset_readings(labels: Sequence[str], head: bytes, is_html: bool) -> list[str]:
    """Return the charsets that a part may be read in, the likeliest first; `head`: its first octets, decoded.

    All that its labels say; what it says of itself, by a byte order mark or in HTML; UTF-8 where it is that and not
    ASCII, and Windows-1252 where it is not what it says.
    """
    names = [name for label in labels if (name := charset_name(label))]
    names += [name for mark, name in _BYTE_ORDER_MARKS.items() if head.startswith(mark)]
    if is_html and (meta := _META_CHARSET.search(head, 0, _SNIFFED_OCTETS)):
        names += filter(None, [charset_name(meta[1].decode("ascii"))])
    if head.isascii() and b"\0" not in head:
        # A label of a charset that is nothing like ASCII is a lie then, or so a reader may find.
        return list(dict.fromkeys(names if names and _ASCII_BASED.issuperset(names) else [*names, "utf-8"]))
    is_utf8 = "\ufffd" not in Decoder("utf-8").decode(head)
    if is_utf8:
        names.append("utf-8")
    elif not names or "utf-8" in names or not _ASCII_BASED.issuperset(names):
        names.append("cp1252")
    if head[:_SNIFFED_OCTETS].count(b"\0") > len(head[:_SNIFFED_OCTETS]) // 4:
        names += ["utf-16-le", "utf-16-be"]
    return list(dict.fromkeys(names))


def is_plain_ascii(names: Sequence[str], octets: bytes) -> bool:
    """Tell whether these octets are the same text in all of these charsets."""
    return octets.isascii() and b"\x1b" not in octets and _ASCII_BASED.issuperset(names)


class OneLine:
    """Makes text one long line. It begins and ends with a space, so that a key with one matches there too."""

    __slots__ = ("_gap",)

    def __init__(self) -> None:
        self._gap = " "

    def feed(self, text: str) -> str:
        """Return the next piece of the line for the next piece of text."""
        seen = without_invisible(text)
        words = seen.split()
        if not words:
            self._gap = " " if seen else self._gap
            return ""
        line = f"{' ' if seen[0].isspace() else self._gap}{' '.join(words)}"
        self._gap = " " if seen[-1].isspace() else ""
        return line


class TextStreams:
    """One part in one charset, as the lines in which it is searched: one, or three for HTML."""

    __slots__ = ("_decoder", "_html", "_lines")

    def __init__(self, charset: str, is_html: bool) -> None:
        self._decoder = Decoder(charset)
        self._html = HtmlReader() if is_html else None
        self._lines = [OneLine() for _ in range(3 if is_html else 1)]

    def __len__(self) -> int:
        return len(self._lines)

    def feed(self, octets: bytes, final: bool = False) -> Iterator[tuple[int, str]]:
        """Yield (number of the line, the next piece of it); `final`: nothing more will come."""
        text = self._decoder.decode(octets, final)
        texts = [text] if self._html is None else [text, *self._html.feed(text, final)]
        for number, piece in enumerate(texts):
            line = self._lines[number].feed(piece)
            if final:
                line += " "
            if line:
                yield number, line
