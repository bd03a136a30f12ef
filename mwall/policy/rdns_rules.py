"""rdns_required and rdns_confirmed: the client's address has a name, and one that leads back to it (RFC 1912 2.1).

The owner of an address can give it any name. Only one that leads back is the client's: envelope.client_name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mwall.config.grammar import Variable
from mwall.dns.answers import AAAA, PTR, A, Answer, Question, Status
from mwall.policy.checks import Envelope, Finding
from mwall.policy.lookups import Lookup, Needs, Steps, bounds_of
from mwall.policy.scores import flag
from mwall.policy.zones import is_name, is_negative

# An address may have thousands of names, and each costs a question.
MAX_NAMES = 10

VARIABLES: tuple[Variable, ...] = (
    flag("rdns_required", "the client's address has no name"),
    flag("rdns_confirmed", "the client's address has no name that leads back to it"),
)  # fmt: skip


def compile_lookups(values: Mapping[str, Any]) -> list[Lookup]:
    """The look-ups that a profile's values ask for: one does both."""
    scores = {name: values[name] for name in ("rdns_required", "rdns_confirmed") if values[name]}
    if not scores:
        return []
    confirmed: int = scores.get("rdns_confirmed", 0)

    def steps(envelope: Envelope) -> Steps:
        if envelope.relay:
            return []
        # RFC 1035 3.5, RFC 3596 2.5
        [pointers] = yield [Question(envelope.client_address.reverse_pointer, PTR)]
        if is_negative(pointers):
            reason = f"{envelope.client_address} has no name"
            return [Finding(name.upper(), reason, score) for name, score in scores.items()]
        if pointers.status is Status.FAILED or not confirmed:
            return []
        # What has odd octets stands here with a backslash, can be no name of a host, and is asked for by nobody.
        names = [name for name in pointers.records[:MAX_NAMES] if isinstance(name, str) and is_name(name)]
        answers = yield [Question(name, AAAA if envelope.client_address.version == 6 else A) for name in names]
        return _confirm(envelope, names, answers, confirmed)

    return [Lookup(tuple(scores), Needs.CLIENT, steps, *bounds_of(scores.values()))]


def _confirm(envelope: Envelope, names: Sequence[str], answers: Sequence[Answer], score: int) -> list[Finding]:
    """Keep the first name that leads back to the client; without one, say so."""
    for name, answer in zip(names, answers, strict=True):
        if answer.status is Status.FOUND and envelope.client_address in answer.records:
            envelope.client_name = name
            return []
    if any(answer.status is Status.FAILED for answer in answers):
        return []
    reason = f"no name of {envelope.client_address} leads back to it"
    return [Finding("RDNS_CONFIRMED", f"{reason}: {', '.join(names)}" if names else reason, score)]
