"""dnsbl and dnsbl_domain."""

import pytest

from mwall.dns.answers import A, Answer, Question
from mwall.policy.checks import Envelope, Finding
from mwall.policy.dnsbl_rules import compile_lookups
from mwall.policy.lookups import Lookup, Needs
from mwall.policy.zones import parse_zone_rule
from tests.policy.asking import FAILED, HOSTILE, NO_DATA, NO_NAME, ask, envelope_of, found

LISTED = found("127.0.0.2")
BEHAVES = {"2.0.0.127.zen.example": LISTED}
TESTS = [Question("2.0.0.127.zen.example", A), Question("1.0.0.127.zen.example", A)]
CLIENT = "1.2.0.192.zen.example"
# 2001:db8::1, as RFC 5782 2.4 shows another one
NIBBLES = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
LONGEST = f"{'a' * 59}.{'b' * 59}.{'c' * 60}"


def lookup_of(variable: str, *rules: str) -> Lookup:
    values = {"dnsbl": (), "dnsbl_domain": (), variable: tuple(map(parse_zone_rule, rules))}
    (lookup,) = compile_lookups(values)
    return lookup


def test_what_is_not_set_asks_nothing() -> None:
    assert compile_lookups({"dnsbl": (), "dnsbl_domain": ()}) == []


def test_when_each_is_asked() -> None:
    rules = (parse_zone_rule("a.example"), parse_zone_rule("-2,b.example"))
    lookups = compile_lookups({"dnsbl": rules, "dnsbl_domain": rules})
    assert [(lookup.variables, lookup.needs, lookup.zone, lookup.least, lookup.most) for lookup in lookups] == [
        (("dnsbl",), Needs.CLIENT, "a.example", 0, 1000),
        (("dnsbl",), Needs.CLIENT, "b.example", -2000, 0),
        (("dnsbl_domain",), Needs.REVERSE_PATH, "a.example", 0, 1000),
        (("dnsbl_domain",), Needs.REVERSE_PATH, "b.example", -2000, 0),
    ]


# dnsbl


@pytest.mark.parametrize(("score", "thousandths"), [("3", 3000), ("-2.5", -2500)])
@pytest.mark.parametrize(
    ("client_address", "name"),
    [("192.0.2.1", CLIENT), ("255.0.10.100", "100.10.0.255.zen.example"), ("2001:db8::1", f"{NIBBLES}.zen.example")],
)
def test_a_client_is_listed(client_address: str, name: str, score: str, thousandths: int) -> None:
    lookup = lookup_of("dnsbl", f"{score},zen.example")
    findings, rounds = ask(lookup, envelope_of(client_address), {**BEHAVES, name: LISTED})
    assert findings == [("DNSBL", f"{client_address} is listed by zen.example (127.0.0.2)", thousandths)]
    assert rounds == [[Question(name, A)], TESTS]


def test_the_longest_zone_can_be_asked_for_ipv6() -> None:
    answers = {f"{NIBBLES}.{LONGEST}": LISTED, f"2.0.0.127.{LONGEST}": LISTED}
    findings, _ = ask(lookup_of("dnsbl", LONGEST), envelope_of("2001:db8::1"), answers)
    assert findings == [("DNSBL", "2001:db8::1 is listed by *.*.* (127.0.0.2)", 1000)]


@pytest.mark.parametrize(
    ("answer", "scores"),
    [
        (found("127.0.0.4"), [2000]),
        (found("127.0.0.4", "127.0.0.10"), [2000, 3000]),
        (found("127.0.0.1"), []),
        (found("127.255.255.254"), []),
        (found("203.0.113.1"), []),
        (NO_NAME, []),
        (NO_DATA, []),
        (FAILED, []),
    ],
)
def test_only_what_is_asked_for_counts(answer: Answer, scores: list[int]) -> None:
    lookup = lookup_of("dnsbl", "2,zen.example=127.0.0.[2..9]", "3,zen.example=127.0.0.[10;11]")
    findings, rounds = ask(lookup, envelope_of(), {**BEHAVES, CLIENT: answer})
    assert [finding.score for finding in findings] == scores
    assert rounds == [[Question(CLIENT, A)], TESTS][: 2 if scores else 1]


@pytest.mark.parametrize(
    ("listed", "unlisted"),
    [
        (LISTED, LISTED),
        (NO_NAME, LISTED),
        (NO_NAME, NO_NAME),
        (NO_DATA, NO_DATA),
        (found("203.0.113.1"), found("203.0.113.1")),
        (found("127.255.255.254"), found("127.255.255.254")),
        (found(), found()),
        (LISTED, FAILED),
        (FAILED, NO_NAME),
    ],
)
@pytest.mark.parametrize("score", [3, -3])
def test_a_list_that_misbehaves_scores_nothing(listed: Answer, unlisted: Answer, score: int) -> None:
    answers = {CLIENT: LISTED, "2.0.0.127.zen.example": listed, "1.0.0.127.zen.example": unlisted}
    findings, rounds = ask(lookup_of("dnsbl", f"{score},zen.example"), envelope_of(), answers)
    assert (findings, rounds) == ([], [[Question(CLIENT, A)], TESTS])


def test_relay_clients_are_not_looked_up() -> None:
    assert ask(lookup_of("dnsbl", "zen.example"), envelope_of(relay=True), {**BEHAVES, CLIENT: LISTED}) == ([], [])


# dnsbl_domain


def found_of_domain(envelope: Envelope, name: str) -> list[Finding]:
    return ask(lookup_of("dnsbl_domain", "2,dbl.example"), envelope, {f"{name}.dbl.example": LISTED})[0]


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("example.org", "example.org"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("_x.example.org", "_x.example.org"),
    ],
)
@pytest.mark.parametrize("relay", [False, True])
def test_a_domain_is_listed(domain: str, name: str, relay: bool) -> None:
    findings = found_of_domain(envelope_of(domain=domain, relay=relay), name)
    assert findings == [("DNSBL_DOMAIN", f"{domain} is listed by dbl.example (127.0.0.2)", 2000)]


@pytest.mark.parametrize("domain", [None, "", "[192.0.2.1]", "[IPv6:2001:db8::1]", *HOSTILE])
def test_what_is_no_domain_is_not_asked_for(domain: str | None) -> None:
    assert ask(lookup_of("dnsbl_domain", "dbl.example"), envelope_of(domain=domain), {}) == ([], [])


def test_a_domain_that_leaves_no_room_is_not_asked_for() -> None:
    domain = ".".join(["a" * 59] * 4)
    assert ask(lookup_of("dnsbl_domain", LONGEST), envelope_of(domain=domain), {}) == ([], [])


@pytest.mark.parametrize("test", [LISTED, found("127.0.0.1"), found("127.255.255.254"), FAILED])
def test_a_list_of_domains_that_misbehaves_scores_nothing(test: Answer) -> None:
    answers = {"example.org.dbl.example": LISTED, "invalid.dbl.example": test}
    findings, rounds = ask(lookup_of("dnsbl_domain", "dbl.example"), envelope_of(), answers)
    assert findings == []
    assert rounds == [[Question("example.org.dbl.example", A)], [Question("invalid.dbl.example", A)]]


@pytest.mark.parametrize("answer", [FAILED, NO_NAME, NO_DATA, found("203.0.113.1"), found("127.255.255.255")])
def test_a_domain_is_not_listed(answer: Answer) -> None:
    findings, rounds = ask(lookup_of("dnsbl_domain", "dbl.example"), envelope_of(), {"example.org.dbl.example": answer})
    assert (findings, len(rounds)) == ([], 1)
