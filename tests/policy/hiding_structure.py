"""Ways to hide the EICAR test file in the structure of a message: boundaries, types, parts within parts."""

from tests.policy.hiding import (
    EICAR,
    INVALID,
    TEXT_PART,
    VIRUS,
    VIRUS_PART,
    Row,
    base64,
    file_part,
    mixed,
    multipart,
    quoted,
    row,
    uuencode,
)

_BODY = mixed([TEXT_PART, VIRUS_PART])
_SPLIT = "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n"


def _typed(name: str, value: str, content: str, *found: str) -> Row:
    return row(name, f"Content-Type: {value}\n", content, VIRUS, *found)


# The value of Content-Type, the boundary that some reader takes from it, whether not all do.
_BOUNDARIES = [
    ("multipart/mixed; boundary=b", "b", False),
    ('multipart/mixed; boundary="b"', "b", False),
    ('MULTIPART/MIXED; BOUNDARY="b"', "b", False),
    ('multipart/mixed;\n\tboundary="b"', "b", False),
    ('multipart/mixed;\n\tcharset=utf-8;\n boundary="b"', "b", False),
    ('multipart/mixed; boundary = "b"', "b", False),
    ("multipart/mixed;boundary=b;", "b", False),
    ('multipart/mixed;; boundary="b"', "b", False),
    ('multipart/mixed; x="; boundary=a"; boundary=b', "b", False),
    ('multipart/mixed; x="\\"; boundary=a"; boundary=b', "b", False),
    ('(c) multipart/mixed; boundary="b"', "b", False),
    ('multipart(c)/mixed; boundary="b"', "b", False),
    ('multipart / mixed; boundary="b"', "b", False),
    ('multipart/mixed (c; boundary=a); boundary="b"', "b", False),
    ("multipart/mixed; boundary=(c)b", "b", False),
    ("multipart/mixed; boundary=b (c)", "b", False),
    ('multipart/mixed; boundary(c)="b"', "b", False),
    ('multipart/mixed; boundary="a\\b"', "ab", True),
    ('multipart/mixed; boundary="a\\b"', "a\\b", True),
    ('multipart/mixed; boundary="b ', "b", True),
    ('multipart/mixed; boundary="b', "b", True),
    ("multipart/mixed; boundary='b'", "'b'", False),
    ("multipart/mixed; boundary='b'", "b", True),
    ("multipart/mixed; boundary=a b", "a", True),
    ("multipart/mixed; boundary=a b", "a b", True),
    ("multipart/mixed; boundary=a/b", "a/b", False),
    ("multipart/mixed; boundary=a=b", "a=b", False),
    ("multipart/mixed; boundary=--b", "--b", False),
    ('multipart/mixed; boundary="b "', "b", True),
    ('multipart/mixed; boundary=" b"', " b", False),
    ('multipart/mixed; boundary="B"', "B", False),
    ("multipart/mixed; boundary=a; boundary=b", "a", True),
    ("multipart/mixed; boundary=a; boundary=b", "b", True),
    ("multipart/mixed; boundary*=us-ascii''b", "b", False),
    ("multipart/mixed; boundary*=us-ascii'en'%62", "b", False),
    ("multipart/mixed; boundary*=b", "b", True),
    ("multipart/mixed; boundary*0=a; boundary*1=b", "ab", False),
    ("multipart/mixed; boundary*1=b; boundary*0=a", "ab", False),
    ("multipart/mixed; boundary*0*=us-ascii''%61; boundary*1=b", "ab", False),
    ("multipart/mixed; boundary=a; boundary*=us-ascii''b", "a", True),
    ("multipart/mixed; boundary=a; boundary*=us-ascii''b", "b", True),
    ("multipart/mixed; boundary=a; boundary*0=b; boundary*1=c", "bc", True),
    ("multipart/mixed; boundary=a; boundary*0=b; boundary*1=c", "a", True),
    ("multipart/mixed; boundary*0=a; boundary*2=c", "a", True),
    ("multipart/mixed; boundary*1=b", "b", True),
    ('multipart/mixed; boundary="=?us-ascii?q?b?="', "b", True),
    ('multipart/mixed; boundary="=?us-ascii?q?b?="', "=?us-ascii?q?b?=", False),
    ("multipart/mixed boundary=b", "b", True),
    ("multipart/mixed, boundary=b", "b", True),
    ("multipart/mixed; charset=utf-8 boundary=b", "b", True),
    ("multipart/mixed; x=y, boundary=b", "b", True),
    ('multipart/mixed; x="y; boundary="b"', "b", True),
    ("multipart/mixed; boundary:b", "b", True),
    ('multipart/mixed; boundary=""', "", True),
    ("multipart/mixed; boundary=", "", True),
    ("multipart/mixed", "b", True),
    ("multipart/mixed; charset=utf-8", "b", True),
    ("multipart; boundary=b", "b", True),
    ("multipart/; boundary=b", "b", True),
    ("multipart/unheard-of; boundary=b", "b", False),
    ("mixed; boundary=b", "b", True),
    ('"multipart/mixed"; boundary=b', "b", True),
    ("multipart/mixed/x; boundary=b", "b", True),
    ("; boundary=b", "b", True),
    ("=?us-ascii?q?multipart/mixed;_boundary=3Db?=", "b", True),
    ('multipart/mixed; boundary="' + "b" * 200 + '"', "b" * 200, False),
    ('multipart/mixed; boundary="é"', "é", False),
    ('multipart/mixed; boundary="b"x', "b", True),
    ('multipart/mixed; boundary="a""b"', "a", True),
    ('multipart/mixed; boundary="a\n b"', "a b", False),
]


def _boundaries() -> list[Row]:
    return [
        _typed(f"boundary {boundary[:20]!r} of {value[:80]!r}", value, mixed([TEXT_PART, VIRUS_PART], boundary),
               *([INVALID] if odd else []))
        for value, boundary, odd in _BOUNDARIES
    ]  # fmt: skip


def _delimiters() -> list[Row]:
    inner = "Content-Type: multipart/mixed; boundary={}\n\n"
    bodies = [
        ("unclosed", f"--b\n{TEXT_PART}--b\n{VIRUS_PART}", True),
        ("the first line of the body", f"--b\n{VIRUS_PART}--b--\n", False),
        ("behind a preamble", f"Not MIME?\n\n{_BODY}", False),
        ("trailing blanks", _BODY.replace("--b\n", "--b  \t\n"), False),
        ("trailing text", _BODY.replace("--b\n", "--bx\n"), True),
        ("trailing text behind a blank", _BODY.replace("--b\n", "--b x\n"), True),
        ("one hyphen behind", _BODY.replace("--b\n", "--b-\n"), True),
        ("blank before", _BODY.replace("--b\n", " --b\n"), True),
        ("one hyphen only", _BODY.replace("--b", "-b"), True),
        ("three hyphens", _BODY.replace("--b", "---b"), True),
        ("no hyphens", _BODY.replace("--b", "b"), True),
        ("closed in the wrong case", _BODY.replace("--b", "--B"), True),
        ("needless dots before them", "." + _BODY.replace("\n--b", "\n.--b"), False),
        ("needless dots before all lines", "." + _BODY.replace("\n", "\n."), False),
        ("behind a false end", f"--b\n{TEXT_PART}--b--\n--b\n{VIRUS_PART}--b--\n", True),
        ("behind an end with text", f"--b\n{TEXT_PART}--b--x\n--b\n{VIRUS_PART}--b--\n", True),
        ("behind an end with blanks", f"--b\n{TEXT_PART}--b-- \t\n--b\n{VIRUS_PART}--b--\n", True),
        ("behind an end with blanks between", f"--b\n{TEXT_PART}--b --\n--b\n{VIRUS_PART}--b--\n", True),
        ("begins with the end", f"--b--\n--b\n{VIRUS_PART}--b--\n", True),
        ("part in the preamble", f"{VIRUS_PART}\n--b\n{TEXT_PART}--b--\n", False),
        ("part in the epilogue", f"--b\n{TEXT_PART}--b--\n{VIRUS_PART}", False),
        ("uuencoded preamble", f"{uuencode(EICAR)}\n--b\n{TEXT_PART}--b--\n", False),
        ("uuencoded epilogue", f"--b\n{TEXT_PART}--b--\n{uuencode(EICAR)}", False),
        ("empty parts before", "--b\n" * 5 + VIRUS_PART + "--b--\n", False),
        ("no empty line in the part", f"--b\n{_SPLIT}{base64(EICAR)}--b--\n", True),
        ("nested, no empty line before the inner delimiter",
         f"--b\n{inner.format('c')[:-1]}--c\n{VIRUS_PART}--c--\n--b--\n", True),
        ("nested, the inner boundary in another case",
         f"--b\n{inner.format('B')}--B\n{VIRUS_PART}--B--\n--b--\n", False),
        ("two empty lines before the header", f"--b\n\n{VIRUS_PART}--b--\n", False),
        ("no parts at all", base64(EICAR), True),
        ("a uuencoded text instead", uuencode(EICAR), True),
        ("outer boundary a prefix of the inner", f"--b\n{inner.format('bb')}--bb\n{VIRUS_PART}--bb--\n--b--\n", False),
        ("inner boundary a prefix of the outer", "", False),
        ("nested with the same boundary", f"--b\n{inner.format('b')}--b\n{VIRUS_PART}--b--\n--b--\n", True),
        ("nested, the inner without an end", f"--b\n{inner.format('c')}--c\n{VIRUS_PART}--b--\n", True),
        ("nested, in the inner epilogue a part",
         f"--b\n{inner.format('c')}--c\n{TEXT_PART}--c--\n--c\n{VIRUS_PART}--b--\n", True),
        ("nested, the outer ends within the inner", f"--b\n{inner.format('c')}--b--\n--c\n{VIRUS_PART}--c--\n", True),
        ("nested, an inner boundary that is not there", f"--b\n{inner.format('c')}{VIRUS_PART}--b--\n", True),
        ("nested 30 deep", "".join(f"--b{'' if i == 0 else i}\n{inner.format(f'b{i + 1}')}" for i in range(30))
         + f"--b30\n{VIRUS_PART}--b30--\n", True),
        ("inner part of the outer behind the inner's end", f"--b\n{inner.format('c')}--c--\n\n--b\n{VIRUS_PART}--b--\n",
         False),
    ]  # fmt: skip
    rows = [
        row(f"delimiters, {name}", multipart(), body, VIRUS, *([INVALID] if odd else []))
        for name, body, odd in bodies
        if body
    ]
    rows.append(
        row("delimiters, inner boundary a prefix of the outer", multipart("bb"),
            f"--bb\n{inner.format('b')}--b\n{VIRUS_PART}--b--\n--bb--\n", VIRUS)
    )  # fmt: skip
    rows.append(
        row("delimiters, base64 over a line that only begins like one", multipart("_."),
            f"--_.\n{_SPLIT}\n" + base64(EICAR, 40).replace("\n", "\n--_.-\n", 1) + "--_.--\n", VIRUS, INVALID)
    )  # fmt: skip
    return rows


def _types() -> list[Row]:
    text, mixed_type = "Content-Type: text/plain\n", multipart()
    rows = [
        row("types doubled, text first", text + mixed_type, _BODY, VIRUS, INVALID),
        row("types doubled, multipart first", mixed_type + text, _BODY, VIRUS, INVALID),
        row("types doubled, two boundaries, the first", multipart("b") + multipart("c"), _BODY, VIRUS, INVALID),
        row("types doubled, two boundaries, the second", multipart("c") + multipart("b"), _BODY, VIRUS, INVALID),
        row("types doubled, an empty one first", "Content-Type:\n" + mixed_type, _BODY, VIRUS, INVALID),
        row("types doubled, message and text", "Content-Type: message/rfc822\n" + text, f"{mixed_type}\n{_BODY}",
            VIRUS, INVALID),
        row("type missing", "", _BODY, VIRUS),
        row("type text/plain", text, _BODY, VIRUS),
        row("type behind a line of blanks", f"X-Other: 1\n \t\n{mixed_type}", _BODY, VIRUS, INVALID),
        row("type behind junk", f"Not a field\n{mixed_type}", _BODY, VIRUS, INVALID),
        row("type behind a needless dot", "." + mixed_type, _BODY, VIRUS),
        row("type with a blank before the colon", mixed_type.replace(":", " :"), _BODY, VIRUS),
        row("type folded before its value", mixed_type.replace(": ", ":\n "), _BODY, VIRUS),
        row("type folded over a line of blanks", mixed_type.replace("; ", ";\n \n "), _BODY, VIRUS, INVALID),
        row("type without MIME-Version", mixed_type, _BODY, VIRUS, top="To: joe@example.net\n"),
        row("multipart labelled base64, plain", mixed_type + "Content-Transfer-Encoding: base64\n", _BODY,
            VIRUS, INVALID),
        row("multipart labelled base64, encoded", mixed_type + "Content-Transfer-Encoding: base64\n",
            base64(_BODY.replace("\n", "\r\n").encode()), VIRUS, INVALID),
        row("multipart labelled quoted-printable, plain", mixed_type + "Content-Transfer-Encoding: quoted-printable\n",
            _BODY, VIRUS, INVALID),
        row("multipart labelled quoted-printable, encoded",
            mixed_type + "Content-Transfer-Encoding: quoted-printable\n",
            "\n".join(quoted(line.encode()) for line in _BODY.split("\n")), VIRUS, INVALID),
        row("multipart labelled uuencode, encoded", mixed_type + "Content-Transfer-Encoding: x-uuencode\n",
            uuencode(_BODY.replace("\n", "\r\n").encode()), VIRUS, INVALID),
    ]  # fmt: skip
    kinds = ["text/html", "image/png", "audio/x-wav", "text/x-unknown", "application/pgp-encrypted", "nonsense",
             "a/b/c", "message/rfc822", "text/rfc822-headers", "message/delivery-status", "text/calendar",
             "application/x-pkcs7-signature", "message/external-body", "message/partial; number=1; total=1; id=x",
             "text/plain; charset=utf-16", "text/plain; charset=x-unknown", ""]  # fmt: skip
    rows += [
        _typed(f"file of type {kind!r}", f"{kind}\nContent-Transfer-Encoding: base64", base64(EICAR)) for kind in kinds
    ]
    rows += [
        row(f"part of multipart/{kind}", multipart(kind=kind), _BODY, VIRUS)
        for kind in ("alternative", "related", "digest", "signed", "encrypted", "report", "parallel", "appledouble")
    ]
    return rows


def _parts() -> list[Row]:
    head = "Content-Type: application/octet-stream\n"
    label = "Content-Transfer-Encoding: base64\n"
    headers = [
        ("junk in the header", f"{head}junk without a colon\n{label}", True),
        ("junk before the header", f"junk without a colon\n{head}{label}", True),
        ("a line of blanks in the header", f"{head} \t \n{label}", True),
        ("a line of blanks before the header", f"  \n{head}{label}", True),
        ("an mbox line before the header", f"From jane Mon Jan  1 00:00:00 2024\n{head}{label}", True),
        ("needless dots in the header", f".{head}.{label}", False),
        ("a header that begins with a folded line", f" folded\n{head}{label}", True),
        ("a label without a type", label, False),
        ("a very long header", "X-Pad: " + "x" * 5000 + "\n" + head + label, False),
        ("many fields before", "".join(f"X-Pad-{i}: x\n" for i in range(300)) + head + label, False),
    ]
    rows = [
        row(f"part with {name}", multipart(), f"--b\n{fields}\n{base64(EICAR)}--b--\n", VIRUS,
            *([INVALID] if odd else []))
        for name, fields, odd in headers
    ]  # fmt: skip
    rows.append(row("part without a header, uuencoded", multipart(), f"--b\n\n{uuencode(EICAR)}--b--\n", VIRUS))
    return rows


def _embedded() -> list[Row]:
    message = f"Subject: inner\n{multipart('m')}\n" + mixed([TEXT_PART, VIRUS_PART], "m")
    simple = f"Subject: inner\n{VIRUS_PART}"
    kind = "Content-Type: message/rfc822\n"
    octets = message.replace("\n", "\r\n").encode()
    five = simple
    for _ in range(5):
        five = kind + "\n" + five
    ahead = multipart()
    rows = [
        row("message within", kind, message, VIRUS),
        row("message within, in a part", ahead, mixed([TEXT_PART, kind + "\n" + message]), VIRUS),
        row("message within, base64", kind + "Content-Transfer-Encoding: base64\n", base64(octets), VIRUS, INVALID),
        row("message within, base64 in a part", ahead, mixed([file_part(octets, kind)]), VIRUS, INVALID),
        row("message within, quoted-printable", kind + "Content-Transfer-Encoding: quoted-printable\n",
            message.replace("=", "=3D").replace("C", "=43"), VIRUS, INVALID),
        row("message within, five times", "", five.partition("\n\n")[2], VIRUS,
            top=five.partition("\n\n")[0] + "\n"),
        row("message within, base64 twice", ahead,
            mixed([file_part(file_part(octets, kind).replace("\n", "\r\n").encode(), kind)]), VIRUS, INVALID),
        row("message within, with an mbox line", kind, "From jane Mon Jan  1 00:00:00 2024\n" + message, VIRUS),
        row("message within, with empty lines before", kind, "\n\n" + message, VIRUS),
        row("message within, message/global", "Content-Type: message/global\n", message, VIRUS),
        row("message within, message/news", "Content-Type: message/news\n", message, VIRUS),
        row("message within, as an eml file", ahead, mixed([
            file_part(octets, 'Content-Type: application/octet-stream; name="a.eml"\n')]), VIRUS),
        row("message within, message/rfc822 as an attachment in upper case", "Content-Type: MESSAGE/RFC822\n",
            message, VIRUS),
        row("message within, uuencoded", kind + "Content-Transfer-Encoding: x-uuencode\n", uuencode(octets),
            VIRUS, INVALID),
        row("message within, in an mbox file", ahead, mixed([file_part(
            b"From jane Mon Jan  1 00:00:00 2024\r\n" + octets,
            'Content-Type: application/mbox; name="a.mbox"\n')]), VIRUS),
        row("digest without types", multipart(kind="digest"), mixed(["\n" + simple, "\n" + message]), VIRUS),
        row("digest, base64 without a type", multipart(kind="digest"),
            mixed(["Content-Transfer-Encoding: base64\n\n" + base64(octets)]), VIRUS, INVALID),
        row("partial, one of one", 'Content-Type: message/partial; id="x"; number=1; total=1\n', message, VIRUS),
        row("bounce with the message", multipart(kind="report"), mixed(
            [TEXT_PART, "Content-Type: message/delivery-status\n\nReporting-MTA: dns; a\n", kind + "\n" + message]),
            VIRUS),
        row("bounce in plain text", "", "The message was:\n\n" + message, VIRUS),
        row("message within, its boundary the outer one", ahead,
            mixed([kind + "\nSubject: x\n" + ahead + "\n--b\n" + VIRUS_PART]), VIRUS, INVALID),
    ]  # fmt: skip
    return rows


ROWS = [*_boundaries(), *_delimiters(), *_types(), *_parts(), *_embedded()]
