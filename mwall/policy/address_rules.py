"""to_required, from_required, realname_required: does the header name those whom the envelope names?

None of them is more than a hint. Honest mail fails each: Bcc and newsletters to_required, mailing lists with a
reverse-path of their own from_required, programs realname_required.
"""

from collections.abc import Generator, Mapping
from typing import Any

from mwall.config.grammar import Variable
from mwall.message.addresses import addresses_in, each_address, has_display_name
from mwall.policy.checks import TIME_SLICE, Check, Envelope, Finding, Look, MailHeader, Request
from mwall.policy.scores import flag
from mwall.smtp.addresses import Mailbox

# A value up to this long is read at once; of a longer one, so many addresses, or fewer where much else is read.
_SHORT_VALUE = 8192
_STEPS = 256
_RECIPIENTS = 4096


VARIABLES: tuple[Variable, ...] = (
    flag("to_required", "no recipient is in a To or Cc field", "0.5"),
    flag("from_required", "the reverse-path is in no From field", "0.5"),
    flag("realname_required", "no From field has a display name", "0.5"),
)


def compile_checks(values: Mapping[str, Any]) -> list[Check]:
    """The checks that a profile's values ask for."""
    checks: list[Check] = []
    if values["to_required"]:
        checks.append(Check(("to_required",), _check_to(values["to_required"])))
    if values["from_required"]:
        checks.append(Check(("from_required",), _check_from(values["from_required"])))
    if values["realname_required"]:
        checks.append(Check(("realname_required",), _check_realname(values["realname_required"])))
    return checks


def _check_to(score: int) -> Look:
    finding = Finding("TO_REQUIRED", "no recipient is in To or Cc", score)

    def check(envelope: Envelope, header: MailHeader) -> Generator[Request, object, list[Finding]]:
        # <postmaster> without a domain is no address that a header could hold (RFC 5321 4.5.1).
        if "" in [recipient.domain for recipient in envelope.recipients]:
            return []
        wanted: set[str] = set()
        for start in range(0, len(envelope.recipients), _RECIPIENTS):
            if start:
                yield TIME_SLICE
            wanted.update(map(_key, envelope.recipients[start : start + _RECIPIENTS]))
        found = yield from _occurs(wanted, header.values("to") + header.values("cc"))
        return [] if found else [finding]

    return check


def _check_from(score: int) -> Look:
    def check(envelope: Envelope, header: MailHeader) -> Generator[Request, object, list[Finding]]:
        if envelope.reverse_path is None:
            return []
        found = yield from _occurs({_key(envelope.reverse_path)}, header.values("from"))
        return [] if found else [Finding("FROM_REQUIRED", f"{envelope.reverse_path} is in no From", score)]

    return check


def _check_realname(score: int) -> Look:
    finding = Finding("REALNAME_REQUIRED", "no From has a display name", score)

    def check(envelope: Envelope, header: MailHeader) -> Generator[Request, object, list[Finding]]:
        for value in header.values("from"):
            if has_display_name(value):
                return []
            if len(value) > _SHORT_VALUE:
                yield TIME_SLICE
        return [finding]

    return check


def _key(mailbox: Mailbox) -> str:
    return _without_detail(str(mailbox).lower())


def _without_detail(address: str) -> str:
    """joe+detail@example.org as joe@example.org: either form stands for both."""
    local_part, _, domain = address.rpartition("@")
    base = local_part.partition("+")[0]
    return f"{base}@{domain}" if base else address


def _occurs(wanted: set[str], values: list[str]) -> Generator[Request, object, bool]:
    steps = 0
    for value in values:
        is_short = len(value) <= _SHORT_VALUE
        for address in addresses_in(value) if is_short else each_address(value):
            if address in wanted or ("+" in address and _without_detail(address) in wanted):
                return True
            steps += 1 if address else _STEPS // 32
            if steps > _STEPS and not is_short:
                yield TIME_SLICE
                steps = 0
        if is_short and steps > _STEPS:
            yield TIME_SLICE
            steps = 0
    return False
