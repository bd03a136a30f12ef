"""One connection to a backend: it carries the dialogues of smtp/client.py, one at a time.

The rules:
- Octets that arrive while nothing is asked, or more replies than were asked for,
  end the connection: a readable idle connection is a dead one.
- The final dot has gone once the kernel has taken the last octet of its flight.
  What goes wrong before is safe to try again; behind it, it is not (RFC 1047).
"""

from __future__ import annotations

import errno
import socket
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

from mwall.shared.health import Backend
from mwall.shared.slots import SlotState
from mwall.smtp.client import Dialogue, Extensions, Flight, Outcome, OutOfStepError, Wait, keep_alive, opening, reset
from mwall.smtp.replies import MalformedReplyError, Reply, ReplyReader, refusal_of_backend
from mwall.worker.loop import READ, WRITE, Watched

if TYPE_CHECKING:
    from mwall.worker.pool import Pool

_READ_OCTETS = 16384
_WRITE_OCTETS = 1 << 18
_MAX_REFUSALS = 8  # Postfix slows down and hangs up on a client that earns more
_MAX_WITHOUT_MESSAGE = 50
_KEEP_ALIVE = 20.0  # seconds between two NOOPs of an idle connection


class Loss(Enum):
    """How a dialogue came to nothing."""

    BEFORE_DOT = "before the final dot"
    AFTER_DOT = "after the final dot: possible duplicate"


class Job(ABC):
    """What a connection is wanted for. Subclassed by who wants it."""

    owner: Watched  # whose session it is
    wanted_since = 0.0
    connection: BackendConnection | None = None

    @abstractmethod
    def dialogue(self, extensions: Extensions) -> Dialogue:
        """The dialogue to hold."""

    @abstractmethod
    def done(self, backend: Backend, outcome: Outcome) -> None:
        """The dialogue was held to its end."""

    @abstractmethod
    def lost(self, backend: Backend, loss: Loss, why: str) -> None:
        """The dialogue broke off, and nobody may try again."""

    @abstractmethod
    def unserved(self, answer: bytes, why: str) -> None:
        """No connection was to be had; `answer` is the reply for the client."""


class BackendConnection:
    """A connection, from connect() to close(). `deadline` is monotonic seconds."""

    def __init__(self, pool: Pool, backend: Backend, slot: int) -> None:
        self._pool = pool
        self._loop = pool.loop
        self.backend = backend
        self.slot = slot
        self.extensions: Extensions | None = None
        self.job: Job | None = None
        self.reused = False
        self.idle_since = 0.0
        self.deadline = self._loop.now + pool.settings.backend_connect_timeout
        self._spoken = self._loop.now
        self._messages = self._refusals = self._without_message = 0
        self._reader = ReplyReader()
        self._dialogue: Generator[Flight, list[Reply], Any] | None = None
        self._then: Callable[[Any], None] = self._opened
        self._wait = Wait.OPENING
        self._expected = 0
        self._replies: list[Reply] = []
        self._unsent: deque[memoryview] = deque()
        self._connecting = True
        self._worn_out = False
        self._dot_sent = False
        self._socket = socket.socket(socket.AF_INET6 if ":" in backend.ip else socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connect(self) -> None:
        """Begins to connect. Raises OSError."""
        code = self._socket.connect_ex((self.backend.ip, self.backend.port))
        if code not in (0, errno.EINPROGRESS):
            self._socket.close()
            raise OSError(code, errno.errorcode.get(code, "?"))
        self._loop.watch(self._socket.fileno(), WRITE, self)

    # What the pool does

    def begin(self, job: Job) -> None:
        """Gives an idle connection its next work."""
        assert self.extensions is not None
        self.job = job
        job.connection = self
        self._dot_sent = False
        self._pool.slots.note(self.slot, SlotState.BUSY, self._loop.now)
        self._hold(job.dialogue(self.extensions), self._finished)

    def keep_alive(self) -> None:
        """Sends NOOP. Not to be given a job until it rests again."""
        self._without_message += 1
        self._hold(keep_alive(), lambda _: self._at_rest())

    @property
    def is_silent(self) -> bool:
        """Whether it is time for a NOOP."""
        return self._loop.now - self._spoken >= _KEEP_ALIVE

    @property
    def is_resting(self) -> bool:
        """Whether nothing is asked of it."""
        return self._dialogue is None and self.extensions is not None

    @property
    def is_worn(self) -> bool:
        """Whether it is time for a new one."""
        return (
            self._worn_out
            or self._messages >= self._pool.settings.backend_max_messages
            or self._refusals >= _MAX_REFUSALS
            or self._without_message >= _MAX_WITHOUT_MESSAGE
        )

    def quit(self) -> None:
        """Ends an idle connection politely."""
        with suppress(OSError):
            self._socket.send(b"QUIT\r\n")
        self.close()

    def close(self) -> None:
        """Ends the connection at once and gives its slot back."""
        if self._socket.fileno() >= 0:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._dialogue = None
            self._pool.closed(self)

    def drop_job(self) -> bool:
        """The client is gone. True when the job died with the connection, False when its dot had gone before."""
        if self._dot_sent:
            return False
        self.job = None
        self.close()
        return True

    def time_out(self) -> None:
        """The deadline has passed. No second try: the next one may take as long, and the client's patience ends."""
        self.reused = False
        self._fail(f"no {self._wait.value} in time")

    # What the loop does

    def on_bug(self) -> None:
        self._fail("our own error")

    def on_ready(self, events: int) -> None:
        if self._connecting:
            self._on_connected()
            return
        if events & WRITE and self._unsent:
            self._write()
        if events & ~WRITE:
            self._read()

    def _on_connected(self) -> None:
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(errno.errorcode.get(code, str(code)))
            return
        self._connecting = False
        self._loop.change(self._socket.fileno(), READ)
        self._hold(opening(self._pool.settings.domain), self._opened)

    def _read(self) -> None:
        try:
            octets = self._socket.recv(_READ_OCTETS)
            if not octets:
                self._fail("connection closed" + (" within a reply" if self._reader.in_reply else ""))
                return
            replies = self._reader.receive(octets)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error.strerror or "connection lost")
            return
        except MalformedReplyError as error:
            self._fail(str(error))
            return
        if not self._expected:
            self._fail("spoke unasked")
            return
        self._replies += replies
        if self._replies and self._unsent:
            self._on_early_reply(self._replies[0])
        elif len(self._replies) >= self._expected:
            self._on_replies()
        elif self._replies and self._replies[-1].code == 421:
            self._fail(f"closing: {self._replies[-1]}")
        elif replies:
            self._check_behind_replies()

    def _check_behind_replies(self) -> None:
        """A fault that came in one piece with good replies is told by the reader's next call: not first in a minute."""
        try:
            self._reader.receive(b"")
        except MalformedReplyError as error:
            self._fail(str(error))

    def _on_replies(self) -> None:
        replies, self._replies = self._replies, []
        surplus = len(replies) > self._expected or self._reader.in_reply
        if surplus and not self._dot_sent:
            self._fail("more replies than commands")
            return
        expected, self._expected = self._expected, 0
        closing = 421 in [reply.code for reply in replies]
        if closing and self.reused and not self._dot_sent:
            self._fail("closing")
            return
        self._worn_out = surplus or closing  # so that it gets no other job
        self._advance(replies[:expected])
        if self._worn_out:
            self.close()

    def _on_early_reply(self, answer: Reply) -> None:
        """A reply before our dot: its word stands if it refuses, but the connection is of no more use."""
        job, self.job = self.job, None
        backend = self.backend
        self.close()
        if job is None:
            return
        if answer.code >= 400:
            octets, misconfigured = refusal_of_backend(answer, "the message")
            self._loop.guard(job.owner, job.done, backend, Outcome(octets, str(answer), misconfigured=misconfigured))
        else:
            why = f"replied before the end of data: {answer}"
            self._loop.guard(job.owner, job.lost, backend, Loss.BEFORE_DOT, why)

    # The dialogue

    def _hold(self, dialogue: Generator[Flight, list[Reply], Any], then: Callable[[Any], None]) -> None:
        self._dialogue = dialogue
        self._then = then
        self._advance(None)

    def _advance(self, replies: list[Reply] | None) -> None:
        assert self._dialogue is not None
        try:
            flight = next(self._dialogue) if replies is None else self._dialogue.send(replies)
        except StopIteration as stop:
            self._dialogue = None
            self._then(stop.value)
            return
        except OutOfStepError as error:
            self._fail(str(error))
            return
        self._expected = flight.replies
        self._wait = flight.wait
        if flight.wait is not Wait.OPENING:
            self._spoken = self._loop.now
            self.deadline = self._loop.now + self._patience()
            self._send(flight)

    def _patience(self) -> float:
        settings = self._pool.settings
        return settings.backend_final_timeout if self._wait is Wait.FINAL else settings.backend_timeout

    def _send(self, flight: Flight) -> None:
        """One send where it fits; what the kernel does not take goes when it can."""
        first = flight.chunks[0] if len(flight.chunks) == 1 else None
        if first is None and sum(map(len, flight.chunks)) <= _WRITE_OCTETS:
            first = b"".join(flight.chunks)
        if first is not None and len(first) <= _WRITE_OCTETS:
            try:
                sent = self._socket.send(first)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self._fail(error.strerror or "connection lost")
                return
            if sent == len(first):
                self._dot_sent = self._wait is Wait.FINAL
                return
            self._unsent.append(memoryview(first)[sent:])
        else:
            self._unsent.extend(memoryview(chunk) for chunk in flight.chunks if chunk)
        self._loop.change(self._socket.fileno(), READ | WRITE)

    def _write(self) -> None:
        budget = _WRITE_OCTETS
        try:
            while self._unsent and budget > 0:
                sent = self._socket.send(self._unsent[0][:_WRITE_OCTETS])
                budget -= sent
                if sent == len(self._unsent[0]):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = self._unsent[0][sent:]
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail(error.strerror or "connection lost")
            return
        if budget < _WRITE_OCTETS:
            self.deadline = self._loop.now + self._patience()
        if not self._unsent:
            self._dot_sent = self._wait is Wait.FINAL
            self._loop.change(self._socket.fileno(), READ)

    # What becomes of it

    def _opened(self, extensions: Extensions) -> None:
        self.extensions = extensions
        self.idle_since = self._loop.now
        self._pool.opened(self)
        self._at_rest()

    def _finished(self, outcome: Outcome) -> None:
        job, self.job = self.job, None
        self.reused = True
        self.idle_since = self._loop.now
        carried = outcome.delivered and self._dot_sent
        if carried:
            self._messages += 1
            self._without_message = 0
        else:
            self._refusals += not outcome.delivered
            self._without_message += 1
        if job is not None:
            job.connection = None
            self._loop.guard(job.owner, job.done, self.backend, outcome)
        if carried:
            self._at_rest()
        elif self._socket.fileno() >= 0:
            self._hold(reset(), lambda _: self._at_rest())

    def _at_rest(self) -> None:
        if self._socket.fileno() >= 0:
            self._pool.rests(self)

    def _fail(self, why: str) -> None:
        """The connection is lost: the job is tried again where that is safe, or ends."""
        job, self.job = self.job, None
        dot_sent, reused, opened = self._dot_sent, self.reused, self.extensions is not None
        self.close()
        if not opened:
            self._pool.did_not_open(self, why)
        elif job is not None:
            job.connection = None
            if dot_sent:
                self._loop.guard(job.owner, job.lost, self.backend, Loss.AFTER_DOT, why)
            elif reused:  # it may have been dead before; the last one tried is a new one, so this ends
                self._pool.request(job)
            else:
                self._loop.guard(job.owner, job.lost, self.backend, Loss.BEFORE_DOT, why)
