"""max_memory: the mail data that all workers together hold at once.

A worker reserves in blocks, so that the mutex is taken once for many messages
and not for every octet that arrives.
"""

from __future__ import annotations

from mwall.shared.table import Table


class MemoryBudget:
    """One worker's share of `max_memory` octets."""

    def __init__(self, table: Table, row: int, max_memory: int) -> None:
        self._table = table
        self._row = row
        self._max = max_memory
        self._block = max(1, min(1 << 20, max_memory // 64))
        self.used = 0

    def take(self, octets: int) -> bool:
        """Whether `octets` more may be held; they count from now on if so."""
        reserved = self._table.worker_memory
        if self.used + octets > reserved[self._row]:
            wanted = -(-(self.used + octets) // self._block) * self._block
            with self._table.mutex:
                others = sum(reserved.tolist()) - reserved[self._row]
                if others + wanted > self._max:
                    wanted = self.used + octets
                if others + wanted > self._max:
                    return False
                reserved[self._row] = wanted
        self.used += octets
        return True

    def settle(self) -> None:
        """Now and then: a worker that holds nothing keeps no block from the others."""
        if not self.used:
            self._table.worker_memory[self._row] = 0

    def give_back(self, octets: int) -> None:
        """`octets` are held no longer."""
        self.used -= octets
        if self._table.worker_memory[self._row] > self.used + 2 * self._block:
            self._table.worker_memory[self._row] = self.used + self._block
