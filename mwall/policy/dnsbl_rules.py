"""dnsbl and dnsbl_domain: DNS lists of clients, and of the domains of reverse-paths (RFC 5782 2.1, 2.4 and 3).

A list of good ones is one with a negative score.
"""

from collections.abc import Mapping
from typing import Any

from mwall.config.grammar import Variable
from mwall.policy.checks import Envelope
from mwall.policy.lookups import Lookup, Needs
from mwall.policy.zones import Name, ascii_name, domain_of, parse_zone_rule, zone_lookups

VARIABLES: tuple[Variable, ...] = (
    Variable(
        "dnsbl", parse_zone_rule, "", repeatable=True, example="3,zen.example.org=127.0.0.[2..11]",
        meaning="the client's address is listed; behind a = stand the answers that count",
    ),
    Variable(
        "dnsbl_domain", parse_zone_rule, "", repeatable=True, example="2,dbl.example.org=127.0.1.[2..99]",
        meaning="the reverse-path's domain is listed",
    ),
)  # fmt: skip


def compile_lookups(values: Mapping[str, Any]) -> list[Lookup]:
    """The look-ups that a profile's values ask for."""
    return [
        *zone_lookups("dnsbl", Needs.CLIENT, values["dnsbl"], _client),
        *zone_lookups("dnsbl_domain", Needs.REVERSE_PATH, values["dnsbl_domain"], _domain),
    ]


def _client(envelope: Envelope) -> list[Name]:
    if envelope.relay:
        return []  # our own machines are on lists of dial-in addresses, and rightly so
    pointer = envelope.client_address.reverse_pointer
    # Octets of IPv4 (RFC 5782 2.1), nibbles of IPv6 (2.4), as for names of clients, but for the two labels behind them.
    return [(pointer.rsplit(".", 2)[0], str(envelope.client_address))]


def _domain(envelope: Envelope) -> list[Name]:
    domain = domain_of(envelope)
    return [(ascii_name(domain), domain)] if domain else []
