"""The three messages of the content cases: honest mail, the same octets in every run.

CRLF at the end of each line, no line that begins with a dot: what is in the file is what goes over the wire.
"""

import base64
import random

_SOME_WORDS = """
the of and to in is that for it as was with be by on not this but from they which you one were all her she
there would their we him been has when who will no more if out so up said what its about than into them can only other
time new some could these two may first then do any like my now over such our man me even most made after also well
should because each just those people how too little state good very make world still see own work long both life under
never day same another know while last might us great old year off come since against go came right used take three
morning garden window letter kitchen station harbour bridge winter summer evening meeting minutes report budget board
school teacher library paper chapter river mountain village market bicycle weather concert ticket museum picture colour
music family mother father sister brother neighbour friend holiday journey train platform luggage coffee bread butter
apple orchard basket water bottle table chair lamp carpet building street corner church tower square fountain statue
printer cable screen keyboard folder version release server network account invoice delivery parcel address signature
question answer problem reason example chance decision agreement contract partner customer office project schedule
measure figure number average quarter percent weekend Thursday Monday January August London Bristol Oxford Anna Peter"""
_WORDS = _SOME_WORDS.split()

_HEADER = (
    "Received: from relay.example.net (relay.example.net [192.0.2.7])\r\n"
    "\tby mx.example.com (Postfix) with ESMTPS id 4Rx7Bq2Zz1\r\n"
    "\tfor <b@example.org>; Mon, 1 Jan 2024 09:30:04 +0000 (UTC)\r\n"
    "From: Anna Example <a@example.org>\r\n"
    "To: Peter Example <b@example.org>\r\n"
    "Subject: Minutes of the meeting on Thursday\r\n"
    "Date: Mon, 1 Jan 2024 09:30:00 +0000\r\n"
    "Message-ID: <20240101093000.4711@mail.example.org>\r\n"
    "User-Agent: Mozilla Thunderbird\r\n"
    "MIME-Version: 1.0\r\n"
)


def _sentence(at: random.Random) -> str:
    words = at.choices(_WORDS, k=at.randint(6, 16))
    words[at.randrange(1, len(words) - 1)] += ","
    return f"{words[0].capitalize()} {' '.join(words[1:])}{at.choice('....?')}"


def _text(at: random.Random, octets: int) -> str:
    """Paragraphs of sentences in lines of up to 72 characters, `octets` long or a little less."""
    lines, size = [], 0
    while size < octets - 100:
        line = ""
        for word in " ".join(_sentence(at) for _ in range(at.randint(3, 7))).split():
            if len(line) + len(word) >= 72:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}".lstrip()
        lines += [line, ""]
        size = sum(map(len, lines)) + 2 * len(lines)
    return "\r\n".join(lines)[:octets].rstrip() + "\r\n"


_STYLE = (
    '<style type="text/css">\r\n'
    "body { margin: 0; padding: 0; background-color: #f4f4f4; font-family: Helvetica, Arial, sans-serif; }\r\n"
    "table { border-collapse: collapse; } img { border: 0; display: block; } a { color: #1a5276; }\r\n"
    "@media only screen and (max-width: 600px) { .wide { width: 100% !important; } }\r\n"
    "</style>\r\n"
)


def _article(at: random.Random, number: int) -> str:
    link = f"https://news.example.com/2024/{number}?utm_source=mail&amp;utm_campaign=january&amp;id={at.randbytes(8).hex()}"
    cell = 'style="padding: 12px 24px 12px 24px; font-size: 15px; line-height: 22px; color: #333333;"'
    return (
        f'<tr><td class="wide" {cell} align="left" valign="top">\r\n'
        f'<a href="{link}"><img src="https://img.example.com/{number}.png" width="552" height="180" alt=""></a>\r\n'
        f'<h2 style="margin: 0 0 8px 0; font-size: 20px;">{_sentence(at)}</h2>\r\n'
        f"<p>{_sentence(at)} &ldquo;{_sentence(at)}&rdquo; {_sentence(at)}&nbsp;{_sentence(at)}</p>\r\n"
        f'<p><b>{_sentence(at)}</b><br>{_sentence(at)} <a href="{link}">Read&nbsp;on &raquo;</a></p>\r\n'
        "</td></tr>\r\n"
    )


def _html(at: random.Random, octets: int) -> str:
    """A newsletter: tables, styles, links, pictures elsewhere, entities."""
    top = (
        '<!DOCTYPE html>\r\n<html lang="en"><head>\r\n'
        '<meta http-equiv="Content-Type" content="text/html; charset=utf-8">\r\n'
        f"<title>News</title>\r\n{_STYLE}</head>\r\n<body>\r\n<!-- the january issue -->\r\n"
        '<table role="presentation" width="600" align="center" cellpadding="0" cellspacing="0" bgcolor="#ffffff">\r\n'
    )
    pieces = [top]
    while sum(map(len, pieces)) < octets - 1200:
        pieces.append(_article(at, len(pieces)))
    pieces.append("</table>\r\n<p>&copy; 2024 Example Ltd, Bristol &middot; &euro; prices</p></body></html>\r\n")
    return "".join(pieces)


def _base64(octets: bytes) -> str:
    return base64.encodebytes(octets).decode("ascii").replace("\n", "\r\n")


def _part(content_type: str, encoding: str, content: str) -> str:
    return f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{content}"


def _multipart(kind: str, boundary: str, parts: list[str]) -> str:
    body = "".join(f"--{boundary}\r\n{part}\r\n" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n{body}--{boundary}--\r\n'


_PLAIN = 'text/plain; charset="utf-8"'


def text_5k() -> bytes:
    """5 KiB of English in one text part."""
    at = random.Random(5)
    return (_HEADER + _part(_PLAIN, "7bit", _text(at, 5120 - len(_HEADER) - 90))).encode("ascii")


def multipart_50k() -> bytes:
    """50 KiB: text and HTML beside each other, and a picture in base64."""
    at = random.Random(50)
    html = _part('text/html; charset="utf-8"', "7bit", _html(at, 10_240))
    words = _multipart("alternative", "----=_words_7f3a", [_part(_PLAIN, "7bit", _text(at, 3072)), html])
    picture = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + at.randbytes(26_500)
    attached = 'Content-Disposition: attachment; filename="plan.png"\r\n'
    mail = _multipart("mixed", "----=_mixed_91c2", [words, attached + _part("image/png", "base64", _base64(picture))])
    return (_HEADER + mail).encode("ascii")


def attachment_5m() -> bytes:
    """5 MB: a line of text, and a PDF in base64 that does not compress."""
    at = random.Random(5_000_000)
    document = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + at.randbytes(3_650_000) + b"\n%%EOF\n"
    attached = 'Content-Disposition: attachment; filename="plan.pdf"\r\n'
    attached += _part('application/pdf; name="plan.pdf"', "base64", _base64(document))
    text = _part(_PLAIN, "7bit", "The plan is attached.\r\n")
    mail = _multipart("mixed", "----=_mixed_5f08", [text, attached])
    return (_HEADER + mail).encode("ascii")


MESSAGES = {"text-5k": text_5k, "multipart-50k": multipart_50k, "attachment-5m": attachment_5m}
