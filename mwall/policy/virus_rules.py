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
        self._where = ""
        self._scans: list[Scan] = []
        self._found: dict[int, tuple[str, int]] = {}  # by look: the last place, and the first pattern there

    def raw(self) -> Callable[[bytes], None]:
        return self._look("the message as it came")

    def file(self, file: File) -> Callable[[bytes], None]:
        return self._look(file.title)

    def _look(self, where: str) -> Callable[[bytes], None]:
        self._keep_found()
        self._where = where
        scans = self._scans = [matcher.scan() for matcher, _ in self._looks]
        if len(scans) == 1:
            return scans[0].feed

        def feed(octets: bytes) -> None:
            for scan in scans:
                scan.feed(octets)

        return feed

    def _keep_found(self) -> None:
        """One file after the other is shown: of the one before only what was found is kept."""
        for number, scan in enumerate(self._scans):
            if scan.found:
                # A file says more than the message as a whole, which comes first.
                self._found[number] = (self._where, min(scan.found))

    def findings(self) -> list[Finding]:
        self._keep_found()
        return [
            Finding("VIRUS_SCAN", f"{matcher.patterns[self._found[number][1]].name} in {self._found[number][0]}", score)
            for number, (matcher, score) in enumerate(self._looks)
            if number in self._found
        ]
