"""The event loop: epoll, a few timers, and work put off to the next round.

Whatever is watched has on_ready(events) and on_bug(): an exception that nobody
caught is our own fault; it is logged with its trace and costs the session of
the object it came from, never the loop.
"""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

_ROUND = 0.03  # seconds of put-off work in one round
READ = select.EPOLLIN
WRITE = select.EPOLLOUT


class Owner(Protocol):
    """On whose behalf something is called."""

    def on_bug(self) -> None:
        """Our own error surfaced in one of its calls: end what it stands for."""


class Watched(Owner, Protocol):
    """Whose descriptor the loop watches."""

    def on_ready(self, events: int) -> None:
        """It is ready."""


class Loop:
    """One process's loop. `now` is the monotonic time at which this round began, in seconds."""

    def __init__(self, report_bug: Callable[[], None]) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Watched] = {}
        self._timers: list[tuple[float, int, Owner, Callable[[], None]]] = []
        self._number = itertools.count()
        self._put_off: deque[tuple[Owner, Callable[[], None]]] = deque()
        self._report_bug = report_bug
        self.now = time.monotonic()
        self.running = True

    def watch(self, descriptor: int, events: int, watched: Watched) -> None:
        """Serves `watched` whenever `descriptor` is ready for `events`. Raises OSError."""
        self._epoll.register(descriptor, events)
        self._watched[descriptor] = watched

    def change(self, descriptor: int, events: int) -> None:
        """Waits for other events; 0 for none but the end of the connection."""
        self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Serves it no more. The caller closes the descriptor, which takes it out of epoll."""
        self._watched.pop(descriptor, None)

    def unwatch(self, descriptor: int) -> None:
        """Serves a descriptor no more that stays open, here or in another process."""
        if self._watched.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def call_at(self, when: float, owner: Owner, call: Callable[[], None]) -> None:
        """Calls once the monotonic time `when` has come. Nothing takes it back: `call` looks whether it still holds."""
        heapq.heappush(self._timers, (when, next(self._number), owner, call))

    def call_soon(self, owner: Owner, call: Callable[[], None]) -> None:
        """Calls in the next round, after others have been served."""
        self._put_off.append((owner, call))

    def run(self) -> None:
        """Serves until `running` is false."""
        poll, watched_by = self._epoll.poll, self._watched
        while self.running:
            ready = poll(self._patience(), 512)
            self.now = time.monotonic()
            for descriptor, events in ready:
                watched = watched_by.get(descriptor)
                if watched is not None:
                    try:
                        watched.on_ready(events)
                    except Exception:
                        self._contain(watched)
            if self._put_off:
                self._catch_up()
            while self._timers and self._timers[0][0] <= self.now:
                self.guard(*heapq.heappop(self._timers)[2:])

    def _catch_up(self) -> None:
        """What was put off, as far as it goes: the rest waits until others have been served again."""
        for _ in range(len(self._put_off)):
            self.guard(*self._put_off.popleft())
            if time.monotonic() - self.now > _ROUND:
                break

    def _patience(self) -> float:
        if self._put_off:
            return 0.0
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else -1

    def guard(self, owner: Owner, call: Callable[..., None], *arguments: object) -> None:
        """Calls on behalf of another than the one being served: an error of ours in it is laid at that one's door."""
        try:
            call(*arguments)
        except Exception:
            self._contain(owner)

    def _contain(self, owner: Owner) -> None:
        try:
            owner.on_bug()
        except Exception:
            self._report()
        self._report()

    def _report(self) -> None:
        with suppress(Exception):  # the end of the stack may be near: that the session was ended matters more
            self._report_bug()
