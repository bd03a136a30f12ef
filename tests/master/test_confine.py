"""Each refusal shown in a process of its own: by the whole fence, and by each of its layers alone."""

import ctypes
import errno
import faulthandler
import fcntl
import gc
import json
import linecache
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import setproctitle

from mwall.master import confine, landlock, seccomp

libc = ctypes.CDLL(None, use_errno=True)
setproctitle.setproctitle("test_confine")  # its first call looks for the arguments; a daemon makes it before the jail
library: Any = vars(seccomp)["pyseccomp"]  # None where libseccomp is missing
NOBODY = 65534
PATIENCE_SECONDS = 20
UNSHARE_OF_NEW_USER = 0x1000_0000
Report = dict[str, Any]


def has_landlock() -> bool:
    try:
        return landlock.abi() > 0
    except OSError:
        return False


needs_landlock = pytest.mark.skipif(not has_landlock(), reason="no Landlock in this kernel")
needs_seccomp = pytest.mark.skipif(library is None, reason="no libseccomp")


class Jail:
    """A folder that is open to everybody, so that whatever is refused in it is not refused by its mode."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.chroots = os.geteuid() == 0
        folder.chmod(0o777)
        (folder / "file").write_text("content\n")
        (folder / "file").chmod(0o666)
        (folder / "program").write_text("#!/no/such/interpreter\n")
        (folder / "program").chmod(0o777)

    def path(self, name: str) -> str:
        """The name as a confined process must give it."""
        return f"/{name}" if self.chroots else str(self.folder / name)

    def enter(self) -> None:
        """Root goes into the chroot and becomes nobody; anybody else stays as they are."""
        if self.chroots:
            os.chroot(self.folder)
            os.chdir("/")
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)

    def run(self, body: Callable[[], Report]) -> Report:
        """What `body` returned in a process of its own inside the jail."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            tell(writer, body, self.enter)
        os.close(writer)
        answer = read_all(reader)
        _, status = os.waitpid(pid, 0)
        report: Report = json.loads(answer) if answer else {"ended": status}
        assert "failure" not in report, report["failure"]
        return report


def tell(writer: int, body: Callable[[], Report], first: Callable[[], None] = lambda: None) -> None:
    """Runs `body` in a child, writes its report as JSON, and ends the process."""
    try:
        first()
        report = body()
    except BaseException:
        report = {"failure": traceback.format_exc()}
    os.write(writer, json.dumps(report).encode())
    os._exit(0)


def read_all(reader: int) -> bytes:
    """All until the last writer is gone."""
    answer = b""
    while select.select([reader], [], [], PATIENCE_SECONDS)[0]:
        piece = os.read(reader, 65536)
        if not piece:
            os.close(reader)
            return answer
        answer += piece
    raise AssertionError("the other end neither wrote nor died")


@pytest.fixture
def jail(tmp_path: Path) -> Iterator[Jail]:
    yield Jail(tmp_path)


def outcome(call: Callable[[], object]) -> str:
    """`ok`, or the name of the errno."""
    try:
        call()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "ok"


def c_call(name: str, *arguments: int | bytes | None) -> None:
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def fork_and_reap() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def replace_by(path: str) -> None:
    """execve in this very process; the interpreter that it names exists nowhere, so that ENOENT means not refused."""
    os.execv(path, [path])


def write_file(path: str, flags: int = os.O_WRONLY) -> None:
    descriptor = os.open(path, flags, 0o600)
    try:
        os.write(descriptor, b"x")
    finally:
        os.close(descriptor)


def forbidden_to_all(jail: Jail) -> dict[str, Callable[[], object]]:
    """What neither a worker nor the log process nor the master may do."""
    file = jail.path("file")
    sender, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return {
        "write": lambda: write_file(file),
        "read and write": lambda: write_file(file, os.O_RDWR),
        "empty": lambda: os.open(file, os.O_RDONLY | os.O_TRUNC),
        "truncate": lambda: os.truncate(file, 0),
        "create": lambda: write_file(jail.path("new"), os.O_WRONLY | os.O_CREAT),
        "create to read": lambda: os.open(jail.path("new"), os.O_RDONLY | os.O_CREAT, 0o600),
        "nameless file": lambda: os.open(jail.path(""), os.O_RDWR | os.O_TMPFILE, 0o600),
        "mkdir": lambda: os.mkdir(jail.path("folder")),
        "unlink": lambda: os.unlink(file),
        "rename": lambda: os.rename(file, jail.path("other")),
        "link": lambda: os.link(file, jail.path("other")),
        "symlink": lambda: os.symlink(file, jail.path("other")),
        "chmod": lambda: os.chmod(file, 0o600),
        "execve": lambda: replace_by(jail.path("program")),
        "setuid": lambda: os.setuid(0),
        "setgroups": lambda: os.setgroups([0]),
        "chroot": lambda: os.chroot(jail.path("")),
        "ptrace": lambda: c_call("ptrace", 16, os.getppid(), None, None),
        "unshare": lambda: c_call("unshare", UNSHARE_OF_NEW_USER),
        "dumpable again": lambda: c_call("prctl", 4, 1, 0, 0, 0),
        "AF_UNIX": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
        "AF_PACKET": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "AF_NETLINK": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "raw": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        "ping": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP),
        "own signals": lambda: fcntl.fcntl(sender, fcntl.F_SETOWN, os.getppid()),
    }


def forbidden_to_worker(jail: Jail) -> dict[str, Callable[[], object]]:
    return forbidden_to_all(jail) | {
        "read": lambda: os.open(jail.path("file"), os.O_RDONLY),
        "list": lambda: os.listdir(jail.path("")),
        "stat": lambda: os.stat(jail.path("file")),
        "fork": fork_and_reap,
        "signal the parent": lambda: os.kill(os.getppid(), 0),
        "memfd": lambda: os.memfd_create("x"),
        "duplicate": lambda: os.dup(0),
        "raise a limit": lambda: c_call("setrlimit", resource.RLIMIT_NOFILE, struct.pack("=QQ", 8, 8)),
    }


def outcomes(probes: dict[str, Callable[[], object]]) -> dict[str, str]:
    return {name: outcome(call) for name, call in probes.items()}


def confined_worker() -> list[str]:
    return confine.confine_worker(False, os.getppid())


def confined_log() -> list[str]:
    return confine.confine_log(False, os.getppid())


@needs_landlock
@needs_seccomp
def test_worker_is_refused_each(jail: Jail) -> None:
    def body() -> Report:
        probes = forbidden_to_worker(jail)
        return {"lacks": confined_worker(), **outcomes(probes)}

    report = jail.run(body)
    assert report.pop("lacks") == []
    assert {name: how for name, how in report.items() if how != "EPERM"} == {}
    assert (jail.folder / "file").read_text() == "content\n"
    assert sorted(one.name for one in jail.folder.iterdir()) == ["file", "program"]


def test_nothing_is_refused_by_mode(jail: Jail) -> None:
    """The probes would succeed without the fence: otherwise they would prove nothing."""

    def body() -> Report:
        probes = forbidden_to_worker(jail)
        names = ("write", "create", "mkdir", "read", "list", "fork", "AF_UNIX", "execve", "duplicate", "memfd")
        return outcomes({name: probes[name] for name in names})

    report = jail.run(body)
    assert report.pop("execve") == "ENOENT"  # the interpreter's
    assert set(report.values()) == {"ok"}


def talk_over_loopback(listener: socket.socket, family: int, to: Any) -> str:
    """One epoll loop that connects, accepts, sends and receives; what came through."""
    client = socket.socket(family, socket.SOCK_STREAM)
    client.setblocking(False)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert client.connect_ex(to) in (0, errno.EINPROGRESS)
    loop = select.epoll()
    loop.register(listener.fileno(), select.EPOLLIN)
    assert loop.poll(PATIENCE_SECONDS)
    server, _ = listener.accept()
    server.settimeout(PATIENCE_SECONDS)
    loop.register(client.fileno(), select.EPOLLOUT)
    assert dict(loop.poll(PATIENCE_SECONDS))
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    client.sendmsg([b"MAIL ", b"FROM"])
    client.send(b":<>")
    client.shutdown(socket.SHUT_WR)
    text = b""
    while piece := server.recv(100):
        text += piece
    assert server.getsockname() == client.getpeername()
    for one in (server, client, loop):
        one.close()
    return text.decode()


def spoken_trace() -> str:
    try:
        raise ValueError("mistake")
    except ValueError:
        linecache.checkcache()
        return traceback.format_exc().strip().splitlines()[-1]


def work_of_a_worker(listener: socket.socket, log: socket.socket, locks: int, eventfd: int) -> Report:
    os.eventfd_write(eventfd, 3)
    started = time.monotonic()
    big = bytearray(50 << 20)
    big[::4096] = b"x" * len(big[::4096])
    grown = b"".join([b"y" * 100_000] * 100)
    fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 7)
    fcntl.lockf(locks, fcntl.LOCK_UN, 1, 7)
    setproctitle.setproctitle("messagewall: worker 1, 17 clients, 3 backends")
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.connect(("127.0.0.1", 9))
    gc.collect()
    log.send(b"a line")
    time.sleep(0.001)
    return {
        "title": setproctitle.getproctitle(),
        "tcp": talk_over_loopback(listener, socket.AF_INET, listener.getsockname()),
        "eventfd": os.eventfd_read(eventfd),
        "memory": len(big) + len(grown),
        "random": len(os.urandom(16)) + len(str(random.SystemRandom().random())) > 16,
        "clock": time.monotonic() >= started and time.time() > 0 and bool(time.strftime("%b %e", time.localtime())),
        "trace of a bug": spoken_trace(),
        "limits": [resource.getrlimit(one) for one in (resource.RLIMIT_CORE, resource.RLIMIT_NPROC)],
    }


@needs_landlock
@needs_seccomp
def test_worker_can_work(jail: Jail) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    locks, eventfd = os.memfd_create("locks"), os.eventfd(0, os.EFD_NONBLOCK)

    def body() -> Report:
        # A second time, because the first may still import something.
        work_of_a_worker(listener, theirs, locks, eventfd)
        lacks = confined_worker()
        report = work_of_a_worker(listener, theirs, locks, eventfd)
        return report | {"lacks": lacks}

    report = jail.run(body)
    assert report == {
        "lacks": [],
        "title": "messagewall: worker 1, 17 clients, 3 backends",
        "tcp": "MAIL FROM:<>",
        "eventfd": 3,
        "memory": (50 << 20) + 10_000_000,
        "random": True,
        "clock": True,
        "trace of a bug": "ValueError: mistake",
        "limits": [[0, 0], [0, 0]],
    }
    assert ours.recv(100) == b"a line"
    for one in (listener, ours, theirs):
        one.close()
    os.close(locks)
    os.close(eventfd)


def test_lock_of_a_confined_worker_ends_with_it(jail: Jail) -> None:
    locks = os.memfd_create("locks")

    def body() -> Report:
        confined_worker()
        fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 3)
        return {}

    jail.run(body)
    fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 3)
    os.close(locks)


def test_abort_leaves_no_core(jail: Jail) -> None:
    def body() -> Report:
        faulthandler.disable()  # pytest's, which would print into the tests' own output
        confined_worker()
        os.abort()

    status = jail.run(body)["ended"]
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)


# Each layer alone.


@needs_landlock
def test_landlock_alone_refuses_files(jail: Jail) -> None:
    def body() -> Report:
        probes = forbidden_to_worker(jail)
        c_call("prctl", 38, 1, 0, 0, 0)
        landlock.restrict(scopes=landlock.SCOPE_SIGNALS)
        names = ("write", "read and write", "create", "mkdir", "read", "list", "unlink", "symlink", "execve")
        return outcomes({name: probes[name] for name in names})

    assert set(jail.run(body).values()) == {"EACCES"}


@needs_landlock
def test_landlock_keeps_signals_within_its_domain(jail: Jail) -> None:
    if landlock.abi() < 6:
        pytest.skip("this ABI has no scopes")
    ready, tell_ready = os.pipe()

    def body() -> Report:
        # Another process of the same user, which only the scope protects.
        sibling = os.fork()
        if sibling == 0:
            select.select([ready], [], [], PATIENCE_SECONDS)
            os._exit(0)
        before = outcome(lambda: os.kill(sibling, 0))
        c_call("prctl", 38, 1, 0, 0, 0)
        landlock.restrict(scopes=landlock.SCOPE_SIGNALS)
        after = outcome(lambda: os.kill(sibling, 0))
        os.write(tell_ready, b"x")
        os.waitpid(sibling, 0)
        return {"before": before, "after": after}

    assert jail.run(body) == {"before": "ok", "after": "EPERM"}
    os.close(ready)
    os.close(tell_ready)


@needs_seccomp
def test_seccomp_alone_refuses_each(jail: Jail) -> None:
    def body() -> Report:
        probes = forbidden_to_worker(jail)
        seccomp.load(seccomp.worker_filter())
        return outcomes(probes)

    assert {name: how for name, how in jail.run(body).items() if how != "EPERM"} == {}


@needs_seccomp
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="only there is a second table of calls")
def test_calls_by_the_x32_table_are_refused_and_do_not_kill(jail: Jail) -> None:
    def body() -> Report:
        seccomp.load(seccomp.worker_filter())
        return {"getpid": outcome(lambda: c_call("syscall", 0x4000_0000 | 39))}

    assert jail.run(body) == {"getpid": "EPERM"}


def test_each_limit_alone(jail: Jail) -> None:
    def body() -> Report:
        for one in (resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
            resource.setrlimit(one, (0, 0))
        return {
            "fork": outcome(fork_and_reap),
            "write": outcome(lambda: write_file(jail.path("file"))),
            "ease": outcome_of_raising(resource.RLIMIT_CORE),
        }

    assert jail.run(body) == {"fork": "EAGAIN", "write": "EFBIG", "ease": "refused"}


def outcome_of_raising(limit: int) -> str:
    try:
        resource.setrlimit(limit, (1, 1))
    except (OSError, ValueError):
        return "refused"
    return "ok"


def test_log_file_on_stderr_stays_writable(jail: Jail) -> None:
    log = os.open(jail.folder / "log", os.O_WRONLY | os.O_CREAT)

    def body() -> Report:
        confine.confine_worker(True, os.getppid())
        return {"written": outcome(lambda: os.write(log, b"a line"))}

    def without() -> Report:
        confined_worker()
        return {"written": outcome(lambda: os.write(log, b"a line"))}

    assert jail.run(body) == {"written": "ok"}
    assert jail.run(without) == {"written": "EFBIG"}
    os.close(log)


# The parent's death.


def test_orphan_is_told(jail: Jail) -> None:
    def body() -> Report:
        try:
            confine.confine_worker(False, os.getpid())
        except confine.OrphanError:
            return {"orphan": True}
        return {}

    assert jail.run(body) == {"orphan": True}


@pytest.mark.parametrize("confined", [confine.confine_worker, confine.confine_log])
def test_child_dies_with_its_confined_master(jail: Jail, confined: Callable[[bool, int], list[str]]) -> None:
    alive, held = os.pipe()  # closed when the last process that holds it is gone
    never, _kept = os.pipe()

    def master() -> Report:
        confine.confine_master(False)
        reader, writer = os.pipe()
        parent = os.getpid()
        if os.fork() == 0:
            confined(False, parent)
            os.write(writer, b"x")
            poll = select.poll()
            poll.register(never, select.POLLIN)
            poll.poll(2000 * PATIENCE_SECONDS)  # outlives the test's patience, but not for ever
            os._exit(1)
        os.read(reader, 1)
        return {}

    jail.run(master)
    os.close(held)
    assert read_all(alive) == b""
    os.close(never)
    os.close(_kept)


# The master.


@needs_landlock
@needs_seccomp
def test_master_is_refused_each(jail: Jail) -> None:
    def body() -> Report:
        probes = forbidden_to_all(jail)
        return {"lacks": confine.confine_master(False), **outcomes(probes)}

    report = jail.run(body)
    assert report.pop("lacks") == []
    assert {name: how for name, how in report.items() if how != "EPERM"} == {}


@needs_landlock
def test_landlock_alone_lets_the_master_only_read(jail: Jail) -> None:
    def body() -> Report:
        probes = forbidden_to_worker(jail)
        c_call("prctl", 38, 1, 0, 0, 0)
        landlock.restrict(beneath_root=landlock.READ_FILE | landlock.READ_DIR)
        return outcomes({name: probes[name] for name in ("read", "list", "write", "create", "mkdir", "execve")})

    refused = dict.fromkeys(("write", "create", "mkdir", "execve"), "EACCES")
    assert jail.run(body) == {"read": "ok", "list": "ok"} | refused


@needs_seccomp
def test_master_forks_by_fork_alone(jail: Jail) -> None:
    def body() -> Report:
        seccomp.load(seccomp.master_filter())
        clone = library.resolve_syscall(library.Arch.NATIVE, "clone")
        return {
            "new user": outcome(lambda: c_call("syscall", clone, UNSHARE_OF_NEW_USER | signal.SIGCHLD, 0, 0, 0, 0)),
            "thread": outcome(lambda: c_call("syscall", clone, 0x0001_0000 | 0x0000_0800 | 0x0000_0100, 0, 0, 0, 0)),
            "fork": outcome(fork_and_reap),
        }

    assert jail.run(body) == {"new user": "EPERM", "thread": "EPERM", "fork": "ok"}


@needs_landlock
@needs_seccomp
def test_master_reads_forks_signals_and_confines(jail: Jail) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    locks, eventfd = os.memfd_create("locks"), os.eventfd(0, os.EFD_NONBLOCK)

    def worker(parent: int) -> Report:
        probes = forbidden_to_worker(jail)
        lacks = confine.confine_worker(False, parent)
        work = work_of_a_worker(listener, theirs, locks, eventfd)
        return {"lacks": lacks, "refused": outcomes(probes), "tcp": work["tcp"]}

    def body() -> Report:
        work_of_a_worker(listener, theirs, locks, eventfd)
        lacks = confine.confine_master(False)
        reader, writer = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            tell(writer, lambda: worker(parent))
        os.close(writer)
        told = json.loads(read_all(reader))
        os.waitpid(pid, 0)
        return {"lacks": lacks, "worker": told, "killed": kill_a_worker(), "read": read_everything(jail)}

    report = jail.run(body)
    told = report.pop("worker")
    assert report == {"lacks": [], "killed": signal.SIGTERM, "read": ["content\n", ["file", "program"]]}
    assert (told["lacks"], told["tcp"]) == ([], "MAIL FROM:<>"), told
    assert {name: how for name, how in told["refused"].items() if how != "EPERM"} == {}
    for one in (listener, ours, theirs):
        one.close()
    os.close(locks)
    os.close(eventfd)


def kill_a_worker() -> int:
    """The signal that ended a confined worker of this confined master."""
    reader, writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        confine.confine_worker(False, parent)
        os.write(writer, b"x")
        poll = select.poll()
        poll.register(reader, select.POLLERR)
        poll.poll(2000 * PATIENCE_SECONDS)
        os._exit(1)
    os.read(reader, 1)
    os.kill(pid, signal.SIGTERM)
    return os.WTERMSIG(os.waitpid(pid, 0)[1])


def read_everything(jail: Jail) -> tuple[str, list[str]]:
    """As a HUP does: the folder's files and a file's text."""
    os.stat(jail.path("file"))
    with os.scandir(jail.path("")) as entries:
        names = sorted(entry.name for entry in entries if entry.is_file())
    with open(jail.path("file"), encoding="utf-8") as file:
        return file.read(), names


def test_master_filter_allows_what_a_worker_needs() -> None:
    """Filters only stack: what the master's refuses, no worker can be given."""
    master, worker = seccomp.master_filter(), seccomp.worker_filter()
    assert worker.calls <= master.calls
    assert [rule for rule in worker.rules if rule not in master.rules and rule.call not in master.calls] == []


# The log process.


@needs_landlock
@needs_seccomp
def test_log_process_connects_again(jail: Jail) -> None:
    place = str(jail.folder / "log")
    daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    daemon.bind(place)
    os.chmod(place, 0o666)
    shared = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    shared.connect(place)
    ask, asked = os.pipe()
    told, tell_broken = os.pipe()

    def body() -> Report:
        probes = forbidden_to_worker(jail) | {"TCP": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)}
        lacks = confine.confine_log(False, os.getppid())
        shared.send(b"first")
        os.write(tell_broken, b"x")
        os.read(ask, 1)  # the daemon is being restarted meanwhile
        broken = outcome(lambda: shared.send(b"lost"))
        shared.connect(jail.path("log"))
        shared.send(b"second")
        return {"lacks": lacks, "broken": broken, "refused": outcomes(probes)}

    def restart() -> tuple[bytes, socket.socket]:
        os.read(told, 1)
        first = daemon.recv(100)
        daemon.close()
        os.unlink(place)
        anew = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        anew.bind(place)
        os.chmod(place, 0o666)
        os.write(asked, b"x")
        return first, anew

    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        daemon.close()
        tell(writer, body, jail.enter)
    os.close(writer)
    first, anew = restart()
    report = json.loads(read_all(reader))
    os.waitpid(pid, 0)
    assert "failure" not in report, report["failure"]
    refused = report.pop("refused")
    assert report == {"lacks": [], "broken": "ECONNREFUSED"}
    assert {name: how for name, how in refused.items() if how != "EPERM"} == {}
    assert (first, anew.recv(100)) == (b"first", b"second")
    for one in (ask, asked, told, tell_broken):
        os.close(one)
    anew.close()
    shared.close()


# Kernels that lack a piece, played by an outer filter that answers as they do.


def without_calls(number_of_error: int, *calls: str | int) -> None:
    program = library.SyscallFilter(library.ALLOW)
    for call in calls:
        program.add_rule(library.ERRNO(number_of_error), call)
    program.load()


@needs_seccomp
@pytest.mark.parametrize("confined", [confined_worker, lambda: confine.confine_master(False)])
def test_kernel_without_landlock_is_reported(jail: Jail, confined: Callable[[], list[str]]) -> None:
    def body() -> Report:
        probes = forbidden_to_all(jail)
        without_calls(errno.ENOSYS, 444)
        return {"lacks": confined(), "write": outcome(probes["write"])}

    report = jail.run(body)
    [sentence] = report["lacks"]
    assert sentence.startswith("no Landlock in this kernel (Function not implemented): ")
    assert report["write"] == "EPERM"


def without_seccomp(jail: Jail, confined: Callable[[], list[str]]) -> Report:
    """What holds without a filter, which would hide the other layers and forbid to ask about them."""

    def body() -> Report:
        probes = forbidden_to_worker(jail)
        without_calls(errno.EINVAL, "seccomp")
        return {
            "lacks": confined(),
            "no new privileges": libc.prctl(39, 0, 0, 0, 0),
            "dumpable": libc.prctl(3, 0, 0, 0, 0),
            "no core": resource.getrlimit(resource.RLIMIT_CORE) == (0, 0),
            **outcomes({name: probes[name] for name in ("write", "create", "execve", "read", "fork")}),
        }

    report = jail.run(body)
    [sentence] = report.pop("lacks")
    assert "could make any system call" in sentence
    return report


HELD_WITHOUT_SECCOMP = {
    "no new privileges": 1,
    "dumpable": 0,
    "no core": True,
    "write": "EACCES",
    "create": "EACCES",
    "execve": "EACCES",
}


@needs_landlock
@needs_seccomp
@pytest.mark.parametrize("confined", [confined_worker, confined_log])
def test_kernel_without_seccomp_still_holds_worker_and_log(jail: Jail, confined: Callable[[], list[str]]) -> None:
    assert without_seccomp(jail, confined) == HELD_WITHOUT_SECCOMP | {"read": "EACCES", "fork": "EAGAIN"}


@needs_landlock
@needs_seccomp
def test_kernel_without_seccomp_still_holds_the_master(jail: Jail) -> None:
    report = without_seccomp(jail, lambda: confine.confine_master(False))
    assert report == HELD_WITHOUT_SECCOMP | {"read": "ok", "fork": "ok"}


@needs_seccomp
def test_kernel_with_neither_is_reported(jail: Jail) -> None:
    def body() -> Report:
        without_calls(errno.ENOSYS, "seccomp", 444)
        return {"lacks": confined_worker()}

    [sentence] = jail.run(body)["lacks"]
    assert "no Landlock" in sentence
    assert "no system call filter" in sentence
    assert sentence.endswith("a worker could open files inside the chroot that its user may")


def test_nothing_is_imported_while_confining(jail: Jail) -> None:
    def body() -> Report:
        before = set(sys.modules)
        confine.confine_master(False)
        return {"imported": sorted(set(sys.modules) - before)}

    assert jail.run(body) == {"imported": []}
