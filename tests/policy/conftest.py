"""What the tests of policy share: a message weighed by a profile that is written out in the test."""

from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path

import pytest

from mwall.dns.answers import Answer, Question
from mwall.policy.lookups import Inquiry
from mwall.policy.profile import Profile, parse_profile
from mwall.policy.verdict import TIME_SLICE, Asking, Bounds, Envelope, Judging, Verdict, judge
from mwall.smtp.addresses import Mailbox, parse_path
from tests.policy.asking import NO_NAME

Weigh = Callable[..., Verdict]


def mailbox(address: str) -> Mailbox | None:
    found, rest = parse_path(f"<{address}>")
    assert not rest
    return found


def answer(
    judging: Judging,
    profile: Profile,
    envelope: Envelope,
    answers: Mapping[Question, Answer] | None = None,
    otherwise: Answer = NO_NAME,
) -> Verdict:
    """Drive judge() as a worker does that has nothing else to do, and a DNS in which there is what `answers` have.

    `otherwise`: the answer to all other questions.
    """
    inquiry = Inquiry(envelope)
    findings = None
    try:
        while True:
            request = judging.send(findings)
            findings = None
            if isinstance(request, Asking):
                questions = inquiry.begin([*profile.lookups, *request.lookups])
                while questions:
                    asked = questions.pop()
                    questions += inquiry.take(asked, (answers or {}).get(asked, otherwise))
                assert not inquiry.open
                findings = inquiry.findings
            else:
                assert request is TIME_SLICE
    except StopIteration as stop:
        assert isinstance(stop.value, Verdict)
        return stop.value


def profile_of(text: str) -> Profile:
    faults: list = []
    profile = parse_profile(text.encode(), "Test", "profiles/Test", faults)
    assert faults == []
    assert profile is not None
    return profile


def weigh_by(profile: Profile, header: str, body: bytes) -> Verdict:
    """The verdict over a message from somebody to somebody; `body` begins with the empty line below the header."""
    somebody = Mailbox("a", "example.org")
    envelope = Envelope(ip_address("192.0.2.1"), False, "mail.example.org", somebody, [somebody])
    octets = header.replace("\n", "\r\n").encode()
    return answer(judge(profile, envelope, octets, [body], Bounds(100, 1000, 50)), profile, envelope)


@pytest.fixture
def weigh() -> Weigh:
    """weigh(profile text, header, ...) -> Verdict; addresses as in MAIL and RCPT, without their brackets.

    `body` begins with the empty line below the header.
    """

    def weighed(
        profile: str,
        header: str | bytes,
        reverse_path: str = "jane@example.org",
        recipients: tuple[str, ...] = ("joe@example.net",),
        client_address: str = "192.0.2.1",
        max_received: int = 100,
        body: bytes = b"\r\n",
        answers: Mapping[Question, Answer] | None = None,
    ) -> Verdict:
        octets = header if isinstance(header, bytes) else header.replace("\n", "\r\n").encode()
        path = mailbox(reverse_path)
        to = [found for found in map(mailbox, recipients) if found is not None]
        envelope = Envelope(ip_address(client_address), False, "mail.example.org", path, to)
        its = profile_of(profile)
        judging = judge(its, envelope, octets, [body], Bounds(max_received, 1000, 50))
        return answer(judging, its, envelope, answers)

    return weighed


@pytest.fixture
def shipped() -> dict[str, str]:
    """The profiles that are shipped: name -> text."""
    folder = Path(__file__).parent.parent.parent / "conf" / "profiles"
    return {file.name: file.read_text() for file in folder.iterdir()}
