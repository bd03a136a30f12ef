"""mime_strip and mime_allow: parts that are cut out of a message that passes. They act and have no score."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from mwall.config.grammar import Variable
from mwall.message.cutting import Cuts, cut_out
from mwall.message.structure import Part
from mwall.policy.checks import Finding
from mwall.policy.part_rules import Patterns, parse_type_pattern

_MOST_TOLD = 20

VARIABLES: tuple[Variable, ...] = (
    Variable(
        "mime_strip", parse_type_pattern, "", repeatable=True, example="application/x-msdownload",
        meaning="a part of this type is cut out; without any part left the message is refused",
    ),
    Variable(
        "mime_allow", parse_type_pattern, "", repeatable=True, example="text/*",
        meaning="only parts of these types stay; mime_strip counts no more",
    ),
)  # fmt: skip


class Stripped(NamedTuple):
    """What strip() did: `refusal` where no part may stay, else the octets to cut out and what to say of them."""

    refusal: Finding | None
    ranges: list[tuple[int, int]]
    findings: list[Finding]


class StripRules:
    """Which parts a profile lets stay."""

    def __init__(self, variable: str, patterns: Patterns) -> None:
        self._variable = variable
        self._patterns = patterns

    def strip(self, root: Part, observe: bool) -> Stripped:
        """Look through a message's parts; `observe`: nothing will be cut out, and the words say so."""
        cuts = cut_out(root, self._is_unwanted if self._variable == "mime_strip" else self._is_not_allowed)
        check = self._variable.upper()
        if cuts.ranges is None:
            return Stripped(Finding(check, f"no part may stay: {_title(cuts.parts[0])}", 0), [], [])
        what = "would be cut out" if observe else "cut out"
        findings = [Finding(check, f"{what}: {_title(part)}", 0) for part in cuts.parts[:_MOST_TOLD]]
        if len(cuts.parts) > _MOST_TOLD:
            findings.append(Finding(check, f"{what}: {len(cuts.parts) - _MOST_TOLD} more", 0))
        if _breaks_signature(cuts):
            # A check of its own: the log names checks, not their reasons.
            findings.append(Finding("MIME_SIGNATURE", "the message was signed; the signature no longer holds", 0))
        return Stripped(None, cuts.ranges, findings)

    def _is_unwanted(self, part: Part) -> bool:
        return any(self._patterns.matching(field.name) for field in part.types)

    def _is_not_allowed(self, part: Part) -> bool:
        types = [field.name for field in part.types if not field.name.startswith("multipart/")]
        if not types and not part.children:
            return True
        return not all(self._patterns.matching(name) for name in types)


def compile_acts(values: Mapping[str, Any]) -> StripRules | None:
    """What a profile's values ask for."""
    for variable in ("mime_allow", "mime_strip"):
        if values[variable]:
            return StripRules(variable, Patterns(values[variable]))
    return None


def _title(part: Part) -> str:
    return f'{part.types[0].name} "{part.names[0]}"' if part.names else part.types[0].name


def _breaks_signature(cuts: Cuts) -> bool:
    for part in cuts.parts:
        above = part.parent
        while above is not None:
            if any(field.name == "multipart/signed" for field in above.types):
                return True
            above = above.parent
    return False
