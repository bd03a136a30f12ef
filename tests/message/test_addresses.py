"""Addresses and display names in To, Cc and From."""

from email.utils import getaddresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.addresses import addresses_in, each_address, has_display_name

TEXTS = st.one_of(st.text(), st.lists(st.sampled_from([*'"<>(),;:\\@[] .', "joe", "example.org", "a@b"])).map("".join))


@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        ("joe@example.org", ["joe@example.org"]),
        ("Joe Doe <Joe@Example.ORG>", ["joe@example.org"]),
        ("<joe@example.org>", ["joe@example.org"]),
        ('"Doe, Joe" <joe@example.org>', ["joe@example.org"]),
        ('"evil@example.net" <joe@example.org>', ["joe@example.org"]),
        ("evil@example.net <joe@example.org>", ["joe@example.org"]),
        ("joe@example.org (evil@example.net)", ["joe@example.org"]),
        ("joe@example.org (Joe (the) Doe)", ["joe@example.org"]),
        ("a@example.org, B <b@example.org>,c@example.org", ["a@example.org", "b@example.org", "c@example.org"]),
        (
            "Friends: a@example.org, <b@example.org>;, c@example.org",
            ["a@example.org", "b@example.org", "c@example.org"],
        ),
        ("undisclosed-recipients:;", []),
        ("<@a.example,@b.example:joe@example.org>", ["joe@example.org"]),
        ("joe @ example.org", ["joe@example.org"]),
        ('"joe doe"@example.org', ['"joe doe"@example.org']),
        ('"joe"@example.org', ["joe@example.org"]),
        ('Joe <"joe \\doe"@example.org>', ['"joe doe"@example.org']),
        ('Joe "the <joe@example.org>', ["joe@example.org"]),
        ("Joe :-( <joe@example.org>", ["joe@example.org"]),
        ('"Joe \\"the\\" Doe" <joe@example.org>', ["joe@example.org"]),
        ("<joe@example.org, <jane@example.org>", ["joe@example.org", "jane@example.org"]),
        ("joe@[192.0.2.1]", ["joe@[192.0.2.1]"]),
        ("Joe <joe@[IPv6:2001:db8::1]>", ["joe@[ipv6:2001:db8::1]"]),
        ("Joe Doe joe@example.org", ["joe@example.org"]),
        ("=?utf-8?q?Joe=2C_Doe?= <joe@example.org>", ["joe@example.org"]),
        ("José <josé@exämple.org>", ["josé@exämple.org"]),
        ("joe@example.org;jane@example.org", ["joe@example.org", "jane@example.org"]),
        ("joe", []),
        ("@", []),
        ("", []),
    ],
)
def test_addresses_in(value: str, addresses: list[str]) -> None:
    assert addresses_in(value) == addresses
    assert [address for address in each_address(value) if address] == addresses


LOCAL = st.text("abcABC019.+_-", min_size=1, max_size=8).map(lambda text: "x" + ".".join(filter(None, text.split("."))))
ADDRESSES = st.builds("{}@{}.example".format, LOCAL, st.text("abc019", min_size=1, max_size=5))
MAILBOXES = st.builds(
    "{}{}".format, st.sampled_from(["", "Joe ", '"Doe, Joe" ', '"a@b" ', "(hi) "]), ADDRESSES.map("<{}>".format)
)


@given(st.lists(st.one_of(ADDRESSES, MAILBOXES), max_size=5).map(", ".join))
def test_valid_lists_read_as_the_stdlib_reads_them(value: str) -> None:
    assert addresses_in(value) == [address.lower() for _, address in getaddresses([value]) if address]


@given(TEXTS)
def test_any_text_gives_addresses(value: str) -> None:
    found = addresses_in(value)
    assert all("@" in address and address == address.lower() for address in found)
    assert [address for address in each_address(value) if address] == found
    assert has_display_name(value) in (True, False)


def test_a_long_value_lets_others_in_between() -> None:
    assert sum(1 for _ in each_address("(" * 100_000)) > 90


@pytest.mark.parametrize(
    "value",
    [
        "Joe <j@example.org>",
        '"Joe" <j@example.org>',
        "j@example.org (Joe)",
        "=?utf-8?q?J?= <j@example.org>",
        "<j@a> (J)",
    ],
)
def test_has_display_name(value: str) -> None:
    assert has_display_name(value)


@pytest.mark.parametrize(
    "value", ["", "j@example.org", "<j@example.org>", '"" <j@example.org>', "j@a ( )", '" " <j@a>', "() <a@b>"]
)
def test_has_no_display_name(value: str) -> None:
    assert not has_display_name(value)
