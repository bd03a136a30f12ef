"""uribl: a domain that the body has a link to is on a DNS list.

Lists have what somebody can register, and what he has on somebody else's service: each host is asked for as its
registered domain by the public suffix list (https://publicsuffix.org), with the private suffixes on it. One evil blog
must neither be taken for the whole service nor make it asked for: evil.blogspot.com is asked for as that, and
blogspot.com itself, which nobody lists, not at all.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any

from publicsuffixlist import PublicSuffixList

from mwall.config.grammar import Variable
from mwall.message.links import Host, LinkFinder, Links
from mwall.policy.checks import Envelope
from mwall.policy.content import ContentCheck, Scanner
from mwall.policy.lookups import Lookup, Needs
from mwall.policy.zones import Name, ZoneRule, ascii_name, parse_zone_rule, zone_lookups

# A message costs so many questions to each list at most.
MAX_DOMAINS_ASKED = 20

# Whose domains are left out; honest mail has fewer.
_MAX_RECIPIENTS = 100

# Read here, once: a worker in its chroot could not.
_SUFFIXES = PublicSuffixList()

VARIABLES: tuple[Variable, ...] = (
    Variable(
        "uribl", parse_zone_rule, "", repeatable=True, example="2,dbl.example.org=127.0.1.[2..99]",
        meaning="the domain of a link in the body is on this DNS list",
    ),
)  # fmt: skip


def compile_checks(values: Mapping[str, Any]) -> list[ContentCheck]:
    """The checks that a profile's values ask for."""
    rules: tuple[ZoneRule, ...] = values["uribl"]
    return [ContentCheck(("uribl",), lambda: _LinkScanner(rules))] if rules else []


class _LinkScanner(Scanner):
    def __init__(self, rules: tuple[ZoneRule, ...]) -> None:
        self._rules = rules
        self._links = Links()

    def text(self) -> Callable[[bytes], None]:
        return LinkFinder(self._links).feed

    def lookups(self) -> list[Lookup]:
        names = names_asked(self._links.hosts)
        if not names:
            return []
        asked: list[Name] | None = None  # the same for each list

        def others(envelope: Envelope) -> list[Name]:
            nonlocal asked
            if asked is None:
                domains = {recipient.domain for recipient in envelope.recipients[:_MAX_RECIPIENTS]}
                own = {registered_domain(ascii_name(domain)) for domain in domains}
                asked = [name for name in names if name[0] not in own][:MAX_DOMAINS_ASKED]
            return asked

        return zone_lookups("uribl", Needs.CONTENT, self._rules, others)


def names_asked(hosts: Iterable[Host]) -> list[Name]:
    """What a list is asked about for these hosts, each once; addresses reversed (RFC 5782 2.1 and 2.4)."""
    names: dict[str, str] = {}
    for host in hosts:
        if isinstance(host, str):
            if domain := registered_domain(host):
                names.setdefault(domain, f"the linked domain {domain}")
        elif host.is_global:
            # Any other is nobody's, or means another machine to each who reads it.
            arpa = ".ip6.arpa" if isinstance(host, IPv6Address) else ".in-addr.arpa"
            names.setdefault(host.reverse_pointer.removesuffix(arpa), f"the linked address {host}")
    return list(names.items())


@lru_cache(1024)
def registered_domain(name: str) -> str:
    """The part of a name that somebody registered, in A-labels; '' where all of it is a public suffix."""
    return _SUFFIXES.privatesuffix(name) or ""
