"""Ways to hide the EICAR test file in archives, or to keep a filter from looking into them."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import warnings
import zipfile
import zlib

from tests.policy.hiding import (
    EICAR,
    INVALID,
    TEXT_PART,
    UNREADABLE,
    VIRUS,
    VIRUS_OR_UNREADABLE,
    Row,
    base64,
    file_part,
    mixed,
    multipart,
    row,
    uuencode,
)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two members of one name
        archive.comment = comment
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return stream.getvalue()


def streamed_zip(name: str, data: bytes) -> bytes:
    """A zip written to a pipe: the sizes are behind the data."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.octets = b""

        def writable(self) -> bool:
            return True

        def write(self, octets: bytes) -> int:  # type: ignore[override]
            self.octets += bytes(octets)
            return len(octets)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        archive.writestr(name, data)
    return pipe.octets


def tarred(*members: tuple[str, bytes], form: int = tarfile.PAX_FORMAT, mode: str = "w") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def gzipped(data: bytes, flags: int = 0, fields: bytes = b"") -> bytes:
    """A gzip member with these optional fields in its header (RFC 1952 2.3)."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = compressor.compress(data) + compressor.flush()
    head = b"\x1f\x8b\x08" + bytes([flags]) + bytes(4) + b"\x00\x03" + fields
    return head + body + struct.pack("<LL", zlib.crc32(data), len(data))


def encrypted_zip(name: str = "a.txt") -> bytes:
    """As zipped(), with the flag of encryption, so that nobody can tell what is in it."""
    octets = bytearray(zipped((name, bytes(range(100)))))
    octets[6] |= 1
    octets[octets.index(b"PK\x01\x02") + 8] |= 1
    return bytes(octets)


def patched(octets: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """With `value` at `offset` behind the first octet of each record that begins with `signature`."""
    changed, start = bytearray(octets), octets.find(signature)
    while start >= 0:
        changed[start + offset : start + offset + len(value)] = value
        start = octets.find(signature, start + 1)
    return bytes(changed)


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_TEXT = ("readme.txt", b"Hello")
_FILE = ("virus.com", EICAR)
_ZIP = zipped(_FILE)
_PLAIN_ZIP = zipped(_TEXT)


def _attached(name: str, octets: bytes, *found: str, fields: str = "Content-Type: application/octet-stream\n") -> Row:
    return row(name, multipart(), mixed([TEXT_PART, file_part(octets, fields)]), *found)


def _behind(first: bytes, second: bytes) -> bytes:
    """Two zips in one file; the offsets of the second are told from the start of the file."""
    entry = second.index(CENTRAL)
    moved = bytearray(second)
    end = moved.index(END)
    moved[entry + 42 : entry + 46] = struct.pack("<L", len(first))
    moved[end + 16 : end + 20] = struct.pack("<L", len(first) + entry)
    return first + bytes(moved)


def _zip64() -> bytes:
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a", "w", force_zip64=True) as member,
    ):
        member.write(EICAR)
    return stream.getvalue()


def _sized_by_pax() -> bytes:
    """The size stands in the extended header alone."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("a")
        entry.size, entry.pax_headers = 0, {"size": str(len(_ZIP))}
        archive.addfile(entry)
    return stream.getvalue()[: -20 * 512].rstrip(b"\0").ljust(1536, b"\0") + _ZIP.ljust(512, b"\0") + bytes(1024)


def _zips() -> list[tuple[str, bytes]]:
    nested = _ZIP
    for _ in range(5):
        nested = zipped(("a.zip", nested))
    two = zipped(_TEXT, _FILE)
    central_end = two.index(END)
    central = two.index(CENTRAL)
    second_central = two.index(CENTRAL, central + 1)
    # The second member has no entry in the central directory any more.
    unlisted = two[:second_central] + patched(
        two[central_end:], END, 8, struct.pack("<HHL", 1, 1, second_central - central)
    )
    stored = zipped(_FILE, method=zipfile.ZIP_STORED)
    dropped = _ZIP[: _ZIP.index(CENTRAL)]
    return [
        ("deflated", _ZIP),
        ("stored", stored),
        ("the last of a hundred", zipped(*[(f"{i}.txt", b"Hello") for i in range(100)], _FILE)),
        ("two of one name, the first", zipped(_FILE, ("virus.com", b"Hello"))),
        ("two of one name, the second", zipped(("virus.com", b"Hello"), _FILE)),
        ("in a folder", zipped(("a/b/", b""), ("a/b/virus.com", EICAR))),
        ("far within", zipped(("a", bytes(300_000) + EICAR))),
        ("with a comment", zipped(_FILE, comment=b"c" * 1000)),
        ("with an end in its comment", zipped(_FILE, comment=END + bytes(18))),
        ("with a zip in its comment", zipped(_TEXT, comment=_ZIP)),
        ("with a zip as a comment before another", _behind(_PLAIN_ZIP, _ZIP)),
        ("followed by another", _ZIP + _PLAIN_ZIP),
        ("following another", _PLAIN_ZIP + _ZIP),
        ("before a correct other", _behind(_ZIP, _PLAIN_ZIP)),
        ("behind a program", b"MZ" + bytes(1000) + _ZIP),
        ("behind text", b"text\r\n" * 500 + _ZIP),
        ("before junk", _ZIP + b"junk" * 100),
        ("before 100,000 octets of junk", _ZIP + b"junk" * 25_000),
        ("in a zip", zipped(("a.zip", _ZIP))),
        ("in a zip, under another name", zipped(("a.txt", _ZIP))),
        ("in a stored zip", zipped(("a.zip", _ZIP), method=zipfile.ZIP_STORED)),
        ("in six zips", nested),
        ("written to a pipe", streamed_zip("virus.com", EICAR)),
        ("unlisted member", unlisted),
        ("without a central directory", dropped),
        ("cut in the central directory", _ZIP[:-30]),
        ("with a wrong name in the local header", _ZIP.replace(b"virus.com", b"virus.txt", 1)),
        ("with a wrong CRC", patched(patched(_ZIP, LOCAL, 14, bytes(4)), CENTRAL, 16, bytes(4))),
        ("with wrong sizes in the local header", patched(_ZIP, LOCAL, 18, bytes(8))),
        ("with wrong sizes in the central directory", patched(_ZIP, CENTRAL, 20, bytes(8))),
        ("said to be stored in the local header", patched(_ZIP, LOCAL, 8, b"\0\0")),
        ("said to be stored in the central directory", patched(_ZIP, CENTRAL, 10, b"\0\0")),
        ("said to be encrypted in the local header", patched(_ZIP, LOCAL, 6, b"\1\0")),
        ("said to be encrypted in the central directory", patched(_ZIP, CENTRAL, 8, b"\1\0")),
        ("said to be of a new version", patched(patched(_ZIP, LOCAL, 4, b"\xff\xff"), CENTRAL, 6, b"\xff\xff")),
        ("said to be on another disk", patched(_ZIP, CENTRAL, 34, b"\1\0")),
        ("said to be a folder", _ZIP.replace(b"virus.com", b"virus.co/")),
        ("with a wrong count of entries", patched(_ZIP, END, 8, b"\0\0\0\0")),
        ("with a wrong offset of the directory", patched(_ZIP, END, 16, b"\xff\xff\0\0")),
        ("of parts", b"PK\x07\x08" + _ZIP),
        ("of parts, the temporary mark", b"PK00" + _ZIP),
        ("behind a broken member", patched(_PLAIN_ZIP, LOCAL, 30, b"\xff" * 20)[:50] + _ZIP),
        ("with sizes of ZIP64", _zip64()),
        ("gzip within", zipped(("a.gz", gzipped(EICAR)))),
        ("tar within", zipped(("a.tar", tarred(_FILE)))),
        ("tgz within", zipped(("a.tgz", gzip.compress(tarred(_FILE), mtime=0)))),
    ]


def _retyped(tar: bytes, kind: bytes) -> bytes:
    head = bytearray(tar[:512])
    head[156:157], head[148:156] = kind, b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + tar[512:]


def _others() -> list[tuple[str, bytes]]:
    tar = tarred(_FILE)
    broken = bytearray(tar)
    broken[148:156] = b"000000\0 "
    return [
        ("gzip", gzipped(EICAR)),
        ("gzip with a name", gzipped(EICAR, 8, b"virus.com\0")),
        ("gzip with all fields", gzipped(EICAR, 0x1F, b"\x04\0abcd" + b"a\0" + b"c\0" + b"\0\0")),
        ("gzip with a long name", gzipped(EICAR, 8, b"a" * 10_000 + b"\0")),
        ("gzip, the second member", gzipped(b"Hello") + gzipped(EICAR)),
        ("gzip, split over members", gzipped(EICAR[:30]) + gzipped(EICAR[30:])),
        ("gzip with a wrong CRC", gzipped(EICAR)[:-8] + bytes(8)),
        ("gzip without its end", gzipped(EICAR)[:-8]),
        ("gzip before junk", gzipped(EICAR) + b"junk"),
        ("gzip behind zeros and another", gzipped(b"Hello") + bytes(512) + gzipped(EICAR)),
        ("gzip in gzip", gzipped(gzipped(EICAR))),
        ("gzip with a tar", gzipped(tar)),
        ("gzip with a zip", gzipped(_ZIP)),
        ("gzip with it far within", gzipped(bytes(500_000) + EICAR)),
        ("tar", tar),
        ("tar, old", tarred(_FILE, form=tarfile.USTAR_FORMAT)),
        ("tar, GNU with a long name", tarred(("a" * 200, EICAR), form=tarfile.GNU_FORMAT)),
        ("tar, pax with a long name", tarred(("ä" * 200, EICAR))),
        ("tar with a zip", tarred(("a", _ZIP))),
        ("tar with a gzip in a gzip", gzipped(tarred(("a", gzipped(EICAR))))),
        ("tar with a wrong checksum, zipped within", bytes(broken).replace(EICAR, _ZIP.ljust(68, b"\0")[:512])),
        ("tar with its size in pax", _sized_by_pax()),
        ("tar of a contiguous file", _retyped(tarred(("a", _ZIP)), b"7")),
        ("tar of an unknown type", _retyped(tarred(("a", _ZIP)), b"Q")),
        ("tar behind another", gzipped(tarred(_TEXT) + tar)),
        ("tar, cut", gzipped(tar[: 512 + 68])),
    ]


def _unreadable() -> list[tuple[str, bytes]]:
    secret = encrypted_zip()
    return [
        ("encrypted", secret),
        ("encrypted in a zip", zipped(("a.zip", secret))),
        ("encrypted in a tgz", gzipped(tarred(("a.zip", secret)))),
        ("encrypted behind a program", b"MZ" + bytes(500) + secret),
        ("of an unknown method", patched(patched(_ZIP, LOCAL, 8, b"\x63\0"), CENTRAL, 10, b"\x63\0")),
        ("cut in its data", zipped(("a", bytes(range(256)) * 20))[:100]),
        ("damaged in its data", patched(zipped(("a", bytes(range(256)) * 20)), LOCAL, 40, b"\xff" * 30)),
        ("gzip, cut", gzipped(bytes(range(256)) * 20)[:60]),
        ("gzip, damaged", gzipped(b"Hello" * 100)[:12] + b"\xff" * 50),
    ]


def _less_common() -> list[tuple[str, bytes]]:
    """What unpackers read that nobody has to, as long as it is told."""
    return [
        ("zip by bzip2", zipped(_FILE, method=zipfile.ZIP_BZIP2)),
        ("zip by lzma", zipped(_FILE, method=zipfile.ZIP_LZMA)),
        ("zip with wrong sizes everywhere", patched(patched(_ZIP, CENTRAL, 20, bytes(8)), LOCAL, 18, bytes(8))),
        ("bzip2", bz2.compress(EICAR * 9)),
        ("xz", lzma.compress(EICAR * 9)),
        ("lzma", lzma.compress(EICAR * 9, lzma.FORMAT_ALONE)),
        ("tar.bz2", tarred(_FILE, mode="w:bz2")),
        ("tar.xz", tarred(_FILE, mode="w:xz")),
        ("7z", b"7z\xbc\xaf\x27\x1c\0\4" + bytes(100)),
        ("rar", b"Rar!\x1a\x07\0" + bytes(100)),
        ("rar 5", b"Rar!\x1a\x07\1\0" + bytes(100)),
    ]


ROWS = [
    *(_attached(f"zip, {name}", octets, VIRUS) for name, octets in _zips()),
    *(_attached(name, octets, VIRUS) for name, octets in _others()),
    *(_attached(f"unreadable: {name}", octets, UNREADABLE) for name, octets in _unreadable()),
    *(_attached(f"less common: {name}", octets, VIRUS_OR_UNREADABLE) for name, octets in _less_common()),
    *(
        _attached(f"zip labelled {kind}", _ZIP, VIRUS, fields=f"Content-Type: {kind}\n")
        for kind in (
            "text/plain", "text/html", "image/png", "audio/x-wav", "application/zip", "application/pdf",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document", 'image/jpeg; name="a.jpg"',
        )
    ),
    row("zip as the whole message", "Content-Type: application/zip\nContent-Transfer-Encoding: base64\n",
        base64(_ZIP), VIRUS),
    row("zip uuencoded", "", "Look:\n\n" + uuencode(_ZIP, "a.zip"), VIRUS),
    row("zip in base64 with junk", "Content-Type: application/zip\nContent-Transfer-Encoding: base64\n",
        "*".join(base64(_ZIP)), VIRUS, INVALID),
    row("zip in a message within", "Content-Type: message/rfc822\n", "Subject: x\n" + file_part(_ZIP), VIRUS),
]  # fmt: skip
