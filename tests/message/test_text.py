"""A text as its reader sees it: its charsets, its lines, and that neither depends on how it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.charsets import Decoder
from mwall.message.text import OneLine, TextStreams, charset_readings, is_plain_ascii, looks_like_html
from tests.fuzz import cases

UMLAUT = "schön".encode()
CYRILLIC = "привет, как дела".encode("koi8-r")


@pytest.mark.parametrize(
    ("labels", "head", "is_html", "charsets"),
    [
        ([], b"text", False, ["utf-8"]),
        (["us-ascii"], b"text", False, ["cp1252"]),
        (["utf-8", "koi8-r"], b"text", False, ["utf-8", "koi8-r"]),
        (["x-unknown"], b"text", False, ["utf-8"]),
        (["iso-8859-1"], UMLAUT, False, ["cp1252", "utf-8"]),
        (["utf-8"], b"sch\xf6n", False, ["utf-8", "cp1252"]),
        ([], b"sch\xf6n", False, ["cp1252"]),
        ([], UMLAUT, False, ["utf-8"]),
        (["koi8-r"], CYRILLIC, False, ["koi8-r"]),
        (["us-ascii"], b"\xef\xbb\xbftext", False, ["cp1252", "utf-8"]),
        (["us-ascii"], "\ufefftext".encode("utf-16-le"), False, ["cp1252", "utf-16-le"]),
        (["us-ascii"], "\ufefftext".encode("utf-16-be"), False, ["cp1252", "utf-16-be"]),
        (["utf-8"], "some text".encode("utf-16-le"), False, ["utf-8", "utf-16-le", "utf-16-be"]),
        ([], b'<meta http-equiv=x content="text/html; charset=koi8-r">' + CYRILLIC, True, ["koi8-r"]),
        ([], b"<META CHARSET='koi8-r'>" + CYRILLIC, True, ["koi8-r"]),
        ([], b"<meta charset=koi8-r>text", True, ["koi8-r"]),
        (["utf-8"], b"<meta charset=utf-7>text", True, ["utf-8", "utf-7"]),
        (["utf-8"], b"<meta charset=punycode>text", True, ["utf-8"]),
        ([], b"<meta charset=koi8-r>text", False, ["utf-8"]),
        (["utf-16"], b"text", False, ["utf-16-le", "utf-8"]),
    ],
)
def test_charsets(labels: list[str], head: bytes, is_html: bool, charsets: list[str]) -> None:
    found = charset_readings(labels, head, is_html)
    assert set(charsets) <= set(found) and found[0] == charsets[0]
    assert len(found) == len(set(found))


@cases(200)
@given(st.lists(st.text(max_size=10), max_size=3), st.binary(max_size=60), st.booleans())
def test_any_octets_have_a_charset(labels: list[str], head: bytes, is_html: bool) -> None:
    charsets = charset_readings(labels, head, is_html)
    assert charsets
    for name in charsets:
        assert isinstance(Decoder(name).decode(head, True), str)
    if is_plain_ascii(charsets, head):
        assert len({Decoder(name).decode(head, True) for name in charsets}) == 1


@pytest.mark.parametrize(
    ("head", "is_html"),
    [
        (b"<html>", True), (b"\r\n <!DOCTYPE html>", True), (b"text <a href=x>", True), (b"<BODY bgcolor=x>", True),
        (b"a < b", False), (b"<joe@example.org>", False), (b"", False), (b"<" * 2000 + b"<html>", False),
        (b"<br>", True), (b"<p>", True),
    ],
)  # fmt: skip
def test_html(head: bytes, is_html: bool) -> None:
    assert looks_like_html(head) == is_html


@pytest.mark.parametrize(
    ("names", "octets", "same"),
    [
        (["utf-8", "cp1252", "koi8-r"], b"text", True),
        (["utf-8", "utf-7"], b"+AGE-", False),
        (["utf-8", "utf-16-le"], b"text", False),
        (["utf-8", "iso2022_jp"], b"\x1b$B", False),
        (["utf-8"], b"\xe4", False),
    ],
)
def test_plain_ascii(names: list[str], octets: bytes, same: bool) -> None:
    assert is_plain_ascii(names, octets) == same


def lines_of(pieces: list[bytes], charset: str, is_html: bool) -> list[str]:
    streams = TextStreams(charset, is_html)
    lines = [""] * len(streams)
    for number, piece in enumerate(pieces):
        for line, text in streams.feed(piece, number == len(pieces) - 1):
            lines[line] += text
    return lines


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(octets) + 1) for place in places)
    return [octets[start:end] for start, end in zip([0, *ends], [*ends, len(octets)], strict=True)]


def test_lines_of_html() -> None:
    written, seen, hidden = lines_of([b"<p>via<b></b>gra &amp;\r\n <i hidden>a secret</i> now</p>"], "utf-8", True)
    assert written == " <p>via<b></b>gra &amp; <i hidden>a secret</i> now</p> "
    assert seen == " viagra & now "
    assert hidden == " a secret "


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", " "),
        ("  \r\n ", " "),
        ("a", " a "),
        ("\r\n\ta \u00a0\r\n b\u3000c ", " a b c "),
        ("v\u200bia\u00adgra", " viagra "),
        ("a\u200b b", " a b "),
        ("a \u200b b", " a b "),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert " ".join(OneLine().feed(text).split()) == line.strip()
    assert lines_of([text.encode()], "utf-8", False) == [line]


FRAGMENTS = [
    "a", "b", " ", "\r\n", "\t", "\u00a0", "\u200b", "\u00ad", "ö", "中", "<b>", "</b>", "<p hidden>", "</p>", "&amp;",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(FRAGMENTS), max_size=20).map("".join)


@cases(300)
@given(TEXTS, st.lists(st.integers(0, 60), max_size=6))
def test_one_line_does_not_depend_on_how_a_text_is_cut(text: str, places: list[int]) -> None:
    whole, pieces = OneLine(), OneLine()
    ends = sorted(place % (len(text) + 1) for place in places)
    in_pieces = "".join(
        pieces.feed(text[start:end]) for start, end in zip([0, *ends], [*ends, len(text)], strict=True)
    )
    assert in_pieces == whole.feed(text)


@cases(300)
@given(
    TEXTS, st.sampled_from(["utf-8", "utf-16-le", "gb18030"]), st.booleans(), st.lists(st.integers(0, 99), max_size=6)
)
def test_streams_do_not_depend_on_how_octets_are_cut(text: str, charset: str, is_html: bool, places: list[int]) -> None:
    octets = text.encode(charset)
    whole = lines_of([octets], charset, is_html)
    assert lines_of(cut(octets, places), charset, is_html) == whole
    assert lines_of([*cut(octets, places), b""], charset, is_html) == whole


def test_a_word_cut_by_an_invisible_character_and_a_window() -> None:
    line = OneLine()
    assert line.feed("via") + line.feed("\u200b") + line.feed("gra") == " viagra"


def test_words_parted_behind_an_invisible_character_and_a_window() -> None:
    line = OneLine()
    assert line.feed("make") + line.feed("\u200b money") == " make money"
