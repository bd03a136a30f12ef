"""virus_scan: patterns of octets, looked for in the message as it came and in each file in it, decoded and unpacked."""

from collections.abc import Callable, Mapping
from typing import Any

from mwall.config.grammar import Variable
from mwall.config.values import parse_path
from mwall.policy.checks import Finding
from mwall.policy.content import ContentCheck, File, Scanner
from mwall.policy.matching import Matcher, Scan
from mwall.policy.scores import Scored, scored

parse_scan = scored(parse_path)

VARIABLES: tuple[Variable, ...] = (
    Variable(
        "virus_scan", parse_scan, "", repeatable=True, example="10,virus.patterns",
        meaning="a pattern of this file occurs in the message or in a file in it",
    ),
)  # fmt: skip


def compile_checks(values: Mapping[str, Any], matchers: Mapping[str, Matcher]) -> list[ContentCheck]:
    """The checks that a profile's values ask for; `matchers`: one for each pattern file, by path."""
    rules: tuple[Scored[str], ...] = values["virus_scan"]
    if not rules:
        return []
    looks = [(matchers[rule.value], rule.score) for rule in rules]
    return [ContentCheck(("virus_scan",), lambda: _VirusScanner(looks))]


class _VirusScanner(Scanner):
    def __init__(self, looks: list[tuple[Matcher, int]]) -> None:
        self._looks = looks
        self._scans: list[tuple[str, list[Scan]]] = []

    def raw(self) -> Callable[[bytes], None]:
        return self._look("the message as it came")

    def file(self, file: File) -> Callable[[bytes], None]:
        return self._look(file.title)

    def _look(self, where: str) -> Callable[[bytes], None]:
        scans = [matcher.scan() for matcher, _ in self._looks]
        self._scans.append((where, scans))
        if len(scans) == 1:
            return scans[0].feed

        def feed(octets: bytes) -> None:
            for scan in scans:
                scan.feed(octets)

        return feed

    def findings(self) -> list[Finding]:
        findings = []
        for number, (matcher, score) in enumerate(self._looks):
            where = [(place, scans[number].found) for place, scans in self._scans if scans[number].found]
            if where:
                # A file says more than the message as a whole, which comes first.
                place, found = where[-1]
                findings.append(Finding("VIRUS_SCAN", f"{matcher.patterns[min(found)].name} in {place}", score))
        return findings
