"""Profiles: what may stand in one, and what is said of what may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.config.grammar import Fault
from mwall.policy.matching import Matcher
from mwall.policy.profile import PROFILE_VARIABLES, parse_profile


def faults_of(text: bytes) -> list[str]:
    faults: list[Fault] = []
    profile = parse_profile(text, "Test", "profiles/Test", faults, {"virus.patterns": Matcher([])})
    assert (profile is None) == bool(faults)
    return [str(fault) for fault in faults]


def test_all_faults_at_once() -> None:
    text = b"""# a comment
reject="2"
mode="watch"
reject_score="0"
to_requird="1"
from_required="much"
header_reject="Subject:a,b"
client_ip="192.0.2.1/24"
reverse_path="-1,@example.org"
reject="1"
"""
    beginnings = [
        "profiles/Test:2: reject: ",
        "profiles/Test:3: mode: ",
        "profiles/Test:4: reject_score: ",
        "profiles/Test:5: to_requird: there is no such variable; did you mean to_required?",
        "profiles/Test:6: from_required: ",
        "profiles/Test:7: header_reject: ",
        "profiles/Test:8: client_ip: ",
        "profiles/Test:9: reverse_path: ",
        "profiles/Test:10: reject: is already set in line 2",
    ]
    found = faults_of(text)
    assert len(found) == len(beginnings)
    for fault, beginning in zip(found, beginnings, strict=True):
        assert fault.startswith(beginning)


@pytest.mark.parametrize("text", [b"", b"# only a comment\n", b"\n\n"])
def test_a_profile_sets_a_variable(text: bytes) -> None:
    (fault,) = faults_of(text)
    assert fault.startswith("profiles/Test: sets no variable")


def test_every_variable_has_a_meaning_and_an_example_or_default_that_parses() -> None:
    for variable in PROFILE_VARIABLES:
        assert variable.meaning
        assert faults_of(f'{variable.name}="{variable.example or variable.default}"'.encode()) == []


def test_refuses_all() -> None:
    for text, refuses in ((b'reject="1"', True), (b'reject="0"', False), (b'reject="1"\nmode="observe"', False)):
        profile = parse_profile(text, "Test", "Test", [])
        assert profile is not None
        assert profile.refuses_all is refuses


NAMES = st.sampled_from([variable.name for variable in PROFILE_VARIABLES])
LINES = st.builds("{}={}".format, NAMES, st.text(max_size=20))


@given(st.one_of(st.binary(), st.lists(LINES).map(lambda lines: "\n".join(lines).encode())))
def test_any_octets_give_a_profile_or_faults(text: bytes) -> None:
    faults_of(text)
