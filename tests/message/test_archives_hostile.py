"""Archives as they should not be: each flaw is told, and what can be read comes out in every way it can be read."""

import gzip
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.archives import ArchiveLimits, Member, Unreadable, archive_kind, read_archive
from tests.fuzz import cases
from tests.message.test_archives import deflated, make_tar, make_zip, read
from tests.message.test_linear_time import best_seconds

A = [("a.txt", b"hello " * 20)]
B = [("b.exe", b"MZ" * 50)]
ZIP_A, ZIP_B, STORED_A = make_zip(A), make_zip(B), make_zip(A, zipfile.ZIP_STORED)


def changed(octets: bytes, at: int, new: bytes) -> bytes:
    return octets[:at] + new + octets[at + len(new) :]


def central(octets: bytes) -> int:
    return octets.index(b"PK\1\2")


def end(octets: bytes) -> int:
    return octets.rindex(b"PK\5\6")


def with_method(method: int) -> bytes:
    return changed(changed(ZIP_A, 8, bytes([method])), central(ZIP_A) + 10, bytes([method]))


def bzip2() -> bytes:
    return make_zip(A, zipfile.ZIP_BZIP2)


# What comes in, the files that come out, and a piece of the one reason.
ZIPS: dict[str, tuple[bytes, list[tuple[str, bytes]], str]] = {
    "encrypted": (changed(changed(ZIP_A, 6, b"\1"), central(ZIP_A) + 8, b"\1"), [("a.txt", b"")], "is encrypted"),
    "bzip2": (bzip2(), [("a.txt", b"")], "compressed by method 12, which is not read"),
    "deflate64": (with_method(9), [("a.txt", b"")], "compressed by method 9, which is not read"),
    "checksum": (
        changed(changed(ZIP_A, 14, b"abcd"), central(ZIP_A) + 16, b"abcd"), A, "has a wrong checksum",
    ),
    "size": (
        changed(changed(ZIP_A, 22, b"\1\0"), central(ZIP_A) + 24, b"\1\0"), A, "does not have the size it should",
    ),
    "local name": (
        changed(ZIP_A, 30, b"x"), [*A, ("x.txt", b"")], "differs between its local header and the directory",
    ),
    "local method": (
        changed(STORED_A, 8, b"\x08"), [*A, ("a.txt", b"")], "differs between its local header and the directory",
    ),
    "encrypted in the directory only": (
        changed(ZIP_A, central(ZIP_A) + 8, b"\1"), [("a.txt", b""), *A], "is encrypted",
    ),
    "NUL": (
        ZIP_A.replace(b"a.txt", b"a\0txt"), [("a\0txt", A[0][1]), ("a", b"")], "has a NUL in its name",
    ),
    "announced": (changed(ZIP_A, end(ZIP_A) + 8, b"\xff\xff\xff\xff"), A, "65535 entries announced, 1 in the dir"),
    "volume": (changed(ZIP_A, end(ZIP_A) + 4, b"\1"), A, "one volume of several"),
    "comment": (changed(ZIP_A, end(ZIP_A) + 20, b"\1"), A, "the comment is cut short"),
    "no directory": (ZIP_A[: central(ZIP_A)], A, "no directory"),
    "directory elsewhere": (changed(ZIP_A, end(ZIP_A) + 12, b"\1\2\3\4\5"), A, "no directory"),
    "cut in the data": (ZIP_A[:40], [("a.txt", b"hell")], "is cut short"),
    "stray in front": (ZIP_A[: central(ZIP_A)] + ZIP_B, B + A, '"a.txt" stands in no directory'),
    "stray behind": (ZIP_A + ZIP_B[: central(ZIP_B)], A + B, '"b.exe" stands in no directory'),
    "stray between": (
        b"junk" + ZIP_B[: central(ZIP_B)] + b"junk" + ZIP_A, A + B, '"b.exe" stands in no directory',
    ),
    "two zips": (ZIP_A + ZIP_B, B + A, "several end records"),
    "two zips with junk": (b"junk" + ZIP_A + bytes(100_000) + ZIP_B, B + A, "several end records"),
    "end record in the comment": (make_zip(A, comment=b"PK\5\6" + bytes(18)), A, "several end records"),
    "zip in the comment": (make_zip(A, comment=ZIP_B), B + A, "several end records"),
    "no local header": (
        changed(ZIP_A, central(ZIP_A) + 42, b"\7"), [("a.txt", b""), *A], "has no local header where the directory",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ZIPS)
def test_zip(name: str) -> None:
    octets, files, reason = ZIPS[name]
    found, reasons = read(octets)
    assert found == files
    assert any(reason in told for told in reasons), reasons


def test_zip_entries_that_share_or_overlap() -> None:
    two = make_zip([("a", b"1"), ("b", b"2")], zipfile.ZIP_STORED)
    second = two.rindex(b"PK\1\2")
    assert 'zip: "b" shares its data with another entry' in read(changed(two, second + 42, bytes(4)))[1]
    longer = changed(changed(two, central(two) + 20, b"\x40"), central(two) + 24, b"\x40")
    files, reasons = read(longer)
    assert "zip: entries overlap" in reasons
    assert ("b", b"2") in files


def test_zip_inner_is_not_taken_for_a_second_one() -> None:
    assert read(make_zip([("inner.zip", ZIP_A), *B], zipfile.ZIP_STORED))[1] == []


def test_what_is_tar_and_zip() -> None:
    front = block("PK\3\4", 512) + bytes(512)
    files, reasons = read(front + ZIP_B)
    assert B[0] in files
    assert "tar: a piece of a zip in a header" in reasons


def test_what_stands_before_a_flaw_comes_out() -> None:
    text = random.Random(1).randbytes(30_000).hex().encode()
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(text) + packer.flush(zlib.Z_FULL_FLUSH) + b"\7no block"
    assert read(PACKED[:10] + data) == ([("outer", text)], ["gzip: the data is corrupt"])


PACKED = gzip.compress(b"abc")
GZIPS = {
    "checksum": (PACKED[:-8] + b"abcd" + PACKED[-4:], "checksum or length is wrong"),
    "length": (PACKED[:-4] + b"abcd", "checksum or length is wrong"),
    "cut trailer": (PACKED[:-1], "cut short behind the data"),
    "junk": (PACKED + b"junk", "other octets behind the end"),
    "zip behind": (PACKED + bytes(9) + ZIP_A, "other octets behind the end"),
    "reserved": (changed(PACKED, 3, b"\x80"), "reserved flags are set"),
    "second is cut": (PACKED + PACKED[:9], "the header is cut short"),
    "header checksum": (changed(PACKED, 3, b"\2")[:10] + b"xx" + PACKED[10:], "the header's checksum is wrong"),
}


@pytest.mark.parametrize("name", GZIPS)
def test_gzip(name: str) -> None:
    octets, reason = GZIPS[name]
    files, reasons = read(octets, "a.gz")
    assert files[0] == ("a", b"abc")
    assert reasons == [f"gzip: {reason}"]
    assert (name == "zip behind") == (len(files) > 1)


@pytest.mark.parametrize("octets", [PACKED[:5], changed(PACKED, 3, b"\x08")[:14]])
def test_gzip_without_data(octets: bytes) -> None:
    files, reasons = read(octets)
    assert (files, len(reasons)) == ([("outer", b"")], 1)


def block(name: str, size: int = 0, kind: bytes = b"0", **fields: object) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def with_sum(header: bytes) -> bytes:
    header = changed(header, 148, b" " * 8)
    return changed(header, 148, b"%06o\0 " % sum(header))


def pax(*records: str) -> bytes:
    data = "".join(records).encode()
    return block("p", len(data), b"x") + data + bytes(-len(data) % 512)


DATA = b"data".ljust(512, b"\0")
TARS: dict[str, tuple[bytes, list[tuple[str, bytes]], str]] = {
    "checksum": (block("a") + changed(block("x", 4), 148, b"1") + DATA + block("b"), [("a", b""), ("b", b"")],
                 "a header is wrong"),
    "cut content": (block("a", 9) + b"data", [("a", b"data")], "cut short"),
    "cut header": (block("a") + b"data", [("a", b"")], "cut short"),
    "behind the end": (block("a") + bytes(1024) + block("b", 4) + DATA, [("a", b""), ("b", b"data")],
                       "files behind the end"),
    "junk behind the end": (block("a") + bytes(1024) + DATA, [("a", b"")], "octets behind the end"),
    "sizes": (pax("10 size=4\n") + block("a", 9) + DATA, [("a", b"data")], '"a" has two sizes'),
    "size": (with_sum(changed(block("a"), 124, b"\xff" * 12)) + block("b"), [("b", b"")], "a size is no number"),
    "link with a size": (block("l", 4, b"1") + block("b"), [("l", b""), ("b", b"")], '"l" is no file, yet has a size'),
    "sparse": (block("a", 4, b"S") + DATA, [("a", b"data")], "is sparse, which is not read"),
    "pax sparse": (pax("21 GNU.sparse.name=s\n") + block("a", 4) + DATA, [("s", b"data"), ("a", b"")], "is sparse"),
    "unknown type": (block("a", 4, b"Z") + DATA, [("a", b"data")], "is of an unknown type"),
    "pax record": (pax("99 path=x\n") + block("a"), [("a", b"")], "an extended header is wrong"),
    "two long names": (pax("10 path=x\n") + block("n", 1, b"L") + b"y".ljust(512, b"\0") + block("a"),
                       [("x", b""), ("y", b"")], "two long names"),
    "endless name": (block("n", 1 << 20, b"L") + bytes(1 << 20) + block("a"), [("a", b"")], "is too long"),
    "zip in names": (block("PK\5\6") + block("b"), [("PK\5\6", b""), ("b", b"")], "a piece of a zip in a header"),
}  # fmt: skip


@pytest.mark.parametrize("name", TARS)
def test_tar(name: str) -> None:
    octets, files, reason = TARS[name]
    for found, reasons in (read(octets), read(gzip.compress(octets))):
        assert found[-len(files) :] == files
        assert len(reasons) == 1 and reason in reasons[0], reasons


def test_tar_kinds_without_content() -> None:
    octets = block("l", kind=b"2", linkname="x") + block("d/", kind=b"5") + block("old/", kind=b"\0") + block("f")
    assert read(octets + bytes(1024)) == ([("l", b""), ("d/", b""), ("old/", b""), ("f", b"")], [])
    v7 = with_sum(changed(block("a", 4), 257, bytes(8))) + DATA
    assert read(v7) == ([("a", b"data")], [])
    base256 = with_sum(changed(block("a", 4), 124, b"\x80" + bytes(10) + b"\4")) + DATA
    assert read(base256) == ([("a", b"data")], [])
    for_all = with_sum(changed(pax("10 path=x\n")[:512], 156, b"g")) + pax("10 path=x\n")[512:]
    assert read(for_all + block("a")) == ([("x", b""), ("a", b"")], [])


SEEDS = [
    ZIP_A + ZIP_B,
    make_zip([("x.tgz", gzip.compress(make_tar(A + B, tarfile.PAX_FORMAT))), ("y.zip", ZIP_A)]),
    make_zip([("x.zip", ZIP_A), ("y.tar", make_tar(A))], zipfile.ZIP_STORED, b"comment"),
    make_tar([("n" * 200, b"x" * 700), ("z.zip", ZIP_B)]),
    pax("10 size=4\n", "10 path=x\n") + block("a", 9) + DATA,
    gzip.compress(make_tar(A)) + PACKED + bytes(10),
    gzip.compress(ZIP_A),
]


@cases(400)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 11_000), st.binary(max_size=8), st.integers(0, 8)), max_size=5),
    st.sampled_from(["", "zip", "gzip", "tar"]),
)
def test_mutated_archives_never_raise(octets: bytes, edits: list[tuple[int, bytes, int]], kind: str) -> None:
    for at, new, instead in edits:
        at %= len(octets)
        octets = (octets[:at] + new + octets[at + instead :]) or b"\0"
    limits = ArchiveLimits(octets=100_000, members=50, held=10_000)
    began = False
    for event in read_archive(octets, kind or archive_kind(octets), "x.gz", limits):
        began = began or isinstance(event, Member)
        assert began or isinstance(event, Unreadable) or not event
    assert limits.held == 10_000


@cases(200)
@given(st.binary(max_size=2_000), st.sampled_from(["zip", "gzip", "tar"]))
def test_any_octets_never_raise(octets: bytes, kind: str) -> None:
    assert list(read_archive(octets, kind, "x", ArchiveLimits())) is not None


def packed(times: int) -> bytes:
    return gzip.compress(b"")[:10] + deflated(b"abc" * 100, times * 10)


STRAY = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, 5, 5, 1, 0) + b"a"
STREAM = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 8, 8, 0, 0, 0, 0, 0, 1, 0) + b"a"
LINEAR: dict[str, Callable[[int], bytes]] = {
    "local headers": lambda times: STRAY * times,
    "local headers with streams that do not end": lambda times: (STREAM + b"\0\1\0\xfe\xff") * times,
    "signatures": lambda times: b"PK\3\4" * 9 * times,
    "end signatures": lambda times: b"PK\3\4" + b"PK\5\6" * 9 * times,
    "empty ends": lambda times: b"PK\3\4" + (b"PK\5\6" + bytes(18)) * times,
    "empty blocks": lambda times: PACKED[:10] + b"\0\0\0\xff\xff" * 9 * times,
    "deflated": packed,
    "entries": lambda times: make_zip([(str(number), b"") for number in range(times)]),
    "one local header for all": lambda times: (
        ZIP_A[: central(ZIP_A)]
        + ZIP_A[central(ZIP_A) : end(ZIP_A)] * times
        + changed(ZIP_A[end(ZIP_A) :], 12, struct.pack("<L", (end(ZIP_A) - central(ZIP_A)) * times))
    ),
    "pax records": lambda times: pax("6 a=b\n" * times * 2),
    "tar headers": lambda times: block("a") * times,
    "wrong tar headers": lambda times: block("a") + changed(block("a"), 0, b"b") * times,
    "members": lambda times: PACKED * times,
    "zeros behind": lambda times: PACKED + bytes(50 * times),
}


@pytest.mark.parametrize("name", LINEAR)
def test_linear_time(name: str) -> None:
    small, large = LINEAR[name](400), LINEAR[name](6_400)

    def work(octets: bytes) -> Callable[[], object]:
        return lambda: [0 for _ in read_archive(octets, archive_kind(octets), "x", ArchiveLimits(members=100_000))]

    assert best_seconds(work(large)) < 80 * max(best_seconds(work(small)), 0.0005)


def test_kind_is_cheap() -> None:
    octets = random.Random(2).randbytes(20 << 20)
    begun = process_time()
    assert [archive_kind(octets) for _ in range(100)] == [""] * 100
    assert process_time() - begun < 0.1
