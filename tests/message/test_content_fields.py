"""Content-Type, Content-Disposition and Content-Transfer-Encoding, as each reader may read them."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.content_fields import (
    MAX_PARAMETERS,
    MAX_VALUE,
    is_media_type,
    parse_content_field,
    parse_encodings,
)
from mwall.message.header import HeaderError
from tests.fuzz import cases

T = "application/x; "


def names_of(value: str) -> tuple[str, ...]:
    return parse_content_field(value).values("name")


# (field, the values that one reader or another sees, the likeliest first).
SOUND = [
    ("name=a.exe", ["a.exe"]),
    ('name="a.exe"', ["a.exe"]),
    ("NAME=a.exe", ["a.exe"]),
    ("name = a.exe", ["a.exe"]),
    ('name\t=\t"a.exe" ; x=y', ["a.exe"]),
    (";; ;name=a.exe;", ["a.exe"]),
    ('name="a; b=c.exe"', ["a; b=c.exe"]),
    ('name="a=b"', ["a=b"]),
    ('name=""', [""]),
    ('x="name=b"; name=a', ["a"]),
    ('name="a\\"b"', ['a"b', 'a\\"b']),
    ('name="c:\\temp\\a.exe"', ["c:tempa.exe", "c:\\temp\\a.exe"]),
    ("name=a.exe (a file)", ["a.exe", "a.exe (a file)"]),
    ("(a file) name=a.exe", ["a.exe"]),
    ("name=a b.exe", ["a b.exe", "a"]),
    # RFC 2231.
    ("name*=utf-8''a%2Eexe", ["a.exe"]),
    ("name*=utf-8'en'%C3%A4.exe", ["ä.exe"]),
    ("name*=iso-8859-1''%E4", ["ä"]),
    ("name*=koi8-r''%C1", ["\u0430"]),
    ("name*=''%C3%A4", ["ä"]),
    ("name*=unknown''%E4", ["ä"]),
    ("name*0=a; name*1=.exe", ["a.exe"]),
    ("name*1=.exe; name*0=a", ["a.exe"]),
    ('name*0="a."; name*1="exe"', ["a.exe"]),
    ("name*0*=utf-8''%C3; name*1*=%A4; name*2=.exe", ["ä.exe"]),
    ("name*0=a; name*1*=%2Eexe", ["a.exe"]),
    ("NAME*0=a;Name*1=b", ["ab"]),
    ("name*0=a; name*1=b; name*2=c; name*3=d; name*4=e; name*5=f; name*6=g; name*7=h; name*8=i; name*9=j; name*10=k",
     ["abcdefghijk"]),
    ('name*="utf-8\'\'a%2Eexe"', ["a.exe"]),
    # RFC 2047, where it is forbidden and everybody reads it.
    ('name="=?utf-8?q?=C3=A4.exe?="', ["ä.exe"]),
    ("name==?utf-8?b?YS5leGU=?=", ["a.exe"]),
    ('name="=?utf-8?q?a?= =?utf-8?q?.exe?="', ["a.exe"]),
    ('name="x =?iso-8859-1?q?=E4?= y"', ["x ä y"]),
]  # fmt: skip
# (field, values that have to be among those seen, a fault that is told).
ODD = [
    ('name="a.exe', ["a.exe"], "a quote in a Content field is not closed"),
    ('name="a.exe; x=y', ["a.exe", "a.exe; x=y"], "a quote in a Content field is not closed"),
    ('name="a".exe', ["a", "a.exe"], "text behind a closing quote in a Content field"),
    ("name=a.exe; name=b", ["a.exe", "b"], "the parameter name is given twice"),
    ('name=b; NAME="a.exe"', ["a.exe", "b"], "the parameter name is given twice"),
    ("name*0=a; name*2=.exe", ["a", "a.exe"], "the parameter name lacks a section"),
    ("name*1=a; name*2=.exe", ["a.exe"], "the parameter name lacks a section"),
    ("name*0=a; name*0=b; name*1=.exe", ["a.exe", "b"], "the parameter name has a section twice"),
]


@pytest.mark.parametrize(("parameters", "names"), SOUND)
def test_every_value_is_seen(parameters: str, names: list[str]) -> None:
    found = names_of(T + parameters)
    assert found[0] == names[0]
    assert set(names) <= set(found)


@pytest.mark.parametrize(("parameters", "names", "fault"), ODD)
def test_what_is_odd_is_told(parameters: str, names: list[str], fault: str) -> None:
    field = parse_content_field(T + parameters)
    assert set(names) <= set(field.values("name"))
    assert fault in field.faults


def test_a_plain_and_an_encoded_name() -> None:
    found = names_of(T + "name=b; name*=utf-8''a.exe; name*0=c")
    assert set(found) >= {"b", "a.exe"}, "some readers know RFC 2231, some do not"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("text/plain", "text/plain"),
        (" Text/PLAIN ; charset=x", "text/plain"),
        ("text/plain;charset=x", "text/plain"),
        ("text/plain charset=x", "text/plain"),
        ("text/html(a page); charset=x", "text/html"),
        ("(a page) text/html; charset=x", "text/html"),
        ("attachment; filename=x", "attachment"),
        ("", ""),
        (";", ""),
    ],
)
def test_name(value: str, name: str) -> None:
    assert parse_content_field(value).name == name


@pytest.mark.parametrize("name", ["text/plain", "a/b", "x-y/z+w.1"])
def test_media_types(name: str) -> None:
    assert is_media_type(name)


@pytest.mark.parametrize("name", ["", "text", "text/", "/plain", "a/b/c", "a b/c", "a/b=c", "attachment"])
def test_no_media_types(name: str) -> None:
    assert not is_media_type(name)


@pytest.mark.parametrize(
    ("values", "encodings", "is_odd"),
    [
        ([], ["identity"], False),
        (["7bit"], ["identity"], False),
        (["8BIT"], ["identity"], False),
        (["binary"], ["identity"], False),
        (["BASE64"], ["base64"], False),
        (["Quoted-Printable"], ["quoted-printable"], False),
        (["x-uuencode"], ["uuencode"], False),
        (["base64 (of course)"], ["base64"], False),
        ([" base64 ; x"], ["identity", "base64", "quoted-printable", "uuencode"], True),
        (['"base64"'], ["base64"], True),
        (["base64;"], ["base64"], True),
        (["base64", "7bit"], ["base64", "identity"], True),
        (["base64", "base64"], ["base64"], True),
        (["x"], ["identity", "base64", "quoted-printable", "uuencode"], True),
    ],
)
def test_encodings(values: list[str], encodings: list[str], is_odd: bool) -> None:
    found, faults = parse_encodings(values)
    assert set(encodings) <= set(found) and (is_odd or list(found) == encodings)
    assert bool(faults) == is_odd


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60).filter(
    lambda name: "=?" not in name and "\ufffd" not in name
)


@cases(200)
@given(NAMES, st.lists(st.integers(1, 200), max_size=6))
def test_rfc_2231_names_are_read_back(name: str, cuts: list[int]) -> None:
    encoded = "utf-8''" + quote(name, safe="")
    ends = sorted({min(cut + 7, len(encoded)) for cut in cuts} - {len(encoded)})
    pieces = [encoded[start:end] for start, end in zip([0, *ends], [*ends, len(encoded)], strict=True)]
    # A section does not end within a quoted octet.
    if not any(piece.endswith("%") or piece[-2:-1] == "%" for piece in pieces):
        field = T + "; ".join(f"name*{number}*={piece}" for number, piece in enumerate(pieces))
        assert names_of(field)[0] == name
    assert names_of(T + "name*=" + encoded)[0] == name


@cases(200)
@given(NAMES)
def test_quoted_names_are_read_back(name: str) -> None:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    assert name in names_of(f'{T}name="{escaped}"; x=y')


@cases(500)
@given(st.lists(st.sampled_from(
    ["name", "filename", "=", "*", "*0", "*0*", "*1*=", ";", '"', "\\", "(", ")", "'", "''", "utf-8''", "%", "%41",
     "%f", " ", "\t", "=?utf-8?q?", "=?utf-7?q?+2AA-", "?=", "a", "/", "ä", "\0", ",", "99999"]
), max_size=30).map("".join))  # fmt: skip
def test_any_text_is_read(value: str) -> None:
    for field in (parse_content_field(value), parse_content_field("text/plain;" + value)):
        assert all(isinstance(found, str) for values in field.parameters.values() for found in values)
        assert all(field.faults) and all(field.parameters.values())
    assert parse_encodings([value])[0]


@pytest.mark.parametrize("name", ["name*", "name*0*", "name*0", "name"])
def test_an_encoded_word_that_is_half_a_character(name: str) -> None:
    """UTF-7 may hold a surrogate alone, which no other encoding can."""
    assert parse_content_field(f"{T}{name}==?utf-7?q?+2AA-?=").values("name")


def test_limits() -> None:
    many = T + "a=b;" * MAX_PARAMETERS
    assert parse_content_field(many).values("a") == ("b",)
    with pytest.raises(HeaderError, match="parameters"):
        parse_content_field(many + "a=b")
    parse_content_field("a" * MAX_VALUE)
    with pytest.raises(HeaderError, match="longer"):
        parse_content_field("a" * (MAX_VALUE + 1))
