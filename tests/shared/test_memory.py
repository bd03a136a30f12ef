"""max_memory: never exceeded by all together, and whole again once all is given back."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from mwall.shared.memory import MemoryBudget
from mwall.shared.table import Table
from tests.fuzz import cases
from tests.shared.peers import MAX_MEMORY, Peer


def test_what_one_holds_another_cannot(table: Table, peer: Callable[[int], Peer]) -> None:
    one, two = peer(0), peer(1)
    assert one("memory.take", MAX_MEMORY - 5000)
    assert not two("memory.take", 5001)
    assert two("memory.take", 3000)
    one("memory.give_back", MAX_MEMORY - 5000)
    assert two("memory.take", MAX_MEMORY - 3000 - 3000)


def test_the_memory_of_the_dead_is_free(table: Table, peer: Callable[[int], Peer]) -> None:
    one, two = peer(0), peer(1)
    assert one("memory.take", MAX_MEMORY)
    one.kill()
    table.clear_row(0)
    assert two("memory.take", MAX_MEMORY)


SHARED = Table(1, 1)


@cases(300)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(1, 40_000)), max_size=40))
def test_never_more_than_allowed(steps: list[tuple[int, bool, int]]) -> None:
    workers = [MemoryBudget(SHARED, row, MAX_MEMORY) for row in range(3)]
    for row, takes, octets in steps:
        worker = workers[row]
        if not takes:
            worker.give_back(min(octets, worker.used))
        elif worker.take(octets):
            assert worker.used <= SHARED.worker_memory[row]
        else:
            # What others keep in reserve is at most two blocks each.
            assert sum(one.used for one in workers) + octets > MAX_MEMORY - 2 * 3 * (MAX_MEMORY // 64)
        assert sum(SHARED.worker_memory.tolist()) <= MAX_MEMORY
    for row in range(3):
        SHARED.worker_memory[row] = 0
