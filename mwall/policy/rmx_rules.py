"""rmx_required: could mail to the reverse-path be returned at all? (RFC 5321 5.1, RFC 7505)

Only names are looked up, no server is tried. A domain with an MX record passes, wherever that points.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from mwall.config.grammar import Variable
from mwall.dns.answers import MX, Answer, Exchange, Question, Status
from mwall.policy.checks import Envelope, Finding
from mwall.policy.lookups import Lookup, Needs, Steps, bounds_of
from mwall.policy.scores import flag
from mwall.policy.zones import ascii_name, domain_of, has_address

VARIABLES: tuple[Variable, ...] = (
    flag("rmx_required", "mail to the reverse-path could not be returned: its domain takes none", "2"),
)  # fmt: skip


def compile_lookups(values: Mapping[str, Any]) -> list[Lookup]:
    """The look-ups that a profile's values ask for."""
    score: int = values["rmx_required"]
    if not score:
        return []

    def steps(envelope: Envelope) -> Steps:
        domain = domain_of(envelope)
        if not domain:
            return []
        name = ascii_name(domain)
        why = (yield from _why_not(name)) if name else "can be no domain"
        return [Finding("RMX_REQUIRED", f"{domain} {why}", score)] if why else []

    return [Lookup(("rmx_required",), Needs.REVERSE_PATH, steps, *bounds_of([score]))]


def _why_not(name: str) -> Generator[Sequence[Question], Sequence[Answer], str]:
    """Why no mail can go to this domain; '' where it can, and where that is not known."""
    [mail] = yield [Question(name, MX)]
    if mail.status is Status.FOUND:
        is_null = [record.name for record in mail.records if isinstance(record, Exchange)] == [""]
        return "accepts no mail: null MX" if is_null else ""
    if mail.status is Status.NO_NAME:
        return "does not exist"
    if mail.status is Status.FAILED:
        return ""
    # Without an MX record the domain is its own mail server (RFC 5321 5.1).
    return "" if (yield from has_address(name)) else "has no MX, A or AAAA record"
