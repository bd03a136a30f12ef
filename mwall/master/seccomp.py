"""System call filters: what each kind of process may still ask of the kernel (seccomp(2)).

- Each filter lists what is allowed. Anything else fails with EPERM and never
  kills: a bug costs one session and leaves its trace in the log.
- Filters stack and the strictest wins. The master's therefore allows whatever
  a worker needs, and what it takes to confine one.
- A call that is allowed whatever its arguments is answered from the kernel's
  bitmap, without running the filter: so arguments are looked at only where a
  promise hangs on them.
- A filter sees registers, not what they point to: a path or an address cannot
  be judged. Hence no openat and no newfstatat at all in a worker (so os.fstat
  fails there as well), and no socket of a family that has paths.
"""

import errno
import fcntl
import os
import socket
import sys
import termios
from collections.abc import Iterable
from typing import Any, NamedTuple

try:
    # At import, never later: it looks for libraries by running programs (ctypes.util.find_library).
    import pyseccomp
except (ImportError, AttributeError, OSError, RuntimeError):  # the last: there is no libseccomp
    pyseccomp = None

_INT = 0xFFFF_FFFF  # an argument that the kernel takes as a C int: the register's upper half means nothing
_WHOLE = 0xFFFF_FFFF_FFFF_FFFF


class Condition(NamedTuple):
    """Holds when `argument`, counted from 0, has `value` in the bits of `mask`."""

    argument: int
    mask: int
    value: int


class Rule(NamedTuple):
    """A call that is allowed when all conditions hold."""

    call: str
    conditions: tuple[Condition, ...]


class Filter(NamedTuple):
    """The calls allowed always, and those allowed by rules only."""

    calls: frozenset[str]
    rules: tuple[Rule, ...]


# What the interpreter itself needs once everything is imported: memory, time, signals, its own end.
_INTERPRETER = """
    read write readv writev close lseek fstat
    brk mmap munmap mremap mprotect madvise futex sched_yield getrandom
    time gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep times getrusage
    getpid getppid gettid getuid geteuid getgid getegid
    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack restart_syscall
    select pselect6 poll ppoll epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
    exit exit_group
"""
_DATAGRAMS = "connect send sendto sendmsg recv recvfrom recvmsg getsockopt getsockname getpeername"
_CONNECTIONS = "accept accept4 shutdown setsockopt sendmmsg recvmmsg"
# What the master does besides: reads its files again, forks, waits, signals, and confines what it forked.
_MASTER = """
    fork wait4 waitid kill tgkill pidfd_open pidfd_send_signal
    stat lstat newfstatat statx getdents64 readlink readlinkat access faccessat faccessat2 getcwd
    pipe pipe2 eventfd2 dup dup2 dup3 set_robust_list set_tid_address rseq
    getrlimit setrlimit prlimit64 seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
"""

# linux/prctl.h
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_NO_NEW_PRIVS = 1, 4, 15, 38

# Not F_SETOWN and F_SETSIG, by which a worker could have the kernel signal any process of its user; not F_DUPFD:
# closing a duplicate of the lock file drops every lock of the process.
_FCNTL_COMMANDS = (
    fcntl.F_GETFD, fcntl.F_SETFD, fcntl.F_GETFL, fcntl.F_SETFL, fcntl.F_GETLK, fcntl.F_SETLK, fcntl.F_SETLKW,
)  # fmt: skip
# CPython's setblocking, set_inheritable and isatty.
_IOCTL_REQUESTS = (termios.FIONBIO, termios.FIOCLEX, termios.FIONCLEX, termios.FIONREAD, termios.TCGETS)

_SIOCGIFINDEX = 0x8933  # netdevice(7)

# All that fork(3) asks of clone(2): the signal in the low byte, and where to note the child's number. No namespace
# (CLONE_NEWUSER gives every capability inside of it), no thread, no vfork.
_CLONE_OF_FORK = 0xFF | 0x0010_0000 | 0x0020_0000 | 0x0100_0000

_O_LARGEFILE = 0o100000  # what 64-bit kernels call it; Python says 0 there
_OPEN_TO_READ = (
    os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_LARGEFILE | _O_LARGEFILE
)


def worker_filter() -> Filter:
    """For a worker: one epoll loop over TCP and UDP sockets, byte locks, memory. Made in the process it is for."""
    # abort(3) signals its own thread.
    abort = Rule("tgkill", (Condition(0, _INT, os.getpid()),))
    limits_read = Rule("prlimit64", (Condition(0, _INT, 0), Condition(2, _WHOLE, 0)))
    rules = (*_sockets(), *_descriptors(), _prctl(_PR_SET_NAME), abort, limits_read)
    return Filter(_names(_INTERPRETER, _DATAGRAMS, _CONNECTIONS), rules)


def log_filter() -> Filter:
    """For the log process: it connects sockets that it has, and makes none."""
    abort = Rule("tgkill", (Condition(0, _INT, os.getpid()),))
    return Filter(_names(_INTERPRETER, _DATAGRAMS), (*_descriptors(), _prctl(_PR_SET_NAME), abort))


def master_filter() -> Filter:
    """For the master: what a worker may, and fork, wait, signal, read files, confine a child further."""
    calls = _names(_INTERPRETER, _DATAGRAMS, _CONNECTIONS, _MASTER)
    writing = _INT & ~_OPEN_TO_READ
    # s390 has the stack first.
    flags = 1 if os.uname().machine.startswith("s390") else 0
    rules = (
        *_sockets(),
        *_descriptors(),
        Rule("fcntl", (Condition(1, _INT, fcntl.F_DUPFD_CLOEXEC),)),
        Rule("ioctl", (Condition(1, _INT, _SIOCGIFINDEX),)),  # for name servers with a scope (worker/resolver.py)
        Rule("open", (Condition(1, writing, 0),)),
        Rule("openat", (Condition(2, writing, 0),)),
        Rule("ftruncate", (Condition(1, _WHOLE, 0),)),  # the pid file is emptied at the end
        Rule("clone", (Condition(flags, _INT & ~_CLONE_OF_FORK, 0),)),
        Rule("socketpair", (Condition(0, _INT, socket.AF_UNIX),)),
        _prctl(_PR_SET_NAME),
        _prctl(_PR_SET_PDEATHSIG),
        _prctl(_PR_SET_NO_NEW_PRIVS),
        Rule("prctl", (Condition(0, _INT, _PR_SET_DUMPABLE), Condition(1, _WHOLE, 0))),
    )
    return Filter(calls, rules)


def load(allowed: Filter) -> None:
    """Puts the filter on this process, for good. Needs NO_NEW_PRIVS or sets it.

    Raises OSError where the kernel refuses, or (ENOPKG) where libseccomp or pyseccomp is not installed. Nothing is
    filtered then. A 32-bit process has other calls for time and memory, which are not listed here: ENOPKG as well.
    """
    if sys.maxsize < 2**32:
        raise OSError(errno.ENOPKG, "there is none for 32-bit processes")
    if pyseccomp is None:
        raise OSError(errno.ENOPKG, "libseccomp or pyseccomp is not installed")
    refuse = pyseccomp.ERRNO(errno.EPERM)
    program = pyseccomp.SyscallFilter(refuse)
    # Calls by another architecture's table (x32, i386): libseccomp's own answer is to kill.
    program.set_attr(pyseccomp.Attr.ACT_BADARCH, refuse)
    _make_cheap(program)
    for call in sorted(allowed.calls):
        _add(program, call, ())
    for call, conditions in allowed.rules:
        _add(program, call, conditions)
    program.load()


def _make_cheap(program: Any) -> None:
    # Both are of libseccomp 2.5. The first: no guard against speculative store bypass, which slows the whole process
    # and which kernels since 5.16 no longer add to a filter either. The second: a binary tree of the calls, no chain.
    for attribute, value in ((pyseccomp.Attr.CTL_SSB, 1), (pyseccomp.Attr.CTL_OPTIMIZE, 2)):
        try:
            program.set_attr(attribute, value)
        except OSError:
            continue


def _add(program: Any, call: str, conditions: Iterable[Condition]) -> None:
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, call)
    if number == -1:  # a call younger than the library: it stays refused
        return
    tests = [pyseccomp.Arg(argument, pyseccomp.MASKED_EQ, mask, value) for argument, mask, value in conditions]
    program.add_rule(pyseccomp.ALLOW, number, *tests)


def _names(*lists: str) -> frozenset[str]:
    return frozenset(name for one in lists for name in one.split())


def _prctl(option: int) -> Rule:
    return Rule("prctl", (Condition(0, _INT, option),))


def _sockets() -> list[Rule]:
    # The type's low four bits; above them stand SOCK_NONBLOCK and SOCK_CLOEXEC. The protocol is tested too: MPTCP,
    # SCTP and ICMP would hide behind the same types.
    kinds = ((socket.SOCK_STREAM, socket.IPPROTO_TCP), (socket.SOCK_DGRAM, socket.IPPROTO_UDP))
    return [
        Rule("socket", (Condition(0, _INT, family), Condition(1, 0xF, kind), Condition(2, _INT, chosen)))
        for family in (socket.AF_INET, socket.AF_INET6)
        for kind, protocol in kinds
        for chosen in (0, protocol)
    ]


def _descriptors() -> list[Rule]:
    rules = [Rule("fcntl", (Condition(1, _INT, command),)) for command in _FCNTL_COMMANDS]
    return rules + [Rule("ioctl", (Condition(1, _INT, request),)) for request in _IOCTL_REQUESTS]
