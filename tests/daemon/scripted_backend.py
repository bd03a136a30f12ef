"""Backends of our own, real TCP peers: one that sends exactly the octets it is told to, one with a lenient parser.

A Script says what is sent for each verb; b"." is the end of data, b"" the greeting. What arrives is kept octet for
octet. A test changes the script while the backend runs; each connection looks at it anew for each command.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Literal, NamedTuple, Self

EXTENSIONS = ("PIPELINING", "SIZE 52428800", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


class Say(NamedTuple):
    """Octets, and what follows them: nothing special, FIN, RST, or never another word."""

    octets: bytes
    then: Literal["go on", "close", "reset", "fall silent"] = "go on"


Answer = Say | bytes
Choice = Callable[["Connection", bytes], Answer]

GOOD: dict[bytes, Answer | Choice] = {
    b"": b"220 backend.example ESMTP\r\n",
    b"MAIL": b"250 2.1.0 Ok\r\n",
    b"RCPT": b"250 2.1.5 Ok\r\n",
    b"DATA": b"354 End data with <CR><LF>.<CR><LF>\r\n",
    b".": b"250 2.0.0 Ok: queued as 1\r\n",
    b"RSET": b"250 2.0.0 Ok\r\n",
    b"NOOP": b"250 2.0.0 Ok\r\n",
    b"QUIT": Say(b"221 2.0.0 Bye\r\n", "close"),
}


class Delivery(NamedTuple):
    """A message that the backend has seen whole: its envelope as commanded, its data as on the wire."""

    reverse_path: bytes
    recipients: tuple[bytes, ...]
    mail_data: bytes


class Connection:
    """One client's connection, in a thread of its own."""

    def __init__(self, backend: ScriptedBackend, sock: socket.socket, number: int) -> None:
        self.backend = backend
        self.sock = sock
        self.number = number
        self.received = b""
        self.commands: list[bytes] = []
        self.sent_ahead: list[bytes] = []  # commands behind which more stood before they were answered
        self.ended = threading.Event()
        self._buffer = b""
        self._envelope: list[bytes] = []

    def run(self) -> None:
        """Serves until either side ends it."""
        try:
            with self.sock:
                if self._say(b"", b""):
                    while (line := self._line()) is not None and self._obey(line):
                        pass
        except OSError:
            pass
        finally:
            self.ended.set()

    def _obey(self, line: bytes) -> bool:
        if not line and self.backend.passes_over_empty_lines:
            return True
        self.commands.append(line)
        verb = line[:4].upper()
        if self.backend.listens_before_answering and not self._buffer:
            self._listen(self.backend.listens_before_answering)
        if self._buffer:
            self.sent_ahead.append(line)
        if verb == b"EHLO":
            lines = ["backend.example", *self.backend.extensions]
            default: Answer = "".join(
                f"250{'- '[at == len(lines)]}{text}\r\n" for at, text in enumerate(lines, 1)
            ).encode()
        else:
            default = b"500 5.5.1 what\r\n"
        if verb == b"MAIL":
            self._envelope = []
        answer = self._answer(verb, line, default)
        if verb in (b"MAIL", b"RCPT") and answer.octets.startswith(b"2"):
            self._envelope.append(line)
        if not self._send(answer):
            return False
        if verb == b"DATA" and answer.octets.startswith(b"354"):
            return self._take_data()
        return True

    def _take_data(self) -> bool:
        early = self.backend.early
        while (end := self.backend.find_end(self._buffer)) is None:
            if not self._receive():
                return False
            if early is not None:
                self._send(Say(early))
                early = None
                self.backend.reads_on.wait(self.backend.patience)
        mail_data, self._buffer = self._buffer[: end[0]], self._buffer[end[1] :]
        answer = self._answer(b".", b".", b"")
        delivery = Delivery(self._envelope[0], tuple(self._envelope[1:]), mail_data)
        self.backend.dots.append(delivery)
        if answer.octets.startswith(b"2"):
            self.backend.deliveries.append(delivery)
        return self._send(answer)

    def _answer(self, verb: bytes, line: bytes, default: Answer) -> Say:
        answer = self.backend.script.get(verb, default)
        if callable(answer) and not isinstance(answer, Say):
            answer = answer(self, line)
        return answer if isinstance(answer, Say) else Say(answer)

    def _say(self, verb: bytes, line: bytes) -> bool:
        return self._send(self._answer(verb, line, b""))

    def _send(self, answer: Say) -> bool:
        self.sock.sendall(answer.octets)
        if answer.then == "reset":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif answer.then == "fall silent":
            while self._receive():
                pass
        return answer.then == "go on"

    def _line(self) -> bytes | None:
        while (match := self.backend.line_end.search(self._buffer)) is None:
            if not self._receive():
                return None
        line, self._buffer = self._buffer[: match.start()], self._buffer[match.end() :]
        return line

    def _listen(self, seconds: float) -> None:
        self.sock.settimeout(seconds)
        with suppress(TimeoutError):
            self._receive()
        self.sock.settimeout(None)

    def _receive(self) -> bool:
        octets = self.sock.recv(65536)
        self.received += octets
        self._buffer += octets
        return bool(octets)

    def cut(self) -> None:
        """Ends the connection now."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


class ScriptedBackend:
    """Listens on 127.0.0.1 from start() to stop(); reset() makes it well behaved again."""

    line_end = re.compile(rb"\r\n")
    passes_over_empty_lines = False
    patience = 20.0

    def __init__(self, port: int, receive_octets: int = 0) -> None:
        self.port = port
        self.receive_octets = receive_octets
        self.script = dict(GOOD)
        self.extensions: tuple[str, ...] = EXTENSIONS
        self.listens_before_answering = 0.0
        self.early: bytes | None = None  # said once mail data comes in; the rest is read when `reads_on` is set
        self.reads_on = threading.Event()
        self.connections: list[Connection] = []
        self.deliveries: list[Delivery] = []
        self.dots: list[Delivery] = []  # whatever was answered
        self._listener: socket.socket | None = None

    def reset(self) -> None:
        """Behaves well again, and forgets what it got."""
        self.script = dict(GOOD)
        self.extensions = EXTENSIONS
        self.early = None
        self.reads_on.clear()
        self.deliveries.clear()
        self.dots.clear()
        self.connections = [connection for connection in self.connections if not connection.ended.is_set()]

    def find_end(self, data: bytes) -> tuple[int, int] | None:
        """Where the mail data ends and where the next command begins."""
        if data.startswith(b".\r\n"):
            return 0, 3
        at = data.find(b"\r\n.\r\n")
        return None if at < 0 else (at + 2, at + 5)

    def start(self) -> None:
        """Listens."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.receive_octets:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_octets)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(100)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, sock, len(self.connections))
            self.connections.append(connection)
            threading.Thread(target=connection.run, daemon=True).start()

    def stop(self) -> None:
        """Closes the port and cuts all connections, as one that was killed."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for connection in self.connections:
            connection.cut()

    def alive(self) -> list[Connection]:
        """The connections that are open."""
        return [connection for connection in self.connections if not connection.ended.is_set()]

    def commands(self, verb: bytes) -> list[bytes]:
        """The commands of this verb, on all connections."""
        return [line for connection in self.connections for line in connection.commands if line.startswith(verb)]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class LenientBackend(ScriptedBackend):
    """Takes CRLF, a lone CR and a lone LF as line ends, passes over NUL: the reader that smuggling is made for."""

    line_end = re.compile(rb"\r\n|\r|\n")
    passes_over_empty_lines = True
    _end = re.compile(rb"(?:\A|[\r\n])\0*\.\0*[\r\n]")

    def find_end(self, data: bytes) -> tuple[int, int] | None:
        """Where the mail data ends and where the next command begins."""
        match = self._end.search(data)
        return None if match is None else match.span()
