"""encoding_invalid and archive_unreadable: what two readers could see differently, and what nobody here can see.

The structure and the encodings are told by those who read them (mwall/message); here they only get their score.
"""

from collections.abc import Mapping
from typing import Any

from mwall.config.grammar import Variable
from mwall.policy.checks import Finding
from mwall.policy.content import ContentCheck, Scanner
from mwall.policy.scores import flag

VARIABLES: tuple[Variable, ...] = (
    flag("encoding_invalid", "the structure or an encoding can be read in more than one way"),
    flag("archive_unreadable", "an archive is encrypted, damaged or too large to be looked into"),
)  # fmt: skip


def compile_checks(values: Mapping[str, Any]) -> list[ContentCheck]:
    """The checks that a profile's values ask for."""
    checks = []
    if values["encoding_invalid"]:
        encoding_score = values["encoding_invalid"]
        checks.append(ContentCheck(("encoding_invalid",), lambda: _FaultScanner(encoding_score)))
    if values["archive_unreadable"]:
        archive_score = values["archive_unreadable"]
        checks.append(ContentCheck(("archive_unreadable",), lambda: _ArchiveScanner(archive_score)))
    return checks


class _FirstReason(Scanner):
    """A flag: the first reason counts, and that there are more is said."""

    check = ""

    def __init__(self, score: int) -> None:
        self._score = score
        self._reasons: dict[str, None] = {}

    def _note(self, reason: str) -> None:
        if len(self._reasons) < 100:
            self._reasons[reason] = None

    def findings(self) -> list[Finding]:
        if not self._reasons:
            return []
        first, *others = self._reasons
        more = f"; and {len(others)} more" if others else ""
        return [Finding(self.check, first + more, self._score)]


class _FaultScanner(_FirstReason):
    check = "ENCODING_INVALID"

    def fault(self, fault: str) -> None:
        self._note(fault)


class _ArchiveScanner(_FirstReason):
    check = "ARCHIVE_UNREADABLE"

    def unreadable(self, reason: str) -> None:
        self._note(reason)
