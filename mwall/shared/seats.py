"""Clients at once, all workers together: in all, and from one address.

A seat belongs to the worker whose number stands in it, and counts as long as
that worker lives (its row's byte lock). Seats have no lock each: with 9,000 of
them the kernel's list of locks would be walked at every call. The mutex makes
the count exact; a release needs none, since its writer is the owner.
"""

from __future__ import annotations

import ipaddress
import sys
from enum import Enum

from mwall.shared.table import Table

_IPV4 = 0xFFFFFFFF << 32  # ffff:ffff::/32 is multicast: no client has it


class Full(Enum):
    """Why there is no seat."""

    TOTAL = "too many clients"
    ADDRESS = "too many clients from one address"


def seat_key(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> int:
    """What clients are counted by: the IPv4 address, the /64 of an IPv6 address. Never 0."""
    if address.version == 4:
        return _IPV4 | int(address)
    return int(address) >> 64 or 1


class Seats:
    """The seats as one worker sees them."""

    def __init__(self, table: Table, row: int) -> None:
        self._table = table
        self._row = row

    def claim(self, key: int, max_per_ip: int) -> int | Full:
        """A seat, or why there is none. max_per_ip 0: no limit for this client."""
        table = self._table
        with table.mutex:
            at = table.find("seat_owner", b"\0", 0, table.max_clients)
            if at < 0:
                self._clear_dead()
                at = table.find("seat_owner", b"\0", 0, table.max_clients)
                if at < 0:
                    return Full.TOTAL
            if max_per_ip and self._is_full(key, max_per_ip):
                self._clear_dead()
                if self._is_full(key, max_per_ip):
                    return Full.ADDRESS
            # The owner first: a key without an owner would count for ever if we were killed between the two.
            table.seat_owner[at] = self._row + 1
            table.seat_key[at] = key
        table.worker_clients[self._row] += 1
        return at

    def release(self, seat: int) -> None:
        """Gives a seat back."""
        table = self._table
        table.seat_key[seat] = 0
        table.seat_owner[seat] = 0
        table.worker_clients[self._row] -= 1

    def _is_full(self, key: int, max_per_ip: int) -> bool:
        # Seats are taken from the first on: behind the last one in use there is nothing to count.
        used = len(self._table.octets("seat_owner", self._table.max_clients).rstrip(b"\0"))
        octets = self._table.octets("seat_key", used * 8)
        # The search knows no alignment: it may count too many, never too few, and is most often all that is needed.
        if octets.count(key.to_bytes(8, sys.byteorder)) < max_per_ip:
            return False
        return memoryview(octets).cast("Q").tolist().count(key) >= max_per_ip

    def _clear_dead(self) -> None:
        table = self._table
        for owner in set(table.octets("seat_owner", table.max_clients)) - {0}:
            if not table.is_alive(owner - 1):
                table.clear_seats(owner - 1)
