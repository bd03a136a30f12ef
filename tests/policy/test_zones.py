"""DNS lists: their grammar, which answers count, and that only a list that behaves is believed."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.dns.answers import MX, TXT, A, Answer, Exchange, Question, Status
from mwall.policy.lookups import Lookup, Needs
from mwall.policy.scores import Scored
from mwall.policy.zones import (
    MAX_ZONE,
    Kind,
    Name,
    Zone,
    ascii_name,
    domain_of,
    is_name,
    misbehaviour,
    named_zones,
    parse_zone,
    parse_zone_rule,
    shown_zone,
    test_questions,
    zone_lookups,
)
from tests.policy.asking import FAILED, HOSTILE, NO_DATA, NO_NAME, ask, envelope_of, found

test_questions.__test__ = False  # type: ignore[attr-defined]  # it is none of pytest's

LABEL = "a" * 59
LISTED = found("127.0.0.2")
KEY = "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("zen.example", "zen.example"),
        (" Zen.Example. ", "zen.example"),
        ("localhost", "localhost"),
        ("_file.key.hbl.example", "_file.key.hbl.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("1.2.3.example", "1.2.3.example"),
        (f"{LABEL}.{LABEL}.{LABEL}", f"{LABEL}.{LABEL}.{LABEL}"),
    ],
)
def test_zone(text: str, name: str) -> None:
    assert parse_zone(text) == Zone(name)


@pytest.mark.parametrize("text", ["", " ", ".", "=127.0.0.2", "192.0.2.1", "5", "http://zen.example", "zen..example",
                                  ".zen.example", "zen.example:53", "b\u00fccher.example", "zen example", "*.example",
                                  "a" * 64 + ".example", "zen.example..", "zen\0.example"])  # fmt: skip
def test_no_zone(text: str) -> None:
    with pytest.raises(ValueError, match="is no zone of a list; write the domain that its operator names"):
        parse_zone(text)


def test_a_zone_leaves_room_for_what_is_asked() -> None:
    assert len(f"{LABEL}.{LABEL}.{LABEL}a") == MAX_ZONE
    with pytest.raises(ValueError, match="has 181 characters; at most 180 can be used, as a reversed IPv6 address, 64"):
        parse_zone(f"{LABEL}.{LABEL}.{LABEL}aa")
    assert is_name("f." * 32 + f"{LABEL}.{LABEL}.{LABEL}a")


@pytest.mark.parametrize(
    ("text", "matching", "others"),
    [
        ("127.0.0.2", ["127.0.0.2"], ["127.0.0.3", "127.0.1.2", "127.1.0.2"]),
        ("127.0.0.[2]", ["127.0.0.2"], ["127.0.0.3"]),
        ("127.0.0.[2..11]", ["127.0.0.2", "127.0.0.7", "127.0.0.11"], ["127.0.0.1", "127.0.0.12"]),
        ("127.0.[0;1].[2..4;9]", ["127.0.0.2", "127.0.1.9", "127.0.0.4"], ["127.0.2.2", "127.0.0.5", "127.0.1.8"]),
        ("[127].0.0.[2;2..3]", ["127.0.0.2", "127.0.0.3"], ["127.0.0.4"]),
        ("127.[0..255].[0..255].[0..255]", ["127.0.0.0", "127.255.254.255", "127.254.255.1"],
         ["127.255.255.254", "203.0.113.1", "126.0.0.1"]),
        ("127.255.[254;255].1", ["127.255.254.1"], ["127.255.255.1"]),
    ],
)  # fmt: skip
def test_filter(text: str, matching: list[str], others: list[str]) -> None:
    zone = parse_zone(f"zen.example={text}")
    assert [address for address in matching + others if zone.matches(IPv4Address(address))] == matching


def test_without_a_filter_every_listing_matches() -> None:
    zone = parse_zone("zen.example")
    assert all(zone.matches(IPv4Address(text)) for text in ("127.0.0.0", "127.0.0.1", "127.255.254.0", "127.0.255.255"))
    assert not any(zone.matches(IPv4Address(text)) for text in ("127.255.255.0", "203.0.113.1", "0.0.0.0", "128.0.0.2"))


@given(st.ip_addresses(v=4))
def test_what_can_be_no_listing_never_matches(address: IPv4Address) -> None:
    is_listing = address.is_loopback and address.packed[1:3] != b"\xff\xff"
    assert parse_zone("a.example").matches(address) == is_listing
    assert parse_zone("a.example=127.[0..255].[0..255].[0..255]").matches(address) == is_listing


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", '"" is no filter of answers; write four octets, as 127.0.0.2'),
        ("127.0.0", "is no filter of answers"),
        ("127.0.0.2.3", "is no filter of answers"),
        ("127.0.0.2-11", "is no filter of answers"),
        ("127.0.0.2..11", "is no filter of answers"),
        ("127.0.0.[]", "is no filter of answers"),
        ("127.0.0.[2,3]", "is no filter of answers"),
        ("127.0.0.[2;]", "is no filter of answers"),
        ("127.0.0.[2..]", "is no filter of answers"),
        ("127.0.0.[2..3", "is no filter of answers"),
        ("127.0.0.[[2]]", "is no filter of answers"),
        ("127.0.0.*", "is no filter of answers"),
        ("127.0.0.02", "is no filter of answers"),
        ("127.0.0.-1", "is no filter of answers"),
        ("127.0.0.1000", "is no filter of answers"),
        ("127.0.0.\u0662", "is no filter of answers"),
        ("127.0.0.2=127.0.0.3", "is no filter of answers"),
        ("127.0.0.256", "has 256 for an octet, which is at most 255"),
        ("127.0.0.[2..999]", "has 999 for an octet, which is at most 255"),
        ("127.0.0.[11..2]", "has a range that runs backwards; write 2..11"),
        ("192.0.2.1", "lies outside 127.0.0.0/8, where all listings are"),
        ("[126..127].0.0.2", "lies outside 127.0.0.0/8, where all listings are"),
        ("127.255.255.254", "has nothing but 127.255.255.0/24, which are errors and never listings"),
        ("127.255.255.[0..255]", "has nothing but 127.255.255.0/24, which are errors and never listings"),
    ],
)
def test_no_filter(text: str, why: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_zone(f"zen.example={text}")
    assert why in str(error.value)


def test_zone_rule() -> None:
    assert parse_zone_rule("zen.example") == Scored(1000, Zone("zen.example"))
    assert parse_zone_rule("-2.5, list.example").value == Zone("list.example")
    with pytest.raises(ValueError, match="before the comma is no score"):
        parse_zone_rule("zen.example=127.0.0.[2,3]")


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("zen.example", "zen.example"),
        (f"{KEY}.zen.dq.example", "*.zen.dq.example"),
        (f"_file.{KEY}.hbl.dq.example", "_file.*.hbl.dq.example"),
        ("internationalization.example", "*.example"),
        ("nineteencharacters1.example", "nineteencharacters1.example"),
        (f"{KEY}", "*"),
    ],
)
def test_a_key_is_not_shown(zone: str, shown: str) -> None:
    assert shown_zone(zone) == shown


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("example.org", "example.org"),
        ("Example.ORG.", "example.org"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("B\u00dcCHER.example", "xn--bcher-kva.example"),
        ("\u4f8b\u3048\u3002\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"),
        ("_dmarc.example.org", "_dmarc.example.org"),
        ("", ""),
        (".", ""),
        ("[192.0.2.1]", ""),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
        *[(hostile, "") for hostile in HOSTILE],
    ],
)
def test_ascii_name(domain: str, name: str) -> None:
    assert ascii_name(domain) == name


@given(st.text(max_size=300))
def test_ascii_name_takes_any_text(domain: str) -> None:
    name = ascii_name(domain)
    assert not name or is_name(name)


def test_domain_of() -> None:
    assert domain_of(envelope_of(domain="example.org")) == "example.org"
    assert [domain_of(envelope_of(domain=domain)) for domain in (None, "", "[192.0.2.1]", "[IPv6:::1]")] == [""] * 4


def test_questions_of_rfc_5782() -> None:
    assert test_questions("zen.example", Kind.ADDRESSES) == [
        Question("2.0.0.127.zen.example", A),
        Question("1.0.0.127.zen.example", A),
    ]
    assert test_questions("dbl.example", Kind.NAMES) == [Question("invalid.dbl.example", A)]


EVERYTHING = "it lists everything, or does not serve this name server; ask its operator, or take it out"
NOTHING = (
    "zen.example does not list 127.0.0.2: no list is there, or it does not serve this name server; check the zone, "
    "or ask its operator"
)
ERROR = (
    "zen.example answers 127.255.255.254, an error: it does not serve this name server; ask through a resolver of "
    "your own"
)
SILENCE = "zen.example gives no answer: nobody answers"
PARKED, REFUSED = found("203.0.113.1"), found("127.255.255.254")


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([LISTED, NO_NAME], ""),
        ([LISTED, NO_DATA], ""),
        ([found("127.0.0.10", "127.0.0.4"), NO_NAME], ""),
        ([LISTED, PARKED], ""),
        ([LISTED, LISTED], f"zen.example lists 127.0.0.1, which no list does: {EVERYTHING}"),
        ([NO_NAME, LISTED], f"zen.example lists 127.0.0.1, which no list does: {EVERYTHING}"),
        ([NO_NAME, NO_NAME], NOTHING),
        ([NO_DATA, NO_DATA], NOTHING),
        ([PARKED, PARKED], NOTHING),
        ([found(), NO_NAME], NOTHING),
        ([REFUSED, REFUSED], ERROR),
        ([found("127.0.0.2", "127.255.255.254"), NO_NAME], ERROR),
        ([LISTED, REFUSED], ERROR),
        ([FAILED, NO_NAME], SILENCE),
        ([LISTED, FAILED], SILENCE),
    ],
)
def test_misbehaviour_of_a_list_of_addresses(answers: list[Answer], why: str) -> None:
    assert misbehaviour("zen.example", Kind.ADDRESSES, answers) == why


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (NO_NAME, ""),
        (NO_DATA, ""),
        (PARKED, ""),
        (found("127.0.0.1"), f'zen.example lists "invalid", which no list does: {EVERYTHING}'),
        (REFUSED, ERROR),
        (FAILED, SILENCE),
    ],
)
def test_misbehaviour_of_a_list_of_names(answer: Answer, why: str) -> None:
    assert misbehaviour("zen.example", Kind.NAMES, [answer]) == why


def test_misbehaviour_shows_no_key() -> None:
    assert misbehaviour(f"{KEY}.example", Kind.NAMES, [FAILED]) == "*.example gives no answer: nobody answers"


def test_named_zones() -> None:
    rules = [Scored(1000, parse_zone(text)) for text in ("a.example", "b.example=127.0.0.2", "a.example=127.0.0.3")]
    values = {"dnsbl": rules, "uribl": rules[:1], "dnsdcc": rules[:1], "dnsbl_domain": (), "reject": False}
    assert named_zones(values) == [
        ("a.example", Kind.ADDRESSES), ("b.example", Kind.ADDRESSES), ("a.example", Kind.NAMES),
    ]  # fmt: skip
    assert named_zones({}) == []


# Look-ups


def of_domains(rules: list[str], names: list[Name]) -> list[Lookup]:
    return zone_lookups("uribl", Needs.CONTENT, map(parse_zone_rule, rules), lambda envelope: names)


def test_the_rules_of_one_zone_are_one_question() -> None:
    rules = ["2,dbl.example=127.0.0.2", "-1,other.example", "3,dbl.example=127.0.0.[2..4]", "4,dbl.example=127.0.1.2"]
    lookups = of_domains(rules, [("a.example", "A")])
    bounds = [(lookup.variables, lookup.needs, lookup.zone, lookup.least, lookup.most) for lookup in lookups]
    assert bounds == [
        (("uribl",), Needs.CONTENT, "dbl.example", 0, 9000),
        (("uribl",), Needs.CONTENT, "other.example", -1000, 0),
    ]
    findings, rounds = ask(lookups[0], envelope_of(), {"a.example.dbl.example": found("127.0.0.4", "127.0.0.2")})
    assert findings == [
        ("URIBL", "A is listed by dbl.example (127.0.0.2)", 2000),
        ("URIBL", "A is listed by dbl.example (127.0.0.2)", 3000),
    ]
    assert rounds == [[Question("a.example.dbl.example", A)], [Question("invalid.dbl.example", A)]]


def test_of_several_names_the_first_listed_one_is_found() -> None:
    names = [("c.example", "C"), ("a.example", "A"), ("B.example", "B"), ("a.example", "A again")]
    (lookup,) = of_domains(["2,dbl.example", "3,dbl.example=127.0.0.3"], names)
    answers = {"a.example.dbl.example": LISTED, "b.example.dbl.example": found("127.0.0.3")}
    findings, rounds = ask(lookup, envelope_of(), answers)
    assert [(finding.reason, finding.score) for finding in findings] == [
        ("A is listed by dbl.example (127.0.0.2)", 2000),
        ("B is listed by dbl.example (127.0.0.3)", 3000),
    ]
    assert [question.name for question in rounds[0]] == [f"{name}.example.dbl.example" for name in "cab"]


@pytest.mark.parametrize(
    "answer",
    [
        NO_NAME, NO_DATA, FAILED, PARKED, REFUSED, found(), found("2001:db8::1"), found("::ffff:127.0.0.2"),
        found(b"127.0.0.2"), found("listed.example"), found(Exchange(10, "127.0.0.2")), found("127.1.0.2"),
        Answer(Status.FAILED, (IPv4Address("127.0.0.2"),)), Answer(Status.NO_DATA, (IPv4Address("127.0.0.2"),)),
    ],
)  # fmt: skip
def test_what_is_no_listing_costs_one_question(answer: Answer) -> None:
    (lookup,) = of_domains(["2,dbl.example=127.0.0.[2..9]"], [("a.example", "A")])
    assert ask(lookup, envelope_of(), {"a.example.dbl.example": answer}) == (
        [],
        [[Question("a.example.dbl.example", A)]],
    )


@pytest.mark.parametrize("test", [found("127.0.0.1"), found("127.0.0.2"), REFUSED, FAILED])
def test_a_list_that_misbehaves_finds_nothing(test: Answer) -> None:
    (lookup,) = of_domains(["2,dbl.example"], [("a.example", "A")])
    answers = {"a.example.dbl.example": LISTED, "invalid.dbl.example": test}
    assert ask(lookup, envelope_of(), answers)[0] == []


def test_a_wildcard_finds_nothing() -> None:
    (lookup,) = of_domains(["2,dbl.example=127.0.0.2"], [("a.example", "A")])
    answers = dict.fromkeys(["a.example.dbl.example", "invalid.dbl.example"], LISTED)
    assert ask(lookup, envelope_of(), answers)[0] == []


def test_names_that_cannot_be_asked_are_left_out() -> None:
    names = [(hostile, "hostile") for hostile in ("", ".", "\u212a", *HOSTILE)]
    (lookup,) = of_domains(["2,dbl.example"], names)
    assert ask(lookup, envelope_of(), {}) == ([], [])
    (lookup,) = of_domains(["2,dbl.example"], [*names, ("a.example", "A")])
    assert ask(lookup, envelope_of(), {"a.example.dbl.example": LISTED})[0] == [
        ("URIBL", "A is listed by dbl.example (127.0.0.2)", 2000)
    ]


def test_only_addresses_are_asked_for() -> None:
    (lookup,) = of_domains(["2,dbl.example"], [("a.example", "A")])
    answers = {Question("a.example.dbl.example", kind): LISTED for kind in (MX, TXT)}
    assert ask(lookup, envelope_of(), answers)[0] == []
