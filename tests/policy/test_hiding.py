"""Nothing stays hidden: each row of the tables is found or refused, and honest mail is left alone."""

from collections import Counter
from ipaddress import ip_address

import pytest

from mwall.policy.matching import Matcher
from mwall.policy.patterns import parse_patterns
from mwall.policy.profile import Profile, parse_profile
from mwall.policy.verdict import Bounds, Envelope, Verdict, judge
from mwall.smtp.addresses import Mailbox
from tests.policy import hiding_archives, hiding_encodings, hiding_honest, hiding_names, hiding_structure, hiding_words
from tests.policy.conftest import answer
from tests.policy.hiding import EICAR, Row

RULES = b"""reject_score="5"
virus_scan="10,v"
filename_reject="10,*.exe"
body_rejecti="10,buy viagra now"
encoding_invalid="1"
archive_unreadable="1"
"""
VIRUSES = hiding_encodings.ROWS + hiding_structure.ROWS + hiding_archives.ROWS
NAMES, WORDS = hiding_names.ROWS, hiding_words.ROWS
ENVELOPE = Envelope(
    ip_address("192.0.2.1"), False, "mail.example.org", Mailbox("jane", "example.org"), [Mailbox("joe", "example.net")]
)


@pytest.fixture(scope="module")
def profile() -> Profile:
    faults: list = []
    matcher = Matcher(parse_patterns(b"Eicar-Test-Signature=" + EICAR.hex().encode(), "v", faults))
    profile = parse_profile(RULES, "Test", "Test", faults, {"v": matcher})
    assert faults == []
    assert profile is not None
    return profile


def judged(profile: Profile, message: Row) -> Verdict:
    return answer(judge(profile, ENVELOPE, message.header, [message.body], Bounds(100, 1000, 50)), profile, ENVELOPE)


@pytest.mark.parametrize(
    "message",
    VIRUSES + NAMES + WORDS,
    ids=lambda message: f"{message.found[0].partition('_')[0].lower()}: {message.name}",
)
def test_found(profile: Profile, message: Row) -> None:
    verdict = judged(profile, message)
    if (verdict.action, verdict.reply_code, verdict.enhanced_status_code) != ("reject", 554, "5.6.0"):
        checks = {finding.check for finding in verdict.findings}
        missing = [check for check in message.found if checks.isdisjoint(check.split("|"))]
        assert not missing, f"{missing} not in {verdict.findings}\n{message.header!r}\n{message.body[:2000]!r}"


@pytest.mark.parametrize("message", hiding_honest.ROWS, ids=lambda message: message.name)
def test_honest(profile: Profile, message: Row) -> None:
    verdict = judged(profile, message)
    assert verdict.findings == []
    assert verdict.action == "accept"


def test_the_tables() -> None:
    """As many rows as promised, each of its own name."""
    assert len(VIRUSES) >= 80
    assert len(NAMES) >= 30
    assert len(WORDS) >= 30
    for table in (VIRUSES, NAMES, WORDS, hiding_honest.ROWS):
        assert [name for name, count in Counter(row.name for row in table).items() if count > 1] == []
    assert all(row.found for row in [*VIRUSES, *NAMES, *WORDS])
