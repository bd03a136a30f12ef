"""Profiles: how much a message may have against it, and what is looked for.

Each family of checks declares its own variables and makes its own checks of them; this file only gathers them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mwall.config.grammar import Fault, Variable, parse_assignments, read_variables
from mwall.config.values import one_of, parse_flag, show_flag
from mwall.message.fields_added import format_score
from mwall.policy import (
    address_rules,
    body_rules,
    client_rules,
    digest_rules,
    dnsbl_rules,
    form_rules,
    header_rules,
    helo_rules,
    link_rules,
    part_rules,
    rdns_rules,
    rmx_rules,
    strip_rules,
    virus_rules,
)
from mwall.policy.checks import Check
from mwall.policy.content import ContentCheck
from mwall.policy.lookups import Lookup
from mwall.policy.matching import Matcher
from mwall.policy.scores import Scored, parse_limit, parse_score
from mwall.policy.strip_rules import StripRules
from mwall.policy.zones import Kind, named_zones

_FAMILIES = (header_rules, address_rules)
_CONTENT_FAMILIES = (body_rules, part_rules, form_rules, link_rules, digest_rules)
_LOOKUP_FAMILIES = (client_rules, dnsbl_rules, rdns_rules, helo_rules, rmx_rules)
_COMPILERS: tuple[Callable[[Mapping[str, Any]], list[Check]], ...] = tuple(
    family.compile_checks for family in _FAMILIES
)
_CONTENT_COMPILERS: tuple[Callable[[Mapping[str, Any]], list[ContentCheck]], ...] = tuple(
    family.compile_checks for family in _CONTENT_FAMILIES
)
_LOOKUP_COMPILERS: tuple[Callable[[Mapping[str, Any]], list[Lookup]], ...] = tuple(
    family.compile_lookups for family in _LOOKUP_FAMILIES
)

_REGULAR: tuple[Variable, ...] = (
    Variable("reject", parse_flag, "0", meaning="1: everything for this profile is refused", show=show_flag),
    Variable(
        "reject_score", parse_limit, "1", show=format_score,
        meaning="the sum of scores at which a message is refused; below it warnings are added to its header",
    ),
    Variable(
        "mode", one_of("enforce", "observe"), "enforce",
        meaning="observe: nothing is refused; what would have happened is logged and tagged",
    ),
)  # fmt: skip

PROFILE_VARIABLES: tuple[Variable, ...] = _REGULAR + tuple(
    variable
    for family in (*_FAMILIES, *_LOOKUP_FAMILIES, *_CONTENT_FAMILIES, virus_rules, strip_rules)
    for variable in family.VARIABLES
)
_OF_THE_ENVELOPE = frozenset(variable.name for family in _LOOKUP_FAMILIES for variable in family.VARIABLES)


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile; scores in thousandths.

    `checks` look at the header, `content` into the body, `strip` acts; `lookups` know the envelope alone.
    `least_of_message`: how much header and body may take off the score. `zones`: the lists that are asked.
    """

    name: str
    reject: bool
    reject_score: int
    observe: bool
    checks: tuple[Check, ...]
    content: tuple[ContentCheck, ...] = ()
    strip: StripRules | None = None
    lookups: tuple[Lookup, ...] = ()
    least_of_message: int = 0
    zones: tuple[tuple[str, Kind], ...] = ()

    @property
    def refuses_all(self) -> bool:
        """Whether a recipient of this profile is refused at RCPT already (550 5.7.1)."""
        return self.reject and not self.observe


def parse_profile(
    text: bytes, name: str, file: str, faults: list[Fault], matchers: Mapping[str, Matcher] | None = None
) -> Profile | None:
    """The profile that a file's text describes; None where it is at fault, with all that is wrong in `faults`.

    `matchers`: one for each pattern file that virus_scan names (load.py), by path.
    """
    found: list[Fault] = []
    assignments = parse_assignments(text, file, found)
    if not assignments and not found:
        found.append(Fault(file, 0, "", 'sets no variable; a profile that does nothing says so with reject="0"'))
    values = read_variables(PROFILE_VARIABLES, assignments, file, found)
    matchers = matchers or {}
    for rule in values.get("virus_scan", ()):
        if rule.value not in matchers:
            found.append(Fault(file, 0, "virus_scan", f"{rule.value} could not be read"))
    if found:
        faults.extend(sorted(found, key=lambda fault: fault.line))
        return None
    checks = tuple(check for compile_checks in _COMPILERS for check in compile_checks(values))
    content = [check for compile_checks in _CONTENT_COMPILERS for check in compile_checks(values)]
    content += virus_rules.compile_checks(values, matchers)
    strip = strip_rules.compile_acts(values)
    observe = values["mode"] == "observe"
    lookups = tuple(lookup for compile_lookups in _LOOKUP_COMPILERS for lookup in compile_lookups(values))
    return Profile(
        name, values["reject"], values["reject_score"], observe, checks, tuple(content), strip,
        lookups, _least_of_message(values), tuple(named_zones(values)),
    )  # fmt: skip


def _least_of_message(values: Mapping[str, Any]) -> int:
    """The sum of all negative scores but those that the envelope alone can bring."""
    scores = []
    for variable in PROFILE_VARIABLES:
        value = values[variable.name]
        if variable.name not in _OF_THE_ENVELOPE:
            scores += [rule.score for rule in value if isinstance(rule, Scored)] if variable.repeatable else []
            scores += [value] if variable.parse is parse_score else []
    return sum([score for score in scores if score < 0])
