import pytest

from mwall.dns.names import MAX_POINTERS, DnsNameError, read_name, to_wire
from tests.dns.wire import labels, pointer

ODD = "\0\r\n\t \"'()*/:;@[\\]\x7f\x80ä\N{KELVIN SIGN}\N{FULLWIDTH FULL STOP}"
LABEL_63 = "a" * 63
LONGEST = ".".join([LABEL_63, LABEL_63, LABEL_63, "a" * 61])


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("a", b"\1a\0"),
        ("Example.ORG", b"\7Example\3ORG\0"),
        ("_spf.x-y.1", b"\4_spf\3x-y\1" + b"1\0"),
        (LABEL_63, b"\x3f" + LABEL_63.encode() + b"\0"),
    ],
)
def test_to_wire(name: str, wire: bytes) -> None:
    assert to_wire(name) == wire
    assert read_name(wire, 0) == (name.lower(), len(wire))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        (".", "empty"),
        ("a.", "empty"),
        (".a", "empty"),
        ("a..b", "empty"),
        ("b" * 64, "63"),
        ("a." + "b" * 64, "63"),
        (LONGEST + "a", "255"),
        ("a" * 100_000, "255"),
        ("." * 253, "empty"),
        *((f"a{character}b", "character") for character in ODD),
        ("a\\046b", "character"),
        ("a\n", "character"),
    ],
)
def test_what_cannot_be_asked_for(name: str, reason: str) -> None:
    with pytest.raises(DnsNameError, match=reason):
        to_wire(name)


def test_longest() -> None:
    wire = to_wire(LONGEST)
    assert len(wire) == 255
    assert read_name(wire, 0) == (LONGEST, 255)
    assert read_name(labels(*[b"a"] * 127), 0) == (".".join("a" * 127), 255)


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (b"AZaz09-_", "azaz09-_"),
        (b"\0", "\\000"),
        (b"a\r\nb", "a\\013\\010b"),
        (b"a.b", "a\\046b"),
        (b"a b", "a\\032b"),
        (b"\\", "\\092"),
        (b'"a"', "\\034a\\034"),
        (b"@*/", "\\064\\042\\047"),
        ("Ä".encode(), "\\195\\132"),
        (b"\xc4\xe4\xff\x7f", "\\196\\228\\255\\127"),
    ],
)
def test_escapes(label: bytes, text: str) -> None:
    assert read_name(labels(label, b"example"), 0)[0] == f"{text}.example"


def test_every_octet_is_a_harmless_text_of_its_own() -> None:
    texts = {read_name(labels(bytes((octet,))), 0)[0] for octet in range(256)}
    assert len(texts) == 256 - 26  # the letters have two cases
    assert all(text.isascii() and text.isprintable() and " " not in text and "." not in text for text in texts)


def test_root() -> None:
    assert read_name(b"\0", 0) == ("", 1)
    assert read_name(b"\0\xc0\0", 1) == ("", 3)


def test_compression() -> None:
    message = labels(b"F", b"ISI", b"ARPA") + labels(b"FOO", end=pointer(0)) + pointer(2) + b"\0"
    assert read_name(message, 0) == ("f.isi.arpa", 12)
    assert read_name(message, 12) == ("foo.f.isi.arpa", 18)
    assert read_name(message, 18) == ("isi.arpa", 20)


@pytest.mark.parametrize(
    ("message", "offset", "reason"),
    [
        (b"", 0, "beyond"),
        (b"\1a", 0, "beyond"),
        (b"\2a", 0, "beyond"),
        (b"\5a\0", 0, "beyond"),
        (b"\0\xc0", 1, "beyond"),
        (b"\xc0\0", 0, "backward"),  # to itself
        (b"\xc0\2\0", 0, "backward"),  # forward
        (b"\xff\xff\0", 0, "backward"),
        (b"\1a\xc0\0", 0, "backward"),  # to its own begin
        (b"\1a\xc0\2", 0, "backward"),
        (b"\1a\1b\xc0\2", 2, "backward"),  # to its begin, with labels before it
        (b"\xc0\2\xc0\0", 2, "backward"),  # two at each other
        (b"\1a\xc0\4\1b\xc0\0", 4, "backward"),
        (b"\x40a\0", 0, "unknown kind"),
        (b"\x80a\0", 0, "unknown kind"),
        (b"\xbfa\0", 0, "unknown kind"),
        (labels(*[b"a"] * 128), 0, "255"),
        (labels(*[b"a" * 63] * 4), 0, "255"),
        (labels(*[b"a" * 63] * 3) + labels(b"a" * 62, end=pointer(0)), 193, "255"),
    ],
)
def test_malformed(message: bytes, offset: int, reason: str) -> None:
    with pytest.raises(DnsNameError, match=reason):
        read_name(message, offset)


def test_longest_with_compression() -> None:
    message = labels(*[b"a" * 63] * 3) + labels(b"a" * 61, end=pointer(0))
    assert read_name(message, 193) == (".".join(["a" * 61, LABEL_63, LABEL_63, LABEL_63]), 193 + 64)


def test_chain_of_pointers() -> None:
    message = b"\1a\0\0" + pointer(0) + b"".join(pointer(offset - 2) for offset in range(6, 2000, 2))
    last_allowed = 4 + 2 * (MAX_POINTERS - 1)
    assert read_name(message, last_allowed) == ("a", last_allowed + 2)
    with pytest.raises(DnsNameError, match="too many"):
        read_name(message, last_allowed + 2)


def test_each_label_by_a_pointer() -> None:
    message = b"\1a\0" + b"".join(labels(b"b", end=pointer(max(offset - 4, 0))) for offset in range(3, 3 + 126 * 4, 4))
    assert message[3:7] == b"\1b\xc0\0"
    assert read_name(message, len(message) - 4)[0] == "b." * 126 + "a"
