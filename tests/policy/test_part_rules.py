"""mime_reject, filename_reject, type_mismatch, encoding_invalid, archive_unreadable, virus_scan, header_regex."""

import base64
import gzip
import io
import zipfile

import pytest

from mwall.policy.matching import Matcher
from mwall.policy.part_rules import parse_name_pattern, parse_type_pattern, readings_of_name
from mwall.policy.patterns import parse_patterns
from mwall.policy.profile import parse_profile
from tests.policy.conftest import Weigh, weigh_by

PROGRAM = b"MZ\x90\0\x03\0\0\0" + bytes(64)


def part(header: str, content: bytes, encoding: str = "base64") -> bytes:
    """A body that is a multipart with a text and this part."""
    encoded = base64.encodebytes(content).replace(b"\n", b"\r\n") if encoding == "base64" else content
    head = f"{header}\nContent-Transfer-Encoding: {encoding}\n\n".replace("\n", "\r\n").encode()
    return b"\r\n--b\r\n\r\nhello\r\n--b\r\n" + head + encoded + b"\r\n--b--\r\n"


MIXED = 'Content-Type: multipart/mixed; boundary="b"\n'


def zipped(**members: bytes) -> bytes:
    """A zip archive; double underscores in a name are a dot."""
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return octets.getvalue()


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*.exe", "a.exe"), ("*.exe", "A.EXE"), ("*.exe", "a.exe."), ("*.exe", "a.exe . "), ("*.exe", "a\u202etxt.exe"),
        ("*.exe", "a.exe\0.txt"), ("*.exe", "c:\\temp\\a.exe"), ("a.exe", "x/a.exe"), ("*.exe", "a.e\u200bxe"),
        ("*.ex?", "a.exe"), ("*.[es]*", "a.exe"), ("*.exe", "a.txt   .exe"),
    ],
)  # fmt: skip
def test_names(weigh: Weigh, pattern: str, name: str) -> None:
    encoded = "".join(f"%{octet:02x}" for octet in name.encode())
    body = part(f"Content-Type: text/plain; name*=utf-8''{encoded}", b"x")
    verdict = weigh(f'filename_reject="{pattern}"', MIXED, body=body)
    assert [finding.check for finding in verdict.findings] == ["FILENAME_REJECT"]
    assert verdict.reason == f'"{name}" matches {pattern.lower()}'


@pytest.mark.parametrize("name", ["a.exe.txt", "exe", "a.exe_", "a.txt"])
def test_other_names(weigh: Weigh, name: str) -> None:
    body = part(f'Content-Type: text/plain; name="{name}"', b"x")
    assert weigh('filename_reject="*.exe"', MIXED, body=body).findings == []


def test_names_in_archives(weigh: Weigh) -> None:
    inner = zipped(a__exe=b"x")
    for octets in (inner, zipped(b__zip=inner), gzip.compress(inner)):
        verdict = weigh('filename_reject="*.exe"', MIXED, body=part('Content-Type: image/x; name="a"', octets))
        assert verdict.action == "reject"


@pytest.mark.parametrize(
    ("pattern", "kind", "hit"),
    [
        ("application/x-msdownload", "application/x-msdownload", True),
        ("application/*", "Application/X-MSDownload; name=x", True),
        ("video/*", "application/x", False),
        ("message/partial", "message/partial; number=1", True),
    ],
)
def test_types(weigh: Weigh, pattern: str, kind: str, hit: bool) -> None:
    verdict = weigh(f'mime_reject="{pattern}"', MIXED, body=part(f"Content-Type: {kind}", b"x"))
    assert (verdict.action == "reject") == hit


@pytest.mark.parametrize("text", ["text", "text/", "/plain", "text plain", "text/plain; x", ""])
def test_no_type(text: str) -> None:
    with pytest.raises(ValueError):
        parse_type_pattern(text)


@pytest.mark.parametrize("text", ["*", "", "a/b", "c:\\x"])
def test_no_name(text: str) -> None:
    with pytest.raises(ValueError):
        parse_name_pattern(text)


def test_a_long_name_takes_no_time() -> None:
    assert max(map(len, readings_of_name("a" * 1_000_000 + ".exe"))) <= 1000


@pytest.mark.parametrize(
    ("header", "content", "hit"),
    [
        ('Content-Type: image/png; name="a.png"', PROGRAM, True),
        ('Content-Type: application/octet-stream; name="a.jpg"', PROGRAM, True),
        ('Content-Type: application/octet-stream; name="a.exe"', PROGRAM, False),
        ('Content-Type: application/pdf; name="a.pdf"', PROGRAM, True),
        ('Content-Type: text/plain; name="a.txt"', PROGRAM, True),
        ("Content-Type: text/plain", b"MZ is what programs begin with", False),
        ('Content-Type: image/png; name="a.png"', b"\x89PNG\r\n\x1a\n", False),
        ('Content-Type: image/jpeg; name="a.jpg"', b"<html><script>", True),
        ('Content-Type: application/vnd.ms-excel; name="a.xls"', b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", False),
        ('Content-Type: application/zip; name="a.zip"', zipped(photo__jpg=PROGRAM), True),
        ('Content-Type: application/zip; name="a.zip"', zipped(setup__exe=PROGRAM), False),
    ],
)
def test_type_mismatch(weigh: Weigh, header: str, content: bytes, hit: bool) -> None:
    verdict = weigh('type_mismatch="1"', MIXED, body=part(header, content))
    assert ([finding.check for finding in verdict.findings] == ["TYPE_MISMATCH"]) == hit


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ("Content-Type: text/plain\nContent-Type: text/html\n", b"\r\nx"),
        ("Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit\n", b"\r\nx"),
        ("Content-Transfer-Encoding: base65\n", b"\r\nx"),
        ("Content-Transfer-Encoding: base64\n", b"\r\nAAA!AAAA"),
        ("Content-Transfer-Encoding: base64\n", b"\r\nAAA=AAAA"),
        ("Content-Transfer-Encoding: quoted-printable\n", b"\r\na=b"),
        ("Content-Type: multipart/mixed\n", b"\r\nx"),
        (MIXED, b"\r\n--b\r\n\r\nx\r\n"),
        (MIXED, b"\r\n--b\r\n\r\nx\r\n--b--\r\n--b\r\n\r\ny\r\n--b--\r\n"),
        (MIXED, b"\r\n--b text\r\n\r\nx\r\n--b--\r\n"),
        (MIXED, b"\r\n--b\r\nno field\r\n\r\nx\r\n--b--\r\n"),
        (MIXED + "Content-Transfer-Encoding: base64\n", b"\r\n--b\r\n\r\nx\r\n--b--\r\n"),
    ],
)
def test_encoding_invalid(weigh: Weigh, header: str, body: bytes) -> None:
    assert [finding.check for finding in weigh('encoding_invalid="1"', header, body=body).findings] == [
        "ENCODING_INVALID"
    ]


def test_archive_unreadable(weigh: Weigh) -> None:
    broken = zipped(a=bytes(999))[:-30]
    verdict = weigh('archive_unreadable="1"', MIXED, body=part("Content-Type: application/zip", broken))
    assert [finding.check for finding in verdict.findings] == ["ARCHIVE_UNREADABLE"]
    assert not weigh('archive_unreadable="1"', MIXED, body=part("Content-Type: x/y", zipped(a=b"x"))).findings


def test_virus_scan() -> None:
    matchers = {"v": Matcher(parse_patterns(b"One=01020304??06\nTwo=0a0b0c0d*0e0f1011\n", "v", []))}
    profile = parse_profile(b'reject_score="5"\nvirus_scan="5,v"', "P", "P", [], matchers)
    assert profile is not None
    attachment = part('Content-Type: application/x; name="x.bin"', b"\1\2\3\4\5\6")
    verdict = weigh_by(profile, MIXED, attachment)
    assert (verdict.action, verdict.reason) == ("reject", 'One in "x.bin"')
    archive = zipped(inner__bin=b"\n\x0b\x0c\r" + bytes(999) + b"\x0e\x0f\x10\x11")
    verdict = weigh_by(profile, MIXED, part("Content-Type: application/zip", archive))
    assert (verdict.action, verdict.reason) == ("reject", 'Two in "inner.bin"')
    verdict = weigh_by(profile, MIXED, part("Content-Type: text/plain", b"\1\2\3\4\5\6", "8bit"))
    assert (verdict.action, verdict.reason) == ("reject", "One in the message as it came")


@pytest.mark.parametrize(
    ("rule", "subject", "hit"),
    [
        ("Subject:[0-9]{5}", "win 12345 now", True),
        ("subject:[0-9]{5}", "win 1234 now", False),
        ("Subject:(?i)FREE", "=?utf-8?q?f=72ee?=", True),
        ("Subject: free $", "free", True),
        ("X-Other:free", "free", False),
    ],
)
def test_header_regex(weigh: Weigh, rule: str, subject: str, hit: bool) -> None:
    verdict = weigh(f'header_regex="{rule}"', f"Subject: {subject}\n")
    assert [finding.check for finding in verdict.findings] == ["HEADER_REGEX"] * hit


def test_a_file_that_begins_within_another_is_named(weigh: Weigh) -> None:
    body = b"\r\nbegin 644 a.txt\r\nhello\r\nbegin 644 evil.exe\r\n#86)C\r\n`\r\nend\r\n"
    assert weigh('filename_reject="*.exe"', "", body=body).action == "reject"


@pytest.mark.parametrize("lines", [100, 40_000])
def test_a_message_that_was_saved_with_bare_line_ends(weigh: Weigh, lines: int) -> None:
    saved = b"Subject: x\nContent-Type: image/gif\n\n" + b"a line of a long message\n" * lines
    body = part('Content-Type: application/octet-stream; name="a.eml"', saved)
    assert weigh('mime_reject="image/gif"', MIXED, body=body).text.startswith("MessageWall: MIME_REJECT/")


def test_a_name_alone_refuses_nothing(weigh: Weigh) -> None:
    body = part('Content-Type: text/plain; name="a.eml"', b"no header, only text\r\n" * 60_000)
    assert weigh('mime_reject="image/gif"\nencoding_invalid="0.1"', MIXED, body=body).action == "accept"


def test_epilogues_are_counted(weigh: Weigh) -> None:
    body = b"\r\n--b\r\n\r\nx" + b"\r\n--b--\r\nx" * 10_000
    assert weigh('filename_reject="*.exe"', MIXED, body=body).text.startswith("MessageWall: MIME/REJECT: ")


def test_content_fields_are_counted(weigh: Weigh) -> None:
    verdict = weigh('filename_reject="*.exe"', "Content-Type: a/b; name=c\n" * 101, body=b"\r\n")
    assert verdict.text == "MessageWall: MIME/REJECT: a header has one Content field more than 100 times"
