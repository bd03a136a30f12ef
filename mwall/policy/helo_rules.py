"""helo_required: the name in EHLO or HELO is an address literal, or one that resolves (RFC 5321 2.3.5 and 4.1.4).

Whether it leads to the client's address is not looked at: RFC 5321 4.1.4 forbids to refuse mail for that.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from mwall.config.grammar import Variable
from mwall.policy.checks import Envelope, Finding
from mwall.policy.lookups import Lookup, Needs, Steps, bounds_of
from mwall.policy.scores import flag
from mwall.policy.zones import ascii_name, has_address

VARIABLES: tuple[Variable, ...] = (
    flag("helo_required", "the EHLO name is no address literal and resolves to nothing"),
)  # fmt: skip


def compile_lookups(values: Mapping[str, Any]) -> list[Lookup]:
    """The look-ups that a profile's values ask for."""
    score: int = values["helo_required"]
    if not score:
        return []

    def steps(envelope: Envelope) -> Steps:
        if envelope.relay or _is_literal(envelope.helo_name):
            return []
        name = ascii_name(envelope.helo_name)
        # No top-level domain is a number (RFC 3696 2): this is an address without its brackets.
        if not name or name.rpartition(".")[2].isdigit():
            return [Finding("HELO_REQUIRED", f"{envelope.helo_name} can be no host name", score)]
        known = yield from has_address(name)
        return [] if known else [Finding("HELO_REQUIRED", f"{envelope.helo_name} resolves to nothing", score)]

    return [Lookup(("helo_required",), Needs.REVERSE_PATH, steps, *bounds_of([score]))]


def _is_literal(text: str) -> bool:
    """Whether it is an address literal (RFC 5321 4.1.3)."""
    if not (text.startswith("[") and text.endswith("]")):
        return False
    inside = text[1:-1]
    try:
        if inside[:5].lower() == "ipv6:":
            IPv6Address(inside[5:])
        else:
            IPv4Address(inside)
    except ValueError:
        return False
    return True
