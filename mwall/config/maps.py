"""The map files: local_domains, relay_ips and special_users.

One entry a line, `#` begins a comment line; read as grammar.py reads lines. The
look-ups cost the same however long the files are: they stand in the way of every RCPT.
"""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import TypeVar

from mwall.config.grammar import Fault, parse_lines, parse_value, quoted
from mwall.config.values import parse_network, parse_profile_name
from mwall.smtp.addresses import AddressError, Mailbox, parse_path

_Entry = TypeVar("_Entry")


class Domains:
    """The domains of local_domains. `domain in domains` takes the domain of a Mailbox: lower-cased, no final dot."""

    __slots__ = ("_domains",)

    def __init__(self, domains: Iterable[str] = ()) -> None:
        self._domains = frozenset(domains)

    def __contains__(self, domain: str) -> bool:
        return domain in self._domains or any(key in self._domains for key in _domain_keys(domain))

    def __len__(self) -> int:
        return len(self._domains)


class Networks:
    """The networks of relay_ips. `address in networks` costs one look-up for each prefix length in use."""

    __slots__ = ("_ipv4", "_ipv6")

    def __init__(self, networks: Iterable[tuple[int, int, int]] = ()) -> None:
        """Each network as its version, the bits behind its prefix, and the prefix as a number."""
        prefixes: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for version, bits_behind, prefix in networks:
            prefixes[version].setdefault(bits_behind, set()).add(prefix)
        self._ipv4 = tuple((bits, frozenset(found)) for bits, found in prefixes[4].items())
        self._ipv6 = tuple((bits, frozenset(found)) for bits, found in prefixes[6].items())

    def __contains__(self, address: IPv4Address | IPv6Address) -> bool:
        number = int(address)
        for bits_behind, prefixes in self._ipv4 if address.version == 4 else self._ipv6:
            if number >> bits_behind in prefixes:
                return True
        return False

    def __len__(self) -> int:
        return sum(len(prefixes) for _, prefixes in self._ipv4 + self._ipv6)


class SpecialUsers:
    """Who has a profile of his own: an address, a domain, or `.parent` for all domains below it."""

    __slots__ = ("_entries", "_has_addresses")

    def __init__(self, entries: Mapping[str, tuple[int, str]] | None = None) -> None:
        """The entries: key -> line and profile; an address is a key with an @ in it, lower-cased."""
        self._entries = dict(entries or {})
        self._has_addresses = any("@" in key for key in self._entries)

    def profile_of(self, mailbox: Mailbox) -> str | None:
        """The profile that the most exact entry gives: address, address without +detail, domain, nearest parent."""
        if not self._entries:
            return None
        if self._has_addresses:
            local = mailbox.local_part.lower()
            keys = [f"{local}@{mailbox.domain}"]
            base, plus, _ = local.partition("+")
            if plus and base:
                keys.append(f"{base}@{mailbox.domain}")
            for key in keys:
                if key in self._entries:
                    return self._entries[key][1]
        for key in _domain_keys(mailbox.domain):
            if key in self._entries:
                return self._entries[key][1]
        return None

    def items(self) -> list[tuple[int, str, str]]:
        """Line, key and profile of every entry, to check that there is such a profile."""
        return [(line, key, profile) for key, (line, profile) in self._entries.items()]

    def __len__(self) -> int:
        return len(self._entries)


def parse_domains(text: bytes, file: str, faults: list[Fault]) -> Domains:
    """The file local_domains: a domain a line, or `.example.org` for all below it, or an address literal."""
    return Domains(_entries(_parse_domain, text, file, faults))


def parse_networks(text: bytes, file: str, faults: list[Fault]) -> Networks:
    """The file relay_ips: an address or a network a line, as 192.0.2.0/24."""
    return Networks(_entries(_parse_relay, text, file, faults))


def parse_special_users(text: bytes, file: str, faults: list[Fault]) -> SpecialUsers:
    """The file special_users: `address="Profile"`, `domain="Profile"` or `.parent="Profile"` a line."""
    entries: dict[str, tuple[int, str]] = {}
    for number, line in parse_lines(text, file, faults):
        written, equals, value = line.rpartition("=")
        try:
            if not equals:
                raise ValueError(f'{quoted(line)} has no "="; write address="Profile" or domain="Profile"')
            profile = parse_profile_name(parse_value(value))
            key = _parse_user(written.rstrip())
            if key in entries:
                raise ValueError(f"{quoted(key)} is already in line {entries[key][0]}; keep one of the two")
            entries[key] = (number, profile)
        except ValueError as error:
            faults.append(Fault(file, number, "", str(error)))
    return SpecialUsers(entries)


def _domain_keys(domain: str) -> Iterable[str]:
    """The keys under which a domain may be found: itself, then its parents, each with its dot, nearest first."""
    yield domain
    dot = domain.find(".")
    while dot >= 0:
        yield domain[dot:]
        dot = domain.find(".", dot + 1)


def _entries(parse: Callable[[str], _Entry], text: bytes, file: str, faults: list[Fault]) -> list[_Entry]:
    entries = []
    for number, line in parse_lines(text, file, faults):
        try:
            if len(line.split()) > 1 or "," in line:
                raise ValueError(f"{quoted(line)}: one entry a line, comments on lines of their own")
            entries.append(parse(line))
        except ValueError as error:
            faults.append(Fault(file, number, "", str(error)))
    return entries


def _parse_domain(text: str) -> str:
    """A key of Domains or SpecialUsers, in the form in which a Mailbox has its domain."""
    if "@" in text:
        raise ValueError(f"{quoted(text)} is no domain; write what stands behind the @, as example.org")
    if text.startswith("*."):
        raise ValueError(f'{quoted(text)}: for all domains below write {quoted(text[1:])}, without "*"')
    dot = "." if text.startswith(".") else ""
    name = text[len(dot) :]
    try:
        mailbox, rest = parse_path(f"<postmaster@{name}>")
    except AddressError:
        mailbox, rest = None, ""
    if mailbox is None or rest or (dot and name.startswith("[")):
        raise ValueError(f"{quoted(text)} is no domain; write it as example.org, or .example.org for all below it")
    return dot + mailbox.domain


def _parse_relay(text: str) -> tuple[int, int, int]:
    network = parse_network(text)
    if network.prefixlen == 0:
        raise ValueError(f"{quoted(text)} would let the whole world send through us; name the networks that may")
    bits_behind = network.max_prefixlen - network.prefixlen
    return network.version, bits_behind, int(network.network_address) >> bits_behind


def _parse_user(text: str) -> str:
    """A key of SpecialUsers. The case of a local part is passed over: no two users differ by it alone."""
    if "@" not in text and text.lower() != "postmaster":
        return _parse_domain(text)
    try:
        mailbox, rest = parse_path(f"<{text}>")
    except AddressError:
        mailbox, rest = None, ""
    if mailbox is None or rest or text.startswith("@"):
        why = "is neither an address (user@example.org) nor a domain (example.org, without @)"
        raise ValueError(f"{quoted(text)} {why}")
    return f"{mailbox.local_part.lower()}@{mailbox.domain}"
