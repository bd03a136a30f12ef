"""Transfer encodings undone, wherever a window ends, and what is wrong told."""

import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.transfer import WINDOW_OCTETS, Encoding, Source, decoded, has_inner_padding
from tests.fuzz import cases
from tests.message.reading import stuffed, unstuffed

ENCODINGS: list[Encoding] = ["identity", "base64", "unpadded", "quoted-printable", "uuencode"]


def decode(octets: bytes, encoding: Encoding, is_stuffed: bool = False) -> tuple[bytes, set[str]]:
    faults: list[str] = []
    pieces = list(decoded(Source(octets, is_stuffed), 0, len(octets), encoding, faults.append))
    assert encoding == "uuencode" or max(map(len, pieces), default=0) <= 4 * WINDOW_OCTETS
    return b"".join(pieces), set(faults)


def lines(octets: bytes, length: int) -> list[bytes]:
    return [octets[at : at + length] for at in range(0, len(octets), length)]


@cases(200)
@given(st.binary(max_size=3000), st.integers(1, 200), st.sampled_from([b"\r\n", b"\n", b" \r\n", b"\r\n\r\n"]))
def test_base64_is_undone_whatever_its_lines(octets: bytes, length: int, line_end: bytes) -> None:
    encoded = line_end.join(lines(base64.b64encode(octets), length))
    assert decode(encoded, "base64") == (octets, set())
    assert decode(encoded, "unpadded") == (octets, set())
    assert not has_inner_padding(Source(encoded, False), 0, len(encoded))


@cases(200)
@given(st.binary(max_size=1000), st.integers(1, 76), st.booleans(), st.sampled_from([b"", b" ", b"\t \t"]))
def test_quoted_printable_is_undone_whatever_its_lines(
    octets: bytes, length: int, all_quoted: bool, padding: bytes
) -> None:
    pieces = [
        b"=%02X" % octet if all_quoted or octet == ord("=") or not 32 < octet < 127 else bytes([octet])
        for octet in octets
    ]
    rows = [b"".join(pieces[at : at + length]) for at in range(0, len(pieces), length)]
    encoded = (b"=" + padding + b"\r\n").join(rows)
    assert decode(encoded, "quoted-printable") == (octets, set())


@cases(200)
@given(st.binary(max_size=3000), st.integers(1, 45), st.booleans(), st.sampled_from([b"\r\n", b"\n"]))
def test_uuencode_is_undone_whatever_its_lines(octets: bytes, length: int, backtick: bool, line_end: bytes) -> None:
    rows = [binascii.b2a_uu(row, backtick=backtick).rstrip(b"\n") for row in lines(octets, length)]
    encoded = line_end.join([b"begin 644 a b", *rows, b"`", b"end", b""])
    assert decode(encoded, "uuencode") == (octets, set())
    # Some transports take spaces from line ends; where they took most of a line, little is made of it, see below.
    trimmed = [row.rstrip(b" ") if 2 * len(row.rstrip(b" ")) > row[0] - 32 else row for row in rows]
    assert decode(line_end.join(trimmed), "uuencode")[0] == octets


@cases(100)
@given(st.sampled_from(ENCODINGS), st.lists(st.tuples(
    st.sampled_from(
        [b".", b"..", b"\r\n", b"\r\n.", b"\r\n..", b"=\r\n.", b"x", b"QQ", b"M", b"=41", b"=", b" ", b"\r"]
    ),
    st.one_of(st.integers(1, 3), st.integers(10_000, 40_000)),
), max_size=12))  # fmt: skip
def test_stuffing_is_undone_wherever_a_window_ends(encoding: Encoding, runs: list[tuple[bytes, int]]) -> None:
    text = b"".join(fragment * count for fragment, count in runs)
    assert unstuffed(stuffed(text)) == text
    stuffed_text, plain = decode(stuffed(text), encoding, True), decode(text, encoding)
    if encoding == "identity":
        assert stuffed_text == plain == (text, set())
    elif all(count < 4 for _, count in runs):
        assert stuffed_text == plain


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("before", range(-2, 10))
def test_dots_where_a_window_ends(encoding: Encoding, before: int) -> None:
    row = {"uuencode": binascii.b2a_uu(b"fourteen octet").rstrip(b"\n"), "base64": b"QUJD", "unpadded": b"QUJD"}
    line = row.get(encoding, b"..a=3D.")
    filling = line + b"\r\n"
    text = filling * (WINDOW_OCTETS // len(filling) - 2)
    text += b"z" * ((WINDOW_OCTETS - before - len(text)) if encoding in ("identity", "quoted-printable") else 0)
    for shift in range(6):
        whole = text + b"\r\n" * shift + b".\r\n..\r\n" + filling * 9000
        assert decode(stuffed(whole), encoding, True)[0] == decode(whole, encoding)[0]


def test_dots_of_uuencode_at_each_place() -> None:
    """Lines of fourteen octets begin with a dot."""
    octets = bytes(range(256)) * 700
    row = b"\r\n".join([binascii.b2a_uu(part).rstrip(b"\n") for part in lines(octets, 14)])
    for shift in range(23):
        encoded = stuffed(b"\r\n" * shift + row)
        assert decode(encoded, "uuencode", True) == (octets, set())


@cases(100)
@given(st.sampled_from(ENCODINGS), st.lists(st.sampled_from(
    [b"=", b"==", b"A", b"QUJD", b"QQ==", b"\r\n", b" ", b"\t", b"=4", b"=41", b"=zz", b"M", b"`", b"begin 644 x",
     b"end", b"\0", b"\xff", b"-", b"_", b"*", b".", b"\n", b"\r"]
), max_size=30).map(b"".join), st.sampled_from([1, 1, 1, 20_000]))  # fmt: skip
def test_anything_is_decoded_to_something(encoding: Encoding, unit: bytes, count: int) -> None:
    octets = (unit * count)[: 5 * WINDOW_OCTETS]
    content, faults = decode(octets, encoding)
    assert encoding == "uuencode" or len(content) <= len(octets)
    assert all(faults)


@pytest.mark.parametrize("line", [b"_", b"=", b"M", b"M0"])
def test_uuencode_does_not_swell(line: bytes) -> None:
    """A line may lack the spaces at its end (one octet of "M" is 45 of nothing), but memory is bounded by the mail."""
    octets = (line + b"\r\n") * 10_000
    assert len(decode(octets, "uuencode")[0]) <= 2 * len(octets)


@cases(50)
@given(st.sampled_from(ENCODINGS), st.binary(max_size=200), st.integers(0, 20), st.integers(0, 20))
def test_nothing_outside_is_read(encoding: Encoding, octets: bytes, before: int, behind: int) -> None:
    around = Source(b"\x2b" * before + octets + b"=" * behind, False)
    content = b"".join(decoded(around, before, before + len(octets), encoding, [].append))
    assert content == decode(octets, encoding)[0]


STRICT, CUT = "base64 that no strict decoder takes", "base64 that ends within an octet"
NO_QUOTE = "an equals sign in quoted-printable that quotes nothing"
UU = "uuencode that no strict decoder takes"


@pytest.mark.parametrize(
    ("encoding", "octets", "content", "fault"),
    [
        ("identity", b"a \r\n.b\xff\0", b"a \r\n.b\xff\0", ""),
        ("base64", b"", b"", ""),
        ("base64", b"QUJD", b"ABC", ""),
        ("base64", b" QU\r\n\tJD ", b"ABC", ""),
        ("base64", b"QUI=", b"AB", ""),
        ("base64", b"QU!J*D", b"ABC", STRICT),
        ("base64", b"QUJD\r\n-- \r\n", b"ABC", CUT),
        ("base64", b"QUJD\r\n-- joe\r\n", b"ABC\x8e\x87", STRICT),
        ("base64", b"QQ==QUI=QUJD", b"AABABC", STRICT),
        ("base64", b"QUI", b"AB", CUT),
        ("base64", b"QUJDQ", b"ABC", CUT),
        ("base64", b"====QUJD", b"ABC", STRICT),
        ("unpadded", b"QU=J=D=", b"ABC", ""),
        ("quoted-printable", b"a=3Db=3db", b"a=b=b", ""),
        ("quoted-printable", b"a=\r\nb", b"ab", ""),
        ("quoted-printable", b"a= \t\r\nb", b"ab", ""),
        ("quoted-printable", b"a \t\r\nb", b"a\r\nb", ""),
        ("quoted-printable", b"a=20\r\nb", b"a \r\nb", ""),
        ("quoted-printable", b"a=2", b"a=2", NO_QUOTE),
        ("quoted-printable", b"http://x/?a=zz", b"http://x/?a=zz", NO_QUOTE),
        ("quoted-printable", b"\xff", b"\xff", "octets over 127 in quoted-printable"),
        ("quoted-printable", b"a=", b"a", ""),
        ("uuencode", b"begin 644 x\r\n#04)#\r\n`\r\nend\r\n", b"ABC", ""),
        ("uuencode", b"#04)#", b"ABC", ""),
        ("uuencode", b"#04)#X", b"ABC", UU),
        ("uuencode", b"#04)#\r\n#0\xff4)", b"ABC", UU),
        ("uuencode", b"! \r\n", b"\0", ""),
    ],
)
def test_table(encoding: Encoding, octets: bytes, content: bytes, fault: str) -> None:
    assert decode(octets, encoding) == (content, {fault} if fault else set())


@pytest.mark.parametrize("line", [b"a ", b"a\t", b"a= ", b"=41 \t"])
def test_white_space_at_the_end_of_quoted_printable(line: bytes) -> None:
    """The last line is read as it would be alone, whatever the others are."""
    alone, with_others = decode(line, "quoted-printable")[0], decode(b"x \r\n" + line, "quoted-printable")[0]
    assert with_others == b"x\r\n" + alone


@pytest.mark.parametrize("place", range(-4, 5))
def test_a_quoted_octet_where_a_long_line_is_cut(place: int) -> None:
    for count in (1, 2, 3, 4):
        text = b"x" * (count * WINDOW_OCTETS + place) + b"=41=42=43" + b"y" * WINDOW_OCTETS
        assert decode(text, "quoted-printable")[0] == text.replace(b"=41=42=43", b"ABC")


@pytest.mark.parametrize(
    ("octets", "has"),
    [(b"QUI=\r\n", False), (b"QUI=QQ==", True), (b"QUI=\r\n\r\nx", True), (b"QUJD", False), (b"=A", True),
     (b"", False)],
)  # fmt: skip
def test_inner_padding(octets: bytes, has: bool) -> None:
    assert has_inner_padding(Source(octets, False), 0, len(octets)) == has
