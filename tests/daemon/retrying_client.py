"""An SMTP client that sends messages with unique ids over many sessions and tries each until it has its 250.

smtp-source stops at the first lost connection and does not say which message got its 250. This one keeps book: what
was tried, how a try ended, and whether it could have been delivered all the same.
"""

import errno
import heapq
import random
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress

_LINE = b"The quick brown fox jumps over the lazy dog, again and again and again......\r\n"
_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h
_PAUSE = 0.02  # seconds before a session that met trouble tries again
_SILENCE = 20.0  # seconds without a word: reported as `silent`, and tried anew


class _Session:
    def __init__(self, sock: socket.socket, now: float, messages: int) -> None:
        self.sock = sock
        self.step = "greeting"
        self.messages = messages  # still to be sent
        self.id: int | None = None
        self.buffer = b""
        self.replies: list[bytes] = []
        self.expected = 1
        self.unsent = b""
        self.since = now  # of the last flight
        self.connecting = True
        self.ended_by_421 = False


class RetryingClient:
    """Sends messages 0 to `messages` - 1. Nothing happens until run()."""

    def __init__(self, port: int, messages: int, sessions: int = 20, octets: int = 1024, per_session: int = 10) -> None:
        """per_session: the most messages that one session carries; `octets`: the size of a body."""
        self._port = port
        self._sessions = sessions
        self._per_session = per_session
        self._body = (_LINE * (octets // len(_LINE) + 1))[:octets].rstrip(b"\r\n") + b"\r\n.\r\n"
        self._todo = deque(range(messages))
        self._messages = messages
        self._epoll = select.epoll()
        self._open: dict[int, _Session] = {}
        self._random = random.Random(messages)
        self._at: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._pauses: list[float] = []  # sessions that begin later, by monotonic seconds
        self._next_source = 0
        self.got_250: set[int] = set()
        self.unanswered: Counter[int] = Counter()  # by id: tries that ended behind our dot without a reply
        self.temporary: Counter[int] = Counter()  # by id: tries that ended behind our dot with a 4yz
        self.ends: Counter[str] = Counter()  # how tries and sessions ended
        self.replies: Counter[bytes] = Counter()  # every reply that was neither expected nor a 250
        self.longest_reply = 0.0  # seconds from a flight to its last reply
        self.longest_final = 0.0  # the same of the final dot
        self.seconds = 0.0

    def every(self, seconds: float, call: Callable[[], None]) -> None:
        """While it runs, calls this again and again: the storm."""

        def again() -> None:
            call()
            self._later(seconds, again)

        self._later(seconds, again)

    def run(self, limit: float) -> None:
        """Returns once every message has its 250. AssertionError after `limit` seconds."""
        begin = time.monotonic()
        while len(self.got_250) < self._messages:
            now = time.monotonic()
            missing = self._messages - len(self.got_250)
            assert now < begin + limit, f"{missing} messages without a 250 after {limit} s: {self.ends} {self.replies}"
            while self._at and self._at[0][0] <= now:
                heapq.heappop(self._at)[2]()
            while self._pauses and self._pauses[0] <= now:
                heapq.heappop(self._pauses)
            while self._todo and len(self._open) + len(self._pauses) < self._sessions:
                self._begin(now)
            self._end_silent(now)
            for descriptor, events in self._epoll.poll(0.01):
                session = self._open.get(descriptor)
                if session is not None:
                    self._serve(session, events)
        self.seconds = time.monotonic() - begin
        for session in list(self._open.values()):
            self._close(session, "done")

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._at, (time.monotonic() + seconds, self._number, call))

    # Sessions

    def _begin(self, now: float) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        sock.setblocking(False)
        self._next_source = self._next_source % 8 + 1
        sock.bind((f"127.0.0.{self._next_source}", 0))
        session = _Session(sock, now, self._random.randint(1, self._per_session))
        code = sock.connect_ex(("127.0.0.1", self._port))
        self._open[sock.fileno()] = session
        self._epoll.register(sock, select.EPOLLOUT)
        if code not in (0, errno.EINPROGRESS):
            self._close(session, f"connect: {errno.errorcode.get(code, code)}")

    def _serve(self, session: _Session, events: int) -> None:
        if session.connecting:
            code = session.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._close(session, f"connect: {errno.errorcode.get(code, code)}")
                return
            session.connecting = False
            self._epoll.modify(session.sock, select.EPOLLIN)
            return
        if events & select.EPOLLOUT and session.unsent:
            self._send(session, b"")
        if session.sock.fileno() >= 0 and events & ~select.EPOLLOUT:
            self._read(session)

    def _read(self, session: _Session) -> None:
        try:
            octets = session.sock.recv(16384)
        except BlockingIOError:
            return
        except OSError as error:
            self._close(session, f"lost: {errno.errorcode.get(error.errno or 0)}")
            return
        if not octets:
            self._close(session, "421" if session.ended_by_421 else f"closed in {session.step}")
            return
        *lines, session.buffer = (session.buffer + octets).split(b"\r\n")
        session.replies += [line for line in lines if line[3:4] != b"-"]
        accepted = session.step == "final" and session.replies[:1] and session.replies[0].startswith(b"250")
        if accepted and session.id is not None:  # whatever stands behind it
            self.got_250.add(session.id)
            session.id = None
            session.messages -= 1
        if any(line.startswith(b"421") for line in session.replies):
            self.replies[next(line for line in session.replies if line.startswith(b"421"))] += 1
            session.ended_by_421 = True
            if session.step == "final" and session.id is not None:
                self.temporary[session.id] += 1
                self._give_back(session)
            self._close(session, "421")
        elif len(session.replies) >= session.expected:
            now = time.monotonic()
            self.longest_reply = max(self.longest_reply, now - session.since)
            if session.step == "final":
                self.longest_final = max(self.longest_final, now - session.since)
            replies, session.replies = session.replies, []
            self._go_on(session, replies)

    def _go_on(self, session: _Session, replies: list[bytes]) -> None:
        expected = {"greeting": [b"220"], "ehlo": [b"250"], "envelope": [b"250", b"250", b"354"], "final": [b"250"],
                    "quit": [b"221"]}[session.step]  # fmt: skip
        if [reply[:3] for reply in replies] != expected:
            bad = next((reply for reply, code in zip(replies, expected, strict=False) if reply[:3] != code), b"surplus")
            self.replies[bad] += 1
            if session.step == "final" and session.id is not None:
                self.temporary[session.id] += 1
                self._give_back(session)
            self._close(session, "refused")
        elif session.step == "greeting":
            self._fly(session, "ehlo", 1, b"EHLO client.example\r\n")
        elif session.step == "envelope":
            head = b"From: A <a@example.org>\r\nTo: b@example.org\r\nSubject: s\r\nMessage-Id: <%d@example.org>\r\n\r\n"
            self._fly(session, "final", 1, head % session.id + self._body)
        elif session.step == "quit":
            self._close(session, "quit")
        else:
            if self._todo and session.messages:
                session.id = self._todo.popleft()
                self._fly(
                    session, "envelope", 3, b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"
                )
            else:
                self._fly(session, "quit", 1, b"QUIT\r\n")

    def _fly(self, session: _Session, step: str, expected: int, octets: bytes) -> None:
        session.step, session.expected, session.since = step, expected, time.monotonic()
        self._send(session, octets)

    def _send(self, session: _Session, octets: bytes) -> None:
        octets = session.unsent + octets
        try:
            sent = session.sock.send(octets)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # reading tells how it ended, and may have a last word
        had, session.unsent = session.unsent, octets[sent:]
        if bool(had) != bool(session.unsent):
            self._epoll.modify(session.sock, select.EPOLLIN | (select.EPOLLOUT if session.unsent else 0))

    def _give_back(self, session: _Session) -> None:
        if session.id is not None:
            self._todo.append(session.id)
            session.id = None

    def _close(self, session: _Session, how: str) -> None:
        self.ends[how] += 1
        if session.id is not None:
            if session.step == "final":
                self.unanswered[session.id] += 1
            self._give_back(session)
        del self._open[session.sock.fileno()]
        with suppress(OSError):
            session.sock.close()
        if how not in ("quit", "done", "421") or (how == "421" and session.step == "greeting"):
            heapq.heappush(self._pauses, time.monotonic() + _PAUSE)

    def _end_silent(self, now: float) -> None:
        for session in [session for session in self._open.values() if now - session.since > _SILENCE]:
            self._close(session, f"silent in {session.step}")
