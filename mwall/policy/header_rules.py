"""header_reject, header_rejecti and header_regex: a text occurs in a header field, as its reader sees it (RFC 2047).

Keys are taken as they are written, spaces too. The value looked at has one space before and behind it, so that the
key " adv:" finds a word that begins with it, also at the very start of the field.
"""

import re
from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple

from mwall.config.grammar import Variable, quoted
from mwall.policy.checks import (
    TIME_SLICE,
    WINDOW,
    Check,
    Envelope,
    Finding,
    Look,
    MailHeader,
    Request,
    casefolded,
    decoded,
)
from mwall.policy.regexes import RegexSet, parse_regex
from mwall.policy.scores import Scored, scored

_NAME = re.compile(r"[!-9;-~]+")


class HeaderKey(NamedTuple):
    """The value `Header:Key`; the name as written."""

    name: str
    key: str


class _Rule(NamedTuple):
    key: str
    folds_case: bool
    finding: Finding


def parse_header_key(text: str) -> HeaderKey:
    """The value of header_reject: a field name, a colon, a key that is not blank. Raises ValueError."""
    name, colon, key = text.partition(":")
    name = name.strip()
    if not colon or not _NAME.fullmatch(name):
        raise ValueError(f"{quoted(text)} names no header field; write Header:Key, as Subject:make money fast")
    if not key.strip():
        raise ValueError(f"{quoted(text)} has no key behind the colon; write Header:Key, as Subject:make money fast")
    return HeaderKey(name, key.replace("\t", " "))


def parse_header_regex(text: str) -> HeaderKey:
    """The value of header_regex: a field name, a colon, a regular expression. Raises ValueError."""
    name, expression = parse_header_key(text)
    return HeaderKey(name, parse_regex(expression))


VARIABLES: tuple[Variable, ...] = (
    Variable(
        "header_reject", scored(parse_header_key), "", repeatable=True, example="2,Subject:$$$",
        meaning="Header:Key: the key occurs in a header field of that name, after decoding",
    ),
    Variable(
        "header_rejecti", scored(parse_header_key), "", repeatable=True, example="2,Subject:make money fast",
        meaning="Header:Key: the same without regard to case",
    ),
    Variable(
        "header_regex", scored(parse_header_regex), "", repeatable=True, example="1,Subject:[0-9]{5,} $",
        meaning="Header:Expression: the regular expression (RE2) matches in a field of that name, after decoding",
    ),
)  # fmt: skip


def compile_checks(values: Mapping[str, Any]) -> list[Check]:
    """The checks that a profile's values ask for."""
    checks = []
    by_name: dict[str, list[_Rule]] = {}
    for variable in ("header_reject", "header_rejecti"):
        for rule in values[variable]:
            by_name.setdefault(rule.value.name.lower(), []).append(_rule(variable, rule))
    if by_name:
        variables = tuple(variable for variable in ("header_reject", "header_rejecti") if values[variable])
        groups = tuple((name, tuple(rules)) for name, rules in by_name.items())
        checks.append(Check(variables, _check_header(groups)))
    expressions: dict[str, list[Scored[HeaderKey]]] = {}
    for rule in values["header_regex"]:
        expressions.setdefault(rule.value.name.lower(), []).append(rule)
    if expressions:
        checks.append(Check(("header_regex",), _check_regex([_group(*item) for item in expressions.items()])))
    return checks


def _rule(variable: str, rule: Scored[HeaderKey]) -> _Rule:
    name, key = rule.value
    folds_case = variable == "header_rejecti"
    finding = Finding(variable.upper(), f'{name} contains "{key.strip()}"', rule.score)
    return _Rule(key.casefold() if folds_case else key, folds_case, finding)


def _check_header(groups: Sequence[tuple[str, Sequence[_Rule]]]) -> Look:
    def check(envelope: Envelope, header: MailHeader) -> Generator[Request, object, list[Finding]]:
        findings = []
        work = 0
        for name, rules in groups:
            values = header.values(name)
            if not values:
                continue
            text = yield from decoded(values)
            folded = ""
            for rule in rules:
                if rule.folds_case and not folded:
                    folded = yield from casefolded(text)
                if rule.key in (folded if rule.folds_case else text):
                    findings.append(rule.finding)
                work += len(text)
                if work > 16 * WINDOW:  # a search is much cheaper than decoding
                    yield TIME_SLICE
                    work = 0
        return findings

    return check


class _Expressions(NamedTuple):
    name: str
    regexes: RegexSet
    findings: list[Finding]


def _group(name: str, rules: Sequence[Scored[HeaderKey]]) -> _Expressions:
    findings = [
        Finding("HEADER_REGEX", f"{rule.value.name} matches {rule.value.key}", rule.score) for rule in rules
    ]
    return _Expressions(name, RegexSet([rule.value.key for rule in rules]), findings)


def _check_regex(groups: Sequence[_Expressions]) -> Look:
    def check(envelope: Envelope, header: MailHeader) -> Generator[Request, object, list[Finding]]:
        findings = []
        for name, regexes, its_findings in groups:
            values = header.values(name)
            if values:
                text = yield from decoded(values)
                found = regexes.found_in(text.encode("utf-8", "replace"))
                findings += [its_findings[number] for number in sorted(found)]
                if len(text) > WINDOW:
                    yield TIME_SLICE
        return findings

    return check
