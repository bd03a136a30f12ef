import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.smtp.addresses import AddressError, Mailbox, is_routing_hack, parse_path
from tests.fuzz import cases


@pytest.mark.parametrize(
    ("path", "local_part", "domain"),
    [
        ("<user@example.org>", "user", "example.org"),
        ("<User@EXAMPLE.Org>", "User", "example.org"),
        ("<user@example.org.>", "user", "example.org"),
        ("<o'neil+a/b=c&d@x>", "o'neil+a/b=c&d", "x"),
        ("<first..last@example.org>", "first..last", "example.org"),
        ("<.dot.@example.org>", ".dot.", "example.org"),
        ("<a@under_score.example.org>", "a", "under_score.example.org"),
        ("<@one.example,@two.example:user@example.org>", "user", "example.org"),
        ("<@[192.0.2.1]:user@example.org>", "user", "example.org"),
        ('<"user"@example.org>', "user", "example.org"),
        ('<"a b"@example.org>', "a b", "example.org"),
        (r'<"a\"b\\c"@example.org>', r'a"b\c', "example.org"),
        (r'<"\u\s\er"@example.org>', "user", "example.org"),
        ('<"a>b@c"@example.org>', "a>b@c", "example.org"),
        ("<user@[192.0.2.1]>", "user", "[192.0.2.1]"),
        ("<user@[IPv6:2001:DB8:0:0::1]>", "user", "[IPv6:2001:db8::1]"),
        ("<user@[ipv6:::1]>", "user", "[IPv6:::1]"),
        ("<postmaster>", "postmaster", ""),
        ("<PostMaster>", "PostMaster", ""),
        ("<j\u00fcrgen@b\u00fccher.example>", "j\u00fcrgen", "b\u00fccher.example"),
    ],
)
def test_taken(path: str, local_part: str, domain: str) -> None:
    assert parse_path(path + " REST") == (Mailbox(local_part, domain), " REST")


def test_null_reverse_path() -> None:
    assert parse_path("<> SIZE=1") == (None, " SIZE=1")


@pytest.mark.parametrize(
    "path",
    [
        "", "<", "user@example.org", "< >", "<user>", "<user@>", "<@example.org>", "<user@example.org",
        "user@example.org>", "<user@@example.org>", "<a b@example.org>", "<us\ter@example.org>", "<user@exam ple.org>",
        "<user@example..org>", "<user@.example.org>", "<user@example.org..>", "<user@-example.org>",
        "<user@example.org->",
        "<user@ex\x1bample>", '<""@example.org>', '<"a@example.org>', '<"a"b@example.org>', '<"a\tb"@example.org>',
        '<"a\x1bb"@example.org>', '<"a\\\x00b"@example.org>', "<user@[192.0.2]>", "<user@[192.0.2.256]>",
        "<user@[192.0.2.01]>", "<user@[::1]>",
        "<user@[IPv6:192.0.2.1]>", "<user@[IPv6:fe80::1%eth0]>", "<user@[example.org]>", "<user@192.0.2.1]>",
        "<user@[]>", "<a,b@example.org>", "<a@b", f"<user@{'a.' * 128}org>", "<Firstname <user@example.org>>",
    ],
)  # fmt: skip
def test_refused(path: str) -> None:
    with pytest.raises(AddressError) as error:
        parse_path(path)
    assert str(error.value).isascii() and str(error.value).isprintable()


@pytest.mark.parametrize(
    ("mailbox", "text"),
    [
        (Mailbox("user", "example.org"), "user@example.org"),
        (Mailbox("postmaster", ""), "postmaster"),
        (Mailbox("a.b", "example.org"), "a.b@example.org"),
        (Mailbox("a..b", "example.org"), '"a..b"@example.org'),
        (Mailbox(".a", "example.org"), '".a"@example.org'),
        (Mailbox("a.", "example.org"), '"a."@example.org'),
        (Mailbox("a b", "example.org"), '"a b"@example.org'),
        (Mailbox('a"b\\c', "example.org"), r'"a\"b\\c"@example.org'),
        (Mailbox("a@b", "example.org"), '"a@b"@example.org'),
        (Mailbox("user", "[IPv6:::1]"), "user@[IPv6:::1]"),
    ],
)
def test_written_as_rfc_5321_has_it(mailbox: Mailbox, text: str) -> None:
    assert str(mailbox) == text
    assert parse_path(f"<{text}>") == (mailbox, "")


@pytest.mark.parametrize(
    ("local_part", "is_hack"),
    [("user%host", True), ("host!user", True), ("user@host", True), ("user+detail", False), ("#$&'*/=?^`{|}~", False)],
)
def test_routing_hacks(local_part: str, is_hack: bool) -> None:
    assert is_routing_hack(Mailbox(local_part, "example.org")) is is_hack


_printables = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
_labels = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,10}[a-z0-9_])?", fullmatch=True)
mailboxes = st.builds(
    Mailbox,
    st.text(_printables, min_size=1, max_size=20),
    st.one_of(
        st.lists(_labels, min_size=1, max_size=4).map(".".join),
        st.ip_addresses(v=4).map(lambda address: f"[{address}]"),
        st.ip_addresses(v=6).map(lambda address: f"[IPv6:{address}]"),
    ),
)


@cases(400)
@given(mailboxes)
def test_round_trip(mailbox: Mailbox) -> None:
    assert parse_path(f"<{mailbox}> SIZE=1") == (mailbox, " SIZE=1")


@cases(400)
@given(st.text(st.one_of(st.sampled_from('<>@:,."\\[]%!ab1 -_'), st.characters(codec="utf-8")), max_size=40))
def test_whatever_is_taken_is_read_the_same_again(text: str) -> None:
    try:
        mailbox, _ = parse_path("<" + text)
    except AddressError:
        return
    if mailbox is not None:
        assert parse_path(f"<{mailbox}>") == (mailbox, "")
        assert not any(octet in str(mailbox) for octet in "\r\n\0")
