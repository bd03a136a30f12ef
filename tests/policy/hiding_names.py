"""Ways to hide a file name: each of these messages has a file that some client saves or offers as a program."""

import struct
import zlib

from tests.policy.hiding import EICAR, INVALID, NAME, TEXT_PART, Row, base64, file_part, mixed, multipart, row, uuencode
from tests.policy.hiding_archives import CENTRAL, encrypted_zip, gzipped, patched, tarred, zipped

_CONTENT = base64(b"Hello")
_LABEL = "Content-Transfer-Encoding: base64\n"


def _disposition(value: str, *found: str, kind: str = "application/octet-stream") -> Row:
    fields = f"Content-Type: {kind}\nContent-Disposition: {value}\n{_LABEL}"
    return row(f"disposition {value[:90]!r}", fields, _CONTENT, NAME, *found)


def _type(value: str, *found: str) -> Row:
    return row(f"type {value[:90]!r}", f"Content-Type: {value}\n{_LABEL}", _CONTENT, NAME, *found)


# The value of Content-Disposition, whether that is a fault.
_DISPOSITIONS = [
    ("attachment; filename=evil.exe", False),
    ('attachment; filename="evil.exe"', False),
    ('attachment; filename="EVIL.EXE"', False),
    ("ATTACHMENT; FILENAME=Evil.ExE", False),
    ('inline; filename="evil.exe"', False),
    ('x-unknown; filename="evil.exe"', False),
    ('attachment; filename="evil.jpg.exe"', False),
    ('attachment; filename="evil.jpg' + " " * 100 + '.exe"', False),
    ('attachment; filename="evil.exe."', False),
    ('attachment; filename="evil.exe "', False),
    ('attachment; filename="evil.exe. . "', False),
    ('attachment; filename="evil.exe\t"', False),
    ("attachment; filename=evil.exe.", False),
    ('attachment; filename=" evil.exe"', False),
    ('attachment; filename="C:\\\\temp\\\\evil.exe"', False),
    ('attachment; filename="C:\\temp\\evil.exe"', False),
    ('attachment; filename="../../tmp/evil.exe"', False),
    ('attachment; filename="a;b.exe"', False),
    ("attachment; filename=my evil.exe", False),
    ("attachment; filename=evil file.exe; size=7", False),
    ('attachment; filename="evil.exe', True),
    ('attachment; filename="evil.exe; size=7', True),
    ("attachment; filename='evil.exe'", False),
    ("attachment; filename=<evil.exe>", False),
    ("attachment filename=evil.exe", True),
    ("attachment, filename=evil.exe", True),
    ("attachment; size=7 filename=evil.exe", True),
    ("filename=evil.exe", True),
    ("; filename=evil.exe", True),
    ("attachment;; filename=evil.exe", False),
    ("attachment;filename=evil.exe;", False),
    ("attachment; filename = evil.exe", False),
    ("attachment; filename= \t evil.exe", False),
    ("attachment; filename=(comment)evil.exe", False),
    ("attachment; filename=evil.exe(comment)", False),
    ('attachment; (filename="a.txt") filename="evil.exe"', False),
    ("(comment) attachment; filename=evil.exe", False),
    ('attachment; filename(c)="evil.exe"', False),
    ('attachment; filename="evil\\.exe"', False),
    ('attachment; filename="\\e\\v\\i\\l\\.\\e\\x\\e"', False),
    ('attachment; filename="evil.exe"x', True),
    ('attachment; filename="evil."exe', True),
    ('attachment; filename=evil."exe"', True),
    ('attachment;\n\tfilename="evil.exe"', False),
    ('attachment;\n filename=\n "evil.exe"', False),
    ('attachment; filename="evil\n .exe"', False),
    ('attachment; filename="evil.\n exe"', False),
    ('attachment; filename="evil.e\n\txe"', False),
    ('attachment; x="a\\"; filename="; filename=evil.exe', False),
    ('attachment; x="y; filename="evil.exe"', True),
    ("attachment; filename=a.txt; filename=evil.exe", True),
    ("attachment; filename=evil.exe; filename=a.txt", True),
    ("attachment; filename*=us-ascii''evil.exe", False),
    ("attachment; filename*=utf-8'en'evil%2Eexe", False),
    ("attachment; filename*=UTF-8''%65%76%69%6c%2e%65%78%65", False),
    ("attachment; filename*=utf-16''%ff%fee%00v%00i%00l%00.%00e%00x%00e%00", False),
    ("attachment; filename*=utf-7''evil+AC4-exe", False),
    ("attachment; filename*=x-unknown''evil.exe", False),
    ("attachment; filename*=''evil.exe", False),
    ("attachment; filename*=evil.exe", False),
    ("attachment; filename*=evil%2Eexe", False),
    ("attachment; filename*=\"utf-8''evil%2Eexe\"", False),
    ("attachment; filename*=utf-8''my evil.exe", False),
    ("attachment; filename* = utf-8''evil.exe", False),
    ("attachment; filename*0=evil; filename*1=.exe", False),
    ('attachment; filename*0="evil"; filename*1=".exe"', False),
    ("attachment; filename*1=.exe; filename*0=evil", False),
    ("attachment; filename*0*=utf-8''evil; filename*1*=%2Eexe", False),
    ("attachment; filename*0*=utf-8''evil%2; filename*1*=Eexe", False),
    ("attachment; filename*0*=utf-8''evil; filename*1=.exe", False),
    ("attachment; filename*0=evil; filename*1*=%2Eexe", False),
    ("attachment; filename*0*=utf-8''evil%2E; filename*1=exe", False),
    ("attachment; filename*00=evil; filename*01=.exe", False),
    ("attachment; filename*1=evil; filename*2=.exe", True),
    ("attachment; filename*0=evil; filename*2=.exe", True),
    ("attachment; filename*0=evil.exe; filename*2=.txt", True),
    ("attachment; filename*0=evil; filename*0=a; filename*1=.exe", True),
    ("; ".join(["attachment", *(f'filename*{i}="{c}"' for i, c in enumerate("a-rather-long-evil.exe"))]), False),
    ("attachment; filename=a.txt; filename*=utf-8''evil.exe", False),
    ("attachment; filename*=utf-8''a.txt; filename=evil.exe", False),
    ("attachment; filename=a.txt; filename*0=evil; filename*1=.exe", False),
    ("attachment; filename*0=a; filename*1=.txt; filename=evil.exe", False),
    ('attachment; filename="=?utf-8?q?evil.exe?="', False),
    ('attachment; filename="=?utf-8?b?ZXZpbC5leGU=?="', False),
    ('attachment; filename="=?utf-8?q?evil?= =?utf-8?q?.exe?="', False),
    ('attachment; filename="=?utf-8?q?evil?=\n =?utf-8?b?LmV4ZQ==?="', False),
    ('attachment; filename="evil=?utf-8?q?=2E?=exe"', False),
    ("attachment; filename==?utf-8?q?evil=2Eexe?=", False),
    ('attachment; filename="=?utf-8?q?evil.exe"', False),
    ('attachment; filename="=?utf-8?q?evil exe?=.exe"', False),
    ("attachment; filename*=utf-8''%3D%3Futf-8%3Fq%3Fevil%2Eexe%3F%3D", False),
    ('=?utf-8?q?attachment;_filename=3D"evil.exe"?=', False),
    ('attachment; filename="evil%2Eexe"', False),
    ("attachment; filename=evil%2eexe", False),
    ("attachment; filename*=utf-8''evil.exe%00.txt", True),
    ("attachment; filename*=utf-8''evil.txt%00.exe", True),
    ('attachment; filename="=?utf-8?q?evil.exe=00.txt?="', True),
    ("attachment; filename*=utf-8''photo%E2%80%AEgpj.exe", False),
    ("attachment; filename*=utf-8''evil.exe%E2%80%8B", False),
    ("attachment; filename*=utf-8''evil.exe%C2%A0", False),
    ("attachment; filename*=utf-8''evil%0D%0A.exe", False),
    ("attachment; filename*=utf-8''evil.exe%0D%0A", False),
    ("attachment; filename*=utf-8''C%3A%5Cevil.exe", False),
    ("attachment; filename*=utf-8''evil%EF%BC%8Eexe.exe", False),
    ('attachment; filename="ävil.exe"', False),
    ('attachment; filename="' + "a" * 3000 + '.exe"', False),
    ("attachment;" + " x=y;" * 500 + " filename=evil.exe", False),
    ("attachment; name=evil.exe", False),
    ('attachment; filename="=?iso-2022-jp?q?evil=1B=28B.exe?="', False),
    ('attachment; filename="=?utf-7?q?evil+AC4-exe?="', False),
    ('attachment; filename="=?utf-16?b?//5lAHYAaQBsAC4AZQB4AGUA?="', False),
    ('attachment; filename="=?utf-8*en?q?evil=2Eexe?="', False),
    ('attachment; filename="=?utf-8?b?ZXZpbC5leGU?="', False),
    ('attachment; filename="=?utf-8?b?ZX ZpbC5leGU=?="', False),
    ('attachment; filename="=?x-unknown?q?evil=2eexe?="', False),
    ('attachment; filename="=?utf-8?q?evil?==?utf-8?q?=2Eexe?="', False),
    ('attachment; filename="=?utf-8?q?evil=2E?==?utf-8?q?exe?=.txt"; filename=evil.exe', True),
    ("attachment; filename*0 =evil; filename*1 =.exe", False),
    ("attachment; filename*=utf-8'evil.exe", False),
    ("attachment; filename*=utf-8''evil.exe; filename*=utf-8''a.txt", True),
    ('attachment; filename="evil.exe"; filename=""', True),
    ('attachment; filename=""; filename="evil.exe"', True),
    ("attachment; filename*0*=utf-16''%ff%fee%00v%00; filename*1*=i%00l%00.%00e%00x%00e%00", False),
    ('attachment; filename*0="evil."; filename*1=(c)exe', False),
    ("attachment; FileName*0=evil.; FILENAME*1=exe", False),
]

_TYPES = [
    ("application/octet-stream; name=evil.exe", False),
    ('image/png; name="evil.exe"', False),
    ('text/plain; charset=utf-8; NAME="evil.exe"', False),
    ("application/octet-stream; name*=utf-8''evil%2Eexe", False),
    ("application/octet-stream; name*0=evil; name*1=.exe", False),
    ("application/octet-stream; name=evil.exe; name=a.txt", True),
    ("application/octet-stream; name=a.txt; name=evil.exe", True),
    ('application/octet-stream; name="=?us-ascii?q?evil.exe?="', False),
    ("application/octet-stream name=evil.exe", True),
    ("; name=evil.exe", True),
    ("name=evil.exe", True),
    ("application/octet-stream; filename=evil.exe", False),
    ("image/png; name=my evil.exe", False),
    ('image/png; name="evil.exe', True),
    ("multipart/mixed; name=evil.exe", True),
    ("message/external-body; access-type=x; name=evil.exe", False),
]


def _doubled() -> list[Row]:
    one, other = (
        "Content-Disposition: attachment; filename=evil.exe\n",
        "Content-Disposition: attachment; filename=a.txt\n",
    )
    good, bad = "Content-Type: text/plain; name=a.txt\n", "Content-Type: text/plain; name=evil.exe\n"
    table = [
        ("dispositions doubled, the first", one + other, (INVALID,)),
        ("dispositions doubled, the second", other + one, (INVALID,)),
        ("types doubled, the first", bad + good, (INVALID,)),
        ("types doubled, the second", good + bad, (INVALID,)),
        ("type and disposition contradict, the type", bad + other, ()),
        ("type and disposition contradict, the disposition", good + one, ()),
        ("behind a line that is no field", "no field\n" + one, (INVALID,)),
        ("behind a line of blanks", "X-Other: 1\n  \n" + one, (INVALID,)),
        ("with a needless dot", "." + one, ()),
        ("with a blank before the colon", one.replace(":", " :"), ()),
        ("Content-Location", "Content-Type: application/octet-stream\nContent-Location: evil.exe\n", ()),
        ("Content-Description", "Content-Type: application/octet-stream\nContent-Description: evil.exe\n", ()),
    ]
    rows = [row(name, fields + _LABEL, _CONTENT, NAME, *found) for name, fields, found in table]
    rows += [
        row(f"{name}, in a part", multipart(), mixed([TEXT_PART, f"{fields}{_LABEL}\n{_CONTENT}"]), NAME, *found)
        for name, fields, found in table
    ]
    inner = f"Subject: x\n{one}{_LABEL}\n{_CONTENT}"
    rows.append(row("in a message within", "Content-Type: message/rfc822\n", inner, NAME))
    rows.append(
        row("of a message within", "Content-Type: message/rfc822; name=evil.exe\n", "Subject: x\n\nHello\n", NAME)
    )
    return rows


def _uuencoded() -> list[Row]:
    data = b"Hello"
    texts = [
        ("plain", uuencode(data, "evil.exe")),
        ("with blanks", uuencode(data, "my evil.exe")),
        ("quoted", uuencode(data, '"evil.exe"')),
        ("with blanks behind", uuencode(data, "evil.exe   ")),
        ("with a path", uuencode(data, "C:\\evil.exe")),
        ("in upper case", uuencode(data, "EVIL.EXE")),
        ("with a dot behind", uuencode(data, "evil.exe.")),
        ("begin-base64", f"begin-base64 644 evil.exe\n{base64(data)}====\n"),
        ("the second of two", uuencode(data) + uuencode(data, "evil.exe")),
        ("without its end", uuencode(data, "evil.exe", end="")),
    ]
    rows = [row(f"uuencode, {name}", "Content-Type: text/plain\n", f"Look:\n\n{text}", NAME) for name, text in texts]
    rows.append(row("uuencode as the encoding", "Content-Transfer-Encoding: x-uuencode\n", texts[0][1], NAME))
    rows.append(row("uuencode in base64", "Content-Type: text/plain\n" + _LABEL, base64(texts[0][1].encode()), NAME))
    return rows


def _in_archives() -> list[Row]:
    data = ("evil.exe", b"Hello")
    one = zipped(data)
    extra = struct.pack("<BL", 1, zlib.crc32(b"evil.txt")) + b"evil.exe"
    unicode_extra = struct.pack("<HH", 0x7075, len(extra)) + extra
    renamed = zipped(("evil.txt", b"Hello"))
    central = renamed.index(CENTRAL)
    with_extra = (
        renamed[: central + 30] + struct.pack("<H", len(unicode_extra)) + renamed[central + 32 : central + 54]
        + unicode_extra + renamed[central + 54 :]
    )  # fmt: skip
    end = with_extra.index(b"PK\x05\x06")
    with_extra = with_extra[: end + 12] + struct.pack("<L", 54 + len(unicode_extra)) + with_extra[end + 16 :]
    table = [
        ("zip", one),
        ("zip in zip", zipped(("a.zip", one))),
        ("zip behind a program", bytes(100) + one),
        (
            "zip, in the local header only",
            one[: one.index(CENTRAL)] + one[one.index(CENTRAL) :].replace(b".exe", b".txt"),
        ),
        ("zip, in the central directory only", one.replace(b".exe", b".txt", 1)),
        ("zip, in the extra field", with_extra),
        ("zip, upper case in a folder", zipped(("A/B/EVIL.EXE", b"Hello"))),
        ("zip, with backslashes", zipped(("a\\evil.exe", b"Hello"))),
        ("zip, dots and blanks behind", zipped(("evil.exe. ", b"Hello"))),
        ("zip, NUL within", zipped(("evilXexeYtxt", b"x")).replace(b"evilXexeYtxt", b"evil.exe\0txt")),
        ("zip, encrypted", encrypted_zip("evil.exe")),
        ("zip, empty file", zipped(("evil.exe", b""))),
        ("zip, unreadable file", patched(one, b"PK\x03\x04", 40, b"\xff" * 4)),
        ("gzip", gzipped(b"Hello", 8, b"evil.exe\0")),
        ("gzip, the second member", gzipped(b"Hello") + gzipped(b"Hello", 8, b"evil.exe\0")),
        ("tar", tarred(data)),
        ("tar, long name", tarred(("a/" * 80 + "evil.exe", b"Hello"))),
        ("tar, GNU long name", tarred(("a/" * 80 + "evil.exe", b"Hello"), form=1)),
        ("tgz", gzipped(tarred(data))),
        ("tar, a path in pax only", tarred(("é/evil.exe", b"Hello"))),
        ("tgz in zip", zipped(("a.tgz", gzipped(tarred(data))))),
    ]
    rows = [
        row(f"member of {name}", multipart(), mixed([TEXT_PART, file_part(octets)]), NAME) for name, octets in table
    ]
    named = 'Content-Type: application/octet-stream; name="evil.exe.gz"\n'
    rows.append(row("gzip without a name in evil.exe.gz", multipart(), mixed([file_part(gzipped(EICAR), named)]), NAME))
    return rows


ROWS = [
    *(_disposition(value, *([INVALID] if odd else [])) for value, odd in _DISPOSITIONS),
    *(_type(value, *([INVALID] if odd else [])) for value, odd in _TYPES),
    *_doubled(),
    *_uuencoded(),
    *_in_archives(),
]
