"""What a file is by its first octets, and what it says it is by its type and its name.

Only what matters to who opens it: a program, a document that may hold one, an archive, a picture, a page. A short
table on purpose; it tells apart what is dressed up as something harmless, not one picture format from another.
"""

import re
from collections.abc import Sequence

# (octets at the begin, the kind, how it is called).
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"MZ", "program", "a program for Windows or DOS"),
    (b"\x7fELF", "program", "a program for Unix"),
    (b"\xfe\xed\xfa\xce", "program", "a program for macOS"),
    (b"\xfe\xed\xfa\xcf", "program", "a program for macOS"),
    (b"\xce\xfa\xed\xfe", "program", "a program for macOS"),
    (b"\xcf\xfa\xed\xfe", "program", "a program for macOS"),
    (b"\xca\xfe\xba\xbe", "program", "a program for Java or macOS"),
    (b"dex\n", "program", "a program for Android"),
    (b"#!", "program", "a script"),
    (b"L\0\0\0\x01\x14\x02\0", "program", "a shortcut of Windows"),
    (b"ITSF\x03\0\0\0", "program", "a help file of Windows"),
    (b"MSCF\0\0\0\0", "archive", "a cabinet archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "document", "a document of Office or an installer"),
    (b"{\\rt", "document", "a document in RTF"),
    (b"%PDF-", "document", "a document in PDF"),
    (b"PK\x03\x04", "archive", "a zip archive or a document made of one"),
    (b"PK\x05\x06", "archive", "an empty zip archive"),
    (b"Rar!\x1a\x07", "archive", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive", "a 7z archive"),
    (b"\x1f\x8b", "archive", "a gzip archive"),
    (b"BZh", "archive", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "archive", "an xz archive"),
    (b"]\0\0", "archive", "an lzma archive"),
    (b"(\xb5/\xfd", "archive", "a zstd archive"),
)
_BY_FIRST_OCTET: dict[int, list[tuple[bytes, str, str]]] = {}
for _entry in _MAGIC:
    _BY_FIRST_OCTET.setdefault(_entry[0][0], []).append(_entry)
_PAGE = re.compile(rb"[ \t\r\n\xef\xbb\xbf]{0,64}<(?:!doctype html|html|head|body|script|hta:)", re.IGNORECASE)

# What says that it can only be looked at, listened to or read: types by their begin, names by their end.
_HARMLESS = ("image/", "audio/", "video/", "font/")
_HARMLESS_NAMES = frozenset((
    "jpg", "jpeg", "jpe", "png", "gif", "bmp", "ico", "tif", "tiff", "webp", "heic", "avif", "mp3", "wav", "ogg", "oga",
    "flac", "m4a", "aac", "mid", "midi", "mp4", "mpg", "mpeg", "mov", "avi", "mkv", "webm", "wmv", "ttf", "otf", "woff",
    "woff2",
))  # fmt: skip
_TEXT = ("text/",)
_TEXT_NAMES = frozenset(("txt", "text", "log", "csv", "vcf", "ics", "eml"))
_DOCUMENT = ("application/pdf", "application/msword", "application/rtf", "application/vnd.")
_DOCUMENT_NAMES = frozenset((
    "pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "rtf", "odt", "ods", "odp", "xps", "epub",
))  # fmt: skip
_PROGRAM = ("application/vnd.microsoft.portable-executable", "application/vnd.android.package-archive")


def kind_of(head: bytes) -> tuple[str, str]:
    """Return (kind, how it is called) of a file by its first octets; ("", "") of what is nothing of note."""
    for magic, kind, title in _BY_FIRST_OCTET.get(head[0], ()) if head else ():
        if head.startswith(magic):
            return kind, title
    return ("page", "a page with HTML") if _PAGE.match(head) else ("", "")


def contradiction(head: bytes, types: Sequence[str], names: Sequence[str]) -> str:
    """Return what a file is, where it says that it is something more harmless; "" where it does not pretend.

    `types` and `names`: all that it says of itself, types in lower case.
    """
    kind, title = kind_of(head)
    if not kind:
        return ""
    endings = {name.rstrip(". ").rpartition(".")[2].lower() for name in names if "." in name}

    def claims(types_begin: tuple[str, ...], names_end: frozenset[str]) -> bool:
        return not names_end.isdisjoint(endings) or any(
            name.startswith(types_begin) and not name.startswith(_PROGRAM) for name in types
        )

    if claims(_HARMLESS, _HARMLESS_NAMES):
        return title
    # A text may begin with the letters MZ, but it has no octet that is none of a text.
    if claims(_TEXT, _TEXT_NAMES) and kind in ("program", "archive") and not head.isascii():
        return title
    return title if claims(_DOCUMENT, _DOCUMENT_NAMES) and kind == "program" else ""
