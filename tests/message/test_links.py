"""The hosts of links: in every way that a link can be written, and that they do not depend on how the text is cut."""

import random
import re
from functools import partial
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.links import MAX_AUTHORITY, MAX_EFFORT, MAX_LINKS_SCANNED, Host, LinkFinder, Links
from mwall.message.text import TextStreams
from tests.fuzz import cases
from tests.message.test_linear_time import SMALL, assert_linear, best_seconds

WINDOW = 65_536
NAME = re.compile("[a-z0-9_-]{1,63}")
EVIL = "evil.example"

# Each with all hosts that are found in it, most often EVIL alone.
LINKS: list[tuple[str, ...]] = [
    ("http://evil.example", EVIL),
    ("https://evil.example/", EVIL),
    ("ftp://evil.example/file", EVIL),
    ("HTTP://EVIL.EXAMPLE/", EVIL),
    ("hTtPs://eViL.eXaMpLe", EVIL),
    ("see http://evil.example.", EVIL),
    ("see http://evil.example...", EVIL),
    ("(http://evil.example)", EVIL),
    ("<http://evil.example>", EVIL),
    ("'http://evil.example', \"x\"", EVIL),
    ("http://evil.example,http://other.example", EVIL, "other.example"),
    ("http://evil.examplehttp://other.example", "evil.exampleht", "other.example"),
    ("http://evil.example&url=https%3a%2f%2fother.example", EVIL, "other.example"),
    ("www.evil.example,www.other.example", "www.evil.example", "www.other.example"),
    ("www.evil.example\u3001www.other.example", "www.evil.example", "www.other.example"),
    ("http://ftp:x@evil.example", EVIL),
    ("http://tp:x@evil.example", EVIL),
    ("http://evil.example;x", EVIL),
    ("http://evil.example!", EVIL),
    ("http://evil.example|x", EVIL),
    ("http://evil.example*", EVIL),
    ("xhttp://evil.example", EVIL),
    ("http://evil.example:8080/", EVIL),
    ("http://evil.example:/", EVIL),
    ("http://evil.example?x=1", EVIL),
    ("http://evil.example#x", EVIL),
    ("http://evil.example&x=1", EVIL),
    ("http://a.b-c_d.evil.example/", "a.b-c_d.evil.example"),
    # Slashes of either kind, and any number.
    ("http:evil.example", EVIL),
    ("http:/evil.example", EVIL),
    ("http:////evil.example", EVIL),
    (r"http:\\evil.example\x", EVIL),
    (r"http:/\evil.example", EVIL),
    (r"http://evil.example\@other.example", EVIL),
    ("http:http:evil.example", EVIL),
    ("ftp:x:https:evil.example", EVIL),
    # A user name, which may be a host too.
    ("http://user@evil.example/", EVIL),
    ("http://user:pass@evil.example/", EVIL),
    ("http://user@:80@evil.example/", EVIL),
    ("http://good.example@evil.example/", "good.example", EVIL),
    ("http://good.example%2f@evil.example/", "good.example", EVIL),
    ("http://evil.example,joe@good.example", EVIL, "good.example"),
    ("http://" + "a" * 1000 + "@evil.example/", EVIL),
    # Percent-encoded, also as a whole in the address of another.
    ("http://%65vil.example/", EVIL),
    ("http://evil%2Eexample/", EVIL),
    ("http://%65%76%69%6c%2e%65%78%61%6d%70%6c%65", EVIL),
    ("http://ev%C2%ADil.example/", EVIL),
    ("https://good.example/?url=https%3A%2F%2Fevil.example%2Fx&data=1", "good.example", EVIL),
    ("https://good.example/?url=http%3a//evil.example", "good.example", EVIL),
    ("https://good.example/?u=http%3A%2F%2Fa%40evil.example%2F%40x.example", "good.example", EVIL),
    ("https://good.example/r/http://evil.example", "good.example", EVIL),
    # Character references.
    ("&#104;ttp://evil.example", EVIL),
    ("&#x68;&#X74;&#116;&#112;&colon;&sol;&sol;evil.example", EVIL),
    ("h&#0000116tp://evil.example", EVIL),
    ("http&#58;&#47;&#47;evil.example", EVIL),
    ("http:&bsol;&bsol;evil.example", EVIL),
    ("http://ev&#105;l&period;example", EVIL),
    ("http://evil&#46;example", EVIL),
    ("http://evil&#x2e;example&#47;x.y", EVIL),
    ("http://user&commat;evil.example", EVIL),
    ("http://a&#34;b@evil.example/", EVIL),
    ("http://&percnt;65vil.example", EVIL),
    ("http://ev&shy;il.example", EVIL),
    ("http://ev&ZeroWidthSpace;il.example", EVIL),
    ("http://ev&#x200b;il.example", EVIL),
    ("ht&Tab;tp://e&NewLine;vil&#10;.example", EVIL),
    ("&#" + "0" * 200 + "104;ttp://evil.example", EVIL),
    ("http://b&uuml;cher.example", "xn--bcher-kva.example"),
    ("http://b&#252;cher.example", "xn--bcher-kva.example"),
    ("http://&efr;vil.example", EVIL),
    # Characters that browsers map.
    ("http://evil\u3002example", EVIL),
    ("http://evil\uff0eexample", EVIL),
    ("http://evil\uff61example", EVIL),
    ("http://\uff45\uff56\uff49\uff4c.example", EVIL),
    ("http://\u24d4vil.ex\u212bmple", "evil.xn--exmple-jua"),
    ("http://\U0001d41evil.example", EVIL),
    ("http://EV\u0130L.example", "xn--evil-swc.example"),
    ("http://b\u00fccher.example", "xn--bcher-kva.example"),
    ("http://\u03c2\u03a3.example", "xn--3xac.example"),
    ("http://B\u00dcCHER.example", "xn--bcher-kva.example"),
    ("http://bu\u0308cher.example", "xn--bcher-kva.example"),
    ("http://xn--bcher-kva.example", "xn--bcher-kva.example"),
    ("http://\u4f8b\u3048.\u30c6\u30b9\u30c8", "xn--r8jz45g.xn--zckzah"),
    ("http://i\u2764.example", "xn--i-7iq.example"),
    ("http://evil.example\u201d", EVIL),
    ("http://evil.example\u2026", EVIL),
    ("\u300chttp://evil.example\u300d", EVIL),
    ("\u8bbf\u95eewww.evil.example\uff0c", "www.evil.example"),
    # Numbers.
    ("http://192.168.1.1/", "192.168.1.1"),
    ("http://192.168.1.1./", "192.168.1.1"),
    ("http://3232235777", "192.168.1.1"),
    ("http://0xC0A80101/", "192.168.1.1"),
    ("http://0xC0.0xA8.1.1/", "192.168.1.1"),
    ("http://0300.0250.1.1/", "192.168.1.1"),
    ("http://192.168.257/", "192.168.1.1"),
    ("http://192.11010305:80/", "192.168.1.1"),
    ("http://%31%39%32.168.1.1/", "192.168.1.1"),
    ("http://\uff11\uff19\uff12\u3002168.1.1/", "192.168.1.1"),
    ("http://0x.0/", "0.0.0.0"),
    ("http://user@192.168.1.1:80/", "192.168.1.1"),
    ("http://[2001:db8::1]/", "2001:db8::1"),
    ("http://[2001:DB8::1]:80", "2001:db8::1"),
    ("http://user@[2001:db8::1]/", "2001:db8::1"),
    ("http://[::ffff:192.168.1.1]/", "192.168.1.1"),
    ("http://[::ffff:c0a8:101]/", "192.168.1.1"),
    # Without a scheme.
    ("www.evil.example", "www.evil.example"),
    ("Go to WWW.Evil.Example/x now", "www.evil.example"),
    ("(www.evil.example:80)", "www.evil.example"),
    ("www.evil.example, joe@good.example", "www.evil.example"),
    ("www.ev\u00efl.example", "www.ev", "www.xn--evl-0ma.example"),
    ("www.evil&sup2;.example", "www.evil", "www.evil2.example"),
    # In tags.
    ('<a href="http://evil.example">', EVIL),
    ("<a href='http://evil.example'>", EVIL),
    ("<a href=http://evil.example>", EVIL),
    ('<A HREF = " http://evil.example">', EVIL),
    ('<a href="//evil.example/x">', EVIL),
    ("<a href='//evil.example'>", EVIL),
    ("<a href=//evil.example>", EVIL),
    (r'<a href="\\evil.example">', EVIL),
    ('<a href="/ /evil.example">', EVIL),
    ('<a href="\u0001//evil.example">', EVIL),
    ('<a href="&#x2F;/evil.example">', EVIL),
    ('<a href="ht tp://ev il.example/">', EVIL),
    ("<a href='h t t p s : / / evil.exa mple'>", EVIL),
    ("<a href=\"http://it's@evil.example/\">", EVIL),
    ('<a href="http://<b>@evil.example/">', EVIL),
    ("<a href='http://\"@evil.example/'>", EVIL),
    ('<a href=http://"@evil.example/>', EVIL),
    ('<a href="www.evil.example">', "www.evil.example"),
    ('<meta http-equiv=refresh content="0;url=//evil.example">', EVIL),
    ('<p style="background: url(http://evil.example/x.gif)">', EVIL),
    ('<base href="https:evil.example"><a href="x">', EVIL),
    ("<script>location='http://evil.example'</script>", EVIL),
]

NO_LINKS = [
    "",
    "no link at all",
    "setup.py and evil.example, with no scheme",
    "joe@evil.example",
    "joe@www.evil.example",
    "www.joe@evil.example",
    "notwww.evil.example",
    "a-www.evil.example",
    "www.",
    "www. evil.example",
    "http://",
    "http:// evil.example",
    "http://localhost/",
    "http:///",
    "http://evil..example/",
    "http://.evil.example/",
    "http://" + "a" * 64 + ".example/",
    "http://" + "a." * 130 + "example/",
    "http://256.256.256.256/",
    "http://1.2.3.4.5/",
    "http://1.2.3.0x100/",
    "http://09.1.1.1/",
    "http://4294967296/",
    "http://[::1",
    "http://[::1%251]/",
    "http://[1.2.3.4]/",
    "htp://evil.example",
    "ttp://evil.example",
    "mailto:joe@evil.example",
    "//evil.example in a comment",
    "http&evil.example",
    "&http;//evil.example",
    '<a href="/evil.example">',
    '<a href="evil.example">',
    "<a =>",
    "http://" + "\u00fc" * 60 + ".example/",
    "https%253A%252F%252Fevil.example",
    "http://\u3002\u3002/",
]

# What links are made of, for texts with many of them that are cut in the middle.
PIECES = [
    "http", "https", "ftp", "ht", "tp", "s", ":", "/", "//", "\\", "www", ".", "a", "evil", ".example", "example",
    "@", "%3a", "%2F", "%65", "%", "&", "&#", "#", ";", "x", "0", "104", "&#104;", "&colon;", "&Tab;", "&period;",
    "&uuml;", "&eacute", " ", "=", '="', "='", '"', "'", "<", ">", "?", "\u00e4", "\u3002", "\u00ad", "\0", "\x01",
    "[", "]", "::1", "1", "0x7f", "\u201d", "-", "_", "a" * 61,
]  # fmt: skip


def hosts(text: str, cuts: list[int] | None = None) -> list[Host]:
    """The hosts of a text that is fed in pieces, in UTF-8 and with the space that ends each line."""
    octets = f" {text} ".encode("utf-8", "replace")
    links = Links()
    finder = LinkFinder(links)
    ends = [*sorted(min(cut, len(octets)) for cut in cuts or []), len(octets)]
    for start, end in zip([0, *ends], ends, strict=False):
        finder.feed(octets[start:end])
    return links.hosts


def named(*names: str) -> set[Host]:
    return {ip_address(name) if name[0].isdigit() or ":" in name else name for name in names}


@pytest.mark.parametrize(("text", "found"), [(text, found) for text, *found in LINKS])
def test_links(text: str, found: list[str]) -> None:
    expected = named(*found)
    assert set(hosts(text)) == expected
    assert len(hosts(text + " " + text)) == len(expected)
    size = len(text.encode()) + 2
    assert set(hosts(text, list(range(size)))) == expected
    for seed in range(20):
        chance = random.Random(seed)
        cuts = chance.sample(range(size), min(size, chance.randrange(1, 6)))
        assert set(hosts(text, cuts)) == expected, cuts


@pytest.mark.parametrize("text", NO_LINKS)
def test_no_links(text: str) -> None:
    assert hosts(text) == []
    assert hosts(text, list(range(len(text.encode()) + 2))) == []


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<p>Hi<a href="ht\n  tp://evil.example/">good.example</a>', [EVIL]),
        ('<p>Hi<a href="ht\ttp:/\n/ev\r\nil.example">x</a>', [EVIL]),
        ("<p>http://ev<b></b>il.<i>example</i>/x</p>", ["ev", EVIL]),
        ("<p>http://ev<!-- x -->il.example</p>", [EVIL]),
        ("<p hidden>w<b>ww.evil.example</b></p>", ["www.evil.example"]),
        ("<p>www&#46;evil&period;example</p>", ["www.evil.example"]),
        ("<p>http://ev&#8203;il.exam\u00adple</p>", [EVIL]),
        ("<!-- http://evil.example -->", [EVIL]),
        ("<!--[if mso]><a href='//evil.example'><![endif]-->", [EVIL]),
        ("<img src=//evil.example/x.gif>", [EVIL]),
    ],
)
def test_html_as_it_is_written_seen_and_hidden(html: str, found: list[str]) -> None:
    octets = html.encode()
    for step in (1, 7, len(octets)):
        links = Links()
        streams = TextStreams("utf-8", True)
        finders = [LinkFinder(links) for _ in range(len(streams))]
        for start in range(0, len(octets), step):
            for number, line in streams.feed(octets[start : start + step], start + step >= len(octets)):
                finders[number].feed(line.encode())
        assert set(links.hosts) <= {*found} and links.hosts[-1] == found[-1]


def test_where_windows_meet() -> None:
    for text, *found in LINKS:
        for before in random.Random(text).sample(range(WINDOW - 200, WINDOW + 2), 3):
            assert set(hosts("x " * (before // 2) + text, [WINDOW])) == named(*found)


def test_full_links_come_first() -> None:
    text = 'www.a.example http://b.example www.c.example <a href="//d.example"> http://c.example www.b.example'
    assert hosts(text) == ["b.example", "c.example", "d.example", "www.a.example", "www.c.example", "www.b.example"]


def test_bounds() -> None:
    assert hosts("http://" + "a" * MAX_AUTHORITY + "@evil.example/") == []
    assert len(hosts(" ".join([f"http://a{number}.example" for number in range(MAX_LINKS_SCANNED + 50)]))) == 2000
    idn = [f"http://{chr(0x4E00 + number) * 50}.example" for number in range(MAX_EFFORT // 50**2 + 50)]
    assert len(hosts(" ".join(idn))) == MAX_EFFORT // 50**2
    # The same link takes nothing off, however often it is there.
    assert hosts("http://a.example " * 3 * MAX_LINKS_SCANNED + "http://b.example") == ["a.example", "b.example"]


def test_what_waits_for_the_next_window_is_bounded() -> None:
    for unit in ("http:", "http:/", "http://a", '="h', '="//', "a", "&#0", "&#0" * 9, "0", "&a", "=\0", "=/ ", "@"):
        finder = LinkFinder(Links())
        for _ in range(20):
            finder.feed((unit * 500).encode())
            assert len(finder._held) < 2 * MAX_AUTHORITY
            assert len(finder._reference) < 64


@cases(500)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=60), st.lists(st.integers(0, 300), max_size=8))
def test_the_same_however_it_is_cut(pieces: list[str], cuts: list[int]) -> None:
    text = "".join(pieces)
    whole = hosts(text)
    assert set(hosts(text, cuts)) == set(whole)
    assert set(hosts(text, list(range(len(text.encode("utf-8", "replace")) + 2)))) == set(whole)
    for host in whole:
        if isinstance(host, str):
            assert len(host) <= 253 and host == host.lower() and host.isascii() and "." in host
            assert all(NAME.fullmatch(label) for label in host.split("."))


@cases(200)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_octets(windows: list[bytes]) -> None:
    finder = LinkFinder(Links())
    for window in windows:
        finder.feed(window)


LINEAR_UNITS = [
    "http://", "http:", "https", "tp", "www.", " www.a.b", "a.a.a.a.", "&#104;", "&#0", "&#", "&", "&colon", "&amp;",
    "=", "= ", '="', '="//', "=//", '="http:', '="h t t p : / / ', "=\0", "/", "\\", "%", "http%3a%2f%2f", "http://a@",
    "http://[", "@", ":", "-", "http://a&b", "http://\u00e9.", "\u3002", " ",
]  # fmt: skip


def feed_windows(text: str) -> None:
    octets = text.encode()
    finder = LinkFinder(Links())
    for start in range(0, len(octets), WINDOW):
        finder.feed(octets[start : start + WINDOW])


@pytest.mark.parametrize("unit", LINEAR_UNITS)
def test_linear_time(unit: str) -> None:
    assert_linear(feed_windows, unit)
    # In one piece too: the windows are not what makes it so.
    assert_linear(lambda text: LinkFinder(Links()).feed(text.encode()), unit)
    assert best_seconds(lambda: feed_windows(unit * (SMALL * 8 // len(unit)))) < 0.1


def test_costly_links_take_their_time_but_once() -> None:
    """Names by the thousand, each as costly as may be, in one window."""
    label = "".join(chr(0x4E00 + 37 * number) for number in range(59))
    costly = "".join(f"http://{chr(0x3400 + number)}{label[1:]}.{label}.{label}/ " for number in range(120))
    many = "".join(f"http://a{number}.b " for number in range(5000))
    for text in (costly, many, "http://\u00e9\ufdfa" * 3000, "http://" + "%E4%BA%BA" * 5000):
        assert best_seconds(partial(feed_windows, text)) < 0.15
