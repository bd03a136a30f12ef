"""The profiles in conf/profiles: right, commented, kind to honest mail, and none to viruses.

Where a test says nothing of the DNS nobody answers there, so that no name seems to be missing.
"""

import io
import re
import zipfile
from base64 import encodebytes
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

import pytest

from mwall.config.grammar import Fault
from mwall.dns.answers import AAAA, MX, PTR, A, Answer, Question
from mwall.message.addresses import addresses_in
from mwall.message.header import header_end
from mwall.policy.checks import MailHeader
from mwall.policy.lookups import Inquiry, Needs
from mwall.policy.matching import Matcher
from mwall.policy.patterns import parse_patterns
from mwall.policy.profile import Profile, parse_profile
from mwall.policy.verdict import Bounds, Envelope, Verdict, early_refusal, judge
from tests.policy.asking import FAILED, NO_DATA, NO_NAME, exchanges, found
from tests.policy.conftest import answer, mailbox

Weigh = Callable[..., Verdict]

TREE = Path(__file__).parents[2]
ALL = [
    "Extreme", "Light", "LightPlus", "Medium", "MediumPlus", "None", "Reject", "Relay", "Strong", "StrongPlus",
    "Warning",
]  # fmt: skip
KIND = ["None", "Light", "LightPlus", "Medium", "MediumPlus", "Relay", "Warning"]
# Those that ask the DNS.
ASKING = ["LightPlus", "MediumPlus", "StrongPlus", "Extreme"]
# What each of these does to a message that it is sure of.
REFUSING = ["Light", "LightPlus", "Medium", "MediumPlus", "Strong", "StrongPlus", "Extreme", "Reject"]

NEWSLETTER = "From: news@example.org\nTo: undisclosed-recipients:;\nSubject: Sale!!! this week\nList-Id: <n.example>\n"
BOUNCE = "From: MAILER-DAEMON@example.org\nTo: joe@example.net\nSubject: Undelivered Mail Returned to Sender\n"
SPAM = "From: x@example.com\nTo: y@example.com\nSubject: ADV: work from home!!! 100% free\n"
PLAIN = "From: Jane <jane@example.org>\nTo: joe@example.net\nSubject: the report\nMIME-Version: 1.0\n"
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


def patterns() -> dict[str, Matcher]:
    """What virus_scan="virus.patterns" looks for."""
    faults: list[Fault] = []
    found = parse_patterns((TREE / "conf/virus.patterns").read_bytes(), "virus.patterns", faults)
    assert faults == []
    assert [pattern.name for pattern in found] == ["Eicar-Test-Signature"]
    return {"virus.patterns": Matcher(found)}


def profile_of(text: str, name: str = "Test") -> Profile:
    faults: list[Fault] = []
    profile = parse_profile(text.encode(), name, f"profiles/{name}", faults, patterns())
    assert faults == []
    assert profile is not None
    return profile


@pytest.fixture
def weigh() -> Weigh:
    """weigh(profile text, header, body below its empty line, reverse-path, client, DNS) -> Verdict."""

    def weighed(
        profile: str,
        header: str,
        body: bytes = b"",
        reverse_path: str = "jane@example.org",
        client_address: str = "192.0.2.1",
        answers: Mapping[Question, Answer] | None = None,
    ) -> Verdict:
        to = mailbox("joe@example.net")
        assert to is not None
        envelope = Envelope(ip_address(client_address), False, "mail.example.org", mailbox(reverse_path), [to])
        octets = header.replace("\n", "\r\n").encode()
        lines = b"\r\n" + body.replace(b"\n", b"\r\n")
        judged = profile_of(profile)
        judging = judge(judged, envelope, octets, [lines], Bounds(100, 1000, 50))
        return answer(judging, judged, envelope, answers, FAILED)

    return weighed


def attached(name: str, octets: bytes, content_type: str = "application/octet-stream") -> bytes:
    """A body with one attachment, and the field that says so; to be put behind PLAIN."""
    return (
        f'--b\nContent-Type: text/plain\n\nHere it is.\n--b\nContent-Type: {content_type}; name="{name}"\n'
        f"Content-Transfer-Encoding: base64\n\n"
    ).encode() + encodebytes(octets) + b"--b--\n"  # fmt: skip


def zipped(name: str, octets: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, octets)
    return file.getvalue()


MIXED = PLAIN + 'Content-Type: multipart/mixed; boundary="b"\n'


def test_all_are_there_and_say_what_they_are_for(shipped: dict[str, str]) -> None:
    assert sorted(shipped) == ALL
    for name, text in shipped.items():
        assert text.startswith(f"# {name}: for ")
        assert max(map(len, text.splitlines())) <= 120
        assert text.isascii()
        assert text.endswith("\n")


def test_each_parses_with_the_shipped_patterns(shipped: dict[str, str]) -> None:
    for name, text in shipped.items():
        profile_of(text, name)


def test_what_is_commented_out_is_right_too(shipped: dict[str, str]) -> None:
    for name, text in shipped.items():
        profile_of(re.sub(r"(?m)^# ([a-z_]+=)", r"\1", text), name)


@pytest.mark.parametrize("name", KIND)
@pytest.mark.parametrize("header", [NEWSLETTER, BOUNCE, "", "Subject: re: adv: complaint\nFrom: J <j@example.org>\n"])
@pytest.mark.parametrize("reverse_path", ["", "bounces+1@news.example.org"])
def test_honest_mail_passes(weigh: Weigh, shipped: dict[str, str], name: str, header: str, reverse_path: str) -> None:
    verdict = weigh(shipped[name], header, reverse_path=reverse_path)
    assert (verdict.action, verdict.observed) == ("accept", False)


@pytest.mark.parametrize("name", ["None", "Light", "LightPlus", "Medium", "Relay", "Warning"])
def test_an_advertisement_that_is_wanted_passes(weigh: Weigh, shipped: dict[str, str], name: str) -> None:
    header = "From: shop@example.org\nTo: list@example.org\nSubject: Your shop\nContent-Type: text/html\n"
    body = b"<html><p>A special offer, only this week: order now, <a href='https://a.example/'>click here</a>.</html>"
    verdict = weigh(shipped[name], header, body, reverse_path="bounces+1@news.example.org")
    assert (verdict.action, verdict.observed) == ("accept", False)


def test_no_form_of_address_suffices_but_in_extreme(weigh: Weigh, shipped: dict[str, str]) -> None:
    for name, text in shipped.items():
        refuses = name in ("Reject", "Extreme")
        assert weigh(text, "From: x@example.org\n").action == ("reject" if refuses else "accept")


def test_nothing_but_a_virus_a_program_and_a_listed_client_suffices_alone(shipped: dict[str, str]) -> None:
    """Of all that has a score each is below the limit; scores of what is of one kind are not added up here."""
    for name, text in shipped.items():
        limit = float(dict(re.findall(r'(?m)^(reject_score)="(.*)"', text)).get("reject_score", 1))
        scored = re.findall(r'(?m)^([a-z_]+)="(-?[0-9.]+)(?:,(.*))?"$', text)
        alone = {(variable, value) for variable, score, value in scored if float(score) >= limit}
        alone -= {("reject_score", ""), ("reject", ""), ("virus_scan", "virus.patterns")}
        if name in ("StrongPlus", "Extreme"):
            alone.remove(("dnsbl", "zen.spamhaus.org=127.0.0.[2..11]"))
        assert {variable for variable, _ in alone} <= ({"filename_reject"} if "Light" not in name else set()), name
        assert ("filename_reject", "*.com") not in alone


@pytest.mark.parametrize(
    ("name", "action", "observed"),
    [*((name, "reject", False) for name in REFUSING), ("None", "accept", False), ("Relay", "accept", False),
     ("Warning", "accept", True)],
)  # fmt: skip
def test_what_becomes_of_spam(weigh: Weigh, shipped: dict[str, str], name: str, action: str, observed: bool) -> None:
    verdict = weigh(shipped[name], SPAM)
    assert (verdict.action, verdict.observed) == (action, observed)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("partner", [False, True])
def test_what_becomes_of_a_virus(weigh: Weigh, shipped: dict[str, str], name: str, partner: bool) -> None:
    text = re.sub(r"(?m)^# ([a-z_]+=)", r"\1", shipped[name]) if partner else shipped[name]
    for octets in (EICAR, zipped("eicar.txt", EICAR), zipped("inner.zip", zipped("eicar.txt", EICAR))):
        verdict = weigh(text, MIXED, attached("report", octets))
        assert verdict.action == ("reject" if name in REFUSING else "accept")
        assert verdict.observed == (name == "Warning")
        if name not in ("None", "Relay", "Reject"):
            assert verdict.check == "VIRUS_SCAN"
            assert verdict.reason.startswith("Eicar-Test-Signature in ")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("file", ["setup.exe", "Photo.jpg.SCR", "invoice.pdf.js", "page.hta", "disk.iso", "x.lnk"])
def test_what_becomes_of_a_program_by_name(weigh: Weigh, shipped: dict[str, str], name: str, file: str) -> None:
    for verdict in (
        weigh(shipped[name], MIXED, attached(file, b"MZ" + bytes(100))),
        weigh(shipped[name], MIXED, attached("all.zip", zipped(f"all/{file}", b"MZ" + bytes(100)))),
    ):
        weighs = name not in ("None", "Relay", "Reject")
        suffices = weighs and "Light" not in name
        assert verdict.action == ("reject" if name == "Reject" or (suffices and name != "Warning") else "accept")
        assert verdict.observed == (name == "Warning")
        assert ("FILENAME_REJECT" in [finding.check for finding in verdict.findings]) == weighs


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("file", "octets"),
    [
        ("report.pdf", b"%PDF-1.7\n"),
        ("report.docx", zipped("word/document.xml", b"<w/>")),
        ("photos.zip", zipped("photos/1.jpg", b"\xff\xd8\xff\xe0")),
        ("www.example.com", b"<html>"),
        ("page.html", b"<html>"),
        ("budget.xlsm", zipped("xl/vbaProject.bin", b"\xd0\xcf\x11\xe0")),
        ("photos.7z", b"7z\xbc\xaf\x27\x1c" + bytes(100)),
    ],
)
def test_honest_attachments_pass(weigh: Weigh, shipped: dict[str, str], name: str, file: str, octets: bytes) -> None:
    verdict = weigh(shipped[name], MIXED, attached(file, octets))
    assert (verdict.action, verdict.observed) == ("reject" if name == "Reject" else "accept", False)


def test_extreme_leaves_text_only(weigh: Weigh, shipped: dict[str, str]) -> None:
    verdict = weigh(shipped["Extreme"], MIXED, attached("a.png", b"\x89PNG\r\n", "image/png"))
    assert verdict.action == "accept"
    assert len(verdict.cuts) == 1
    assert weigh(shipped["Extreme"], MIXED, b"--b\n\nText.\n--b\nContent-Type: text/html\n\nText.\n--b--\n").cuts == []
    alone = weigh(shipped["Extreme"], PLAIN + "Content-Type: image/png\n", b"x\n")
    assert (alone.action, alone.check) == ("reject", "MIME_ALLOW")


def test_warning_weighs_as_medium_does(shipped: dict[str, str]) -> None:
    def variables(name: str) -> list[str]:
        return [line for line in shipped[name].splitlines() if line and not line.startswith(("#", "mode="))]

    assert variables("Warning") == variables("Medium")


def real_mail(kind: str) -> Iterator[tuple[str, Envelope, bytes, bytes]]:
    """The messages of tests/mail, as they came over the wire, each with the envelope that its header tells of."""
    for file in sorted((TREE / "tests/mail" / kind).glob("*.eml")):
        lines = re.sub(rb"\r\n?|\n", b"\r\n", file.read_bytes()).replace(b"\r\n.", b"\r\n..")
        end = header_end(lines)
        header, body = (lines[:end], lines[end:]) if end >= 0 else (lines, b"\r\n")
        fields = MailHeader(header)

        def first(*names: str, fields: MailHeader = fields) -> str:
            values = [value for name in names for value in fields.values(name)]
            return next((address for value in values for address in addresses_in(value)), "joe@example.net")

        to = mailbox(first("delivered-to", "to"))
        assert to is not None
        envelope = Envelope(ip_address("192.0.2.1"), False, "x.example", mailbox(first("return-path", "from")), [to])
        yield file.name, envelope, header, body


def refused(profile: Profile, kind: str) -> list[str]:
    """Those messages that it refuses, each with its score and what was found."""
    found = []
    for name, envelope, header, body in real_mail(kind):
        judging = judge(profile, envelope, header, [body], Bounds(100, 1000, 50))
        verdict = answer(judging, profile, envelope, None, FAILED)
        if verdict.action == "reject" or verdict.observed:
            findings = ", ".join(f"{finding.check}: {finding.reason}" for finding in verdict.findings)
            found.append(f"{name} {verdict.score} {verdict.text} ({findings})")
    return found


@pytest.mark.parametrize("name", KIND)
def test_no_real_ham_is_refused(shipped: dict[str, str], name: str) -> None:
    assert refused(profile_of(shipped[name], name), "ham") == []


def test_real_spam_is_refused_the_more_the_stronger_the_profile(shipped: dict[str, str]) -> None:
    names = ["None", "Light", "LightPlus", "Medium", "MediumPlus", "StrongPlus", "Extreme"]
    counts = [len(refused(profile_of(shipped[name], name), "spam")) for name in names]
    assert counts == sorted(counts)
    assert counts[names.index("Medium")] >= 20
    assert counts[names.index("Extreme")] >= 80


# What the DNS says

ZEN, SPAMCOP, DNSWL, DBL, SURBL, URIBL = (
    "zen.spamhaus.org", "bl.spamcop.net", "list.dnswl.org", "dbl.spamhaus.org", "multi.surbl.org", "multi.uribl.com",
)  # fmt: skip
CLIENT = "1.2.0.192"  # 192.0.2.1, as lists are asked
LINK = b"See https://www.bad.example/offer for it.\n"
# How lists that behave answer for their test entries.
BEHAVING = (
    {Question(f"2.0.0.127.{zone}", A): found("127.0.0.2") for zone in (ZEN, SPAMCOP, DNSWL)}
    | {Question(f"1.0.0.127.{zone}", A): NO_NAME for zone in (ZEN, SPAMCOP, DNSWL)}
    | {Question(f"invalid.{zone}", A): NO_NAME for zone in (DBL, SURBL, URIBL)}
)
NAMELESS = {Question(f"{CLIENT}.in-addr.arpa", PTR): NO_NAME}


def listing(name: str, *addresses: str) -> dict[Question, Answer]:
    return BEHAVING | {Question(name, A): found(*addresses)}


ON_ZEN = listing(f"{CLIENT}.{ZEN}", "127.0.0.4")
ON_SPAMCOP = listing(f"{CLIENT}.{SPAMCOP}", "127.0.0.2")
BAD_LINK = {name: listing(f"bad.example.{name}", f"127.0.{1 if name == DBL else 0}.{octet}")
            for name, octet in ((DBL, 2), (SURBL, 80), (URIBL, 2))}  # fmt: skip


class NobodyAsked(dict[Question, Answer]):
    """A DNS that must be left alone."""

    def get(self, question: Question, default: Answer = FAILED) -> Answer:  # type: ignore[override]
        raise AssertionError(f"asks for {question}")


def test_only_the_plus_profiles_and_extreme_ask_the_dns(weigh: Weigh, shipped: dict[str, str]) -> None:
    alone = NobodyAsked(ON_ZEN)
    for name, text in shipped.items():
        if name in ASKING:
            with pytest.raises(AssertionError, match="asks for"):
                weigh(text, PLAIN, LINK, answers=alone)
        else:
            assert profile_of(text).zones == ()
            weigh(text, PLAIN, LINK, answers=alone)


@pytest.mark.parametrize("name", ASKING)
def test_lists_are_named_as_their_operators_name_them(shipped: dict[str, str], name: str) -> None:
    zones = {zone for zone, _ in profile_of(shipped[name]).zones}
    assert zones == {ZEN, SPAMCOP, DNSWL, DBL, SURBL, URIBL}
    for operator in ("www.spamhaus.org", "www.spamcop.net", "www.dnswl.org", "surbl.org", "uribl.com"):
        assert f"https://{operator}:" in shipped[name]


# Who is refused by which of them, weakest first; what is not named here is refused by none.
@pytest.mark.parametrize(
    ("answers", "header", "body", "refusing"),
    [
        (ON_ZEN, PLAIN, b"", ["StrongPlus", "Extreme"]),
        (ON_SPAMCOP, PLAIN, b"", []),
        (NAMELESS, PLAIN, b"", []),
        (ON_ZEN | ON_SPAMCOP, PLAIN, b"", ["MediumPlus", "StrongPlus", "Extreme"]),
        (ON_ZEN | NAMELESS, PLAIN, b"", ["MediumPlus", "StrongPlus", "Extreme"]),
        (ON_ZEN, PLAIN.replace("Jane ", ""), b"", ["MediumPlus", "StrongPlus", "Extreme"]),
        (ON_ZEN | ON_SPAMCOP | NAMELESS, PLAIN, b"", ["MediumPlus", "StrongPlus", "Extreme"]),
        (ON_ZEN | ON_SPAMCOP | BAD_LINK[DBL], PLAIN, LINK, ASKING),
        (BAD_LINK[DBL], PLAIN, LINK, []),
        (BAD_LINK[SURBL], PLAIN, LINK, []),
        (BAD_LINK[DBL] | BAD_LINK[SURBL], PLAIN, LINK, ["StrongPlus", "Extreme"]),
        (BAD_LINK[SURBL] | BAD_LINK[URIBL], PLAIN, LINK, ["StrongPlus", "Extreme"]),
        (BAD_LINK[DBL] | BAD_LINK[SURBL] | BAD_LINK[URIBL], PLAIN, LINK, ["MediumPlus", "StrongPlus", "Extreme"]),
        (listing(f"example.org.{DBL}", "127.0.1.2"), PLAIN, b"", []),
    ],
)  # fmt: skip
def test_whom_the_lists_refuse(
    weigh: Weigh,
    shipped: dict[str, str],
    answers: dict[Question, Answer],
    header: str,
    body: bytes,
    refusing: list[str],
) -> None:
    refused = [name for name in ASKING if weigh(shipped[name], header, body, answers=answers).action == "reject"]
    assert refused == refusing


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize(
    "answers",
    [
        listing(f"{CLIENT}.{ZEN}", "127.255.255.254"),  # by a public resolver
        ON_ZEN | {Question(f"1.0.0.127.{ZEN}", A): found("127.0.0.2")},  # lists everything
        ON_ZEN | {Question(f"2.0.0.127.{ZEN}", A): NO_NAME},  # has closed down
        listing(f"{CLIENT}.{DNSWL}", "127.0.10.0"),  # trusted by nobody
        listing(f"bad.example.{DBL}", "127.0.1.102"),  # an honest domain that was taken over
        listing(f"bad.example.{URIBL}", "127.0.0.1"),  # does not serve us
        listing(f"bad.example.{SURBL}", "127.0.0.128"),
        listing(f"bad.example.{SURBL}", "127.0.0.36"),
    ],
)
def test_what_is_no_listing_scores_nothing(
    weigh: Weigh, shipped: dict[str, str], name: str, answers: dict[Question, Answer]
) -> None:
    verdict = weigh(shipped[name], PLAIN, LINK, answers=answers)
    assert (verdict.action, verdict.score) == ("accept", 0)


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize("trust", [1, 2, 3])
def test_who_is_on_dnswl_is_let_through_though_he_is_on_zen(
    weigh: Weigh, shipped: dict[str, str], name: str, trust: int
) -> None:
    answers = ON_ZEN | listing(f"{CLIENT}.{DNSWL}", f"127.0.5.{trust}")
    assert weigh(shipped[name], PLAIN, answers=answers).action == "accept"


@pytest.mark.parametrize("name", ASKING)
def test_dnswl_excuses_no_virus_and_no_program(weigh: Weigh, shipped: dict[str, str], name: str) -> None:
    answers = listing(f"{CLIENT}.{DNSWL}", "127.0.5.3")
    assert weigh(shipped[name], MIXED, attached("report", EICAR), answers=answers).check == "VIRUS_SCAN"
    verdict = weigh(shipped[name], MIXED, attached("setup.exe", b"MZ" + bytes(100)), answers=answers)
    assert verdict.action == ("accept" if name == "LightPlus" else "reject")


@pytest.mark.parametrize("name", ASKING)
def test_an_honest_sender_scores_nothing(weigh: Weigh, shipped: dict[str, str], name: str) -> None:
    nobody = {Question(f"{asked}.{zone}", A): NO_NAME for zone in (ZEN, SPAMCOP, DNSWL, DBL, SURBL, URIBL)
              for asked in (CLIENT, "example.org", "bad.example")}  # fmt: skip
    answers = nobody | {
        Question(f"{CLIENT}.in-addr.arpa", PTR): found("mail.example.org"),
        Question("mail.example.org", A): found("192.0.2.1"),
        Question("mail.example.org", AAAA): NO_DATA,
        Question("example.org", MX): exchanges("mail.example.org"),
    }
    verdict = weigh(shipped[name], PLAIN, LINK, answers=answers)
    assert (verdict.action, verdict.findings) == ("accept", [])


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize("on_dnswl", [False, True])
def test_who_is_refused_at_rcpt(shipped: dict[str, str], name: str, on_dnswl: bool) -> None:
    """A client on ZEN that has done nothing else wrong, before it sends its message."""
    envelope = Envelope(ip_address("192.0.2.1"), False, "mail.example.org", mailbox("jane@example.org"), [])
    nobody = {Question(f"{CLIENT}.{DNSWL}", A): NO_NAME}
    answers = ON_ZEN | (listing(f"{CLIENT}.{DNSWL}", "127.0.5.1") if on_dnswl else nobody)
    profile, inquiry = profile_of(shipped[name]), Inquiry(envelope)
    questions = inquiry.begin(lookup for lookup in profile.lookups if lookup.needs is not Needs.CONTENT)
    while questions:
        questions += inquiry.take(asked := questions.pop(), answers.get(asked, FAILED))
    finding = early_refusal(profile, inquiry)
    assert (finding is not None) == (name in ("StrongPlus", "Extreme") and not on_dnswl)
    assert finding is None or finding.reason == "192.0.2.1 is listed by zen.spamhaus.org (127.0.0.4)"
