"""client_ip and reverse_path: who brings the message, and for whom.

A negative score lets off whom other checks would hit. The null reverse-path has no address and is never hit.
"""

from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any, NamedTuple

from mwall.config.grammar import Variable, quoted
from mwall.config.values import parse_network
from mwall.policy.checks import Envelope, Finding
from mwall.policy.lookups import Lookup, Needs, Steps, bounds_of, without_questions
from mwall.policy.scores import Scored, scored
from mwall.smtp.addresses import AddressError, Mailbox, parse_path


class _Network(NamedTuple):
    version: int
    bits_behind: int
    prefix: int
    text: str
    score: int


def parse_reverse_path(text: str) -> str:
    """An address, a domain or `.parent` (all domains below it), lower-cased. Raises ValueError."""
    text = text.strip()
    dot = "." if text.startswith(".") else ""
    address = text if "@" in text else f"postmaster@{text[len(dot) :]}"
    try:
        mailbox, rest = parse_path(f"<{address}>")
    except AddressError:
        mailbox, rest = None, ""
    is_parent_of_none = bool(dot) and ("@" in text or text.endswith("]"))
    if "*" in text:
        raise ValueError(f"{quoted(text)} has a *, which stands for itself here; .example.org is all below example.org")
    if mailbox is None or rest or not mailbox.domain or text.startswith("@") or is_parent_of_none:
        why = "is neither an address (user@example.org), a domain (example.org) nor .example.org for all below it"
        raise ValueError(f"{quoted(text)} {why}")
    return _address(mailbox) if "@" in text else dot + mailbox.domain


VARIABLES: tuple[Variable, ...] = (
    Variable(
        "client_ip", scored(parse_network), "", repeatable=True, example="-5,192.0.2.0/24",
        meaning="the client's address is this one or in this network",
    ),
    Variable(
        "reverse_path", scored(parse_reverse_path), "", repeatable=True, example="2,.example.org",
        meaning="the reverse-path is this address, or in this domain, or below this .parent",
    ),
)  # fmt: skip


def compile_lookups(values: Mapping[str, Any]) -> list[Lookup]:
    """The look-ups that a profile's values ask for."""
    lookups: list[Lookup] = []
    if values["client_ip"]:
        networks = [_network(rule) for rule in values["client_ip"]]
        least, most = bounds_of([network.score for network in networks])
        lookups.append(Lookup(("client_ip",), Needs.CLIENT, _check_client(networks), least, most))
    if rules := values["reverse_path"]:
        least, most = bounds_of([rule.score for rule in rules])
        lookups.append(Lookup(("reverse_path",), Needs.REVERSE_PATH, _check_reverse_path(rules), least, most))
    return lookups


def _network(rule: Scored[IPv4Network | IPv6Network]) -> _Network:
    network = rule.value
    bits_behind = network.max_prefixlen - network.prefixlen
    text = str(network) if bits_behind else str(network.network_address)
    return _Network(network.version, bits_behind, int(network.network_address) >> bits_behind, text, rule.score)


def _check_client(networks: Sequence[_Network]) -> Callable[[Envelope], Steps]:
    def find(envelope: Envelope) -> list[Finding]:
        version, number = envelope.client_address.version, int(envelope.client_address)
        return [
            Finding("CLIENT_IP", f"{envelope.client_address} is in {network.text}", network.score)
            for network in networks
            if network.version == version and number >> network.bits_behind == network.prefix
        ]

    return without_questions(find)


def _address(mailbox: Mailbox) -> str:
    return f"{mailbox.local_part.lower()}@{mailbox.domain}"


def _check_reverse_path(rules: Sequence[Scored[str]]) -> Callable[[Envelope], Steps]:
    def find(envelope: Envelope) -> list[Finding]:
        mailbox = envelope.reverse_path
        if mailbox is None:
            return []
        names = (_address(mailbox), mailbox.domain)
        return [
            Finding("REVERSE_PATH", f"{mailbox} is in {value}", score)
            for score, value in rules
            if value in names or (value[0] == "." and mailbox.domain.endswith(value))
        ]

    return without_questions(find)
