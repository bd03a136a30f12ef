"""What the tests of policy share: a message weighed by a profile that is written out in the test."""

from collections.abc import Callable, Generator
from ipaddress import ip_address
from pathlib import Path

import pytest

from mwall.policy.profile import Profile, parse_profile
from mwall.policy.verdict import TIME_SLICE, Bounds, Envelope, Request, Verdict, judge
from mwall.smtp.addresses import Mailbox, parse_path

Weigh = Callable[..., Verdict]


def mailbox(address: str) -> Mailbox | None:
    found, rest = parse_path(f"<{address}>")
    assert not rest
    return found


def answer(verdict: Generator[Request, object, Verdict]) -> Verdict:
    """Drive judge() as a worker does that has nothing else to do."""
    try:
        while True:
            assert next(verdict) is TIME_SLICE
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
    return answer(judge(profile, envelope, octets, [body], Bounds(100, 1000, 50)))


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
    ) -> Verdict:
        octets = header if isinstance(header, bytes) else header.replace("\n", "\r\n").encode()
        path = mailbox(reverse_path)
        to = [found for found in map(mailbox, recipients) if found is not None]
        envelope = Envelope(ip_address(client_address), False, "mail.example.org", path, to)
        return answer(judge(profile_of(profile), envelope, octets, [body], Bounds(max_received, 1000, 50)))

    return weighed


@pytest.fixture
def shipped() -> dict[str, str]:
    """The profiles that are shipped: name -> text."""
    folder = Path(__file__).parent.parent.parent / "conf" / "profiles"
    return {file.name: file.read_text() for file in folder.iterdir()}
