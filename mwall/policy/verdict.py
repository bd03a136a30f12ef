"""The verdict over one message: the sum of what its profile's checks found, against the profile's limit.

Loops and headers beyond all measure are refused under every profile, mode=observe too: they are no matter of taste.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal

from mwall.message.header import HeaderError
from mwall.policy.checks import TIME_SLICE, WINDOW, Envelope, Finding, MailHeader, Request, TimeSlice
from mwall.policy.profile import Profile

__all__ = ["TIME_SLICE", "Envelope", "Finding", "Request", "TimeSlice", "Verdict", "judge"]

_REJECT_ALL = Finding("REJECT", "no mail is taken for this recipient", 0)


@dataclass(slots=True)
class Verdict:
    """What becomes of a message; scores in thousandths.

    `observed`: it would have been refused, but for mode=observe. Then `action` is "accept" and all else, the reply
    too, says what would have happened. `check` and `reason` are what the refusal names, '' where there is none;
    `reason` is raw text of outside origin in parts, `message_id` (for the log) the whole Message-ID field.
    """

    action: Literal["accept", "reject"]
    reply_code: int
    enhanced_status_code: str
    check: str = ""
    reason: str = ""
    score: int = 0
    limit: int = 0
    findings: list[Finding] = field(default_factory=list)
    observed: bool = False
    message_id: str = ""

    @property
    def text(self) -> str:
        """The refusal's text, unescaped, without its codes; '' where nothing is refused."""
        return f"MessageWall: {self.check}/REJECT: {self.reason}" if self.check else ""


def judge(
    profile: Profile, envelope: Envelope, header: bytes, settings_max_received: int
) -> Generator[Request, object, Verdict]:
    """Weigh a message by its profile; the generator returns the Verdict.

    `header` is the header section as header_end delimits it, stuffed as on the wire. More Received fields than
    `settings_max_received` are a loop (RFC 5321 6.3). A TimeSlice is yielded where much work was done, so seldom
    for honest mail.
    """
    limit = profile.reject_score
    if profile.reject:
        return _refused(profile, _REJECT_ALL, 0, [], "", 550)
    try:
        fields = MailHeader(header)
    except HeaderError as error:
        return Verdict("reject", 554, "5.6.0", "HEADER", str(error), 0, limit)
    message_id = "".join(fields.values("message-id")[:1])
    hops = len(fields.values("received"))
    if hops > settings_max_received:
        reason = f"a loop: {hops} Received fields, more than {settings_max_received}"
        return Verdict("reject", 554, "5.4.6", "RECEIVED", reason, 0, limit, message_id=message_id)
    if len(header) > WINDOW:
        yield TIME_SLICE
    findings: list[Finding] = []
    score = 0
    for check in profile.checks:
        found = yield from check(envelope, fields)
        if found:
            findings += found
            score += sum([finding.score for finding in found])
    if score < limit:
        return Verdict("accept", 250, "2.0.0", "", "", score, limit, findings, message_id=message_id)
    heaviest = max(findings, key=lambda finding: finding.score)
    return _refused(profile, heaviest, score, findings, message_id)


def _refused(
    profile: Profile, cause: Finding, score: int, findings: list[Finding], message_id: str, reply_code: int = 554
) -> Verdict:
    action: Literal["accept", "reject"] = "accept" if profile.observe else "reject"
    limit, observed = profile.reject_score, profile.observe
    return Verdict(action, reply_code, "5.7.1", cause.check, cause.reason, score, limit, findings, observed, message_id)
