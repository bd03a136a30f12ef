"""What the tests of the daemon share: its folder, the command, the backend, and an SMTP client that shows every reply.

Whatever is waited for is waited for by event or by asking again until a limit; nothing sleeps and hopes.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

PROJECT = Path(__file__).resolve().parents[2]
LIMIT = 20.0  # seconds that anything may take


def until(condition: Callable[[], Any], what: str, limit: float = LIMIT) -> Any:
    """Asks again until the condition gives something true, which is returned."""
    end = time.monotonic() + limit
    while not (got := condition()):
        assert time.monotonic() < end, f"waited {limit} s in vain for {what}"
        time.sleep(0.01)
    return got


class Site:
    """A root folder with a working configuration; `settings` are written by write()."""

    def __init__(self, folder: Path, port: int, backend_port: int) -> None:
        self.folder = folder
        self.port = port
        self.backend_port = backend_port
        shutil.copytree(PROJECT / "conf" / "profiles", folder / "profiles")
        shutil.copyfile(PROJECT / "conf" / "virus.patterns", folder / "virus.patterns")
        self.settings: dict[str, object] = {
            "listen_ip": "127.0.0.1",
            "listen_port": port,
            "backend_ip": "127.0.0.1",
            "backend_port": backend_port,
            "domain": "mx.example.org",
            "user": "nobody",
            "group": "nogroup",
            "processes": 2,
            "max_per_ip": 200,
            "verify_recipients": 0,
        }
        self.put("local_domains", "example.org\n")
        self.put("relay_ips", "")
        self.put("special_users", "")
        self.write()

    @property
    def file(self) -> Path:
        """Its messagewall.conf."""
        return self.folder / "messagewall.conf"

    def put(self, name: str, text: str) -> None:
        """Writes a file of the configuration."""
        (self.folder / name).write_text(text)

    def write(self, **settings: object) -> None:
        """Writes messagewall.conf, with these settings changed (None takes one out)."""
        self.settings.update(settings)
        lines = [f'{name}="{value}"\n' for name, value in self.settings.items() if value is not None]
        self.file.write_text("".join(lines))


class Daemon:
    """The messagewall command, in the foreground."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.process: subprocess.Popen[bytes] | None = None
        self.log_file = site.folder.parent / f"{site.folder.name}.log"

    def command(self, *options: str) -> list[str]:
        """The command line, as an admin would type it."""
        return [sys.executable, "-m", "mwall.program.messagewall", "-c", str(self.site.file), *options]

    def start(self, *options: str, prefix: tuple[str, ...] = ()) -> None:
        """Starts it with -f and waits until it serves. `prefix`: a command to run it under, as strace."""
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *self.command("-f", *options)], cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(lambda: "started:" in self.log() or self.process is None or self.process.poll() is not None, "the start")
        assert self.process.poll() is None, self.log()

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Runs the command to its end."""
        return subprocess.run(self.command(*options), cwd=PROJECT, capture_output=True, text=True, timeout=60)

    def log(self) -> str:
        """All that it has logged."""
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    def logged(self, pattern: str, limit: float = LIMIT) -> str:
        """Waits for a line of the log in which the pattern occurs."""
        line = re.compile(f"^.*{pattern}.*$", re.MULTILINE)
        match: re.Match[str] = until(lambda: line.search(self.log()), f"{pattern!r} in {self.log_file}", limit)
        return match.group()

    @property
    def master(self) -> psutil.Process:
        """Its master process."""
        assert self.process is not None
        process = psutil.Process(self.process.pid)
        return process if "messagewall" in " ".join(process.cmdline())[:40] else process.children()[0]

    def workers(self) -> list[psutil.Process]:
        """Its living workers."""
        found = []
        for child in self.master.children():
            try:
                if "worker" in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found

    def signal(self, number: int) -> None:
        """Sends the master a signal."""
        os.kill(self.master.pid, number)

    def end(self) -> None:
        """Ends it, gently first."""
        if self.process is not None and self.process.poll() is None:
            try:
                self.signal(signal.SIGQUIT)  # not to what it may run under, as strace, which would let go of it
            except (psutil.Error, IndexError):
                self.process.kill()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Sink:
    """smtp-sink: counts messages, or keeps each in a file of its own (`keep`)."""

    def __init__(self, program: str, port: int, folder: Path, *options: str, keep: bool = True) -> None:
        self.program = program
        self.port = port
        self.folder = folder
        self.options = options
        self.keep = keep
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it listens."""
        self.folder.mkdir(exist_ok=True)
        shutil.chown(self.folder, "nobody")
        kept = ["-d", f"{self.folder}/m."] if self.keep else []
        command = [self.program, "-u", "nobody", *kept, *self.options, f"127.0.0.1:{self.port}", "4096"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until(lambda: _answers(self.port), "smtp-sink")

    def stop(self) -> None:
        """Ends it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def messages(self) -> list[bytes]:
        """What it has received: each message as smtp-sink writes it, envelope lines first."""
        return [path.read_bytes() for path in sorted(self.folder.iterdir())]

    def __enter__(self) -> Sink:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


class Client:
    """An SMTP client that sends what it is told, octet by octet if need be."""

    def __init__(self, port: int, source: str = "127.0.0.1", greeted: bool = True, address: str = "127.0.0.1") -> None:
        self.sock = socket.create_connection((address, port), LIMIT, (source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self.sock.makefile("rb")
        self.greeting = self.reply() if greeted else b""

    def reply(self) -> bytes:
        """The next reply, all its lines; b'' at the end of the connection."""
        lines = []
        while line := self._replies.readline():
            lines.append(line)
            if line[3:4] != b"-":
                break
        return b"".join(lines)

    def send(self, octets: bytes) -> None:
        """Sends octets as they are."""
        self.sock.sendall(octets)

    def ask(self, *commands: bytes) -> bytes:
        """Sends commands one after the other; the last reply."""
        answer = b""
        for command in commands:
            self.send(command + b"\r\n")
            answer = self.reply()
        return answer

    def message(
        self,
        body: bytes,
        recipient: bytes = b"b@example.org",
        reverse_path: bytes = b"a@example.org",
        ehlo: bool = True,
    ) -> bytes:
        """A whole transaction; `body` is the mail data without the final dot. The last reply."""
        opening = (b"EHLO client.example",) if ehlo else ()
        answer = self.ask(*opening, b"MAIL FROM:<%s>" % reverse_path, b"RCPT TO:<%s>" % recipient, b"DATA")
        if not answer.startswith(b"354"):
            return answer
        self.send(body + b"\r\n.\r\n")
        return self.reply()

    def wait_until_read(self) -> None:
        """Waits until the daemon has read all that was sent (IPv4), as the kernel tells."""
        ends = (f"0100007F:{self.sock.getpeername()[1]:04X}", f":{self.sock.getsockname()[1]:04X}")

        def is_read() -> bool:
            for line in Path("/proc/net/tcp").read_text().splitlines():
                fields = line.split()
                if fields[1] == ends[0] and fields[2].endswith(ends[1]):
                    return fields[4].endswith(":00000000")
            return True

        until(is_read, "the daemon to read")

    def at_end(self) -> bool:
        """Whether the server closes the connection, with nothing more to say."""
        return self._replies.readline() == b""

    def close(self) -> None:
        """Hangs up."""
        self._replies.close()
        self.sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


MESSAGE = (
    b"From: A <a@example.org>\r\nTo: b@example.org\r\nSubject: test\r\nMessage-Id: <1@example.org>\r\n\r\nHello.\r\n"
)


@contextlib.contextmanager
def paused(*processes: psutil.Process) -> Iterator[None]:
    """Stops processes for a moment, so that others of the same kind do the work."""
    for process in processes:
        process.suspend()
    until(lambda: all(process.status() == psutil.STATUS_STOPPED for process in processes), "processes to stop")
    try:
        yield
    finally:
        for process in processes:
            process.resume()
