"""Forking a worker, and what the master keeps of it."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from setproctitle import setproctitle

from mwall.config.settings import Settings
from mwall.master.confine import OrphanError, confine_worker
from mwall.master.files import Configuration
from mwall.master.logprocess import LogDaemon
from mwall.shared.health import Backend
from mwall.shared.recipients import RefusedRecipients
from mwall.shared.table import Table
from mwall.worker.log import Log
from mwall.worker.worker import READY, Worker

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
# Terminals and service managers send these to the whole group; a worker obeys the master's socket instead.
_MASTERS_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)


class Closable(Protocol):
    """What a child of the master closes."""

    def close(self) -> None:
        """In this process only."""


@dataclass
class Inheritance:
    """What every process of the daemon has from the start."""

    table: Table
    refused_recipients: RefusedRecipients
    listeners: list[socket.socket]
    log_daemon: LogDaemon
    stderr: int  # -1 where there is none to log to
    log_is_regular_file: bool

    def log(self, who: str, settings: Settings) -> Log:
        """A process's own log."""
        daemon = self.log_daemon
        log = Log(who, settings.log_to, settings.log_format, settings.syslog_facility, daemon.sock, self.stderr)
        if settings.log_to == "syslog":
            log.on_broken = daemon.ring
        return log


class WorkerProcess:
    """A worker as the master sees it. `index`: its number within its generation."""

    def __init__(self, pid: int, row: int, index: int, control: socket.socket) -> None:
        self.pid = pid
        self.row = row
        self.index = index
        self.control = control
        self.ready = False

    def hear(self) -> None:
        """Takes its word that it accepts."""
        with suppress(OSError):
            if READY in self.control.recv(16):
                self.ready = True

    def tell(self, order: bytes) -> None:
        """DRAIN or QUIT."""
        with suppress(OSError):
            self.control.send(order)


def fork_worker(
    inheritance: Inheritance,
    configuration: Configuration,
    backends: tuple[Backend, ...],
    zones: Mapping[str, int],
    row: int,
    index: int,
    to_close: Iterable[Closable],
    tell_lacks: bool,
) -> WorkerProcess:
    """Forks. In the child it never returns."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    inheritance.table.worker_tick[row] = time.monotonic()
    gc.collect()
    gc.freeze()  # what the children share is not touched by their collections
    parent = os.getpid()
    pid = os.fork()
    if pid:
        theirs.close()
        return WorkerProcess(pid, row, index, ours)
    code = os.EX_SOFTWARE
    try:
        signal.set_wakeup_fd(-1)
        for number in _MASTERS_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        ours.close()
        for masters in to_close:
            masters.close()
        code = _live(inheritance, configuration, backends, zones, row, index, theirs, parent, tell_lacks)
    except BaseException:
        with suppress(Exception):
            inheritance.log(str(row + 1), configuration.settings).bug()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _give_memory_back() -> None:
    """Have glibc return what large messages took.

    Left alone it raises both thresholds when a large block is freed (mallopt(3)), and then keeps up to 64 MiB.
    """
    if _mallopt is not None:
        _mallopt(_M_TRIM_THRESHOLD, 1 << 20)
        _mallopt(_M_MMAP_THRESHOLD, 128 << 10)


def _live(
    inheritance: Inheritance,
    configuration: Configuration,
    backends: tuple[Backend, ...],
    zones: Mapping[str, int],
    row: int,
    index: int,
    control: socket.socket,
    parent: int,
    tell_lacks: bool,
) -> int:
    """The life of a worker, in the child."""
    setproctitle(f"messagewall: worker {row + 1}")
    settings = configuration.settings
    table = inheritance.table
    log = inheritance.log(str(row + 1), settings)
    table.enter_row(row)
    worker = Worker(
        row, settings, configuration.policy, table, backends, configuration.name_servers, zones,
        inheritance.refused_recipients, inheritance.listeners, control, log,
    )  # fmt: skip
    gc.set_threshold(20_000, 50, 50)
    _give_memory_back()
    try:
        lacks = confine_worker(inheritance.log_is_regular_file, parent)
    except OrphanError:
        return os.EX_OK
    for lack in lacks if tell_lacks else ():
        log.process("WARNING", f"not enforced: {lack}")
    share, rest = divmod(settings.max_backends, settings.processes)
    worker.run(share + (index < rest), index == 0)
    return os.EX_OK
