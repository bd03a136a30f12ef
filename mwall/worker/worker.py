"""One worker: one loop, its clients, its share of the backends; told by the master when to drain."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from collections.abc import Mapping

from setproctitle import setproctitle

from mwall.config.settings import Settings
from mwall.policy.load import Policy
from mwall.policy.profile import Profile
from mwall.shared.health import Backend, Health
from mwall.shared.memory import MemoryBudget
from mwall.shared.recipients import RefusedRecipients
from mwall.shared.seats import Full, Seats
from mwall.shared.table import Table
from mwall.smtp.replies import refusal
from mwall.smtp.server import Limits
from mwall.worker.client import LINGER, ClientConnection, parse_peer
from mwall.worker.counters import Counters
from mwall.worker.log import Log
from mwall.worker.loop import READ, Loop
from mwall.worker.pool import Pool
from mwall.worker.recipient import RecipientAnswers
from mwall.worker.resolver import NameServer, Resolver
from mwall.worker.timeouts import Timeouts
from mwall.worker.zones import ZoneWatch

# What the master says and hears over the pair of sockets it shares with a worker.
READY, DRAIN, QUIT = b"R", b"D", b"Q"

_TICK = 1.0  # seconds
_TROUBLED_TICK = 0.25
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_MAX_TURNED_AWAY = 64  # at once; past it they are closed at once, so that a flood costs no descriptors
_PAUSE = 0.25  # seconds without accepting when descriptors have run out
_ANSWERS_WHEN_FULL = {
    Full.TOTAL: refusal(421, "4.3.2", "LIMIT", "too many clients, please try again later", fatal=True),
    Full.ADDRESS: refusal(421, "4.7.0", "LIMIT", "too many connections from your address", fatal=True),
}
_ANSWER_WHEN_DOWN = refusal(421, "4.3.2", "BACKEND", "the mail server behind this one is away", fatal=True)


class Listener:
    """A listening socket, shared by all workers."""

    def __init__(self, worker: Worker, sock: socket.socket) -> None:
        self._worker = worker
        self.sock = sock

    def listen(self) -> None:
        """Accepts from now on. EPOLLEXCLUSIVE: one connection wakes one worker."""
        self._worker.loop.watch(self.sock.fileno(), READ | select.EPOLLEXCLUSIVE, self)

    def on_ready(self, events: int) -> None:
        try:
            sock, address = self.sock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno == errno.EINVAL:  # shut down by the master, whose word is on its way
                self._worker.loop.unwatch(self.sock.fileno())
                return
            if error.errno not in _OUT_OF_DESCRIPTORS:
                self._worker.log.process("ERROR", f"accept: {error.strerror}")
            # Level-triggered epoll would come back at once, thousands of times a second.
            self._worker.loop.unwatch(self.sock.fileno())
            self._worker.loop.call_at(self._worker.loop.now + _PAUSE, self, self._listen_again)
            return
        self._worker.welcome(sock, address[0])

    def _listen_again(self) -> None:
        if not self._worker.draining:
            self.listen()

    def on_bug(self) -> None:
        """Nothing to end: the next client is served."""


class TurnedAway:
    """A client that got 421 for a greeting: what it sends is read away, or a reset could overtake our words."""

    def __init__(self, worker: Worker, sock: socket.socket) -> None:
        self._worker = worker
        self._sock = sock
        worker.loop.watch(sock.fileno(), READ, self)
        worker.turned_away += 1
        worker.loop.call_at(worker.loop.now + LINGER, self, self._close)

    def on_ready(self, events: int) -> None:
        try:
            if not self._sock.recv(4096, socket.MSG_DONTWAIT):
                self._close()
        except BlockingIOError:
            return
        except OSError:
            self._close()

    def on_bug(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._sock.fileno() >= 0:
            self._worker.turned_away -= 1
            self._worker.loop.forget(self._sock.fileno())
            self._sock.close()


class Worker:
    """What the parts of a worker share."""

    def __init__(
        self,
        row: int,
        settings: Settings,
        policy: Policy,
        table: Table,
        backends: tuple[Backend, ...],
        name_servers: tuple[NameServer, ...],
        zones: Mapping[str, int],
        refused_recipients: RefusedRecipients,
        listeners: list[socket.socket],
        control: socket.socket,
        log: Log,
    ) -> None:
        self.row = row
        self.settings = settings
        self.policy = policy
        self.limits = Limits(settings.domain, settings.max_rcpt, settings.max_errors)
        self.log = log
        self.loop = Loop(log.bug)
        self.counters = Counters(table, row, zones)
        self.resolver = Resolver(self.loop, name_servers, settings.dns_timeout, self.counters.add, self._warn_of_server)
        self.memory = MemoryBudget(table, row, settings.max_memory)
        self.refused_recipients = refused_recipients
        self.answers = RecipientAnswers()
        self.check_timeouts = Timeouts(self.loop, settings.check_timeout)
        self.draining = False
        self.pool = Pool(self.loop, settings, table, row, Health(table, backends), log, self.counters)
        self._table = table
        self._seats = Seats(table, row)
        self._clients: set[ClientConnection] = set()
        self._listeners = [Listener(self, sock) for sock in listeners]
        self._control = control
        self._started = time.time_ns() // 1000
        self._messages = 0
        self._refused: dict[str, int] = {}
        self.turned_away = 0  # clients that are still reading our 421
        self._next_sweep = 0.0
        self._title = ""
        self._date = (0, "")
        log.on_lost = self._log_lost

    def run(self, connections: int, tests_zones: bool) -> None:
        """Serves until told to go.

        `connections`: how many to open to the backend beforehand. `tests_zones`: it is this worker that tells which
        lists misbehave.
        """
        self._table.worker_tick[self.row] = self.loop.now
        self._control.setblocking(False)
        self.loop.watch(self._control.fileno(), READ, self)
        self.pool.warm_up(connections)
        for listener in self._listeners:
            listener.listen()
        self._control.send(READY)
        self._tick()
        if tests_zones:
            ZoneWatch(self.loop, self.resolver, self.policy, self.log).look()
        self.loop.run()

    # What clients and messages use

    def next_id(self) -> str:
        """An id for a message: start of this worker in microseconds, row, number."""
        self._messages += 1
        return f"{self._started:x}.{self.row:x}.{self._messages:x}"

    def date(self) -> str:
        """Now, as RFC 5322 3.3 writes it."""
        second = int(time.time())
        if second != self._date[0]:
            self._date = (second, time.strftime("%a, %d %b %Y %H:%M:%S %z", time.localtime(second)))
        return self._date[1]

    def welcome(self, sock: socket.socket, ip: str) -> None:
        """A new client: a seat and a greeting, or 421."""
        self.counters.add("connections")
        peer = parse_peer(ip)
        if self.pool.is_down():
            self._turn_away(sock, _ANSWER_WHEN_DOWN, "the backend is away")
            return
        relay = peer.address in self.policy.relay_ips
        seat = self._seats.claim(peer.key, 0 if relay else self.settings.max_per_ip)
        if isinstance(seat, Full):
            self._turn_away(sock, _ANSWERS_WHEN_FULL[seat], f"{seat.value}, the last from {peer.text}")
            return
        client = ClientConnection(self, sock, peer, seat, relay)
        self._clients.add(client)
        try:
            self.loop.watch(sock.fileno(), READ, client)
        except OSError as error:
            self.log.process("ERROR", f"epoll: {error.strerror}")
            client.close()
            return
        if self.settings.greeting_delay:
            self.loop.call_at(self.loop.now + self.settings.greeting_delay, client, client.greet)
        else:
            client.greet()
        if not client.gone:
            client.look_up(self.first_profile(relay))

    def first_profile(self, relay: bool) -> Profile:
        """The profile by which a client is looked at whose recipients are not known yet."""
        return self.policy.relay_profile if relay else self.policy.default_profile

    def left(self, client: ClientConnection) -> None:
        """A client's socket is closed."""
        self._clients.discard(client)
        self._seats.release(client.seat)
        self._stop_if_done()

    def _turn_away(self, sock: socket.socket, answer: bytes, why: str) -> None:
        self.counters.add("refused_connections")
        self._refused[why.partition(",")[0]] = self._refused.get(why.partition(",")[0], 0) + 1
        with contextlib.suppress(OSError):
            sock.send(answer, socket.MSG_DONTWAIT)
            sock.shutdown(socket.SHUT_WR)
            if self.turned_away < _MAX_TURNED_AWAY:
                TurnedAway(self, sock)
                return
        sock.close()

    # The master's word

    def on_ready(self, events: int) -> None:
        try:
            word = self._control.recv(16)
        except BlockingIOError:
            return
        if not word or QUIT in word:
            self.loop.running = False
        elif DRAIN in word and not self.draining:
            self._drain()

    def on_bug(self) -> None:
        """Nothing to end: the worker goes on."""

    def _drain(self) -> None:
        self.draining = True
        for listener in self._listeners:
            listener.on_ready(0)  # a client that has woken us and nobody else would wait for the next one to come
            self.loop.unwatch(listener.sock.fileno())
            listener.sock.close()
        self.pool.drain()
        for client in tuple(self._clients):
            client.session.draining = True
        self.loop.call_at(self.loop.now + self.settings.drain_timeout, self, self._end_drain)
        self._next_sweep = 0.0
        self._tick_clients()
        self._stop_if_done()

    def _end_drain(self) -> None:
        """drain_timeout is over: whoever is left is told, and given the time to read it."""
        for client in tuple(self._clients):
            client.end(421, "4.3.2", "restarting, please connect again")
        self.loop.call_at(self.loop.now + 3.0, self, self._stop)

    def _stop(self) -> None:
        self.loop.running = False

    def _stop_if_done(self) -> None:
        """Not while a message is on its way whose client has gone: its line in the log says what became of it."""
        if self.draining and not self._clients and not self.pool.is_working:
            self.loop.running = False

    # Time

    def _tick(self) -> None:
        now = self.loop.now
        self._table.worker_tick[self.row] = now
        self.loop.call_at(now + (_TROUBLED_TICK if self.pool.is_troubled else _TICK), self, self._tick)
        self.pool.tick()
        if now >= self._next_sweep:
            self._next_sweep = now + _TICK
            self._tick_clients()
            self._report()
            self.memory.settle()
            self._stop_if_done()

    def _tick_clients(self) -> None:
        now = self.loop.now
        for client in tuple(self._clients):
            self.loop.guard(client, client.tick, now)

    def _report(self) -> None:
        for why, count in self._refused.items():
            self.log.process("NOTICE", f"turned away {count} clients: {why}")
        self._refused.clear()
        state = "draining, " if self.draining else ""
        connections = self._table.worker_connections[self.row]
        title = f"messagewall: worker {self.row + 1}, {state}{len(self._clients)} clients, {connections} backends"
        if title != self._title:
            self._title = title
            setproctitle(title)

    def _warn_of_server(self, server: str, what: str) -> None:
        self.log.process("WARNING", f"name server {server}: {what}")

    def _log_lost(self) -> None:
        self.counters.add("log_lines_lost")


