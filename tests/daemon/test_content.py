"""What a message says, from end to end: looked into, refused, cut, passed on as it came; files read again at a HUP."""

from __future__ import annotations

import base64
import io
import re
import signal
import zipfile
from collections.abc import Callable, Iterator

import pytest

from tests.daemon.front import Front
from tests.daemon.harness import PROJECT, Client, Daemon, Site, until
from tests.daemon.scripted_backend import ScriptedBackend

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
CORPUS = sorted((PROJECT / "tests" / "mail").glob("*/*.eml"))
PROFILES = {
    "Look": 'reject_score="5"\nvirus_scan="5,virus.patterns"\nbody_rejecti="5,buy viagra"\nfilename_reject="5,*.exe"\n'
    'encoding_invalid="0.5"\narchive_unreadable="0.5"\nbody_regex="5,[0-9]{20}"\n',
    "Strip": 'mime_strip="image/*"\nbody_reject="0.5,some text"\n',
    "Allow": 'mime_allow="text/plain"\n',
    "Watch": 'mode="observe"\nmime_strip="image/*"\nbody_reject="some text"\n',
}
HEAD = b'From: A <a@example.org>\r\nTo: b@example.org\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
TEXT = b"--b\r\n\r\nsome text\r\n"
PICTURE = b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"


@pytest.fixture(scope="module")
def shared_front(new_site: Callable[[], Site]) -> Iterator[Front]:
    site = new_site()
    for name, text in PROFILES.items():
        site.put(f"profiles/{name}", text)
    site.put("special_users", "".join(f'{name.lower()}@example.org="{name}"\n' for name in PROFILES))
    site.write(processes=1, max_backends=2, special_users="special_users", max_parts=50, max_depth=5)
    daemon = Daemon(site)
    with ScriptedBackend(site.backend_port, receive_octets=65536) as backend:
        daemon.start()
        try:
            yield Front(site, backend, daemon)
        finally:
            daemon.end()


def encoded(octets: bytes) -> bytes:
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")


def zipped(name: str, octets: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as members:
        members.writestr(name, octets)
    return archive.getvalue()


def with_file(octets: bytes) -> bytes:
    """A message with a text and a file in base64."""
    return HEAD + TEXT + PICTURE + encoded(octets) + b"--b--"


REFUSED = [
    (with_file(EICAR), rb"5\.7\.1 MessageWall: VIRUS_SCAN/REJECT: Eicar-Test-Signature in a part of type image/png"),
    (with_file(zipped("x", zipped("y", EICAR))), rb'5\.7\.1 MessageWall: VIRUS_SCAN/REJECT: Eicar-\S+ in "y"'),
    (with_file(zipped("run.exe", b"x")), rb'5\.7\.1 MessageWall: FILENAME_REJECT/REJECT: "run\.exe" matches \*\.exe'),
    (HEAD + b"--b\r\n\r\nBUY\r\n VIAGRA\r\n--b--", rb'5\.7\.1 MessageWall: BODY_REJECTI/REJECT: .* "buy viagra"'),
    (HEAD + b"--b\r\n\r\n" + b"7" * 20 + b"\r\n--b--", rb"5\.7\.1 MessageWall: BODY_REGEX/REJECT: [ -~]+"),
    (HEAD + TEXT * 51 + b"--b--", rb"5\.6\.0 MessageWall: MIME/REJECT: the message has more than 50 parts"),
]


@pytest.mark.parametrize(("message", "pattern"), REFUSED, ids=range(len(REFUSED)))
def test_refused_for_its_content(front: Front, message: bytes, pattern: bytes) -> None:
    answer, line = front.deliver(b"look@example.org", body=message)
    assert re.fullmatch(rb"554 " + pattern + rb"\r\n", answer)
    assert "MESSAGE/REJECT" in line and not front.backend.dots


def delivered(front: Front) -> bytes:
    """What is below our own fields."""
    data = front.backend.deliveries[-1].mail_data
    return data[data.index(b"From: A <a@example.org>") :]


@pytest.mark.parametrize("octets", [10, 200_000])
def test_a_part_is_cut_out_and_the_rest_is_as_it_was(front: Front, octets: int) -> None:
    text = TEXT + b"..stuffed\r\n" * (octets // 10)
    answer, line = front.deliver(b"strip@example.org", body=HEAD + text + PICTURE + encoded(b"x" * octets) + b"--b--")
    assert answer.startswith(b"250 ") and " checks=BODY_REJECT:0.5,MIME_STRIP:0 " in line
    assert delivered(front).rstrip() == HEAD + text + b"--b--"
    assert b"X-MessageWall-Warning: MIME_STRIP: cut out: image/png (0)\r\n" in front.backend.deliveries[-1].mail_data


def test_nothing_left(front: Front) -> None:
    answer, _ = front.deliver(b"allow@example.org", body=HEAD + PICTURE + encoded(b"x") + b"--b--")
    assert answer == b"554 5.7.1 MessageWall: MIME_ALLOW/REJECT: no part may stay: image/png\r\n"


def test_observed_it_passes_whole(front: Front) -> None:
    message = with_file(b"x")
    answer, _ = front.deliver(b"watch@example.org", body=message)
    assert answer.startswith(b"250 ") and delivered(front).rstrip() == message
    unfolded = front.backend.deliveries[-1].mail_data.replace(b"\r\n ", b" ")
    assert b"would be cut out" not in unfolded, "what is refused is not cut"
    assert b"OBSERVE: would have been refused: MessageWall: BODY_REJECT/REJECT" in unfolded


def test_a_large_message_that_is_looked_into_arrives_as_it_was(front: Front) -> None:
    message = HEAD + TEXT + b"\r\n".join([b"line %d" % number for number in range(400_000)]) + b"\r\n--b--"
    answer, _ = front.deliver(b"look@example.org", body=message)
    assert answer.startswith(b"250 ") and delivered(front).rstrip() == message


def test_dots_that_say_nothing_are_taken_away(front: Front) -> None:
    """The receiver takes one dot from each line: what stood behind it was a delimiter all along."""
    message = HEAD + TEXT + b".--b\r\n.Content-Type: image/png\r\n\r\nx\r\n..y\r\n.--b--"
    answer, _ = front.deliver(b"strip@example.org", body=message)
    assert answer.startswith(b"250 ") and delivered(front).rstrip() == HEAD + TEXT + b"--b--"


def test_every_message_of_the_corpus_is_judged(front: Front) -> None:
    codes = set()
    with Client(front.site.port) as client:
        client.ask(b"EHLO x")
        for file in CORPUS:
            body = file.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"").replace(b"\n", b"\r\n")
            body = body.removesuffix(b"\r\n").replace(b"\r\n.", b"\r\n..")
            codes.add(client.message(body, b"look@example.org", ehlo=False)[:9])
    assert codes <= {b"250 2.0.0", b"554 5.7.1"}
    assert "bug" not in front.daemon.log()


def test_patterns_are_read_again_at_a_hup(site: Site, daemon: Daemon, backend: ScriptedBackend) -> None:
    site.put("profiles/Medium", 'virus_scan="virus.patterns"')
    site.put("virus.patterns", "One=414243444546\n")
    daemon.start()

    def answer() -> bytes:
        with Client(site.port) as client:
            return client.message(HEAD + TEXT + PICTURE + encoded(b"\1\2\3\4\5\6") + b"--b--")

    assert answer().startswith(b"250 ")
    site.put("virus.patterns", "One=414243444546\nTwo=0102030405\n")
    daemon.signal(signal.SIGHUP)
    daemon.logged("reloaded")
    until(lambda: answer().startswith(b"554 5.7.1 MessageWall: VIRUS_SCAN/REJECT: Two in "), "the new pattern")
    site.put("virus.patterns", "One=41\nTwo=0g\n")
    daemon.signal(signal.SIGHUP)
    daemon.logged(rf"{site.folder}/virus\.patterns:1: ")
    daemon.logged(rf"{site.folder}/virus\.patterns:2: ")
    daemon.logged("reload: 2 faults; the configuration in force stays")
    assert answer().startswith(b"554 ")


def test_a_pattern_file_that_is_not_there_is_told_where_it_is_named(site: Site, daemon: Daemon) -> None:
    site.put("profiles/Medium", '# first\nvirus_scan="none.patterns"\nmime_rejct="a/b"\n')
    done = daemon.run("-t")
    assert (done.returncode, done.stdout) == (1, "")
    assert sorted(done.stderr.splitlines()) == [
        f"{site.folder}/profiles/Medium:2: virus_scan: none.patterns: cannot be read: No such file or directory; "
        "paths are inside root",
        f"{site.folder}/profiles/Medium:3: mime_rejct: there is no such variable; did you mean mime_reject?",
    ]


def test_a_pattern_file_without_a_pattern(site: Site, daemon: Daemon) -> None:
    site.put("virus.patterns", "# none yet\n")
    done = daemon.run("-t")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{site.folder}/virus.patterns: has no pattern; add one, or take out")
