"""A backend that tells what it took: each message's id is on record before its 250 leaves. Run as a command:

    counting_backend.py PORT RECORD [DELAY]

RECORD gets a line for each message, `id open most accepted`: connections open at that moment, the most there ever
were, and all there ever were.
DELAY is the seconds between a final dot and its reply. A message with a field `X-Hold: N` gets its reply together
with N - 1 others: N such messages prove N connections at once. Pure Python, one epoll loop.
"""

import heapq
import os
import re
import select
import socket
import sys
import time
from contextlib import suppress

_ESTABLISHED = 1  # of TCP_INFO's first octet, linux/tcp_states.h
_EHLO = b"250-sink.example\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
_FINAL = b"250 2.0.0 kept\r\n"
_find_id = re.compile(rb"^Message-Id: <([^@>]+)@", re.MULTILINE).search
_find_hold = re.compile(rb"^X-Hold: (\d+)", re.MULTILINE).search


class _Connection:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        self.in_data = False


class Backend:
    """Listens on 127.0.0.1. Never returns from serve()."""

    def __init__(self, port: int, record: str, delay: float) -> None:
        self._record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._delay = delay
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._open: dict[int, _Connection] = {}
        self._most = self._accepted = 0
        self._held: list[tuple[_Connection, bytes]] = []
        self._due: list[tuple[float, int, _Connection]] = []

    def serve(self) -> None:
        """Serves until killed."""
        while True:
            patience = max(0.0, self._due[0][0] - time.monotonic()) if self._due else -1
            for descriptor, _ in self._epoll.poll(patience):
                connection = self._open.get(descriptor)
                if connection is not None:
                    self._read(connection)
                elif descriptor == self._listener.fileno():
                    self._accept()
            while self._due and self._due[0][0] <= time.monotonic():
                self._answer(heapq.heappop(self._due)[2], _FINAL)

    def _accept(self) -> None:
        with suppress(BlockingIOError):
            sock, _ = self._listener.accept()
            self._accepted += 1
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open[sock.fileno()] = _Connection(sock)
            self._epoll.register(sock, select.EPOLLIN)
            if len(self._open) > self._most:
                # One whose end has arrived but was not read yet is over.
                states = [c.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] for c in self._open.values()]
                self._most = max(self._most, states.count(_ESTABLISHED))
            self._answer(self._open[sock.fileno()], b"220 sink.example\r\n")

    def _read(self, connection: _Connection) -> None:
        try:
            octets = connection.sock.recv(65536)
        except OSError:
            octets = b""
        if not octets:
            self._close(connection)
            return
        connection.buffer += octets
        replies = b""
        while True:
            if connection.in_data:
                message, dot, rest = connection.buffer.partition(b"\r\n.\r\n")
                if not dot:
                    break
                connection.buffer, connection.in_data = rest, False
                self._take(connection, message)
                continue
            line, end, rest = connection.buffer.partition(b"\r\n")
            if not end:
                break
            connection.buffer = rest
            verb = line[:4].upper()
            if verb == b"EHLO":
                replies += _EHLO
            elif verb == b"DATA":
                connection.in_data = True
                replies += b"354 go on\r\n"
            else:
                replies += b"221 2.0.0 bye\r\n" if verb == b"QUIT" else b"250 2.0.0 ok\r\n"
        if replies:
            self._answer(connection, replies)

    def _take(self, connection: _Connection, message: bytes) -> None:
        found = _find_id(message)
        line = b"%s %d %d %d\n" % (found[1] if found else b"?", len(self._open), self._most, self._accepted)
        hold = _find_hold(message)
        if hold:
            self._held.append((connection, line))
            if len(self._held) >= int(hold[1]):
                held, self._held = self._held, []
                for waiting, its_line in held:
                    os.write(self._record, its_line)
                    self._answer(waiting, _FINAL)
            return
        os.write(self._record, line)
        if self._delay:
            heapq.heappush(self._due, (time.monotonic() + self._delay, id(connection), connection))
        else:
            self._answer(connection, _FINAL)

    def _answer(self, connection: _Connection, octets: bytes) -> None:
        try:
            connection.sock.send(octets)
        except OSError:
            self._close(connection)

    def _close(self, connection: _Connection) -> None:
        if connection.sock.fileno() >= 0:
            del self._open[connection.sock.fileno()]
            self._held = [held for held in self._held if held[0] is not connection]
            connection.sock.close()


if __name__ == "__main__":
    Backend(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 0.0).serve()
