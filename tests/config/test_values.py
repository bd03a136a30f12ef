"""The values: what each parser takes, what it refuses, and that what is shown parses to the same."""

from collections.abc import Callable
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.config import values as v

GOOD: list[tuple[Callable[[str], object], str, object]] = [
    (v.integer(0, 9), "0", 0),
    (v.integer(0, 99), "09", 9),
    (v.parse_size, "0", 0),
    (v.parse_size, "1k", 1024),
    (v.parse_size, "50M", 52428800),
    (v.parse_size, "2G", 2 << 30),
    (v.parse_duration, "0", 0.0),
    (v.parse_duration, "1.5", 1.5),
    (v.parse_duration, "90s", 90.0),
    (v.parse_duration, "10m", 600.0),
    (v.parse_duration, "0.5h", 1800.0),
    (v.parse_flag, "0", False),
    (v.parse_flag, "1", True),
    (v.parse_listen_addresses, "192.0.2.1, ::1 ,", ("192.0.2.1", "::1")),
    (v.parse_endpoints, "192.0.2.1", (v.Endpoint("192.0.2.1", None),)),
    (v.parse_endpoints, "192.0.2.1:25 [::1]:26", (v.Endpoint("192.0.2.1", 25), v.Endpoint("::1", 26))),
    (v.parse_endpoints, "[2001:DB8::1] ::2", (v.Endpoint("2001:db8::1", None), v.Endpoint("::2", None))),
    (v.parse_nameservers, "127.0.0.1:5353, ::1", (v.Endpoint("127.0.0.1", 5353), v.Endpoint("::1", None))),
    (v.parse_nameservers, "fe80::1%eth0", (v.Endpoint("fe80::1%eth0", None),)),
    (v.parse_nameservers, "[fe80::1%2]:53 fe80::1%3", (v.Endpoint("fe80::1%2", 53), v.Endpoint("fe80::1%3", None))),
    (v.parse_network, "192.0.2.0/24", ip_network("192.0.2.0/24")),
    (v.parse_network, "192.0.2.7", ip_network("192.0.2.7/32")),
    (v.parse_network, "2001:db8::/32", ip_network("2001:db8::/32")),
    (v.parse_network, "::1", ip_network("::1/128")),
    (v.parse_host_name, "mail.example.org.", "mail.example.org"),
    (v.parse_host_name, "localhost", "localhost"),
    (v.parse_host_name, "1and1.example", "1and1.example"),
    (v.parse_path, "./a//b.c", "a/b.c"),
    (v.parse_path, "..a", "..a"),
    (v.parse_optional_path, "", ""),
    (v.parse_root, "/etc//messagewall/", "/etc/messagewall"),
    (v.parse_profile_name, "LightPlus", "LightPlus"),
    (v.parse_account, "mail-wall_2", "mail-wall_2"),
]

BAD: list[tuple[Callable[[str], object], str]] = [
    *(
        (v.integer(0, 9), text)
        for text in ("", "10", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1_0", "\u0661", "9" * 5000)
    ),
    *((v.parse_size, text) for text in ("", "K", "1KB", "-1", "1.5M", "1 M", "1T", "\u0661K", "9" * 5000)),
    *(
        (v.parse_duration, text)
        for text in ("", "s", "1d", "1M", "-1", "1m30s", "1.", ".5", "1e3", "nan", "inf", "9" * 5000)
    ),
    *((v.parse_flag, text) for text in ("", "yes", "01", "true")),
    *(
        (v.parse_listen_addresses, text)
        for text in ("", " , ", "a", "*", "192.0.2.1:25", "[::1]:25", "[::1]", "::1%lo")
    ),
    *(
        (v.parse_listen_addresses, text)
        for text in ("192.0.2.01", "192.0.2.1 192.0.2.1", "3232235777", "::ffff:1.2.3.4")
    ),
    *((v.parse_endpoints, text) for text in ("", ":25", "[]:25", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "::")),
    *(
        (v.parse_endpoints, text)
        for text in ("[192.0.2.1]:25", "[::1]25", "192.0.2.1:smtp", "224.0.0.1", "mx:25", "[::1")
    ),
    (v.parse_endpoints, " ".join(f"192.0.2.{number}" for number in range(v.MAX_BACKEND_ADDRESSES + 1))),
    *((v.parse_nameservers, text) for text in ("", "ns.example.org", "fe80::1", "fe80::1%", "192.0.2.1%e", "0.0.0.0")),
    *((v.parse_nameservers, text) for text in ("::1%lo", "fe80::1%a b", "fe80::1%eth0]", "[fe80::1%e/0]", "::1 ::1")),
    (v.parse_nameservers, " ".join(f"192.0.2.{number}" for number in range(v.MAX_NAME_SERVERS + 1))),
    *((v.parse_network, text) for text in ("", "/", "192.0.2.1/24", "192.0.2.0/33", "::/129", "::1/", "10.0.0.0/-1")),
    *((v.parse_network, text) for text in ("192.0.2.0/255.255.255.0", "192.0.2.0/2 4", "10/8", "10.0.0.0/\u0668")),
    *(
        (v.parse_host_name, text)
        for text in ("", ".", "a..b", "-a.b", "a_b", "a b", "b\u00fccher.example", "192.0.2.1")
    ),
    *((v.parse_host_name, text) for text in ("a" * 64, "a." * 127 + "b", "[192.0.2.1]", "a\n")),
    *((v.parse_path, text) for text in ("", "/", "/a", ".", "a/../b", "..")),
    (v.parse_optional_path, "/a"),
    *((v.parse_root, text) for text in ("", "/", "//", "a", "/a/../b", "/./")),
    *((v.parse_profile_name, text) for text in ("", ".", ".a", "a/b", "a b", "a\n", "a" * 65, "Medium~")),
    *((v.parse_account, text) for text in ("", "root", "0", "1000", "a b", "a\n", "a" * 33)),
]

WHAT_IS_WRONG = [
    (v.parse_network, "192.0.2.1/24", "write 192.0.2.0/24"),
    (v.parse_network, "10.0.0.0/255.0.0.0", "a number from 0 to 32"),
    (v.parse_endpoints, "[192.0.2.1]:25", "brackets are for IPv6 addresses; write 192.0.2.1"),
    (v.parse_listen_addresses, "[::1]:25", "the port is listen_port"),
]


@pytest.mark.parametrize(("parse", "text", "value"), GOOD)
def test_good(parse: Callable[[str], object], text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(("parse", "text"), BAD)
def test_bad(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse(text)
    why = str(raised.value)
    assert why.isascii() and why.isprintable() and len(why) < 300


@pytest.mark.parametrize(("parse", "text", "why"), WHAT_IS_WRONG)
def test_a_fault_says_what_to_write(parse: Callable[[str], object], text: str, why: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse(text)
    assert why in str(raised.value)


@given(st.integers(0, 1 << 50))
def test_a_shown_size_parses_to_the_same(octets: int) -> None:
    assert v.parse_size(v.show_size(octets)) == octets


@given(st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000))
def test_a_shown_time_parses_to_the_same(seconds: float) -> None:
    assert v.parse_duration(v.show_duration(seconds)) == seconds


@given(st.lists(st.tuples(st.ip_addresses(), st.none() | st.integers(1, 65535)), min_size=1, max_size=5))
def test_shown_endpoints_parse_to_the_same(pairs: list[tuple[object, int | None]]) -> None:
    endpoints = tuple(v.Endpoint(str(address), port) for address, port in pairs)
    try:
        assert v.parse_endpoints(v.show_words(endpoints)) == endpoints
    except ValueError as error:
        assert any(why in str(error) for why in ("twice", "single machine", "IPv6 form"))


PARSERS = sorted({parse for parse, *_ in GOOD}, key=repr)


@given(st.sampled_from(PARSERS), st.one_of(st.text(), st.text("0123456789.:/[],% aKms"), st.ip_addresses().map(str)))
def test_any_text_is_a_value_or_a_fault(parse: Callable[[str], object], text: str) -> None:
    try:
        parse(text)
    except ValueError as error:
        assert str(error).isascii() and str(error).isprintable()
