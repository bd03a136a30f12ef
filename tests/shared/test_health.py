"""What all workers know of the backends: away or not, when to try again, what they offer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mwall.shared.health import BACK_OFF_FIRST, BACK_OFF_MOST, Backend, Health, Known
from mwall.shared.table import Table
from tests.shared.peers import Peer

ONE, TWO = Backend("192.0.2.1", 25, 0), Backend("192.0.2.2", 25, 1)


@pytest.fixture
def health(table: Table) -> Health:
    return Health(table, (ONE, TWO))


def test_each_is_spoken_to_once_to_learn_what_it_offers(health: Health) -> None:
    assert health.due(0.0) == ONE and health.known(ONE) is None
    health.note_success(ONE, 1000, True, False)
    assert health.due(0.0) == TWO
    health.note_success(TWO, None, False, True)
    assert health.due(0.0) is None
    assert health.known(ONE) == Known(1000, True, False)
    assert health.known(TWO) == Known(None, False, True)
    health.note_success(TWO, 0, False, True)
    assert health.known(TWO) == Known(0, False, True)


def test_the_back_off_doubles_to_its_longest(health: Health) -> None:
    health.note_success(TWO, None, True, True)
    now, waits = 100.0, []
    for _ in range(8):
        health.note_failure(ONE, now)
        wait = 0.0
        while health.due(now + wait) is None:
            wait += 0.25
        waits.append(wait)
        now += wait
    assert waits == [BACK_OFF_FIRST, 1.0, 2.0, 4.0, BACK_OFF_MOST, BACK_OFF_MOST, BACK_OFF_MOST, BACK_OFF_MOST]
    health.note_success(ONE, None, True, True)
    assert not health.is_away(ONE)
    assert health.note_failure(ONE, now) == 1


def test_connections_that_fail_together_count_once(health: Health) -> None:
    assert [health.note_failure(ONE, 100.0 + number / 100) for number in range(20)] == [1] + [0] * 19
    assert health.due(100.0 + BACK_OFF_FIRST) == ONE
    assert health.note_failure(ONE, 100.0 + BACK_OFF_FIRST) == 2


def test_the_first_that_is_not_away_serves(health: Health) -> None:
    assert health.first_up() == ONE
    health.note_failure(ONE, 0.0)
    assert health.first_up() == TWO
    health.note_failure(TWO, 0.0)
    assert health.first_up() is None
    health.note_success(ONE, None, True, True)
    assert health.first_up() == ONE


def test_down_is_no_connection_anywhere_and_all_away(table: Table, health: Health, peer: Callable[[int], Peer]) -> None:
    health.note_failure(ONE, 0.0)
    assert not health.is_down()
    table.worker_connections[5] = 1
    peer(1)("health.note_failure", TWO, 0.0)
    assert not health.is_down()
    table.worker_connections[5] = 0
    assert health.is_down()


def test_a_new_address_in_an_old_row_is_unknown(table: Table, health: Health) -> None:
    health.note_success(ONE, 5, True, True)
    health.note_failure(ONE, 0.0)
    table.forget_backend(ONE.row)
    assert health.known(ONE) is None and not health.is_away(ONE)
