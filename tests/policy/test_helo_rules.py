"""helo_required: the EHLO name resolves, or is an address literal."""

import pytest

from mwall.dns.answers import AAAA, A, Answer, Question
from mwall.policy.helo_rules import compile_lookups
from mwall.policy.lookups import Lookup, Needs
from tests.policy.asking import FAILED, HOSTILE, NO_DATA, NO_NAME, addresses_of, ask, envelope_of, found

IPV4, IPV6 = found("203.0.113.1"), found("2001:db8::1")


def lookup_of(score: int = 2000) -> Lookup:
    (lookup,) = compile_lookups({"helo_required": score})
    return lookup


def test_a_score_of_0_asks_for_no_look_up() -> None:
    assert compile_lookups({"helo_required": 0}) == []


def test_look_up() -> None:
    lookup = lookup_of()
    assert (lookup.variables, lookup.needs, lookup.zone) == (("helo_required",), Needs.REVERSE_PATH, "")
    assert (lookup.least, lookup.most) == (0, 2000)


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
def test_addresses(ipv4: Answer, ipv6: Answer, hits: bool) -> None:
    answers = {Question("mail.example.org", A): ipv4, Question("mail.example.org", AAAA): ipv6}
    findings, rounds = ask(lookup_of(), envelope_of(helo_name="Mail.Example.org", domain=None), answers)
    assert findings == [("HELO_REQUIRED", "Mail.Example.org resolves to nothing", 2000)] * hits
    assert rounds == addresses_of("mail.example.org")[: 2 if ipv4 is NO_DATA else 1], "nothing is asked that is known"


@pytest.mark.parametrize("helo_name", ["localhost", "mail.example.org.", "a_b.example", "xn--bcher-kva.example"])
def test_odd_names_are_asked_for(helo_name: str) -> None:
    name = helo_name.removesuffix(".")
    assert ask(lookup_of(), envelope_of(helo_name=helo_name), {name: IPV4}) == ([], [[Question(name, A)]])


@pytest.mark.parametrize("literal", ["[192.0.2.1]", "[IPv6:2001:db8::1]", "[ipv6:::1]", "[IPv6:::ffff:192.0.2.1]"])
def test_address_literals_pass(literal: str) -> None:
    assert ask(lookup_of(), envelope_of(helo_name=literal), {}) == ([], [])


@pytest.mark.parametrize(
    "helo_name",
    [
        "", ".", "192.0.2.1", "1", "2001:db8::1", "[192.0.2.1", "192.0.2.1]", "[192.0.2.256]", "[2001:db8::1]", "[]",
        "[IPv6:192.0.2.1]", "[IPv6:]", "[mail.example.org]", "[[192.0.2.1]]", "[" + "1" * 300 + "]", *HOSTILE,
    ],
)  # fmt: skip
def test_what_can_be_no_name_hits(helo_name: str) -> None:
    findings = [("HELO_REQUIRED", f"{helo_name} can be no host name", 2000)]
    assert ask(lookup_of(), envelope_of(helo_name=helo_name), {}) == (findings, [])


@pytest.mark.parametrize("helo_name", ["mail.example.org", "", *HOSTILE])
def test_relay_clients_are_not_looked_up(helo_name: str) -> None:
    assert ask(lookup_of(), envelope_of(helo_name=helo_name, relay=True), {}) == ([], [])
