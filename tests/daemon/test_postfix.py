"""Before a real Postfix, with a configuration, a queue and a port of its own, that knows one domain and its users."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.daemon.harness import MESSAGE, Client, Daemon, Site, until

MAIN_CF = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = backend.example.org
mynetworks =
mydestination =
alias_maps =
alias_database =
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_security_level = none
virtual_mailbox_domains = example.org
virtual_mailbox_maps = inline:{{ b@example.org=b/ c@example.org=c/ }}
virtual_mailbox_base = {folder}/mail
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 100
"""
MASTER_CF = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """A Postfix of our own; start() and stop() as often as one likes."""

    def __init__(self, program: str, folder: Path, port: int) -> None:
        self.program = program
        self.folder = folder
        self.port = port
        for name in ("conf", "queue", "data", "mail"):
            (folder / name).mkdir(parents=True)
        shutil.chown(folder / "data", "postfix")
        shutil.chown(folder / "mail", 65534, 65534)
        (folder / "conf" / "main.cf").write_text(MAIN_CF.format(folder=folder))
        (folder / "conf" / "master.cf").write_text(MASTER_CF.format(port=port))

    def command(self, word: str) -> None:
        """postfix start, or another of its commands."""
        command = [self.program, "-c", str(self.folder / "conf"), word]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr + self.log()

    def start(self) -> None:
        """Starts it and waits until it greets."""
        self.command("start")
        until(self._greets, f"Postfix: {self.log()}")

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
                return sock.recv(3) == b"220"
        except OSError:
            return False

    def stop(self) -> None:
        """Ends its master, which ends the others with it, by its number."""
        file = self.folder / "queue" / "pid" / "master.pid"
        number = int(file.read_text()) if file.exists() else 0
        if number and psutil.pid_exists(number):
            master = psutil.Process(number)
            processes = [master, *master.children()]
            master.terminate()
            _, left = psutil.wait_procs(processes, 10)
            for process in left:
                process.kill()

    def log(self) -> str:
        """What it has logged."""
        file = self.folder / "log"
        return file.read_text() if file.exists() else ""

    def mailbox(self, name: str) -> list[bytes]:
        """The messages delivered to a user."""
        return [path.read_bytes() for path in (self.folder / "mail" / name / "new").glob("*")]


@pytest.fixture(scope="module")
def shared_peers(
    need_program: Callable[[str], str], new_site: Callable[[], Site]
) -> Iterator[tuple[Site, Postfix, Daemon]]:
    program = need_program("postfix")
    site = new_site()
    site.write(processes=2, max_backends=4, verify_recipients=1, default_profile="None")
    postfix = Postfix(program, site.folder.parent / f"{site.folder.name}-postfix", site.backend_port)
    daemon = Daemon(site)
    try:
        postfix.start()
        daemon.start()
        yield site, postfix, daemon
    finally:
        daemon.end()
        postfix.stop()


@pytest.fixture
def peers(shared_peers: tuple[Site, Postfix, Daemon]) -> tuple[Site, Postfix, Daemon]:
    """The daemon before Postfix, for all tests of this file."""
    return shared_peers


def test_good_mail_is_queued_and_delivered(peers: tuple[Site, Postfix, Daemon]) -> None:
    site, postfix, _ = peers
    before = len(postfix.mailbox("b"))
    with Client(site.port) as client:
        answer = client.message(MESSAGE)
    assert re.fullmatch(rb"250 2\.0\.0 Ok: queued as \w+\r\n", answer), answer
    until(lambda: len(postfix.mailbox("b")) == before + 1, "the message in its mailbox")
    assert b"\nX-MessageWall-Score: 0 (mx.example.org)\n" in postfix.mailbox("b")[-1]


def test_an_unknown_recipient_is_refused_at_rcpt_in_postfix_own_words(peers: tuple[Site, Postfix, Daemon]) -> None:
    site, _, daemon = peers
    expected = b"550 5.1.1 <nobody@example.org>: Recipient address rejected: User unknown in virtual mailbox table\r\n"
    with Client(site.port) as client:
        client.ask(b"EHLO x", b"MAIL FROM:<a@example.net>")
        assert client.ask(b"RCPT TO:<nobody@example.org>") == expected
        assert client.ask(b"RCPT TO:<b@example.org>").startswith(b"250 2.1.5 ")
    daemon.logged(r"RECIPIENT/REJECT: from=<a@example\.net> to=<nobody@example\.org>")


def test_8bit_and_smtputf8_go_through(peers: tuple[Site, Postfix, Daemon]) -> None:
    site, _, _ = peers
    with Client(site.port) as client:
        assert {b"250-8BITMIME", b"250 SMTPUTF8"} <= set(client.ask(b"EHLO x").split(b"\r\n"))
        mail = "MAIL FROM:<jörg@example.net> BODY=8BITMIME SMTPUTF8".encode()
        assert client.ask(mail, b"RCPT TO:<b@example.org>", b"DATA").startswith(b"354 ")
        assert client.ask("Subject: schön\r\n\r\nschön\r\n.".encode()).startswith(b"250 2.0.0 Ok: queued as ")


def test_warm_connections_survive(peers: tuple[Site, Postfix, Daemon]) -> None:
    """Refusals, good mail and a reload of Postfix in turns: no message is refused, few connections are made."""
    site, postfix, _ = peers
    connected = postfix.log().count(": connect from ")
    for number in range(30):
        with Client(site.port) as client:
            client.ask(b"EHLO x", b"MAIL FROM:<a%d@example.net>" % number)
            if number % 3 == 0:
                assert client.ask(b"RCPT TO:<x%d@example.org>" % number).startswith(b"550 5.1.1 ")
            assert client.ask(b"RCPT TO:<c@example.org>", b"DATA", MESSAGE + b".").startswith(b"250 2.0.0 ")
        if number == 15:
            postfix.command("reload")
    assert postfix.log().count(": connect from ") - connected <= 8


def test_200_messages_and_none_lost(peers: tuple[Site, Postfix, Daemon]) -> None:
    site, postfix, _ = peers
    accepted: list[str] = []

    def send(session: int) -> None:
        with Client(site.port) as client:
            client.ask(b"EHLO x")
            for number in range(20):
                unique = f"{session}-{number}@two-hundred.example"
                body = b"Message-Id: <%s>\r\nSubject: x\r\n\r\n..dots\r\n" % unique.encode()
                if client.message(body, ehlo=False).startswith(b"250 2.0.0 Ok: queued as "):
                    accepted.append(unique)

    threads = [threading.Thread(target=send, args=(session,)) for session in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(accepted) == 200

    def arrived() -> list[str]:
        return re.findall(r"<(\S+@two-hundred\.example)>", b"".join(postfix.mailbox("b")).decode())

    until(lambda: len(arrived()) >= 200, "all messages in their mailbox", limit=30)
    assert sorted(arrived()) == sorted(accepted), "none lost, none doubled"


def test_postfix_goes_and_comes_back(peers: tuple[Site, Postfix, Daemon]) -> None:
    site, postfix, _ = peers
    postfix.stop()
    with Client(site.port) as client:
        assert client.greeting.startswith(b"421 4.3.2 ") or client.message(MESSAGE).startswith(b"451 4.")
    postfix.start()

    def flows() -> bool:
        with Client(site.port) as client:
            return client.greeting.startswith(b"220 ") and client.message(MESSAGE).startswith(b"250 2.0.0 ")

    until(flows, "mail to flow again", limit=10)
