"""A worker's counters: its own row of the shared table, written by it alone."""

from __future__ import annotations

from mwall.shared.table import COUNTERS, Table

_NUMBERS = {name: number for number, name in enumerate(COUNTERS)}


class Counters:
    """Counts what shared/table.py names in COUNTERS."""

    def __init__(self, table: Table, row: int) -> None:
        self._cells = table.worker_counters
        self._first = row * len(COUNTERS)

    def add(self, name: str, count: int = 1) -> None:
        """Adds to a counter."""
        self._cells[self._first + _NUMBERS[name]] += count
