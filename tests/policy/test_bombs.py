"""No message keeps others waiting or swells: CPU between two yields of judge(), CPU in all, memory.

Each bomb is small or large, but of those bytes that cost a careless reader most.
"""

import gc
import struct
import tracemalloc
import zlib
from base64 import b64encode
from collections.abc import Callable
from time import process_time
from typing import NamedTuple

import pytest

from mwall.policy.matching import Matcher
from mwall.policy.patterns import parse_patterns
from mwall.policy.profile import Profile, parse_profile
from mwall.policy.verdict import Bounds, judge
from tests.policy.hiding import EICAR, base64, wire
from tests.policy.hiding_archives import CENTRAL, END, gzipped, zipped
from tests.policy.test_hiding import ENVELOPE, RULES

MANY, MB = 50_000, 1_000_000
CODE_PAGES = [*range(1250, 1259), 437, 850, 852, 855, 866, 932, 949, 950, 37, 500, 1140]
CHUNK = 65_536
LONGEST_SLICE, BY_THE_ISSUE, AT_MOST = 0.1, 1.0, 5.0

MORE_RULES = rb"""
to_required="0"
header_rejecti="0,Subject:buy viagra"
header_regex="0,Subject:v[i1]agra"
body_reject="0,Viagra"
body_regex="0,v[i1]agra\s+now"
mime_reject="0,application/x-msdownload"
type_mismatch="0"
"""
KEYS = "".join(f'body_rejecti="0,buy {word} now"\n' for word in ("пилюли", "watches", "таблетки", "degrees")).encode()

_MULTIPART = "Content-Type: multipart/mixed; boundary=b\n"
_BASE64 = "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n"
_QUOTED = "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n"
_HTML = "Content-Type: text/html; charset=utf-8\n"
_UU = "Content-Transfer-Encoding: x-uuencode\n"


class Message(NamedTuple):
    header: bytes
    body: bytes


def message(fields: str, content: str | bytes) -> Message:
    return Message(b"From: jane@example.org\r\nMIME-Version: 1.0\r\n" + wire(fields), wire(content))


def _deep(levels: int) -> str:
    return "".join(f"--b{i}\nContent-Type: multipart/mixed; boundary=b{i + 1}\n\n" for i in range(levels))


def _nested_zips(width: int, depth: int, zeros: int) -> bytes:
    octets = zipped(("0", bytes(zeros)))
    for _ in range(depth):
        octets = zipped(*((f"{i}.zip", octets) for i in range(width)))
    return octets


def _overlapping_zip(entries: int, zeros: int) -> bytes:
    """All entries of the directory are one and the same member (bamsoftware.com/hacks/zipbomb)."""
    octets = zipped(("0", bytes(zeros)))
    start, end = octets.index(CENTRAL), octets.index(END)
    directory = octets[start:end] * entries
    return octets[:start] + directory + END + struct.pack("<4H2LH", 0, 0, entries, entries, len(directory), start, 0)


def _endless_gzip(megabytes: int) -> bytes:
    """The gzip of so many zeros, but for its checksum."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return gzipped(b"")[:10] + block * megabytes + compressor.flush() + bytes(8)


def _archive(octets: bytes) -> Message:
    return message(_BASE64, base64(octets))


def _lines(line: str, size: int = 10 * MB) -> str:
    return line * (size // (len(line) + 1))


# By issue: those that may take a second of CPU at most.
NAMED: dict[str, Callable[[], Message]] = {
    "50,000 parts": lambda: message(_MULTIPART, "--b\n\nx\n" * MANY),
    "50,000 parts with headers": lambda: message(_MULTIPART, "--b\nContent-Type: text/html; name=a\n\n<p>\n" * MANY),
    "depth 10,000": lambda: message("Content-Type: multipart/mixed; boundary=b0\n", _deep(10_000)),
    "depth 10,000, messages": lambda: message(
        "Content-Type: message/rfc822\n", "Content-Type: message/rfc822\n\n" * 10_000
    ),
    "20,000 encoded words": lambda: message("Subject: " + "=?utf-8?q?=C3=BC?= " * 20_000 + "\n", "\n"),
    "20,000 encoded words, folded": lambda: message("Subject:" + "\n =?utf-8?b?w7w=?=" * 20_000 + "\n", "\n"),
    "20,000 encoded words in a name": lambda: message(
        'Content-Type: a/b; name="' + "=?utf-8?q?=C3=BC?= " * 20_000 + '"\n', "\n"
    ),
    "50,000 parameters": lambda: message("Content-Type: a/b" + "; a=b" * MANY + "\n", "\n"),
    "50,000 parameters, names": lambda: message("Content-Type: a/b" + "; name=a.exe" * MANY + "\n", "\n"),
    "50,000 parameters, sections": lambda: message(
        "Content-Type: a/b" + "".join(f"; name*{i}=a" for i in range(MANY)) + "\n", "\n"
    ),
    "50,000 parameters, sections backwards": lambda: message(
        "Content-Type: a/b" + "".join(f"; name*{i}*=%41" for i in reversed(range(MANY))) + "\n", "\n"
    ),
    "50,000 parameters, boundaries": lambda: message(
        "Content-Type: multipart/mixed" + "".join(f"; boundary=b{i}" for i in range(MANY)) + "\n", "--b1\n\nx\n" * 900
    ),
    "10 MB header": lambda: message("X-Pad: " + "x" * 10 * MB + "\n", "\n"),
    "10 MB header, many fields": lambda: message("X: x\n" * (2 * MB), "\n"),
    "10 MB header of a part": lambda: message(_MULTIPART, "--b\nX-Pad: " + "x" * 10 * MB + "\n\nx\n--b--\n"),
    "10 MB header of a part, many fields": lambda: message(_MULTIPART, "--b\n" + "X: x\n" * (2 * MB) + "\n--b--\n"),
    "zip bomb": lambda: _archive(_nested_zips(16, 3, 64 * MB)),
    "zip bomb, overlapping": lambda: _archive(_overlapping_zip(10_000, 10 * MB)),
    "gzip of 1 GB": lambda: _archive(_endless_gzip(1024)),
    "base64 of spaces": lambda: message(_BASE64, " " * 10 * MB),
    "base64 of lines of spaces": lambda: message(_BASE64, _lines(" " * 75 + "\n")),
    "HTML with 100,000 nested tags": lambda: message(_HTML, "<div>" * 100_000 + "x" + "</div>" * 100_000),
    "HTML with 100,000 hidden tags": lambda: message(
        _HTML, '<div style="display:none">' * 100_000 + "x" + "</div>" * 100_000
    ),
    "HTML with 100,000 unlike nested tags": lambda: message(_HTML, "".join(f"<x{i}>" for i in range(100_000))),
}

OTHERS: dict[str, Callable[[], Message]] = {
    "base64 of =": lambda: message(_BASE64, "=" * 10 * MB),
    "base64 of padded quartets": lambda: message(_BASE64, "QQ==" * (10 * MB // 4)),
    "base64 of padded lines": lambda: message(_BASE64, "QQ==\n" * (2 * MB)),
    "base64 of junk": lambda: message(_BASE64, "A*" * (5 * MB)),
    "delimiters": lambda: message(_MULTIPART, _lines("\n--b")),
    "delimiters of no boundary": lambda: message('Content-Type: multipart/mixed; boundary=""\n', _lines("\n--b")),
    "delimiters of an empty boundary": lambda: message('Content-Type: multipart/mixed; boundary=""\n', _lines("\n--")),
    "delimiters that go on": lambda: message(_MULTIPART, _lines("\n--bc")),
    "ends": lambda: message(_MULTIPART, _lines("\n--b--")),
    "lines that begin like a long boundary": lambda: message(
        "Content-Type: multipart/mixed; boundary=" + "b" * 900 + "\n", _lines("\n--" + "b" * 899)
    ),
    "HTML of <": lambda: message(_HTML, "<" * 10 * MB),
    "HTML of <a": lambda: message(_HTML, "<a " * (3 * MB)),
    "HTML of <!--": lambda: message(_HTML, "<!--" * (10 * MB // 4)),
    "HTML of <!-- -->": lambda: message(_HTML, "<!---->" * (10 * MB // 7)),
    "HTML of quotes": lambda: message(_HTML, "<a x='\"" * (10 * MB // 7)),
    "HTML of &": lambda: message(_HTML, "&" * 10 * MB),
    "HTML of &#": lambda: message(_HTML, "&#" * (5 * MB)),
    "HTML of an endless entity": lambda: message(_HTML, "&#" + "1" * 10 * MB),
    "HTML of entities": lambda: message(_HTML, "&nbsp;&zwnj;&#8203;" * (10 * MB // 19)),
    "HTML of <script>": lambda: message(_HTML, "<script>" * (10 * MB // 8)),
    "HTML of </": lambda: message(_HTML, "</" * (5 * MB)),
    "HTML of styles": lambda: message(_HTML, '<b style="' + "display:none;" * 50_000 + '">' + "<style>.a{" * MB),
    "boundaries that never come": lambda: message(
        _MULTIPART,
        "".join(f"--b\nContent-Type: multipart/mixed; boundary=never{i}\n\n{'x' * 60}\n" for i in range(990)),
    ),
    "boundaries that never come, over 10 MB": lambda: message(
        _MULTIPART,
        "".join(
            f"--b\nContent-Type: multipart/mixed; boundary=never{i}\n\n" + ("-" * 60 + "\n") * 166 for i in range(990)
        ),
    ),
    "nested boundaries over 10 MB": lambda: message(
        "Content-Type: multipart/mixed; boundary=b0\n", _deep(49) + _lines("\n--b")
    ),
    # What costs in proportion to the size shall not be done in one go: these are as large as mail can be by default.
    "50 MB of empty lines": lambda: message("", "\n" * (25 * MB)),
    "50 MB of empty lines in a multipart": lambda: message(_MULTIPART, "\n" * (25 * MB)),
    "50 MB of --": lambda: message(_MULTIPART, _lines("--\n", 50 * MB)),
    "50 MB of needless dots": lambda: message("", ".\n" * (16 * MB)),
    "6 MB of needless dots": lambda: message("", ".\n" * (2 * MB)),
    "50 MB of base64 of =": lambda: message(_BASE64, "=" * 50 * MB),
    "50 MB of base64 of padded quartets": lambda: message(_BASE64, "QQ==" * (50 * MB // 4)),
    "50 MB of uuencode without octets": lambda: message("", "begin 644 x\n" + "`\n" * (16 * MB)),
    "50 MB of begin-base64 of =": lambda: message("", "begin-base64 644 x\n" + "====\n" * (8 * MB)),
    "10 MB of HTML comments": lambda: message(_HTML, "<!---->" * (10 * MB // 7)),
    "10 MB of HTML attributes": lambda: message(_HTML, "<b" + " a=b" * (10 * MB // 4)),
    "10 MB of UTF-7": lambda: message("Content-Type: text/html; charset=utf-7\n", "+ADw-!--+AD4-" * (10 * MB // 13)),
    "50 MB of UTF-16": lambda: Message(
        wire("Content-Type: text/html; charset=utf-16\nContent-Transfer-Encoding: base64\n"),
        b64encode(("<b>é</b>" * (2 * MB)).encode("utf-16")),
    ),
    "49 messages with large headers": lambda: message(
        "Content-Type: message/rfc822\n", ("X: " + "x" * 900_000 + "\nContent-Type: message/rfc822\n\n") * 49
    ),
    "one text in 20 charsets": lambda: message(
        "".join(f"Content-Type: text/html; charset=cp{number}\n" for number in CODE_PAGES), "<b>x</b> & " * MB
    ),
    "one text in 16 charsets": lambda: message(
        "Content-Type: text/html" + "".join(f"; charset=cp{number}" for number in CODE_PAGES[:16]) + "\n",
        "<b>x</b> &amp; " * (700_000),
    ),
    "thousands of types": lambda: message("Content-Type: multipart/mixed; boundary=b\n" * 9_000, "--b\n\nx\n" * 900),
    "thousands of labels": lambda: message(
        "Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: quoted-printable\n" * 4_000, "QUFB\n" * MB
    ),
    "50 MB of Cyrillic": lambda: message(
        "Content-Type: text/plain; charset=utf-8\n", "Съешь ещё этих мягких французских булок\n" * 650_000
    ),
    "50 MB of Cyrillic in base64": lambda: Message(
        wire("Content-Type: text/html; charset=koi8-r\nContent-Transfer-Encoding: base64\n"),
        b64encode("Съешь ещё этих мягких <b>французских</b> булок ".encode("koi8-r") * 800_000),
    ),
    "a line of 10 MB": lambda: message("", "a" * 10 * MB),
    "a line of blanks": lambda: message("", " " * 10 * MB),
    "zero-width characters": lambda: message("Content-Type: text/plain; charset=utf-8\n", "\u200b" * (3 * MB)),
    "quoted-printable of =": lambda: message(_QUOTED, "=" * 10 * MB),
    "quoted-printable of soft breaks": lambda: message(_QUOTED, "=\n" * (3 * MB)),
    "quoted-printable of blanks": lambda: message(_QUOTED, _lines(" " * 9_999 + "\n")),
    "quoted-printable of a soft break behind blanks": lambda: message(_QUOTED, "=" + " " * 10 * MB),
    "quoted-printable of =00": lambda: message(_QUOTED, "=41" * (3 * MB)),
    "uuencode of M": lambda: message(_UU, "begin 644 x\n" + "M" * 10 * MB),
    "uuencode of lines": lambda: message(_UU, "begin 644 x\n" + ("M" * 61 + "\n") * (10 * MB // 63)),
    "20,000 begins": lambda: message("", "begin 644 x\n" * 20_000),
    "20,000 begins with a line": lambda: message("", "begin 644 x\n#0V%T\n" * 20_000),
    "20,000 files": lambda: message("", "begin 644 x.exe\n#0V%T\n`\nend\n" * 20_000),
    "UTF-7 shifted": lambda: message("Content-Type: text/plain; charset=utf-7\n", "+" + "AGEAYgBj" * (10 * MB // 8)),
    "UTF-7 of +": lambda: message("Content-Type: text/plain; charset=utf-7\n", "+" * 10 * MB),
    "UTF-7 of +-": lambda: message("Content-Type: text/plain; charset=utf-7\n", "+-" * (5 * MB)),
    "ISO-2022-JP of escapes": lambda: message(
        "Content-Type: text/plain; charset=iso-2022-jp\n", b"\x1b$B\x1b(B" * (10 * MB // 6)
    ),
    "HZ of escapes": lambda: message("Content-Type: text/plain; charset=hz-gb-2312\n", "~{~}" * (10 * MB // 4)),
    "punycode": lambda: message("Content-Type: text/plain; charset=punycode\n", "-" + "a9" * 500_000),
    "idna": lambda: message("Content-Type: text/plain; charset=idna\n", "xn--" + "a" * 500_000),
    "unicode_escape": lambda: message("Content-Type: text/plain; charset=unicode_escape\n", "\\N{" * (3 * MB)),
    "digest of 450 messages": lambda: message(
        "Content-Type: multipart/digest; boundary=b\n", "--b\n\nSubject: x\n\nx\n" * 450
    ),
    "a zip of 60,000 files": lambda: _archive(zipped(*((f"{i}", b"") for i in range(60_000)))),
    "zips of local headers": lambda: _archive(zipped(("a", b"x"))[:32] * 100_000),
    "zips of ends": lambda: _archive((END + bytes(18)) * 400_000),
    "10 MB of MZ": lambda: _archive(b"MZPK\3\4" * (7 * MB // 6)),
    "gzips in a row": lambda: _archive(gzipped(b"x") * 200_000),
    "gzip in gzip 1,000 deep": lambda: _archive(_gzip_deep(1000)),
}


def _gzip_deep(levels: int) -> bytes:
    octets = b"x"
    for _ in range(levels):
        octets = gzipped(octets)
    return octets


LARGEST = [
    "50,000 parts", "10 MB header of a part", "zip bomb", "zip bomb, overlapping", "gzip of 1 GB", "base64 of spaces",
    "base64 of padded quartets", "delimiters", "HTML of <", "HTML of entities", "50 MB of Cyrillic",
    "50 MB of Cyrillic in base64", "a line of 10 MB", "quoted-printable of =00", "uuencode of lines", "20,000 files",
    "50 MB of empty lines", "6 MB of needless dots", "50 MB of UTF-16",
    "49 messages with large headers", "UTF-7 shifted", "a zip of 60,000 files",
]  # fmt: skip


@pytest.fixture(scope="module")
def profile() -> Profile:
    faults: list = []
    matcher = Matcher(parse_patterns(b"Eicar-Test-Signature=" + EICAR.hex().encode(), "v", faults))
    profile = parse_profile(RULES + MORE_RULES + KEYS, "Test", "Test", faults, {"v": matcher})
    assert faults == []
    assert profile is not None
    return profile


def chunks_of(body: bytes) -> list[bytes | bytearray]:
    whole = [body[i : i + CHUNK] for i in range(0, len(body), CHUNK)]
    return [b"\r\n", *whole]


def cpu(profile: Profile, bomb: Message) -> tuple[float, float]:
    """(the longest time between two yields, all time), in seconds of CPU."""
    chunks = chunks_of(bomb.body)
    gc.collect()
    longest, start = 0.0, process_time()
    before = start
    for _ in judge(profile, ENVELOPE, bomb.header, chunks, Bounds(100, 1000, 50)):
        now = process_time()
        longest, before = max(longest, now - before), now
    now = process_time()
    return max(longest, now - before), now - start


@pytest.mark.parametrize("name", [*NAMED, *OTHERS])
def test_nobody_waits(profile: Profile, name: str) -> None:
    bomb = (NAMED.get(name) or OTHERS[name])()
    bound = BY_THE_ISSUE if name in NAMED else AT_MOST
    longest, total = cpu(profile, bomb)
    if longest >= LONGEST_SLICE or total >= bound:
        longest, total = map(min, (longest, total), cpu(profile, bomb))
    print(f"{name}: {len(bomb.header) + len(bomb.body):,} octets, slice {longest * 1000:.0f} ms, {total:.2f} s")
    assert longest < LONGEST_SLICE
    assert total < bound


@pytest.mark.parametrize("name", LARGEST)
def test_nothing_swells(profile: Profile, name: str) -> None:
    header, body = (NAMED.get(name) or OTHERS[name])()
    size = len(header) + len(body)
    gc.collect()
    tracemalloc.start()
    try:
        chunks = chunks_of(body)
        del body
        for _ in judge(profile, ENVELOPE, header, chunks, Bounds(100, 1000, 50)):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    print(f"{name}: {size:,} octets, peak {peak:,}")
    assert peak < 2 * size + (8 << 20)
