"""The log: to a real log daemon that comes and goes, to a stderr that nobody reads, and what stands in its lines."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.daemon.detached import Detached
from tests.daemon.harness import MESSAGE, PROJECT, Client, Daemon, Sink, Site, until
from tests.daemon.system_log import PrivateDev, Rsyslog


@pytest.fixture
def dev(tmp_path: Path, need_root: None, need_program: Callable[[str], str]) -> PrivateDev:
    return PrivateDev(tmp_path / "dev", need_program("unshare"))


@pytest.fixture
def rsyslog(dev: PrivateDev, tmp_path: Path, need_program: Callable[[str], str]) -> Iterator[Rsyslog]:
    log = Rsyslog(need_program("rsyslogd"), dev, tmp_path)
    yield log
    log.kill()


class Syslogging:
    """The daemon with log_to=syslog and a /dev of its own."""

    def __init__(self, daemon: Daemon, dev: PrivateDev) -> None:
        self.daemon = daemon
        self._dev = dev

    def start(self, stderr: IO[bytes] | None = None, **settings: object) -> None:
        """Starts it and waits until it serves."""
        site = self.daemon.site
        site.write(log_to="syslog", **settings)
        command = [*self._dev.prefix, *self.daemon.command("-f")]
        self.daemon.process = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.DEVNULL, stderr=stderr)
        until(lambda: _serves(site.port) and len(self.daemon.workers()) == 2, "the daemon")


def _serves(port: int) -> bool:
    try:
        with Client(port) as client:
            return client.greeting.startswith(b"220")
    except ConnectionError:
        return False


@pytest.fixture
def syslogging(daemon: Daemon, dev: PrivateDev) -> Syslogging:
    return Syslogging(daemon, dev)


def send(site: Site, count: int = 1, note: bytes = b"x") -> None:
    """Delivers messages, each over a connection of its own, so that every worker gets some."""
    for number in range(count):
        with Client(site.port) as client:
            assert client.message(b"X-Note: %s-%d\r\n" % (note, number) + MESSAGE).startswith(b"250")


class Load:
    """Delivers messages for as long as it lasts."""

    def __init__(self, site: Site) -> None:
        self.delivered = 0
        self._site = site
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._over.is_set():
            send(self._site)
            self.delivered += 1

    def more(self, count: int) -> None:
        """Waits until so many more were delivered."""
        goal = self.delivered + count
        until(lambda: self.delivered >= goal or not self._thread.is_alive(), f"{count} messages")
        assert self._thread.is_alive()

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


# To the log daemon


def test_lines_reach_the_log_daemon(syslogging: Syslogging, rsyslog: Rsyslog, sink: Sink, site: Site) -> None:
    rsyslog.start()
    syslogging.start()
    send(site)
    until(lambda: [line for line in rsyslog.lines() if "MESSAGE/ACCEPT" in line], "the line")
    accepted = [line for line in rsyslog.lines() if "MESSAGE/ACCEPT" in line]
    assert len(accepted) == 1
    assert re.match(
        r"mail\.info <22>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d messagewall\[\d+\]: "
        r"\{[12]\} \(127\.0\.0\.1\) MESSAGE/ACCEPT: id=",
        accepted[0],
    )
    started = [line for line in rsyslog.lines() if "started: 2 workers" in line]
    assert started and started[0].startswith("mail.notice ")


def test_json_to_another_facility(syslogging: Syslogging, rsyslog: Rsyslog, sink: Sink, site: Site) -> None:
    rsyslog.start()
    syslogging.start(log_format="json", syslog_facility="local3")
    send(site)
    until(lambda: [line for line in rsyslog.lines() if '"ACCEPT"' in line], "the line")
    assert all(line.startswith("local3.") for line in rsyslog.lines())
    objects = [json.loads(line.partition("]: ")[2]) for line in rsyslog.lines()]
    assert all({"worker", "module", "level"} <= set(one) for one in objects)
    assert [one["to"] for one in objects if one["level"] == "ACCEPT"] == ["<b@example.org>"]


def flow_again(rsyslog: Rsyslog, before: int) -> None:
    until(lambda: len(rsyslog.lines()) > before, "lines to flow again")


def test_log_daemon_restarted_under_load(syslogging: Syslogging, rsyslog: Rsyslog, sink: Sink, site: Site) -> None:
    rsyslog.start()
    syslogging.start()
    with Load(site) as load:
        for _ in range(3):
            load.more(10)
            rsyslog.kill()
            load.more(20)
            before = len(rsyslog.lines())
            rsyslog.start()
            flow_again(rsyslog, before)
        load.more(20)
    syslogging.daemon.signal(signal.SIGUSR1)
    until(lambda: "COUNTERS/INFO" in rsyslog.lines()[-1], "the counters")
    text = "\n".join(rsyslog.lines())
    lost = int(re.findall(r"log_lines_lost=(\d+)", text)[-1])
    noted = sum(map(int, re.findall(r"PROCESS/WARNING: (\d+) log lines were lost", text)))
    # Not counted: what the killed daemon had not yet read, each time a queue of the kernel's at most.
    queue = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 1
    assert lost >= 30 and 0 < noted <= lost  # a worker notes it with its next line
    assert text.count("MESSAGE/ACCEPT") + lost + 3 * queue >= load.delivered
    assert len(sink.messages()) == load.delivered


def test_log_daemon_that_comes_later(syslogging: Syslogging, rsyslog: Rsyslog, sink: Sink, site: Site) -> None:
    syslogging.start()
    send(site, 4)
    rsyslog.start()
    with Load(site):
        until(lambda: any("MESSAGE/ACCEPT" in line for line in rsyslog.lines()), "lines")
        until(lambda: any("log lines were lost" in line for line in rsyslog.lines()), "the count")


def test_log_process_killed(syslogging: Syslogging, rsyslog: Rsyslog, sink: Sink, site: Site) -> None:
    rsyslog.start()
    syslogging.start()
    (log,) = [child for child in syslogging.daemon.master.children() if child.cmdline()[0] == "messagewall: log"]
    workers = {worker.pid for worker in syslogging.daemon.workers()}
    log.kill()
    until(lambda: any("the log process has died" in line for line in rsyslog.lines()), "a clear word")
    (word,) = [line for line in rsyslog.lines() if "the log process has died" in line]
    assert word.startswith("mail.err ") and "{master} PROCESS/ERROR: " in word
    send(site, 5)
    until(lambda: sum("MESSAGE/ACCEPT" in line for line in rsyslog.lines()) == 5, "lines as before")
    # From now on they are lost, and nothing else is.
    rsyslog.kill()
    rsyslog.start()
    send(site, 5)
    assert {worker.pid for worker in syslogging.daemon.workers()} == workers
    assert len(sink.messages()) == 10
    syslogging.daemon.signal(signal.SIGTERM)
    assert syslogging.daemon.process is not None and syslogging.daemon.process.wait(20) == 0


def gets_lines(site: Site, lines: Callable[[], list[str]]) -> None:
    until(lambda: any("reloaded: " in line for line in lines()), "the new generation's line")
    send(site, 3)
    until(lambda: sum("MESSAGE/ACCEPT" in line for line in lines()) == 3, "the lines")


def test_a_reload_changes_where_the_log_goes(syslogging: Syslogging, rsyslog: Rsyslog, sink: Sink, site: Site) -> None:
    rsyslog.start()
    daemon = syslogging.daemon
    with daemon.log_file.open("ab") as stderr:
        syslogging.start(stderr)
    for to in ("stderr", "syslog"):
        site.write(log_to=to)
        daemon.signal(signal.SIGHUP)
        gets_lines(site, lambda: daemon.log().splitlines() if site.settings["log_to"] == "stderr" else rsyslog.lines())
    # The log process was there from the start, so a new log daemon is found again.
    rsyslog.kill()
    rsyslog.start()
    before = len(rsyslog.lines())
    with Load(site):
        flow_again(rsyslog, before)


def test_without_a_stderr_a_reload_does_not_log_to_it(
    site: Site, dev: PrivateDev, rsyslog: Rsyslog, sink: Sink
) -> None:
    rsyslog.start()
    site.write(log_to="syslog")
    daemon = Detached(site)
    try:
        assert daemon.launch(prefix=dev.prefix) == 0
        site.write(log_to="stderr")
        daemon.signal(signal.SIGHUP)
        until(lambda: any("reloaded: " in line for line in rsyslog.lines()), "the new generation's line")
        assert any("log_to changed in the file, which needs a restart" in line for line in rsyslog.lines())
        assert daemon.log() == ""
    finally:
        daemon.end()


# To stderr


@pytest.fixture
def unread(daemon: Daemon, site: Site) -> Iterator[Callable[[int], None]]:
    """Starts the daemon with this descriptor as its stderr."""

    def start(stderr: int) -> None:
        daemon.process = subprocess.Popen(daemon.command("-f"), cwd=PROJECT, stdin=subprocess.DEVNULL, stderr=stderr)
        os.close(stderr)
        until(lambda: _serves(site.port) and len(daemon.workers()) == 2, "the daemon")

    yield start


def drain(descriptor: int) -> bytes:
    """All that can be read now."""
    octets = b""
    while select.select([descriptor], [], [], 0)[0]:
        piece = os.read(descriptor, 65536)
        if not piece:
            break
        octets += piece
    return octets


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_stderr_that_nobody_reads_holds_nobody_up(
    unread: Callable[[int], None], daemon: Daemon, sink: Sink, site: Site, kind: str
) -> None:
    if kind == "pipe":
        reading, writing = os.pipe()
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    else:
        ours, theirs = socket.socketpair()
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        reading, writing = ours.detach(), theirs.detach()
    unread(writing)
    workers = {worker.pid for worker in daemon.workers()}
    send(site, 60)
    assert {worker.pid for worker in daemon.workers()} == workers
    assert len(sink.messages()) == 60
    early = drain(reading)
    assert 0 < early.count(b"MESSAGE/ACCEPT") < 60
    send(site, 10)
    late = drain(reading)
    assert b"MESSAGE/ACCEPT" in late
    assert re.search(rb"PROCESS/WARNING: \d+ log lines were lost", late)
    os.close(reading)


def test_the_flags_of_stderr_are_left_as_they_were(
    unread: Callable[[int], None], daemon: Daemon, sink: Sink
) -> None:
    """Whoever shares it, as the shell does, would find its own writes failing."""
    reading, writing = os.pipe()
    ours = os.dup(writing)
    unread(writing)
    assert os.get_blocking(ours)
    os.close(reading)
    os.close(ours)


# What stands in a line

HOSTILE = (
    b'EHLO [evil]=;"\\',
    b'MAIL FROM:<"a\\\\ \\"x=y"@example.net>',
    b"RCPT TO:<b@example.org>",
)
HOSTILE_MESSAGE_ID = b"Message-Id: <\x1b]0;owned\x07 \x7f\x9b\xff\xc3\xa9 \" \\ id=forged {1} MESSAGE/ACCEPT>\r\n"
FIELDS = ["id", "helo", "from", "to", "size", "message-id", "profile", "score", "checks", "backend", "reply",
          "receive", "check", "wait", "deliver"]  # fmt: skip


def text_fields(line: str) -> dict[str, str]:
    """The fields of a text line, unquoted."""
    found = {}
    rest = line.split(": ", 1)[1]
    while rest:
        match = re.match(r'([a-z-]+)=("(?:[^"\\]|\\.)*"|\S*)( |$)', rest)
        assert match is not None, rest
        value = match[2]
        found[match[1]] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        rest = rest[match.end() :]
    return found


def play_every_fate(site: Site, sink: Sink) -> None:
    """Messages that are accepted, refused, broken off, and not to be delivered, all with hostile octets."""
    head = HOSTILE_MESSAGE_ID + b"From: a\r\nTo: b@example.org\r\n"

    def begin() -> Client:
        client = Client(site.port)
        assert client.ask(*HOSTILE, b"DATA").startswith(b"354")
        return client

    def play(body: bytes, code: bytes) -> None:
        with begin() as client:
            client.send(body + b"\r\n.\r\n")
            assert client.reply().startswith(code)

    play(head + b"\r\nhello", b"250")
    play(head + b"X-Refused: \x1b\xffBAD\r\n\r\nhello", b"554")
    play(head + b"\r\nbare \n newline", b"550")
    play(head + b"Received: x\r\n" * 120 + b"\r\nloop", b"554")
    play(head + b"\r\n" + b"long\r\n" * 12000, b"552")
    with begin() as client:
        client.send(head)
    sink.stop()
    play(head + b"\r\nnobody there", b"451")


def test_one_line_for_each_message_and_nothing_raw_in_it(daemon: Daemon, sink: Sink, site: Site) -> None:
    rules = 'header_reject="5,X-Refused:BAD"\nheader_reject="0.5,Message-Id:owned"\nreject_score="2"\n'
    site.put("profiles/Strict", rules)
    lines: dict[str, list[str]] = {}
    for form in ("text", "json"):
        daemon.log_file.unlink(missing_ok=True)
        site.write(log_format=form, default_profile="Strict", max_message_size="64K")
        if sink.process is None:
            sink.start()
        daemon.start()
        play_every_fate(site, sink)
        daemon.end()
        raw = daemon.log_file.read_bytes()
        assert re.fullmatch(rb"[\x20-\x7e\n]*", raw)
        lines[form] = raw.decode().splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}"
    start = re.compile(stamp + r" messagewall: (\{\d\} \(127\.0\.0\.1\) MESSAGE/.*)")
    texts = [match[1] for line in lines["text"] if (match := start.fullmatch(line))]
    objects = [one for one in map(json.loads, lines["json"]) if one["module"] == "MESSAGE"]
    assert all(re.fullmatch(stamp, one["time"]) for one in objects)
    levels = ["ACCEPT", "REJECT", "REJECT", "REJECT", "REJECT", "TEMPORARY", "TEMPORARY"]
    assert sorted(line.split(": ")[0].rpartition("/")[2] for line in texts) == levels
    assert sorted(one["level"] for one in objects) == levels
    assert {one["client"] for one in objects} == {"127.0.0.1"} and {one["module"] for one in objects} == {"MESSAGE"}
    steady = [name for name in FIELDS if name not in ("id", "receive", "check", "wait", "deliver")]
    as_text = [text_fields(line) for line in texts]
    as_json = [{name: str(value) for name, value in one.items() if name in FIELDS} for one in objects]
    assert as_text[0].keys() == set(FIELDS)
    for one, other in zip(as_text, as_json, strict=True):
        assert list(one) == list(other) == [name for name in FIELDS if name in one]
        assert [one.get(name) for name in steady] == [other.get(name) for name in steady]
        assert one["helo"] == '[evil]=;"\\' and one["to"] == "<b@example.org>"
        assert all(re.fullmatch(r"\d+\.\d{3}", one[name]) for name in one if name in FIELDS[11:])
    assert "id=forged" in as_text[0]["message-id"] and "\\x1b" in as_text[0]["message-id"]
