"""Archives as they should be: made by the standard library, read back without a finding; nested ones, and limits."""

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.archives import ArchiveLimits, Member, Unreadable, archive_kind, read_archive
from tests.fuzz import cases

Files = list[tuple[str, bytes]]


def read(octets: bytes, name: str = "outer", limits: ArchiveLimits | None = None) -> tuple[Files, list[str]]:
    """The files with their content, and the reasons of what is unreadable."""
    files: list[tuple[str, bytearray]] = []
    reasons = []
    for event in read_archive(octets, archive_kind(octets), name, limits or ArchiveLimits()):
        if isinstance(event, Member):
            files.append((event.name, bytearray()))
        elif isinstance(event, Unreadable):
            reasons.append(event.reason)
            assert event.reason.isascii() and event.reason.isprintable() and len(event.reason) < 200
        elif event:
            assert len(event) <= 65_536
            files[-1][1].extend(event)
    return [(file, bytes(content)) for file, content in files], reasons


def make_zip(files: Files, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
        archive.comment = comment
    return made.getvalue()


def make_tar(files: Files, form: int = tarfile.GNU_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


class Unseekable(io.RawIOBase):
    """What makes zipfile write data descriptors."""

    def __init__(self) -> None:
        self.octets = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, octets: bytes) -> int:  # type: ignore[override]
        self.octets += octets
        return len(octets)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0/\\"), min_size=1, max_size=120)
SMALL = st.binary(max_size=300).filter(lambda content: not archive_kind(content))
CONTENTS = SMALL | st.integers(0, 200_000).map(lambda size: b"ab" * size)
FILES = st.lists(st.tuples(NAMES, CONTENTS), max_size=4, unique_by=lambda file: file[0])


@cases(60)
@given(FILES, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]), st.binary(max_size=50))
def test_zip_as_the_standard_library_makes_it(files: Files, method: int, comment: bytes) -> None:
    if b"PK" not in comment:
        assert read(make_zip(files, method, comment)) == (files, [])


@cases(40)
@given(FILES, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
def test_zip_with_sizes_behind_the_data(files: Files, method: int) -> None:
    made = Unseekable()
    with zipfile.ZipFile(made, "w", method) as archive:  # type: ignore[call-overload]
        for name, content in files:
            with archive.open(name, "w", force_zip64=len(content) % 2 == 0) as file:
                file.write(content)
    assert read(bytes(made.octets)) == (files, [])


@cases(60)
@given(FILES, st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_tar_as_the_standard_library_makes_it(files: Files, form: int) -> None:
    try:
        octets = make_tar(files, form)
    except ValueError:
        return  # too long for ustar
    found, reasons = read(octets) if files else (files, [])
    if form == tarfile.PAX_FORMAT:  # the short name for unpackers that know no pax is told as well
        found = [file for file in found if file[0] in dict(files)]
        assert dict(found) | dict(files) == dict(found)
    else:
        assert found == files
    assert reasons == []


@cases(40)
@given(st.lists(CONTENTS, min_size=1, max_size=4), st.integers(0, 600))
def test_gzip_of_several_members_and_padding(contents: list[bytes], zeros: int) -> None:
    octets = b"".join(map(gzip.compress, contents)) + bytes(zeros)
    assert read(octets, "a.txt.gz") == ([("a.txt", b"".join(contents))], [])


@cases(100)
@given(st.lists(st.binary(max_size=700), max_size=6).map(b"".join) | st.binary(max_size=5000))
def test_what_is_no_archive(octets: bytes) -> None:
    if octets[:2] not in (b"PK", b"\x1f\x8b"):
        assert archive_kind(octets) == archive_kind(memoryview(octets)) == archive_kind(bytearray(octets)) == ""


def test_kinds() -> None:
    assert archive_kind(make_zip([])) == archive_kind(b"MZ" * 70_000 + make_zip([("a", b"")])) == "zip"
    assert archive_kind(gzip.compress(b"")) == "gzip"
    assert [archive_kind(make_tar([("a", b"")], form)) for form in (0, 1, 2)] == ["tar"] * 3
    assert archive_kind(b"") == archive_kind(b"hello" * 30_000) == archive_kind(bytes(10_240)) == ""


@pytest.mark.parametrize("front", [b"#!/bin/sh\n" * 9, b"MZ" + bytes(70_000), b"\x7fELF PK\x03\x04 PK\x05\x06"])
def test_self_extracting_zip(front: bytes) -> None:
    files = [("a", b"1"), ("folder/", b""), ("b", b"22")]
    assert read(front + make_zip(files)) == (files, [])
    made = io.BytesIO(front)  # offsets mended
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr("a", b"1")
    assert read(made.getvalue()) == ([("a", b"1")], [])
    assert read(front + make_zip(files) + b"a signature behind it") == (files, [])


def test_names() -> None:
    octets = make_zip([("aa", b""), ("b" * 80, b"")])
    assert read(octets.replace(b"aa", b"\x81\x82"))[0][0][0] == "\xfc\xe9"  # cp437
    assert read(octets.replace(b"aa", "\xe4".encode()))[0][0][0] == "\xe4"  # UTF-8 without the flag
    assert read(gzip.compress(make_tar([("x", b"y")])), "A.TGZ")[0] == [
        ("A.tar", make_tar([("x", b"y")])),
        ("x", b"y"),
    ]
    named = b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff\x02\0exinside\0comment\0"
    named += struct.pack("<H", zlib.crc32(named) & 0xFFFF) + gzip.compress(b"abc")[10:]
    assert read(named, "a.exe.gz") == ([("inside", b"abc"), ("a.exe", b"")], [])


def test_unicode_path() -> None:
    for crc, reasons in ((zlib.crc32(b"a.txt"), []), (0, ["has a Unicode name that contradicts the plain one"])):
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:
            info = zipfile.ZipInfo("a.txt")
            info.extra = b"\0\0\0\0" + struct.pack("<2HBL5s", 0x7075, 10, 1, crc, b"a.exe")
            archive.writestr(info, b"1")
        assert read(made.getvalue()) == (
            [("a.txt", b"1"), ("a.exe", b"")],
            [f'zip: "a.txt" {reason}' for reason in reasons for _ in range(2)],
        )


def test_nested() -> None:
    inner = make_zip([("evil.exe", b"MZ")])
    in_tar = make_tar([("a.zip", inner), ("b.txt", b"b")])
    octets = make_zip([("t.tgz", gzip.compress(in_tar)), ("sfx", b"MZ" + inner)], zipfile.ZIP_STORED)
    files, reasons = read(octets)
    assert [name for name, _ in files] == [
        "t.tgz", "t.tar", "a.zip", "evil.exe", "b.txt", "sfx", "evil.exe",
    ]  # fmt: skip
    assert (dict(files)["t.tar"], dict(files)["a.zip"], reasons) == (in_tar, inner, [])


def test_depth() -> None:
    octets = b"deep"
    for _ in range(4):
        octets = make_zip([("a", octets)])
    assert read(octets, limits=ArchiveLimits(depth=4))[1] == []
    files, reasons = read(octets, limits=ArchiveLimits(depth=3))
    assert (len(files), reasons) == (3, ["archives inside one another too deep"])


def test_held() -> None:
    inner = make_zip([("a", bytes(range(256)) * 40)], zipfile.ZIP_STORED)
    for front, name in ((b"", "plain"), (b"MZ" * 100, "sfx")):
        octets = make_zip([(name, front + inner), ("small", make_zip([("b", b"")])), ("image", bytes(20_000))])
        limits = ArchiveLimits(held=5_000)
        files, reasons = read(octets, limits=limits)
        assert [file for file, _ in files] == [name, "small", "b", "image"]
        assert reasons == [f'"{name}" is too large to be looked into']
        assert limits.held == 5_000
    limits = ArchiveLimits(held=5_000)
    big = make_tar([("a", bytes(50_000)), ("b.zip", make_zip([("c", b"")]))])
    files, reasons = read(gzip.compress(big), "x.tgz", limits)
    assert [file for file, _ in files] == ["x.tar", "a", "b.zip", "c"], "a tar in a gzip is not held"
    assert reasons == []


def test_one_object_of_limits_for_a_message() -> None:
    limits = ArchiveLimits(octets=1_000, members=5)
    octets = make_zip([("a", bytes(300))])
    assert [read(octets, limits=limits)[1] for _ in range(2)] == [[], []]
    assert read(octets, limits=limits)[1] == ["more than 1000 octets when unpacked"]
    assert read(octets, limits=limits) == ([("a", b"")], ["more than 1000 octets when unpacked"])


def deflated(unit: bytes, times: int) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return b"".join([packer.compress(unit) for _ in range(times)]) + packer.flush()


def zip_bomb(depth: int) -> bytes:
    octets = make_zip([("0", bytes(20 << 20))])
    for _ in range(depth):
        octets = make_zip([(f"{number}.zip", octets) for number in range(16)])
    return octets


def overlapping(number: int, size: int) -> bytes:
    """David Fifield's: each entry quotes the next local header in a stored block, all end in one kernel."""
    kernel = deflated(bytes(1 << 16), size >> 16)
    octets, packed, unpacked, directory = b"", len(kernel), size, []
    octets = kernel
    for index in range(number):
        if index:
            octets = struct.pack("<BHH", 0, 31, 31 ^ 0xFFFF) + octets
            packed, unpacked = packed + 36, unpacked + 31
        octets = struct.pack("<4s5H3L2Hs", b"PK\3\4", 20, 0, 8, 0, 0, 0, packed, unpacked, 1, 0, b"a") + octets
        directory.append((packed, unpacked, len(octets)))
    central = b"".join(
        struct.pack("<4s6H3L5H2Ls", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, packed, size, 1, 0, 0, 0, 0, 0,
                    len(octets) - back, b"a")
        for packed, size, back in reversed(directory)
    )  # fmt: skip
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number, number, len(central), len(octets), 0)
    return octets + central + end


GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
EMPTY_ENTRY = tarfile.TarInfo("e").tobuf()
TOO_LARGE, TOO_MANY = "more than 67108864 octets when unpacked", "more than 10000 files in archives"
BOMBS = {
    "zeros": (lambda: GZIP + deflated(bytes(1 << 20), 1024), TOO_LARGE),
    "nested zips": (lambda: zip_bomb(4), TOO_LARGE),
    "overlapping": (lambda: overlapping(250, 20 << 20), TOO_LARGE),
    "overlapping and many": (lambda: overlapping(5_000, 1 << 16), TOO_LARGE),
    "empty tar entries": (lambda: EMPTY_ENTRY * 100_000, TOO_MANY),
    "empty tar entries, packed": (lambda: GZIP + deflated(EMPTY_ENTRY * 1000, 1000), TOO_MANY),
    "entries": (lambda: make_zip([(str(number), b"") for number in range(65_535)]), TOO_MANY),
    "gzip members": (lambda: (gzip.compress(b"") + b"\0") * 100_000, TOO_MANY),
    "corrupt": (
        lambda: make_zip([(str(n), b"abc") for n in range(9_000)]).replace(b"KLJ\6\0", b"\xff" * 5),
        TOO_LARGE,
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str) -> None:
    make, reason = BOMBS[name]
    octets = make()
    longest, begun = 0.0, process_time()
    seen, last = set(), begun
    for event in read_archive(octets, archive_kind(octets), "x", ArchiveLimits()):
        if isinstance(event, Unreadable):
            seen.add(event.reason)
        now = process_time()
        longest, last = max(longest, now - last), now
    assert reason is None or reason in seen
    assert process_time() - begun < 2, "some tenths of a second, on a machine that is not busy"
    assert longest < 0.1
