"""What the tags of HTML hide: their attributes, the styles in those, and which elements are open inside a hidden one.

Read as browsers read them (https://html.spec.whatwg.org/#tokenization): what works there is what spammers use. Each
expression here goes over a character a fixed number of times at most, whatever comes.
"""

import re
from functools import lru_cache

from mwall.message.html_entities import unescape

# Why an element is not seen. What is GONE leaves no gap: the text on both sides of it reads as one. All but the first
# two can be undone by an element inside, whose bits to undo stand _UNDO_SHIFT higher.
GONE, UNSEEN, TINY, VEILED, BLENDED = 1, 2, 4, 8, 16
HIDDEN = GONE | UNSEEN | TINY | VEILED | BLENDED
_UNDO_SHIFT = 8
MAX_CACHED = 512  # characters of the attributes that look() is asked for

_MAX_DEPTH = 256
_NEAR = 16  # how far up an inline end tag is looked for

# No others part words, and none but they are ended by the end of an element around them. Not among them are html, head
# and body, whose end tags end nothing.
BLOCKS = frozenset(
    """address article aside blockquote br button caption center col colgroup dd details dialog dir div dl dt fieldset
    figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr input legend li listing main menu nav ol
    optgroup option p plaintext pre search section select summary table tbody td textarea tfoot th thead tr ul
    xmp""".split()  # noqa: SIM905
)
# What a start tag ends, where that is the innermost block. A table in a paragraph ends it in some readers only.
_ENDED_BY: dict[str, set[str]] = {name: {"p"} for name in BLOCKS - {"table", "br", "input", "button", "select", "col"}}
_ENDED_BY |= {
    "li": {"p", "li"}, "dt": {"p", "dt", "dd"}, "dd": {"p", "dt", "dd"}, "td": {"p", "td", "th"},
    "th": {"p", "td", "th"}, "tr": {"p", "td", "th", "tr"}, "option": {"option"},
    "tbody": {"p", "td", "th", "tr", "tbody", "thead"}, "tfoot": {"p", "td", "th", "tr", "tbody", "thead"},
}  # fmt: skip

_ATTRIBUTE = re.compile(
    r"([^ \t\n\f\r/][^ \t\n\f\r/=]*+)"
    r"""(?:[ \t\n\f\r]*+=[ \t\n\f\r]*+(?:"([^"]*+)"|'([^']*+)'|([^ \t\n\f\r"'][^ \t\n\f\r]*+)|\Z))?"""
)
_WANTED = {"style", "hidden", "bgcolor", "color", "size", "alt", "type", "value"}
_TELLING = re.compile("style|hidden|color|size", re.IGNORECASE | re.ASCII)
# Attributes that may hide have one of these, or two colours: most have not, and need no closer look.
_SUSPECT = re.compile(
    r"none|hid|collapse|opacity|clip|indent|transparent|rgba|font\s*+:|size\s*+:\s*+[+0]*(?:\.|[01](?![0-9]))|[\\&]|/\*"
    "|#(?:[0-9a-f]{3}0|[0-9a-f]{6}00)(?![0-9a-f])"
)
_FRONT_COLOUR = re.compile(r"(?<![-g])color\s*+[:=]")

# A style: strings, comments and addresses hold no rules. Unclosed ones last to the end, so these never fail.
_OPAQUE = re.compile(r"""/\*.*?(?:\*/|\Z)|(?:"[^"]*+"?|'[^']*+'?|url\([^)]*+\)?)""", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:([0-9a-f]{1,6})\s?|(.))", re.DOTALL)
_RULE = re.compile(
    r"(?:\A|;)\s*+(display|visibility|opacity|font-size|font|overflow|max-height|height|max-width|width|text-indent"
    r"|mso-hide|color|background-color|background)\s*+:\s*+([^;]*+)"
)
# Where a wrong value would be taken for one that shows: browsers pass over the rule.
_VALID = {
    "display": re.compile(
        r"(?:none|block|inline|table|flex|grid|contents|list-item|flow|ruby|inherit|initial|unset|revert)\b[a-z -]*"
    ),
    "visibility": re.compile("visible|hidden|collapse|inherit|initial|unset|revert"),
    "opacity": re.compile(r"[-+.0-9]+%?"),
    "overflow": re.compile("(?:visible|hidden|clip|scroll|auto)[a-z ]*"),
    "font-size": re.compile(
        r"[+.0-9]+(?:[a-z]*|%)|[a-z-]*(?:small|large|medium|smaller|larger)|(?:calc|min|max|clamp)\(.*"
    ),
}
_LENGTH = re.compile(r"([-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))([a-z]*|%)")
_PIXELS = {"": 1, "px": 1, "pt": 1.33, "pc": 16, "in": 96, "cm": 38, "mm": 3.8, "rem": 16, "em": 16, "ex": 8, "%": 0.16}
_LAST_OF_UNIT = tuple("xtcnm%")
_RELATIVE = ("em", "ex", "%")  # of a parent's size: what is tiny there stays tiny; but not rem
_COLOUR = re.compile(r"#([0-9a-f]{3,8})\b|rgba?\(([^)]{1,64})\)|\b([a-z]++)")
_COLOUR_NAMES = {
    "white": "ffffff", "black": "000000", "red": "ff0000", "green": "008000", "blue": "0000ff", "yellow": "ffff00",
    "gray": "808080", "grey": "808080", "silver": "c0c0c0", "snow": "fffafa", "ivory": "fffff0",
    "whitesmoke": "f5f5f5", "ghostwhite": "f8f8ff", "transparent": "00000000",
}  # fmt: skip
_EXTENTS = ("max-height", "height", "max-width", "width")
_SAME_COLOUR = 8  # of 255, in each of red, green and blue


def attributes_of(raw: str) -> dict[str, str]:
    """Return those attributes that matter here of what stands in a tag behind its name; of equal names the first."""
    found: dict[str, str] = {}
    for match in _ATTRIBUTE.finditer(raw):
        name, double, single, bare = match.groups("")
        if name.lower() in _WANTED:
            found.setdefault(name.lower(), unescape(double or single or bare, True))
    return found


def look(raw: str) -> int:
    """Return by which of HIDDEN a tag with these attributes hides its element, and what it undoes, _UNDO_SHIFT up."""
    if not _TELLING.search(raw):
        return 0
    found = attributes_of(raw)
    rules = _rules(found.get("style", "").lower())
    get = rules.get
    # A style has the last word over the attribute.
    gone = get("display", "none" if "hidden" in found else "") == "none" or get("mso-hide") == "all"
    result = GONE if gone else 0
    indent, opacity = _pixels(get("text-indent", "0")), _pixels(get("opacity", "1"))
    clipped = get("overflow") in ("hidden", "clip") and any(_is_tiny(get(name, "")) for name in _EXTENTS)
    if clipped or (opacity is not None and opacity < 0.05) or (indent is not None and indent < -500):
        result |= UNSEEN
    if size := get("font-size") or _size_in_font(get("font", "")):
        result |= _size_look(size)
    elif "size" in found:
        result |= TINY << _UNDO_SHIFT
    if visibility := get("visibility"):
        result |= VEILED if visibility in ("hidden", "collapse") else VEILED << _UNDO_SHIFT
    front = get("color") or found.get("color", "")
    behind = get("background-color") or get("background") or found.get("bgcolor", "")
    if front or behind:
        result |= BLENDED if rules and _blends(front, behind) else BLENDED << _UNDO_SHIFT
    return result


def hides(raw: str) -> int:
    """Return the part of look() that is in HIDDEN: at a third of its cost, for tags outside of hidden elements."""
    lower = raw.lower()
    if "style" not in lower and "hidden" not in lower:
        return 0
    if not _SUSPECT.search(lower):
        has_background = "background" in lower or "bgcolor" in lower
        if not has_background or not _FRONT_COLOUR.search(lower):
            return 0
    return look(raw) & HIDDEN


cached_look = lru_cache(1024)(look)
cached_hides = lru_cache(1024)(hides)


def _rules(style: str) -> dict[str, str]:
    """The rules of a style that matter here, the last valid one of each name: the one that holds."""
    if "/*" in style or '"' in style or "'" in style or "url(" in style:
        style = _OPAQUE.sub(" ", style)
    if "\\" in style:
        style = _ESCAPE.sub(_escaped, style)
    rules: dict[str, str] = {}
    important: dict[str, str] = {}
    for name, value in _RULE.findall(style):
        value, mark, _ = value.partition("!")
        value = value.strip()
        if name not in _VALID or _VALID[name].fullmatch(value[:64]):
            (important if mark else rules)[name] = value
    return rules | important


def _escaped(match: re.Match[str]) -> str:
    character = chr(min(int(match[1], 16), 0x10FFFF)) if match[1] else match[2]
    # An escaped semicolon ends no rule, an escaped digit begins no number.
    return character.lower() if character.isalpha() or character == "-" else "\ufffd"


def _pixels(value: str) -> float | None:
    match = _LENGTH.fullmatch(value[:32])
    factor = _PIXELS.get(match[2]) if match else None
    return float(match[1]) * factor if match and factor is not None else None


def _is_tiny(value: str) -> bool:
    pixels = _pixels(value)
    return pixels is not None and -1.5 < pixels < 1.5


def _size_in_font(value: str) -> str:
    """The size in a font rule: its first number with a unit. Bare numbers there are weights, but for 0."""
    for word in value[:100].split():
        size = word.partition("/")[0]
        if size == "0" or (size[-1:] in _LAST_OF_UNIT and _pixels(size) is not None):
            return size
    return ""


def _size_look(size: str) -> int:
    if _is_tiny(size):
        return TINY
    return 0 if size.endswith(_RELATIVE) and not size.endswith("rem") else TINY << _UNDO_SHIFT


def _blends(colour: str, background: str) -> bool:
    front = _colour(colour)
    if front is None:
        return colour != "" and colour == background
    if front[3:] == (0,):
        return True
    behind = _colour(background)
    return behind is not None and all(abs(a - b) <= _SAME_COLOUR for a, b in zip(front[:3], behind[:3], strict=False))


def _colour(value: str) -> tuple[int, ...] | None:
    """Red, green and blue, and 0 behind them where it is transparent; None for what is no colour known here."""
    for digits, numbers, name in _COLOUR.findall(value[:200]):
        if numbers:
            parts = re.findall(r"[0-9.]+", numbers)[:4]
            if len(parts) >= 3:
                whole = [min(int(part.partition(".")[0][:3] or "0"), 255) for part in parts[:3]]
                return (*whole, 0) if len(parts) == 4 and not parts[3].strip("0.") else tuple(whole)
        digits = digits or _COLOUR_NAMES.get(name, "")
        if len(digits) in (3, 4):
            digits = "".join([digit * 2 for digit in digits])
        if len(digits) in (6, 8):
            whole = [int(digits[at : at + 2], 16) for at in (0, 2, 4)]
            return (*whole, 0) if digits[6:] == "00" else tuple(whole)
    return None


class OpenElements:
    """The elements open since a hidden one began: enough of a tree to tell where it ends, and what inside it shows.

    Follows https://html.spec.whatwg.org/#parsing-main-inbody in the rough: a block's end tag closes what is open in
    it, an inline one reaches no further than the block it stands in, some start tags close the element before.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.state = 0  # why text is hidden now
        self.passed: list[str] = []  # tags of blocks outside, not yet counted
        self._before: list[int] = []  # the state to return to, for each name
        self._count: dict[str, int] = {}
        self._too_deep = 0
        self._outside: dict[str, int] = {}

    def open(self, name: str, looks: int) -> None:
        """Put an element on top, with its bits of look()."""
        if len(self.names) >= _MAX_DEPTH:
            self._too_deep += 1
            return
        self.names.append(name)
        self._before.append(self.state)
        self._count[name] = self._count.get(name, 0) + 1
        self.state = self.state & ~(looks >> _UNDO_SHIFT) | looks & HIDDEN

    def make_way(self, name: str) -> None:
        """Close what a start tag ends without an end tag."""
        ended = _ENDED_BY.get(name)
        while ended and self.names:
            at = self._innermost(None)
            if at < 0 or self.names[at] not in ended:
                return
            self._pop(at)

    def close(self, name: str) -> bool:
        """Do what an end tag does; tell whether it closed an element that all of these are inside of."""
        if self._too_deep:
            self._too_deep -= 1
        elif name not in BLOCKS:
            at = self._innermost(name)
            if at >= 0 and self.names[at] == name:
                self._pop(at)
        elif self._count.get(name):
            at = len(self.names) - 1
            while self.names[at] != name:
                at -= 1
            self._pop(at)
        elif self._is_open_outside(name):
            self._pop(0)
            self.passed.append("/" + name)
            return True
        return False

    def _innermost(self, name: str | None) -> int:
        for at in range(len(self.names) - 1, max(len(self.names) - _NEAR, 0) - 1, -1):
            if self.names[at] == name or self.names[at] in BLOCKS:
                return at
        return -1

    def _pop(self, at: int) -> None:
        for name in self.names[at:]:
            self._count[name] -= 1
            if not self._count[name]:
                del self._count[name]
        self.state = self._before[at]
        del self.names[at:], self._before[at:]

    def _is_open_outside(self, name: str) -> bool:
        self.count_passed()
        # Paragraphs need no end tag: any block ends them.
        return self._outside.get(name, 0) > 0 and (name != "p" or self._innermost(None) < 0)

    def count_passed(self) -> None:
        """Count the tags that were only noted, as honest mail never asks for the number."""
        for tag in self.passed:
            tag = tag.lower()
            name = tag.lstrip("/")
            number = self._outside.get(name, 0)
            self._outside[name] = number + 1 if name == tag else max(number - 1, 0)
        self.passed.clear()
