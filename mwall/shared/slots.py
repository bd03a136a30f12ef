"""Backend slots: at most max_backends connections, all workers together.

A slot is held by the lock of its byte; the row beside it only tells what the slot
does. A killed worker's slots are freed by the master once it has reaped it, and
not before: the kernel drops the locks of a dying process a moment before it
closes its connections, which still count at the backend. A worker that finds none
free marks itself waiting and wakes the holder of the oldest idle connection;
who frees a slot wakes the longest waiter.
"""

from __future__ import annotations

from enum import IntEnum

from mwall.shared.table import Table


class SlotState(IntEnum):
    """What a slot does; FREE has to be 0."""

    FREE = 0
    CONNECTING = 1
    IDLE = 2
    BUSY = 3


class Slots:
    """The slots as one worker sees them."""

    def __init__(self, table: Table, row: int) -> None:
        self._table = table
        self._row = row
        self.held = 0

    def claim(self, now: float) -> int | None:
        """A slot for a new connection; None when all are held."""
        table = self._table
        at = table.find("slot_state", b"\0", 0, table.max_backends)
        while at >= 0:
            if table.take_lock(at):
                return self._enter(at, now)
            at = table.find("slot_state", b"\0", at + 1, table.max_backends)
        return None

    def _enter(self, slot: int, now: float) -> int:
        self._table.slot_owner[slot] = self._row + 1
        self.note(slot, SlotState.CONNECTING, now)
        self.held += 1
        return slot

    def note(self, slot: int, state: SlotState, now: float) -> None:
        """Says what the slot does, and since when (monotonic seconds)."""
        self._table.slot_since[slot] = now
        self._table.slot_state[slot] = state

    def release(self, slot: int) -> None:
        """Gives the slot back and wakes who has waited longest for one."""
        table = self._table
        # The state first: a slot that is not FREE and has no owner would be lost if we were killed between the two.
        table.slot_state[slot] = SlotState.FREE
        table.slot_owner[slot] = 0
        table.release_lock(slot)
        self.held -= 1
        waiter = table.longest_waiter(self._row)
        if waiter is not None:
            table.wake(waiter)

    def ask_for_one(self) -> None:
        """Wakes the worker that holds the oldest idle connection, so that it gives way."""
        table = self._table
        oldest: int | None = None
        at = table.find("slot_state", b"\2", 0, table.max_backends)
        while at >= 0:
            foreign = table.slot_owner[at] not in (0, self._row + 1)
            if foreign and (oldest is None or table.slot_since[at] < table.slot_since[oldest]):
                oldest = at
            at = table.find("slot_state", b"\2", at + 1, table.max_backends)
        owner = 0 if oldest is None else table.slot_owner[oldest]
        if owner:
            table.wake(owner - 1)

    def held_by(self, row: int) -> int:
        """How many slots a worker holds."""
        return self._table.octets("slot_owner", self._table.max_backends).count(bytes([row + 1]))
