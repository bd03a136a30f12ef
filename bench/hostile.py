"""Messages made to stall or swell a filter: each as it goes over the wire, without the final dot.

The last is honest mail, for what a worker keeps of each message.
"""

import base64
import gzip
import io
import random
import zipfile
from collections.abc import Callable
from typing import NamedTuple

from messages import attachment_5m

MEGA = 1_000_000

_HEADER = (
    b"From: A <a@example.org>\r\nTo: B <b@example.org>\r\nSubject: hello\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    b"Message-Id: <1@example.org>\r\nMIME-Version: 1.0\r\n"
)


class Hostile(NamedTuple):
    """bomb: small work for the sender, so that no more than a second of CPU may go into it. times: sent so often."""

    name: str
    make: Callable[[], bytes]
    bomb: bool = True
    times: int = 1


def _repeated(line: bytes, octets: int) -> bytes:
    return line * (octets // len(line))


def _message(content_type: str, body: bytes, encoding: str = "8bit") -> bytes:
    fields = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return _HEADER + fields.encode() + body


def _base64(octets: bytes) -> bytes:
    text = base64.b64encode(octets)
    return b"\r\n".join([text[start : start + 76] for start in range(0, len(text), 76)]) + b"\r\n"


def cyrillic() -> bytes:
    """50 MB of text in UTF-8, hardly two lines alike."""
    text = "в начале недели собрание решило что новый корабль придёт в гавань поздно вечером и все ждали письма"
    words = text.split()
    lines = [
        f"{number} {' '.join(words[number * step % len(words)] for step in (1, 3, 5, 7, 11))}\r\n".encode()
        for number in range(100_000)
    ]
    some = b"".join(lines)
    return _message("text/plain; charset=utf-8", _repeated(some, 50 * MEGA) + b"".join(lines[:60_000]))


def many_parts() -> bytes:
    """50,000 parts."""
    parts = b"".join([b"--b\r\nContent-Type: text/plain\r\n\r\npart %d\r\n" % number for number in range(50_000)])
    return _message("multipart/mixed; boundary=b", parts + b"--b--\r\n")


def bounded_parts() -> bytes:
    """As many parts as are allowed, each of 50 KB with a file name."""
    text = _repeated(b"nothing to see in this line of text, nor in any other of them\r\n", 49_000)
    head = b"--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=f%d.txt\r\n\r\n"
    return _message("multipart/mixed; boundary=b", b"".join([head % number + text for number in range(990)]))


def deep() -> bytes:
    """10,000 multiparts within each other."""
    levels = [b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(10_000)]
    return _message("multipart/mixed; boundary=b0", b"".join(levels) + b"text\r\n")


def deep_messages() -> bytes:
    """10,000 messages attached to each other."""
    return _message("message/rfc822", b"Content-Type: message/rfc822\r\n\r\n" * 10_000 + b"Subject: x\r\n\r\ntext\r\n")


def encoded_words() -> bytes:
    """20,000 encoded words in the Subject."""
    words = b"\r\n ".join([b"=?utf-8?%s" % (b"q?a=%02x?=" % (65 + number % 26)) for number in range(20_000)])
    return _HEADER.replace(b"hello", words) + b"\r\ntext\r\n"


def parameters() -> bytes:
    """Content-Type with 50,000 parameters, in pieces as RFC 2231 has them."""
    return _message("text/plain;\r\n " + ";\r\n ".join(f"name*{number}*=%41" for number in range(50_000)), b"text\r\n")


def long_header() -> bytes:
    """10 MB of header fields."""
    return _HEADER + _repeated(b"X-Filler: " + b"x" * 60 + b"\r\n", 10 * MEGA) + b"\r\ntext\r\n"


def part_header() -> bytes:
    """10 MB of header fields in a part."""
    fields = _repeated(b"X-Filler: " + b"x" * 60 + b"\r\n", 10 * MEGA)
    return _message("multipart/mixed; boundary=b", b"--b\r\n" + fields + b"\r\ntext\r\n--b--\r\n")


def _zip(names: list[str], content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def zip_bomb() -> bytes:
    """As 42.zip: sixteen zips in each of sixteen, five deep; in each innermost one 200 MB of zeros."""
    bomb = _zip(["zeros"], bytes(200 * MEGA))
    for _ in range(5):
        bomb = _zip([f"{number:02}.zip" for number in range(16)], bomb)
    return _message("application/zip; name=bomb.zip", _base64(bomb), "base64")


def gzip_bomb() -> bytes:
    """1 GB of zeros, packed twice."""
    once = gzip.compress(bytes(100 * MEGA), mtime=0) * 10
    return _message("application/gzip; name=bomb.gz", _base64(gzip.compress(once, mtime=0)), "base64")


def spaces() -> bytes:
    """Base64 of 40 MB that are spaces."""
    return _message("application/pdf; name=a.pdf", _repeated(b" " * 76 + b"\r\n", 40 * MEGA), "base64")


def nested_html() -> bytes:
    """HTML with 100,000 tags within each other."""
    body = b"\r\n".join([b"<div><b style='x'>" * 8 + b"a"] * (100_000 // 16))
    return _message("text/html; charset=utf-8", b"<html><body>" + body + b"\r\n")


def open_html() -> bytes:
    """HTML with 500,000 comments and tags that never end."""
    return _message("text/html; charset=utf-8", b"<!-- <a href='\r\n" * 250_000 + b"<a href='x' <!-\r\n" * 250_000)


def entities() -> bytes:
    """20 MB of HTML that is entities."""
    return _message("text/html", _repeated(b"&eacute;&#x41;&#65;&amp;&notanentity;&#xfffffff;\r\n", 20 * MEGA))


def large_zip() -> bytes:
    """50 MB in base64: one zip of files that hold what does not compress."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        at = random.Random(42)
        for number in range(36):
            archive.writestr(zipfile.ZipInfo(f"photo{number}.jpg"), at.randbytes(MEGA), zipfile.ZIP_DEFLATED)
    return _message("application/zip; name=photos.zip", _base64(packed.getvalue()), "base64")


def quoted_printable() -> bytes:
    """20 MB of quoted-printable, every octet of it encoded."""
    return _message("text/plain; charset=utf-8", _repeated(b"=D0=B6" * 12 + b"=\r\n", 20 * MEGA), "quoted-printable")


def uuencoded() -> bytes:
    """20 MB of uuencode in a text."""
    lines = _repeated(b"M" + b"#" * 60 + b"\r\n", 20 * MEGA)
    return _message("text/plain", b"begin 644 a.bin\r\n" + lines + b"`\r\nend\r\n")


def begins() -> bytes:
    """20 MB of beginnings of uuencode that never go on."""
    return _message("text/plain", _repeated(b"begin 644 a.exe\r\n", 20 * MEGA))


def dashes() -> bytes:
    """20 MB of lines that look like boundaries, for one of 70 characters."""
    near = b"--" + b"-" * 69 + b"x\r\n"
    return _message(f"multipart/mixed; boundary={'-' * 69}y", _repeated(near, 20 * MEGA))


HOSTILE = (
    Hostile("50 MB of UTF-8 (Cyrillic)", cyrillic, bomb=False),
    Hostile("50,000 parts", many_parts),
    Hostile("990 parts of 50 KB", bounded_parts, bomb=False),
    Hostile("multiparts 10,000 deep", deep),
    Hostile("messages 10,000 deep", deep_messages),
    Hostile("20,000 encoded words", encoded_words),
    Hostile("50,000 parameters", parameters),
    Hostile("10 MB header", long_header),
    Hostile("10 MB header of a part", part_header),
    Hostile("zip bomb, as 42.zip", zip_bomb),
    Hostile("gzip bomb", gzip_bomb),
    Hostile("40 MB of spaces, base64", spaces),
    Hostile("100,000 tags, nested", nested_html),
    Hostile("500,000 open comments, tags", open_html, bomb=False),
    Hostile("20 MB of entities", entities, bomb=False),
    Hostile("50 MB of base64, one zip", large_zip, bomb=False),
    Hostile("20 MB quoted-printable", quoted_printable, bomb=False),
    Hostile("20 MB of uuencode", uuencoded, bomb=False),
    Hostile("20 MB of beginnings", begins, bomb=False),
    Hostile("20 MB of near boundaries", dashes, bomb=False),
    Hostile("5 MB attachment, 40 times", attachment_5m, bomb=False, times=40),
)
