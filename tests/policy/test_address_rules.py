"""to_required, from_required and realname_required."""

from collections.abc import Callable

import pytest

from mwall.policy.verdict import Verdict

Weigh = Callable[..., Verdict]

TO, FROM, NAME = 'to_required="1"', 'from_required="1"', 'realname_required="1"'


def checks(weigh: Weigh, profile: str, header: str, **envelope: object) -> list[str]:
    return [finding.check for finding in weigh(f'reject_score="9"\n{profile}', header, **envelope).findings]


@pytest.mark.parametrize(
    "header",
    [
        "To: joe@example.net\n",
        "To: Joe <JOE@Example.NET>\n",
        "CC: a@example.org, joe@example.net\n",
        "To: a@example.org\nTo: joe@example.net\n",
        "To: joe+list@example.net\n",
        "To: a@example.org,\n joe@example.net\n",
        "To: " + "a@example.org, " * 5000 + "joe@example.net\n",
        "To: a@example.org\n" * 500 + "Cc: joe@example.net\n",
    ],
)
@pytest.mark.parametrize("recipient", ["joe@example.net", "Joe+detail@example.net"])
def test_recipient_is_in_to_or_cc(weigh: Weigh, header: str, recipient: str) -> None:
    assert checks(weigh, TO, header, recipients=("x@example.net", recipient)) == []


@pytest.mark.parametrize(
    "header",
    [
        "",
        "To: undisclosed-recipients:;\n",
        "To: joe@example.com\n",
        "Bcc: joe@example.net\n",
        "To: (joe@example.net) x@example.net\n",
        "To: " + "a@example.org, " * 5000 + "b@example.net\n",
    ],
)
def test_recipient_is_not_in_to_or_cc(weigh: Weigh, header: str) -> None:
    assert checks(weigh, TO, header) == ["TO_REQUIRED"]
    assert checks(weigh, TO, header, reverse_path="") == ["TO_REQUIRED"]


def test_many_recipients(weigh: Weigh) -> None:
    recipients = tuple(f"u{number}@example.net" for number in range(9000))
    assert checks(weigh, TO, "To: u8999@example.net\n", recipients=recipients) == []
    assert checks(weigh, TO, "To: u9000@example.net\n", recipients=recipients) == ["TO_REQUIRED"]


def test_postmaster_without_a_domain_is_exempt(weigh: Weigh) -> None:
    assert checks(weigh, TO, "", recipients=("postmaster",)) == []


@pytest.mark.parametrize(
    ("header", "reverse_path", "fails"),
    [
        ("From: Jane <jane@example.org>\n", "Jane@example.org", False),
        ("From: jane@example.org\n", "jane+bounces@example.org", False),
        ("From: x@example.org\nFrom: jane@example.org\n", "jane@example.org", False),
        ('From: "j d" <"j d"@example.org>\n', '"j d"@example.org', False),
        ('From: "jane"@example.org\n', "jane@example.org", False),
        ("From: jane@[IPv6:2001:DB8::1]\n", "jane@[IPv6:2001:db8::1]", False),
        ('From: "jane@example.org" <x@example.org>\n', "jane@example.org", True),
        ("Sender: jane@example.org\n", "jane@example.org", True),
        ("", "jane@example.org", True),
        ("", "", False),
        ("From: MAILER-DAEMON\n", "", False),
    ],
)
def test_from_required(weigh: Weigh, header: str, reverse_path: str, fails: bool) -> None:
    assert checks(weigh, FROM, header, reverse_path=reverse_path) == ["FROM_REQUIRED"] * fails


@pytest.mark.parametrize(
    ("header", "fails"),
    [
        ("From: Jane <jane@example.org>\n", False),
        ("From: jane@example.org (Jane)\n", False),
        ("From: x@example.org\nFrom: Jane <jane@example.org>\n", False),
        ("From: =?utf-8?q?J=C3=A9?= <jane@example.org>\n", False),
        ("From: jane@example.org\n", True),
        ('From: "" <jane@example.org>\n', True),
        ("From: " + "a" * 9000 + "\n", True),
        ("", True),
    ],
)
def test_realname_required(weigh: Weigh, header: str, fails: bool) -> None:
    assert checks(weigh, NAME, header) == ["REALNAME_REQUIRED"] * fails


def test_a_score_of_0_asks_for_no_check(weigh: Weigh) -> None:
    assert checks(weigh, 'to_required="0"\nfrom_required="0"\nrealname_required="0"', "") == []
