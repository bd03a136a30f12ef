"""Tables that are closed behind each test, and processes that are workers on them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from mwall.shared.table import Table
from tests.shared.peers import Peer, close_table


@pytest.fixture
def make_table() -> Iterator[Callable[..., Table]]:
    """make_table(max_clients, max_backends) makes a table that is closed after the test."""
    made: list[Table] = []

    def make(max_clients: int = 6, max_backends: int = 4) -> Table:
        made.append(Table(max_clients, max_backends))
        return made[-1]

    yield make
    for table in made:
        close_table(table)


@pytest.fixture
def table(make_table: Callable[..., Table]) -> Table:
    """A table of 6 clients and 4 backends."""
    return make_table()


@pytest.fixture
def peer(table: Table) -> Iterator[Callable[[int], Peer]]:
    """peer(row) is a worker in a process of its own."""
    made: list[Peer] = []

    def make(row: int) -> Peer:
        made.append(Peer(table, row))
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def rung(table: Table) -> Callable[[int], bool]:
    """rung(row): whether that worker was woken since the last question."""

    def ask(row: int) -> bool:
        try:
            return os.eventfd_read(table.eventfds[row]) > 0
        except BlockingIOError:
            return False

    return ask
