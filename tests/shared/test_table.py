"""The shared table under death: at every instruction, and in a storm."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mwall.shared.seats import Full, Seats
from mwall.shared.slots import Slots, SlotState
from mwall.shared.table import COUNTERS, MAX_WORKERS, Table
from tests.fuzz import cases
from tests.shared.peers import MAX_MEMORY, Peer, Side, close_table, run_killed_at


def everything_is_free(table: Table, row: int) -> None:
    """From this process, alive in `row`: all can be taken, and not one more."""
    slots, seats = Slots(table, row), Seats(table, row)
    taken = [slots.claim(0.0) for _ in range(table.max_backends)]
    assert None not in taken, f"slots leaked: {bytes(table.slot_state)!r} {bytes(table.slot_owner)!r}"
    assert slots.claim(0.0) is None
    seated = [seats.claim(7, table.max_clients) for _ in range(table.max_clients)]
    assert Full.ADDRESS not in seated and Full.TOTAL not in seated
    for slot in taken:
        assert slot is not None
        slots.release(slot)
    for seat in seated:
        assert isinstance(seat, int)
        seats.release(seat)


def work_of_slots(side: Side) -> None:
    first, second = side.slots.claim(1.0), side.slots.claim(1.0)
    assert first is not None and second is not None
    side.slots.note(first, SlotState.IDLE, 2.0)
    side.slots.release(first)
    side.slots.ask_for_one()
    side.slots.release(second)


def work_of_seats(side: Side) -> None:
    first, second = side.seats.claim(7, 5), side.seats.claim(7, 5)
    assert isinstance(first, int) and isinstance(second, int)
    side.seats.release(first)
    side.seats.release(second)


def work_of_memory(side: Side) -> None:
    assert side.memory.take(MAX_MEMORY)
    side.memory.give_back(MAX_MEMORY)


@pytest.mark.parametrize(
    ("work", "master_comes_first"),
    [(work_of_slots, True), (work_of_seats, False), (work_of_seats, True), (work_of_memory, True)],
)  # fmt: skip
def test_killed_at_every_instruction(
    make_table: Callable[..., Table], work: Callable[[Side], None], master_comes_first: bool
) -> None:
    number, died = 0, True
    table = make_table(max_clients=3, max_backends=2)
    table.enter_row(1)

    def live() -> None:
        table.enter_row(0)
        work(Side(table, 0))

    while died:
        number += 1
        died = run_killed_at(number, live)
        if master_comes_first:
            table.clear_row(0)
            everything_is_free(table, 1)
        else:
            everything_is_free(table, 1)
            table.clear_row(0)
        table.clear_row(0)
        everything_is_free(table, 1)
        assert table.worker_clients.tolist() == table.worker_memory.tolist() == [0] * MAX_WORKERS
        with table.mutex:
            pass
    assert number > 50


def test_the_counters_of_the_dead_are_kept(table: Table, peer: Callable[[int], Peer]) -> None:
    one, two = peer(0), peer(1)
    one("counters.add", "messages_accepted", 3)
    two("counters.add", "messages_accepted", 4)
    two("counters.add", COUNTERS[-1], 1)
    one.kill()
    assert table.totals()["messages_accepted"] == 7
    table.clear_row(0)
    table.clear_row(0)
    assert table.totals()["messages_accepted"] == 7
    peer(0)("counters.add", "messages_accepted", 1)
    assert table.totals()["messages_accepted"] == 8
    assert table.totals()[COUNTERS[-1]] == 1


def test_a_kill_storm(make_table: Callable[..., Table]) -> None:
    table = make_table(max_clients=9, max_backends=3)
    table.enter_row(200)
    marks = memoryview(make_table(3, 1).memory)[:64].cast("q")  # who holds which slot, beyond the table's own word
    chance = random.Random(1)
    workers: dict[int, int] = {}  # row to pid

    def live(row: int) -> None:
        table.enter_row(row)
        side, mine, own = Side(table, row), random.Random(row), os.getpid()
        while True:
            now = time.monotonic()
            slot = side.slots.claim(now)
            if slot is not None:
                marks[slot] = own
                side.slots.note(slot, mine.choice((SlotState.IDLE, SlotState.BUSY)), now)
            else:
                side.slots.ask_for_one()
            seat = side.seats.claim(mine.randrange(2), 6)
            if side.memory.take(20_000):
                side.memory.give_back(20_000)
            if isinstance(seat, int):
                side.seats.release(seat)
            if slot is not None:
                if marks[slot] != own:
                    marks[7] = own  # two had the same slot
                side.slots.release(slot)

    for _ in range(60):
        while len(workers) < 6:
            row = next(row for row in range(6) if row not in workers)
            pid = os.fork()
            if not pid:
                with suppress(BaseException):
                    live(row)
                os._exit(1)
            workers[row] = pid
        row = chance.choice(list(workers))
        os.kill(workers[row], signal.SIGKILL)
        _, status = os.waitpid(workers.pop(row), 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, "a worker ended by itself"
        table.clear_row(row)
    for row, pid in workers.items():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        table.clear_row(row)
    assert marks[7] == 0
    everything_is_free(table, 200)


class SharedTable(RuleBasedStateMachine):
    """Workers come, take, give back, die and are reaped in any order; a plain count says what must be possible."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Table(4, 3)
        self.peers: dict[int, Peer] = {}
        self.slots: dict[int, list[int]] = {}  # by row, of living workers
        self.seats: dict[int, list[tuple[int, int]]] = {}  # (seat, key)

    def teardown(self) -> None:
        for peer in self.peers.values():
            peer.kill()
        close_table(self.table)

    @initialize()
    def two_workers(self) -> None:
        for row in range(2):
            self._fork(row)

    def _fork(self, row: int) -> None:
        self.peers[row] = Peer(self.table, row)
        self.slots[row], self.seats[row] = [], []

    @precondition(lambda self: len(self.peers) < 4)
    @rule()
    def fork(self) -> None:
        row = next(row for row in range(4) if row not in self.peers)
        self.table.clear_row(row)  # as the master has, before it gives a row away again
        self._fork(row)

    @precondition(lambda self: self.peers)
    @rule(data=st.data())
    def kill(self, data: st.DataObject) -> None:
        row = self._row(data)
        self.peers.pop(row).kill()
        del self.slots[row], self.seats[row]
        self.table.clear_row(row)

    @precondition(lambda self: self.peers)
    @rule(data=st.data(), idle=st.booleans())
    def claim_slot(self, data: st.DataObject, idle: bool) -> None:
        row = self._row(data)
        slot = self.peers[row]("slots.claim", 1.0)
        assert (slot is not None) == (sum(map(len, self.slots.values())) < 3)
        if slot is not None:
            assert slot not in [held for slots in self.slots.values() for held in slots]
            self.slots[row].append(slot)
            if idle:
                self.peers[row]("slots.note", slot, SlotState.IDLE, 2.0)

    @precondition(lambda self: any(self.slots.values()))
    @rule(data=st.data())
    def release_slot(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from([row for row, slots in self.slots.items() if slots]))
        self.peers[row]("slots.release", self.slots[row].pop())

    @precondition(lambda self: self.peers)
    @rule(data=st.data(), key=st.integers(1, 2))
    def claim_seat(self, data: st.DataObject, key: int) -> None:
        row = self._row(data)
        seat = self.peers[row]("seats.claim", key, 3)
        keys = [held[1] for seats in self.seats.values() for held in seats]
        if len(keys) >= 4:
            assert seat is Full.TOTAL
        elif keys.count(key) >= 3:
            assert seat is Full.ADDRESS
        else:
            self.seats[row].append((seat, key))

    @precondition(lambda self: any(self.seats.values()))
    @rule(data=st.data())
    def release_seat(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from([row for row, seats in self.seats.items() if seats]))
        self.peers[row]("seats.release", self.seats[row].pop()[0])

    def _row(self, data: st.DataObject) -> int:
        row: int = data.draw(st.sampled_from(sorted(self.peers)))
        return row

    @invariant()
    def the_table_tells_who_holds_what(self) -> None:
        for row, peer in self.peers.items():
            assert sum(owner == row + 1 for owner in self.table.slot_owner) == len(self.slots[row])
            assert all(self.table.lock_holder(slot) == peer.pid for slot in self.slots[row])
            assert self.table.worker_clients[row] == len(self.seats[row])


def test_any_order_of_events() -> None:
    run_state_machine_as_test(SharedTable, settings=settings(cast(settings, cases(40)), stateful_step_count=40))
