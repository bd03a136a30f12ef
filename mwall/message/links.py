"""The hosts of the links in a text, as browsers and mail programs take them out of it.

A link is what begins with a scheme; in HTML also //host behind a "=", in text also www.host. Other names without a
scheme are left alone: some mail programs make links of them, others do not, no two agree on which, and setup.py or
the words on both sides of a forgotten space would be asked for as well.

A text comes in windows, cut anywhere: what may go on in the next one waits for it, so that the same links are found
however it is cut. Each expression here goes over an octet a fixed number of times at most, whatever comes.
"""

import re
from collections.abc import Iterator
from encodings.punycode import punycode_encode
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias
from unicodedata import category, normalize
from urllib.parse import unquote

from mwall.message.html import without_invisible
from mwall.message.html_entities import split_unfinished, unescape

# So many links of a message are looked at, of those that are written differently.
MAX_LINKS_SCANNED = 2000
# Octets between the slashes and the end of the host: behind a longer user name no host is found.
MAX_AUTHORITY = 1024
# The sum of the squared lengths of all labels that are not ASCII; punycode takes some 0.1 us for each.
MAX_EFFORT = 200_000
_MAX_NAME = 253  # RFC 1035 2.3.4, without the final dot
_LONGEST_KEPT = 128  # octets; a link that is longer counts each time, so that a message can fill little memory

Host: TypeAlias = str | IPv4Address | IPv6Address

# Matched in lower case, and with slashes for backslashes, which browsers take for the same. They need no slash behind
# the colon, and take any number (https://url.spec.whatwg.org/#special-authority-slashes-state). Where another link
# begins, the one before ends: a comma may stand between them.
_ENDS = rb"\0-\x20\"'<>/?#`"
_COLON = rb"s?(?::|%3a)"
_AUTHORITY = rb"((?:[^%st]|t(?!(?:(?<=htt)|(?<=ft))p%s)){0,%d}+)" % (_ENDS, _COLON, MAX_AUTHORITY)
# Percent-encoded a link stands in the addresses of those who count clicks or look at a link first, and lead on to it.
_SCHEME = re.compile(rb"tp(?:(?<=http)|(?<=ftp))s?(?::/{0,64}+|(%%3a)(?:/|%%2f){0,64}+)%s" % _AUTHORITY)
_WWW = re.compile(
    rb"www\.(?<!%s....)((?:[a-vx-z0-9._\x80-\xff-]|w(?!(?<!%s.)ww\.)|&[a-z][a-z0-9]{0,31};){0,%d}+)(?!@)"
    % (rb"[a-z0-9._@/-]", rb"[a-z0-9._@/-]", MAX_AUTHORITY // 8)
)
# In quotes the end of a line counts for nothing, and nothing but the quote ends a value. What is written as usual is
# left to _SCHEME, for speed.
_USUAL = rb"([\"']?)https?://[a-z0-9.-]{1,253}+(?:[/?#]|\1[ >])"
_BROKEN = rb"[\0-\x20]{0,16}+(?:(?:h ?t ?t ?p ?s?|f ?t ?p) ?: ?(?:/ ?){0,64}+|/ ?(?:/ ?){1,64}+)"
_QUOTED = b"|".join([rb"%c%s([^%c/?#]{0,%d}+)" % (quote, _BROKEN, quote, MAX_AUTHORITY) for quote in b"\"'"])
_UNQUOTED = rb"(?:(?:https?|ftp):/{0,64}+|/{2,64}+)([^\0-\x20>/?#]{0,%d}+)" % MAX_AUTHORITY
_ATTRIBUTE = re.compile(rb"= ?+(?!%s)(?:%s|%s)" % (_USUAL, _QUOTED, _UNQUOTED))

# Each with how much of it may stand at the end of a window before it matches at all.
_KINDS = ((_SCHEME, 8), (_WWW, 4), (_ATTRIBUTE, 40))
_SEEN_BEFORE = 4  # what lookbehinds see

# Those that can be part of a scheme or end a host; all others can wait until there is a host.
_REFERENCE = re.compile(
    rb"&(?:#(?:[0-9]+|[xX][0-9a-fA-F]+);?|(?:colon|sol|bsol|Tab|NewLine|num|quest|commat|period|percnt);)"
)
_DELIMITERS = "\"'<>`&"

# Python writes the one at the end of a word in another way, which is another name.
_SIGMA, _SIGMA_IN_WORDS = "\u03a3", "\u03c3"
_END_OF_ENCODED = re.compile(r"[\0- \"'<>/\\?#`&]")
_ASCII_NAME = re.compile(r"[a-z0-9_.-]*")
_ANY_NAME = re.compile("[a-z0-9_.\x80-\U0010ffff-]*")
_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z0-9_-]{1,63}")
_IPV6 = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\]")
_USUAL_NAME = re.compile(rb"(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9_-]{0,62}")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")


class Links:
    """The hosts of all links of a message, each once, in the order in which they are found.

    Names are in lower case, without a final dot and with A-labels (RFC 5890 2.3.2.1), and have two labels at least;
    numbers in any form are addresses.
    """

    def __init__(self) -> None:
        self._full: dict[Host, None] = {}
        self._bare: dict[Host, None] = {}
        self._seen: set[bytes] = set()
        self._scanned = 0
        self._effort = 0

    @property
    def hosts(self) -> list[Host]:
        """Those of full links before those of a mere www.host."""
        return list(self._full | self._bare)

    @property
    def is_full(self) -> bool:
        """Whether MAX_LINKS_SCANNED have been looked at."""
        return self._scanned >= MAX_LINKS_SCANNED

    def add_full(self, authority: bytes, is_encoded: bool) -> None:
        """Add what stands behind the slashes; `is_encoded`: percent-encoded, with all that follows."""
        if not self._is_new(authority):
            return
        if len(authority) <= _MAX_NAME and _USUAL_NAME.fullmatch(authority):
            self._full[authority.decode("ascii")] = None
        else:
            for reading in _readings(authority, is_encoded):
                self._full.update(dict.fromkeys(self._hosts(reading)))

    def add_www(self, rest: bytes) -> None:
        """Add what stands behind "www."."""
        if self._is_new(b"www." + rest):
            self._bare.update(dict.fromkeys(self._hosts("www." + _text(rest))))

    def _is_new(self, text: bytes) -> bool:
        if not text or text in self._seen or self.is_full:
            return False
        self._scanned += 1
        if len(text) <= _LONGEST_KEPT:
            self._seen.add(text)
        return True

    def _hosts(self, text: str) -> Iterator[Host]:
        """What may be the host at the beginning of a text: two where one cannot tell in which script it ends."""
        if text.startswith("["):
            if address := _ipv6(text):
                yield address
            return
        text = text[: _MAX_NAME + 2]
        if host := _host(_leading(_ASCII_NAME, text.lower())):
            yield host
        if not text.isascii() and (host := _host(self._a_labels(text))):
            yield host

    def _a_labels(self, text: str) -> str:
        """The name that browsers ask for (https://www.unicode.org/reports/tr46/, in the rough); '' where it is none."""
        mapped = normalize("NFKC", without_invisible(text)).replace(_SIGMA, _SIGMA_IN_WORDS).lower()
        # Lower case can be a form that has to be normalized in its turn.
        mapped = normalize("NFKC", mapped).replace("\u3002", ".")
        name = _leading(_ANY_NAME, mapped[: _MAX_NAME + 2])
        end = next((at for at, one in enumerate(name) if one > "\x7f" and category(one)[0] in "PZC"), len(name))
        labels = name[:end].rstrip(".").split(".")
        for number, label in enumerate(labels):
            if not label.isascii():
                self._effort += len(label) ** 2
                if len(label) > 59 or self._effort > MAX_EFFORT:
                    return ""
                labels[number] = "xn--" + punycode_encode(label).decode("ascii")
        return ".".join(labels)


class LinkFinder:
    """Finds the links of one text. It ends with white space: a link that may go on is not taken yet."""

    __slots__ = ("_held", "_links", "_reference", "_starts")

    def __init__(self, links: Links) -> None:
        self._links = links
        self._reference = b""
        self._held = b""
        self._starts = [0] * len(_KINDS)

    def feed(self, octets: bytes) -> None:
        """Take the next window of the text, in UTF-8 and with one space for each run of white space."""
        if self._links.is_full:
            return
        text = self._reference + octets
        self._reference = b""
        if b"&" in text:
            text, self._reference = _without_references(text)
        written = self._held + text
        buffer = written.lower()
        if b"\\" in buffer:
            buffer = buffer.replace(b"\\", b"/")
        self._starts = [
            self._scan(buffer, written, pattern, start, unmatched)
            for (pattern, unmatched), start in zip(_KINDS, self._starts, strict=True)
        ]
        cut = max(min(self._starts) - _SEEN_BEFORE, 0)
        self._held = written[cut:]
        self._starts = [start - cut for start in self._starts]

    def _scan(self, buffer: bytes, written: bytes, pattern: re.Pattern[bytes], start: int, unmatched: int) -> int:
        """Add the links of one kind; return where the next window has to begin with this kind."""
        end = len(buffer)
        for match in pattern.finditer(buffer, start):
            if match.end() == end:
                return match.start()
            start = match.end()
            authority = match[match.lastindex or 0]
            if b"&" in authority:
                # The names of characters are in both cases.
                authority = written[match.start(match.lastindex or 0) : start]
            if pattern is _WWW:
                self._links.add_www(authority)
            else:
                is_encoded = pattern is _SCHEME and match[1] is not None
                self._links.add_full(authority.replace(b" ", b""), is_encoded)
        return max(start, end - unmatched)


def _without_references(text: bytes) -> tuple[bytes, bytes]:
    """Return (text, rest): with those character references replaced that matter to links; the rest may go on."""
    at = text.rfind(b"&")
    last, rest = split_unfinished(text[at:].decode("latin-1"))
    text = text[:at] + last.encode("latin-1")
    return _REFERENCE.sub(_octets, text), rest.encode("latin-1")


def _octets(match: re.Match[bytes]) -> bytes:
    return _kept_octets(match[0]) if len(match[0]) <= 16 else _octets_of(match[0])


def _octets_of(reference: bytes) -> bytes:
    character = unescape(reference.decode("ascii"))
    if character in "\t\n\r":
        return b""  # browsers take these out of an address
    # No delimiter where it stands, nor is any of these part of a host: so anything does that is neither.
    return b"\x7f" if character in _DELIMITERS else character.encode("utf-8", "replace")


_kept_octets = lru_cache(1024)(_octets_of)


def _text(octets: bytes) -> str:
    return unescape(octets.decode("utf-8", "replace"), True)


def _readings(authority: bytes, is_encoded: bool) -> Iterator[str]:
    """All that may begin with the host.

    Where there is an "@", that is what stands behind it; but in text it may be that the link ends before it.
    """
    text = _text(authority)
    if is_encoded:
        text = _END_OF_ENCODED.split(unquote(text), maxsplit=1)[0]
    yield unquote(text)
    if "@" in text:
        yield unquote(text.rpartition("@")[2])


def _leading(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.match(text)
    return match[0] if match else ""


def _host(text: str) -> Host | None:
    name = text.rstrip(".")
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return _ipv4(name.split("."))
    return name if len(name) <= _MAX_NAME and _NAME.fullmatch(name) else None


def _ipv4(numbers: list[str]) -> IPv4Address | None:
    """The address of one to four numbers, the last of which fills what the others leave; hexadecimal, octal, decimal.

    Source: https://url.spec.whatwg.org/#concept-ipv4-parser
    """
    if len(numbers) > 4 or not all(map(_NUMBER.fullmatch, numbers)):
        return None
    try:
        *upper, last = [_number(number) for number in numbers]
    except ValueError:  # 8 and 9 are no octal digits
        return None
    if last >= 256 ** (4 - len(upper)) or any(number > 255 for number in upper):
        return None
    return IPv4Address(last + sum([number << 8 * (3 - place) for place, number in enumerate(upper)]))


def _number(digits: str) -> int:
    if digits.startswith("0x"):
        return int(digits[2:] or "0", 16)
    return int(digits, 8 if digits.startswith("0") else 10)


def _ipv6(text: str) -> IPv4Address | IPv6Address | None:
    match = _IPV6.match(text)
    try:
        address = IPv6Address(match[1]) if match else None
    except ValueError:
        return None
    return address.ipv4_mapped or address if address else None
