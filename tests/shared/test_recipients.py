"""Refused recipients: known to every worker until they expire, and never wrong."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwall.shared.recipients import RefusedRecipients
from mwall.shared.table import REFUSED_RECIPIENT_OCTETS, Table
from tests.fuzz import cases
from tests.shared.peers import run_killed_at

REPLY = b"550 5.1.1 no such user\r\n"


@pytest.fixture
def refused(table: Table) -> RefusedRecipients:
    return RefusedRecipients(table)


def test_kept_for_the_pair_until_its_time(refused: RefusedRecipients) -> None:
    refused.remember("a@x", "b@y", REPLY, 100.0)
    refused.remember("a@x", "c@y", REPLY, 300.0)
    assert refused.recall("a@x", "b@y", 99.0) == REPLY
    assert refused.recall("a@x", "b@y", 100.0) is None
    assert refused.recall("", "b@y", 99.0) is None
    assert refused.recall("b@y", "a@x", 99.0) is None


def test_the_last_word_counts(refused: RefusedRecipients) -> None:
    refused.remember("a@x", "b@y", REPLY, 100.0)
    refused.remember("a@x", "b@y", b"452 4.2.2 full\r\n", 200.0)
    assert refused.recall("a@x", "b@y", 150.0) == b"452 4.2.2 full\r\n"


def test_a_full_set_forgets_what_expires_first(refused: RefusedRecipients) -> None:
    by_place: dict[int, list[str]] = {}
    number = 0
    while max(map(len, by_place.values()), default=0) < 5:
        number += 1
        key = refused._key("", f"{number}@y")
        by_place.setdefault(refused._places(key)[0], []).append(f"{number}@y")
    five = next(names for names in by_place.values() if len(names) == 5)
    for name, until in zip(five, (400.0, 200.0, 300.0, 500.0, 600.0), strict=True):
        refused.remember("", name, REPLY, until)
    assert [refused.recall("", name, 100.0) is not None for name in five] == [True, False, True, True, True]


def test_more_than_the_table_holds(refused: RefusedRecipients) -> None:
    for number in range(6000):
        refused.remember("", f"{number}@y", b"550 %d\r\n" % number, 100.0 + number)
    found = [refused.recall("", f"{number}@y", 50.0) for number in range(6000)]
    assert all(reply in (None, b"550 %d\r\n" % number) for number, reply in enumerate(found))
    assert sum(reply is not None for reply in found) > 3000


def test_a_reply_that_is_too_long_is_not_kept(refused: RefusedRecipients) -> None:
    refused.remember("", "b@y", b"5" * REFUSED_RECIPIENT_OCTETS, 100.0)
    assert refused.recall("", "b@y", 1.0) is None


def test_killed_while_it_writes(make_table: Callable[..., Table]) -> None:
    number, seen = 0, set()
    table = make_table()
    refused = RefusedRecipients(table)
    place = refused._places(refused._key("a@x", "b@y"))[0]
    while True:
        number += 1
        table.refused_recipients[place : place + REFUSED_RECIPIENT_OCTETS] = bytes(REFUSED_RECIPIENT_OCTETS)
        table.refused_recipients_until[0] = 0.0
        if not run_killed_at(number, lambda: refused.remember("a@x", "b@y", REPLY, 100.0)):
            break
        seen.add(refused.recall("a@x", "b@y", 1.0))
    assert number > 50 and seen <= {None, REPLY}
    assert refused.recall("a@x", "b@y", 1.0) == REPLY


@cases(200)
@given(st.binary(min_size=1, max_size=200), st.integers(0, 300), st.binary(min_size=1, max_size=40))
def test_a_torn_row_is_none(reply: bytes, at: int, torn: bytes) -> None:
    refused = RefusedRecipients(SHARED)
    refused.remember("a@x", "b@y", reply, 100.0)
    place = refused._places(refused._key("a@x", "b@y"))[0]
    rows = SHARED.refused_recipients
    before = bytes(rows[place : place + REFUSED_RECIPIENT_OCTETS])
    rows[place + at : place + at + len(torn)] = torn
    found = refused.recall("a@x", "b@y", 1.0)
    head = 42 + len(reply)  # octets of a row that mean something
    same = before[:head] == bytes(rows[place : place + head])
    assert found == (reply if same else None)
    rows[place : place + REFUSED_RECIPIENT_OCTETS] = bytes(REFUSED_RECIPIENT_OCTETS)


SHARED = Table(1, 1)
