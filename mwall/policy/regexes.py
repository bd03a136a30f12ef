"""Regular expressions of header_regex and body_regex: RE2's, which take linear time whatever the text.

All expressions of a kind are looked for in one pass (RE2::Set). A set may be too large for its memory: then it cannot
be made, or says nothing of a text. One more expression, which is in every text, tells that from a text in which nothing
was found; and then each expression is looked for by itself.
"""

from collections.abc import Sequence

import re2

from mwall.config.grammar import quoted

_LONGEST = 2000
_ALWAYS = ""


def _options() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


def parse_regex(text: str) -> str:
    """A regular expression in RE2's syntax. Raises ValueError, for one that is found in an empty text too."""
    if len(text) > _LONGEST:
        raise ValueError(f"{quoted(text)} is longer than {_LONGEST} characters")
    try:
        compiled = re2.compile(text, _options())
        re2.Set.SearchSet(_options()).Add(text)
    except re2.error as error:
        raise ValueError(f"{quoted(text)} is no regular expression of RE2: {_reason(error)}") from None
    if compiled.search(""):
        raise ValueError(f"{quoted(text)} is found in every text, an empty one too")
    return text


def _reason(error: re2.error) -> str:
    reason = error.args[0] if error.args else "refused"
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


class RegexSet:
    """Many regular expressions at once."""

    __slots__ = ("_always", "_each", "_set")

    def __init__(self, expressions: Sequence[str]) -> None:
        """`expressions`: each as parse_regex() let it through."""
        self._set: re2.Set | None = re2.Set.SearchSet(_options())
        self._each = [re2.compile(expression, _options()) for expression in expressions]
        for expression in expressions:
            self._set.Add(expression)
        self._always = self._set.Add(_ALWAYS)
        try:
            self._set.Compile()
        except re2.error:
            self._set = None

    def found_in(self, text: bytes) -> list[int]:
        """The numbers of the expressions that occur in this UTF-8 text."""
        if self._set is not None:
            found: list[int] = self._set.Match(text)
            if self._always in found:
                found.remove(self._always)
                return found
        return [number for number, expression in enumerate(self._each) if expression.search(text)]
