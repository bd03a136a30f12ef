"""DNS lists: how one is named, which of its answers count, and whether the list can be believed at all (RFC 5782).

A list that has closed down often answers everything, be it as a warning, be it because its domain is parked. Hence a
list counts only while what it says of its test entries is right. Each look-up asks for them anew, but only when its
own question has hit, and mostly a resolver has them at hand: so nothing has to be kept, and nothing grows old.
"""

import re
import unicodedata
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any, NamedTuple, TypeAlias

from mwall.config.grammar import quoted
from mwall.dns.answers import AAAA, A, Answer, Question, Status
from mwall.dns.names import DnsNameError, to_wire
from mwall.policy.checks import Envelope, Finding
from mwall.policy.lookups import Lookup, Needs, Steps, bounds_of
from mwall.policy.scores import Scored, scored

# A name has at most 253 characters (RFC 1035 2.3.4), and a reversed IPv6 address with its final dot takes 64 of them.
MAX_ZONE = 180
_MAX_DOMAIN = 255
_MAX_LABEL = 63
_NUMBER = r"(?:0|[1-9][0-9]{0,2})"
_ITEM = rf"{_NUMBER}(?:\.\.{_NUMBER})?"
_OCTET = rf"({_NUMBER}|\[{_ITEM}(?:;{_ITEM})*\])"
_FILTER = re.compile(r"\.".join([_OCTET] * 4))
# What stands for a customer in the zones of lists that are paid for is longer than any word.
_KEY = re.compile(r"(?<![^.])[^.]{20,}(?![^.])")

# The numbers that each of the four octets may be.
Filter: TypeAlias = tuple[frozenset[int], ...]
# What is put in front of the zone, and how a reason calls it (raw text of outside origin).
Name: TypeAlias = tuple[str, str]


class Kind(Enum):
    """What a list has entries of; it decides which its test entries are."""

    ADDRESSES = "addresses"
    NAMES = "names"  # domains, digests


class Zone(NamedTuple):
    """A list as a profile names it; without a filter all answers count that can be listings."""

    name: str
    filter: Filter | None = None

    def matches(self, address: IPv4Address) -> bool:
        """Whether this answer is a listing, and one that is asked for."""
        return _is_listing(address) and (
            self.filter is None or all(octet in may for octet, may in zip(address.packed, self.filter, strict=True))
        )


ZoneRule: TypeAlias = Scored[Zone]

# Whose lists have entries of which kind.
_KINDS = {"dnsbl": Kind.ADDRESSES, "dnsbl_domain": Kind.NAMES, "uribl": Kind.NAMES, "dnsdcc": Kind.NAMES}


def parse_zone(text: str) -> Zone:
    """`zone` or `zone=filter`, the filter as Postfix writes it (postscreen_dnsbl_sites). Raises ValueError."""
    name, equals, answers = text.strip().partition("=")
    name = name.strip().lower().removesuffix(".")
    if len(name) > MAX_ZONE:
        why = f"at most {MAX_ZONE} can be used, as a reversed IPv6 address, 64 characters, has to fit in front"
        raise ValueError(f"{quoted(name)} has {len(name)} characters; {why}")
    # No top-level domain is a number (RFC 3696 2): this is an address, or a score without its zone.
    if not is_name(name) or name.rpartition(".")[2].isdigit():
        raise ValueError(f"{quoted(name)} is no zone of a list; write the domain that its operator names")
    return Zone(name, _parse_filter(answers.strip()) if equals else None)


parse_zone_rule = scored(parse_zone)


def _parse_filter(text: str) -> Filter:
    match = _FILTER.fullmatch(text)
    if match is None:
        why = "is no filter of answers; write four octets, as 127.0.0.2, 127.0.0.[2..11] or 127.0.[0;1].[2..4;9]"
        raise ValueError(f"{quoted(text)} {why}")
    octets = tuple([_parse_octet(octet, text) for octet in match.groups()])
    if octets[0] != {127}:
        why = "lies outside 127.0.0.0/8, where all listings are (RFC 5782 2.1); write 127 first"
        raise ValueError(f"{quoted(text)} {why}")
    if octets[1] == octets[2] == {255}:
        why = "has nothing but 127.255.255.0/24, which are errors and never listings"
        raise ValueError(f"{quoted(text)} {why}; write the answers that are to count")
    return octets


def _parse_octet(octet: str, text: str) -> frozenset[int]:
    numbers: set[int] = set()
    for item in octet.strip("[]").split(";"):
        low, dots, high = item.partition("..")
        least, most = int(low), int(high if dots else low)
        if least > most:
            raise ValueError(f"{quoted(text)} has a range that runs backwards; write {most}..{least}")
        if most > 255:
            raise ValueError(f"{quoted(text)} has {most} for an octet, which is at most 255")
        numbers.update(range(least, most + 1))
    return frozenset(numbers)


def shown_zone(zone: str) -> str:
    """The zone as others may see it: what may be a customer's key is a star, for a refusal goes to anybody."""
    return _KEY.sub("*", zone)


# Names


def is_name(name: str) -> bool:
    """Whether the DNS can be asked for this name; one with a final dot is none."""
    try:
        to_wire(name)
    except DnsNameError:
        return False
    return True


@lru_cache(1024)
def ascii_name(domain: str) -> str:
    """The domain as the DNS is asked for it, U-labels as A-labels (RFC 5890 2.3.2.1); '' where it can be none."""
    domain = domain.removesuffix(".")
    # No honest U-label is longer than its A-label, and the work with one grows as the square of its length.
    if len(domain) > _MAX_DOMAIN or max(map(len, domain.split("."))) > _MAX_LABEL:
        return ""
    if not domain.isascii():
        # One character may stand for eighteen, and the codec would take milliseconds for those.
        if max(map(len, unicodedata.normalize("NFKC", domain).split("."))) > _MAX_LABEL:
            return ""
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    domain = domain.lower()
    return domain if is_name(domain) else ""


def domain_of(envelope: Envelope) -> str:
    """The domain of the reverse-path, raw; '' where it has none that could be asked about.

    The null reverse-path has no domain (RFC 5321 4.5.5), nor has <postmaster>, and an address literal is no name.
    """
    domain = envelope.reverse_path.domain if envelope.reverse_path else ""
    return "" if domain.startswith("[") else domain


def is_negative(answer: Answer) -> bool:
    """Whether it says that there is nothing, which is more than that nobody said anything (RFC 2308 2)."""
    return answer.status in (Status.NO_NAME, Status.NO_DATA)


def has_address(name: str) -> Generator[Sequence[Question], Sequence[Answer], bool]:
    """Whether the name has an address, or that is not known: False only where the DNS says that it has none.

    One type after the other: most names have an A record, and one that does not exist has neither.
    """
    [ipv4] = yield [Question(name, A)]
    if ipv4.status is not Status.NO_DATA:
        return ipv4.status is not Status.NO_NAME
    [ipv6] = yield [Question(name, AAAA)]
    return not is_negative(ipv6)


# Whether a list behaves


def _is_listing(address: IPv4Address) -> bool:
    """Not so 127.255.255.0/24, by which Spamhaus and others tell errors, nor the addresses of web servers."""
    octets = address.packed
    return octets[0] == 127 and octets[1:3] != b"\xff\xff"


def _addresses(answer: Answer) -> list[IPv4Address]:
    if answer.status is not Status.FOUND:
        return []
    return sorted([record for record in answer.records if isinstance(record, IPv4Address)])


def test_questions(zone: str, kind: Kind) -> list[Question]:
    """The questions to a list of which it is known how they must be answered (RFC 5782 5).

    A list of IPv6 addresses has an IPv6 entry for tests too, but must have those of IPv4 as well, if it has nothing
    else of IPv4: so these do for all lists.
    """
    if kind is Kind.ADDRESSES:
        return [Question(f"2.0.0.127.{zone}", A), Question(f"1.0.0.127.{zone}", A)]
    return [Question(f"invalid.{zone}", A)]


def misbehaviour(zone: str, kind: Kind, answers: Sequence[Answer]) -> str:
    """What is wrong with the list by its answers to test_questions(), in our own words; '' where it behaves."""
    zone = shown_zone(zone)
    found = [_addresses(answer) for answer in answers]
    for address in [address for addresses in found for address in addresses]:
        if address.packed[:3] == b"\x7f\xff\xff":
            why = "it does not serve this name server; ask through a resolver of your own"
            return f"{zone} answers {address}, an error: {why}"
    for answer in answers:
        if answer.status is Status.FAILED:
            return f"{zone} gives no answer: {answer.why}"
    listed = [any(map(_is_listing, addresses)) for addresses in found]
    if listed[-1]:
        never = "127.0.0.1" if kind is Kind.ADDRESSES else '"invalid"'
        why = "it lists everything, or does not serve this name server; ask its operator, or take it out"
        return f"{zone} lists {never}, which no list does: {why}"
    if not listed[0] and kind is Kind.ADDRESSES:
        why = "no list is there, or it does not serve this name server; check the zone, or ask its operator"
        return f"{zone} does not list 127.0.0.2: {why}"
    return ""


def named_zones(values: Mapping[str, Any]) -> list[tuple[str, Kind]]:
    """The lists that a profile's values name, each once."""
    named = [(rule.value.name, kind) for variable, kind in _KINDS.items() for rule in values.get(variable, ())]
    return list(dict.fromkeys(named))


# Look-ups


def zone_lookups(
    variable: str, needs: Needs, rules: Iterable[ZoneRule], names: Callable[[Envelope], Iterable[Name]]
) -> list[Lookup]:
    """The look-ups of a variable's rules: one for each zone, however many rules it has.

    `names`: what is asked about, in order, names that cannot be asked for too. A rule finds at most once, and names the
    first of them that is listed.
    """
    by_zone: dict[str, list[ZoneRule]] = {}
    for rule in rules:
        by_zone.setdefault(rule.value.name, []).append(rule)
    return [
        Lookup((variable,), needs, _steps(variable, zone, its, names), *bounds_of([rule.score for rule in its]), zone)
        for zone, its in by_zone.items()
    ]


def _steps(
    variable: str, zone: str, rules: Sequence[ZoneRule], names: Callable[[Envelope], Iterable[Name]]
) -> Callable[[Envelope], Steps]:
    kind = _KINDS[variable]

    def steps(envelope: Envelope) -> Steps:
        shown: dict[Question, str] = {}
        for prefix, text in names(envelope):
            if is_name(name := f"{prefix}.{zone}"):
                shown.setdefault(Question(name.lower(), A), text)
        answers = (yield list(shown)) if shown else ()
        listings = [
            (text, address)
            for text, answer in zip(shown.values(), answers, strict=True)
            for address in _addresses(answer)
        ]
        findings = list(_findings(variable, zone, rules, listings))
        if not findings:
            return []
        tests = yield test_questions(zone, kind)
        return [] if misbehaviour(zone, kind, tests) else findings

    return steps


def _findings(
    variable: str, zone: str, rules: Sequence[ZoneRule], listings: Sequence[tuple[str, IPv4Address]]
) -> Iterator[Finding]:
    for rule in rules:
        for text, address in listings:
            if rule.value.matches(address):
                reason = f"{text} is listed by {shown_zone(zone)} ({address})"
                yield Finding(variable.upper(), reason, rule.score)
                break
