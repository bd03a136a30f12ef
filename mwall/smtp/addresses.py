"""Mailboxes and the paths of MAIL and RCPT (RFC 5321 4.1.2 and 4.1.3, RFC 6531 3.3).

A path is read leniently in what honest senders get wrong (dots in odd places,
underscores in host names) and strictly in what two readers could read in two
ways: whatever is accepted here is written anew towards the backend.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

# RFC 5321 4.1.2: Dot-string, with the dots anywhere: "foo..bar@" and ".foo@" exist. RFC 6531 adds UTF8-non-ascii.
_DOT_STRING = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\-\u0080-\U0010ffff]+"
_QUOTED_STRING = r'"(?:[^"\\]|\\.)*"'
_DOMAIN = r"[A-Za-z0-9_\u0080-\U0010ffff](?:[A-Za-z0-9_.\-\u0080-\U0010ffff]*[A-Za-z0-9_\u0080-\U0010ffff])?\.?"
_LITERAL = r"\[[A-Za-z0-9:.\-]+\]"
# A-d-l, the source route, is read and dropped (RFC 5321 4.1.1.3 and appendix C).
_PATH = re.compile(
    rf"<(?:@[^:<>\"]*:)?(?P<local>{_DOT_STRING}|{_QUOTED_STRING})(?:@(?P<domain>{_DOMAIN}|{_LITERAL}))?>", re.DOTALL
)
# Written anew strictly: a backend may refuse foo..bar@ but not "foo..bar"@, which is the same mailbox.
_ATOM = _DOT_STRING.replace(r".\-", r"\-")
_NEEDS_NO_QUOTES = re.compile(rf"{_ATOM}(?:\.{_ATOM})*\Z")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_MUST_BE_QUOTED_PAIR = re.compile(r'(["\\])')


class AddressError(ValueError):
    """A path that is none; the text says why, without octets of outside origin."""


class Mailbox(NamedTuple):
    """An envelope address; `domain` is lower-cased, '' only for a bare <postmaster> (RFC 5321 4.1.1.3)."""

    local_part: str
    domain: str

    def __str__(self) -> str:
        local = self.local_part
        if not local.isalnum() and not _NEEDS_NO_QUOTES.match(local):
            local = '"' + _MUST_BE_QUOTED_PAIR.sub(r"\\\1", local) + '"'
        return f"{local}@{self.domain}" if self.domain else local


def parse_path(text: str) -> tuple[Mailbox | None, str]:
    """The path at the start of `text` and what follows it; None is the null reverse-path `<>`.

    Raises AddressError. Source: RFC 5321 4.1.2 (Path), 4.1.3 (address-literal).
    """
    if text.startswith("<>"):
        return None, text[2:]
    match = _PATH.match(text)
    if match is None:
        raise AddressError("need an address in angle brackets, as <user@example.org>")
    local, domain = match.group("local", "domain")
    if local[0] == '"':
        local = _QUOTED_PAIR.sub(r"\1", local[1:-1])
        if not local or not local.isprintable():
            raise AddressError("empty or unprintable local part")
    if domain is None:
        if local.lower() != "postmaster":
            raise AddressError("need a domain behind the local part, as <user@example.org>")
        return Mailbox(local, ""), text[match.end() :]
    if domain[0] == "[":
        domain = _parse_literal(domain)
    else:
        domain = domain.lower().rstrip(".")
        if ".." in domain or len(domain) > 255:
            raise AddressError("malformed domain")
    return Mailbox(local, domain), text[match.end() :]


def _parse_literal(literal: str) -> str:
    """An address-literal in its one normal form (RFC 5321 4.1.3)."""
    inside = literal[1:-1]
    try:
        if inside[:5].lower() == "ipv6:":
            return f"[IPv6:{ipaddress.IPv6Address(inside[5:])}]"
        return f"[{ipaddress.IPv4Address(inside)}]"
    except ValueError:
        raise AddressError("malformed address literal") from None


def is_routing_hack(mailbox: Mailbox) -> bool:
    """Whether a backend might read a second address in the local part: user%host, host!user, "user@host"@."""
    return any(hack in mailbox.local_part for hack in "%!@")
