"""Milliseconds of reading and judging each of the three messages in this process: no SMTP, no other process.

The best of many: whatever else runs on the machine only ever adds.
"""

import sys
import time
from dataclasses import dataclass
from ipaddress import ip_address

from harness import PROJECT, DidNotStart
from messages import MESSAGES

sys.path.insert(0, str(PROJECT))

from mwall.config.grammar import Fault
from mwall.message.body import take_header
from mwall.policy.matching import Matcher
from mwall.policy.patterns import parse_patterns
from mwall.policy.profile import Profile, parse_profile
from mwall.policy.verdict import Asking, Bounds, Envelope, Finding, Verdict, judge
from mwall.smtp.addresses import Mailbox

PROFILES = ("Medium", "None")
_TIMES = {"text-5k": 1500, "multipart-50k": 600, "attachment-5m": 15}
_ENVELOPE = Envelope(
    ip_address("192.0.2.7"), False, "client.example", Mailbox("a", "example.org"), [Mailbox("b", "example.org")]
)
_BOUNDS = Bounds(max_received=100, max_parts=1000, max_depth=50)
_CHUNK = 65_536


@dataclass(frozen=True)
class ChecksRun:
    """The best time, milliseconds."""

    case: str
    profile: str
    octets: int
    milliseconds: float


def _profile(name: str) -> Profile:
    """As it is shipped. Raises DidNotStart."""
    folder = PROJECT / "conf"
    faults: list[Fault] = []
    patterns = Matcher(parse_patterns((folder / "virus.patterns").read_bytes(), "virus.patterns", faults))
    text = (folder / "profiles" / name).read_bytes()
    profile = parse_profile(text, name, name, faults, {"virus.patterns": patterns})
    if profile is None or faults:
        raise DidNotStart(f"profile {name}: {faults}")
    return profile


def _judged(profile: Profile, pieces: list[bytes | bytearray]) -> tuple[float, Verdict]:
    """Seconds, and the verdict. `pieces`: the message as it comes from the network; used up."""
    begun = time.perf_counter()
    header = take_header(pieces)
    judging = judge(profile, _ENVELOPE, header, pieces, _BOUNDS)
    try:
        found: list[Finding] | None = None  # look-ups find nothing here
        while True:
            found = [] if isinstance(judging.send(found), Asking) else None
    except StopIteration as stop:
        return time.perf_counter() - begun, stop.value


def run_checks() -> list[ChecksRun]:
    """Every message under each profile. Raises DidNotStart where one of them, honest as they are, is refused."""
    runs = []
    for case, make in MESSAGES.items():
        message = make()
        for name in PROFILES:
            profile = _profile(name)
            best = float("inf")
            for _ in range(_TIMES[case]):
                pieces = [bytearray(message[start : start + _CHUNK]) for start in range(0, len(message), _CHUNK)]
                seconds, verdict = _judged(profile, list(pieces))
                best = min(best, seconds)
            if verdict.action != "accept" or verdict.score:
                raise DidNotStart(f"{name} finds fault with {case}: {verdict.findings}")
            runs.append(ChecksRun(case, name, len(message), best * 1000))
    return runs


def checks_table(runs: list[ChecksRun]) -> list[str]:
    """A line for each message."""
    lines = ["\nReading and judging, best of many, milliseconds", f"{'':17}{'octets':>10}"]
    lines[-1] += "".join(f"{name:>10}" for name in PROFILES)
    for case in dict.fromkeys(run.case for run in runs):
        mine = {run.profile: run for run in runs if run.case == case}
        lines.append(f"{case:17}{mine[PROFILES[0]].octets:10,}")
        lines[-1] += "".join(f"{mine[name].milliseconds:10.3f}" for name in PROFILES)
    return lines
