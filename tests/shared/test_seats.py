"""Seats: exact whoever claims at once, free with their holder's death."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from mwall.shared.seats import Full, Seats, seat_key
from mwall.shared.table import Table
from tests.fuzz import cases
from tests.shared.peers import Peer

KEY = seat_key(ipaddress.ip_address("192.0.2.1"))
OTHER = seat_key(ipaddress.ip_address("2001:db8::1"))


def test_limits_in_all_and_from_one_address(table: Table, peer: Callable[[int], Peer]) -> None:
    one, two = peer(0), peer(1)
    assert isinstance(one("seats.claim", KEY, 2), int)
    seat = two("seats.claim", KEY, 2)
    assert one("seats.claim", KEY, 2) is Full.ADDRESS
    assert two("seats.claim", KEY, 2) is Full.ADDRESS
    assert isinstance(one("seats.claim", OTHER, 2), int)
    assert [isinstance(one("seats.claim", KEY, 0), int) for _ in range(3)] == [True] * 3, "0 is no limit"
    assert two("seats.claim", OTHER, 2) is Full.TOTAL
    two("seats.release", seat)
    assert two("seats.claim", OTHER, 2) == seat


def test_the_seats_of_the_dead_are_free_at_once(table: Table, peer: Callable[[int], Peer]) -> None:
    one, two = peer(0), peer(1)
    assert [isinstance(one("seats.claim", KEY, 3), int) for _ in range(4)] == [True, True, True, False]
    one.kill()
    assert [isinstance(two("seats.claim", KEY, 3), int) for _ in range(4)] == [True, True, True, False]
    table.clear_row(0)
    assert two("seats.claim", KEY, 3) is Full.ADDRESS, "the master has taken seats of the living"
    assert [isinstance(two("seats.claim", OTHER, 3), int) for _ in range(4)] == [True, True, True, False]


def test_eight_at_once_get_exactly_all(make_table: Callable[..., Table]) -> None:
    table = make_table(max_clients=2000)
    start_reading, start = os.pipe()
    leave_reading, leave = os.pipe()
    done, done_writing = os.pipe()
    claimants = []
    for row in range(8):
        pid = os.fork()
        if not pid:
            os.close(start)
            os.close(leave)
            table.enter_row(row)
            os.read(start_reading, 1)
            seats = Seats(table, row)
            # All come from the same 50 addresses, each of which has 30 seats.
            claims = [seats.claim(KEY + number % 50, 30) for number in range(1000)]
            os.write(done_writing, b"." if sum(isinstance(seat, int) for seat in claims) else b"-")
            os.read(leave_reading, 1)  # seats of the dead would be free
            os._exit(0)
        claimants.append(pid)
    os.close(start_reading)
    os.close(start)
    for _ in claimants:
        os.read(done, 1)
    os.close(leave)
    for pid in claimants:
        os.waitpid(pid, 0)
    for descriptor in (leave_reading, done, done_writing):
        os.close(descriptor)
    assert sum(table.worker_clients.tolist()) == 50 * 30
    keys = table.seat_key.tolist()
    assert all(keys.count(KEY + number) == 30 for number in range(50))


@cases(300)
@given(st.lists(st.sampled_from([0x2020202020202020, 0x2020202020202021, 0x0120202020202020, 0x2001_2001_2001_2001,
                                 0x0120_0120_0120_0120]), max_size=12), st.integers(1, 4))  # fmt: skip
def test_addresses_whose_octets_repeat_are_counted_right(keys: list[int], limit: int) -> None:
    seats = Seats(SHARED, 0)
    taken: list[int] = []
    claimed = []
    for key in keys:
        seat = seats.claim(key, limit)
        assert isinstance(seat, int) == (taken.count(key) < limit)
        if isinstance(seat, int):
            taken.append(key)
            claimed.append(seat)
    for seat in claimed:
        seats.release(seat)


SHARED = Table(64, 1)
SHARED.enter_row(0)


def test_ipv6_counts_by_64() -> None:
    keys = {text: seat_key(ipaddress.ip_address(text)) for text in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")}
    assert keys["2001:db8::1"] == keys["2001:db8::2"] != keys["2001:db8:0:1::1"]
    assert seat_key(ipaddress.ip_address("::1")) and seat_key(ipaddress.ip_address("0.0.0.0"))
    assert seat_key(ipaddress.ip_address("192.0.2.1")) != seat_key(ipaddress.ip_address("192.0.2.2"))
