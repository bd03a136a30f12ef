"""Ways to hide words from a filter that a reader of the mail still sees."""

from tests.policy.hiding import (
    BODY,
    INVALID,
    TEXT_PART,
    WORDS,
    Row,
    base64,
    file_part,
    mixed,
    multipart,
    quoted,
    row,
    uuencode,
    wrapped,
)

_PLAIN, _HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"


def _text(name: str, kind: str, data: bytes, *found: str) -> Row:
    """A text in base64: only its own ways are in question."""
    fields = (
        f"Content-Type: {kind}\nContent-Transfer-Encoding: base64\n" if kind else "Content-Transfer-Encoding: base64\n"
    )
    return row(name, fields, base64(data), BODY, *found)


def _plain() -> list[Row]:
    texts = [
        ("plain", WORDS),
        ("in upper case", WORDS.upper()),
        ("in mixed case", "bUy ViAgRa NoW"),
        ("over two lines", "buy\nviagra\nnow"),
        ("over lines with blanks", "buy  \n   viagra \t\n now"),
        ("with many blanks", "buy   viagra\t\tnow"),
        ("over quoted lines of format=flowed", "buy \nviagra \nnow"),
        ("with form feeds", "buy\x0cviagra\x0bnow"),
        ("over blank lines", "buy\n\n\nviagra\n\nnow"),
        ("far behind", "x" * 300_000 + " " + WORDS),
    ]
    rows = [_text(f"text, {name}", _PLAIN, text.replace("\n", "\r\n").encode()) for name, text in texts]
    between = {
        "no-break spaces": "\xa0", "em spaces": "\u2003", "ideographic spaces": "\u3000", "line separators": "\u2028",
        "narrow no-break spaces": "\u202f", "next lines": "\x85", "ogham spaces": "\u1680",
    }  # fmt: skip
    rows += [_text(f"text, {name} between", _PLAIN, WORDS.replace(" ", c).encode()) for name, c in between.items()]
    within = {
        "zero-width spaces": "\u200b", "zero-width non-joiners": "\u200c", "zero-width joiners": "\u200d",
        "word joiners": "\u2060", "byte order marks": "\ufeff", "soft hyphens": "\xad", "left-to-right marks": "\u200e",
        "invisible separators": "\u2063", "variation selectors": "\ufe0f", "grapheme joiners": "\u034f",
        "Mongolian vowel separators": "\u180e", "tag characters": "\U000e0041", "pop directional formats": "\u202c",
        "first strong isolates": "\u2068", "Arabic letter marks": "\u061c",
        "supplementary variation selectors": "\U000e0100",
    }  # fmt: skip
    rows += [_text(f"text, {name} within", _PLAIN, c.join(WORDS).encode()) for name, c in within.items()]
    return rows


def _charsets() -> list[Row]:
    escapes = b"\x1b(B".join([b"bu", b"y via", b"gra now"])
    rows = [
        _text(f"charset {charset} {number}", f"text/plain; charset={charset}", data, *found)
        for number, (charset, data, found) in enumerate([
            ("utf-16", WORDS.encode("utf-16"), ()),
            ("utf-16le", WORDS.encode("utf-16le"), ()),
            ("utf-16be", WORDS.encode("utf-16be"), ()),
            ("utf-32", WORDS.encode("utf-32"), ()),
            ("utf-7", b"buy+ACA-v+AGk-agra now", ()),
            ("UTF-7", b"+AGIAdQB5ACAAdgBpAGEAZwByAGEAIABuAG8Adw-", ()),
            ("unicode-1-1-utf-7", b"buy+ACA-v+AGk-agra now", ()),
            ("iso-2022-jp", escapes, ()),
            ("iso-2022-jp", b"buy \x1b$B\x1b(Bvi\x1b(Jagra\x1b(B now", ()),
            ("iso-2022-kr", b"\x1b$)Cbuy viagra\x0e\x0f now", ()),
            ("hz-gb-2312", b"buy ~{~}viagra now", ()),
            ("hz-gb-2312", b"buy via~\ngra now", ()),
            ("ibm037", WORDS.encode("cp037"), ()),
            ("cp500", WORDS.encode("cp500"), ()),
            ("windows-1252", WORDS.replace(" ", "\xa0").encode("cp1252"), ()),
            ("x-unknown", WORDS.encode(), ()),
            ('"utf-8 "', WORDS.encode(), ()),
            ('" utf-16le"', WORDS.encode("utf-16le"), ()),
            ("'utf-16le'", WORDS.encode("utf-16le"), ()),
            ("(comment)utf-16le", WORDS.encode("utf-16le"), ()),
            ("utf-16le(comment)", WORDS.encode("utf-16le"), ()),
            ("utf_16_le", WORDS.encode("utf-16le"), ()),
            ("unicode", WORDS.encode("utf-16"), ()),
            ("us-ascii; charset=utf-16le", WORDS.encode("utf-16le"), (INVALID,)),
            ("utf-16le; charset=us-ascii", WORDS.encode("utf-16le"), (INVALID,)),
            ("utf-16le; charset=us-ascii", WORDS.encode(), (INVALID,)),
            ("utf-32", WORDS.encode(), ()),
            ("utf-7", WORDS.encode(), ()),
            ("cp037", WORDS.encode(), ()),
            *((other, WORDS.encode(), ()) for other in (
                "ibm500", "rot13", "punycode", "unicode_escape", "idna", "utf-8-sig", "hex", "base64", "mbcs",
                "undefined", "ptcp154", "../x", "8bit", "none",
                "default", "utf-8, x", "iso-10646-ucs-4", "utf-32be", "utf-7-imap",
            )),
            ("us-ascii", WORDS.encode("utf-16"), ()),
            ("utf-8", WORDS.encode("utf-16"), ()),
            ("utf-8", b"\xef\xbb\xbf" + WORDS.encode(), ()),
            ("utf-8", b"\xff\xff\xff" + WORDS.encode() + b"\xff", ()),
            ("utf-8", WORDS.replace(" ", "\xa0").encode("latin-1"), ()),
            ("us-ascii", WORDS.replace(" ", "\xa0").encode(), ()),
            ("shift_jis", b"\x81 " + WORDS.encode() + b"\x81", ()),
            ("big5", b"\x81" + WORDS.encode(), ()),
            ("gb18030", b"\x81 " + WORDS.encode(), ()),
            ("euc-jp", b"\x8f " + WORDS.encode(), ()),
        ])
    ]  # fmt: skip
    rows += [
        _text("charset in sections", "text/plain; charset*0=utf-; charset*1=16le", WORDS.encode("utf-16le")),
        _text("charset percent-encoded", "text/plain; charset*=us-ascii''utf%2D16le", WORDS.encode("utf-16le")),
        _text("charset of the HTML, by its mark", "text/html; charset=iso-8859-1",
              ("\ufeff" + WORDS).encode("utf-16le")),
        row("charset utf-7, its text bare", "Content-Type: text/plain; charset=utf-7\n",
            "b+AHU-y+ACA-viagra now\n", BODY),
        row("charset utf-7 in quoted-printable",
            "Content-Type: text/plain; charset=utf-7\nContent-Transfer-Encoding: quoted-printable\n",
            "buy=2BACA-via=\ngra now\n", BODY),
        row("8-bit characters without a charset", "Content-Type: text/plain\n", "é é buy viagra now é\n", BODY),
    ]  # fmt: skip
    return rows


_MARKUP = [
    ("plain", "<p>buy viagra now</p>"),
    ("decimal entities", "".join(f"&#{ord(c)};" for c in WORDS)),
    ("hexadecimal entities", "".join(f"&#x{ord(c):X};" for c in WORDS)),
    ("entities with zeros in front", "".join(f"&#000000000000{ord(c)};" for c in WORDS)),
    ("entities without a semicolon", "b&#117y v&#x69&#97gra now"),
    ("hexadecimal in capitals", "b&#X75;y v&#X69;agra now"),
    ("named spaces", "buy&nbsp;viagra&nbsp;now"),
    ("named spaces without a semicolon", "buy&nbspviagra&nbsp now"),
    ("named spaces of other kinds", "buy&emsp;viagra&thinsp;now"),
    ("named tabs and lines", "buy&Tab;viagra&NewLine;now"),
    ("soft hyphens", "b&shy;uy vi&shy;ag&#173;ra now"),
    ("named zero-widths", "b&zwnj;uy v&zwj;ia&ZeroWidthSpace;gra n&NoBreak;ow"),
    ("comments within", "b<!-- x -->uy vi<!-->a<!--->gr<!-- > -- x -->a now"),
    ("a comment that ends oddly", "bu<!-- x --!>y viagra now"),
    ("a bogus comment", "bu<!x>y via<?x?>gra n</ x>ow"),
    ("CDATA that is none", "bu<![CDATA[x]]>y viagra now"),
    ("tags within", "<b>b</b>uy v<i></i>ia<font color=red>gr</font>a no<x-y>w"),
    ("word breaks", "b<wbr>uy vi<wbr/>agra now"),
    ("unclosed tags", "<b><i><p>bu<b>y viagra now"),
    ("a tag with > in an attribute", 'bu<b title="a > b">y viagra now'),
    ("a tag with an odd quote", 'bu<b x=">" y=\'"\'>y viagra now'),
    ("a tag over lines", "bu<b\r\nclass=x\r\n>y viagra now"),
    ("a tag unclosed at the end", "buy viagra now<b"),
    ("a < that is no tag", "1 < 2 buy viagra now <3"),
    ("line breaks between", "buy<br>viagra<BR/>now"),
    ("paragraphs between", "<p>buy</p><p>viagra</p><p>now</p>"),
    ("table cells between", "<table><tr><td>buy</td><td>viagra</td><td>now</td></tr></table>"),
    ("lists between", "<ul><li>buy<li>viagra<li>now</ul>"),
    (
        "display:none",
        'bu<span style="display:none">x</span>y via<span style="DISPLAY : NONE !important">y</span>gra now',
    ),
    ("display:none with entities", 'bu<span style="display&#58;no&#110;e">x</span>y viagra now'),
    ("display:none with a comment", 'bu<span style="display:/**/none">x</span>y viagra now'),
    ("display:none with an escape", 'bu<span style="display:\\6eone">x</span>y viagra now'),
    ("display:none unquoted", "bu<span style=display:none>x</span>y viagra now"),
    ("display:none around tags", 'bu<div style="display:none">x<b>y</b>z</div>y viagra now'),
    ("visibility:hidden", 'bu<span style="visibility:hidden;font-size:0">x</span>y viagra now'),
    ("font-size:0", 'bu<span style="font-size:0px">x</span>y viagra now'),
    ("font-size:1px", 'bu<span style="font-size:1px">x</span>y viagra now'),
    ("opacity:0", 'bu<span style="opacity:0">x</span>y viagra now'),
    ("mso-hide", 'bu<span style="mso-hide:all;display:none">x</span>y viagra now'),
    ("max-height:0", 'bu<span style="max-height:0;overflow:hidden;display:inline-block">x</span>y viagra now'),
    ("the attribute hidden", "bu<span hidden>x</span>y viagra now"),
    ("white on white in a style", 'bu<span style="color:white;background:#fff">x</span>y viagra now'),
    ("font size 0", "bu<font size=0 style='font-size:0'>x</font>y viagra now"),
    ("script within", "bu<script>x</script>y via<style>x</style>gra now"),
    ("title within", "bu<template>x</template>y viagra now"),
    ("a comment in a script", "<script><!-- </script>buy viagra now"),
    ("behind an unclosed comment's end", "<!-- x --> buy viagra now <!-- y"),
    ("in noscript", "<noscript>buy viagra now</noscript>"),
    ("in a conditional comment that is shown", "<!--[if !mso]><!-->buy viagra now<!--<![endif]-->"),
    ("in a conditional comment of Outlook", "<!--[if mso]>buy viagra now<![endif]-->"),
    ("in alt", '<img src=x alt="buy viagra now">'),
    ("in alt with entities", "<img src=x alt='buy&#32;viagra n&#111;w'>"),
    ("in a button", '<input type=submit value="buy viagra now">'),
    ("in a placeholder", '<input placeholder="buy viagra now">'),
    ("in a text field", "<textarea>buy viagra now</textarea>"),
    ("in xmp", "<xmp>buy viagra now</xmp>"),
    ("in plaintext", "<plaintext>buy viagra now"),
    ("in a title", "<title>buy viagra now</title>"),
    ("in an svg", "<svg><text>buy viagra now</text></svg>"),
    ("in a link's title", '<a href="x" title="buy viagra now">x</a>'),
    ("a numbered zero-width", "bu&#8203;y viagra now"),
    ("entities twice", "buy&nbsp;<b>&#118;</b>iagra&#32;now"),
    ("zero-widths in UTF-8", "b\u200bu\u2060y v\ufeffiagra now"),
    ("behind a body's end", "</body></html>buy viagra now"),
    ("behind 70 open tags", "<div>" * 70 + "buy viagra now"),
    ("display:none that a sibling ends", 'bu<p style="display:none">x<p>y</p>buy viagra now'),
    ("void element with display:none", '<img style="display:none">buy viagra now'),
    ("numbered line ends", "buy&#10;viagra&#x9;now"),
    ("spaces in elements", "buy<span> </span>viagra<b>&nbsp;</b>now"),
    ("an end tag with attributes", 'b<i>u</i x=">">y viagra now'),
    ("seemingly hidden, shown by a later word", 'b<span style="display:none;display:inline">uy</span> viagra now'),
    ("seemingly hidden by another name", 'b<span style="xdisplay:none">uy</span> viagra now'),
    ("seemingly hidden in a comment", 'b<span style="/*display:none*/color:red">uy</span> viagra now'),
    ("seemingly hidden in another attribute", 'b<span title="display:none">uy</span> viagra now'),
    ("seemingly hidden by a size", 'b<span style="font-size:0.9em">uy</span> viagra now'),
    ("seemingly hidden by a line height", 'b<span style="line-height:0">uy</span> viagra now'),
    ("seemingly hidden by white on black", 'b<span style="color:#fff;background:#000">uy</span> viagra now'),
    ("seemingly hidden, a wrong value", 'b<span style="display:nonexistent">uy</span> viagra now'),
    ("seemingly hidden, the end in an attribute", '<b style="display:none" title="</b>">x</b>buy viagra now'),
    ("hidden, its end in a comment", 'bu<b style="display:none">x<!--</b>-->y</b>y viagra now'),
    ("hidden behind a second style", 'bu<b style="display:none" style="display:inline">x</b>y viagra now'),
    ("a meta charset with escapes", "<meta charset=iso-2022-jp>buy via\x1b(Bgra now"),
    ("details", "<details><summary>buy</summary>viagra now</details>"),
    ("options", "<select><option>buy viagra now</select>"),
    ("ruby", "<ruby>buy viagra now<rt>x</rt></ruby>"),
    ("a processing instruction", '<?xml:namespace prefix="o" ns="urn:x" />bu<o:p></o:p>y viagra now'),
    ("self-closed element with display:none", '<br style="display:none"/>buy viagra now'),
]


def _structures() -> list[Row]:
    text = "Content-Type: text/plain\n\n"
    qp = "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n"
    html = "Content-Type: text/html\n\n"
    utf16 = WORDS.encode("utf-16")
    comment = "bu<!-- x -->y viagra now\n"
    return [
        row("bare", "", WORDS + "\n", BODY, top="From: jane@example.org\n"),
        row("behind a needless dot", "", "." + WORDS + "\n", BODY),
        row("quoted-printable", qp, quoted(WORDS.encode(), "=\n"), BODY),
        row("quoted-printable, a soft break behind each character", qp, "=\n".join(WORDS) + "\n", BODY),
        row("quoted-printable, soft breaks with blanks", qp, "=  \n".join(WORDS) + "\n", BODY),
        row("quoted-printable, needless dots", qp, "=\n.".join(WORDS) + "\n", BODY),
        row("quoted-printable, encoded line ends", qp, "buy=0D=0Aviagra=0Anow\n", BODY),
        row("quoted-printable, zero-width spaces", qp.replace("plain", "plain; charset=utf-8"),
            "=E2=80=8B".join(WORDS) + "\n", BODY),
        row("quoted-printable, a character over a soft break", qp.replace("plain", "plain; charset=utf-8"),
            "b=C2=\n=ADuy viagra now\n", BODY),
        row("base64, a character a line", "Content-Transfer-Encoding: base64\n",
            wrapped(base64(WORDS.encode()).strip(), 1), BODY),
        row("base64 with junk", "Content-Transfer-Encoding: base64\n", "*".join(base64(WORDS.encode())), BODY, INVALID),
        row("uuencode as the encoding", "Content-Transfer-Encoding: x-uuencode\n",
            uuencode(f"{WORDS} please".encode()), BODY),
        row("HTML in base64 without a type", "Content-Transfer-Encoding: base64\n", base64(WORDS.encode()), BODY),
        row("types doubled, text first", "Content-Type: text/plain\nContent-Type: text/html\n", comment, BODY, INVALID),
        row("types doubled, HTML first", "Content-Type: text/html\nContent-Type: text/plain\n", comment, BODY, INVALID),
        row("text/html in capitals", "Content-Type: TEXT/HTML\n", comment, BODY),
        row("text/html with a comment", "Content-Type: (c)text/html(c)\n", comment, BODY),
        row("text/html quoted", 'Content-Type: "text/html"\n', comment, BODY),
        row("application/xhtml+xml", "Content-Type: application/xhtml+xml\n", comment, BODY),
        row("HTML attachment", 'Content-Type: application/octet-stream; name="a.html"\n', comment, BODY),
        row("text attachment", 'Content-Type: application/octet-stream; name="a.txt"\n', WORDS + "\n", BODY),
        _text("text attachment in UTF-16", 'text/plain; name="a.txt"', utf16),
        _text("text attachment in UTF-16, without a type", 'application/octet-stream; name="a.txt"', utf16),
        row("text/enriched", "Content-Type: text/enriched\n", "b<bold>u</bold>y viagra now\n", BODY),
        row("text/unknown", "Content-Type: text/x-unknown\n", WORDS + "\n", BODY),
        row("text", "Content-Type: text\n", WORDS + "\n", BODY),
        row("text/calendar", "Content-Type: text/calendar\n",
            "BEGIN:VEVENT\nSUMMARY:buy viagra now\nEND:VEVENT\n", BODY),
        row("alternative, the first", multipart(kind="alternative"),
            mixed([text + WORDS + "\n", html + "Hello\n"]), BODY),
        row("alternative, the second", multipart(kind="alternative"),
            mixed([text + "Hello\n", html + "<p>" + comment]), BODY),
        row("part without a header", multipart(), mixed(["\n" + WORDS + "\n"]), BODY),
        row("part whose header never ends", multipart(), mixed([WORDS + "\n"]), BODY, INVALID),
        row("in a multipart without parts", multipart(), WORDS + "\n", BODY, INVALID),
        row("in a message within", "Content-Type: message/rfc822\n", f"Subject: x\n{html}{comment}", BODY),
        row("in a digest", multipart(kind="digest"), mixed([f"\nSubject: x\n\n{WORDS}\n"]), BODY),
        row("behind a false end", multipart(), mixed([TEXT_PART]) + mixed([text + WORDS + "\n"]), BODY, INVALID),
        row("in a message in base64", multipart(), mixed([
            file_part(f"Subject: x\r\n\r\n{WORDS}\r\n".encode(), "Content-Type: message/rfc822\n")]), BODY, INVALID),
        row("in text/rfc822-headers", "Content-Type: text/rfc822-headers\n", "Subject: buy viagra now\n", BODY),
        row("in a delivery status", "Content-Type: message/delivery-status\n", "Diagnostic: buy viagra now\n", BODY),
    ]  # fmt: skip


ROWS = [
    *_plain(),
    *_charsets(),
    *(_text(f"HTML, {name}", _HTML, markup.encode()) for name, markup in _MARKUP),
    *_structures(),
]
