"""The verdict over one message: the sum of what its profile's checks found, against the profile's limit.

Loops and headers beyond all measure are refused under every profile, mode=observe too, and so is a body beyond all
measure under every profile that looks into it: they are no matter of taste.
"""

from collections.abc import Generator, MutableSequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from mwall.message.body import joined
from mwall.message.header import HeaderError
from mwall.message.structure import Part, StructureReader
from mwall.policy.checks import TIME_SLICE, WINDOW, Envelope, Finding, MailHeader, TimeSlice, paused
from mwall.policy.lookups import Asking, Inquiry, Lookup
from mwall.policy.profile import Profile
from mwall.policy.reading import ContentReader

__all__ = ["TIME_SLICE", "Asking", "Bounds", "Envelope", "Finding", "Request", "TimeSlice", "Verdict", "judge"]

# Resumed with None after a TimeSlice, with a list of findings after an Asking.
Request: TypeAlias = TimeSlice | Asking
Judging: TypeAlias = Generator[Request, Any, "Verdict"]

_REJECT_ALL = Finding("REJECT", "no mail is taken for this recipient", 0)


class Bounds(NamedTuple):
    """How much of a kind a message may have, whatever its profile: Received fields, parts, parts within parts."""

    max_received: int
    max_parts: int
    max_depth: int


@dataclass(slots=True)
class Verdict:
    """What becomes of a message; scores in thousandths.

    `observed`: it would have been refused, but for mode=observe. Then `action` is "accept" and all else, the reply
    too, says what would have happened. `check` and `reason` are what the refusal names, '' where there is none;
    `reason` is raw text of outside origin in parts, `message_id` (for the log) the whole Message-ID field. `cuts`: what
    is to be cut out of the body, as (start, end) in their order. `root`: the message's parts, if they are wanted.
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
    cuts: list[tuple[int, int]] = field(default_factory=list)
    root: Part | None = None

    @property
    def text(self) -> str:
        """The refusal's text, unescaped, without its codes; '' where nothing is refused."""
        return f"MessageWall: {self.check}/REJECT: {self.reason}" if self.check else ""


def judge(
    profile: Profile,
    envelope: Envelope,
    header: bytes,
    chunks: MutableSequence[bytes | bytearray],
    bounds: Bounds,
    keeps_parts: bool = False,
) -> Judging:
    """Weigh a message by its profile; the generator returns the Verdict.

    `header` is the header section as header_end delimits it, `chunks` the rest of the message from the empty line on,
    both stuffed as on the wire; `chunks` is made one piece where the profile looks into it. More Received fields than
    bounds.max_received are a loop (RFC 5321 6.3). A TimeSlice is yielded where much work was done, so seldom for
    honest mail; an Asking at most once, at the end. `keeps_parts`: the verdict has the message's parts, as it always
    has under a profile that strips; they keep octets that were decoded.
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
    if hops > bounds.max_received:
        reason = f"a loop: {hops} Received fields, more than {bounds.max_received}"
        return Verdict("reject", 554, "5.4.6", "RECEIVED", reason, 0, limit, message_id=message_id)
    if len(header) > WINDOW:
        yield TIME_SLICE
    findings: list[Finding] = []
    for check in profile.checks:
        findings += yield from check.look(envelope, fields)
    root = None
    lookups: list[Lookup] = []
    if profile.content or profile.strip:
        try:
            root = yield from _look_into(profile, header, fields, chunks, bounds, findings, lookups)
        except HeaderError as error:
            return Verdict("reject", 554, "5.6.0", "MIME", str(error), 0, limit, message_id=message_id)
    if not (keeps_parts or profile.strip):
        root = None
    if profile.lookups or lookups:
        findings += yield Asking(lookups)
    score = sum([finding.score for finding in findings])
    if score >= limit:
        heaviest = max(findings, key=lambda finding: finding.score)
        return _refused(profile, heaviest, score, findings, message_id, root=root)
    verdict = Verdict("accept", 250, "2.0.0", "", "", score, limit, findings, message_id=message_id, root=root)
    return _stripped(profile, verdict) if profile.strip else verdict


def early_refusal(profile: Profile, inquiry: Inquiry) -> Finding | None:
    """Whom to refuse before the message has come: whoever would be refused whatever else may still be found.

    The heaviest finding of a score that reaches the limit though all that could lower it did. Else None.
    """
    findings = inquiry.findings
    score = sum([finding.score for finding in findings]) + inquiry.least + profile.least_of_message
    if profile.observe or score < profile.reject_score:
        return None
    return max(findings, key=lambda finding: finding.score)


def may_refuse_early(profile: Profile, inquiry: Inquiry) -> bool:
    """Whether early_refusal() may still come to one when open look-ups are answered."""
    if profile.observe or not inquiry.open:
        return False
    score = sum([finding.score for finding in inquiry.findings])
    return score + inquiry.most + profile.least_of_message >= profile.reject_score


def _look_into(
    profile: Profile,
    header: bytes,
    fields: MailHeader,
    chunks: MutableSequence[bytes | bytearray],
    bounds: Bounds,
    findings: list[Finding],
    lookups: list[Lookup],
) -> Generator[TimeSlice, object, Part]:
    """Read the content for the checks that look into it; return its parts."""
    source = yield from paused(joined(chunks))
    octets = len(header) + len(source.octets)
    structure = StructureReader(bounds.max_parts, bounds.max_depth, octets)
    root = yield from paused(structure.read(header, fields.by_name, source))
    if profile.content:
        scanners = [check.scanner() for check in profile.content]
        yield from ContentReader(scanners, octets, structure.holdable).read(header, root)
        for scanner in scanners:
            findings += scanner.findings()
            lookups += scanner.lookups()
    return root


def _stripped(profile: Profile, verdict: Verdict) -> Verdict:
    """The verdict over a message that passes, with what mime_strip and mime_allow do to it."""
    assert profile.strip is not None and verdict.root is not None
    stripped = profile.strip.strip(verdict.root, profile.observe)
    if stripped.refusal is not None:
        findings = [*verdict.findings, stripped.refusal]
        return _refused(profile, stripped.refusal, verdict.score, findings, verdict.message_id, root=verdict.root)
    verdict.findings += stripped.findings
    if not profile.observe:
        verdict.cuts = stripped.ranges
    return verdict


def _refused(
    profile: Profile,
    cause: Finding,
    score: int,
    findings: list[Finding],
    message_id: str,
    reply_code: int = 554,
    root: Part | None = None,
) -> Verdict:
    return Verdict(
        "accept" if profile.observe else "reject", reply_code, "5.7.1", cause.check, cause.reason, score,
        profile.reject_score, findings, profile.observe, message_id, root=root,
    )  # fmt: skip
