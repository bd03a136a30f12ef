"""messagewalltest(1): the real command over a real configuration says what the daemon would do, and does nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mwall.program.weighing import on_the_wire

PROJECT = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]

MESSAGE = b"""From: Ann <ann@example.net>
To: Joe <joe@example.org>
Subject: win
Content-Type: multipart/mixed; boundary=b

--b

click
--b
Content-Type: image/png; name="a.exe"; name="b\x1b.exe"

x
--b--
"""
PROFILE = (
    'reject_score="5"\nheader_reject="1,Subject:win"\nbody_rejecti="0.5,CLICK"\nfilename_reject="2,*.exe"\n'
    'encoding_invalid="0.5"\nto_required="1"\nmime_strip="image/*"\n'
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """run(message, options...) with a configuration in which `Look` and `Hard` judge."""
    (tmp_path / "profiles").mkdir()
    profiles = {"Medium": 'reject="0"', "Relay": 'reject="0"', "Look": PROFILE, "Hard": PROFILE.replace('"5"', '"2"')}
    for name, text in profiles.items():
        (tmp_path / "profiles" / name).write_text(text)
    (tmp_path / "local_domains").write_text("example.org\n")
    (tmp_path / "users").write_text('look@example.org="Look"\n')
    (tmp_path / "relays").write_text("192.0.2.9\n")
    file = tmp_path / "messagewall.conf"
    file.write_text(
        'listen_ip="127.0.0.1"\nbackend_ip="127.0.0.2"\ndomain="mx.example.org"\nspecial_users="users"\n'
        'relay_ips="relays"\n'
    )

    def started(message: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "mwall.program.messagewalltest", "-c", str(file), *options]
        return subprocess.run(command, input=message, capture_output=True, cwd=PROJECT, timeout=60, check=False)

    return started


def told(done: subprocess.CompletedProcess[bytes]) -> Any:
    """The JSON object that was printed."""
    assert done.stderr == b""
    return json.loads(done.stdout)


def test_a_message_that_passes(run: Run) -> None:
    done = run(MESSAGE, "-p", "Look", "--json")
    report = told(done)
    assert done.returncode == 0
    assert (report["action"], report["score"], report["limit"], report["profile"]) == ("accept", 4.0, 5.0, "Look")
    assert (report["from"], report["to"]) == ("<ann@example.net>", ["<joe@example.org>"])
    found = {one["check"]: one["score"] for check in report["checks"] for one in check["findings"]}
    assert found == {"HEADER_REJECT": 1.0, "BODY_REJECTI": 0.5, "FILENAME_REJECT": 2.0, "ENCODING_INVALID": 0.5}
    variables = [name for check in report["checks"] for name in check["variables"]]
    assert sorted(variables) == sorted(
        ["header_reject", "body_rejecti", "filename_reject", "encoding_invalid", "to_required"]
    )
    assert all(check["milliseconds"] >= 0 for check in report["checks"])
    assert [part["part"] for part in report["parts"]] == ["message", "1", "2"]
    assert report["parts"][2]["names"] == ["a.exe", "b\x1b.exe"]
    assert report["parts"][2]["faults"] == ["the parameter name is given twice"]
    assert report["acts"] == [{"check": "MIME_STRIP", "reason": 'cut out: image/png "a.exe"'}]


def test_a_message_that_is_refused(run: Run) -> None:
    done = run(MESSAGE, "-p", "Hard")
    assert (done.returncode, done.stderr) == (1, b"")
    assert b'refused: 554 5.7.1 MessageWall: FILENAME_REJECT/REJECT: "a.exe" matches *.exe\n' in done.stdout
    assert b"\x1b" not in done.stdout and all(octet < 127 for octet in done.stdout)


def test_which_profile(run: Run) -> None:
    assert told(run(MESSAGE, "--json"))["profile"] == "Medium"
    assert told(run(MESSAGE, "--json", "-r", "look@example.org"))["profile"] == "Look"
    assert told(run(MESSAGE, "--json", "-r", "look@example.org", "-i", "192.0.2.9"))["profile"] == "Relay"


def test_the_envelope_that_is_given(run: Run) -> None:
    report = told(run(MESSAGE, "--json", "-p", "Look", "-s", "<>", "-n", "mail.example", "-i", "2001:db8::1"))
    assert (report["from"], report["helo"], report["client"]) == ("<>", "mail.example", "2001:db8::1")
    report = told(run(MESSAGE, "--json", "-r", "look@example.org"))
    assert "TO_REQUIRED" in [one["check"] for check in report["checks"] for one in check["findings"]]


def test_a_profile_that_does_not_look_into_it(run: Run) -> None:
    assert b"parts    not looked into: " in run(MESSAGE, "-p", "Medium").stdout


def test_what_the_daemon_would_not_take_at_all(run: Run) -> None:
    done = run(b"From: a\r\n\r\nbare\nnewline\r\n", "-p", "Look")
    assert (done.returncode, b"550 5.5.2" in done.stdout) == (1, True)


@pytest.mark.parametrize(
    ("options", "status", "word"),
    [
        (("-p", "Lok"), 2, b"no profile is named Lok; there are Hard, Look, Medium, Relay"),
        (("-i", "x"), 2, b"is no IP address"),
        (("-r", "a b"), 2, b"-r a b: "),
        (("-p", "Look", "-r", "a@b"), 2, b"not allowed with"),
        (("nofile",), 66, b"messagewalltest: nofile: No such file or directory"),
        (("-c", "/none/messagewall.conf"), 1, b"/none/messagewall.conf: cannot be read"),
    ],
)
def test_wrong_use(run: Run, options: tuple[str, ...], status: int, word: bytes) -> None:
    done = run(MESSAGE, *options)
    assert (done.returncode, done.stdout) == (status, b"")
    assert word in done.stderr


@pytest.mark.parametrize(
    ("saved", "sent"),
    [
        (b"a: b\n\n.c\n", b"a: b\r\n\r\n..c\r\n.\r\n"),
        (b"a: b\r\n\r\n.c\r\n", b"a: b\r\n\r\n..c\r\n.\r\n"),
        (b".a", b"..a\r\n.\r\n"),
        (b"", b"\r\n.\r\n"),
    ],
)
def test_on_the_wire(saved: bytes, sent: bytes) -> None:
    assert on_the_wire(saved) == sent
