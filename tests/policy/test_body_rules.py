"""body_reject, body_rejecti, body_regex: a text occurs in the body as its reader sees it."""

import base64
import quopri
import random

import pytest

from mwall.policy.body_rules import REGEX_OVERLAP, parse_key
from mwall.policy.regexes import RegexSet, parse_regex
from tests.policy.conftest import Weigh

HTML = "Content-Type: text/html; charset=utf-8\n"
PLAIN = "Content-Type: text/plain; charset=utf-8\n"


def found(weigh: Weigh, rule: str, text: str, header: str = PLAIN) -> bool:
    verdict = weigh(f'reject_score="1"\n{rule}', header, body=b"\r\n" + text.replace("\n", "\r\n").encode())
    return verdict.action == "reject"


@pytest.mark.parametrize(
    ("rule", "text", "hit"),
    [
        ('body_reject="Make money"', "Make money", True),
        ('body_reject="Make money"', "make money", False),
        ('body_rejecti="Make money"', "mAKE MONEy", True),
        ('body_rejecti="straße"', "STRASSE", True),
        ('body_reject="make money fast"', "make\nmoney \t\n  fast", True),
        ('body_reject="make  money"', "make money", True),
        ('body_reject="make money"', "makemoney", False),
        ('body_reject=" adv"', "adv", True),
        ('body_reject=" adv"', "radv", False),
        ('body_reject="adv "', "adv", True),
        ('body_reject="money"', "mo\u200bn\u00adey", True),
        ('body_reject="make money"', "make\u00a0money", True),
        ('body_regex="m[o0]ney"', "m0ney", True),
        ('body_regex="(?i)MONEY"', "money", True),
        ('body_regex="make money"', "make\nmoney", True),
        ('body_regex="money"', "mone y", False),
    ],
)
def test_plain_text(weigh: Weigh, rule: str, text: str, hit: bool) -> None:
    assert found(weigh, rule, text) == hit


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ('body_reject="buy viagra"', "<p>buy v<b></b>ia<!-- x -->gra</p>"),
        ('body_reject="buy viagra"', "<p>buy via&#103;ra</p>"),
        ('body_reject="buy viagra"', '<p>buy vi<span style="display:none">xx</span>agra</p>'),
        ('body_reject="http://bad.example/"', '<a href="http://bad.example/">here</a>'),
        ('body_reject="a secret"', '<p hidden>a <b>secret</b></p>'),
    ],
)
def test_html_is_looked_at_as_it_is_written_seen_and_hidden(weigh: Weigh, rule: str, text: str) -> None:
    assert found(weigh, rule, text, HTML)


def test_what_is_seen_and_what_is_hidden_are_not_one_text(weigh: Weigh) -> None:
    assert not found(weigh, 'body_reject="viagra"', '<p>via<span style="display:none"> x</span> gra</p>', HTML)


@pytest.mark.parametrize("variable", ["body_reject", "body_rejecti", "body_regex"])
@pytest.mark.parametrize("encoding", ["identity", "base64", "quoted-printable"])
def test_a_key_is_found_wherever_it_stands(weigh: Weigh, variable: str, encoding: str) -> None:
    """Also where one window ends and the next begins."""
    for place in random.Random(1).sample(range(150_000), 40):
        text = b"\xc3\xa4b " * (place // 4) + b"x" * (place % 4) + b"find this key" + b" cd" * 30_000
        if encoding == "base64":
            text = base64.encodebytes(text).replace(b"\n", b"\r\n")
        elif encoding == "quoted-printable":
            text = quopri.encodestring(text).replace(b"\n", b"\r\n")
        header = PLAIN + f"Content-Transfer-Encoding: {encoding.replace('identity', '8bit')}\n"
        verdict = weigh(f'{variable}="find this key"', header, body=b"\r\n" + text)
        assert verdict.action == "reject", place


def test_each_line_of_the_profile_hits_once(weigh: Weigh) -> None:
    rules = 'reject_score="9"\nbody_reject="0.5,one"\nbody_reject="0.25,two"\nbody_rejecti="1,ONE"\nbody_regex="2,t.o"'
    verdict = weigh(rules, PLAIN, body=b"\r\none two one two")
    assert [(finding.check, finding.score) for finding in verdict.findings] == [
        ("BODY_REJECT", 500), ("BODY_REJECT", 250), ("BODY_REJECTI", 1000), ("BODY_REGEX", 2000),
    ]  # fmt: skip


def test_an_attachment_that_is_no_text_is_not_searched(weigh: Weigh) -> None:
    assert not found(weigh, 'body_reject="key"', "key", "Content-Type: application/octet-stream\n")


@pytest.mark.parametrize("text", ["", "  ", "\t"])
def test_a_key_of_nothing(text: str) -> None:
    with pytest.raises(ValueError):
        parse_key(text)


@pytest.mark.parametrize("text", ["(", "a{2000}", "(?=a)", "x*", "", r"\8", "a" * 3000])
def test_a_regular_expression_that_cannot_be(text: str) -> None:
    with pytest.raises(ValueError, match='"'):
        parse_regex(text)


def test_a_set_too_large_for_its_memory_misses_nothing() -> None:
    expressions = [f"(?s)a.{{{count}}}b{count}" for count in range(400, 480)]
    text = b"a" * 450 + b"xb450"
    assert 50 in RegexSet(expressions).found_in(text)


def test_a_match_longer_than_the_overlap_is_found_within_a_window(weigh: Weigh) -> None:
    assert found(weigh, 'body_regex="begin[x]+end"', "begin" + "x" * 2 * REGEX_OVERLAP + "end")


@pytest.mark.parametrize("charset", ["cp037", "utf-16", "utf-32", "x-unknown"])
@pytest.mark.parametrize("text", [b"find this key", b"find this key \xff"])
def test_a_charset_that_a_reader_need_not_know(weigh: Weigh, charset: str, text: bytes) -> None:
    header = f"Content-Type: text/plain; charset={charset}\n"
    assert weigh('body_reject="this key"', header, body=b"\r\n" + text + b"\r\n").action == "reject"
