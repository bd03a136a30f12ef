"""Look-ups side by side: what is asked, what is still open, what an answer settles, and when a refusal is certain."""

import dataclasses
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from mwall.dns.answers import A, Answer, Question, Status
from mwall.policy.checks import Envelope, Finding
from mwall.policy.lookups import Inquiry, Lookup, Needs, Steps, bounds_of, without_questions
from mwall.policy.profile import Profile
from mwall.policy.verdict import early_refusal, may_refuse_early
from tests.policy.conftest import profile_of

ONE, TWO, THREE = (Question(f"{number}.example", A) for number in ("one", "two", "three"))
FOUND, NO, FAILED = Answer(Status.FOUND), Answer(Status.NO_NAME), Answer(Status.FAILED, why="SERVFAIL")


def envelope() -> Envelope:
    return Envelope(ip_address("192.0.2.1"), False, "", None, [])


def lookup(score: int, *rounds: tuple[Question, ...]) -> Lookup:
    """Asks round after round; a finding if all answers of all rounds are FOUND."""

    def steps(envelope: Envelope) -> Steps:
        for questions in rounds:
            answers = yield questions
            assert len(answers) == len(questions)
            if any(answer.status is not Status.FOUND for answer in answers):
                return []
        return [Finding("X", "x", score)]

    return Lookup(("x",), Needs.CLIENT, steps, *bounds_of([score]))


def profile(limit: str = "3", more: str = "", observe: bool = False) -> Profile:
    made = profile_of(f'reject_score="{limit}"\n{more}')
    return dataclasses.replace(made, observe=observe)


def test_questions_of_several_are_asked_once() -> None:
    inquiry = Inquiry(envelope())
    assert inquiry.begin([lookup(1000, (ONE, TWO)), lookup(2000, (TWO, ONE, TWO)), lookup(-500, (THREE,))]) == [
        ONE, TWO, THREE,
    ]  # fmt: skip
    assert (inquiry.open, inquiry.least, inquiry.most) == (3, -500, 3000)
    assert inquiry.take(TWO, FOUND) == []
    assert inquiry.open == 3
    assert inquiry.take(ONE, FOUND) == []
    assert (inquiry.open, inquiry.least, inquiry.most) == (1, -500, 0)
    assert [finding.score for finding in inquiry.findings] == [1000, 2000]
    assert inquiry.take(THREE, NO) == []
    assert (inquiry.open, inquiry.least, inquiry.most, len(inquiry.findings)) == (0, 0, 0, 2)


def test_a_second_round_is_asked_when_the_first_is_answered() -> None:
    inquiry = Inquiry(envelope())
    assert inquiry.begin([lookup(1000, (ONE,), (TWO,), (ONE,))]) == [ONE]
    assert inquiry.take(ONE, FOUND) == [TWO]
    assert inquiry.take(TWO, FOUND) == [ONE]
    assert inquiry.take(ONE, FOUND) == []
    assert [finding.score for finding in inquiry.findings] == [1000]


def test_an_empty_round_needs_no_answer() -> None:
    inquiry = Inquiry(envelope())
    assert inquiry.begin([lookup(1000, (), (ONE,), ())]) == [ONE]
    assert inquiry.take(ONE, FOUND) == []
    assert (inquiry.open, len(inquiry.findings)) == (0, 1)


def test_what_asks_nothing_is_found_at_once() -> None:
    inquiry = Inquiry(envelope())
    steps = without_questions(lambda envelope: [Finding("Y", str(envelope.client_address), 1)])
    assert inquiry.begin([Lookup(("y",), Needs.CLIENT, steps, 0, 1)]) == []
    assert inquiry.findings == [Finding("Y", "192.0.2.1", 1)]


def test_an_answer_that_nobody_waits_for_changes_nothing() -> None:
    inquiry = Inquiry(envelope())
    inquiry.begin([lookup(1000, (ONE,))])
    assert inquiry.take(TWO, FOUND) == []
    assert inquiry.open == 1


def test_what_failed_is_told() -> None:
    inquiry = Inquiry(envelope())
    inquiry.begin([lookup(1000, (ONE, TWO))])
    inquiry.take(ONE, FAILED)
    inquiry.take(TWO, FOUND)
    assert inquiry.findings == []
    assert inquiry.unanswered == {ONE: "SERVFAIL"}
    assert inquiry.running[0].failed


def test_giving_up_ends_what_is_open_and_keeps_what_was_found() -> None:
    inquiry = Inquiry(envelope())
    inquiry.begin([lookup(1000, (ONE,)), lookup(-2000, (TWO,)), lookup(4000, (ONE,), (THREE,))])
    inquiry.take(ONE, FOUND)
    inquiry.give_up("too late")
    assert (inquiry.open, inquiry.least, inquiry.most) == (0, 0, 0)
    assert [finding.score for finding in inquiry.findings] == [1000]
    assert inquiry.unanswered == {TWO: "too late", THREE: "too late"}
    assert inquiry.take(THREE, FOUND) == []
    assert [finding.score for finding in inquiry.findings] == [1000]


def test_giving_up_silently() -> None:
    inquiry = Inquiry(envelope())
    inquiry.begin([lookup(1000, (ONE,))])
    inquiry.give_up("")
    assert inquiry.unanswered == {}


def test_refused_early_by_the_heaviest_once_nothing_can_save_it() -> None:
    inquiry = Inquiry(envelope())
    inquiry.begin([lookup(1000, (ONE,)), lookup(3500, (ONE,)), lookup(-2000, (TWO,))])
    judged = profile("3")
    assert early_refusal(judged, inquiry) is None
    assert may_refuse_early(judged, inquiry)
    inquiry.take(ONE, FOUND)
    assert early_refusal(judged, inquiry) is None, "the allow-list has not answered yet"
    assert may_refuse_early(judged, inquiry)
    inquiry.take(TWO, NO)
    refusal = early_refusal(judged, inquiry)
    assert refusal is not None
    assert refusal.score == 3500


def test_saved_by_an_allow_list() -> None:
    inquiry = Inquiry(envelope())
    inquiry.begin([lookup(4000, (ONE,)), lookup(-2000, (TWO,))])
    inquiry.take(ONE, FOUND)
    inquiry.take(TWO, FOUND)
    assert early_refusal(profile("3"), inquiry) is None
    assert not may_refuse_early(profile("3"), inquiry)


def test_rules_of_the_message_that_could_save_it_count() -> None:
    inquiry = Inquiry(envelope())
    inquiry.begin([lookup(4000, (ONE,))])
    inquiry.take(ONE, FOUND)
    for rule in ("header_reject", "body_rejecti"):
        value = "Subject:hello" if rule == "header_reject" else "hello"
        assert early_refusal(profile("3", f'{rule}="-1,{value}"'), inquiry) is not None
        assert early_refusal(profile("3", f'{rule}="-1.001,{value}"'), inquiry) is None
    assert early_refusal(profile("3", 'realname_required="-2"'), inquiry) is None
    assert early_refusal(profile("3", 'client_ip="-2,10.0.0.0/8"'), inquiry) is not None, "known, and not found"


def test_observe_refuses_nobody() -> None:
    inquiry = Inquiry(envelope())
    inquiry.begin([lookup(4000, (ONE,))])
    inquiry.take(ONE, FOUND)
    assert early_refusal(profile("3", observe=True), inquiry) is None


@given(
    st.lists(st.tuples(st.integers(-3000, 3000), st.lists(st.lists(st.integers(0, 5), max_size=3), max_size=3)),
             max_size=6),
    st.randoms(use_true_random=False),
    st.integers(1, 6000),
)  # fmt: skip
def test_an_early_refusal_is_never_taken_back(
    rules: list[tuple[int, list[list[int]]]], random: object, limit: int
) -> None:
    """However answers come: who would be refused early would be refused at the end."""
    judged = dataclasses.replace(profile(), reject_score=limit)
    inquiry = Inquiry(envelope())
    lookups = [
        lookup(score, *(tuple(Question(f"{number}.example", A) for number in numbers) for numbers in rounds))
        for score, rounds in rules
    ]
    open_questions = inquiry.begin(lookups)
    refused = early_refusal(judged, inquiry) is not None
    while open_questions:
        possible = refused or may_refuse_early(judged, inquiry)
        question = open_questions.pop(random.randrange(len(open_questions)))  # type: ignore[attr-defined]
        open_questions += inquiry.take(question, random.choice([FOUND, NO, FAILED]))  # type: ignore[attr-defined]
        now = early_refusal(judged, inquiry) is not None
        assert refused <= now <= possible
        refused = now
    assert inquiry.open == 0
    assert refused == (sum(finding.score for finding in inquiry.findings) >= limit)
