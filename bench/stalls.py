"""Hostile and huge messages, one after another, through the only worker of a daemon that has a second client as well.

The second client says NOOP every few milliseconds in its own connection: the longest it waits for a reply is how long
the worker served nobody else. `its CPU` is what the worker computed in such a wait, so that others who use the cores
do not count.
"""

import multiprocessing
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
from harness import HOST, DidNotStart, Peer, messagewall_with, tree
from hostile import HOSTILE, Hostile

MAX_MESSAGE_SIZE = 50 * 2**20
BOUND_MIB = (2 * MAX_MESSAGE_SIZE + 8 * 2**20) / 2**20
_WIDTHS = {"later peak": 11}
_HONEST = b"From: A <a@example.org>\r\nTo: <b@example.org>\r\n\r\nhello\r\n"
_PAUSE = 0.003
_REPLY_SECONDS = 120.0
_MORE_RULES = r"""
body_regex="0.25,(?i)earn [$][0-9,]+ (a|per) (day|week|month)"
body_regex="0.25,(?i)\b[a-z0-9]{30,}@[a-z0-9.-]+\.(top|xyz|icu)\b"
body_regex="0.25,(?i)(dear|beloved) (friend|customer|winner)"
body_regex="0.25,https?://[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+/"
"""


@dataclass(frozen=True)
class StallRun:
    """One message. Waits in milliseconds; memory in MiB over the idle worker's: its peak, and what was left after.

    before: how many hostile messages the worker has had before."""

    name: str
    before: int
    octets: int
    bomb: bool
    reply: str
    cpu: float
    wait: float
    wait_cpu: float
    noops: int
    peak: float
    left: float


def _worker_cpu(pid: int) -> float:
    """Seconds that the process has computed, finer than the clock ticks of stat."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _status_mib(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _worker_of(peer: Peer) -> int:
    assert peer.pid is not None
    for process in tree(peer.pid):
        with suppress(psutil.Error):
            if "worker" in " ".join(process.cmdline()):
                return process.pid
    raise DidNotStart("messagewall has no worker")


class _Client:
    """A plain blocking client, greeted."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=_REPLY_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self._socket.makefile("rb")
        self.reply()

    def reply(self) -> str:
        """The next reply's last line; a failure in words where there is none."""
        line = b"-----"
        try:
            while line[3:4] == b"-":
                line = self._replies.readline()
        except OSError as error:
            return f"none: {error}"
        return line.decode("ascii", "replace").strip() or "none: closed"

    def say(self, command: bytes) -> str:
        """The reply to a command, or to anything else that is answered."""
        with suppress(OSError):  # the reply tells why they hung up
            self._socket.sendall(command)
        return self.reply()

    def close(self) -> None:
        """Hangs up."""
        self._replies.close()
        self._socket.close()


def _send(port: int, message: bytes) -> str:
    """One message in a connection of its own; the final reply."""
    client = _Client(port)
    try:
        for command in (b"EHLO client.example", b"MAIL FROM:<a@example.org>", b"RCPT TO:<b@example.org>", b"DATA"):
            reply = client.say(command + b"\r\n")
            if reply[:1] not in "23":
                return reply
        return client.say(message + b".\r\n")
    finally:
        client.close()


def _probe(port: int, worker: int, order: Connection) -> None:
    """Says NOOP until told to end; at any word, tells the longest waits since the last: wall, CPU, how many."""
    client = _Client(port)
    longest, longest_cpu, noops = 0.0, 0.0, 0
    while True:
        if order.poll(_PAUSE):
            if not order.recv():
                break
            order.send((longest * 1000, longest_cpu * 1000, noops))
            longest, longest_cpu, noops = 0.0, 0.0, 0
        cpu, begun = _worker_cpu(worker), time.perf_counter()
        if not client.say(b"NOOP\r\n").startswith("250"):
            break
        longest = max(longest, time.perf_counter() - begun)
        longest_cpu = max(longest_cpu, _worker_cpu(worker) - cpu)
        noops += 1
    client.close()


class _Watch:
    """The second client, in a process of its own."""

    def __init__(self, port: int, worker: int) -> None:
        self._order, other = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=_probe, args=(port, worker, other), daemon=True)
        self._process.start()
        other.close()

    def longest(self) -> tuple[float, float, int]:
        """The longest waits since this was last asked, and how many there were."""
        try:
            self._order.send(True)
            waits: tuple[float, float, int] = self._order.recv()
            return waits
        except (EOFError, OSError):
            raise DidNotStart("the second client got no reply to NOOP") from None

    def stop(self) -> None:
        """Ends it."""
        with suppress(OSError):
            self._order.send(False)
        self._process.join(5)
        self._process.kill()


class _Daemon:
    """messagewall with one worker and both clients' means. Raises DidNotStart."""

    def __init__(self, base: Path) -> None:
        variables = {"processes": 1, "max_message_size": "50M", "max_memory": "512M"}
        self._peer = Peer("stalls", messagewall_with("Medium", _MORE_RULES, variables), base)
        self._before = 0
        try:
            self._worker = _worker_of(self._peer)
            _send(self._peer.port, _HONEST)
            time.sleep(0.5)
            self._idle = _status_mib(self._worker, "VmRSS")
            self._watch = _Watch(self._peer.port, self._worker)
        except BaseException:
            self._peer.stop()
            raise

    def run(self, hostile: Hostile) -> StallRun:
        """One message. Raises DidNotStart where the worker does not outlive it."""
        message = hostile.make()
        try:
            return self._measured(hostile, message)
        except OSError as error:
            raise DidNotStart(f"messagewall after {hostile.name}: {error}\n{self._peer.last_output()}") from None

    def _measured(self, hostile: Hostile, message: bytes) -> StallRun:
        worker = self._worker
        Path(f"/proc/{worker}/clear_refs").write_text("5")
        self._watch.longest()
        cpu = _worker_cpu(worker)
        for _ in range(hostile.times):
            reply = _send(self._peer.port, message)
        time.sleep(0.3)  # what is cleared away after the reply is part of it
        cpu = _worker_cpu(worker) - cpu
        wait, wait_cpu, noops = self._watch.longest()
        peak, left = _status_mib(worker, "VmHWM") - self._idle, _status_mib(worker, "VmRSS") - self._idle
        before, self._before = self._before, self._before + 1
        return StallRun(hostile.name, before, len(message), hostile.bomb, reply, cpu, wait, wait_cpu, noops, peak, left)

    def stop(self) -> None:
        """Ends all of it."""
        self._watch.stop()
        self._peer.stop()


def run_stalls(base: Path, done: Callable[[StallRun], None]) -> list[StallRun]:
    """Each hostile message to a fresh worker; then all of them, twice, to one. Raises DidNotStart."""
    runs = []
    for sequence in [*((hostile,) for hostile in HOSTILE), HOSTILE * 2]:
        daemon = _Daemon(base)
        try:
            for hostile in sequence:
                runs.append(daemon.run(hostile))
                done(runs[-1])
        finally:
            daemon.stop()
    return runs


def stall_table(runs: list[StallRun]) -> list[str]:
    """A line for each message: to a worker that is fresh, and its worst in the sequence."""
    heads = ("MB", "CPU s", "wait ms", "its CPU", "NOOPs", "MiB peak", "MiB left", "later peak", "left")
    lines = [
        f"\nHostile messages, one worker, Medium and four body_regex; bound of memory over idle {BOUND_MIB:.0f} MiB",
        f"{'':28}" + "".join(f"{head:>{_WIDTHS.get(head, 9)}}" for head in heads) + "  reply",
    ]
    for hostile in HOSTILE:
        mine = [run for run in runs if run.name == hostile.name]
        numbers = f"{mine[0].octets / 1e6:9.1f}{max(run.cpu for run in mine):9.2f}{max(run.wait for run in mine):9.0f}"
        numbers += f"{max(run.wait_cpu for run in mine):9.0f}{min(run.noops for run in mine):9}"
        numbers += f"{mine[0].peak:9.1f}{mine[0].left:9.1f}"
        numbers += f"{max(run.peak for run in mine[1:]):11.1f}{max(run.left for run in mine[1:]):9.1f}"
        replies = " / ".join(dict.fromkeys(run.reply[:44] for run in mine))
        lines.append(f"{hostile.name:28}{numbers}  {replies}")
    return lines
