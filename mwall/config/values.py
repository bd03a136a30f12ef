"""What a value may be: the parsers that the tables of variables name, and how a value is shown again.

A parser takes the text between the quotes and raises ValueError, whose text is
the fault that the admin reads: the value as written, and what would be right.
"""

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from mwall.config.grammar import quoted

# The shared table has a row of health for each backend; it cannot grow when a HUP brings more of them.
MAX_BACKEND_ADDRESSES = 16
MAX_LISTEN_ADDRESSES = 64
MAX_NAME_SERVERS = 8

_INTEGER = re.compile(r"[0-9]{1,15}\Z")
_SIZE = re.compile(r"([0-9]{1,18})([KMGkmg]?)\Z")
_SIZE_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smh]?)\Z")
_DURATION_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_ZONE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,15}\Z")  # the name of an interface (IFNAMSIZ), or its number
_SEPARATOR = re.compile(r"[\s,]+")
_PORT = re.compile(r"[0-9]{1,5}\Z")
_ENDPOINT = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<v4>[^:\[\]]*))(?::(?P<port>[^:\[\]]*))?\Z")
# RFC 5321 2.3.5 and RFC 1035 2.3.1: letters, digits and hyphens; the RFC 1123 2.1 digit may come first.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?\Z")
_PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}\Z")
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\Z")
_PREFIX_LENGTH = re.compile(r"[0-9]{1,3}\Z")


def integer(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        if _INTEGER.match(text) and low <= int(text) <= high:
            return int(text)
        raise ValueError(f"{quoted(text)} is no whole number from {low} to {high}")

    return parse


def parse_size(text: str) -> int:
    """A size in octets: a whole number, with K, M or G for units of 1024. Raises ValueError."""
    match = _SIZE.match(text)
    if match is None:
        raise ValueError(f"{quoted(text)} is no size; write octets, or a number with K, M or G, as 50M")
    return int(match[1]) * _SIZE_UNITS[match[2].upper()]


def size(low: str, high: str) -> Callable[[str], int]:
    """A parser of sizes from `low` to `high`, both written as in the file."""
    least, most = parse_size(low), parse_size(high)

    def parse(text: str) -> int:
        octets = parse_size(text)
        if least <= octets <= most:
            return octets
        raise ValueError(f"{quoted(text)} is no size from {low} to {high}")

    return parse


def show_size(octets: int) -> str:
    """The size as parse_size reads it, with the largest unit that says it exactly."""
    for unit in "GMK":
        if octets and octets % _SIZE_UNITS[unit] == 0:
            return f"{octets // _SIZE_UNITS[unit]}{unit}"
    return str(octets)


def parse_duration(text: str) -> float:
    """A time in seconds: a number with at most three decimals, with s, m or h behind it. Raises ValueError."""
    match = _DURATION.match(text)
    if match is None:
        raise ValueError(f"{quoted(text)} is no time; write seconds, or a number with s, m or h, as 10m")
    return round(float(match[1]) * _DURATION_UNITS[match[2]], 3)


def duration(low: str, high: str) -> Callable[[str], float]:
    """A parser of times from `low` to `high`, both written as in the file."""
    least, most = parse_duration(low), parse_duration(high)

    def parse(text: str) -> float:
        seconds = parse_duration(text)
        if least <= seconds <= most:
            return seconds
        raise ValueError(f"{quoted(text)} is no time from {low} to {high}")

    return parse


def show_duration(seconds: float) -> str:
    """The time as parse_duration reads it: whole hours, whole minutes, or seconds."""
    for unit in "hm":
        if seconds and seconds % _DURATION_UNITS[unit] == 0:
            return f"{int(seconds // _DURATION_UNITS[unit])}{unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def parse_flag(text: str) -> bool:
    """1 or 0. Raises ValueError."""
    if text not in ("0", "1"):
        raise ValueError(f"{quoted(text)} is neither 1 (on) nor 0 (off)")
    return text == "1"


def show_flag(flag: bool) -> str:
    """The flag as parse_flag reads it."""
    return "1" if flag else "0"


def one_of(*words: str) -> Callable[[str], str]:
    """A parser that takes exactly these words."""
    listed = ", ".join(words[:-1]) + " or " + words[-1]

    def parse(text: str) -> str:
        if text in words:
            return text
        raise ValueError(f"{quoted(text)} is not {listed}")

    return parse


def parse_address(text: str) -> IPv4Address | IPv6Address:
    """An IP address. Raises ValueError, for an IPv4 address in IPv6 form too: no client is ever known by one."""
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"{quoted(text)} is no IP address (names are not looked up)") from None
    if address.version == 6:
        if address.ipv4_mapped is not None:
            raise ValueError(f"{quoted(text)} is an IPv4 address in IPv6 form; write {address.ipv4_mapped}")
        if address.scope_id is not None:
            raise ValueError(f"{quoted(text)} has a zone (%); only addresses without one can be used")
    return address


def parse_network(text: str) -> IPv4Network | IPv6Network:
    """An address, or a network as `address/prefix length`. Raises ValueError, for bits set behind the prefix too."""
    address, slash, length = text.partition("/")
    parsed = parse_address(address)
    if not slash:
        return ip_network(parsed)
    if not _PREFIX_LENGTH.match(length) or int(length) > parsed.max_prefixlen:
        why = f"the prefix length behind the / must be a number from 0 to {parsed.max_prefixlen}"
        raise ValueError(f"{quoted(text)} is no network: {why}")
    network = ip_network((parsed, int(length)), strict=False)
    if network.network_address != parsed:
        raise ValueError(f"{quoted(text)} has bits set behind the prefix; write {network}, or the address alone")
    return network


def parse_listen_addresses(text: str) -> tuple[str, ...]:
    """One or more addresses to listen on, apart by white space or commas. Raises ValueError."""
    addresses = []
    for word in _words(text, MAX_LISTEN_ADDRESSES):
        endpoint = _ENDPOINT.match(word)
        if endpoint and endpoint["port"] and (endpoint["v6"] or endpoint["v4"]):
            raise ValueError(f"{quoted(word)} has a port; write the address alone, the port is listen_port")
        addresses.append(str(parse_address(word)))
    _refuse_repeats(addresses)
    return tuple(addresses)


class Endpoint(NamedTuple):
    """A backend as written: its address, and its port if it has one of its own."""

    address: str
    port: int | None

    def __str__(self) -> str:
        if self.port is None:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def parse_endpoints(text: str) -> tuple[Endpoint, ...]:
    """One or more backends, `address` or `address:port`, an IPv6 address with a port in brackets. Raises ValueError."""
    endpoints = [_parse_endpoint(word) for word in _words(text, MAX_BACKEND_ADDRESSES)]
    _refuse_repeats(map(str, endpoints))
    return tuple(endpoints)


def parse_nameservers(text: str) -> tuple[Endpoint, ...]:
    """One or more name servers, written as backends are; a link-local one with its interface, as fe80::1%eth0.

    Raises ValueError.
    """
    servers = []
    for word in _words(text, MAX_NAME_SERVERS):
        zone = re.search(r"%([^\]]*)", word)
        server = _parse_endpoint(word.replace(zone[0], "") if zone else word, "name server")
        if zone:
            if not server.address.startswith("fe80:"):
                raise ValueError(f"{quoted(word)} has a zone (%), which only link-local addresses (fe80::) have")
            if not _ZONE_ID.match(zone[1]):
                raise ValueError(f"{quoted(word)} has no name of an interface behind %; write it as fe80::1%eth0")
            server = Endpoint(server.address + zone[0], server.port)
        elif server.address.startswith("fe80:"):
            raise ValueError(f"{quoted(word)} is link-local; write the interface behind it, as {server.address}%eth0")
        servers.append(server)
    _refuse_repeats(map(str, servers))
    return tuple(servers)


def _parse_endpoint(word: str, what: str = "mail server") -> Endpoint:
    match = _ENDPOINT.match(word)
    port = None
    if match is None:
        address = parse_address(word)
    else:
        address = parse_address(match["v6"] or match["v4"] or "")
        if (match["v6"] is not None) != (address.version == 6):
            raise ValueError(f"{quoted(word)}: brackets are for IPv6 addresses; write {address}")
        if match["port"] is not None:
            if not _PORT.match(match["port"]) or not 1 <= int(match["port"]) <= 65535:
                raise ValueError(f"{quoted(word)} has a port that is no whole number from 1 to 65535")
            port = int(match["port"])
    if address.is_unspecified or address.is_multicast or address == IPv4Address("255.255.255.255"):
        raise ValueError(f"{quoted(word)} is no address of a single machine; write the {what}'s own")
    return Endpoint(str(address), port)


def _words(text: str, most: int) -> list[str]:
    words = [word for word in _SEPARATOR.split(text) if word]
    if not words:
        raise ValueError("is empty; write one IP address or more, with spaces between them")
    if len(words) > most:
        raise ValueError(f"has {len(words)} addresses; at most {most} can be used")
    return words


def _refuse_repeats(words: Iterable[str]) -> None:
    seen: set[str] = set()
    for word in words:
        if word in seen:
            raise ValueError(f"{quoted(word)} is there twice; write it once")
        seen.add(word)


def show_words(words: Iterable[object]) -> str:
    """The list as parse_listen_addresses and parse_endpoints read it."""
    return " ".join(map(str, words))


def parse_host_name(text: str) -> str:
    """A name for the greeting, EHLO and headers, without the final dot. Raises ValueError. Source: RFC 5321 2.3.5."""
    if _HOST_NAME.match(text) and len(text) <= 253 and not text.rstrip(".").replace(".", "").isdigit():
        return text.rstrip(".")
    raise ValueError(f"{quoted(text)} is no host name; write this machine's full name, as mail.example.org")


def parse_path(text: str) -> str:
    """A path inside `root`, without needless parts. Raises ValueError."""
    if text.startswith("/"):
        raise ValueError(f"{quoted(text)} begins with /; paths are inside root: write it relative to that folder")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts:
        raise ValueError(f"{quoted(text)} is no path inside root")
    if ".." in parts:
        raise ValueError(f"{quoted(text)} has .. in it; nothing outside root can be read")
    return "/".join(parts)


def parse_optional_path(text: str) -> str:
    """A path as parse_path reads it, or '' for none. Raises ValueError."""
    return parse_path(text) if text else ""


def parse_root(text: str) -> str:
    """The folder for the chroot. Raises ValueError."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not text.startswith("/") or ".." in parts:
        raise ValueError(f"{quoted(text)} is no full path of a folder; write it from / on, as /etc/messagewall")
    if not parts:
        raise ValueError('"/" is no jail; write the folder of messagewall.conf, as /etc/messagewall')
    return "/" + "/".join(parts)


def parse_profile_name(text: str) -> str:
    """The name of a profile, which is that of its file in profile_dir. Raises ValueError."""
    if _PROFILE_NAME.match(text):
        return text
    why = "can be no profile's name; write the name of a file in profile_dir, of letters, digits and _ . + -"
    raise ValueError(f"{quoted(text)} {why}")


def parse_account(text: str) -> str:
    """The name of a user or a group, which is not root. Raises ValueError."""
    if text == "root":
        raise ValueError('"root" has all rights; write an account made for this daemon, as mwall')
    if _ACCOUNT.match(text):
        return text
    raise ValueError(f"{quoted(text)} is no name of an account (a number is none either)")
