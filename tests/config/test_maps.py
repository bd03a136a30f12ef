"""The map files: what they take, what they refuse, who is found in them."""

from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.config.grammar import Fault
from mwall.config.maps import Domains, Networks, SpecialUsers, parse_domains, parse_networks, parse_special_users
from mwall.smtp.addresses import Mailbox, parse_path

T = TypeVar("T")
CONF = Path(__file__).parent.parent.parent / "conf"


def domains(text: str) -> Domains:
    return _parsed(parse_domains, text)


def networks(text: str) -> Networks:
    return _parsed(parse_networks, text)


def special_users(text: str) -> SpecialUsers:
    return _parsed(parse_special_users, text)


def _parsed(parse: Callable[[bytes, str, list[Fault]], T], text: str) -> T:
    faults: list[Fault] = []
    parsed = parse(text.encode(), "x", faults)
    assert faults == []
    return parsed


def test_domains() -> None:
    found = domains("# ours\nExample.ORG.\n .example.net \n\n[192.0.2.1]\n[ipv6:2001:DB8:0::1]\nb\u00fccher.example\n")
    assert len(found) == 5
    for domain in ("example.org", "a.example.net", "a.b.example.net", "[192.0.2.1]", "[IPv6:2001:db8::1]"):
        assert domain in found
    assert "b\u00fccher.example" in found
    for domain in ("", "a.example.org", "example.net", "badexample.net", "org", "[192.0.2.2]", ".example.net.", "2.1]"):
        assert domain not in found
    assert "example.org" not in Domains()


def test_networks() -> None:
    found = networks("192.0.2.0/24\n198.51.100.7\n2001:db8::/32\n::1\n")
    assert len(found) == 4
    for address in ("192.0.2.0", "192.0.2.255", "198.51.100.7", "2001:db8:ffff::1", "::1"):
        assert ip_address(address) in found
    for address in ("192.0.3.0", "198.51.100.8", "2001:db9::", "::2", "0.0.0.1"):
        assert ip_address(address) not in found
    assert ip_address("::1") not in Networks()


@given(st.lists(st.tuples(st.ip_addresses(), st.integers(1, 128)), max_size=8), st.ip_addresses())
def test_an_address_is_in_the_networks_when_it_is_in_one(pairs: list[tuple[object, int]], address: object) -> None:
    listed: list[IPv4Network | IPv6Network] = []
    for base, length in pairs:
        limit = ip_network(str(base)).max_prefixlen
        network = ip_network(f"{base}/{min(length, limit)}", strict=False)
        if network.version == 4 or network.network_address.ipv4_mapped is None:
            listed.append(network)
    found = networks("\n".join(map(str, listed)))
    for probe in [address, *(base for base, _ in pairs)]:
        wanted = ip_address(str(probe))
        assert (wanted in found) == any(wanted in network for network in listed)


def test_the_most_exact_special_user_wins() -> None:
    users = special_users(
        'joe@example.org="Joe"\njoe+a@example.org="JoeA"\nexample.org=Domain\n.example.org="Below"\n'
        '.b.example.org="BelowB"\npostmaster="Bare"\n"j d"@example.net="Quoted"\na=b@example.net="Verp"\n'
        "[192.0.2.1]=Lit\n"
    )
    assert len(users) == 9
    for path, profile in {
        "<Joe@Example.org>": "Joe",
        "<joe+a@example.org>": "JoeA",
        "<joe+b@example.org>": "Joe",
        "<joe+a+b@example.org>": "Joe",
        "<+a@example.org>": "Domain",
        "<jim@example.org>": "Domain",
        "<joe@c.example.org>": "Below",
        "<joe@c.b.example.org>": "BelowB",
        "<joe@b.example.org>": "Below",
        "<joe@example.net>": None,
        "<Postmaster>": "Bare",
        "<postmaster@example.net>": None,
        '<"J D"@example.net>': "Quoted",
        '<"a=b"@example.net>': "Verp",
        "<x@[192.0.2.1]>": "Lit",
    }.items():
        mailbox, _ = parse_path(path)
        assert mailbox is not None
        assert users.profile_of(mailbox) == profile, path
    assert SpecialUsers().profile_of(Mailbox("joe", "example.org")) is None


def test_items_say_line_key_and_profile() -> None:
    users = special_users('\nJoe@example.org="A"\n.example.org="B"\n')
    assert users.items() == [(2, "joe@example.org", "A"), (3, ".example.org", "B")]


BAD: list[tuple[Callable[[bytes, str, list[Fault]], object], str, str]] = [
    (
        parse_domains,
        "joe@example.org",
        '"joe@example.org" is no domain; write what stands behind the @, as example.org',
    ),
    (parse_domains, "@example.org", '"@example.org" is no domain; write what stands behind the @, as example.org'),
    (parse_domains, "*.example.org", '"*.example.org": for all domains below write ".example.org", without "*"'),
    (parse_domains, "a.org b.org", '"a.org b.org": one entry a line, comments on lines of their own'),
    (parse_domains, "a.org, # ours", '"a.org, # ours": one entry a line, comments on lines of their own'),
    *(
        (parse_domains, text, f'"{text}" is no domain; write it as example.org, or .example.org for all below it')
        for text in (".", "..org", "a..org", "a>b", '"a.org"', "[192.0.2]", ".[192.0.2.1]", "http://a.org", "-a.org")
    ),
    (parse_networks, "mail.example.org", '"mail.example.org" is no IP address (names are not looked up)'),
    (
        parse_networks,
        "192.0.2.1/24",
        '"192.0.2.1/24" has bits set behind the prefix; write 192.0.2.0/24, or the address ',
    ),
    (parse_networks, "0.0.0.0/0", '"0.0.0.0/0" would let the whole world send through us; name the networks that may'),
    (parse_networks, "::/0", '"::/0" would let the whole world send through us; name the networks that may'),
    (parse_networks, "::ffff:192.0.2.1", '"::ffff:192.0.2.1" is an IPv4 address in IPv6 form; write 192.0.2.1'),
    (
        parse_special_users,
        "joe@example.org",
        '"joe@example.org" has no "="; write address="Profile" or domain="Profile"',
    ),
    (parse_special_users, 'joe@example.org="a b"', '"a b" can be no profile\'s name; write the name of a file in '),
    (parse_special_users, 'a.b="A" # x', "a comment behind the value; "),
    (parse_special_users, '@example.org="A"', '"@example.org" is neither an address (user@example.org) nor a domain ('),
    (
        parse_special_users,
        'a@b@c="A"',
        '"a@b@c" is neither an address (user@example.org) nor a domain (example.org, with',
    ),
    (parse_special_users, '="A"', '"" is no domain; write it as example.org, or .example.org for all below it'),
]


@pytest.mark.parametrize(("parse", "line", "why"), BAD)
def test_bad_lines(parse: Callable[[bytes, str, list[Fault]], object], line: str, why: str) -> None:
    faults: list[Fault] = []
    parse(f"# one\n{line}\n".encode(), "x", faults)
    assert len(faults) == 1
    assert str(faults[0]).startswith(f"x:2: {why}")


def test_a_special_user_twice() -> None:
    faults: list[Fault] = []
    parse_special_users(b'joe@example.org="A"\nJOE@Example.Org="B"\n', "x", faults)
    assert [str(fault) for fault in faults] == ['x:2: "joe@example.org" is already in line 1; keep one of the two']


@pytest.mark.parametrize("commented", [True, False])
@pytest.mark.parametrize(
    ("name", "parse", "count"),
    [("local_domains", parse_domains, 2), ("relay_ips", parse_networks, 4), ("special_users", parse_special_users, 6)],
)
def test_the_samples(
    name: str,
    parse: Callable[[bytes, str, list[Fault]], Domains | Networks | SpecialUsers],
    count: int,
    commented: bool,
) -> None:
    text = (CONF / name).read_text()
    if not commented:
        text = "\n".join(line[1:] if line[1:2] not in (" ", "") else line for line in text.splitlines())
    faults: list[Fault] = []
    found = parse(text.encode(), name, faults)
    assert faults == []
    assert len(found) == (0 if commented else count)


LINES = st.one_of(
    st.binary(max_size=30),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"a@b=C", b".a.b", b"[1.2.3.4]", b"::/1", b'"@"@a="B"', b'"', b"=", b"\xff", b"postmaster=A"]),
)


@given(
    st.sampled_from([parse_domains, parse_networks, parse_special_users]),
    st.lists(LINES, max_size=8),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_any_octets_give_a_map_and_faults(
    parse: Callable[[bytes, str, list[Fault]], object], lines: list[bytes], local_part: str, domain: str
) -> None:
    faults: list[Fault] = []
    found = parse(b"\n".join(lines), "x", faults)
    for fault in faults:
        assert str(fault).isascii() and str(fault).isprintable()
    if isinstance(found, Domains):
        assert isinstance(domain in found, bool)
    if isinstance(found, SpecialUsers):
        assert found.profile_of(Mailbox(local_part, domain)) in {None, *(profile for *_, profile in found.items())}
