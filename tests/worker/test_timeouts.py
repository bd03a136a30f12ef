"""Timeouts of equal length, on a clock that the test moves."""

import time
from collections.abc import Callable

import pytest

from mwall.worker.loop import Loop
from mwall.worker.timeouts import Timeouts


class Owner:
    def __init__(self) -> None:
        self.bugs = 0

    def on_bug(self) -> None:
        self.bugs += 1


@pytest.fixture
def loop() -> Loop:
    return Loop(lambda: None)


def run(loop: Loop, seconds: float) -> None:
    """Let so much time pass."""
    stop = Owner()
    loop.running = True
    loop.call_at(time.monotonic() + seconds, stop, lambda: setattr(loop, "running", False))
    loop.run()


def test_in_their_order_and_those_taken_back_not_at_all(loop: Loop) -> None:
    timeouts, called = Timeouts(loop, 0.05), []
    owners = [Owner() for _ in range(4)]

    def note(number: int) -> Callable[[], None]:
        return lambda: called.append(number)

    for number, owner in enumerate(owners):
        timeouts.begin(owner, note(number))
    timeouts.end(owners[1])
    timeouts.end(owners[1])
    run(loop, 0.1)
    assert called == [0, 2, 3]
    assert len(timeouts) == 0


def test_one_that_begins_again_has_its_whole_time(loop: Loop) -> None:
    timeouts, called = Timeouts(loop, 0.05), []
    owner = Owner()
    timeouts.begin(owner, lambda: called.append(1) or timeouts.begin(owner, lambda: called.append(2)))
    begun = time.monotonic()
    run(loop, 0.15)
    assert called == [1, 2]
    assert time.monotonic() - begun >= 0.1


def test_one_that_ends_another_in_its_call(loop: Loop) -> None:
    timeouts, called = Timeouts(loop, 0.02), []
    first, second = Owner(), Owner()
    timeouts.begin(first, lambda: timeouts.end(second))
    timeouts.begin(second, lambda: called.append(2))
    run(loop, 0.05)
    assert called == []


def test_a_bug_is_laid_at_its_owners_door(loop: Loop) -> None:
    timeouts, called = Timeouts(loop, 0.02), []
    first, second = Owner(), Owner()
    timeouts.begin(first, lambda: called[0])
    timeouts.begin(second, lambda: called.append(2))
    run(loop, 0.05)
    assert (first.bugs, called) == (1, [2])
