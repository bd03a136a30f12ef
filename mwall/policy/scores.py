"""Scores and the grammar of scored variables: `name="score,value"`, and of flags: `name="score"`.

Sums must not depend on the order of the checks: scores are whole thousandths, never floating point.
"""

import re
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from mwall.config.grammar import Variable, quoted
from mwall.message.fields_added import format_score

DEFAULT_SCORE = 1000

_Value = TypeVar("_Value")
_SCORE = re.compile(r"([+-]?)([0-9]{1,6})(?:\.([0-9]{1,3}))?")


class Scored(NamedTuple, Generic[_Value]):
    """One scored variable: its score in thousandths, and what it looks for."""

    score: int
    value: _Value


def parse_score(text: str) -> int:
    """A score in thousandths: a decimal with at most three decimals, negative too. Raises ValueError."""
    match = _SCORE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{quoted(text)} is no score; write a number with at most three decimals, as 1 or -0.5")
    thousandths = int(match[2]) * 1000 + int((match[3] or "").ljust(3, "0"))
    return -thousandths if match[1] == "-" else thousandths


def parse_limit(text: str) -> int:
    """A score that is more than 0. Raises ValueError: at 0 a message would be refused that no check speaks against."""
    limit = parse_score(text)
    if limit <= 0:
        raise ValueError(f'{quoted(text)} is not more than 0; to refuse everything write reject="1"')
    return limit


def flag(name: str, meaning: str, example: str = "1") -> Variable:
    """A variable that is a score alone, for a check that looks for nothing in particular; 0 is off."""
    meaning = f"{meaning}; the value is the score"
    return Variable(name, parse_score, "0", meaning=meaning, example=example, show=format_score)


def scored(parse_value: Callable[[str], _Value]) -> Callable[[str], Scored[_Value]]:
    """A parser of `score,value` or `value`: without a comma the score is 1, and with one it must be given."""

    def parse(text: str) -> Scored[_Value]:
        score, comma, value = text.partition(",")
        if not comma:
            return Scored(DEFAULT_SCORE, parse_value(text))
        if not _SCORE.fullmatch(score.strip()):
            why = f"before the comma is no score; write one in front, as {quoted('1,' + text)}"
            raise ValueError(f"{quoted(score)} {why}")
        return Scored(parse_score(score), parse_value(value))

    return parse
