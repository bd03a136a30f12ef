"""What a file is, against what it says it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.message.kinds import contradiction, kind_of
from tests.fuzz import cases

MZ = b"MZ\x90\0\x03\0\0\0"
ELF = b"\x7fELF\x02\x01\x01"
ZIP = b"PK\x03\x04\x14\0\x08\x08\xff"
PAGE = b"<!DOCTYPE html><html>"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (MZ, "program"), (ELF, "program"), (b"#!/bin/sh", "program"), (b"\xca\xfe\xba\xbe", "program"),
        (OLE, "document"), (b"%PDF-1.4", "document"), (b"{\\rtf1", "document"), (ZIP, "archive"),
        (b"Rar!\x1a\x07\0", "archive"),
        (b"7z\xbc\xaf\x27\x1c", "archive"), (b"\x1f\x8b\x08", "archive"), (PAGE, "page"), (b"\r\n <HTML>", "page"),
        (b"\xef\xbb\xbf<script>", "page"), (b"\x89PNG\r\n", ""), (b"GIF89a", ""), (b"hello", ""), (b"", ""), (b"M", ""),
        (b" MZ", ""), (b"x<html>", ""),
    ],
)  # fmt: skip
def test_kind(head: bytes, kind: str) -> None:
    assert kind_of(head)[0] == kind
    assert bool(kind_of(head)[1]) == bool(kind)


@pytest.mark.parametrize(
    ("head", "types", "names"),
    [
        (MZ, ["image/png"], []),
        (MZ, [], ["a.png"]),
        (MZ, [], ["a.exe", "a.JPG"]),
        (MZ, ["application/octet-stream"], ["a.jpg. ."]),
        (MZ, ["application/octet-stream", "audio/x-wav"], ["a.exe"]),
        (MZ, ["text/plain"], []),
        (MZ, [], ["readme.txt"]),
        (MZ, ["application/pdf"], []),
        (MZ, [], ["a.docx"]),
        (ELF, ["video/mp4"], []),
        (b"#!/bin/sh", [], ["a.gif"]),
        (ZIP, ["image/gif"], []),
        (ZIP, ["text/plain"], []),
        (PAGE, ["image/png"], []),
        (PAGE, [], ["a.jpg"]),
        (OLE, [], ["a.mp3"]),
        (b"%PDF-1.4", ["image/tiff"], []),
    ],
)
def test_pretends(head: bytes, types: list[str], names: list[str]) -> None:
    assert contradiction(head, types, names) == kind_of(head)[1]


@pytest.mark.parametrize(
    ("head", "types", "names"),
    [
        (MZ, [], []),
        (MZ, ["application/octet-stream"], ["a.exe"]),
        (MZ, ["application/x-msdownload"], []),
        (MZ, ["application/vnd.microsoft.portable-executable"], []),
        (b"MZ is how it begins", ["text/plain"], ["a.txt"]),
        (b"#!/bin/sh", ["text/x-shellscript"], ["a.sh"]),
        (ZIP, ["application/zip"], ["a.zip"]),
        (ZIP, ["application/vnd.openxmlformats-officedocument.wordprocessingml.document"], ["a.docx"]),
        (OLE, ["application/msword"], ["a.doc"]),
        (PAGE, ["text/html"], ["a.html"]),
        (PAGE, ["text/plain"], ["a.txt"]),
        (b"GIF89a", ["image/png"], ["a.png"]),
        (b"\x89PNG", ["text/plain"], []),
        (b"", ["image/png"], ["a.png"]),
        (MZ, [], ["png", "a.png.exe"]),
    ],
)
def test_does_not_pretend(head: bytes, types: list[str], names: list[str]) -> None:
    assert contradiction(head, types, names) == ""


@cases(200)
@given(st.binary(max_size=40), st.lists(st.text(max_size=12), max_size=3), st.lists(st.text(max_size=12), max_size=3))
def test_anything(head: bytes, types: list[str], names: list[str]) -> None:
    assert contradiction(head, types, names) in ("", kind_of(head)[1])
