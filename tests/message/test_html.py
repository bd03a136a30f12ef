"""HTML as a reader sees it: what shows, what is hidden, and that neither depends on how the text is cut."""

import email
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.html import HtmlReader, without_invisible
from mwall.message.html_hiding import HIDDEN, hides, look
from tests.fuzz import cases
from tests.message.test_linear_time import assert_linear

MAIL = Path(__file__).parent.parent / "mail"
WINDOW = 65_536


def read(html: str) -> tuple[str, str]:
    return HtmlReader().feed(html, True)


def read_cut(html: str, cuts: list[int]) -> tuple[str, str]:
    reader = HtmlReader()
    ends = [*sorted(min(cut, len(html)) for cut in cuts), len(html)]
    pieces = [reader.feed(html[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
    pieces.append(reader.feed("", True))
    return "".join(visible for visible, _ in pieces), "".join(hidden for _, hidden in pieces)


def words(text: str) -> str:
    return " ".join(text.split())


SHOWN = [
    # Inline tags and comments leave nothing, blocks a gap.
    ("via<!-- x -->gra v<b></b>iagra", "viagra viagra"),
    ("via<FONT color=red></FoNt>gra v<o:p/>ia<unknown x=1>gra", "viagra viagra"),
    ("one<br>two<p>three</p>four<td>five<Li>six<hr/>seven", "one two three four five six seven"),
    ("via<wbr>gra", "viagra"),
    ("a<bloc\u212aquote>b", "ab"),
    # Where a tag ends.
    ('<a title="a>b">x</a><a title=\'>"\'>y</a>', "xy"),
    ("<a title = \"a>b\" b = '>'>x</a>", "x"),
    ('<a b="c"d=">">x', "x"),
    ('<a ="b>c">x', 'c">x'),
    ('<a b=="c>d">x', 'd">x'),
    ('<a b=c"d>e">x', 'e">x'),
    ('<a b=>x<a b= ">">y', "xy"),
    ('<a"b>c">x', 'c">x'),
    ('<br/a=">"/>x', "x"),
    ("<a b='", ""),
    ("a <", "a <"),
    ("a </", "a </"),
    ("a < b <3 << <é", "a < b <3 << <é"),
    ("a</>b</3>c<!d>e<?f?>g<!>h", "abcegh"),
    # Comments.
    ("<!-->a<!--->b<!---->c<!--x--!>d<!-- > -- > -->e<!--x--->f", "abcdef"),
    ("a<![if !mso]>b<![endif]>c<![CDATA[d]]>e", "abce"),
    ("a<!--[if !mso]><!-->b<!--<![endif]-->c", "abc"),
    ("a<!-- b", "a"),
    ("a<!-", "a"),
    ('<!DOCTYPE html PUBLIC "-//W3C">a', "a"),
    # Elements whose text is no markup.
    ("a<script>b<b></b></scripty></SCRIPT\n>c<style>d</style/>e", "ace"),
    ("<textarea><b>&lt;</textarea>a", "<b>< a"),
    ("<xmp><b>&lt;</xmp>a", "<b>&lt; a"),
    ("a<plaintext></plaintext>", "a </plaintext>"),
    ("a<noscript>b</noscript><option>c", "ab c"),
    # In place of images and on buttons.
    ("a<img alt=b>c<img src=x>d<IMG ALT='&quot;e'>", 'a b cd "e'),
    ("a<input type=submit value='buy now'><input type=hidden value=x>", "a buy now"),
    # Character references.
    ("&amp &ampx &lt;b&gt; &notit; &notin; &nosuch; &", "& &x <b> ¬it; ∉ &nosuch; &"),
    ("&#118;&#x76;&#X76&#0000000000118;&#118x", "vvvvvx"),
    ("&#150; &#x93; &#x81;|", "\u2013 \u201c \x81|"),
    ("&#0;&#xD800;&#x110000;&#" + "9" * 5000 + ";", "\ufffd" * 4),
    ("&#; &#x; &#xg;", "&#; &#x; &#xg;"),
    ("&am<b></b>p; &#11<!-- -->8;", "&amp; \x0b8;"),
    ("<img alt='&copy=1 &copyx &copy; &copy'>", "&copy=1 &copyx © ©"),
    ("v&shy;i&#8203;a&zwnj;gra\0x", "viagrax"),
]


@pytest.mark.parametrize(("html", "shown"), SHOWN)
def test_shown(html: str, shown: str) -> None:
    assert words(read(html)[0]) == words(shown)
    assert read_cut(html, list(range(len(html)))) == read(html)


def test_no_break_space_is_left() -> None:
    assert read("a&nbsp;b\xa0c") == ("a\xa0b\xa0c", "")


HIDING = [
    "style=display:none",
    'STYLE="color: red; DISPLAY : None ! important; display:block"',
    'style="display:block;display:none"',
    "style='dis&#112;lay:/**/none'",
    r"style='d\69splay:none'",
    "hidden",
    'class=x hidden=""',
    "style='visibility:hidden'",
    "style='opacity:0.0'",
    "style='font-size:0'",
    "style='font-size: 1px'",
    "style='font-size:.1pt'",
    "style='font:0/0 Arial'",
    "style='max-height:0px;overflow:hidden'",
    "style='width:1px;overflow:hidden'",
    "style='mso-hide:all'",
    "style='text-indent:-9999px'",
    "style='color:#fff;background:white url(x;y) no-repeat'",
    "style='color:rgb(250, 250, 250);background-color:#FEFEFE'",
    "bgcolor=#ffffff style='color:white'",
    "style='color:transparent'",
    "style='color:rgba(0,0,0,0)'",
    "style='color:navy;background:navy'",
    "style='display:none;display:x'",
    "style='font-size:0;font-size:big;visibility:y'",
]
SHOWING = [
    "style='display:none;display:block'",
    "style='dis/**/play:none'",
    "style='font-family:\"x;display:none\"'",
    "style='background:url(x;display:none)'",
    r"style='x:y\3b display:none'",
    "title='style=display:none' data-hidden",
    "style=color:red style=display:none",
    "style='font-size:13px;opacity:1;visibility:visible'",
    "style='font:bold 12px/1 Arial'",
    "size=1 style=font:bold",
    "style='height:0'",
    "hidden style=display:block",
    "style='color:#fff'",
    "style='color:#fff;background:#000'",
    "style='xdisplay:none'",
    "style",
    "style='opacity:x;font-size:;color:;width:1e9;text-indent:'",
]


@pytest.mark.parametrize("attributes", HIDING)
def test_hidden(attributes: str) -> None:
    html = f"v<span {attributes}>one <b>two</b> <span>three</span> four</span>iagra"
    assert tuple(map(words, read(html))) == ("viagra", "one two three four")
    assert read_cut(html, list(range(len(html)))) == read(html)


@pytest.mark.parametrize("attributes", SHOWING)
def test_not_hidden(attributes: str) -> None:
    assert words(read(f"a <span {attributes}>b</span> c")[0]) == "a b c"


PROPERTIES = "display visibility opacity font font-size overflow height color background mso-hide"
VALUES = """none block hidden visible collapse 0 1 01px 1.2px 10px 12px/1 .0 .5em 0% + #fff #000 #fff0 #ffffff00 red all
white transparent rgb(0,0,0) rgba(0,0,0,0) clip n\\6fne &#110;one 0/0 inherit"""
RULES = st.tuples(
    *map(st.sampled_from, (PROPERTIES.split(), ["", " ", "/**/"], [":"], VALUES.split(), ["", "!important", " x", "'"]))
)
ATTRIBUTES = st.tuples(
    st.sampled_from([" ", " hidden ", " BGCOLOR=#fff ", " color=white "]), st.lists(RULES.map("".join), max_size=4)
)


@cases(1000)
@given(ATTRIBUTES)
def test_the_quick_look_sees_as_much_as_the_close_one(attributes: tuple[str, list[str]]) -> None:
    raw = f'{attributes[0]}style="{";".join(attributes[1])}"'
    assert hides(raw) == look(raw) & HIDDEN


NESTED = [
    # A hidden element with no box joins what stands around it, one with a box parts it.
    ("via<div hidden>x</div>gra", "viagra", "x"),
    ("a<div style=font-size:0>x</div>b", "a b", "x"),
    # Size, visibility and colour are set anew inside.
    ("<td style=font-size:0>x<div style=font-size:13px>a<b>b</b></div>y</td>c", "ab c", "x y"),
    ("<div style=visibility:hidden>x<p style=visibility:visible>a</p>y</div>b", "a b", "x y"),
    ("<div style=display:none>x<p style='display:block;font-size:9px'>y</p></div>b", "b", "x y"),
    ("<td bgcolor=white style=color:#fff>x<font color=black>a</font></td>", "a", "x"),
    ("<td style=font-size:0>x<font size=3>a</font></td>", "a", "x"),
    ("<div style=font-size:0>x<p style=font-size:3em>y</div>b", "b", "x y"),
    # Ends that are not written, or written elsewhere.
    ("<p hidden>x<p>a", "a", "x"),
    ("<table><tr><td hidden>x<td>a<tr hidden><td>y<tr><td>b</table>", "a b", "x y"),
    ("<ul><li hidden>x<ul><li>y</ul>z<li>a</ul>", "a", "x y z"),
    ("<div>a<span hidden>x</div>b</span>c", "a bc", "x"),
    ("v<span hidden></div>x</p></b></span>iagra", "viagra", "x"),
    ("<div hidden><span>x</div>a</span>b", "ab", "x"),
    ("<span hidden><div>x</span>y</div></span>a", "a", "xy"),
    ("<body>a<i hidden></body>x</i>b", "ab", "x"),
    ("<hr hidden><br style=display:none>a<img hidden alt=x>b", "ab", "x"),
    ("a<div hidden><img alt=x><br>y<textarea>z</textarea></div>b", "ab", "x y z"),
    ("<div hidden>" * 300 + "x" + "</div>" * 300 + "a", "a", "x"),
    ("a<title>x &amp;</title>b<iframe><b>y</iframe>c<template>z</template>d", "abcd", "x & <b>y z"),
    # Outlook reads what is a comment to others; inside there are no comments more.
    ("a<!--[if gte mso 9]><p>x &amp; <!--[if b]>y</p><![endif]-->b", "ab", "x & "),
    ("a<!--[IF mso]>x<script>y<![endif]-->b", "ab", "x"),
    ("a<!--[if mso]>x", "a", "x"),
]


@pytest.mark.parametrize(("html", "visible", "hidden"), NESTED)
def test_nested(html: str, visible: str, hidden: str) -> None:
    assert tuple(map(words, read(html))) == (words(visible), words(hidden))
    assert read_cut(html, list(range(len(html)))) == read(html)


def test_without_invisible() -> None:
    assert without_invisible("plain") == "plain"
    assert without_invisible("v\u200bi\u00ada\u2060g\ufeffr\U000e0041a é\xa0\ud800") == "viagra é\xa0\ud800"
    gone = "\u00ad\u034f\u115f\u1160\u180e\u200b\u200f\u202a\u202e\u2064\u2066\u206f\u3164\ufe00\ufe0f\ufeff\uffa0"
    assert without_invisible(gone + "\U000e0000\U000e007f") == ""


FRAGMENTS = """< </ > <b <b> </b> <div> </div> <p> </p> <!-- --> --!> - ! <! <!--[if] <![endif]--> <? / = " ' a v x=
style= hidden display:none font-size:0 font-size:12px & &# &#x 118 6 ; &amp amp; &notit not <script> </script> </scr
ipt> <title> </title> <textarea> </textarea> <plaintext> <xmp> </xmp <img alt= <td> </td> <table> </table> <tr> <li>
<template> <body> </body> <br/> [if 0000000000000 </span>""".split()  # noqa: SIM905
FRAGMENTS += [" ", "<Div hidden>", "<span\fhidden>", "<p\thidden>", "\u200b", "\0", "\ud800", "\xe9", "<\u212a"]
HTML = st.one_of(st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join), st.text())


@cases(300)
@given(HTML, st.lists(st.integers(0, 100), max_size=4))
def test_cutting_does_not_matter(html: str, cuts: list[int]) -> None:
    whole = read(html)
    assert read_cut(html, cuts) == whole
    assert read_cut(html, list(range(len(html)))) == whole


LONG = 70_000
BEYOND_THE_BOUNDS = [
    "a<b " + "x" * LONG + " hidden>c</b>d",
    "a<b hidden " + "x" * LONG + "='>'>c</b>d",
    "a<b x='" + "x" * LONG + ">' hidden>c</b>d",
    "a<b x=" + "y" * LONG + '">c</b>d',
    "a<" + "b" * LONG + " hidden>c</" + "b" * LONG + ">d",
    "a<b hidden>" + "<i>" * LONG + "</i>" * LONG + "c</b>d",
    "a<!--" + "-" * LONG + ">d",
    "a&#" + "0" * LONG + "118;d",
    "a&#x" + "9" * LONG + ";d",
    "a&lt" + "t" * LONG + ";d",
    "<p>" * LONG + "a<i hidden>x</p>d",
]


@pytest.mark.parametrize("html", BEYOND_THE_BOUNDS, ids=lambda html: html[:12])
def test_cutting_does_not_matter_beyond_the_bounds(html: str) -> None:
    whole = read(html)
    assert whole[0].endswith("d")
    for cut in (7, 4096, 32_768, 65_537):
        assert read_cut(html, list(range(0, len(html), cut))) == whole


UNITS = [
    "<", "<a ", "<!--", "&", "&#", "&#1", '<a b="', 'style="', "\"'", "<a b='\"", "</", "</>", "<!>", "<?", "<b>",
    "<div>", "</div>", "<p>", "<td>", "<hr>", "<!---->", "<!--[if]>-->", "<!--[if", "&lt;", "&a", "&amp", "a<", " =",
    "a/", "<b/>", "<a a=a ", "<script>", "<script></script>", "<title></title>", "<p hidden>", "</p><p hidden>",
    "<b hidden></b>",
    "<a =>", "<img alt=a>", "\u200b", "a\u200b", "\U000e0001a", "<X>", "--!", ";", "\\", "/*", ";color:#fff ", "(",
    "url(", ";font-size:9", ";display:none ",
]  # fmt: skip
BEFORE = ["", "<!--[if x]>", "<title>", '<a style="', "<div hidden>" + "<div>" * 200 + "<b>" * 40]


@pytest.mark.parametrize("unit", UNITS)
def test_linear_time(unit: str) -> None:
    def in_windows(text: str) -> None:
        reader = HtmlReader()
        for start in range(0, len(text), WINDOW):
            reader.feed(text[start : start + WINDOW])
        reader.feed("", True)

    for before in BEFORE:
        assert_linear(lambda text, before=before: in_windows(before + text + '">'), unit)  # type: ignore[misc]


@pytest.mark.parametrize("unit", ["<a ", '<a b="', "&#0", "<!--", "<b>", "<div hidden>"])
def test_linear_time_in_small_windows(unit: str) -> None:
    def in_small_windows(text: str) -> None:
        reader = HtmlReader()
        for start in range(0, len(text), 7):
            reader.feed(text[start : start + 7])

    assert_linear(in_small_windows, unit)


class Oracle(HTMLParser):
    """The text of honest mail, as the standard library has it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self.dropped = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.dropped = self.dropped or tag in ("script", "style", "title")
        first = dict(reversed(attrs))
        if tag == "img":
            self.text.append(first.get("alt") or "")
        elif tag == "input" and (first.get("type") or "").lower() != "hidden":
            self.text.append(first.get("value") or "")

    def handle_endtag(self, tag: str) -> None:
        self.dropped = self.dropped and tag not in ("script", "style", "title")

    def handle_data(self, data: str) -> None:
        if not self.dropped:
            self.text.append(data)


def html_parts() -> list[str]:
    messages = [email.message_from_bytes(file.read_bytes()) for file in sorted(MAIL.glob("*/*.eml"))]
    parts = [part for message in messages for part in message.walk() if part.get_content_type() == "text/html"]
    payloads = [part.get_payload(decode=True) for part in parts]
    return [payload.decode("latin-1") for payload in payloads if isinstance(payload, bytes)]


def test_honest_mail_reads_as_the_standard_library_reads_it() -> None:
    parts = html_parts()
    assert len(parts) > 50
    for html in parts:
        oracle = Oracle()
        oracle.feed(html)
        oracle.close()
        expected = re.sub(r"\s+", "", without_invisible("".join(oracle.text)))
        assert re.sub(r"\s+", "", read(html)[0]) == expected
        assert read_cut(html, list(range(0, len(html), 61))) == read(html)
