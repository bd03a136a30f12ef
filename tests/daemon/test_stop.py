"""The end of the daemon and of its workers: signals, drain, restart, what dies or stands still, and the init script."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.daemon.detached import Detached, lives, patched
from tests.daemon.harness import MESSAGE, PROJECT, Client, Daemon, Sink, Site, until

GOODBYE = b"421 4.3.2 "


@pytest.fixture
def detached(site: Site) -> Iterator[Detached]:
    running = Detached(site)
    yield running
    running.end()


def ended(daemon: Daemon) -> int:
    """Waits for the end of a daemon in the foreground; its exit code."""
    assert daemon.process is not None
    return daemon.process.wait(20)


def in_transaction(port: int) -> Client:
    """A client between RCPT and DATA."""
    client = Client(port)
    assert client.ask(b"EHLO client.example", b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.org>")[:3] == b"250"
    return client


def refuses(port: int) -> bool:
    """Whether nobody listens."""
    try:
        Client(port, greeted=False).close()
    except ConnectionError:
        return True
    return False


# Signals


@pytest.mark.parametrize("to_all", [False, True], ids=["to the master", "to the whole group"])
def test_TERM_drains(detached: Detached, sink: Sink, site: Site, to_all: bool) -> None:
    assert detached.launch() == 0
    master, workers = detached.pid, detached.workers()
    with Client(site.port) as idle, in_transaction(site.port) as busy:
        idle.ask(b"EHLO idle.example")
        (os.killpg if to_all else os.kill)(os.getpgid(master) if to_all else master, signal.SIGTERM)
        assert idle.reply().startswith(GOODBYE) and idle.at_end()
        assert refuses(site.port)
        assert detached.pid == 0
        # Its transaction goes on to the end, and only the next command hears of it.
        busy.ask(b"DATA")
        busy.send(MESSAGE + b".\r\n")
        assert busy.reply().startswith(b"250 ")
        assert busy.ask(b"MAIL FROM:<a@example.org>").startswith(GOODBYE) and busy.at_end()
    until(lambda: not lives(master), "the master's end")
    assert not any(lives(worker.pid) for worker in workers)
    assert len(sink.messages()) == 1
    assert "ended by signal" not in detached.log()


def test_an_idle_daemon_ends_at_once(daemon: Daemon, sink: Sink) -> None:
    daemon.start()
    daemon.signal(signal.SIGTERM)
    assert ended(daemon) == 0


def test_a_worker_obeys_the_master_alone(daemon: Daemon, sink: Sink, site: Site) -> None:
    daemon.start()
    workers = {worker.pid for worker in daemon.workers()}
    with in_transaction(site.port) as client:
        for worker in workers:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
                os.kill(worker, number)
        assert client.ask(b"NOOP").startswith(b"250")
    with Client(site.port) as client:
        assert client.message(MESSAGE).startswith(b"250")
    assert {worker.pid for worker in daemon.workers()} == workers


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_INT_and_QUIT_end_it_now(daemon: Daemon, sink: Sink, site: Site, number: signal.Signals) -> None:
    daemon.start()
    with in_transaction(site.port) as client:
        daemon.signal(number)
        assert ended(daemon) == 0
        assert client.at_end()
    daemon.logged("leaving now")


def test_QUIT_cuts_a_drain_short(daemon: Daemon, sink: Sink, site: Site) -> None:
    daemon.start()
    with in_transaction(site.port):
        daemon.signal(signal.SIGTERM)
        daemon.logged("draining, then leaving")
        until(lambda: daemon.master.cmdline()[0] == "messagewall: master, draining", "the title")
        daemon.signal(signal.SIGQUIT)
        assert ended(daemon) == 0


def test_drain_timeout_ends_the_rest(daemon: Daemon, sink: Sink, site: Site) -> None:
    site.write(drain_timeout="1s")
    daemon.start()
    with in_transaction(site.port) as client:
        daemon.signal(signal.SIGTERM)
        assert client.reply().startswith(GOODBYE) and client.at_end()
    assert ended(daemon) == 0
    assert "ended by signal" not in daemon.log()


def test_a_session_that_waits_for_the_backend_is_not_cut_by_a_drain(
    daemon: Daemon, site: Site, need_program: Callable[[str], str]
) -> None:
    with Sink(need_program("smtp-sink"), site.backend_port, site.folder.parent / f"{site.folder.name}-slow", "-w", "2"):
        daemon.start()
        with in_transaction(site.port) as client:
            client.ask(b"DATA")
            client.send(MESSAGE + b".\r\n")
            daemon.signal(signal.SIGTERM)
            daemon.logged("draining")
            assert client.reply().startswith(b"250 ")
        assert ended(daemon) == 0


def test_told_to_leave_before_it_was_ready(detached: Detached, tmp_path: Path) -> None:
    held = patched(
        tmp_path,
        "from mwall.worker.worker import Worker\n"
        "def run(self, *_):\n"
        "    self.log.process('NOTICE', 'waits for a word')\n"
        "    self._control.recv(1)\n"
        "Worker.run = run",
    )
    typed = detached.open(prefix=held)
    detached.logged("waits for a word")
    os.kill(detached.pid, signal.SIGTERM)
    assert typed.wait(20) == os.EX_UNAVAILABLE
    assert "messagewall: told to leave before the workers were ready" in detached.log()
    assert not detached.pid


# Restart


def test_restart_during_a_drain(detached: Detached, sink: Sink, site: Site) -> None:
    assert detached.launch() == 0
    old = detached.pid
    with in_transaction(site.port) as client:
        os.kill(old, signal.SIGTERM)
        assert detached.launch() == 0
        new = detached.pid
        assert new not in (0, old) and lives(old)
        with Client(site.port) as another:
            assert another.message(MESSAGE).startswith(b"250")
        client.ask(b"DATA")
        client.send(MESSAGE + b".\r\n")
        assert client.reply().startswith(b"250 ")
        assert client.ask(b"QUIT").startswith(b"221")
    until(lambda: not lives(old), "the old master's end")
    # The file is the new one's: the old one's end leaves it alone.
    assert detached.pid == new and lives(new)
    assert "taken by" not in detached.log() and "already running" not in detached.log()
    assert len(sink.messages()) == 2


# Deaths


def test_when_the_master_is_killed_all_die(daemon: Daemon, site: Site) -> None:
    site.write(log_to="syslog")  # so that there is a log process
    daemon.process = subprocess.Popen(daemon.command("-f"), cwd=PROJECT, stdin=subprocess.DEVNULL)
    master = psutil.Process(daemon.process.pid)
    children = until(lambda: len(master.children()) == 3 and master.children(), "the workers and the log process")
    until(lambda: all(is_fenced(child) for child in children), "each to be tied to its parent")
    master.kill()
    ended(daemon)
    until(lambda: not any(lives(child.pid) for child in children), "their end")
    assert refuses(site.port)


def is_fenced(process: psutil.Process) -> bool:
    """Whether its own system call filter stands, the last of the fence; /proc does not show PDEATHSIG, the first."""
    filters = re.search(r"Seccomp_filters:\t(\d+)", Path(f"/proc/{process.pid}/status").read_text())
    assert filters is not None
    return int(filters[1]) == (1 if process.cmdline()[0] == "messagewall: log" else 2)


def test_a_killed_worker_is_replaced(daemon: Daemon, sink: Sink, site: Site) -> None:
    daemon.start()
    victim, other = daemon.workers()
    victim.kill()
    line = daemon.logged("ended by signal 9: replaced")
    assert "{master} PROCESS/ERROR: worker " in line
    until(lambda: len(daemon.workers()) == 2 and victim not in daemon.workers(), "another worker", 2.0)
    assert other in daemon.workers()
    with Client(site.port) as client:
        assert client.message(MESSAGE).startswith(b"250")


def test_a_worker_that_stands_still_is_killed_and_replaced(daemon: Daemon, sink: Sink, tmp_path: Path) -> None:
    impatient = "import mwall.master.supervise as supervise\nassert supervise._STUCK == 30.0\nsupervise._STUCK = 3.0"
    daemon.start(prefix=patched(tmp_path, impatient))
    victim, other = daemon.workers()
    victim.send_signal(signal.SIGSTOP)
    daemon.logged(r"worker \d stands still: killed, to be replaced")
    until(lambda: len(daemon.workers()) == 2 and victim not in daemon.workers(), "another worker")
    assert other in daemon.workers()
    assert daemon.log().count("stands still") == 1


# The init script


class Init:
    """init/messagewall.init with its three names set to the test's own, as /etc/default/messagewall could."""

    def __init__(self, detached: Detached, folder: Path) -> None:
        command = folder / "messagewall"
        words = " ".join(detached.command()[:3])
        command.write_text(f'#!/bin/sh\ncd {PROJECT} && exec {words} "$@"\n')
        command.chmod(0o755)
        defaults = folder / "defaults"
        defaults.write_text(f"DAEMON={command}\nCONFIGURATION={detached.site.file}\nPIDFILE={detached.pid_file}\n")
        text = (PROJECT / "init" / "messagewall.init").read_text()
        assert text.count("/etc/default/messagewall") == 2
        self._script = folder / "messagewall.init"
        self._script.write_text(text.replace("/etc/default/messagewall", str(defaults)))
        self._script.chmod(0o755)
        self._log = detached.log_file
        self._command = command

    def __call__(self, *words: str) -> int:
        with self._log.open("ab") as log:
            return subprocess.run([str(self._script), *words], stdout=log, stderr=log, timeout=60).returncode

    def uninstall(self) -> None:
        """Takes the command away."""
        self._command.unlink()


@pytest.fixture
def init(detached: Detached, tmp_path: Path, need_program: Callable[[str], str]) -> Init:
    need_program("flock")
    if not Path("/lib/lsb/init-functions").exists():
        pytest.skip("no LSB init functions here")
    return Init(detached, tmp_path)


def test_init_script_start_status_stop(init: Init, detached: Detached, site: Site) -> None:
    assert init("status") == 3
    assert init("stop") == 0
    assert init("start") == 0
    with Client(site.port) as client:
        assert client.greeting
    first = detached.pid
    assert init("status") == 0
    assert init("start") == 0 and detached.pid == first
    assert init("stop") == 0
    assert not lives(first) and refuses(site.port)
    assert init("status") == 3


def test_init_script_restart_leaves_sessions_to_finish(
    init: Init, detached: Detached, sink: Sink, site: Site
) -> None:
    assert init("restart") == 0
    first = detached.pid
    detached.known.append(first)
    with in_transaction(site.port) as client:
        assert init("restart") == 0
        second = detached.pid
        assert second not in (0, first) and lives(first)
        assert client.ask(b"RSET").startswith((b"250", b"421"))
    until(lambda: not lives(first), "the end of the first")
    assert init("status") == 0 and detached.pid == second
    # With faults in the configuration the running daemon is left alone.
    site.write(max_clients="none")
    assert init("restart") == 6
    assert detached.pid == second and lives(second)


def test_init_script_reload(init: Init, detached: Detached, site: Site) -> None:
    assert init("reload") == 7
    assert init("start") == 0
    assert init("reload") == 0
    detached.logged("reloaded")
    site.write(max_clients="none")
    assert init("force-reload") == 6
    assert re.search(r"messagewall\.conf:\d+: max_clients: ", detached.log())
    assert init("status") == 0


def test_init_script_after_a_kill(init: Init, detached: Detached) -> None:
    assert init("start") == 0
    killed = detached.pid
    os.kill(killed, signal.SIGKILL)
    until(lambda: init("status") == 1, "status 1: dead, and its pid file left")
    assert init("start") == 0 and detached.pid != killed


def test_init_script_tells_what_is_missing(init: Init, site: Site) -> None:
    assert init("dance") == 2
    site.write(user="mwtest7")
    assert init("start") == 1
    init.uninstall()
    assert init("start") == 5
    assert init("status") == 3
