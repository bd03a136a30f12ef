"""The profiles in conf/profiles: right, commented, and kind to honest mail."""

import re
from collections.abc import Callable

import pytest

from mwall.policy.verdict import Verdict

Weigh = Callable[..., Verdict]

NEWSLETTER = "From: news@example.org\nTo: undisclosed-recipients:;\nSubject: Sale!!! this week\nList-Id: <n.example>\n"
BOUNCE = "From: MAILER-DAEMON@example.org\nTo: joe@example.net\nSubject: Undelivered Mail Returned to Sender\n"
SPAM = "From: x@example.com\nTo: y@example.com\nSubject: ADV: work from home!!! 100% free\n"


def test_all_are_there_and_say_what_they_are_for(shipped: dict[str, str]) -> None:
    assert sorted(shipped) == ["Light", "Medium", "None", "Reject", "Relay", "Strong", "Warning"]
    for name, text in shipped.items():
        assert text.startswith(f"# {name}: for ")
        assert max(map(len, text.splitlines())) <= 120
        assert text.endswith("\n")


def test_what_is_commented_out_is_right_too(weigh: Weigh, shipped: dict[str, str]) -> None:
    for text in shipped.values():
        weigh(re.sub(r"(?m)^# ([a-z_]+=)", r"\1", text), "")


@pytest.mark.parametrize("name", ["None", "Light", "Medium", "Relay", "Warning"])
@pytest.mark.parametrize("header", [NEWSLETTER, BOUNCE, "", "Subject: re: adv: complaint\nFrom: J <j@example.org>\n"])
@pytest.mark.parametrize("reverse_path", ["", "bounces+1@news.example.org"])
def test_honest_mail_passes(weigh: Weigh, shipped: dict[str, str], name: str, header: str, reverse_path: str) -> None:
    verdict = weigh(shipped[name], header, reverse_path=reverse_path)
    assert (verdict.action, verdict.observed) == ("accept", False)


def test_no_form_of_address_suffices_anywhere(weigh: Weigh, shipped: dict[str, str]) -> None:
    for name, text in shipped.items():
        assert weigh(text, "From: x@example.org\n").action == ("reject" if name == "Reject" else "accept")


@pytest.mark.parametrize(
    ("name", "action", "observed"),
    [
        ("None", "accept", False),
        ("Light", "reject", False),
        ("Medium", "reject", False),
        ("Strong", "reject", False),
        ("Relay", "accept", False),
        ("Reject", "reject", False),
        ("Warning", "accept", True),
    ],
)
def test_what_becomes_of_spam(weigh: Weigh, shipped: dict[str, str], name: str, action: str, observed: bool) -> None:
    verdict = weigh(shipped[name], SPAM)
    assert (verdict.action, verdict.observed) == (action, observed)


def test_warning_weighs_as_medium_does(shipped: dict[str, str]) -> None:
    def variables(name: str) -> list[str]:
        return [line for line in shipped[name].splitlines() if line and not line.startswith(("#", "mode="))]

    assert variables("Warning") == variables("Medium")
