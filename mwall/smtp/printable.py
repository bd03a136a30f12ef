"""Octets of outside origin made fit for a reply, a log line or a header: printable ASCII, nothing else."""

from __future__ import annotations

import re

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(text: str | bytes, limit: int = 1000) -> str:
    """`text` with every octet or character outside SP..~ as a backslash escape; cut to `limit` characters.

    Octets are read as UTF-8; those that are not come out as \\xNN.
    """
    if isinstance(text, bytes):
        text = text[: limit * 4].decode("utf-8", "backslashreplace")
    if not (text.isascii() and text.isprintable()):
        text = _UNPRINTABLE.sub(_escape, text[: limit * 4])
    return text if len(text) <= limit else text[: limit - 3] + "..."
