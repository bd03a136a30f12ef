"""The log process: keeps the one socket that all processes log to connected, whatever the log daemon does.

It is locked into the folder of the log daemon's socket, which lies outside the
jail of the others, and connects that same socket again when told that it broke.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from setproctitle import setproctitle

from mwall.master.confine import OrphanError, confine_log
from mwall.master.pidfile import PidFile
from mwall.master.privileges import Identity, StartError, enter_jail
from mwall.master.status import StatusPipe
from mwall.worker.log import Log

LOG_SOCKET = "/dev/log"
_BETWEEN_TRIES = 0.2  # seconds


class LogDaemon(NamedTuple):
    """The way to the log daemon: a datagram socket for all processes, and a bell to ring when it broke (eventfd)."""

    sock: socket.socket
    bell: int
    path: str
    is_there: bool  # at the start

    def ring(self) -> None:
        """Tells the log process that a send failed."""
        with suppress(BlockingIOError):
            os.eventfd_write(self.bell, 1)


def connect_log_daemon() -> LogDaemon:
    """Before the jail. A log daemon that is not there now may come later: the log process waits for it."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = os.path.realpath(LOG_SOCKET)
    is_there = sock.connect_ex(path) == 0
    return LogDaemon(sock, os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC), path, is_there)


def fork_log_process(
    daemon: LogDaemon, identity: Identity | None, log: Log, to_close: Iterable[PidFile | StatusPipe]
) -> int:
    """Forks it, while we are still root. Its process id."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)  # the terminal's or the service manager's: we go with the master
        for masters in to_close:
            masters.close()
        path = daemon.path
        folder, name = os.path.split(path)
        setproctitle("messagewall: log")
        if identity is not None:
            enter_jail(folder, identity)
            path = name
        for lack in confine_log(False, parent):
            log.process("WARNING", f"not enforced: {lack}")
        _serve(daemon, path)
    except (OSError, StartError) as error:
        log.process("ERROR", f"no log process: {error}")
    except OrphanError:
        pass
    except Exception:
        log.bug()
    finally:
        os._exit(1)


def _serve(daemon: LogDaemon, path: str) -> None:
    bell = select.poll()
    bell.register(daemon.bell, select.POLLIN)
    while True:
        bell.poll()
        while True:
            try:
                daemon.sock.connect(path)
                break
            except OSError:
                time.sleep(_BETWEEN_TRIES)
        # Rung for a send that failed before: the next failure rings again.
        with suppress(BlockingIOError):
            os.eventfd_read(daemon.bell)
