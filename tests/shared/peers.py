"""Workers of the shared table as real processes: they do one thing at a time, and can be killed at any instruction."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable
from operator import attrgetter
from types import FrameType
from typing import Any

from mwall.shared.health import Backend, Health
from mwall.shared.memory import MemoryBudget
from mwall.shared.seats import Seats
from mwall.shared.slots import Slots
from mwall.shared.table import Table
from mwall.worker.counters import Counters

MAX_MEMORY = 64_000
_SHARED = os.path.join("mwall", "shared", "")


def close_table(table: Table) -> None:
    """Gives its descriptors back."""
    for descriptor in table.descriptors:
        os.close(descriptor)


class Side:
    """What a worker in one row can do."""

    def __init__(self, table: Table, row: int) -> None:
        self.table = table
        self.slots = Slots(table, row)
        self.seats = Seats(table, row)
        self.memory = MemoryBudget(table, row, MAX_MEMORY)
        self.counters = Counters(table, row, {})
        self.health = Health(table, (Backend("192.0.2.1", 25, 0), Backend("192.0.2.2", 25, 1)))


class Peer:
    """A forked process that entered a row: peer("slots.claim", 0.0) does that there and returns the result."""

    def __init__(self, table: Table, row: int) -> None:
        self.row = row
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if not self.pid:
            self._ours.close()
            try:
                _obey(table, row, theirs)
            finally:
                os._exit(1)
        theirs.close()
        self("table.enter_row", row)

    def __call__(self, what: str, *arguments: Any) -> Any:
        self._ours.send(pickle.dumps((what, arguments)))
        return pickle.loads(self._ours.recv(65536))

    def kill(self) -> None:
        """SIGKILL, and reaped: the kernel has freed what it held, the master has done nothing."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self._ours.close()
            self.pid = 0


def _obey(table: Table, row: int, ear: socket.socket) -> None:
    side = Side(table, row)
    while asked := ear.recv(65536):
        what, arguments = pickle.loads(asked)
        ear.send(pickle.dumps(attrgetter(what)(side)(*arguments)))


def run_killed_at(number: int, work: Callable[[], None]) -> bool:
    """Runs `work` in a fork that is killed before the number-th instruction it executes in mwall/shared.

    Whether it was: False once the work has fewer instructions.
    """
    pid = os.fork()
    if not pid:
        try:
            _count_down(number)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def _count_down(number: int) -> None:
    left = number

    def on_event(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left
        if event == "call":
            if _SHARED not in frame.f_code.co_filename:
                return None
            frame.f_trace_opcodes = True
        elif event == "opcode":
            left -= 1
            if left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return on_event

    sys.settrace(on_event)
