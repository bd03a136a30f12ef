"""The command from its typing to its exit code: 0 only once workers accept, else the reason (design.md, Processes)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import lacking
from tests.daemon.detached import Detached, lives, patched
from tests.daemon.harness import MESSAGE, PROJECT, Client, Daemon, Sink, Site, until


@pytest.fixture
def detached(site: Site) -> Iterator[Detached]:
    running = Detached(site)
    yield running
    running.end()


@pytest.fixture
def nobody(need_root: None, need_program: Callable[[str], str]) -> tuple[str, ...]:
    """A prefix that makes an ordinary user of whoever runs the command."""
    prefix = (need_program("setpriv"), "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    try:
        subprocess.run([*prefix, sys.executable, "-c", "import mwall"], cwd=PROJECT, check=True, capture_output=True)
    except (subprocess.CalledProcessError, OSError):
        lacking("an ordinary user may not read this checkout or its Python")
    return prefix


# The command returns when the daemon serves


def test_the_command_returns_once_every_worker_accepts(detached: Detached, tmp_path: Path) -> None:
    stopped = patched(
        tmp_path,
        "import os, signal\nfrom mwall.worker.worker import Worker\nrun = Worker.run\n"
        "def run_later(self, *arguments):\n"
        "    if self.row == 1:\n"
        "        self.log.process('NOTICE', 'held %d' % os.getpid())\n"
        "        signal.raise_signal(signal.SIGSTOP)\n"
        "    run(self, *arguments)\n"
        "Worker.run = run_later",
    )
    typed = detached.open(prefix=stopped)
    line = detached.logged("held")
    held = psutil.Process(int(line.split()[-1]))
    until(lambda: held.status() == psutil.STATUS_STOPPED, "the worker to stand still")
    assert typed.poll() is None
    held.send_signal(signal.SIGCONT)
    assert typed.wait(20) == 0
    detached.logged("started: 2 workers, 127.0.0.1 port")
    assert len(detached.workers()) == 2


def test_it_is_detached(detached: Detached) -> None:
    assert detached.launch() == 0
    for process in (detached.master, *detached.workers()):
        assert os.getsid(process.pid) != os.getsid(0) and os.getsid(process.pid) != process.pid
        assert process.terminal() is None
        assert process.cwd() == str(detached.site.folder)
        for number in (0, 1, 2):
            assert os.readlink(f"/proc/{process.pid}/fd/{number}") == "/dev/null"
    assert detached.pid_file.stat().st_mode & 0o777 == 0o644


def test_only_the_master_keeps_the_pid_file_and_nobody_the_status_pipe(detached: Detached) -> None:
    assert detached.launch() == 0

    def kept(process: psutil.Process) -> list[str]:
        folder = f"/proc/{process.pid}/fd"
        return [os.readlink(f"{folder}/{number}") for number in os.listdir(folder)]

    assert str(detached.pid_file) in kept(detached.master)
    assert not any(name.startswith("pipe:") for name in kept(detached.master))
    for worker in detached.workers():
        assert str(detached.pid_file) not in kept(worker)
        assert not any(name.startswith("pipe:") for name in kept(worker))


def test_every_process_says_what_it_is(daemon: Daemon, site: Site) -> None:
    daemon.start()
    assert daemon.master.cmdline()[0].startswith("messagewall: master")
    with Client(site.port, greeted=False):
        until(lambda: len(daemon.workers()) == 2, "two workers")
        titles = sorted(worker.cmdline()[0] for worker in daemon.workers())
    assert [re.sub(r"\d+ (clients|backends)", r"N \1", title) for title in titles] == [
        "messagewall: worker 1, N clients, N backends",
        "messagewall: worker 2, N clients, N backends",
    ]


def test_started_with_its_standard_streams_closed(detached: Detached) -> None:
    detached.site.write(log_to="syslog")
    assert detached.launch(prefix=("/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")) == 0
    assert len(until(detached.workers, "the workers")) == 2
    with Client(detached.site.port) as client:
        assert client.greeting[:3] in (b"220", b"421")


# Each reason not to start


def _take_port(site: Site) -> str:
    site.taken = socket.create_server(("127.0.0.1", site.port))  # type: ignore[attr-defined]
    return rf"listen_ip 127\.0\.0\.1 port {site.port}: taken by \S+ \(process {os.getpid()}\)"


def _unreadable(site: Site) -> str:
    (site.folder / "profiles" / "Medium").chmod(0o600)
    return rf"as the user nobody, inside {site.folder}:\n{site.folder}/profiles/Medium: cannot be read: Permission"


def _changeable(path: str, mode: int = 0, owner: str | None = None) -> Callable[[Site], str]:
    def make(site: Site) -> str:
        place = site.folder / path
        if mode:
            place.chmod(mode)
        if owner:
            shutil.chown(place, owner)
        return f"{place}: the user nobody could change it; chown it to root and take write permission away"

    return make


def _changeable_between(site: Site) -> str:
    (site.folder / "maps").mkdir(mode=0o755)
    site.put("maps/users", "")
    shutil.chown(site.folder / "maps", "nobody")
    site.write(special_users="maps/users")
    return f"{site.folder}/maps: the user nobody could change it"


def _setting(pattern: str, **settings: object) -> Callable[[Site], str]:
    def make(site: Site) -> str:
        site.write(**settings)
        return pattern

    return make


def _many_faults(site: Site) -> str:
    site.write(max_client="7", listen_port="70000")
    return r"messagewall\.conf:\d+: (.|\n)*messagewall\.conf:\d+: "


REASONS = {
    "the port is taken": (_take_port, os.EX_UNAVAILABLE),
    "no such user": (_setting("there is no user mwtest7.*useradd", user="mwtest7"), os.EX_NOUSER),
    "no such group": (_setting("there is no group mwtest7.*groupadd", group="mwtest7"), os.EX_NOUSER),
    "user is root": (_setting("user: .*root", user="root"), 1),
    "group is root": (_setting("group: .*root", group="root"), 1),
    "root is the user's": (_changeable(".", owner="nobody"), 1),
    "root is everybody's": (_changeable(".", mode=0o1777), 1),
    "the configuration is everybody's": (_changeable("messagewall.conf", mode=0o666), 1),
    "a profile is the user's": (_changeable("profiles/Light", owner="nobody"), 1),
    "the patterns are the user's": (_changeable("virus.patterns", owner="nobody"), 1),
    "the profiles' folder is everybody's": (_changeable("profiles", mode=0o777), 1),
    "a map is everybody's": (_changeable("local_domains", mode=0o646), 1),
    "a folder on the way is the user's": (_changeable_between, 1),
    "what HUP could not read": (_unreadable, 1),
    "faults": (_many_faults, 1),
    "not our address": (_setting("listen_ip 192.0.2.77: this machine has no such address", listen_ip="192.0.2.77"),
                        os.EX_CONFIG),
}  # fmt: skip


@pytest.mark.parametrize("case", REASONS)
def test_a_start_that_fails_says_why(detached: Detached, case: str) -> None:
    prepare, code = REASONS[case]
    pattern = prepare(detached.site)
    assert detached.launch() == code
    assert re.search(pattern, detached.log()), detached.log()
    assert "Traceback" not in detached.log()
    assert not detached.pid


@pytest.mark.parametrize("options", [("-f",), ("-t",), ("-T",)])
def test_what_a_hup_could_not_read_fails_now(daemon: Daemon, site: Site, options: tuple[str, ...]) -> None:
    (site.folder / "local_domains").chmod(0o600)
    done = daemon.run(*options)
    assert done.returncode == 1
    assert "local_domains: cannot be read: Permission denied" in done.stderr
    assert done.stdout == ""


def test_workers_that_end_at_once(detached: Detached, tmp_path: Path) -> None:
    dying = patched(
        tmp_path,
        "from mwall.worker.worker import Worker\n"
        "def run(self, *_): raise RuntimeError('cannot')\n"
        "Worker.run = run",
    )
    assert detached.launch(prefix=dying) == os.EX_SOFTWARE
    assert "messagewall: workers end at once, the last with exit code 70; the log says more" in detached.log()
    assert "RuntimeError: cannot" in detached.log()
    assert not detached.pid


def test_too_few_descriptors(detached: Detached, need_program: Callable[[str], str]) -> None:
    """Root may raise its limit, unless it has lost that right, as in many a container."""
    limits = (need_program("prlimit"), "--nofile=300:300", need_program("setpriv"), "--bounding-set=-sys_resource")
    assert detached.launch(prefix=limits) == os.EX_OSERR
    assert re.search(r"max_clients: \d+ descriptors are needed and 300 allowed; raise ulimit -n", detached.log())


def test_it_raises_the_limit_of_descriptors(daemon: Daemon, need_program: Callable[[str], str]) -> None:
    daemon.start(prefix=(need_program("prlimit"), "--nofile=300:"))
    for process in (daemon.master, *daemon.workers()):
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert int(re.search(r"Max open files +(\d+)", limits)[1]) > 470  # type: ignore[index]


@pytest.mark.parametrize("place", ["no/such/folder/pid", "link"])
def test_a_pid_file_that_cannot_be_made(daemon: Daemon, tmp_path: Path, place: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    done = daemon.run("-p", str(tmp_path / place))
    assert done.returncode == os.EX_CANTCREAT
    assert done.stderr.startswith(f"messagewall: pid file {tmp_path / place}: ")
    assert not (tmp_path / "elsewhere").exists()


def test_a_second_daemon_is_refused_and_the_first_unharmed(detached: Detached, free_port: Callable[[], int]) -> None:
    assert detached.launch() == 0
    first = detached.pid
    detached.site.write(listen_port=free_port())
    assert detached.launch() == os.EX_UNAVAILABLE
    assert f"messagewall: already running as process {first} ({detached.pid_file})" in detached.log()
    assert detached.pid == first and lives(first)


@pytest.mark.parametrize("left", ["1\n", "99999999\n", "nonsense" * 100, ""])
def test_a_pid_file_left_behind_is_no_obstacle(detached: Detached, left: str) -> None:
    detached.pid_file.write_text(left)
    assert detached.launch() == 0
    assert detached.pid_file.read_text() == f"{detached.pid}\n"
    assert "messagewall" in detached.master.cmdline()[0]


# The other options


def test_options_that_only_tell(daemon: Daemon) -> None:
    assert daemon.run("-V").stdout.startswith("messagewall ")
    helped = daemon.run("-h")
    assert helped.returncode == 0 and all(f"-{option}" in helped.stdout for option in "cftTpVh")
    wrong = daemon.run("-x")
    assert wrong.returncode == 2 and "usage:" in wrong.stderr


def test_t_is_silent_when_all_is_right_and_starts_nothing(daemon: Daemon, site: Site) -> None:
    done = daemon.run("-t")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with pytest.raises(ConnectionRefusedError):
        Client(site.port)


def test_T_shows_what_is_in_force(daemon: Daemon, site: Site) -> None:
    site.write(max_message_size="7M")
    done = daemon.run("-T")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert 'max_message_size="7M"' in lines and 'max_clients="200"' in lines and f'root="{site.folder}"' in lines


def test_T_shows_nothing_when_there_are_faults(daemon: Daemon, site: Site) -> None:
    site.write(proceses="2")
    done = daemon.run("-T")
    assert done.returncode == 1 and done.stdout == ""
    assert re.search(r"messagewall\.conf:\d+: proceses: .*processes", done.stderr)


def test_a_file_that_is_not_there(daemon: Daemon, site: Site) -> None:
    site.file.unlink()
    for options in ((), ("-t",), ("-f",)):
        done = daemon.run(*options)
        assert done.returncode == 1
        assert done.stderr.strip() == f"{site.file}: cannot be read: No such file or directory"


# An ordinary user


def test_an_ordinary_user_runs_without_a_chroot_and_is_told(
    daemon: Daemon, site: Site, nobody: tuple[str, ...]
) -> None:
    daemon.start(prefix=nobody)
    line = daemon.logged("not started as root")
    assert "PROCESS/WARNING: not enforced: not started as root: no chroot" in line
    assert os.readlink(f"/proc/{daemon.master.pid}/root") == "/"
    for process in (daemon.master, *daemon.workers()):
        assert set(process.uids()) == set(psutil.Process(daemon.master.pid).uids()) != {0}
    # A reload finds the files where they are.
    site.write(max_errors=7)
    daemon.signal(signal.SIGHUP)
    daemon.logged("reloaded")


def test_an_ordinary_user_may_not_have_port_25(daemon: Daemon, site: Site, nobody: tuple[str, ...]) -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 25:
        pytest.skip("this machine lets everybody listen on port 25")
    site.write(listen_port=25)
    done = subprocess.run(
        [*nobody, *daemon.command("-f")], cwd=PROJECT, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == os.EX_NOPERM
    assert "listen_ip 127.0.0.1 port 25: only root may listen there" in done.stderr


# A service manager's sandbox

_WITHOUT_WRITABLE_CODE = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)\n"  # PR_SET_MDWE; kernels before 6.3 know nothing of it
    "os.execvp(sys.argv[1], sys.argv[1:])\n"
)


def test_under_the_rights_that_the_systemd_unit_leaves(
    daemon: Daemon, sink: Sink, site: Site, need_program: Callable[[str], str]
) -> None:
    """Capabilities, no new privileges, no memory that is both writable and executable, the umask."""
    unit = (PROJECT / "init" / "messagewall.service").read_text()
    left = re.search("^CapabilityBoundingSet=(.*)", unit, re.MULTILINE)
    assert left is not None and "MemoryDenyWriteExecute=yes" in unit and "UMask=0077" in unit
    rights = [f"+{name.lower()[4:]}" for name in left[1].split() if name != "CAP_SYS_RESOURCE"]
    setpriv = (need_program("setpriv"), f"--bounding-set=-all,{','.join(rights)}", "--no-new-privs")
    under = ("/bin/sh", "-c", 'umask 0077; exec "$@"', "sh", sys.executable, "-c", _WITHOUT_WRITABLE_CODE, *setpriv)
    checked = subprocess.run([*under, *daemon.command("-t")], cwd=PROJECT, capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    daemon.start(prefix=under)
    assert "not enforced" not in daemon.log()
    with Client(site.port) as client:
        assert client.message(MESSAGE).startswith(b"250")
    daemon.signal(signal.SIGHUP)
    daemon.logged("reloaded")


def test_it_listens_on_every_address(daemon: Daemon, site: Site, sink: Sink) -> None:
    if not Path("/proc/net/if_inet6").exists() or "lo" not in Path("/proc/net/if_inet6").read_text():
        pytest.skip("no IPv6 here")
    site.write(listen_ip="127.0.0.1 ::1")
    daemon.start()
    daemon.logged(rf"started: 2 workers, 127\.0\.0\.1, \[::1\] port {site.port} to 127\.0\.0\.1:{site.backend_port}")
    for address in ("127.0.0.1", "::1"):
        with socket.create_connection((address, site.port)) as sock:
            assert sock.recv(100).startswith(b"220 ")
