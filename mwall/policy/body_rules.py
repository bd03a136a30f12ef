"""body_reject, body_rejecti and body_regex: a text occurs in the body, as its reader sees it.

Keys are literal; white space in them is one space, as it is in the text they are looked for in.
"""

from collections.abc import Callable, Mapping
from typing import Any

from mwall.config.grammar import Variable, quoted
from mwall.policy.checks import Finding
from mwall.policy.content import ContentCheck, Scanner
from mwall.policy.matching import Matcher, Scan, literal
from mwall.policy.regexes import RegexSet, parse_regex
from mwall.policy.scores import Scored, scored

# So much of the text before is seen again with each window: what is longer may be missed where two windows meet.
REGEX_OVERLAP = 4096


def parse_key(text: str) -> str:
    """A key to look for; runs of white space become one space. Raises ValueError where there is nothing else."""
    if not text.strip():
        raise ValueError(f"{quoted(text)} has nothing to look for; write a key, as click here now")
    words = " ".join(text.split())
    return f"{' ' * text[0].isspace()}{words}{' ' * text[-1].isspace()}"


VARIABLES: tuple[Variable, ...] = (
    Variable(
        "body_reject", scored(parse_key), "", repeatable=True, example="2,CLICK HERE NOW",
        meaning="the key occurs in a text of the message, as its reader sees it",
    ),
    Variable(
        "body_rejecti", scored(parse_key), "", repeatable=True, example="2,this is not spam",
        meaning="the same without regard to case",
    ),
    Variable(
        "body_regex", scored(parse_regex), "", repeatable=True, example="1,(?i)earn [$][0-9,]+ a day",
        meaning="the regular expression (RE2) matches in a text of the message",
    ),
)  # fmt: skip


def compile_checks(values: Mapping[str, Any]) -> list[ContentCheck]:
    """The checks that a profile's values ask for."""
    checks = []
    for variable in ("body_reject", "body_rejecti"):
        rules = values[variable]
        if rules:
            checks.append(ContentCheck((variable,), _key_scanner(variable, rules)))
    if values["body_regex"]:
        checks.append(ContentCheck(("body_regex",), _regex_scanner(values["body_regex"])))
    return checks


def _key_scanner(variable: str, rules: tuple[Scored[str], ...]) -> Callable[[], Scanner]:
    folds_case = variable == "body_rejecti"
    keys = [rule.value.casefold() if folds_case else rule.value for rule in rules]
    matcher = Matcher([literal(key, key.encode()) for key in keys])
    findings = [Finding(variable.upper(), f'the body contains "{rule.value.strip()}"', rule.score) for rule in rules]
    return lambda: _KeyScanner(matcher, findings, folds_case)


class _KeyScanner(Scanner):
    def __init__(self, matcher: Matcher, findings: list[Finding], folds_case: bool) -> None:
        self._matcher = matcher
        self._findings = findings
        self._folds_case = folds_case
        self._scans: list[Scan] = []

    def text(self) -> Callable[[bytes], None]:
        scan = self._matcher.scan()
        self._scans.append(scan)
        if not self._folds_case:
            return scan.feed

        def feed(line: bytes) -> None:
            scan.feed(line.lower() if line.isascii() else line.decode().casefold().encode())

        return feed

    def findings(self) -> list[Finding]:
        found = set().union(*[scan.found for scan in self._scans])
        return [self._findings[number] for number in sorted(found)]


def _regex_scanner(rules: tuple[Scored[str], ...]) -> Callable[[], Scanner]:
    regexes = RegexSet([rule.value for rule in rules])
    findings = [Finding("BODY_REGEX", f"the body matches {rule.value}", rule.score) for rule in rules]
    return lambda: _RegexScanner(regexes, findings)


class _RegexScanner(Scanner):
    def __init__(self, regexes: RegexSet, findings: list[Finding]) -> None:
        self._regexes = regexes
        self._findings = findings
        self._found: set[int] = set()

    def text(self) -> Callable[[bytes], None]:
        before = b""

        def feed(line: bytes) -> None:
            nonlocal before
            seen = before + line
            self._found.update(self._regexes.found_in(seen))
            before = seen[-REGEX_OVERLAP:]

        return feed

    def findings(self) -> list[Finding]:
        return [self._findings[number] for number in sorted(self._found)]
