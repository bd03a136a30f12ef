"""Ways to hide something from a filter: what the tables of hiding_*.py are made of.

Each row is a message that some mail client or unpacker reads as the sender wished: the virus, the file name or the
words are in it. What is found must be found as they would find it. Text is written with "\\n" for the CRLF of the wire.
"""

from base64 import b64encode
from binascii import b2a_uu
from collections.abc import Iterable
from typing import NamedTuple

# The EICAR test file, in two pieces so that no scanner minds this one.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
WORDS = "buy viagra now"

VIRUS, NAME, BODY = "VIRUS_SCAN", "FILENAME_REJECT", "BODY_REJECTI"
INVALID, UNREADABLE = "ENCODING_INVALID", "ARCHIVE_UNREADABLE"
# What is packed in a way that need not be understood, if that is said.
VIRUS_OR_UNREADABLE = f"{VIRUS}|{UNREADABLE}"

_TOP = "From: jane@example.org\nTo: joe@example.net\nSubject: hello\nMessage-ID: <1@example.org>\n"
VERSION = "MIME-Version: 1.0\n"


class Row(NamedTuple):
    """A message, stuffed as on the wire; `body` begins with the empty line.

    `found`: the checks that must find it, with `|` between alternatives.
    """

    name: str
    header: bytes
    body: bytes
    found: tuple[str, ...] = ()


def wire(text: str | bytes) -> bytes:
    """Text with the line ends of the wire; octets as they are."""
    return text if isinstance(text, bytes) else text.replace("\n", "\r\n").encode()


def row(name: str, fields: str | bytes, content: str | bytes, *found: str, top: str = _TOP + VERSION) -> Row:
    return Row(name, wire(top) + wire(fields), b"\r\n" + wire(content), found)


def wrapped(text: str, width: int = 76) -> str:
    return "".join(text[i : i + width] + "\n" for i in range(0, len(text), width))


def base64(data: bytes, width: int = 76) -> str:
    return wrapped(b64encode(data).decode(), width)


def quoted(data: bytes, soft: str = "") -> str:
    """Every octet as =XX, with `soft` behind each."""
    return "".join(f"={octet:02X}{soft}" for octet in data)


def uuencode(data: bytes, name: str = "readme.txt", end: str = "`\nend\n") -> str:
    lines = (b2a_uu(data[i : i + 45], backtick=True).decode() for i in range(0, len(data), 45))
    return f"begin 644 {name}\n" + "".join(lines) + end


def mixed(parts: Iterable[str], boundary: str = "b") -> str:
    """The body of a multipart; each part begins with its header and ends with a line end."""
    return "".join(f"--{boundary}\n{part}" for part in parts) + f"--{boundary}--\n"


def multipart(boundary: str = "b", kind: str = "mixed") -> str:
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\n'


def file_part(data: bytes, fields: str = "Content-Type: application/octet-stream\n") -> str:
    return fields + "Content-Transfer-Encoding: base64\n\n" + base64(data)


TEXT_PART = "Content-Type: text/plain\n\nHello\n"
VIRUS_PART = file_part(EICAR)
