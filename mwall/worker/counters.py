"""A worker's counters: its own row of the shared table, written by it alone."""

from __future__ import annotations

from collections.abc import Mapping

from mwall.shared.table import COUNTERS, MAX_ZONES, ZONE_COUNTERS, Table

_NUMBERS = {name: number for number, name in enumerate(COUNTERS)}
_ZONE_NUMBERS = {name: number for number, name in enumerate(ZONE_COUNTERS)}


class Counters:
    """Counts what shared/table.py names in COUNTERS and ZONE_COUNTERS. `zones`: the number of each zone."""

    def __init__(self, table: Table, row: int, zones: Mapping[str, int]) -> None:
        self._cells = table.worker_counters
        self._first = row * len(COUNTERS)
        self._zone_cells = table.worker_zone_counters
        self._first_zone = row * MAX_ZONES
        self._zones = zones

    def add(self, name: str, count: int = 1) -> None:
        """Adds to a counter."""
        self._cells[self._first + _NUMBERS[name]] += count

    def add_zone(self, zone: str, name: str) -> None:
        """Adds to a counter of a zone."""
        number = self._first_zone + self._zones[zone]
        self._zone_cells[number * len(ZONE_COUNTERS) + _ZONE_NUMBERS[name]] += 1
