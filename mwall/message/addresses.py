"""Addresses in To, Cc and From fields (RFC 5322 3.4), read leniently: what a reader would take for an address is one.

Display names, quoted strings and comments are left out, so that an address shown there does not count. Comments that
nest and quoted quotes are read as the text around them, which finds the same addresses in all but invented cases and
keeps every expression linear.
"""

import re
from collections.abc import Iterator

from mwall.smtp.addresses import Mailbox

# The field of most messages: one address in plain ASCII, bare or after a name.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]++"
_ADDR_SPEC = rf"({_ATOM}(?:\.{_ATOM})*+@[A-Za-z0-9._\-]++)"
_SINGLE = re.compile(rf"""(?:(?:"[^"\\<>]*+"\s*+|[^"(),:;<>@\\\[]*+)<{_ADDR_SPEC}>|{_ADDR_SPEC})\s*+""")
_TOKEN = re.compile(r'"[^"]*+"|\([^()]*+\)|\[[^\[\]]*+\]|[^"(),:;<>\[]++|.', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_NAME_IN_COMMENT = re.compile(r"\(\s*+[^()\s]")
_BREATH_TOKENS = 1024


def addresses_in(value: str) -> list[str]:
    """Return the addresses of an unfolded, undecoded field value as lower-case local@domain, in their order.

    They are written as str(Mailbox) writes them: quoted only where that must be. Raises nothing.
    """
    single = _SINGLE.fullmatch(value)
    if single:
        return [(single[1] or single[2]).lower()]
    return [address for address in each_address(value) if address]


def each_address(value: str) -> Iterator[str]:
    """Yield what addresses_in returns, and "" after much else was read: for who must stop in between."""
    text: list[str] = []
    quoted = ""
    in_angle = done = False
    for count, match in enumerate(_TOKEN.finditer(value), 1):
        token = match[0]
        first = token[0]
        if first == "<":
            text, in_angle, done = [], True, False
        elif first == ":":
            text = []  # a group's name, or the route before an address (RFC 5322 4.4)
        elif first in ",;" or (first == ">" and in_angle):
            if text and not done and (address := _address("".join(text), quoted)):
                yield address
            text, quoted, done = [], "", first == ">"
            in_angle = in_angle and first == ","
        elif first == '"' and value.startswith("@", match.end()):
            quoted = _QUOTED_PAIR.sub(r"\1", token[1:-1])
            text.append('"')
        else:
            text.append(" " if first in '"()' else token)
        if count % _BREATH_TOKENS == 0:
            yield ""
    if not done:
        yield _address("".join(text), quoted)


def _address(text: str, quoted: str) -> str:
    left, at, right = text.rpartition("@")
    left_words, right_words = left.split(), right.split()
    if not at or not left_words or not right_words:
        return ""
    local_part = quoted if left_words[-1].endswith('"') else left_words[-1]
    return str(Mailbox(local_part, right_words[0])).lower()


def has_display_name(value: str) -> bool:
    """Tell whether an unfolded From value names a person beside the address: before it or in a comment."""
    return bool(value.partition("<")[0].strip(' \t"()') and "<" in value) or _NAME_IN_COMMENT.search(value) is not None
