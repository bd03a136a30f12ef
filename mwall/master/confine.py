"""What the kernel enforces on each kind of process once its privileges are gone.

Called in the process itself, in its chroot, without root. Each function returns
plain sentences for the log, one for each promise that stands unenforced; an
empty list means that the kernel holds them all.

                  worker                 log                    master
    parent dies   it dies                it dies                -
    rlimits       CORE FSIZE NPROC 0     CORE FSIZE NPROC 0     CORE FSIZE 0
    Landlock      no file                no file                reads files below its "/"
    seccomp       sockets, epoll, locks  connects, sends        and forks, signals, opens to read

FSIZE stays as it is where stderr, a regular file, takes the log.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Callable

from mwall.master import landlock, seccomp

# linux/prctl.h
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38

_libc = ctypes.CDLL(None, use_errno=True)
_ALL_SCOPES = landlock.SCOPE_ABSTRACT_SOCKETS | landlock.SCOPE_SIGNALS


class OrphanError(Exception):
    """The parent died before the child was tied to it: the child has nothing to serve and must leave."""


def confine_worker(log_to_regular_file: bool, parent_pid: int) -> list[str]:
    """Confines a worker just forked by `parent_pid`. Raises OrphanError."""
    lacks = _die_with_parent("a worker", parent_pid) + _harden("a worker", log_to_regular_file)
    lacks += _never_fork("a worker")
    return lacks + _fence(
        "a worker",
        lambda: landlock.restrict(scopes=_ALL_SCOPES),
        seccomp.worker_filter(),
        "open files inside the chroot that its user may",
    )


def confine_log(log_to_regular_file: bool, parent_pid: int) -> list[str]:
    """Confines the log process, whose parent is `parent_pid`. Raises OrphanError."""
    lacks = _die_with_parent("the log process", parent_pid) + _harden("the log process", log_to_regular_file)
    lacks += _never_fork("the log process")
    return lacks + _fence(
        "the log process",
        # A rule on the log daemon's socket would die with the socket, and one on "/" would allow as much as none.
        lambda: landlock.restrict(unhandled=landlock.RESOLVE_UNIX, scopes=_ALL_SCOPES),
        seccomp.log_filter(),
        "open files inside the chroot that its user may",
    )


def confine_master(log_to_regular_file: bool) -> list[str]:
    """Confines the master, which must still read its files, fork, signal and wait."""
    return _harden("the master", log_to_regular_file) + _fence(
        "the master",
        # Not the scope of signals: the processes forked before this, the log process among them, lie outside of it.
        lambda: landlock.restrict(
            beneath_root=landlock.READ_FILE | landlock.READ_DIR, scopes=landlock.SCOPE_ABSTRACT_SOCKETS
        ),
        seccomp.master_filter(),
        "open files for writing inside the chroot that its user may, or run programs there",
    )


def _die_with_parent(who: str, parent_pid: int) -> list[str]:
    # setuid clears it, so it is set only now; a parent gone before that has sent nothing and is seen by its number.
    lacks = _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, f"{who} could outlive its parent")
    if os.getppid() != parent_pid:
        raise OrphanError(f"{who} lost its parent, process {parent_pid}")
    return lacks


def _harden(who: str, log_to_regular_file: bool) -> list[str]:
    lacks = _prctl(_PR_SET_NO_NEW_PRIVS, 1, f"{who} could gain privileges by running a set-user-id program")
    # By limit alone a core would still be piped to a handler (core(5)); a process that cannot be dumped cannot be
    # traced by others of its user either.
    lacks += _prctl(_PR_SET_DUMPABLE, 0, f"other processes of its user could read the memory of {who}")
    lacks += _limit(resource.RLIMIT_CORE, f"{who} could leave a core file")
    if not log_to_regular_file:
        lacks += _limit(resource.RLIMIT_FSIZE, f"{who} could write into files")
    return lacks


def _never_fork(who: str) -> list[str]:
    lacks = _limit(resource.RLIMIT_NPROC, f"{who} could fork")
    if os.getuid() == 0:
        lacks.append(f"RLIMIT_NPROC does not bind root: but for its system call filter {who} could fork")
    return lacks


def _fence(who: str, restrict: Callable[[], None], allowed: seccomp.Filter, otherwise: str) -> list[str]:
    # Landlock first: the filter forbids its calls.
    no_landlock = _refusal(restrict)
    no_seccomp = _refusal(lambda: seccomp.load(allowed))
    landlock_gone = f"no Landlock in this kernel ({no_landlock})"
    seccomp_gone = f"no system call filter ({no_seccomp})"
    if no_landlock and no_seccomp:
        return [f"{landlock_gone} and {seccomp_gone}: {who} could {otherwise}"]
    if no_landlock:
        return [f"{landlock_gone}: but for its system call filter {who} could {otherwise}"]
    if no_seccomp:
        return [f"{seccomp_gone}: {who} could make any system call; but for Landlock it could {otherwise}"]
    return []


def _refusal(call: Callable[[], None]) -> str:
    try:
        call()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _limit(which: int, otherwise: str) -> list[str]:
    try:
        resource.setrlimit(which, (0, 0))
    except (OSError, ValueError) as error:
        return [f"a limit cannot be set ({error}): {otherwise}"]
    return []


def _prctl(option: int, value: int, otherwise: str) -> list[str]:
    zero = ctypes.c_ulong(0)
    if _libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero) == 0:
        return []
    return [f"prctl {option} is refused ({os.strerror(ctypes.get_errno())}): {otherwise}"]
