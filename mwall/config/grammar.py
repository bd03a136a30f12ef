"""The one grammar of messagewall.conf, the profiles and special_users: lines of `name="value"`.

A line is blank, a comment (its first character is `#`), or one assignment. The
quotes may be left out. Inside them every character stands for itself, a quote
and a backslash too: the value ends at the last quote of the line, so that
patterns need no escaping. Nothing stops at the first fault: all are collected.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mwall.smtp.printable import printable

# With "-", which no variable's name has: then the nearest name can be told.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
_NAME_IN_LINE = re.compile(rb"\s*([A-Za-z][A-Za-z0-9_-]{0,63})\s*=")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
# What looks like a comment behind the value: taken as part of it, it would be read by nobody's intent.
_COMMENT_BEHIND_QUOTE = re.compile(r'"\s+#')
_COMMENT_BEHIND_WORD = re.compile(r"\s#")
_OTHER_QUOTES = "'`\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"
# Similar names are looked for only where a typing error could have made the name: difflib is quadratic.
_LONGEST_NAME = 64


class Fault(NamedTuple):
    """What is wrong with a file, and where; line 0 is the file as a whole, variable '' no variable in particular."""

    file: str
    line: int
    variable: str
    why: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        what = f"{self.variable}: {self.why}" if self.variable else self.why
        return printable(f"{place}: {what}", 2000)


class ConfigurationError(Exception):
    """A configuration that cannot be used; `faults` holds all that is wrong with it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(map(str, self.faults)))


class Assignment(NamedTuple):
    """One `name="value"` and the line it stands in, counted from 1."""

    line: int
    name: str
    value: str


@dataclass(frozen=True)
class Variable:
    """One variable that a file may set: how its value is read, and what it is without one.

    `parse` raises ValueError, whose text is the fault. `default` is in the file's own syntax, None where the
    variable must be set; `computed` says in words where the default comes from if no text can say it.
    `show` is the inverse of `parse`. `example` is a value that parses. `reload`: a HUP may change it.
    """

    name: str
    parse: Callable[[str], object]
    default: str | None
    reload: bool = True
    repeatable: bool = False
    meaning: str = ""
    computed: str = ""
    example: str = ""
    show: Callable[[Any], str] = str


def quoted(text: str) -> str:
    """`text` as a fault shows it: in quotes, printable, not too long."""
    return f'"{printable(text, 80)}"'


def parse_lines(text: bytes, file: str, faults: list[Fault]) -> list[tuple[int, str]]:
    """The lines that say something, without the white space around them, and their numbers.

    Lines end LF or CRLF. Octets that are no UTF-8 are a fault, save in comments, where they hurt nobody.
    """
    nul = text.find(b"\0")
    if nul >= 0:
        number = text.count(b"\n", 0, nul) + 1
        faults.append(Fault(file, number, "", "a NUL octet: this is no text file; save it as UTF-8 text"))
        return []
    lines = []
    for number, raw in enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if raw.lstrip().startswith(b"#"):
            continue
        try:
            line = raw.decode()
        except UnicodeDecodeError as error:
            column = len(raw[: error.start].decode()) + 1
            why = f"octet 0x{raw[error.start]:02x} in column {column} is no UTF-8; save the file as UTF-8"
            faults.append(Fault(file, number, _name_in(raw), why))
            continue
        control = _CONTROL.search(line.rstrip())
        if control:
            why = f"control character {printable(control.group())} in column {control.start() + 1}; remove it"
            faults.append(Fault(file, number, _name_in(raw), why))
        elif line.strip():
            lines.append((number, line.strip()))
    return lines


def _name_in(raw: bytes) -> str:
    """The variable of a line that cannot be read further, so that it is not reported as missing too."""
    match = _NAME_IN_LINE.match(raw)
    return match[1].decode() if match else ""


def parse_value(text: str) -> str:
    """The value that stands behind the `=`, without its quotes. Raises ValueError."""
    text = text.strip()
    if text[:1] == '"':
        if _COMMENT_BEHIND_QUOTE.search(text, 1):
            raise ValueError('a comment behind the value; give it a line of its own (it begins with "#")')
        if text.count('"') == 1:
            raise ValueError('the closing quote is missing; write name="value"')
        if text[-1] != '"':
            raise ValueError('text behind the closing quote; write name="value" and nothing behind it')
        return text[1:-1]
    if _COMMENT_BEHIND_WORD.search(text) or text.startswith("#"):
        raise ValueError('a comment behind the value? give it a line of its own, or quote a value that has "#" in it')
    if text[-1:] == '"':
        raise ValueError('the opening quote is missing; write name="value"')
    if text and text[0] in _OTHER_QUOTES:
        raise ValueError('quotes of another kind; write name="value", with plain double quotes')
    return text


def parse_assignments(text: bytes, file: str, faults: list[Fault]) -> list[Assignment]:
    """The assignments of a file in order; what is none goes to `faults`."""
    assignments = []
    for number, line in parse_lines(text, file, faults):
        name, equals, value = line.partition("=")
        name = name.rstrip()
        if not equals:
            faults.append(Fault(file, number, "", f'{quoted(line)} has no "="; write name="value", or # for a comment'))
            continue
        if not _NAME.match(name):
            why = f'{quoted(name)} can be no name of a variable (letters, digits and _); write name="value"'
            faults.append(Fault(file, number, "", why))
            continue
        try:
            assignments.append(Assignment(number, name, parse_value(value)))
        except ValueError as error:
            faults.append(Fault(file, number, printable(name, _LONGEST_NAME), str(error)))
    return assignments


def read_variables(
    table: Sequence[Variable], assignments: Iterable[Assignment], file: str, faults: list[Fault]
) -> dict[str, Any]:
    """The value of every variable of `table`; a repeatable one has a tuple of them, in the file's order.

    What is not set has its default, or None where that is computed. What is set and at fault has no entry (a
    repeatable one: less of them), so that no rule between variables is judged by a value that nobody wrote.
    """
    known = {variable.name: variable for variable in table}
    at_fault = {fault.variable for fault in faults if fault.file == file}
    first_line: dict[str, int] = {}
    parsed: dict[str, list[Any]] = {variable.name: [] for variable in table}
    for line, name, value in assignments:
        variable = known.get(name)
        if variable is None:
            faults.append(Fault(file, line, printable(name, _LONGEST_NAME), _unknown(name, known)))
        elif name in first_line and not variable.repeatable:
            faults.append(Fault(file, line, name, f"is already set in line {first_line[name]}; keep one of the two"))
        else:
            first_line.setdefault(name, line)
            try:
                parsed[name].append(variable.parse(value))
            except ValueError as error:
                faults.append(Fault(file, line, name, str(error)))
    values: dict[str, Any] = {}
    for name, variable in known.items():
        if variable.repeatable:
            values[name] = tuple(parsed[name])
        elif parsed[name]:
            values[name] = parsed[name][0]
        elif name not in first_line and name not in at_fault:
            _take_default(variable, values, file, faults)
    return values


def _take_default(variable: Variable, values: dict[str, Any], file: str, faults: list[Fault]) -> None:
    if variable.computed:
        values[variable.name] = None
    elif variable.default is not None:
        values[variable.name] = variable.parse(variable.default)
    else:
        example = f', as {variable.name}="{variable.example}"' if variable.example else ""
        faults.append(Fault(file, 0, variable.name, f"must be set and is not; add it{example}"))


def _unknown(name: str, known: Iterable[str]) -> str:
    near: list[str] = []
    if len(name) <= _LONGEST_NAME:
        near = difflib.get_close_matches(name.lower(), known, 1)
    return f"there is no such variable; did you mean {near[0]}?" if near else "there is no such variable here"
