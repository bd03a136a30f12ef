"""A daemon that asks a name server, and one message to it: which reply it got where, and its line in the log."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from tests.daemon.harness import MESSAGE, Client, Daemon, Site
from tests.daemon.scripted_backend import ScriptedBackend


class Mail(NamedTuple):
    """What is sent, and by whom."""

    recipient: bytes = b"b@example.org"
    source: str = "127.0.0.9"
    domain: bytes = b"good.example"  # of the reverse-path; none: the null one
    helo: bytes = b"mail.good.example"
    message: bytes = MESSAGE


class Result(NamedTuple):
    """The last reply, the line in the log, and the seconds from connect to that reply."""

    reply: bytes
    line: str
    seconds: float

    def refused_by(self, check: str, reason: str) -> bool:
        """Whether it was refused for this and nothing else: at RCPT or at the end of the data, as is right for both.

        `reason`: an expression.
        """
        early = self.reply.startswith(b"550 ") and "RECIPIENT/REJECT" in self.line
        late = self.reply.startswith(b"554 ") and "MESSAGE/REJECT" in self.line
        said = re.fullmatch(rf"55[04] 5\.7\.1 MessageWall: {check}/REJECT: {reason}\r\n", self.reply.decode("ascii"))
        return (early or late) and said is not None

    @property
    def unscored(self) -> bool:
        """Whether it passed and no check had found anything."""
        is_zero = re.search(r" score=0/[0-9.]+ ", self.line) is not None
        return self.reply.startswith(b"250 ") and "MESSAGE/ACCEPT" in self.line and is_zero

    @property
    def unanswered(self) -> str:
        """What had no answer, as the log says."""
        match = re.search(r' unanswered=("(?:[^"\\]|\\.)*"|\S+)', self.line)
        return match[1] if match else ""


class DnsFront:
    """A daemon before a scripted backend."""

    def __init__(self, site: Site, backend: ScriptedBackend, daemon: Daemon) -> None:
        self.site = site
        self.backend = backend
        self.daemon = daemon
        self._tags = itertools.count()

    def send(self, mail: Mail) -> Result:
        """One message in a connection of its own."""
        tag = f"+m{next(self._tags)}@"
        recipient = mail.recipient.replace(b"@", tag.encode())  # the profile is that of the address without it
        reverse_path = b"a@" + mail.domain if mail.domain else b""
        address = "::1" if ":" in mail.source else "127.0.0.1"
        began = time.monotonic()
        with Client(self.site.port, mail.source, address=address) as client:
            client.ask(b"EHLO " + mail.helo)
            reply = client.ask(b"MAIL FROM:<%s>" % reverse_path, b"RCPT TO:<%s>" % recipient)
            if reply.startswith(b"250 "):
                reply = client.ask(b"DATA", mail.message + b"\r\n.")
            seconds = time.monotonic() - began
        return Result(reply, self.daemon.logged(rf"(?:RECIPIENT|MESSAGE)/.*{re.escape(tag)}"), seconds)

    def send_all(self, mails: Iterable[Mail]) -> list[Result]:
        """Many at once: what has to wait waits together."""
        with ThreadPoolExecutor(50) as pool:
            return list(pool.map(self.send, mails))


def write_profiles(site: Site, profiles: dict[str, str]) -> None:
    """Puts profiles into the site; each is that of the recipient of its name in lower case, the first the default."""
    for name, text in profiles.items():
        site.put(f"profiles/{name}", text)
    site.put("special_users", "".join(f'{name.lower()}@example.org="{name}"\n' for name in profiles))
    site.write(default_profile=next(iter(profiles)), special_users="special_users")


def entry(source: str, zone: str) -> str:
    """The name of an IPv4 address in a list."""
    return ".".join(reversed(source.split("."))) + "." + zone
