"""header_reject and header_rejecti."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mwall.policy.header_rules import parse_header_key
from mwall.policy.verdict import Verdict

Weigh = Callable[..., Verdict]


@pytest.mark.parametrize(
    ("rule", "header", "fails"),
    [
        ('header_reject="Subject:money"', "Subject: make money fast\n", True),
        ('header_reject="Subject:money"', "Subject: make MONEY fast\n", False),
        ('header_rejecti="Subject:money"', "Subject: make MONEY fast\n", True),
        ('header_rejecti="Subject:MONEY"', "Subject: make money fast\n", True),
        ('header_rejecti="Subject:STRASSE"', "Subject: Straße\n", True),
        ('header_rejecti="Subject:größe"', "Subject: =?iso-8859-1?q?GR=D6=DFE?=\n", True),
        ('header_reject="subject:money"', "SUBJECT: money\n", True),
        ('header_reject="Subject:money"', "subject : money\n", True),
        ('header_reject="Subject:money"', "Comment: money\n", False),
        ('header_reject="Subject:make money"', "Subject: make\n money\n", True),
        ('header_reject="Subject:make money"', "Subject: make\n\tmoney\n", True),
        ('header_reject="Subject:make money"', "Subject: =?utf-8?q?make_mo?=\n =?utf-8?b?bmV5?=\n", True),
        ('header_reject="Subject:second"', "Subject: first\nSubject: second\n", True),
        ('header_reject="Subject:firstsecond"', "Subject: first\nSubject: second\n", False),
        ('header_reject="Subject:t s"', "Subject: first\nSubject: second\n", False),
        ('header_reject="Subject: adv:"', "Subject: adv: buy\n", True),
        ('header_reject="Subject: adv:"', "Subject: radv: a daemon\n", False),
        ('header_reject="Subject: buy "', "Subject: please buy\n", True),
        ('header_reject="Subject: buy "', "Subject: a buyer\n", False),
        ('header_reject="2,Subject:a,b"', "Subject: a,b\n", True),
        ('header_reject="List-Id:a:b"', "List-Id: a:b\n", True),
        ('header_reject="Subject:money"', "", False),
    ],
)
def test_header_rule(weigh: Weigh, rule: str, header: str, fails: bool) -> None:
    verdict = weigh(f'reject_score="9"\n{rule}', header)
    assert [finding.check for finding in verdict.findings] == [rule.partition("=")[0].upper()] * fails


def test_a_rule_counts_once_and_each_rule_counts(weigh: Weigh) -> None:
    rules = 'reject_score="9"\nheader_reject="1.5,Subject:a"\nheader_rejecti="-2,Subject:B"\nheader_reject="Subject:c"'
    verdict = weigh(rules, "Subject: a b a b\nSubject: a\n")
    assert verdict.score == -500
    assert [finding.reason for finding in verdict.findings] == ['Subject contains "a"', 'Subject contains "B"']


@pytest.mark.parametrize("text", ["", "Subject", ":key", "Subject:", "Subject: ", "Sub ject:key", "Sübject:key"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="write Header:Key"):
        parse_header_key(text)


LONG = st.sampled_from(["a", " ", "é", "😀", "=?utf-8?q?=C3=A9?= ", "=?koi8-r?b?zMzM?=", "ß"])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LONG, LONG, st.booleans())
def test_a_long_field_is_seen_to_its_end(weigh: Weigh, one: str, other: str, as_two_fields: bool) -> None:
    between = "\nSubject: " if as_two_fields else " "
    header = f"Subject: {one * (70_000 // len(one))}{between}{other * 99} Strasse\n"
    rules = 'reject_score="9"\nheader_rejecti="Subject: STRASSE "\nheader_reject="Subject:nothing"'
    assert weigh(rules, header).score == 1000
