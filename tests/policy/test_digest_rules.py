"""dnsdcc: which digests of a message are asked for, and what is found."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Generator
from typing import TypeVar

import pytest

from mwall.dns.answers import A, Answer, Question
from mwall.message.header import header_end, values_by_name
from mwall.message.structure import StructureReader
from mwall.message.transfer import Source
from mwall.policy.checks import paused
from mwall.policy.content import ContentCheck, File, Scanner
from mwall.policy.digest_rules import MAX_DIGESTS, compile_checks, label_of
from mwall.policy.lookups import Lookup, Needs
from mwall.policy.reading import ContentReader
from mwall.policy.zones import parse_zone_rule
from tests.policy.asking import FAILED, NO_DATA, NO_NAME, ask, envelope_of, found

_Result = TypeVar("_Result")

ZONE = "_file.hbl.example"
EXECUTABLE = b"MZ\x90\0" + bytes(range(256)) * 40
ENCODED = base64.encodebytes(EXECUTABLE).replace(b"\n", b"\r\n")
TEXT = b"Dear Joe,\r\nfrom 7bit to 8bit\r\n"


def label(octets: bytes) -> str:
    return base64.b32encode(hashlib.sha256(octets).digest()).decode().lower().rstrip("=")


def check_of(*rules: str) -> ContentCheck:
    (check,) = compile_checks({"dnsdcc": tuple(map(parse_zone_rule, rules))})
    return check


def shown(*files: tuple[str, bytes]) -> Scanner:
    """A scanner to which these files were shown, in windows of 100 octets."""
    scanner = check_of(f"5,{ZONE}").scanner()
    for name, octets in files:
        sink = scanner.file(File([name], (), octets[:100]))
        for start in range(0, len(octets), 100):
            if sink:
                sink(octets[start : start + 100])
    return scanner


def asked(scanner: Scanner) -> list[str]:
    """The labels that are asked for."""
    rounds = [questions for lookup in scanner.lookups() for questions in ask(lookup, envelope_of(), {})[1]]
    return [question.name.removesuffix(f".{ZONE}") for questions in rounds for question in questions]


def result_of(steps: Generator[object, object, _Result]) -> _Result:
    try:
        while True:
            next(steps)
    except StopIteration as stop:
        result: _Result = stop.value
        return result


def asked_of(message: bytes) -> list[str]:
    """The labels that are asked for when a whole message, as on the wire, is read."""
    scanner = check_of(f"5,{ZONE}").scanner()
    end = header_end(message)
    header, body = message[:end], Source(message[end:], b"\r\n." in message[end:])
    structure = StructureReader(1000, 50, len(message))
    root = result_of(paused(structure.read(header, values_by_name(header), body)))
    result_of(ContentReader([scanner], len(message), structure.holdable).read(header, root))
    return asked(scanner)


def test_what_is_not_set_asks_nothing() -> None:
    assert compile_checks({"dnsdcc": ()}) == []


def test_label() -> None:
    # FIPS 180-2 B.1, in base32
    assert label_of(hashlib.sha256(b"abc").digest()) == "xj4bnp4pahh6uqkbidpf3lrceoyagyndsylxvhfucd7wd4qacwwq"
    assert len(label(b"abc")) == 52


def lookup_of(*rules: str) -> Lookup:
    scanner = check_of(*rules).scanner()
    sink = scanner.file(File(["a.exe", "b"], (), EXECUTABLE))
    assert sink is not None
    sink(EXECUTABLE)
    (lookup,) = scanner.lookups()
    return lookup


def test_a_digest_is_listed() -> None:
    key = "abcdefghijklmnopqrstuvwxyz"
    lookup = lookup_of(f"5,_file.{key}.hbl.example=127.0.3.[10..15]", f"1,_file.{key}.hbl.example=127.0.3.20")
    assert (lookup.variables, lookup.needs, lookup.zone) == (("dnsdcc",), Needs.CONTENT, f"_file.{key}.hbl.example")
    assert (lookup.least, lookup.most) == (0, 6000)
    question = Question(f"{label(EXECUTABLE)}._file.{key}.hbl.example", A)
    findings, rounds = ask(lookup, envelope_of(relay=True, domain=None), {question: found("127.0.3.10")})
    reason = f'the digest {label(EXECUTABLE)} of "a.exe" is listed by _file.*.hbl.example (127.0.3.10)'
    assert findings == [("DNSDCC", reason, 5000)]
    assert rounds == [[question], [Question(f"invalid._file.{key}.hbl.example", A)]]


@pytest.mark.parametrize(
    "answer", [NO_NAME, NO_DATA, FAILED, found("203.0.113.1"), found("127.255.255.254"), found("127.0.3.20")]
)
def test_a_digest_is_not_listed(answer: Answer) -> None:
    lookup = lookup_of(f"5,{ZONE}=127.0.3.[10..15]")
    findings, rounds = ask(lookup, envelope_of(), {f"{label(EXECUTABLE)}.{ZONE}": answer})
    assert (findings, len(rounds)) == ([], 1)


@pytest.mark.parametrize("test", [found("127.0.3.10"), found("127.0.0.1"), found("127.255.255.254"), FAILED])
def test_a_list_that_misbehaves_scores_nothing(test: Answer) -> None:
    answers = {f"{label(EXECUTABLE)}.{ZONE}": found("127.0.3.10"), f"invalid.{ZONE}": test}
    assert ask(lookup_of(f"5,{ZONE}"), envelope_of(), answers)[0] == []


def test_each_digest_is_asked_for_once_and_empty_files_not_at_all() -> None:
    scanner = shown(("a", b""), ("b", EXECUTABLE), ("c", b"c"), ("d", b""), ("e", EXECUTABLE), ("f", b"f"), ("g", b""))
    assert asked(scanner) == [label(EXECUTABLE), label(b"c"), label(b"f")]


def test_nothing_is_asked_without_a_file() -> None:
    assert shown().lookups() == []
    assert shown(("a", b"")).lookups() == []


def test_no_more_than_so_many() -> None:
    files = [(f"{number}", b"%d" % (number // 2)) for number in range(4 * MAX_DIGESTS)]
    assert asked(shown(*files)) == [label(b"%d" % number) for number in range(MAX_DIGESTS)]


def test_names_of_files_are_only_shown() -> None:
    scanner = shown(("a\0\r\n.exe" * 50, b"a"))
    assert asked(scanner) == [label(b"a")]


def zipped(octets: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.exe", octets)
    return file.getvalue()


HEADER = b"MIME-Version: 1.0\r\n"


@pytest.mark.parametrize(
    ("message", "files"),
    [
        (b"Subject: x\r\n\r\n" + TEXT, [TEXT]),
        (b"Subject: x\r\n\r\n..\r\n" + TEXT, [b".\r\n" + TEXT]),
        (HEADER + b"Content-Transfer-Encoding: base64\r\n\r\n" + ENCODED, [EXECUTABLE]),
        (
            HEADER + b"Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + base64.encodebytes(zipped(EXECUTABLE)).replace(b"\n", b"\r\n"),
            [zipped(EXECUTABLE), EXECUTABLE],
        ),
        (
            HEADER + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n" + TEXT + b"\r\n--b\r\n"
            b"Content-Transfer-Encoding: quoted-printable\r\n\r\na=3Db\r\n--b\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + ENCODED + b"\r\n--b--\r\n",
            [TEXT, b"a=b", EXECUTABLE],
        ),
        (
            b"Subject: x\r\n\r\n" + TEXT + b"begin 644 a\r\n#0V%T\r\n`\r\nend\r\n",
            [b"Cat"],
        ),
    ],
    ids=["text", "dot", "base64", "zip", "multipart", "uuencode"],
)  # fmt: skip
def test_every_file_of_a_message_is_asked_for(message: bytes, files: list[bytes]) -> None:
    assert set(map(label, files)) <= set(asked_of(message))
