"""This worker's connections to the backends: warm ones, waiting jobs, and its dealings with the other workers.

The rules:
- An idle connection serves the next message of this worker; none idle, a slot
  is claimed for a new one; none free, the oldest idle connection anywhere gives
  way, and the worker waits marked in the shared table.
- A connection that falls free goes to a longer waiting worker that holds fewer
  slots, before it serves a younger message here: nobody starves, nothing thrashes.
- New connections go to the first backend that is not known to be away. One
  worker at a time probes those that are, so that mail flows again by itself.
"""

from __future__ import annotations

import math
import os
from collections import deque
from contextlib import suppress
from functools import partial

from mwall.config.settings import Settings
from mwall.shared.health import Backend, Health
from mwall.shared.slots import Slots, SlotState
from mwall.shared.table import Table
from mwall.smtp.commands import Offers
from mwall.smtp.replies import refusal
from mwall.worker.backend import BackendConnection, Job
from mwall.worker.counters import Counters
from mwall.worker.log import Log
from mwall.worker.loop import READ, Loop

ROOM_FOR_OUR_FIELDS = 8192  # octets that the fields put on top may add to a message
_MUCH_LONGER = 0.5  # seconds that another worker's message has waited longer than ours
_BACKSTOP = 0.1  # seconds after which a waiter looks at the table again, woken or not


class Pool:
    """The connections of one worker."""

    def __init__(
        self, loop: Loop, settings: Settings, table: Table, row: int, health: Health, log: Log, counters: Counters
    ) -> None:
        self.loop = loop
        self.settings = settings
        self.slots = Slots(table, row)
        self.draining = False
        self._table = table
        self._row = row
        self._health = health
        self._log = log
        self._counters = counters
        self._connections: set[BackendConnection] = set()
        self._idle: list[BackendConnection] = []
        self._queue: deque[Job] = deque()
        self._opening = 0
        self._probe_waits = False  # for a connection of ours that comes to rest: all slots are busy
        self.offers = self._common_offers()
        loop.watch(table.eventfds[row], READ, self)

    # What the worker does

    def warm_up(self, connections: int) -> None:
        """Opens this worker's share of the connections."""
        for _ in range(connections):
            if not self._open_one():
                break

    def request(self, job: Job) -> None:
        """Serves a job when a connection is to be had. A job asked for again keeps its place in time."""
        job.wanted_since = job.wanted_since or self.loop.now
        if self._idle:
            self._begin(self._idle.pop(), job)
        else:
            self._queue.append(job)
            self._look()

    def withdraw(self, job: Job) -> bool:
        """The client is gone. Whether the job could be stopped: not once its final dot has been sent."""
        if job.connection is not None:
            return job.connection.drop_job()
        with suppress(ValueError):
            self._queue.remove(job)
        return True

    def is_down(self) -> bool:
        """No connection open anywhere, and the last attempt at every backend failed."""
        return not self._idle and self._health.is_down()

    def tick(self) -> None:
        """Now and then: deadlines, keep-alive, the end of idle connections, probes."""
        for connection in tuple(self._connections):
            self.loop.guard(connection, self._tick_connection, connection)
        if self._queue:
            self._look()
        self._expire()
        if not self.draining:
            self._probe()
        self.offers = self._common_offers()

    def _tick_connection(self, connection: BackendConnection) -> None:
        if connection.is_resting:
            unused = self.loop.now - connection.idle_since
            if unused >= self.settings.backend_idle or self._is_second_best(connection):
                connection.quit()
            elif connection.is_silent:
                self._idle.remove(connection)
                connection.keep_alive()
        elif self.loop.now >= connection.deadline:
            connection.time_out()

    @property
    def is_working(self) -> bool:
        """Whether a job is under way, though its client may have gone."""
        return any(connection.job for connection in self._connections)

    @property
    def is_troubled(self) -> bool:
        """Whether a backend is away, so that ticks should come often."""
        return any(map(self._health.is_away, self._health.backends))

    def drain(self) -> None:
        """Keeps no warm connection any more and leaves probing to the next generation."""
        self.draining = True
        self._table.release_prober()
        for connection in tuple(self._idle):
            connection.quit()

    # What a connection does

    def opened(self, connection: BackendConnection) -> None:
        """It has greeted us and said what it offers."""
        self._opening -= 1
        self._table.worker_connections[self._row] += 1
        self._counters.add("backend_connections")
        extensions = connection.extensions
        assert extensions is not None
        if self._health.is_away(connection.backend):
            self._log.backend(str(connection.backend), "BACKEND", "NOTICE", "answers again")
        self._health.note_success(
            connection.backend, extensions.size, extensions.eightbitmime, extensions.smtputf8
        )
        self.offers = self._common_offers()

    def did_not_open(self, connection: BackendConnection, why: str) -> None:
        """It is closed already. Waiting jobs try the next backend, or end."""
        self._opening -= 1
        self._counters.add("backend_failures")
        failures = self._health.note_failure(connection.backend, self.loop.now)
        if failures.bit_count() == 1:  # the first, second, fourth, eighth time
            level = "FATAL" if why.startswith(("greeting", "EHLO")) else "TEMPORARY"
            text = f"no connection: {why}; {failures} in a row; trying on"
            self._log.backend(str(connection.backend), "BACKEND", level, text)
        self._look()

    def rests(self, connection: BackendConnection) -> None:
        """It has nothing to do."""
        connection.deadline = math.inf
        if connection.is_worn or self._is_second_best(connection) or self._probe_waits:
            connection.quit()
            if self._probe_waits:
                self._probe()
            self._look()
        elif self._queue:
            if self._should_hand_over():
                connection.quit()
            else:
                self._begin(connection, self._queue.popleft())
                if not self._queue:
                    self._table.worker_waiting[self._row] = 0
        elif self.draining:
            connection.quit()
        else:
            self._idle.append(connection)
            connection.reused = True  # who takes it from here cannot know whether it still lives
            self.slots.note(connection.slot, SlotState.IDLE, connection.idle_since)
            self._give_way()

    def _is_second_best(self, connection: BackendConnection) -> bool:
        """Whether one that is preferred serves: it is back again, or this one was only asked what it offers."""
        for backend in self._health.backends:
            if backend == connection.backend:
                return False
            if not self._health.is_away(backend):
                return True
        return False

    def closed(self, connection: BackendConnection) -> None:
        """Its socket is closed."""
        self._connections.discard(connection)
        with suppress(ValueError):
            self._idle.remove(connection)
        if connection.extensions is not None:
            self._table.worker_connections[self._row] -= 1
        self.slots.release(connection.slot)
        if self._queue:
            self.loop.call_soon(self, self._look)

    # What the loop does: another worker woke us

    def on_ready(self, events: int) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._table.eventfds[self._row])
        self._look()
        self._give_way()

    def on_bug(self) -> None:
        """Nothing to end: the pool goes on."""

    # Inside

    def _look(self) -> None:
        """Serves what waits as far as connections and slots go."""
        while self._queue and self._idle:
            self._begin(self._idle.pop(), self._queue.popleft())
        short_of_slots = False
        while self._opening < len(self._queue):
            if self._health.first_up() is None:
                # Where connections are open, a job waits for one of them: the backend only takes no more.
                if not self._opening and not self._table.worker_connections[self._row]:
                    self._give_up_all()
                break
            if not self._open_one():
                short_of_slots = bool(self._queue)
                break
        if short_of_slots:
            self._wait_for_slot()
            self._expire()
        else:
            self._table.worker_waiting[self._row] = 0

    def _begin(self, connection: BackendConnection, job: Job) -> None:
        self.loop.guard(job.owner, connection.begin, job)

    def _open_one(self) -> bool:
        """Begins a connection to the first backend that is up. False when there is no slot for it."""
        backend = self._health.first_up()
        return backend is not None and self._open(backend)

    def _open(self, backend: Backend) -> bool:
        slot = self.slots.claim(self.loop.now)
        if slot is None:
            return False
        try:
            connection = BackendConnection(self, backend, slot)
        except OSError as error:  # no descriptor, no memory: as if there were no slot
            self.slots.release(slot)
            self._log.backend(str(backend), "BACKEND", "ERROR", f"no socket for a connection: {error.strerror}")
            return False
        self._connections.add(connection)
        self._opening += 1
        try:
            connection.connect()
        except OSError as error:
            self.closed(connection)
            self.did_not_open(connection, error.strerror or "?")
        return True

    def _wait_for_slot(self) -> None:
        """Marked first, looked again after: a slot freed in between is not missed. The timer is the backstop."""
        self._table.worker_waiting_since[self._row] = self._queue[0].wanted_since
        if not self._table.worker_waiting[self._row]:
            self._table.worker_waiting[self._row] = 1
            self.loop.call_at(self.loop.now + _BACKSTOP, self, self._look_again)
            if self._open_one():
                self._table.worker_waiting[self._row] = 0
                return
        self.slots.ask_for_one()

    def _look_again(self) -> None:
        if self._table.worker_waiting[self._row]:
            self._table.worker_waiting[self._row] = 0
            self._look()

    def _should_hand_over(self) -> bool:
        waiter = self._table.longest_waiter(self._row)
        if waiter is None:
            return False
        longer = self._queue[0].wanted_since - self._table.worker_waiting_since[waiter]
        theirs = self.slots.held_by(waiter)
        # Where one has a slot more than the other, only a wait that is much longer is worth a new connection.
        return longer > 0 and self.slots.held > theirs + (theirs > 0 and longer < _MUCH_LONGER)

    def _give_way(self) -> None:
        """The oldest idle connection for a worker that waits; its release wakes that worker."""
        if self._idle and self._table.longest_waiter(self._row) is not None:
            self._idle[0].quit()

    def _expire(self) -> None:
        """Ends the wait of jobs that have waited too long. The first of the queue have a connection coming up."""
        latest = self.loop.now - self.settings.backend_wait
        late = [job for job in list(self._queue)[self._opening :] if job.wanted_since <= latest]
        for job in late:
            self._queue.remove(job)
        text = "all connections to the mail server are busy, please try again later"
        self._leave_unserved(late, refusal(451, "4.3.2", "BACKEND", text), "no free connection in time")

    def _give_up_all(self) -> None:
        jobs = list(self._queue)
        self._queue.clear()
        text = "the mail server behind this one is away, please try again later"
        self._leave_unserved(jobs, refusal(451, "4.4.1", "BACKEND", text), "no backend answers")

    def _leave_unserved(self, jobs: list[Job], answer: bytes, why: str) -> None:
        """In the next round: a client that is answered may ask for the next thing, and we are amid our queue here."""
        for job in jobs:
            self.loop.call_soon(job.owner, partial(job.unserved, answer, why))

    def _probe(self) -> None:
        """Keeps looking whether a backend that is away has come back, and learns what a new one offers."""
        self._probe_waits = False
        backend = self._health.due(self.loop.now)
        if backend is None or any(c.backend == backend and not c.extensions for c in self._connections):
            return
        if not self._table.take_prober() or self._open(backend):
            return
        if self._idle:  # every slot is taken: one that rests gives way, or the backend would never be asked
            self._idle[0].quit()
            self._open(backend)
        else:
            self._probe_waits = True
            self._table.release_prober()

    def _common_offers(self) -> Offers:
        """What every backend that we have spoken to offers, so that any of them can take what we took."""
        size = self.settings.max_message_size
        eightbitmime = smtputf8 = True
        known = [offer for backend in self._health.backends if (offer := self._health.known(backend))]
        for offer in known:
            eightbitmime &= offer.eightbitmime
            smtputf8 &= offer.smtputf8
            if offer.size:
                size = min(size, max(1, offer.size - ROOM_FOR_OUR_FIELDS))
        return Offers(size, bool(known) and eightbitmime, bool(known) and smtputf8)
