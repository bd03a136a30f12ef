"""HTML as the eye of a mail reader has it: what it shows, and apart from that what it hides.

Tags are found as browsers find them (https://html.spec.whatwg.org/#tokenization): a spammer writes what mail readers
show, not what is valid. There is no tree; outside of hidden elements a tag is nothing but a gap between words, or no
gap. A text comes in windows, cut anywhere; the few characters that cannot be judged alone wait for the next one. Most
tags are matched whole by one expression; those that are cut or odd go through a table of states. The standard
library's html.parser is not used: it was quadratic more than once (CVE-2025-6069).
"""

import re
from collections.abc import Callable

from mwall.message.html_entities import split_unfinished, unescape
from mwall.message.html_hiding import (
    BLOCKS,
    GONE,
    HIDDEN,
    MAX_CACHED,
    OpenElements,
    attributes_of,
    cached_hides,
    cached_look,
    hides,
    look,
)

_MAX_TAG = 65_536  # characters kept of a tag that does not end; the bounds below hold for any
_MAX_ATTRIBUTES = 32_768
_MAX_NAME = 64
_MAX_PASSED = 4096

# Characters that show nothing, put into words to break them.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e01ef]+"
)

# Those that browsers know, for speed: any other name is inline too.
_INLINES = """a abbr acronym b base basefont bdi bdo big blink cite code data del dfn em font i ins kbd label link map
mark meta nobr noscript o:p q s samp small span strike strong sub sup time tt u var wbr""".split()  # noqa: SIM905
_RAW = {"script", "style", "title", "iframe", "noembed", "noframes", "textarea", "xmp", "plaintext"}
_DROPPED = {"script", "style"}
_NOT_SHOWN = {"title", "iframe", "noembed", "noframes"}
_NEVER_SHOWN = {"template", "datalist"}
# Elements that never have anything inside: void ones, and those whose raw text is over before the next tag.
_VOID = """area base basefont bgsound br col embed frame hr img input keygen link meta param source track
wbr""".split()  # noqa: SIM905
_CHILDLESS = {*_VOID, *_DROPPED, *_NOT_SHOWN}
_PARTING = BLOCKS | {"html", "head", "body"}


def _plain_tags() -> dict[str, str]:
    """What a tag without a look of its own leaves: for names in either case, a slash before those of end tags."""
    special = _RAW | {"img", "input"}
    leaves = dict.fromkeys(_PARTING, " ") | dict.fromkeys(_INLINES, "")
    both = {mark + name: gap for name, gap in leaves.items() for mark in ("", "/") if mark or name not in special}
    return both | {name.upper(): gap for name, gap in both.items()}


_PLAIN = _plain_tags()

# Text up to a tag, and the tag if it is whole and its attributes are written as usual. Always matches, so that
# finditer does not look for a match further on. Before "=" stands a name: what begins with "=" is one itself.
_RUN = re.compile(
    r"([^<]*+)(?:<(/?[A-Za-z][^ \t\n\f\r/>]*+)((?:[^>=]++(?<![ \t\n\f\r/])=[ \t\n\f\r]*+"
    r"""(?:"[^"]*+"|'[^']*+'|[^ \t\n\f\r"'>][^ \t\n\f\r>]*+))*[^>=]*+)>)?"""
)
_LITERAL = re.compile(r"(?:<(?=[^A-Za-z/!?])[^<]*+)+")
_UNFINISHED_OPENING = re.compile(r"<(?:/|!(?:-(?:-(?:-|\[[iI]?)?)?)?)?")
_TAG_OPENING = re.compile(r"<(/?)(?=[A-Za-z])")
_TAG_NAME = re.compile(r"/?[^ \t\n\f\r/>]+")
_EMPTY_COMMENT = re.compile(r"-?>")
_COMMENT_END = re.compile(r"--!?>")
_UNFINISHED_COMMENT_END = re.compile(r"(?:--?|--!)\Z")
_RAW_ENDS = {name: re.compile(rf"</{name}[ \t\n\f\r/>]", re.IGNORECASE | re.ASCII) for name in _RAW - {"plaintext"}}
_RAW_ENDS["plaintext"] = re.compile(r"(?!)")

# The tokenizer's states inside a tag: what they run over, and what the character behind leads to.
_TAG_STATES: dict[str, tuple[re.Pattern[str], dict[str, str], str]] = {
    "tag name": (re.compile(r"[^ \t\n\f\r/>]*+"), {">": "end"}, "before name"),
    "before name": (re.compile(r"[ \t\n\f\r/]*+"), {">": "end"}, "name"),
    "name": (re.compile(r"[^ \t\n\f\r/>=]*+"), {">": "end", "=": "before value", "/": "before name"}, "after name"),
    "after name": (re.compile(r"[ \t\n\f\r]*+"), {">": "end", "=": "before value", "/": "before name"}, "name"),
    "before value": (re.compile(r"[ \t\n\f\r]*+"), {">": "end", '"': "double", "'": "single"}, "value"),
    "double": (re.compile(r'[^"]*+'), {}, "before name"),
    "single": (re.compile(r"[^']*+"), {}, "before name"),
    "value": (re.compile(r"[^ \t\n\f\r>]*+"), {">": "end"}, "before name"),
}


def without_invisible(text: str) -> str:
    """Return text without characters that show nothing: soft hyphens, zero widths, marks of direction and variation."""
    return text if text.isascii() else _INVISIBLE.sub("", text)


class HtmlReader:
    """One HTML text in windows, which may be cut anywhere. Raises nothing, and keeps a bounded part of it only."""

    def __init__(self, in_comment: bool = False) -> None:
        self._visible: list[str] = []
        self._hidden: list[str] = [] if not in_comment else self._visible  # there it is all one, in its order
        self._out = self._visible
        self._inside = OpenElements()
        self._held = ""
        self._mode: Callable[[HtmlReader, str, int, bool], int] = HtmlReader._read_text
        self._tag_state = ""
        self._tag_pieces: list[str] = []
        self._tag_room = 0
        self._raw_name = ""
        self._raw_out: list[str] | None = None
        self._in_comment = in_comment
        self._conditional: HtmlReader | None = None

    def feed(self, text: str, final: bool = False) -> tuple[str, str]:
        """Return (visible, hidden): what this window adds to the text that the reader sees, and that he does not.

        Entities are replaced, invisible characters taken out of both; white space is left as it is, U+00A0 too.
        How the text is cut does not matter. With `final` what was held back comes out: nothing may follow.
        """
        buffer = self._held + text
        self._held = ""
        position = 0
        while position < len(buffer):
            position = self._mode(self, buffer, position, final)
        if final:
            self._end_conditional()
        if len(self._inside.passed) > _MAX_PASSED:
            self._inside.count_passed()
        visible = "".join(self._visible)
        self._visible.clear()
        hidden = "".join(self._hidden)
        self._hidden.clear()
        return without_invisible(visible).replace("\0", ""), without_invisible(hidden).replace("\0", "")

    # Each mode reads on from a position and returns the next one; what has to wait it puts into _held.

    def _read_text(self, buffer: str, position: int, final: bool) -> int:
        inside = self._inside
        passed = inside.passed.append
        append = self._out.append
        leaves = _PLAIN.get
        for match in _RUN.finditer(buffer, position):
            text, name, attributes = match.groups()
            if name is None:
                return self._read_odd(buffer, match.start(), match.end(), final)
            if text:
                append(unescape(text) if "&" in text else text)
            gap = leaves(name)
            if gap is None or inside.names or (attributes and _hides(attributes)):
                self._handle_tag(name, attributes)
                if self._mode is not HtmlReader._read_text:
                    return match.end()
                append = self._out.append
            elif gap:
                append(gap)
                passed(name)
        return len(buffer)

    def _read_odd(self, buffer: str, start: int, end: int, final: bool) -> int:
        """Text before the end of the window, or before a "<" that is not the beginning of a usual tag."""
        literal = _LITERAL.match(buffer, end)
        if literal:
            end = literal.end()
        self._show(self._out, buffer[start:end], end < len(buffer) or final)
        if end == len(buffer):
            return end
        if not final and _UNFINISHED_OPENING.fullmatch(buffer, end):
            self._held = buffer[end:]
            return len(buffer)
        if tag := _TAG_OPENING.match(buffer, end):
            self._tag_state, self._tag_pieces, self._tag_room = "tag name", [tag[1]], _MAX_TAG
            self._mode = HtmlReader._read_tag
            return tag.end()
        if buffer.startswith("<!--", end):
            return self._open_comment(buffer, end + 4)
        if buffer[end + 1 : end + 2] in ("!", "?") or len(buffer) > end + 2:
            self._mode = HtmlReader._read_bogus_comment
            return end + 2
        self._out.append(buffer[end:])
        return len(buffer)

    def _show(self, out: list[str], text: str, whole: bool) -> None:
        if "&" in text:
            if not whole:
                text, self._held = split_unfinished(text)
            text = unescape(text)
        out.append(text)

    def _read_tag(self, buffer: str, position: int, final: bool) -> int:
        start, state = position, self._tag_state
        while state != "end":
            run, turns, otherwise = _TAG_STATES[state]
            match = run.match(buffer, position)
            if match is None or match.end() == len(buffer):
                self._tag_state = state
                self._keep_of_tag(buffer, start, len(buffer))
                return len(buffer)
            position = match.end() + 1
            state = turns.get(buffer[position - 1], otherwise)
        self._keep_of_tag(buffer, start, position - 1)
        whole = "".join(self._tag_pieces)
        self._mode = HtmlReader._read_text
        if name := _TAG_NAME.match(whole):
            self._handle_tag(whole[: name.end()], whole[name.end() :])
        return position

    def _keep_of_tag(self, buffer: str, start: int, end: int) -> None:
        if self._tag_room:
            piece = buffer[start : min(end, start + self._tag_room)]
            self._tag_room -= len(piece)
            self._tag_pieces.append(piece)

    def _open_comment(self, buffer: str, position: int) -> int:
        if empty := _EMPTY_COMMENT.match(buffer, position):
            return empty.end()
        if buffer[position : position + 3].lower() == "[if" and not self._in_comment:
            # Outlook reads what stands in it. With "<!" before it, "[if mso]>" is a tag there and goes as one.
            self._conditional = HtmlReader(in_comment=True)
            self._conditional.feed("<!")
            self._hidden.append(" ")
        self._mode = HtmlReader._read_comment
        return position

    def _read_comment(self, buffer: str, position: int, final: bool) -> int:
        found = _COMMENT_END.search(buffer, position)
        end = found.start() if found else len(buffer)
        if not found and not final and (tail := _UNFINISHED_COMMENT_END.search(buffer, max(end - 3, position))):
            end = tail.start()
            self._held = tail[0]
        if self._conditional:
            self._hidden.append(self._conditional.feed(buffer[position:end])[0])
        if not found:
            return len(buffer)
        self._end_conditional()
        self._mode = HtmlReader._read_text
        return found.end()

    def _end_conditional(self) -> None:
        if self._conditional:
            self._hidden += (self._conditional.feed("", True)[0], " ")
            self._conditional = None

    def _read_bogus_comment(self, buffer: str, position: int, final: bool) -> int:
        end = buffer.find(">", position)
        if end < 0:
            return len(buffer)
        self._mode = HtmlReader._read_text
        return end + 1

    def _read_raw(self, buffer: str, position: int, final: bool) -> int:
        """The text of an element in which there are no tags but its own end tag."""
        name, size = self._raw_name, len(buffer)
        found = _RAW_ENDS[name].search(buffer, position)
        end = found.start() if found else size
        if not found and not final:
            at = buffer.rfind("<", max(size - len(name) - 2, position))
            if at >= 0 and f"</{name}".startswith(buffer[at:].lower()):
                end = at
        if self._raw_out is not None:
            text = buffer[position:end]
            if name in ("title", "textarea"):
                self._show(self._raw_out, text, end < size or final)
            else:
                self._raw_out.append(text)
        if not found:
            self._held = self._held or buffer[end:]
            return size
        self._mode = HtmlReader._read_text
        return end

    def _handle_tag(self, name: str, attributes: str) -> None:
        # Only ASCII letters have a second case here: the Kelvin sign is no "k".
        name = name[:_MAX_NAME].lower() if name.isascii() else name[:_MAX_NAME]
        attributes = attributes[:_MAX_ATTRIBUTES] if len(name) < _MAX_NAME else ""
        if name.startswith("/"):
            self._handle_end_tag(name[1:])
        else:
            self._handle_start_tag(name, attributes)

    def _handle_end_tag(self, name: str) -> None:
        gap = " " if name in _PARTING else ""
        self._out.append(gap)
        if self._inside.names:
            closed_outer = self._inside.close(name)
            self._choose_out()
            if closed_outer:
                self._out.append(gap)
        elif gap:
            self._inside.passed.append("/" + name)

    def _handle_start_tag(self, name: str, attributes: str) -> None:
        inside = self._inside
        looks = 0
        if attributes:
            looks = _looks(attributes) if inside.names else _hides(attributes)
        if name in _NEVER_SHOWN:
            looks |= GONE
        if inside.names:
            inside.make_way(name)
            self._choose_out()
        before = self._out
        if name not in _CHILDLESS:
            if inside.names or looks & HIDDEN:
                inside.open(name, looks)
                self._choose_out()
            elif name in BLOCKS:
                inside.passed.append(name)
        if name in _PARTING:
            self._out.append(" ")
            if before is not self._out and not looks & GONE:
                before.append(" ")
        if name in _RAW:
            self._open_raw(name)
        elif name in ("img", "input") and attributes:
            self._show_replacement(name, attributes, looks)

    def _open_raw(self, name: str) -> None:
        self._mode = HtmlReader._read_raw
        self._raw_name = name
        self._raw_out = None if name in _DROPPED else self._hidden if name in _NOT_SHOWN else self._out
        if name in _NOT_SHOWN:
            self._hidden.append(" ")

    def _show_replacement(self, name: str, attributes: str, looks: int) -> None:
        """What stands in place of an image that is not loaded, or on a button."""
        found = attributes_of(attributes)
        text = found.get("alt" if name == "img" else "value", "")
        if text:
            gone = looks & HIDDEN or (name == "input" and found.get("type", "").lower() == "hidden")
            (self._hidden if gone else self._out).extend((" ", text, " "))

    def _choose_out(self) -> None:
        out = self._hidden if self._inside.state else self._visible
        if out is not self._out:
            self._out = out
            self._hidden.append(" ")


def _hides(attributes: str) -> int:
    return cached_hides(attributes) if len(attributes) <= MAX_CACHED else hides(attributes[:_MAX_ATTRIBUTES])


def _looks(attributes: str) -> int:
    return cached_look(attributes) if len(attributes) <= MAX_CACHED else look(attributes[:_MAX_ATTRIBUTES])
