"""Ways to hide the EICAR test file behind a transfer encoding or its label."""

from base64 import b64encode

from tests.policy.hiding import EICAR, INVALID, VIRUS, VIRUS_PART, Row, base64, quoted, row, uuencode, wrapped

_TYPE = "Content-Type: application/octet-stream\n"
_LINE = b64encode(EICAR).decode()
_PLAIN = EICAR.decode()


def _encoded(name: str, label: str, content: str | bytes, *found: str) -> Row:
    return row(name, f"{_TYPE}Content-Transfer-Encoding: {label}\n", content, VIRUS, *found)


def _uneven(text: str) -> str:
    lines, widths, start = [], (1, 2, 3, 5, 7, 11, 13), 0
    while start < len(text):
        width = widths[len(lines) % len(widths)]
        lines.append(text[start : start + width] + "\n")
        start += width
    return "".join(lines)


def _base64() -> list[Row]:
    odd = [
        ("plain", base64(EICAR), False),
        ("uneven lines", _uneven(_LINE), False),
        ("a character a line", wrapped(_LINE, 1), False),
        ("a line of 20,000 characters", b64encode(bytes(15_000) + EICAR).decode() + "\n", False),
        ("without padding", _LINE.rstrip("=") + "\n", True),
        ("without a line end", _LINE, False),
        ("too much padding", _LINE + "====\n", True),
        ("behind padding", base64(b"x") + base64(EICAR), True),
        ("behind padding in a line", b64encode(b"x").decode() + base64(EICAR), True),
        ("each octet padded", "".join(base64(bytes([octet])) for octet in EICAR), True),
        ("padding passed over in a quartet", _LINE[:5] + "=" + _LINE[5:] + "\n", True),
        ("padding passed over behind two", _LINE[:6] + "=" + _LINE[6:] + "\n", True),
        ("padding at the start", "====\n" + base64(EICAR), True),
        ("before padding and more", base64(EICAR) + base64(b"x" * 100), True),
        ("junk between", "!".join(_LINE) + "\n", True),
        (
            "junk of all kinds between",
            "".join(c + "!#$%&()*,.:;<>?@[]^`{|}~"[i % 24] for i, c in enumerate(_LINE)),
            True,
        ),
        ("url-safe characters as junk", "-".join(_LINE[:40]) + "_".join(_LINE[40:]) + "\n", True),
        ("white space between", " \t".join(_LINE) + "\n", False),
        ("blank lines between", "\n\n".join(wrapped(_LINE, 8).split()) + "\n", False),
        ("8-bit junk between", "é".join(_LINE) + "\n", True),
        ("form feeds between", "\x0c".join(_LINE) + "\n", True),
        ("dots at line starts", wrapped(_LINE, 9).replace("\n", "\n.").rstrip("."), False),
        ("stuffed dots at line starts", wrapped(_LINE, 9).replace("\n", "\n..").rstrip("."), True),
        ("behind four letters", "abcd\n" + base64(EICAR), False),
        ("behind a line of text", "This is my file:\n" + base64(EICAR), True),
        ("behind a padded line of text", "This is my file=\n" + base64(EICAR), True),
        ("before text", base64(EICAR) + "\nSent by a mailing list that adds lines\n", True),
        ("between quotation marks", f'"{_LINE}"\n', True),
        ("quoted as in a reply", "> " + wrapped(_LINE, 20).replace("\n", "\n> ") + "\n", True),
        ("at offset 1", base64(b"a" + EICAR), False),
        ("at offset 2", base64(b"ab" + EICAR), False),
        ("behind armour", "-----BEGIN PICTURE-----\n" + base64(EICAR) + "-----END FILE-----\n", True),
    ]
    return [
        _encoded(f"base64, {name}", "base64", content, *([INVALID] if invalid else []))
        for name, content, invalid in odd
    ]


def _quoted() -> list[Row]:
    soft = ["=\n", "= \n", "=\t \t\n"]
    rows = [
        _encoded(f"quoted-printable, {name}", "quoted-printable", content)
        for name, content in [
            ("plain", _PLAIN + "\n"),
            ("all encoded", quoted(EICAR, "=\n")),
            ("all in one line", quoted(EICAR) + "\n"),
            ("lower case", quoted(EICAR).lower() + "\n"),
            ("soft break behind each character", "=\n".join(_PLAIN)),
            ("soft breaks with blanks", "".join(c + soft[i % 3] for i, c in enumerate(_PLAIN)) + "\n"),
            ("soft break at the end", quoted(EICAR) + "="),
            ("needless dots behind soft breaks", "=\n.".join(_PLAIN[i : i + 3] for i in range(0, 68, 3)) + "\n"),
            ("half encoded", "".join(c if i % 2 else f"={ord(c):02x}" for i, c in enumerate(_PLAIN)) + "\n"),
            ("behind a wrong escape", "=ZZ =4 =\n=\n" + quoted(EICAR) + "\n"),
            ("with a space behind half of it", quoted(EICAR[:30]) + "=  \n" + quoted(EICAR[30:]) + "\n"),
        ]
    ]
    rows.append(
        _encoded("quoted-printable, two soft breaks in a row", "quoted-printable", "=\n=\n".join(_PLAIN) + "\n")
    )
    return rows


def _uuencoded() -> list[Row]:
    whole = uuencode(EICAR)
    first, second = whole.splitlines()[1:3]
    rows = [
        _encoded(f"labelled {label}", label, whole)
        for label in ("x-uuencode", "uuencode", "x-uue", "uue", "X-UUENCODE")
    ]
    texts = [
        ("plain", whole),
        ("behind text", "Here it is:\n\n" + whole + "\nGoodbye\n"),
        ("without its end", uuencode(EICAR, end="")),
        ("spaces for zeros", whole.replace("`", " ")),
        ("a length that is too long", f"begin 644 a\n{first}\nM{second[1:]}\n`\nend\n"),
        ("a check character at line ends", f"begin 644 a\n{first}x\n{second}x\n`\nend\n"),
        ("a mode of four digits", whole.replace("644", "0755")),
        ("blanks behind begin", whole.replace("begin 644 ", "begin  644  ")),
        ("a blank line within", f"begin 644 a\n{first}\n\n{second}\n`\nend\n"),
        ("blanks at line ends", whole.replace("\n", "  \n")),
        ("begin-base64", f"begin-base64 644 a\n{base64(EICAR)}====\n"),
        ("the second of two", uuencode(b"Hello") + "\n" + whole),
        ("begun again within", "begin 644 a\n" + first + "\n" + whole),
        ("behind a begin that is none", "begin 644 times a day\nand read\n" + whole),
        ("needless dots", whole.replace("\n", "\n.")),
    ]
    rows += [row(f"uuencode in text, {name}", "Content-Type: text/plain\n", text, VIRUS) for name, text in texts]
    rows += [
        row("uuencode without any MIME", "", whole, VIRUS, top="From: jane@example.org\n"),
        _encoded("uuencode in base64", "base64", base64(whole.encode().replace(b"\n", b"\r\n"))),
        row(
            "uuencode in a text in base64", "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n",
            base64(whole.encode().replace(b"\n", b"\r\n")), VIRUS,
        ),
        row(
            "uuencode with bare LF in a text in base64",
            "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n",
            base64(whole.encode()), VIRUS,
        ),
        row(
            "uuencode in a text in quoted-printable",
            "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n",
            whole.replace("=", "=3D").replace("begin", "b=65gin"), VIRUS,
        ),
        row(
            "uuencode in a text wholly in quoted-printable",
            "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n",
            "\n".join(quoted(line.encode()) for line in whole.split("\n")), VIRUS,
        ),
        row("uuencode in HTML", "Content-Type: text/html\n", "<pre>\n" + whole + "</pre>\n", VIRUS),
    ]  # fmt: skip
    return rows


# What stands where base64 is meant; True if not all see it.
_LABELS = [
    ("BASE64", False),
    ("bAsE64", False),
    ("\n base64", False),
    (" \t base64 \t", False),
    ("(comment) base64", False),
    ("base64 (comment)", False),
    ("base64(comment)", False),
    ("(a(b)\\)) base64", False),
    ('"base64"', True),
    ("base64;", True),
    ("base64; x=y", True),
    ("base64,", True),
    ("base64 x", True),
    ("x base64", True),
    ("7bit, base64", True),
    ("base64, 7bit", True),
    ("base-64", True),
    ("base64.", True),
    ("'base64'", True),
    ("<base64>", True),
    ("=?us-ascii?q?base64?=", True),
    ("=?utf-8?b?YmFzZTY0?=", True),
    ("x-base64", True),
    ("x-unknown", True),
    ("base64\n\t", False),
    ("ba\n se64", True),
    ("base64\xa0", True),
    ("\x0cbase64", True),
    ("base64 base64", True),
    ("base64\n ;x", True),
    ("7bit", False),
    ("8bit", False),
    ("binary", False),
    ("quoted-printable", False),
    ("", True),
]


def _labels() -> list[Row]:
    rows = [
        _encoded(f"base64 labelled {label!r}", label, base64(EICAR), *([INVALID] if odd else []))
        for label, odd in _LABELS
    ]
    rows += [
        _encoded("plain labelled base64", "base64", _PLAIN + "\n", INVALID),
        row("base64 without a label", _TYPE, base64(EICAR), VIRUS),
        row("plain labelled uuencode", _TYPE + "Content-Transfer-Encoding: x-uuencode\n", _PLAIN + "\n", VIRUS),
    ]
    name = "Content-Transfer-Encoding"
    doubled = [("base64", "7bit"), ("7bit", "base64"), ("quoted-printable", "base64"), ("base64", "quoted-printable"),
               ("", "base64"), ("x-unknown", "base64"), ("base64", "binary"), ("uuencode", "base64")]  # fmt: skip
    for one, other in doubled:
        fields = f"{_TYPE}{name}: {one}\n{name}: {other}\n"
        rows.append(row(f"labels doubled, {one} and {other}", fields, base64(EICAR), VIRUS, INVALID))
    rows.append(
        row(
            "labels doubled, quoted-printable read first",
            f"{_TYPE}{name}: quoted-printable\n{name}: base64\n", quoted(EICAR, "=\n"), VIRUS, INVALID,
        )
    )  # fmt: skip
    odd_fields = [
        ("blank before the colon", f"{name} : base64\n", ()),
        ("tab before the colon", f"{name}\t: base64\n", ()),
        ("folded before the colon", f"{name}\n : base64\n", (INVALID,)),
        ("no blank behind the colon", f"{name}:base64\n", ()),
        ("upper case name", f"{name.upper()}: base64\n", ()),
        ("needless dot before the name", f".{name}: base64\n", ()),
        ("before the type", f"{name}: base64\nX-Other: 1\n", ()),
        ("behind a line that is no field", f"Not a field\n{name}: base64\n", (INVALID,)),
        ("behind a line of blanks", f"X-Other: 1\n  \n{name}: base64\n", (INVALID,)),
        ("behind a line From", f"From jane Mon Jan  1 00:00:00 2024\n{name}: base64\n", (INVALID,)),
        ("behind a line >From", f">From jane Mon Jan  1 00:00:00 2024\n{name}: base64\n", (INVALID,)),
        ("behind a field without a name", f": x\n{name}: base64\n", (INVALID,)),
        ("behind a field with an 8-bit name", f"Größe: 1\n{name}: base64\n", ()),
        ("behind a field with blanks in its name", f"Some thing: 1\n{name}: base64\n", ()),
    ]
    rows += [row(f"label {how}", _TYPE + fields, base64(EICAR), VIRUS, *found) for how, fields, found in odd_fields]
    rows += [
        row(f"label in a part, {how}", 'Content-Type: multipart/mixed; boundary="b"\n',
            f"--b\n{_TYPE}{fields}\n{base64(EICAR)}--b--\n", VIRUS, *found)
        for how, fields, found in odd_fields
    ]  # fmt: skip
    rows.append(row("label at the first line of a header", "", base64(EICAR), VIRUS, top=f"{name}: base64\n"))
    rows.append(row("no MIME-Version", _TYPE + f"{name}: base64\n", base64(EICAR), VIRUS, top="To: a@example.org\n"))
    rows.append(row("an unknown MIME-Version", "MIME-Version: 7\n" + VIRUS_PART.partition("\n\n")[0] + "\n",
                    base64(EICAR), VIRUS, top="To: a@example.org\n"))  # fmt: skip
    return rows


ROWS = [
    row("plain text", "Content-Type: text/plain\n", _PLAIN + "\n", VIRUS),
    row("plain in an attachment", 'Content-Disposition: attachment; filename="a"\n', _PLAIN + "\n", VIRUS),
    row("plain behind needless dots", "", "." + _PLAIN + "\n", VIRUS),
    row("in a header", b"X-Data: " + EICAR + b"\r\n", "Hello\n", VIRUS),
    *_base64(),
    *_quoted(),
    *_uuencoded(),
    *_labels(),
]
