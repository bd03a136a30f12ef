"""Timeouts that all are as long: what ends before its own takes it back, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable

from mwall.worker.loop import Loop, Owner


class Timeouts:
    """Timeouts of `seconds` each. One timer of the loop serves them all, since they end in the order they began."""

    def __init__(self, loop: Loop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._running: dict[Owner, tuple[float, Callable[[], None]]] = {}
        self._timed = False

    def __len__(self) -> int:
        return len(self._running)

    def __contains__(self, owner: object) -> bool:
        return owner in self._running

    def begin(self, owner: Owner, call: Callable[[], None]) -> None:
        """Calls once the time is over. An owner has one at a time."""
        when = self._loop.now + self._seconds
        self._running[owner] = when, call
        if not self._timed:
            self._timed = True
            self._loop.call_at(when, self, self._expire)

    def end(self, owner: Owner) -> None:
        """Takes it back, if it still runs."""
        self._running.pop(owner, None)

    def on_bug(self) -> None:
        """Nothing to end: each call is guarded for itself."""

    def _expire(self) -> None:
        now = self._loop.now
        for owner, (when, call) in tuple(self._running.items()):
            if when > now:
                break
            if self._running.pop(owner, None) is not None:  # none before it has ended it
                self._loop.guard(owner, call)
        self._timed = bool(self._running)
        if self._running:
            self._loop.call_at(next(iter(self._running.values()))[0], self, self._expire)
