"""One anonymous shared mapping and one memfd for byte locks, both made before the first fork.

The rules that let it survive a SIGKILL at any instruction:
- Who is alive is what the kernel says: a worker holds the byte lock of its row
  from start to death, a backend slot is held by the lock of its byte. Whatever
  stands in the mapping counts only as far as such a lock is held.
- Each field has one writer: the worker whose row it is, the holder of a slot, or
  whoever holds MUTEX. The master alone clears the row of a dead worker.
- Closing any descriptor of the memfd drops all locks of the process: nobody
  does. Locks are not inherited through fork (fcntl(2)), so each child starts
  with none.

No field is wider than 8 octets and each lies on its own alignment, so no reader
sees half of one.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from contextlib import suppress
from typing import Any

MAX_WORKERS = 250  # rows: two generations and more; owner numbers are row + 1 and fit an octet
MAX_BACKEND_ADDRESSES = 64
MAX_ZONES = 192  # lists that the profiles of three generations ask, 64 each (policy/load.py)
REFUSED_RECIPIENT_ROWS = 4096
REFUSED_RECIPIENT_OCTETS = 576

# Offsets of the byte locks in the memfd; slots stand at 0 and up.
_WORKER_LOCKS = 1 << 20
_MUTEX = 1 << 21
_PROBER = _MUTEX + 1

# struct flock of fcntl(2): l_type, l_whence, l_start, l_len, l_pid.
_FLOCK = struct.Struct("hhqqi4x")

COUNTERS = (
    "connections",
    "refused_connections",
    "messages_accepted",
    "messages_rejected",
    "messages_temporary",
    "recipients_rejected",
    "octets_accepted",
    "backend_connections",
    "backend_failures",
    "possible_duplicates",
    "errors",
    "log_lines_lost",
    "dns_queries",
    "dns_cache_hits",
    "dns_timeouts",
    "dns_wrong_answers",
)
# What is counted for each zone.
ZONE_COUNTERS = ("asked", "listed", "late")


class Mutex:
    """The one lock that is waited for: held for microseconds, freed by the kernel if its holder is killed."""

    def __init__(self, locks: int) -> None:
        self._locks = locks

    def __enter__(self) -> None:
        fcntl.lockf(self._locks, fcntl.LOCK_EX, 1, _MUTEX)

    def __exit__(self, *_: object) -> None:
        fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, _MUTEX)


class Table:
    """The mapping, its fields as typed views, and the locks. One object, made once, inherited by fork."""

    worker_pid: memoryview[int]
    worker_tick: memoryview[float]  # monotonic seconds
    worker_waiting: memoryview[int]  # 1: waits for a slot
    worker_waiting_since: memoryview[float]  # monotonic seconds
    worker_connections: memoryview[int]  # to backends, past EHLO
    worker_clients: memoryview[int]
    worker_memory: memoryview[int]  # octets reserved for mail data
    worker_counters: memoryview[int]  # len(COUNTERS) for each worker; the last row: of workers that are gone
    worker_zone_counters: memoryview[int]  # the same for MAX_ZONES times ZONE_COUNTERS
    slot_state: memoryview[int]
    slot_owner: memoryview[int]
    slot_since: memoryview[float]  # monotonic seconds
    seat_key: memoryview[int]
    seat_owner: memoryview[int]
    health_failures: memoryview[int]  # in a row
    health_next_attempt: memoryview[float]  # monotonic seconds
    health_size: memoryview[int]
    health_extensions: memoryview[int]
    refused_recipients_until: memoryview[float]  # monotonic seconds at which the last of them expires
    refused_recipients: memoryview[int]

    def __init__(self, max_clients: int, max_backends: int) -> None:
        """Raises OSError when the kernel gives no memory or descriptors."""
        self.max_clients = max_clients
        self.max_backends = max_backends
        fields = {
            "worker_pid": ("q", MAX_WORKERS),
            "worker_tick": ("d", MAX_WORKERS),
            "worker_waiting": ("B", MAX_WORKERS),
            "worker_waiting_since": ("d", MAX_WORKERS),
            "worker_connections": ("q", MAX_WORKERS),
            "worker_clients": ("q", MAX_WORKERS),
            "worker_memory": ("q", MAX_WORKERS),
            "worker_counters": ("q", (MAX_WORKERS + 1) * len(COUNTERS)),
            "worker_zone_counters": ("q", (MAX_WORKERS + 1) * MAX_ZONES * len(ZONE_COUNTERS)),
            "slot_state": ("B", max_backends),
            "slot_owner": ("B", max_backends),
            "slot_since": ("d", max_backends),
            "seat_key": ("Q", max_clients),
            "seat_owner": ("B", max_clients),
            "health_failures": ("q", MAX_BACKEND_ADDRESSES),
            "health_next_attempt": ("d", MAX_BACKEND_ADDRESSES),
            "health_size": ("q", MAX_BACKEND_ADDRESSES),
            "health_extensions": ("B", MAX_BACKEND_ADDRESSES),
            "refused_recipients_until": ("d", 1),
            "refused_recipients": ("B", REFUSED_RECIPIENT_ROWS * REFUSED_RECIPIENT_OCTETS),
        }
        self._offsets: dict[str, int] = {}
        size = 0
        for name, (code, count) in fields.items():
            self._offsets[name] = size
            size += -(-struct.calcsize(code) * count // 8) * 8
        self.memory = mmap.mmap(-1, size)
        whole = memoryview(self.memory)
        for name, (code, count) in fields.items():
            octets: Any = whole[self._offsets[name] : self._offsets[name] + struct.calcsize(code) * count]
            setattr(self, name, octets.cast(code))
        self._locks = os.memfd_create("messagewall-locks", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        fcntl.fcntl(
            self._locks,
            fcntl.F_ADD_SEALS,
            fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL,
        )
        self.mutex = Mutex(self._locks)
        self.eventfds = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(MAX_WORKERS)]

    @property
    def descriptors(self) -> list[int]:
        """The descriptors that must survive a detachment."""
        return [self._locks, *self.eventfds]

    def find(self, field: str, octet: bytes, start: int, count: int) -> int:
        """Index of the first `octet` in a field of octets, from index `start` on of `count`; -1 if there is none."""
        offset = self._offsets[field]
        found = self.memory.find(octet, offset + start, offset + count)
        return found - offset if found >= 0 else -1

    def octets(self, field: str, size: int) -> bytes:
        """A copy of the first `size` octets of a field."""
        offset = self._offsets[field]
        return self.memory[offset : offset + size]

    # Locks

    def take_lock(self, offset: int) -> bool:
        """Takes a byte lock if nobody else holds it."""
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release_lock(self, offset: int) -> None:
        """Gives a byte lock back."""
        fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, offset)

    def lock_holder(self, offset: int) -> int:
        """The process that holds a byte lock, 0 if none does or if this one does."""
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
        kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(self._locks, fcntl.F_GETLK, asked))
        return 0 if kind == fcntl.F_UNLCK else int(pid)

    def take_prober(self) -> bool:
        """Whether this worker is now the one that probes a backend that is away. Lasts until it dies or gives up."""
        return self.take_lock(_PROBER)

    def release_prober(self) -> None:
        """Lets another worker probe."""
        self.release_lock(_PROBER)

    # Rows of workers

    def enter_row(self, row: int) -> None:
        """In a new worker: makes its row alive. Raises OSError if another process lives there."""
        if not self.take_lock(_WORKER_LOCKS + row):
            raise OSError(f"row {row} of the shared table is in use")
        self.worker_pid[row] = os.getpid()

    def is_alive(self, row: int) -> bool:
        """Whether a worker lives in the row (its own row is, of course, alive to a worker)."""
        return self.worker_pid[row] == os.getpid() or self.lock_holder(_WORKER_LOCKS + row) != 0

    def clear_row(self, row: int) -> None:
        """In the master, after it reaped a worker: takes back all that the row stood for."""
        for index, owner in enumerate(self.slot_owner):
            if owner == row + 1 and self.take_lock(index):
                self.slot_state[index] = self.slot_owner[index] = 0
                self.release_lock(index)
        with self.mutex:
            self.clear_seats(row)
        for field in (self.worker_waiting, self.worker_connections, self.worker_clients, self.worker_memory):
            field[row] = 0
        _bequeath(self.worker_counters, row, len(COUNTERS))
        _bequeath(self.worker_zone_counters, row, MAX_ZONES * len(ZONE_COUNTERS))
        self.worker_pid[row] = 0
        with suppress(BlockingIOError):
            os.eventfd_read(self.eventfds[row])

    def clear_seats(self, row: int) -> None:
        """Frees the seats of a dead worker. With the mutex held."""
        at = self.find("seat_owner", bytes([row + 1]), 0, self.max_clients)
        while at >= 0:
            self.seat_key[at] = 0
            self.seat_owner[at] = 0
            at = self.find("seat_owner", bytes([row + 1]), at + 1, self.max_clients)

    def forget_backend(self, row: int) -> None:
        """In the master: nothing is known of the backend address that gets this row."""
        self.health_extensions[row] = 0
        self.health_failures[row] = 0
        self.health_next_attempt[row] = 0.0

    def forget_zone(self, zone: int) -> None:
        """In the master: nothing has been counted for the zone that gets this number."""
        width = len(ZONE_COUNTERS)
        for row in range(MAX_WORKERS + 1):
            start = (row * MAX_ZONES + zone) * width
            self.worker_zone_counters[start : start + width] = memoryview(bytes(8 * width)).cast("q")

    def wake(self, row: int) -> None:
        """Makes the worker of a row look at the table."""
        with suppress(BlockingIOError):
            os.eventfd_write(self.eventfds[row], 1)

    def longest_waiter(self, but: int) -> int | None:
        """The row, other than `but`, that has waited longest for a slot."""
        best: int | None = None
        at = self.find("worker_waiting", b"\1", 0, MAX_WORKERS)
        while at >= 0:
            if at != but and (best is None or self.worker_waiting_since[at] < self.worker_waiting_since[best]):
                best = at
            at = self.find("worker_waiting", b"\1", at + 1, MAX_WORKERS)
        return best

    def totals(self) -> dict[str, int]:
        """The counters of all workers, those that are gone included."""
        width = len(COUNTERS)
        return {name: sum(self.worker_counters[number::width].tolist()) for number, name in enumerate(COUNTERS)}

    def zone_totals(self, zone: int) -> dict[str, int]:
        """What all workers have counted for a zone."""
        width = MAX_ZONES * len(ZONE_COUNTERS)
        first = zone * len(ZONE_COUNTERS)
        return {
            name: sum(self.worker_zone_counters[first + number :: width].tolist())
            for number, name in enumerate(ZONE_COUNTERS)
        }


def _bequeath(counters: memoryview[int], row: int, width: int) -> None:
    """Adds the counters of a worker that is gone to the last row."""
    gone = MAX_WORKERS * width
    for number in range(width):
        count = counters[row * width + number]
        if count:
            counters[gone + number] += count
            counters[row * width + number] = 0
