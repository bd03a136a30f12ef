"""Mail as honest programs write it: nothing may be found in it."""

from tests.policy.hiding import TEXT_PART, Row, base64, file_part, mixed, multipart, quoted, row, uuencode
from tests.policy.hiding_archives import gzipped, tarred, zipped

_UMLAUTS = "Grüße aus Köln, buy a stamp; viagra is not now.\r\n"
_PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9
_PDF = b"%PDF-1.4\n" + bytes(range(256)) * 9 + b"\n%%EOF\n"
_JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(range(256)) * 9
_DOCX = zipped(("[Content_Types].xml", b"<Types/>"), ("word/document.xml", b"<w:document/>"))
_SIGNATURE = (
    "Content-Type: application/pgp-signature; name=signature.asc\nContent-Description: OpenPGP digital signature\n"
    "Content-Disposition: attachment; filename=signature.asc\n\n-----BEGIN PGP SIGNATURE-----\n\n"
    "iQIzBAEBCAAdFiEE\n=ab12\n-----END PGP SIGNATURE-----\n\n"
)
_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_STATUS = (
    "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mail.example.net"
    "\nArrival-Date: Mon, 1 Jan 2024 00:00:00 +0000\n\n"
    "Final-Recipient: rfc822; nobody@example.net\nAction: failed\nStatus: 5.1.1\n\n"
)
_FORWARDED = (
    f"From: a@example.com\nTo: jane@example.org\nSubject: hello\nMIME-Version: 1.0\n{multipart('inner')}\n"
    + mixed([TEXT_PART, file_part(_PNG, 'Content-Type: image/png; name="a.png"\n')], "inner")
)
_CALENDAR = (
    "Content-Type: text/calendar; charset=utf-8; method=REQUEST\nContent-Transfer-Encoding: 7bit\n\nBEGIN:VCALENDAR\n"
    "METHOD:REQUEST\nBEGIN:VEVENT\nSUMMARY:Lunch\nDESCRIPTION:A long line that is folded as all lines of a calendar a\n"
    " re\nEND:VEVENT\nEND:VCALENDAR\n"
)
_PAGE = (
    "Content-Type: text/html; charset=UTF-8\nContent-Transfer-Encoding: quoted-printable\n\n"
    "<html><head><style>p{color:red}</style></head>"
    '<body><p>Gr=C3=BC=C3=9Fe &amp; more</p><img src=3D"cid:1@a"></body></html>\n'
)


def _attached(kind: str, name: str, data: bytes) -> Row:
    fields = f'Content-Type: {kind}; name="{name}"\nContent-Disposition: attachment; filename="{name}"\n'
    return row(f"attachment {name}", multipart("=_a/b:c"), mixed([TEXT_PART, file_part(data, fields)], "=_a/b:c"))


def _long_name(name: str) -> str:
    """As Thunderbird and Gmail write it: sections of RFC 2231."""
    encoded = quoted(name.encode()).replace("=", "%")
    pieces = [encoded[i : i + 60] for i in range(0, len(encoded), 60)]
    first = f" filename*0*=utf-8''{pieces[0]}"
    return ";\n".join([first, *(f" filename*{i}*={piece}" for i, piece in enumerate(pieces[1:], 1))]) + "\n"


_QP = "Content-Transfer-Encoding: quoted-printable\n"
_UTF8 = "Content-Type: text/plain; charset=UTF-8\n"
ROWS = [
    row("a line of text", "", "Hello\n"),
    row("no body at all", "", ""),
    row("text without MIME", "", "Hello, this is\n\n-- \nJane\n", top="From: jane@example.org\nTo: joe@example.net\n"),
    row("8-bit text", _UTF8 + "Content-Transfer-Encoding: 8bit\n", _UMLAUTS),
    row("UTF-8 in quoted-printable", _UTF8 + _QP, "Gr=C3=BC=C3=9Fe aus K=C3=B6ln, a line that goes on=\n and on=20\n"),
    row("UTF-8 in base64", _UTF8 + "Content-Transfer-Encoding: base64\n", base64(_UMLAUTS.encode() * 9)),
    row("Latin 1", "Content-Type: text/plain; charset=ISO-8859-1\n" + _QP, "Gr=FC=DFe\n"),
    row("Japanese", "Content-Type: text/plain; charset=ISO-2022-JP\n", "こんにちは\r\n".encode("iso-2022-jp")),
    row(
        "format=flowed",
        'Content-Type: text/plain; charset="us-ascii"; format=flowed; delsp=yes\n',
        "> Hello \n> you\n\nHi \nthere\n",
    ),
    row("dot-stuffed lines", "", "..\n..hidden\n--\n--- x\n-- \nend\n"),
    row(
        "text and HTML",
        multipart("000000000000a", "alternative"),
        mixed([TEXT_PART + "\n", _PAGE + "\n"], "000000000000a"),
    ),
    row(
        "inline image",
        multipart("r", "related").replace("\n", ';\n\ttype="text/html"\n'),
        mixed(
            [
                _PAGE,
                file_part(
                    _PNG,
                    'Content-Type: image/png; name="a.png"\nContent-ID: <1@a>\n'
                    'Content-Disposition: inline;\n filename="a.png"\n',
                ),
            ],
            "r",
        ),
    ),
    row(
        "signed by PGP/MIME",
        'Content-Type: multipart/signed; micalg=pgp-sha256;\n protocol="application/pgp-signature";\n boundary="s"\n',
        "This is an OpenPGP/MIME signed message (RFC 4880 and 3156)\n"
        + mixed([f'Content-Type: multipart/mixed; boundary="t"\n\n{mixed([TEXT_PART], "t")}\n', _SIGNATURE], "s"),
    ),
    row(
        "encrypted by PGP/MIME",
        'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted"; boundary="e"\n',
        mixed(
            [
                "Content-Type: application/pgp-encrypted\n"
                "Content-Description: PGP/MIME version identification\n\nVersion: 1\n\n",
                'Content-Type: application/octet-stream; name="encrypted.asc"\n\n'
                "-----BEGIN PGP MESSAGE-----\n\nhQIMA0\n=ab12\n"
                "-----END PGP MESSAGE-----\n\n",
            ],
            "e",
        ),
    ),
    row(
        "signed by S/MIME",
        'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary="----A1"\n',
        "This is an S/MIME signed message\n\n"
        + mixed(
            [
                TEXT_PART + "\n",
                file_part(b"0\x82" + bytes(range(256)), "Content-Type: application/pkcs7-signature; name=smime.p7s\n"),
            ],
            "----A1",
        ),
    ),
    row(
        "bounce",
        'Content-Type: multipart/report; report-type=delivery-status;\n\tboundary="A1B2.1234/mail.example.net"\n',
        "This is a MIME-encapsulated message.\n\n"
        + mixed(
            [
                "Content-Description: Notification\n" + TEXT_PART + "\n",
                _STATUS,
                "Content-Description: Undelivered Message\nContent-Type: message/rfc822\n\n" + _FORWARDED + "\n",
            ],
            "A1B2.1234/mail.example.net",
        ),
    ),
    row(
        "bounce with headers only",
        multipart(kind="report"),
        mixed(
            [
                TEXT_PART,
                _STATUS,
                "Content-Type: text/rfc822-headers\n\n"
                "From: jane@example.org\nContent-Type: multipart/mixed; boundary=x\n\n",
            ]
        ),
    ),
    row(
        "forwarded message",
        multipart("f"),
        mixed(
            [
                TEXT_PART,
                'Content-Type: message/rfc822; name="hello.eml"\n'
                'Content-Disposition: attachment; filename="hello.eml"\n\n' + _FORWARDED,
            ],
            "f",
        ),
    ),
    row("digest", multipart("d", "digest"), mixed(["\nFrom: a@example.org\nSubject: 1\n\nHello\n\n"] * 3, "d")),
    row(
        "invitation",
        multipart("c", "alternative"),
        mixed(
            [
                TEXT_PART,
                _CALENDAR,
                file_part(
                    _CALENDAR.partition("\n\n")[2].replace("\n", "\r\n").encode(),
                    'Content-Type: application/ics; name="invite.ics"\n',
                ),
            ],
            "c",
        ),
    ),
    row(
        "mailing list footer",
        multipart("l"),
        mixed(
            [
                TEXT_PART + "\n",
                'Content-Type: text/plain; charset="us-ascii"\n'
                "MIME-Version: 1.0\nContent-Transfer-Encoding: 7bit\nContent-Disposition: inline\n\n"
                + "_" * 47
                + "\nlist mailing list\n",
            ],
            "l",
        ),
    ),
    row("delimiters with blanks behind", multipart(), mixed([TEXT_PART]).replace("--b\n", "--b  \n")),
    row("boundary that begins with hyphens", multipart("----=_Part_1"), mixed([TEXT_PART, TEXT_PART], "----=_Part_1")),
    row("an epilogue", multipart(), "\n" + mixed([TEXT_PART]) + "\n\n"),
    row("uuencoded text file", "", "Look:\n\n" + uuencode(b"Hello\n" * 40)),
    row("begin in a text", "", "we shall\nbegin 644 times a day\nand end\nbegin with it\n\nend\n"),
    row(
        "names in sections",
        multipart(),
        mixed(
            [
                TEXT_PART,
                file_part(
                    _PDF,
                    "Content-Type: application/pdf;\n"
                    ' name="=?UTF-8?Q?Gr=C3=BC=C3=9Fe_aus?=\n =?UTF-8?Q?_K=C3=B6ln.pdf?="\n'
                    "Content-Disposition: attachment;\n" + _long_name("Grüße aus Köln und Umgebung.pdf"),
                ),
            ]
        ),
    ),
    _attached("application/pdf", "a.pdf", _PDF),
    _attached("image/png", "a.png", _PNG),
    _attached("image/jpeg", "IMG 0001.JPG", _JPEG),
    _attached(_WORD, "report.docx", _DOCX),
    _attached("application/zip", "a.zip", zipped(("a.txt", b"Hello"), ("b/", b""), ("b/c.pdf", _PDF))),
    _attached("application/gzip", "a.tar.gz", gzipped(tarred(("a.txt", b"Hello")))),
    _attached("application/x-tar", "a.tar", tarred(("a.txt", b"Hello"), ("b.txt", b""))),
    _attached("application/octet-stream", "data.bin", bytes(range(256)) * 99),
    _attached("text/plain; charset=utf-8", "notes.txt", _UMLAUTS.encode()),
    _attached("text/csv", "exe.csv", b"\xef\xbb\xbfa;b\r\n1;2\r\n"),
    _attached("audio/mpeg", "a.mp3", b"ID3\3" + bytes(range(256)) * 9),
]
