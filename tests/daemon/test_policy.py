"""Profiles from end to end: who has which, what it refuses, what the message looks like that passes; and real mail."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import MESSAGE, PROJECT, Client, Daemon, Site
from tests.daemon.scripted_backend import ScriptedBackend

CORPUS = sorted((PROJECT / "tests" / "mail").glob("*/*.eml"))
OUR_FIELDS = re.compile(
    rb"\AReceived: from [ -~]+\r\n(?:[ \t][ -~]+\r\n)+"
    rb"X-MessageWall-Score: (-?[0-9.]+) \(mx\.example\.org\)\r\n"
    rb"((?:X-MessageWall-Warning: [ -~]+\r\n(?:[ \t][ -~]+\r\n)*)*)"
)
PROFILES = {
    "Key": 'reject_score="2"\nheader_reject="1,Subject:MONEY"\nheader_rejecti="1.5,Subject:prince"\n',
    "Tenths": 'reject_score="1"\n' + "".join(f'header_reject="0.1,Subject:{key}"\n' for key in "abcdefghij"),
    "Watch": 'mode="observe"\nreject_score="1"\nheader_rejecti="2,Subject:prince"\n',
    "Friend": 'reject_score="1"\nheader_rejecti="2,Subject:prince"\nclient_ip="-5,127.0.0.8/30"\n',
    "Bounce": 'from_required="1"\nreverse_path="2,bad.example.net"\nreverse_path=".worse.example.net"\n',
    "To": 'reject_score="1"\nto_required="1"\n',
    "Name": 'reject_score="1"\nrealname_required="1"\n',
}
SPECIAL_USERS = """abuse@example.org="None"
abuse+exact@example.org="Light"
key@example.org="Key"
tenths@example.org="Tenths"
watch@example.org="Watch"
friend@example.org="Friend"
bounce@example.org="Bounce"
to@example.org="To"
name@example.org="Name"
closed.example.org="Reject"
open@closed.example.org="Light"
.lists.example.org="Strong"
.near.lists.example.org="Light"
"""


class Front:
    """A daemon with these profiles before a backend that keeps what it gets."""

    def __init__(self, site: Site, backend: ScriptedBackend, daemon: Daemon) -> None:
        self.site = site
        self.backend = backend
        self.daemon = daemon
        self._messages = 0

    def deliver(
        self, recipient: bytes, message: bytes, source: str = "127.0.0.1", reverse_path: bytes = b""
    ) -> tuple[bytes, str]:
        """The reply to a message and its line in the log."""
        self._messages += 1
        with Client(self.site.port, source) as client:
            client.ask(b"EHLO m%d.example" % self._messages)
            answer = client.message(message, recipient, reverse_path or b"a@example.org", ehlo=False)
        return answer, self.daemon.logged(rf"MESSAGE/.* helo=m{self._messages}\.example ")

    def arrived(self) -> tuple[bytes, bytes, bytes]:
        """The last message: its score, the warnings put on top, and what is below them, unstuffed."""
        data = re.sub(rb"(?m)^\.", b"", self.backend.deliveries[-1].mail_data)
        match = OUR_FIELDS.match(data)
        assert match is not None, data[:500]
        return match[1], match[2], data[match.end() :]


@pytest.fixture(scope="module")
def shared_front(new_site: Callable[[], Site]) -> Iterator[Front]:
    site = new_site()
    for name, text in PROFILES.items():
        site.put(f"profiles/{name}", text)
    site.put("special_users", SPECIAL_USERS)
    site.put("local_domains", "example.org\n.example.org\n")
    site.put("relay_ips", "127.0.0.5\n127.0.1.0/24\n")
    site.write(processes=1, max_backends=2, special_users="special_users", relay_ips="relay_ips")
    daemon = Daemon(site)
    with ScriptedBackend(site.backend_port) as backend:
        daemon.start()
        try:
            yield Front(site, backend, daemon)
        finally:
            daemon.end()


@pytest.fixture
def front(shared_front: Front) -> Front:
    """The shared daemon, its backend without memory."""
    shared_front.backend.reset()
    return shared_front


def subject(text: bytes, head: bytes = b"From: A <a@example.org>\r\nTo: key@example.org\r\n") -> bytes:
    """A message with this subject."""
    return head + b"Subject: " + text + b"\r\n\r\nbody\r\n"


# Which profile


@pytest.mark.parametrize(
    ("recipient", "profile"),
    [
        (b"b@example.org", "Medium"),
        (b"b@sub.example.org", "Medium"),
        (b"postmaster", "Medium"),
        (b"abuse@example.org", "None"),
        (b"ABUSE@Example.ORG", "None"),
        (b"abuse+detail@example.org", "None"),
        (b"abuse+exact@example.org", "Light"),
        (b"open@closed.example.org", "Light"),
        (b"b@lists.example.org", "Medium"),
        (b"b@one.lists.example.org", "Strong"),
        (b"b@two.one.lists.example.org", "Strong"),
        (b"b@near.lists.example.org", "Strong"),
        (b"b@one.near.lists.example.org", "Light"),
    ],
)
def test_the_most_exact_entry_wins(front: Front, recipient: bytes, profile: str) -> None:
    answer, line = front.deliver(recipient, MESSAGE)
    assert answer.startswith(b"250 ") and f" profile={profile} " in line


def test_a_recipient_with_another_profile_is_452(front: Front) -> None:
    with Client(front.site.port) as client:
        client.ask(b"EHLO x", b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.org>")
        answer = client.ask(b"RCPT TO:<abuse@example.org>")
        assert re.fullmatch(rb"452 4\.5\.3 MessageWall: \w+/TEMPORARY: [ -~]+\r\n", answer)
        assert client.ask(b"RCPT TO:<c@example.org>").startswith(b"250 2.1.5 ")
        assert client.ask(b"DATA", MESSAGE + b".").startswith(b"250 ")
        assert client.message(MESSAGE, b"abuse@example.org", ehlo=False).startswith(b"250 ")
    assert [delivery.recipients for delivery in front.backend.deliveries] == [
        (b"RCPT TO:<b@example.org>", b"RCPT TO:<c@example.org>"),
        (b"RCPT TO:<abuse@example.org>",),
    ]


@pytest.mark.parametrize("source", ["127.0.0.5", "127.0.1.77"])
def test_relay_clients_send_anywhere_and_have_one_profile(front: Front, source: str) -> None:
    with Client(front.site.port, source) as client:
        client.ask(b"EHLO printer", b"MAIL FROM:<a@example.org>")
        for recipient in (b"b@example.net", b"abuse@example.org", b"key@example.org", b"b@closed.example.org"):
            assert client.ask(b"RCPT TO:<%s>" % recipient).startswith(b"250 2.1.5 ")
        answer = client.ask(b"DATA", subject(b"prince MONEY\nbare\rnewlines\0") + b".")
    assert answer.startswith(b"250 ")
    assert " profile=Relay " in front.daemon.logged("MESSAGE/ACCEPT: .* helo=printer ")
    assert b"bare\r\nnewlines\r\n" in front.arrived()[2], "always normalized"


def test_nobody_else_relays_nor_reaches_a_closed_domain(front: Front) -> None:
    with Client(front.site.port, "127.0.0.6") as client:
        client.ask(b"EHLO x", b"MAIL FROM:<a@example.org>")
        for recipient in (b"b@example.net", b"b@example.org.example.net", b"b@notexample.org", b"b@closed.example.org"):
            answer = client.ask(b"RCPT TO:<%s>" % recipient)
            assert re.fullmatch(rb"550 5\.7\.1 MessageWall: \w+/REJECT: [ -~]+\r\n", answer), recipient


# What a profile refuses

REFUSED = [
    (b"key@example.org", subject(b"MONEY from a prince"), rb"HEADER_REJECTI"),
    (b"key@example.org", subject(b"=?utf-8?q?MO=4EEY?= =?iso-8859-1?b?IFByaW5jZQ==?="), rb"HEADER_REJECTI"),
    (b"key@example.org", subject(b"MO\r\n NEY"), None),
    (b"key@example.org", subject(b"MONEY\r\n Prince"), rb"HEADER_REJECTI"),
    (b"key@example.org", subject(b"money prince"), None),
    (b"tenths@example.org", subject(b"abcdefghij"), rb"HEADER_REJECT"),
    (b"tenths@example.org", subject(b"abcdefghi"), None),
    (b"to@example.org", subject(b"x", b"From: a@example.org\r\nTo: c@example.org\r\n"), rb"TO_REQUIRED"),
    (b"to@example.org", subject(b"x", b"From: a@example.org\r\nCc: (c) X <to+folder@EXAMPLE.org>\r\n"), None),
    (b"name@example.org", subject(b"x", b"From: a@example.org\r\n"), rb"REALNAME_REQUIRED"),
    (b"name@example.org", subject(b"x", b'From: "A B" <a@example.org>\r\n'), None),
    (b"bounce@example.org", subject(b"x", b"From: c@example.org\r\n"), rb"FROM_REQUIRED"),
]


@pytest.mark.parametrize(("recipient", "message", "check"), REFUSED)
def test_what_the_profile_refuses(front: Front, recipient: bytes, message: bytes, check: bytes | None) -> None:
    answer, line = front.deliver(recipient, message)
    if check is None:
        assert answer.startswith(b"250 ") and "MESSAGE/ACCEPT" in line
    else:
        assert re.fullmatch(rb"554 5\.7\.1 MessageWall: " + check + rb"/REJECT: [ -~]+\r\n", answer)
        assert "MESSAGE/REJECT" in line and f"{check.decode()}:" in line and " backend=" not in line
        assert not front.backend.dots


@pytest.mark.parametrize(
    ("reverse_path", "refused"),
    [(b"a@bad.example.net", True), (b"a@x.bad.example.net", False), (b"a@x.worse.example.net", True),
     (b"a@worse.example.net", False)],
)  # fmt: skip
def test_reverse_path(front: Front, reverse_path: bytes, refused: bool) -> None:
    message = subject(b"x", b"From: <%s>\r\n" % reverse_path)
    if not refused:
        assert front.deliver(b"bounce@example.org", message, reverse_path=reverse_path)[0].startswith(b"250 ")
        return
    with Client(front.site.port) as client:  # what the envelope alone decides is refused before the message
        answer = client.ask(b"EHLO client.example", b"MAIL FROM:<%s>" % reverse_path, b"RCPT TO:<bounce@example.org>")
        assert answer.startswith(b"550 5.7.1 MessageWall: REVERSE_PATH/REJECT: ")
        assert client.ask(b"DATA").startswith(b"554 5.5.1 ")
    line = front.daemon.logged(rf"RECIPIENT/REJECT: from=<{re.escape(reverse_path.decode())}>.* checks=")
    assert " helo=client.example profile=" in line and " checks=REVERSE_PATH:" in line


def test_bounces_are_exempt_from_checks_that_need_an_address(front: Front) -> None:
    with Client(front.site.port) as client:
        message = subject(b"x", b"From: MAILER-DAEMON@example.net\r\n")
        assert client.message(message, b"bounce@example.org", b"").startswith(b"250 ")


def test_client_ip_lets_off(front: Front) -> None:
    message = subject(b"a prince")
    assert front.deliver(b"friend@example.org", message)[0].startswith(b"554 5.7.1 ")
    answer, line = front.deliver(b"friend@example.org", message, "127.0.0.9")
    assert answer.startswith(b"250 ") and " score=-3/1 " in line
    score, warnings, _ = front.arrived()
    assert score == b"-3" and b"HEADER_REJECTI" in warnings and b"CLIENT_IP" in warnings


def test_observe_refuses_nothing_and_says_so(front: Front) -> None:
    answer, line = front.deliver(b"watch@example.org", subject(b"a prince"))
    assert answer.startswith(b"250 ") and "MESSAGE/ACCEPT" in line and "HEADER_REJECTI:2" in line
    score, warnings, _ = front.arrived()
    assert score == b"2" and b"X-MessageWall-Warning: HEADER_REJECTI: " in warnings


# What passes


def test_warnings_are_added_below_the_limit(front: Front) -> None:
    answer, line = front.deliver(b"key@example.org", subject(b"a prince"))
    assert answer.startswith(b"250 ")
    assert " score=1.5/2 " in line and " checks=HEADER_REJECTI:1.5 " in line
    score, warnings, rest = front.arrived()
    assert score == b"1.5"
    assert re.fullmatch(rb"X-MessageWall-Warning: HEADER_REJECTI: [ -~]+(?:\r\n [ -~]+)* \(1\.5\)\r\n", warnings)
    assert rest == subject(b"a prince") + b"\r\n"


def test_fields_of_ours_from_outside_are_removed(front: Front) -> None:
    kept = b"Received: from x by y; Mon, 1 Jan 2024 00:00:00 +0000\r\nSubject: x\r\nXX-MessageWall-Score: 1\r\n"
    forged = (
        b"X-MessageWall-Score: -5 (mx.example.org)\r\n\tand more\r\n",
        b"x-messagewall-WARNING : none\r\n",
        b"X-MessageWall-Anything\t:\r\n folded\r\n",
    )
    body = b"\r\nX-MessageWall-Score: in the body\r\n"
    for mess in (b"".join(forged) + kept, kept + b"".join(forged), forged[0] + kept + forged[1] + forged[2]):
        assert front.deliver(b"abuse@example.org", mess + body)[0].startswith(b"250 ")
        assert front.arrived()[2] == kept + body + b"\r\n"


def test_a_first_line_of_an_mbox_is_passed_over(front: Front) -> None:
    front.deliver(b"abuse@example.org", b"From a@example.org Mon Jan  1 00:00:00 2024\r\n" + MESSAGE)
    assert front.arrived()[2] == MESSAGE + b"\r\n"


def test_the_received_field(front: Front) -> None:
    _, line = front.deliver(b"b@example.org", MESSAGE, "127.0.0.7")
    received = front.backend.deliveries[-1].mail_data.partition(b"\r\nX-MessageWall")[0].replace(b"\r\n\t", b" ")
    ours = re.search(r" id=(\S+) ", line)
    assert ours is not None
    assert re.fullmatch(
        rb"Received: from m\d+\.example \(\[127\.0\.0\.7\]\)\s+by mx\.example\.org \(MessageWall\) with ESMTP"
        rb"\s+id " + re.escape(ours[1].encode()) + rb"\s+for <b@example\.org>;\s+\w{3}, \d{1,2} \w{3} \d{4} "
        rb"\d\d:\d\d:\d\d [+-]\d{4}", received,
    )  # fmt: skip
    with Client(front.site.port) as client:
        client.ask(b"HELO old")
        assert client.message(MESSAGE, ehlo=False).startswith(b"250 ")
    assert b" with SMTP" in front.backend.deliveries[-1].mail_data


# What no profile lets pass


@pytest.mark.parametrize(("fields", "expected"), [(100, b"250 "), (101, b"554 5.4.6 MessageWall: ")])
def test_a_loop(front: Front, fields: int, expected: bytes) -> None:
    message = b"Received: from x by y; Mon, 1 Jan 2024 00:00:00 +0000\r\n" * fields + MESSAGE
    assert front.deliver(b"abuse@example.org", message)[0].startswith(expected)


@pytest.mark.parametrize("header", [b"X-A: b\r\n" * 10_001, b"X-A: " + b"b\r\n " * 300_000 + b"c\r\n"])
def test_a_header_out_of_all_measure(front: Front, header: bytes) -> None:
    answer, line = front.deliver(b"abuse@example.org", header + b"\r\nbody\r\n")
    assert answer.startswith(b"554 5.6.0 MessageWall: ") and "MESSAGE/REJECT" in line


# Real mail


def on_the_wire(path: Path) -> bytes:
    """A message as it is: CRLF line ends, not stuffed."""
    return path.read_bytes().replace(b"\n", b"\r\n")


def without_mbox_line(message: bytes) -> bytes:
    """The message proper."""
    return message.partition(b"\r\n")[2] if message.startswith(b"From ") else message


def send_all(front: Front, source: str) -> dict[str, bytes]:
    """The reply to each message of the corpus, all in one session."""
    answers = {}
    with Client(front.site.port, source) as client:
        client.ask(b"EHLO corpus.example")
        for path in CORPUS:
            stuffed = re.sub(rb"(?m)^\.", b"..", on_the_wire(path))
            client.ask(b"MAIL FROM:<>", b"RCPT TO:<abuse@example.org>", b"DATA")
            client.send(stuffed + b".\r\n")
            answers[path.name] = client.reply()
    return answers


def test_the_corpus_arrives_octet_for_octet(front: Front) -> None:
    assert len(CORPUS) == 199
    answers = send_all(front, "127.0.0.1")
    refused = {name: answer for name, answer in answers.items() if not answer.startswith(b"250 ")}
    assert list(refused) == ["0417f0ac75f5.eml"], "the one with bare CRs"
    assert refused["0417f0ac75f5.eml"].startswith(b"550 5.5.2 MessageWall: ")
    sent = [path for path in CORPUS if path.name not in refused]
    compare(front, sent)


def test_the_corpus_arrives_normalized(front: Front) -> None:
    """As from a relay client; bare_newline=normalize goes the same way."""
    assert all(answer.startswith(b"250 ") for answer in send_all(front, "127.0.0.5").values())
    compare(front, CORPUS)


@pytest.mark.parametrize(("bare_newline", "expected"), [("reject", b"550 5.5.2 "), ("normalize", b"250 ")])
def test_the_message_with_bare_crs(site: Site, daemon: Daemon, bare_newline: str, expected: bytes) -> None:
    (path,) = [path for path in CORPUS if path.name == "0417f0ac75f5.eml"]
    site.write(bare_newline=bare_newline, default_profile="None")
    with ScriptedBackend(site.backend_port) as backend:
        daemon.start()
        with Client(site.port) as client:
            client.ask(b"EHLO x", b"MAIL FROM:<>", b"RCPT TO:<b@example.org>", b"DATA")
            client.send(re.sub(rb"(?m)^\.", b"..", on_the_wire(path)) + b".\r\n")
            assert client.reply().startswith(expected)
        if bare_newline == "normalize":
            compare(Front(site, backend, daemon), [path])
        else:
            assert not backend.dots


def compare(front: Front, sent: list[Path]) -> None:
    """What the backend has is what was sent, below our fields, with CRLF line ends."""
    assert len(front.backend.deliveries) == len(sent)
    for path, delivery in zip(sent, front.backend.deliveries, strict=True):
        data = re.sub(rb"(?m)^\.", b"", delivery.mail_data)
        match = OUR_FIELDS.match(data)
        assert match is not None and match[1] == b"0" and not match[2]
        expected = re.sub(rb"\r\n|\r|\n", b"\r\n", without_mbox_line(on_the_wire(path)))
        assert data[match.end() :] == expected, path.name
