"""A daemon before a scripted backend, and what the tests of backends say of both."""

from __future__ import annotations

from tests.daemon.harness import MESSAGE, Client, Daemon, Site
from tests.daemon.scripted_backend import GOOD, Answer, Choice, Connection, ScriptedBackend

PATIENT = {"backend_timeout": 1, "backend_final_timeout": 1, "backend_connect_timeout": 1, "backend_wait": 5}
LOST = rb"451 4\.4\.2 MessageWall: BACKEND/TEMPORARY: [ -~]+\r\n"
NOT_FOR_US = rb"451 4\.3\.0 MessageWall: BACKEND/TEMPORARY: [ -~]+\r\n"


class Front:
    """A daemon before a scripted backend."""

    def __init__(self, site: Site, backend: ScriptedBackend, daemon: Daemon) -> None:
        self.site = site
        self.backend = backend
        self.daemon = daemon
        self._messages = 0

    def deliver(self, *recipients: bytes, body: bytes = MESSAGE, mail: bytes = b"") -> tuple[bytes, str]:
        """Sends a message: the reply to its end of data, and its line in the log."""
        self._messages += 1
        tag = f"m{self._messages}"
        with Client(self.site.port) as client:
            client.ask(b"EHLO client.example", b"MAIL FROM:<%s@example.net>%s" % (tag.encode(), mail))
            for recipient in recipients or (b"b@example.org",):
                assert client.ask(b"RCPT TO:<%s>" % recipient).startswith(b"250 2.1.5 ")
            assert client.ask(b"DATA").startswith(b"354 ")
            client.send(body + b"\r\n.\r\n")
            answer = client.reply()
        return answer, self.daemon.logged(rf"MESSAGE/.* from=<{tag}@example\.net>")


def greeting_of(site: Site) -> bytes:
    """What a new client is told first."""
    with Client(site.port) as client:
        return client.greeting


def only_on(stale: list[Connection], verb: bytes, fault: Answer) -> Choice:
    """This fault on these connections, and good behaviour on all others."""
    good = GOOD[verb]
    assert isinstance(good, bytes)
    return lambda connection, _: fault if connection in stale else good


def refuse(front: Front, verb: bytes, answer: Answer) -> None:
    """The backend refuses at this verb, and what hangs on it as an honest one does."""
    front.backend.script = dict(GOOD)
    if verb in (b"MAIL", b"RCPT"):
        front.backend.script[b"DATA"] = b"554 5.5.1 no valid recipients\r\n"
    if verb == b"MAIL":
        front.backend.script[b"RCPT"] = b"503 5.5.1 MAIL first\r\n"
    front.backend.script[verb] = answer
