"""The pid file: locked while the master serves, so that a stale one is no obstacle and two daemons cannot meet."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress

from mwall.master.privileges import StartError

_PATIENCE = 3.0  # seconds: a predecessor that was just told to leave lets go at once


class PidFile:
    """Opened as root, before the privileges go; written once the daemon's process id is known."""

    def __init__(self, path: str) -> None:
        """Opens and locks. Raises StartError."""
        try:
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise StartError(os.EX_CANTCREAT, f"pid file {path}: {error.strerror}") from None
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= until:
                    pid = os.pread(self.descriptor, 20, 0).decode("ascii", "replace").strip()
                    raise StartError(os.EX_UNAVAILABLE, f"already running as process {pid} ({path})") from None
                time.sleep(0.05)

    def write(self) -> None:
        """Puts this process's id into it."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n".encode("ascii"), 0)

    def let_go(self) -> None:
        """Empties and unlocks it, once: from then on it is the next daemon's."""
        if self.descriptor >= 0:
            with suppress(OSError):
                os.ftruncate(self.descriptor, 0)
            self.close()

    def close(self) -> None:
        """In a child of the master: the lock, which forked processes share, shall end with the master."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
