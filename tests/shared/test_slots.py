"""Backend slots between processes: exact, free with their holder's death, handed on by wake-up."""

from __future__ import annotations

from collections.abc import Callable

from mwall.shared.slots import Slots, SlotState
from mwall.shared.table import Table
from tests.shared.peers import Peer

MakePeer = Callable[[int], Peer]
Rung = Callable[[int], bool]


def test_no_more_than_all_together(table: Table, peer: MakePeer) -> None:
    one, two = peer(0), peer(1)
    taken = [one("slots.claim", 0.0), two("slots.claim", 0.0), one("slots.claim", 0.0), two("slots.claim", 0.0)]
    assert sorted(taken) == [0, 1, 2, 3]
    assert one("slots.claim", 0.0) is None
    assert two("slots.claim", 0.0) is None
    assert (one("slots.held_by", 0), one("slots.held_by", 1)) == (2, 2)
    one("slots.release", taken[0])
    assert two("slots.claim", 0.0) == taken[0]


def test_the_slots_of_the_dead_are_free_once_they_are_reaped(table: Table, peer: MakePeer) -> None:
    one, two = peer(0), peer(1)
    for state in (SlotState.CONNECTING, SlotState.IDLE, SlotState.BUSY, SlotState.IDLE):
        one("slots.note", one("slots.claim", 0.0), state, 0.0)
    assert two("slots.claim", 0.0) is None
    one.kill()
    assert two("slots.claim", 0.0) is None  # its connections may still be open
    table.clear_row(0)
    assert sorted(two("slots.claim", 0.0) for _ in range(4)) == [0, 1, 2, 3]


def test_the_master_takes_nothing_from_the_living(table: Table, peer: MakePeer) -> None:
    one, two = peer(0), peer(1)
    for _ in range(4):
        one("slots.claim", 0.0)
    one.kill()
    table.clear_row(0)
    assert two("slots.claim", 0.0) == 0
    table.clear_row(0)
    assert two("slots.held_by", 1) == 1
    assert [two("slots.claim", 0.0) for _ in range(4)] == [1, 2, 3, None]


def test_the_next_in_the_same_row_holds_nothing(table: Table, peer: MakePeer) -> None:
    one = peer(0)
    one("slots.claim", 0.0)
    one.kill()
    table.clear_row(0)
    heir = peer(0)
    assert heir("slots.held_by", 0) == 0
    assert [heir("slots.claim", 0.0) for _ in range(5)] == [0, 1, 2, 3, None]


def test_who_frees_a_slot_wakes_the_longest_waiter(table: Table, peer: MakePeer, rung: Rung) -> None:
    one = peer(0)
    slots = [one("slots.claim", 0.0) for _ in range(4)]
    for row, since in ((1, 20.0), (2, 10.0), (0, 5.0)):
        table.worker_waiting_since[row], table.worker_waiting[row] = since, 1
    one("slots.release", slots[0])
    assert [rung(row) for row in range(3)] == [False, False, True]
    table.worker_waiting[2] = 0
    one("slots.release", slots[1])
    assert [rung(row) for row in range(3)] == [False, True, False]


def test_who_needs_a_slot_wakes_the_holder_of_the_oldest_idle_one(table: Table, peer: MakePeer, rung: Rung) -> None:
    one, two, three = peer(0), peer(1), Slots(table, 2)
    for who, state, since in ((one, SlotState.IDLE, 9.0), (two, SlotState.IDLE, 5.0), (one, SlotState.BUSY, 1.0)):
        who("slots.note", who("slots.claim", 0.0), state, since)
    three.ask_for_one()
    assert [rung(row) for row in range(3)] == [False, True, False]
    two("slots.note", 1, SlotState.BUSY, 5.0)
    three.ask_for_one()
    assert [rung(row) for row in range(3)] == [True, False, False]
    one("slots.note", 0, SlotState.BUSY, 5.0)
    three.ask_for_one()
    assert not any(rung(row) for row in range(3))


def test_a_row_has_one_worker(table: Table, peer: MakePeer) -> None:
    one = peer(3)
    assert table.is_alive(3)
    try:
        table.enter_row(3)
    except OSError as error:
        assert "row 3" in str(error)
    else:
        raise AssertionError("two in one row")
    one.kill()
    assert not table.is_alive(3)


def test_one_prober_at_a_time(table: Table, peer: MakePeer) -> None:
    one, two = peer(0), peer(1)
    assert one("table.take_prober") and one("table.take_prober")
    assert not two("table.take_prober")
    one.kill()
    assert two("table.take_prober")
    two("table.release_prober")
    assert peer(2)("table.take_prober")
