"""Content-Type, Content-Disposition and Content-Transfer-Encoding (RFC 2045 5 and 6, RFC 2183, RFC 2231).

Mail readers differ where these fields are doubled, quoted oddly or continued: so a parameter has every value that
one of them might take it for, the likeliest first.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from mwall.message.charsets import Decoder, charset_name
from mwall.message.encoded_words import decode_words
from mwall.message.header import HeaderError
from mwall.message.transfer import Encoding

MAX_PARAMETERS = 200
MAX_VALUE = 32_768  # characters of one field

_TYPE = re.compile(r"[ \t]*+([^\s;]*+)")
_SLASHED = re.compile(r"[^\s/;=\"]++/[^\s/;=\"]++")
_PARAMETER = re.compile(
    r"""(?<![^\s;="])([^\s;="]++)[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*)("?)([^\s;]*+)|([^\s;]*+)(?=([^;]*)))""", re.DOTALL
)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"?|\([^()]*+\)', re.DOTALL)
_CONTINUED = re.compile(r"([^*]++)\*(?:([0-9]{1,4})(\*?))?")
_ENCODINGS: dict[str, Encoding] = {
    "7bit": "identity", "8bit": "identity", "binary": "identity", "base64": "base64",
    "quoted-printable": "quoted-printable", "x-uuencode": "uuencode", "uuencode": "uuencode", "x-uue": "uuencode",
    "uue": "uuencode",
}  # fmt: skip
_ANY_ENCODING: tuple[Encoding, ...] = ("identity", "base64", "quoted-printable", "uuencode")


class ContentField(NamedTuple):
    """A Content-Type or Content-Disposition: `name` (type/subtype or disposition type) and parameters in lower case.

    `faults`: what is wrong with it, in our own words.
    """

    name: str
    parameters: dict[str, tuple[str, ...]]
    faults: tuple[str, ...]

    def values(self, parameter: str) -> tuple[str, ...]:
        """Return all that a parameter may be taken for, the likeliest first."""
        return self.parameters.get(parameter, ())


def parse_content_field(value: str) -> ContentField:
    """Parse an unfolded Content-Type or Content-Disposition. Raises HeaderError where it is beyond all measure."""
    if len(value) > MAX_VALUE:
        raise HeaderError(f"a Content field is longer than {MAX_VALUE} characters")
    head = _TYPE.match(_COMMENT.sub(_no_comment, value, 1) if value.startswith("(") else value)
    assert head is not None
    name, rest = head[1].lower(), head.string[head.end() :]
    oddities = []
    if "=" in name:
        name, rest = "", ";" + value
    elif '"' in name or "(" in name or "," in name:
        bare = name.partition("(")[0].strip('",')
        if len(bare) < len(name.partition("(")[0]):
            oddities.append("a Content field whose name is in quotes or before a comma")
        name = bare
    if not name:
        oddities.append("a Content field that begins with a parameter")
    if not rest.strip("; \t"):
        return ContentField(name, {}, tuple(oddities))
    parameters, faults = _parameters(rest)
    others = []
    if "(" in rest:  # comments: most readers know none
        without, faults = _parameters(_COMMENT.sub(_no_comment, rest))
        others.append(without)
    if "=?" in rest or "=?" in name:
        others.append(_parameters(decode_words(value))[0])
    if any("quote" in fault for fault in faults):
        others.append(_split_at_semicolons(rest))
    for other in others:
        parameters = {key: _merged(other.get(key, ()), values) for key, values in (other | parameters).items()}
    return ContentField(name, parameters, (*oddities, *faults))


def _no_comment(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith('"') else " "


def is_media_type(name: str) -> bool:
    """Tell whether a ContentField's name has the form type/subtype."""
    return _SLASHED.fullmatch(name) is not None


def _split_at_semicolons(text: str) -> dict[str, tuple[str, ...]]:
    """The parameters as those see them who know no quotes."""
    parameters: dict[str, tuple[str, ...]] = {}
    for piece in text.split(";", MAX_PARAMETERS):
        name, equals, value = piece.partition("=")
        if equals:
            key = name.strip().lower()
            parameters[key] = (*parameters.get(key, ()), value.strip(' \t"'))
    return parameters


def _merged(*many: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for values in many for value in values))


def _parameters(text: str) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    plain: dict[str, list[tuple[str, ...]]] = {}
    continued: dict[str, dict[int, tuple[str, bool]]] = {}
    faults: list[str] = []
    end = 0
    for count, match in enumerate(_PARAMETER.finditer(text)):
        if count == MAX_PARAMETERS:
            raise HeaderError(f"a Content field has more than {MAX_PARAMETERS} parameters")
        if text.find(";", end, match.start()) < 0:
            faults.append("a parameter without a semicolon before it")
        end = match.end()
        name = match[1].lower()
        readings = _readings(match, faults)
        section = _CONTINUED.fullmatch(name)
        if section:
            number, is_encoded = int(section[2] or 0), not section[2] or bool(section[3])
            sections = continued.setdefault(section[1], {})
            if number in sections and sections[number] != (readings[0], is_encoded):
                faults.append(f"the parameter {section[1]} has a section twice")
                plain.setdefault(section[1], []).append((_percent_decoded(readings[0]) if is_encoded else readings[0],))
            sections.setdefault(number, (readings[0], is_encoded))
        else:
            if name in plain and plain[name][0] != readings:
                faults.append(f"the parameter {name} is given twice")
            plain.setdefault(name, []).append(readings)
    parameters = {name: _merged(*(_with_words(values) for values in found)) for name, found in plain.items()}
    for name, sections in continued.items():
        parameters[name] = _merged(_joined(sections, name, faults), parameters.get(name, ()))
    return parameters, faults


def _readings(match: re.Match[str], faults: list[str]) -> tuple[str, ...]:
    _, quoted, end_quote, behind, token, more = match.groups()
    if quoted is None:
        # A name with spaces and no quotes around it: some take it whole.
        whole = (token + more).strip()
        if '"' in token:
            faults.append("a quote within a value of a Content field")
        return (token,) if whole == token or "=" in more else (whole, token)
    readings = [_QUOTED_PAIR.sub(r"\1", quoted)] if "\\" in quoted else []
    readings.append(quoted)  # a backslash that stands for itself, as in C:\name
    if not end_quote:
        faults.append("a quote in a Content field is not closed")
        readings.append(quoted.partition(";")[0].strip())
    if behind:
        faults.append("text behind a closing quote in a Content field")
        readings.append(quoted + behind)
    return tuple(readings)


def _with_words(values: tuple[str, ...]) -> tuple[str, ...]:
    """RFC 2047 5 forbids encoded words here; everybody reads them all the same."""
    if not any("=?" in value for value in values):
        return values
    return _merged([decode_words(value) for value in values], values)


def _joined(sections: dict[int, tuple[str, bool]], name: str, faults: list[str]) -> tuple[str, ...]:
    """RFC 2231 3: sections in the order of their numbers, whatever their order in the field."""
    numbers = sorted(sections)
    unbroken = [number for place, number in enumerate(numbers) if number == place]
    ways = [numbers]
    if unbroken != numbers:
        faults.append(f"the parameter {name} lacks a section")
        ways = [unbroken, numbers] if unbroken else [numbers]
    values = [_decoded([sections[number] for number in way]) for way in ways]
    if sections[numbers[0]][1]:
        if sections[numbers[0]][0].count("'") < 2:
            faults.append(f"the parameter {name} is encoded and names no charset")
        if len(sections) > 1:  # an octet may be cut in two: some decode only what they have joined
            values.append(_decoded([("".join([sections[number][0] for number in numbers]), True)]))
    return _with_words(tuple(values))


def _decoded(sections: list[tuple[str, bool]]) -> str:
    charset = ""
    first, is_encoded = sections[0]
    if is_encoded and first.count("'") >= 2:
        charset, _, first = first.split("'", 2)
        sections = [(first, True), *sections[1:]]
    pieces = [(text.encode("utf-8", "replace"), encoded) for text, encoded in sections]
    return _text(b"".join([unquote_to_bytes(octets) if encoded else octets for octets, encoded in pieces]), charset)


def _percent_decoded(value: str) -> str:
    return _decoded([(value, True)])


def _text(octets: bytes, charset: str) -> str:
    known = charset_name(charset)
    if known:
        return Decoder(known).decode(octets, True)
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def parse_encodings(values: Sequence[str]) -> tuple[tuple[Encoding, ...], tuple[str, ...]]:
    """Return all that the Content-Transfer-Encoding fields of a part may be taken for, and what is wrong with them."""
    if not values:
        return ("identity",), ()
    readings: list[Encoding] = []
    faults = ["Content-Transfer-Encoding is given twice"] if len(values) > 1 else []
    for value in values:
        bare = _COMMENT.sub(_no_comment, value).strip(" \t")
        token = bare.strip(';"').lower()
        if token != bare.lower():
            faults.append("a Content-Transfer-Encoding in quotes or before a semicolon")
        encoding = _ENCODINGS.get(token)
        if encoding is None:
            faults.append("a Content-Transfer-Encoding that nobody knows")
        readings += [encoding] if encoding else _ANY_ENCODING
    return tuple(dict.fromkeys(readings)), tuple(faults)
