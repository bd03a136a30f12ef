"""Character references of HTML, as browsers read them (https://html.spec.whatwg.org/#character-reference-state).

The standard library's html.unescape raises ValueError on 4,301 digits, so there is one of our own. Each expression here
goes over a character a fixed number of times at most, whatever comes.
"""

import re
from html.entities import html5

_REFERENCE = re.compile(r"&(?:#([0-9]+|[xX][0-9a-fA-F]+)|([A-Za-z][A-Za-z0-9]*));?")
_UNFINISHED = re.compile(r"&(?:(#[xX]?)([0-9a-fA-F]*)|[A-Za-z][A-Za-z0-9]*)?")
_LONGEST_NAME = max(map(len, html5))
_LONGEST_BARE_NAME = max(len(name) for name in html5 if not name.endswith(";"))
_WINDOWS_1252 = {code: bytes([code]).decode("cp1252", "ignore") or chr(code) for code in range(0x80, 0xA0)}


def unescape(text: str, in_attribute: bool = False) -> str:
    """Return text with its character references replaced, known or not known as browsers know them. Raises nothing."""
    return _REFERENCE.sub(_attribute_character if in_attribute else _character, text) if "&" in text else text


def _character(match: re.Match[str]) -> str:
    number, name = match.groups()
    if number:
        return _numbered(number)
    if found := html5.get(match[0][1:]):
        return found
    for length in range(min(len(name), _LONGEST_BARE_NAME), 1, -1):
        if found := html5.get(name[:length]):
            return found + match[0][1 + length :]
    return match[0]


def _attribute_character(match: re.Match[str]) -> str:
    if match[1]:
        return _numbered(match[1])
    # Here "&copy=1" is the rest of an address, not a sign of copyright, unless a semicolon says so.
    if not match[0].endswith(";") and match.string.startswith("=", match.end()):
        return match[0]
    return html5.get(match[0][1:], match[0])


def _numbered(number: str) -> str:
    digits, base = (number[1:], 16) if number[0] in "xX" else (number, 10)
    digits = digits.lstrip("0")
    code = int(digits or "0", base) if len(digits) < 8 else 0
    if code in _WINDOWS_1252:
        return _WINDOWS_1252[code]
    return "\ufffd" if code == 0 or code > 0x10FFFF or 0xD800 <= code < 0xE000 else chr(code)


def split_unfinished(text: str) -> tuple[str, str]:
    """Return (text, rest): the rest is a reference that may go on behind the end of text, in few characters.

    However long a number is, no more of it is kept than tells which one it will be.
    """
    at = text.rfind("&")
    match = _UNFINISHED.fullmatch(text, at) if at >= 0 else None
    if match is None or (match[1] is None and len(text) - at > _LONGEST_NAME):
        return text, ""
    digits = match[2]
    if not digits:
        return text[:at], text[at:]
    if match[1] == "#" and not digits.isdecimal():
        return text, ""
    return text[:at], f"&{match[1]}0{digits.lstrip('0')[:8]}"
