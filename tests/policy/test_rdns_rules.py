"""rdns_required and rdns_confirmed."""

from collections.abc import Sequence

import pytest

from mwall.dns.answers import AAAA, PTR, A, Answer, Question
from mwall.policy.checks import Envelope, Finding
from mwall.policy.lookups import Inquiry, Lookup, Needs
from mwall.policy.rdns_rules import MAX_NAMES, compile_lookups
from tests.policy.asking import FAILED, HOSTILE, NO_DATA, NO_NAME, ask, envelope_of, found

IPV4 = Question("1.2.0.192.in-addr.arpa", PTR)
IPV6 = Question("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", PTR)
REQUIRED = Finding("RDNS_REQUIRED", "192.0.2.1 has no name", 1000)
UNNAMED = Finding("RDNS_CONFIRMED", "192.0.2.1 has no name", 2000)
LEADS_BACK, LEADS_AWAY = found("203.0.113.1", "192.0.2.1"), found("203.0.113.1")


def lookup_of(required: int, confirmed: int) -> Lookup:
    (lookup,) = compile_lookups({"rdns_required": required, "rdns_confirmed": confirmed})
    return lookup


def unconfirmed(names: str) -> Finding:
    return Finding("RDNS_CONFIRMED", f"no name of 192.0.2.1 leads back to it{names}", 2000)


def test_a_score_of_0_asks_for_no_look_up() -> None:
    assert compile_lookups({"rdns_required": 0, "rdns_confirmed": 0}) == []


@pytest.mark.parametrize(
    ("required", "confirmed", "variables", "least", "most"),
    [
        (1000, 0, ("rdns_required",), 0, 1000),
        (0, 2000, ("rdns_confirmed",), 0, 2000),
        (1000, 2000, ("rdns_required", "rdns_confirmed"), 0, 3000),
        (1000, -1, ("rdns_required", "rdns_confirmed"), -1, 1000),
    ],
)
def test_one_look_up_does_both(required: int, confirmed: int, variables: Sequence[str], least: int, most: int) -> None:
    lookup = lookup_of(required, confirmed)
    assert (lookup.variables, lookup.needs, lookup.zone) == (variables, Needs.CLIENT, "")
    assert (lookup.least, lookup.most) == (least, most)


@pytest.mark.parametrize(
    ("required", "confirmed", "findings"),
    [(1000, 0, [REQUIRED]), (0, 2000, [UNNAMED]), (1000, 2000, [REQUIRED, UNNAMED])],
)
@pytest.mark.parametrize("pointers", [NO_NAME, NO_DATA])
def test_no_name(required: int, confirmed: int, findings: list[Finding], pointers: Answer) -> None:
    envelope = envelope_of()
    assert ask(lookup_of(required, confirmed), envelope, {IPV4: pointers}) == (findings, [[IPV4]])
    assert envelope.client_name == ""


@pytest.mark.parametrize(("required", "confirmed"), [(1000, 0), (0, 2000), (1000, 2000)])
def test_no_answer_scores_nothing(required: int, confirmed: int) -> None:
    envelope = envelope_of()
    assert ask(lookup_of(required, confirmed), envelope, {IPV4: FAILED}) == ([], [[IPV4]])
    assert envelope.client_name == ""


def test_any_name_is_enough_for_rdns_required() -> None:
    envelope = envelope_of()
    assert ask(lookup_of(1000, 0), envelope, {IPV4: found("\\000.example")}) == ([], [[IPV4]])
    assert envelope.client_name == ""


@pytest.mark.parametrize(
    ("answers", "client_name", "findings"),
    [
        ([LEADS_BACK], "n0.example", []),
        ([LEADS_AWAY, LEADS_BACK], "n1.example", []),
        ([LEADS_BACK, LEADS_BACK], "n0.example", []),
        ([FAILED, LEADS_BACK], "n1.example", []),
        ([FAILED], "", []),
        ([LEADS_AWAY, FAILED, NO_NAME], "", []),
        ([LEADS_AWAY, NO_NAME], "", [unconfirmed(": n0.example, n1.example")]),
        ([NO_DATA], "", [unconfirmed(": n0.example")]),
        ([found("::ffff:192.0.2.1")], "", [unconfirmed(": n0.example")]),
        ([found("192.0.2.1.example")], "", [unconfirmed(": n0.example")]),
    ],
)
@pytest.mark.parametrize("required", [0, 1000])
def test_a_name_that_leads_back(
    answers: list[Answer], client_name: str, findings: list[Finding], required: int
) -> None:
    names = [f"n{number}.example" for number in range(len(answers))]
    envelope = envelope_of()
    given: dict[Question | str, Answer] = {IPV4: found(*names), **dict(zip(names, answers, strict=True))}
    assert ask(lookup_of(required, 2000), envelope, given) == (
        findings,
        [[IPV4], [Question(name, A) for name in names]],
    )
    assert envelope.client_name == client_name


def test_ipv6() -> None:
    envelope = envelope_of("2001:db8::1")
    answers = {IPV6: found("a.example"), Question("a.example", AAAA): found("2001:db8::1")}
    assert ask(lookup_of(1000, 2000), envelope, answers) == ([], [[IPV6], [Question("a.example", AAAA)]])
    assert envelope.client_name == "a.example"


def test_no_more_names_than_so_many() -> None:
    names = [f"n{number}.example" for number in range(200)]
    answers = {IPV4: found(*names), names[MAX_NAMES]: LEADS_BACK}
    findings, rounds = ask(lookup_of(0, 2000), envelope_of(), answers)
    assert findings == [unconfirmed(": " + ", ".join(names[:MAX_NAMES]))]
    assert rounds[1] == [Question(name, A) for name in names[:MAX_NAMES]]


@pytest.mark.parametrize("name", ["", "a\\046example.org", "\\000", *HOSTILE])
def test_odd_names_are_never_asked_for(name: str) -> None:
    envelope = envelope_of()
    findings, rounds = ask(lookup_of(1000, 2000), envelope, {IPV4: found(name), name: LEADS_BACK})
    assert findings == [unconfirmed("")]
    assert rounds == [[IPV4], []]
    answers = {IPV4: found(name, "a.example"), "a.example": LEADS_BACK}
    assert ask(lookup_of(1000, 2000), envelope, answers) == ([], [[IPV4], [Question("a.example", A)]])
    assert envelope.client_name == "a.example"


def test_odd_names_in_an_inquiry() -> None:
    inquiry = Inquiry(envelope_of())
    assert inquiry.begin([lookup_of(0, 2000)]) == [IPV4]
    assert inquiry.take(IPV4, found("\\000.example")) == []
    assert inquiry.findings == [unconfirmed("")]


@pytest.mark.parametrize("envelope", [envelope_of(relay=True), envelope_of("2001:db8::1", relay=True)])
def test_relay_clients_are_not_looked_up(envelope: Envelope) -> None:
    assert ask(lookup_of(1000, 2000), envelope, {}) == ([], [])
