"""mime_reject, filename_reject and type_mismatch: what the parts of a message say they are.

Each name is looked at as it is written, without folders, and as Windows will make it: without characters that show
nothing or turn the direction of writing, without quotes, dots and spaces around it, up to a NUL, and with what stands
for an octet (%2E) replaced.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import translate
from typing import Any
from urllib.parse import unquote

from mwall.config.grammar import Variable, quoted
from mwall.message.html import without_invisible
from mwall.message.kinds import contradiction
from mwall.message.structure import Part
from mwall.policy.checks import Finding
from mwall.policy.content import ContentCheck, File, Scanner
from mwall.policy.scores import Scored, flag, scored

_TYPE_PATTERN = re.compile(r"[a-z0-9*?!#$&^_.+\[\]-]+/[a-z0-9*?!#$&^_.+\[\]-]+")
_LONGEST_NAME = 1000
_FOLDERS = re.compile(r"[/\\:]")
_DIRECTION = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x61C])


def parse_type_pattern(text: str) -> str:
    """A media type, * and ? standing for anything in it; lower-cased. Raises ValueError."""
    pattern = text.strip().lower()
    if not _TYPE_PATTERN.fullmatch(pattern):
        raise ValueError(f"{quoted(text)} is no type; write type/subtype, as application/x-msdownload or video/*")
    return pattern


def parse_name_pattern(text: str) -> str:
    """A file name, * and ? standing for anything in it; lower-cased. Raises ValueError."""
    pattern = text.strip().lower()
    if not pattern.strip("*"):
        raise ValueError(f"{quoted(text)} would hit every name; write a pattern, as *.exe")
    if _FOLDERS.search(pattern):
        raise ValueError(f"{quoted(text)} has a folder in it; names are looked at without, write a pattern as *.exe")
    return pattern


VARIABLES: tuple[Variable, ...] = (
    Variable(
        "mime_reject", scored(parse_type_pattern), "", repeatable=True, example="2,application/x-msdownload",
        meaning="a part has this type",
    ),
    Variable(
        "filename_reject", scored(parse_name_pattern), "", repeatable=True, example="3,*.exe",
        meaning="the name of a part, or of a file in an archive, matches this pattern",
    ),
    flag("type_mismatch", "a file is not what its type or name says, as a program called a picture", "2"),
)  # fmt: skip


def compile_checks(values: Mapping[str, Any]) -> list[ContentCheck]:
    """The checks that a profile's values ask for."""
    checks = []
    if values["mime_reject"]:
        checks.append(ContentCheck(("mime_reject",), _type_scanner(values["mime_reject"])))
    if values["filename_reject"]:
        checks.append(ContentCheck(("filename_reject",), _name_scanner(values["filename_reject"])))
    if values["type_mismatch"]:
        score = values["type_mismatch"]
        checks.append(ContentCheck(("type_mismatch",), lambda: _MismatchScanner(score)))
    return checks


class Patterns:
    """Patterns with * and ?, all looked for at once."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [(pattern, re.compile(translate(pattern), re.DOTALL)) for pattern in patterns]
        self._any = re.compile("|".join([compiled.pattern for _, compiled in self._patterns]) or "(?!)", re.DOTALL)

    def matching(self, text: str) -> list[int]:
        """The numbers of the patterns that match."""
        if len(text) > _LONGEST_NAME or not self._any.match(text):
            return []
        return [number for number, (_, compiled) in enumerate(self._patterns) if compiled.match(text)]


def _type_scanner(rules: tuple[Scored[str], ...]) -> Callable[[], Scanner]:
    patterns = Patterns([rule.value for rule in rules])
    return lambda: _TypeScanner(patterns, rules)


class _TypeScanner(Scanner):
    def __init__(self, patterns: Patterns, rules: tuple[Scored[str], ...]) -> None:
        self._patterns = patterns
        self._rules = rules
        self._found: dict[int, str] = {}

    def part(self, part: Part) -> None:
        for field in part.types:
            for number in self._patterns.matching(field.name):
                self._found.setdefault(number, field.name)

    def findings(self) -> list[Finding]:
        return [
            Finding("MIME_REJECT", f"a part is {name} ({self._rules[number].value})", self._rules[number].score)
            for number, name in sorted(self._found.items())
        ]


def _name_scanner(rules: tuple[Scored[str], ...]) -> Callable[[], Scanner]:
    patterns = Patterns([rule.value for rule in rules])
    return lambda: _NameScanner(patterns, rules)


def readings_of_name(name: str) -> set[str]:
    """Return what a file name is to those who may save it, in lower case."""
    name = name.lower()
    if len(name) > _LONGEST_NAME:
        name = name[: _LONGEST_NAME // 2] + name[-_LONGEST_NAME // 2 :]
    plain = _FOLDERS.split(name)[-1] if _FOLDERS.search(name) else name
    readings = {name, plain}
    for seen in {plain, unquote(plain)}:
        shown = without_invisible(seen).translate(_DIRECTION).partition("\0")[0].replace('"', "").strip("'<>() \t")
        readings |= {" ".join(shown.split()).rstrip(". "), "".join(shown.split()).rstrip(".")}
    return readings


class _NameScanner(Scanner):
    def __init__(self, patterns: Patterns, rules: tuple[Scored[str], ...]) -> None:
        self._patterns = patterns
        self._rules = rules
        self._found: dict[int, str] = {}

    def name(self, name: str) -> None:
        for reading in readings_of_name(name):
            for number in self._patterns.matching(reading):
                self._found.setdefault(number, name)

    def findings(self) -> list[Finding]:
        return [
            Finding("FILENAME_REJECT", f'"{name}" matches {self._rules[number].value}', self._rules[number].score)
            for number, name in sorted(self._found.items())
        ]


class _MismatchScanner(Scanner):
    def __init__(self, score: int) -> None:
        self._score = score
        self._reason = ""

    def file(self, file: File) -> None:
        if not self._reason and (found := contradiction(file.head, file.types, file.names)):
            says = f" and says that it is {file.types[0]}" if file.types else ""
            self._reason = f"{file.title} is {found}{says}"

    def findings(self) -> list[Finding]:
        return [Finding("TYPE_MISMATCH", self._reason, self._score)] if self._reason else []
