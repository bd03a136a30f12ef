"""Scores and the grammar of scored variables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.fields_added import format_score
from mwall.policy.scores import parse_limit, parse_score, scored


@given(st.integers(-999_999_999, 999_999_999))
def test_a_score_reads_back(score: int) -> None:
    assert parse_score(format_score(score)) == score


@pytest.mark.parametrize(("text", "score"), [("1", 1000), ("+1", 1000), ("-0.5", -500), ("0.125", 125), (" 2 ", 2000)])
def test_parse_score(text: str, score: int) -> None:
    assert parse_score(text) == score


@pytest.mark.parametrize("text", ["", "a", "1.", ".5", "1.0001", "1e3", "1,5", "--1", "٣", "1234567", "inf"])
def test_what_is_no_score(text: str) -> None:
    with pytest.raises(ValueError, match="is no score"):
        parse_score(text)


@pytest.mark.parametrize("text", ["0", "-1", "0.000"])
def test_a_limit_is_more_than_0(text: str) -> None:
    with pytest.raises(ValueError, match="not more than 0"):
        parse_limit(text)


@pytest.mark.parametrize(
    ("text", "score", "value"), [("a", 1000, "a"), ("2,a", 2000, "a"), ("-5,a,b", -5000, "a,b"), ("1, a", 1000, " a")]
)
def test_scored(text: str, score: int, value: str) -> None:
    assert scored(str)(text) == (score, value)


def test_a_value_with_a_comma_needs_a_score() -> None:
    with pytest.raises(ValueError, match='write one in front, as "1,Subject:Hello, world"'):
        scored(str)("Subject:Hello, world")
