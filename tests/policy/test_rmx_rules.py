"""rmx_required: could mail to the reverse-path be returned?"""

import pytest

from mwall.dns.answers import AAAA, MX, A, Answer, Exchange, Question
from mwall.policy.lookups import Lookup, Needs
from mwall.policy.rmx_rules import compile_lookups
from tests.policy.asking import FAILED, HOSTILE, NO_DATA, NO_NAME, addresses_of, ask, envelope_of, exchanges, found

IPV4, IPV6 = found("203.0.113.1"), found("2001:db8::1")
FIRST = [Question("example.org", MX)]


def lookup_of(score: int = 2000) -> Lookup:
    (lookup,) = compile_lookups({"rmx_required": score})
    return lookup


def test_a_score_of_0_asks_for_no_look_up() -> None:
    assert compile_lookups({"rmx_required": 0}) == []


@pytest.mark.parametrize(("score", "least", "most"), [(2000, 0, 2000), (-1, -1, 0)])
def test_look_up(score: int, least: int, most: int) -> None:
    lookup = lookup_of(score)
    assert (lookup.variables, lookup.needs, lookup.zone) == (("rmx_required",), Needs.REVERSE_PATH, "")
    assert (lookup.least, lookup.most) == (least, most)


@pytest.mark.parametrize("relay", [False, True])
@pytest.mark.parametrize(
    ("mail", "why"),
    [
        (exchanges("mx.example.org"), ""),
        (exchanges("mx.example.org", ""), ""),
        (exchanges("\\000.example.org"), ""),
        (found(), ""),
        (exchanges(""), "accepts no mail: null MX"),
        (found(Exchange(0, "")), "accepts no mail: null MX"),
        (NO_NAME, "does not exist"),
        (FAILED, ""),
    ],
)
def test_what_mx_says(mail: Answer, why: str, relay: bool) -> None:
    findings, rounds = ask(lookup_of(), envelope_of(relay=relay), {FIRST[0]: mail})
    assert findings == ([("RMX_REQUIRED", f"example.org {why}", 2000)] if why else [])
    assert rounds == [FIRST]


@pytest.mark.parametrize(
    ("ipv4", "ipv6", "hits"),
    [
        (IPV4, IPV6, False),
        (IPV4, FAILED, False),
        (NO_DATA, IPV6, False),
        (NO_DATA, FAILED, False),
        (FAILED, IPV6, False),
        (FAILED, NO_NAME, False),
        (NO_DATA, NO_DATA, True),
        (NO_DATA, NO_NAME, True),
        (NO_NAME, FAILED, True),
    ],
)
def test_without_mx_addresses_do(ipv4: Answer, ipv6: Answer, hits: bool) -> None:
    answers = {FIRST[0]: NO_DATA, Question("example.org", A): ipv4, Question("example.org", AAAA): ipv6}
    findings, rounds = ask(lookup_of(), envelope_of(), answers)
    assert findings == [("RMX_REQUIRED", "example.org has no MX, A or AAAA record", 2000)] * hits
    assert rounds == [FIRST, *addresses_of("example.org")[: 2 if ipv4 is NO_DATA else 1]]


def test_an_internationalized_domain() -> None:
    findings, rounds = ask(lookup_of(), envelope_of(domain="b\u00fccher.example"), {})
    assert findings == [("RMX_REQUIRED", "b\u00fccher.example does not exist", 2000)]
    assert rounds == [[Question("xn--bcher-kva.example", MX)]]


@pytest.mark.parametrize("domain", [None, "", "[192.0.2.1]", "[IPv6:2001:db8::1]"])
def test_what_has_no_domain_is_exempt(domain: str | None) -> None:
    assert ask(lookup_of(), envelope_of(domain=domain), {}) == ([], [])


@pytest.mark.parametrize("domain", HOSTILE)
def test_what_can_be_no_domain_hits(domain: str) -> None:
    findings = [("RMX_REQUIRED", f"{domain} can be no domain", 2000)]
    assert ask(lookup_of(), envelope_of(domain=domain), {}) == (findings, [])
