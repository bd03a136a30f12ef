"""`make demo`: the real daemon on a loopback port, a backend of its own, and real mail through it.

As root the daemon runs in its chroot as nobody; as an ordinary user without one. Nothing is left behind.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import smtplib
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

PROJECT = Path(__file__).resolve().parent.parent
MAIL = PROJECT / "tests" / "mail"
# The standard test file of the anti-virus industry, harmless; in two pieces so that no scanner minds this file.
EICAR = r"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
VIRUS = (
    "From: Mallory <mallory@example.net>\r\nTo: You <you@example.org>\r\nSubject: your invoice\r\n"
    "Message-Id: <3@example.net>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n"
    "--b\r\n\r\nPlease see the file.\r\n--b\r\nContent-Type: application/zip; name=\"invoice.zip\"\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\n"
).encode("ascii")


class Backend(socketserver.StreamRequestHandler):
    """A mail server that takes everything and keeps it in memory."""

    disable_nagle_algorithm = True
    delivered: ClassVar[list[bytes]] = []

    def handle(self) -> None:
        """One session, to its end or to that of the daemon."""
        with suppress(ConnectionError):
            self._converse()

    def _converse(self) -> None:
        self.wfile.write(b"220 backend.example.org ESMTP\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go ahead\r\n")
                self._take_message()
            elif verb == b"EHLO":
                self.wfile.write(b"250-backend.example.org\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
            elif verb == b"QUIT":
                self.wfile.write(b"221 2.0.0 goodbye\r\n")
                return
            else:
                self.wfile.write(b"250 2.0.0 Ok\r\n")

    def _take_message(self) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        self.delivered.append(b"".join(lines))
        self.wfile.write(b"250 2.0.0 Ok: kept as number %d\r\n" % len(self.delivered))


class Server(socketserver.ThreadingTCPServer):
    """The backend's listener."""

    daemon_threads = True


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def write_site(folder: Path, port: int, backend_port: int) -> Path:
    """The daemon's root: messagewall.conf, profiles and local_domains."""
    folder.chmod(0o755)
    shutil.copytree(PROJECT / "conf" / "profiles", folder / "profiles")
    shutil.copyfile(PROJECT / "conf" / "virus.patterns", folder / "virus.patterns")
    (folder / "local_domains").write_text("example.org\n")
    file = folder / "messagewall.conf"
    file.write_text(
        f'listen_ip="127.0.0.1"\nlisten_port="{port}"\nbackend_ip="127.0.0.1:{backend_port}"\n'
        'domain="mx.example.org"\nprocesses="2"\nuser="nobody"\ngroup="nogroup"\n'
    )
    return file


def wait_for_start(daemon: subprocess.Popen[str]) -> None:
    """Shows the log until the daemon says that it serves."""
    assert daemon.stderr is not None
    for line in daemon.stderr:
        show_log(line)
        if "started:" in line:
            return
    sys.exit(f"the daemon did not start (exit code {daemon.wait()})")


def show_log(line: str) -> None:
    """A line of the daemon's log."""
    print(f"    log  {line.rstrip()}")


def send(port: int, title: str, message: bytes) -> None:
    """One message; the dialogue's last reply."""
    print(f"\n== {title}: {len(message)} octets")
    with smtplib.SMTP("127.0.0.1", port, "client.example.net") as client:
        client.ehlo()
        for command in ("MAIL FROM:<sender@example.net>", "RCPT TO:<you@example.org>"):
            show_reply(command, *client.docmd(command))
        show_reply("DATA ... CRLF.CRLF", *client.data(message))


def show_reply(command: str, code: int, text: bytes) -> None:
    """A command and its reply."""
    print(f"    C: {command}\n    S: {code} {text.decode('ascii')}")


def show_delivered(message: bytes) -> None:
    """The header that the backend got."""
    header = message.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")
    print("    delivered, with this header:")
    for line in header.split("\r\n"):
        print(f"      | {line}")


def virus() -> bytes:
    """The virus test file in a zip archive, attached."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("invoice.txt", EICAR)
    return VIRUS + base64.encodebytes(archive.getvalue()).replace(b"\n", b"\r\n") + b"--b--\r\n"


def load(name: str) -> bytes:
    """A message of the corpus, with the line ends of the wire."""
    return (MAIL / name).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def main() -> None:
    """Starts, sends, shows, ends."""
    backend_port, port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="messagewall-demo-") as folder, Server(
        ("127.0.0.1", backend_port), Backend
    ) as backend:
        threading.Thread(target=backend.serve_forever, daemon=True).start()
        file = write_site(Path(folder), port, backend_port)
        print(f"== messagewall -f on 127.0.0.1 port {port}, before a backend on port {backend_port}")
        command = [sys.executable, "-m", "mwall.program.messagewall", "-c", str(file), "-f"]
        daemon = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=PROJECT, env=os.environ)
        try:
            wait_for_start(daemon)
            assert daemon.stderr is not None
            lines = iter(daemon.stderr)
            for title, message in (
                ("a good message", load("ham/00690c0511f2.eml")),
                ("an advertisement", load("spam/07462380ca43.eml")),
                ("the EICAR virus test file in a zip archive", virus()),
            ):
                count = len(Backend.delivered)
                send(port, title, message)
                show_log(next(line for line in lines if "MESSAGE/" in line))
                if len(Backend.delivered) > count:
                    show_delivered(Backend.delivered[-1])
                else:
                    print("    refused: nothing reached the backend")
        finally:
            daemon.terminate()
            daemon.wait(timeout=30)
            backend.shutdown()


if __name__ == "__main__":
    main()
