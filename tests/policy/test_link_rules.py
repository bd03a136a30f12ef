"""uribl: which domains of a message's links are asked for, and what is found."""

import base64
import quopri
from collections.abc import Generator
from ipaddress import ip_address
from typing import TypeVar

import pytest

from mwall.dns.answers import A, Question
from mwall.message.header import header_end, values_by_name
from mwall.message.structure import StructureReader
from mwall.message.transfer import Source
from mwall.policy.checks import Envelope, paused
from mwall.policy.content import Scanner
from mwall.policy.link_rules import MAX_DOMAINS_ASKED, compile_checks, names_asked, registered_domain
from mwall.policy.lookups import Lookup, Needs
from mwall.policy.reading import ContentReader
from mwall.policy.zones import parse_zone_rule
from mwall.smtp.addresses import Mailbox
from tests.message.reading import stuffed
from tests.message.test_linear_time import best_seconds
from tests.policy.asking import NO_NAME, ask, envelope_of, found

Result = TypeVar("Result")
ZONE = "multi.uribl.example"


def scanner_of(*rules: str) -> Scanner:
    (check,) = compile_checks({"uribl": tuple(map(parse_zone_rule, rules))})
    assert check.variables == ("uribl",)
    return check.scanner()


def lookups_of(text: str, *rules: str) -> list[Lookup]:
    """The look-ups over one line of text."""
    scanner = scanner_of(*(rules or (ZONE,)))
    sink = scanner.text()
    assert sink is not None
    sink(f" {text} ".encode())
    return scanner.lookups()


def envelope_to(*domains: str) -> Envelope:
    envelope = envelope_of()
    envelope.recipients += [Mailbox("joe", domain) for domain in domains]
    return envelope


def asked(lookups: list[Lookup], envelope: Envelope | None = None) -> list[str]:
    """What the one list is asked for."""
    if not lookups:
        return []
    (lookup,) = lookups
    _, rounds = ask(lookup, envelope or envelope_of(), {})
    assert all(question.type == A for questions in rounds for question in questions)
    return [question.name.removesuffix(f".{ZONE}") for questions in rounds for question in questions]


def result_of(steps: Generator[object, None, Result]) -> Result:
    try:
        while True:
            next(steps)
    except StopIteration as stop:
        result: Result = stop.value
        return result


def asked_of(message: bytes) -> list[str]:
    """What is asked for when a whole message, as on the wire, is read."""
    scanner = scanner_of(ZONE)
    end = header_end(message)
    header, body = message[:end], Source(message[end:], True)
    structure = StructureReader(1000, 50, len(message))
    root = result_of(paused(structure.read(header, values_by_name(header), body)))
    result_of(ContentReader([scanner], len(message), structure.holdable).read(header, root))
    return asked(scanner.lookups())


def test_what_is_not_set_asks_nothing() -> None:
    assert compile_checks({"uribl": ()}) == []


def test_without_links_there_is_no_lookup() -> None:
    assert lookups_of("no link; http://localhost/ http://127.0.0.1/ http://co.uk/ http://[::1]/") == []


def test_a_domain_is_listed() -> None:
    (lookup,) = lookups_of("http://www.evil.example/ http://good.example", f"2,{ZONE}=127.0.0.2", f"1,{ZONE}=127.0.0.3")
    assert (lookup.variables, lookup.needs, lookup.zone) == (("uribl",), Needs.CONTENT, ZONE)
    assert (lookup.least, lookup.most) == (0, 3000)
    findings, rounds = ask(lookup, envelope_of(), {f"evil.example.{ZONE}": found("127.0.0.2")})
    reason = f"the linked domain evil.example is listed by {ZONE} (127.0.0.2)"
    assert findings == [("URIBL", reason, 2000)]
    assert rounds[0] == [Question(f"evil.example.{ZONE}", A), Question(f"good.example.{ZONE}", A)]
    assert ask(lookup, envelope_of(), {f"evil.example.{ZONE}": NO_NAME})[0] == []


def test_each_zone_has_a_lookup() -> None:
    lookups = lookups_of("http://evil.example", "1,a.example", "-1,b.example", "2,a.example=127.0.0.4")
    assert [(lookup.zone, lookup.least, lookup.most) for lookup in lookups] == [
        ("a.example", 0, 3000), ("b.example", -1000, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("evil.example", "evil.example"),
        ("www.a.evil.example", "evil.example"),
        ("www.evil.co.uk", "evil.co.uk"),
        ("co.uk", ""),
        ("com", ""),
        ("evil.blogspot.com", "evil.blogspot.com"),
        ("www.evil.blogspot.com", "evil.blogspot.com"),
        ("blogspot.com", ""),
        ("x.evil.github.io", "evil.github.io"),
        ("www.xn--bcher-kva.de", "xn--bcher-kva.de"),
        ("www.evil.xn--p1ai", "evil.xn--p1ai"),
        ("www.xn--85x722f.xn--55qx5d.cn", "xn--85x722f.xn--55qx5d.cn"),
        ("a.b.kawasaki.jp", "a.b.kawasaki.jp"),
        ("www.city.kawasaki.jp", "city.kawasaki.jp"),
        ("a_b.c-.evil-.example", "evil-.example"),
        ("", ""),
    ],
)
def test_registered_domains(name: str, domain: str) -> None:
    assert registered_domain(name) == domain


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("8.8.4.1", "1.4.8.8"),
        ("2600::1f", "f.1" + ".0" * 26 + ".0.0.6.2"),
        ("127.0.0.1", ""),
        ("0.0.0.0", ""),
        ("10.1.1.1", ""),
        ("192.168.1.1", ""),
        ("169.254.169.254", ""),
        ("::1", ""),
        ("::", ""),
        ("fe80::1", ""),
        ("fd00::1", ""),
    ],
)
def test_addresses(address: str, prefix: str) -> None:
    names = names_asked([ip_address(address)])
    assert names == ([(prefix, f"the linked address {address}")] if prefix else [])


def test_each_domain_is_asked_for_once_and_full_links_first() -> None:
    text = "www.c.example http://a.example http://www.a.example https://A.example. http://134743041 http://8.8.4.1/x"
    assert asked(lookups_of(text)) == ["a.example", "1.4.8.8", "c.example"]


def test_no_more_than_so_many() -> None:
    links = " ".join([f"http://x{number}.a{number // 2}.example" for number in range(4 * MAX_DOMAINS_ASKED)])
    domains = [f"a{number}.example" for number in range(MAX_DOMAINS_ASKED + 2)]
    assert asked(lookups_of(links)) == domains[:-2]
    # Those of the recipients do not count.
    assert asked(lookups_of(links), envelope_to("a0.example", "mail.a1.example", "other.example")) == domains[2:]


def test_the_recipients_own_domains_are_not_asked_for() -> None:
    def domains(*recipients: str) -> list[str]:
        links = "http://www.evil.example http://own.example http://xn--bcher-kva.example"
        return asked(lookups_of(links), envelope_to(*recipients))

    assert domains("mail.own.example", "b\u00fccher.example") == ["evil.example"]
    assert domains("own.example", "evil.example", "b\u00fccher.example") == []
    assert domains("[192.0.2.1]", "") == ["evil.example", "own.example", "xn--bcher-kva.example"]


HTML = (
    '<html><body><p>Dear Joe,</p><a title="x" href="http://www.evil.example/a?b=1&amp;c=2">http://good.example</a>'
    + "<p>some text</p>" * 9000 + "<p>http://la<b>st</b>.example</p></body></html>"
)  # fmt: skip
IN_HTML = ["evil.example", "good.example", "last.example"]
TEXT = "Dear Joe,\r\nsee https://user@first.example:8080/\r\nand www.second.example.\r\n"


def lines(octets: bytes) -> bytes:
    return octets.replace(b"\n", b"\r\n")


@pytest.mark.parametrize(
    ("message", "domains"),
    [
        (b"Subject: http://subject.example\r\n\r\n" + TEXT.encode(), ["first.example", "second.example"]),
        (b"Subject: x\r\n\r\n" + stuffed(b"\r\n..http://www.evil.example\r\n"), ["evil.example"]),
        (
            b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + lines(base64.encodebytes(HTML.encode())), IN_HTML,
        ),
        (
            b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
            + lines(quopri.encodestring(HTML.encode())), IN_HTML,
        ),
        (
            b"Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
            b'<a href=3D"ht=\r\ntp://ev=69l.exa=\r\nmple/">x</a>\r\n', ["evil.example"],
        ),
        (
            b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\n" + TEXT.encode() + b"\r\n--b\r\n"
            b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + lines(base64.encodebytes(HTML.encode())) + b"\r\n--b--\r\n",
            ["first.example", *IN_HTML, "second.example"],
        ),
        (
            b"Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + lines(base64.encodebytes(TEXT.encode("utf-16"))), ["first.example", "second.example"],
        ),
        (
            b"Content-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            + "http://\u043f\u0440\u0438\u0432\u0435\u0442.\u0440\u0444/\r\n".encode("koi8-r"),
            ["xn--b1agh1afp.xn--p1ai"],
        ),
        (
            b"Content-Type: message/rfc822\r\n\r\nContent-Type: text/html\r\n\r\n<a href=//evil.example/>x</a>\r\n",
            ["evil.example"],
        ),
        (b"Content-Type: application/zip\r\n\r\nPK http://evil.example\r\n", []),
    ],
    ids=["text", "dots", "base64", "quoted", "broken", "alternative", "utf-16", "koi8-r", "attached", "zip"],
)  # fmt: skip
def test_messages(message: bytes, domains: list[str]) -> None:
    assert asked_of(message) == domains


def test_many_hosts_of_one_domain_take_no_time() -> None:
    links = " ".join([f"http://{'a.' * 60}x{number}.evil.example" for number in range(2500)])
    assert asked(lookups_of(links)) == ["evil.example"]
    assert best_seconds(lambda: lookups_of(links)) < 0.15
