"""What all workers know of each backend address: does it answer, when to try again, what does it offer.

Addresses keep their row over a HUP (the master hands rows out), so a backend
that is away stays known as away to a new generation.
"""

from __future__ import annotations

from typing import NamedTuple

from mwall.shared.table import Table

BACK_OFF_FIRST = 0.5  # seconds
BACK_OFF_MOST = 8.0
_KNOWN, _EIGHTBITMIME, _SMTPUTF8, _HAS_SIZE = 1, 2, 4, 8


class Backend(NamedTuple):
    """A backend's address and its row in the table."""

    ip: str
    port: int
    row: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


class Known(NamedTuple):
    """What a backend offered when last spoken to; size None: it said nothing of a size, 0: no fixed limit."""

    size: int | None
    eightbitmime: bool
    smtputf8: bool


class Health:
    """The backends of one configuration, in the order of preference."""

    def __init__(self, table: Table, backends: tuple[Backend, ...]) -> None:
        self._table = table
        self.backends = backends

    def note_success(self, backend: Backend, size: int | None, eightbitmime: bool, smtputf8: bool) -> None:
        """A connection came up and offered this."""
        flags = _KNOWN | _EIGHTBITMIME * eightbitmime | _SMTPUTF8 * smtputf8 | _HAS_SIZE * (size is not None)
        self._table.health_size[backend.row] = size or 0
        self._table.health_extensions[backend.row] = flags
        self._table.health_failures[backend.row] = 0

    def note_failure(self, backend: Backend, now: float) -> int:
        """A connection did not come up. The number of failures in a row; 0 when this one belongs to the last.

        Connections tried together fail together: as one failure, or twenty of them would make the longest back-off.
        """
        failures = int(self._table.health_failures[backend.row]) + 1
        if failures > 1 and now < self._table.health_next_attempt[backend.row]:
            return 0
        wait = min(BACK_OFF_MOST, BACK_OFF_FIRST * 2 ** min(failures - 1, 10))
        self._table.health_next_attempt[backend.row] = now + wait
        self._table.health_failures[backend.row] = failures
        return failures

    def is_away(self, backend: Backend) -> bool:
        """Whether the last attempt failed."""
        return bool(self._table.health_failures[backend.row])

    def due(self, now: float) -> Backend | None:
        """A backend to be probed now: one that is away with its back-off over, or one never spoken to."""
        for backend in self.backends:
            if self.is_away(backend):
                if now >= self._table.health_next_attempt[backend.row]:
                    return backend
            elif not self._table.health_extensions[backend.row]:
                return backend
        return None

    def first_up(self) -> Backend | None:
        """The first backend that is not known to be away."""
        return next((backend for backend in self.backends if not self.is_away(backend)), None)

    def known(self, backend: Backend) -> Known | None:
        """What it offered, None if it was never spoken to."""
        flags = self._table.health_extensions[backend.row]
        if not flags:
            return None
        size = int(self._table.health_size[backend.row]) if flags & _HAS_SIZE else None
        return Known(size, bool(flags & _EIGHTBITMIME), bool(flags & _SMTPUTF8))

    def is_down(self) -> bool:
        """No connection open anywhere, and the last attempt at every backend failed."""
        return all(map(self.is_away, self.backends)) and not any(self._table.worker_connections.tolist())
