"""The case dns: five lists of client addresses asked for each message, from more addresses than a machine has.

All of it (daemon, sink, name server, clients) runs in a network namespace of its own in which every address of
10.0.0.0/8 is local, so that a client can be any of them. It ends with its last process; nothing outside is changed.
"""

import ctypes
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import psutil
from client import percentile
from harness import HERE, HOST, PROJECT, DidNotStart, Peer, cpu_seconds, free_port, messagewall_with, stop, tool, tree
from load import LoadRun, messages_for
from report import OURS_NONE, cell, median, ratio

sys.path.append(str(PROJECT))
from tests.dns_peers import List, Rbldnsd, answers

WITH_DNS = "messagewall-DNS"
CASES = {"uncached": "each message from a new address", "cached": "20 addresses"}
ADDRESSES = 100_000
RCPT_BOUND_MS = 100.0
DELAY_MS = 50
_ZONES = tuple(f"list{number}.example" for number in range(1, 6))
# None of the clients can be refused, but RCPT has to wait for what may still come; one /16 in two is on one list.
_PROFILE = '\nreject_score="1"\n' + "".join(f'dnsbl="0.4,{zone}"\n' for zone in _ZONES)
_LISTED = "127.0.0.2\n" + "".join(f"10.{number}.0.0/16\n" for number in range(0, 256, 2))
_SESSIONS = 20
_RATE = 100.0  # clients a second for RCPT
_CLONE_NEWNET = 0x40000000
_MESSAGE = (
    b"From: <a@example.org>\r\nTo: <b@example.org>\r\nSubject: test\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    b"Message-Id: <1@example.org>\r\n\r\n" + b"The quick brown fox jumps over the lazy dog, again.\r\n" * 18 + b".\r\n"
)
# What is awaited, and what is said then.
_WHOLE = (
    (b"220", b"EHLO client.example\r\n"),
    (b"250", b"MAIL FROM:<a@example.org>\r\n"),
    (b"250", b"RCPT TO:<b@example.org>\r\n"),
    (b"250", b"DATA\r\n"),
    (b"354", _MESSAGE),
    (b"250", b"QUIT\r\n"),
    (b"221", b""),
)
_RCPT_ANSWERED = 3  # the step whose reply is RCPT's
# The look-ups of a client begin when it connects.
_GREETED = ((b"220", b"EHLO client.example\r\n"), (b"250", b"QUIT\r\n"), (b"221", b""))


@dataclass(frozen=True)
class RcptRun:
    """From RCPT to its reply, milliseconds, while every DNS answer takes DELAY_MS."""

    round: int
    sent: int
    p50: float
    p99: float
    longest: float
    errors: int
    first_error: str


@dataclass(frozen=True)
class MemoryRun:
    """PSS of the whole tree and of the largest worker alone, MiB, before and after so many clients; DNS queries."""

    addresses: int
    queries: int
    before: float
    after: float
    worker_before: float
    worker_after: float
    errors: int


@contextmanager
def _namespace() -> Iterator[None]:
    """A network of our own for us and all that we start in it. Raises DidNotStart."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net", "rb") as outside:
        if libc.unshare(_CLONE_NEWNET):
            raise DidNotStart(f"no network namespace: {os.strerror(ctypes.get_errno())}")
        try:
            for words in ("link set lo up", "route add local 10.0.0.0/8 dev lo"):
                subprocess.run([tool("ip"), *words.split()], check=True)
            yield
        except subprocess.CalledProcessError as error:
            raise DidNotStart(str(error)) from None
        finally:
            libc.setns(outside.fileno(), _CLONE_NEWNET)


def _addresses() -> Iterator[str]:
    """Addresses that no client has had, one /16 after the other in turn, as lists have both kinds."""
    for low in range(1, 65536):
        for network in range(1, 255):
            yield f"10.{network}.{low >> 8}.{low & 255}"


# Clients


class _Connection:
    __slots__ = ("reply", "said", "socket", "step")

    def __init__(self, source: str, port: int) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: connect() picks it
        self.socket.bind((source, 0))
        self.socket.setblocking(False)
        self.socket.connect_ex((HOST, port))
        self.reply, self.step, self.said = b"", 0, 0.0


class _Clients:
    """Clients, each from the next of the sources: at_once of them, or `rate` a second whatever the server does."""

    def __init__(
        self, port: int, dialogue: Sequence[tuple[bytes, bytes]], sources: Iterator[str], count: int,
        at_once: int = _SESSIONS, rate: float = 0.0, limit_seconds: float = 60.0,
    ) -> None:  # fmt: skip
        self._port, self._dialogue, self._sources = port, dialogue, islice(sources, count)
        self._at_once, self._rate, self._limit_seconds = at_once, rate, limit_seconds
        self._open: dict[int, _Connection] = {}
        self._epoll = select.epoll()
        self.waits: list[float] = []  # for RCPT, seconds
        self.errors: list[str] = []

    def run(self) -> None:
        begun = time.perf_counter()
        end, number, more = begun + self._limit_seconds, 0, True
        while more or self._open:
            now = time.perf_counter()
            if now > end:
                self.errors.append(f"not done after {self._limit_seconds:.0f} s")
                break
            pause = 1.0
            while more and len(self._open) < self._at_once:
                if self._rate and begun + number / self._rate > now:
                    pause = begun + number / self._rate - now
                    break
                source = next(self._sources, None)
                more = source is not None
                if source is not None:
                    number += 1
                    connection = _Connection(source, self._port)
                    self._open[connection.socket.fileno()] = connection
                    self._epoll.register(connection.socket.fileno(), select.EPOLLIN)
            if more or self._open:
                for descriptor, _ in self._epoll.poll(pause):
                    self._handle(self._open[descriptor])
        for connection in list(self._open.values()):
            self._close(connection)
        self._epoll.close()

    def _handle(self, connection: _Connection) -> None:
        try:
            octets = connection.socket.recv(65536)
            if not octets:
                raise ConnectionError(f"closed at step {connection.step}")
            connection.reply += octets
            last = connection.reply.rstrip(b"\r\n").rsplit(b"\n", 1)[-1]
            if not connection.reply.endswith(b"\n") or last[3:4] == b"-":
                return
            self._go_on(connection, last)
        except BlockingIOError:
            pass
        except OSError as error:
            if connection.step <= len(self._dialogue) - 2:
                self.errors.append(str(error))
            self._close(connection)

    def _go_on(self, connection: _Connection, last: bytes) -> None:
        step = connection.step
        awaited, say = self._dialogue[step]
        if not last.startswith(awaited):
            raise ConnectionError(f"step {step}: {last[:80]!r}")
        if step == _RCPT_ANSWERED:
            self.waits.append(time.perf_counter() - connection.said)
        connection.reply, connection.step, connection.said = b"", step + 1, time.perf_counter()
        if say:
            connection.socket.sendall(say)
        else:
            self._close(connection)

    def _close(self, connection: _Connection) -> None:
        del self._open[connection.socket.fileno()]
        connection.socket.close()


# What runs


@contextmanager
def _slow_server() -> Iterator[int]:
    """slow_dns.py; its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(HERE / "slow_dns.py"), str(port), str(DELAY_MS)])
    try:
        end = time.monotonic() + 10
        while not answers(port, "invalid", 1.0):
            if process.poll() is not None or time.monotonic() > end:
                raise DidNotStart("slow_dns.py gives no answer")
        yield port
    finally:
        stop(process)


def _queries(peer: Peer) -> int:
    """DNS queries of all workers until now, as SIGUSR1 makes the daemon tell."""
    assert peer.pid is not None
    log = peer.work / "log"
    asked = len(re.findall(r"COUNTERS.* dns_queries=", log.read_text()))
    os.kill(peer.pid, signal.SIGUSR1)
    end = time.monotonic() + 5
    while time.monotonic() < end:
        told = re.findall(r"COUNTERS.* dns_queries=(\d+)", log.read_text())
        if len(told) > asked:
            return int(told[-1])
        time.sleep(0.05)
    raise DidNotStart("messagewall tells no COUNTERS")


def _largest_worker_mib(peer: Peer) -> float:
    assert peer.pid is not None
    sizes = [0.0]
    for process in tree(peer.pid):
        with suppress(psutil.Error):
            if "worker" in " ".join(process.cmdline()):
                sizes.append(process.memory_full_info().uss / 2**20)
    return max(sizes)


class Dns:
    """The namespace, rbldnsd, and two messagewalls: without lists, and with five. Raises DidNotStart."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._stack = ExitStack()
        self._fresh = _addresses()
        self.peers: dict[str, Peer] = {}
        try:
            self._stack.enter_context(_namespace())
            lists = [List(zone, "ip4trie", _LISTED if zone == _ZONES[0] else "127.0.0.2\n") for zone in _ZONES]
            rbldnsd = Rbldnsd(tool("rbldnsd"), free_port(), base / f"rbldnsd-{free_port()}", lists)
            self._lists = self._stack.enter_context(rbldnsd).port
            self.peers[OURS_NONE] = self._start(OURS_NONE, 0)
            self.peers[WITH_DNS] = self._start(WITH_DNS, self._lists)
        except BaseException:
            self.stop()
            raise

    def _start(self, name: str, name_server: int, stack: ExitStack | None = None) -> Peer:
        with_lists = messagewall_with("None", _PROFILE, {"nameservers": f"{HOST}:{name_server}"})
        peer = Peer(name, with_lists if name_server else messagewall_with("None"), self._base)
        (stack or self._stack).callback(peer.stop)
        return peer

    def messages(self, case: str, name: str, seconds: float) -> int:
        """How many messages take about so long."""
        return messages_for(lambda messages: self.load(case, name, messages, -1), _SESSIONS, seconds)

    def load(self, case: str, name: str, messages: int, number: int) -> LoadRun:
        """One load of one peer."""
        peer = self.peers[name]
        sources = self._fresh if case == "uncached" else cycle([f"10.255.0.{host}" for host in range(1, 21)])
        before, cpu, sink_cpu = peer.sink.arrived(), peer.cpu_seconds(), cpu_seconds(peer.sink.process.pid)
        clients = _Clients(peer.port, _WHOLE, sources, messages)
        began = time.perf_counter()
        clients.run()
        end = time.perf_counter() + (1.0 if clients.errors else 10.0)
        while peer.sink.arrived() - before < messages and time.perf_counter() < end:
            time.sleep(0.002)
        seconds = time.perf_counter() - began
        time.sleep(0.05)  # a doubled message would come now
        arrived = peer.sink.arrived() - before
        thousands = max(arrived, 1) / 1000
        return LoadRun(
            case=f"dns-{case}",
            peer=name,
            round=number,
            sent=messages,
            arrived=arrived,
            per_second=arrived / seconds,
            cpu=(peer.cpu_seconds() - cpu) / thousands,
            sink_cpu=(cpu_seconds(peer.sink.process.pid) - sink_cpu) / thousands,
            failure=clients.errors[0] if clients.errors else "",
        )

    def rcpts(self, rounds: int, seconds: float) -> list[RcptRun]:
        """How long RCPT waits where every answer is slow."""
        runs = []
        with ExitStack() as stack:
            peer = self._start("messagewall-slow-DNS", stack.enter_context(_slow_server()), stack)
            for number in range(rounds):
                clients = _Clients(peer.port, _WHOLE, self._fresh, int(_RATE * seconds) + 1, 1000, _RATE)
                clients.run()
                waits = [wait * 1000 for wait in clients.waits]
                runs.append(RcptRun(
                    round=number,
                    sent=len(waits),
                    p50=percentile(waits, 0.5),
                    p99=percentile(waits, 0.99),
                    longest=max(waits, default=float("nan")),
                    errors=len(clients.errors),
                    first_error=clients.errors[0] if clients.errors else "",
                ))  # fmt: skip
        return runs

    def memory(self) -> MemoryRun:
        """What a daemon keeps of many clients."""
        with ExitStack() as stack:
            peer = self._start("messagewall-memory", self._lists, stack)
            _Clients(peer.port, _GREETED, self._fresh, 500).run()
            time.sleep(1.0)
            before, worker_before, queries = peer.pss_mib(), _largest_worker_mib(peer), _queries(peer)
            clients = _Clients(peer.port, _GREETED, self._fresh, ADDRESSES, limit_seconds=300)
            clients.run()
            time.sleep(1.0)
            return MemoryRun(
                ADDRESSES, _queries(peer) - queries, before, peer.pss_mib(), worker_before, _largest_worker_mib(peer),
                len(clients.errors),
            )  # fmt: skip

    def stop(self) -> None:
        """Ends all of it."""
        self._stack.close()


# Tables


def dns_load_table(runs: Sequence[LoadRun]) -> list[str]:
    """Both cases, with lists and without."""
    heads = ("msg/s", "x None", "CPU-s/1k", "x None", "sink CPU", "lost", "doubled")
    rounds = len({run.round for run in runs})
    lines = [f"\nDNS, {len(_ZONES)} lists by rbldnsd, 1 KiB, one message per connection: median of {rounds} rounds"]
    lines += [f"{'':27}" + "".join(f"{head:>10}" for head in heads)]
    for case in CASES:
        those = [run for run in runs if run.case == f"dns-{case}"]
        for peer in (OURS_NONE, WITH_DNS):
            mine = [run for run in those if run.peer == peer]
            cells = [
                cell(median(run.per_second for run in mine), ".0f"),
                cell(ratio(those, peer, OURS_NONE, lambda run: run.per_second), ".2f"),
                cell(median(run.cpu for run in mine), ".3f"),
                cell(ratio(those, peer, OURS_NONE, lambda run: run.cpu), ".2f"),
                cell(median(run.sink_cpu for run in mine), ".3f"),
                cell(sum(run.lost for run in mine), ".0f"),
                cell(sum(run.doubled for run in mine), ".0f"),
            ]
            lines.append(f"{case:10}{peer:17} " + " ".join(cells))
            lines += [f"    round {run.round}: {run.failure}" for run in mine if run.failure]
    return lines


def rcpt_table(runs: Sequence[RcptRun]) -> list[str]:
    """The medians of the rounds, and the longest of all."""
    p99 = median(run.p99 for run in runs)
    word = "ok" if p99 <= RCPT_BOUND_MS else "short"
    lines = [
        f"\nRCPT to its reply, each DNS answer after {DELAY_MS} ms, {_RATE:.0f} clients a second from new addresses: "
        f"median of {len(runs)} rounds",
        f"p50 {median(run.p50 for run in runs):.1f} ms, p99 {p99:.1f} ms (at most {RCPT_BOUND_MS:.0f}: {word}), "
        f"longest of all {max(run.longest for run in runs):.1f} ms, {sum(run.errors for run in runs)} errors",
    ]
    return lines + [f"    round {run.round}: {run.first_error}" for run in runs if run.errors]


def memory_table(run: MemoryRun) -> list[str]:
    """One line."""
    return [
        f"\nMemory after {run.addresses:,} clients from as many addresses, {run.queries:,} DNS queries: "
        f"PSS of the tree {run.before:.1f} to {run.after:.1f} MiB, "
        f"the largest worker alone (USS) {run.worker_before:.1f} to {run.worker_after:.1f} MiB, {run.errors} errors"
    ]
