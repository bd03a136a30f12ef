"""Encoded words: the stdlib as an oracle on valid ones, leniency on the others, no codec looked up later."""

import base64
import subprocess
import sys
from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.charsets import KNOWN_LABELS
from mwall.message.encoded_words import decode_words, decoded_pieces

ATOMS = st.text("abcXYZ019.,!", min_size=1, max_size=8)
CHARSETS = {
    "utf-8": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    "ISO-8859-1": st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), min_size=1, max_size=12),
    "koi8-r": st.text("абвгдЖЗ xyz", min_size=1, max_size=12),
    "windows-1251": st.text("абвгдЖЗ xyz", min_size=1, max_size=12),
    "gb2312": st.text("中文字", min_size=1, max_size=12),
    "big5": st.text("中文字", min_size=1, max_size=12),
    "euc-kr": st.text("한국어", min_size=1, max_size=12),
    "iso-2022-jp": st.text("日本語", min_size=1, max_size=12),
}


def encoded(charset: str, text: str, encoding: str) -> str:
    octets = text.encode(charset)
    if encoding in "bB":
        return f"=?{charset}?{encoding}?{base64.b64encode(octets).decode()}?="
    inner = "".join([chr(octet) if chr(octet).isalnum() and octet < 128 else f"={octet:02X}" for octet in octets])
    return f"=?{charset}?{encoding}?{inner}?="


WORDS = st.sampled_from(sorted(CHARSETS)).flatmap(
    lambda charset: st.builds(encoded, st.just(charset), CHARSETS[charset], st.sampled_from("bBqQ"))
)


@given(st.lists(st.one_of(WORDS, ATOMS), min_size=1, max_size=6).map(" ".join))
def test_valid_words_read_as_the_stdlib_reads_them(value: str) -> None:
    assert decode_words(value) == str(make_header(decode_header(value)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?a?= b", "a b"),
        ("=?utf-8?q?a?=  =?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?a?==?utf-8?q?b?=", "ab"),
        ("x=?utf-8?q?a?=y", "xay"),
        ("=?utf-8?q?a_b=20c?=", "a b c"),
        ("=?utf-8?q?a b?=", "a b"),
        ("=?utf-8?q?what?!?=", "what?!"),
        ("=?utf-8?q?=zz=4?=", "=zz=4"),
        ("=?utf-8*en?q?a?=", "a"),
        ("=?UTF8?Q?=C3=A9?=", "é"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é"),
        ("=?utf-8?q?=C3?=", "\ufffd"),
        ("=?utf-8?b?QQ?=", "A"),
        ("=?utf-8?b?QQ==Qg==?=", "AB"),
        ("=?utf-8?b?Q!Q=?=", "A"),
        ("=?utf-8?b?Q?=", ""),
        ("=?x-unknown?q?=C3=A9?=", "é"),
        ("=?x-unknown?q?=E9?=", "é"),
        ("=??q?a?=", "a"),
        ("=?iso-8859-1?q?=93a=94?=", "\u201ca\u201d"),
        ("=?us-ascii?q?=80?=", "€"),
        ("=?utf-16?b?AEEAQg==?=", "\u4100\u4200"),
        ("=?utf-8?q?a", "=?utf-8?q?a"),
        ("=?utf-8?q?a =?utf-8?q?b?=", "=?utf-8?q?a b"),
        ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
        ("=?=?=", "=?=?="),
    ],
)
def test_words_as_readers_take_them(value: str, text: str) -> None:
    assert decode_words(value) == text


@given(
    st.one_of(
        st.text(), st.lists(st.sampled_from(["=?", "?=", "utf-8", "?q?", "?b?", "QQ=", "=C3", " ", "a"])).map("".join)
    )
)
def test_any_text_decodes(value: str) -> None:
    assert decode_words(value) == "".join(decoded_pieces(value))


@pytest.mark.parametrize("label", sorted(KNOWN_LABELS))
def test_no_octets_make_a_codec_raise(label: str) -> None:
    every = bytes(range(256))
    for octets in (every, every[::-1], every * 300, b"\x1b$B", b"\xff" * 999, b"+", b"~{", b"\xfe\xff\xd8\x00"):
        word = base64.b64encode(octets).decode()
        assert isinstance(decode_words(f"=?{label}?b?{word}?= =?{label}?b?{word}?="), str)


def test_a_long_word_comes_in_pieces() -> None:
    word = f"=?koi8-r?q?{'a' * 100_000}?="
    assert decode_words(word) == "a" * 100_000
    assert max(len(piece) for piece in decoded_pieces(word)) < 20_000


def test_no_charset_label_reaches_for_a_file() -> None:
    program = """
import sys
from mwall.message.charsets import KNOWN_LABELS
from mwall.message.encoded_words import decode_words
seen = []
sys.addaudithook(lambda event, args: seen.append((event, args)) if event in ("import", "open") else None)
for label in [*KNOWN_LABELS, "rot13", "idna", "punycode", "zlib", "../../etc/passwd", "mbcs", "nonsense", "os"]:
    decode_words(f"=?{label}?q?=FF=1B$B=3F?= x =?{label}?b?/////w==?=")
print(seen)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("label", ["iso-2022-jp", "iso-2022-kr", "iso-2022-jp-2"])
def test_a_decoder_that_raises_in_spite_of_replace(label: str) -> None:
    assert decode_words(f"=?{label}?b?GyQkKJmcJCgb?= after").endswith(" after")
