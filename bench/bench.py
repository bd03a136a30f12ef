"""MessageWall beside HAProxy in TCP mode, a sink alone and rspamd, in interleaved rounds. As root: bench/run --help.

A round loads every peer once, in a new random order; a figure is the median over the rounds of the ratio to HAProxy
in the same round. README.md says how to read it.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, TypeAlias

from checks import ChecksRun, checks_table, run_checks
from client import KINDS, Idle, LatencyRun, run_latency
from content import Content, content_table
from demands import Results, demand_table
from dns import CASES as DNS_CASES
from dns import Dns, MemoryRun, RcptRun, dns_load_table, memory_table, rcpt_table
from harness import PEERS, Command, DidNotStart, Peer, added, local_ports, machine, raise_descriptor_limit
from load import LOADS, SESSIONS, LoadRun, messages_for, run_load
from messages import MESSAGES
from report import IdleRun, idle_table, latency_table, load_table
from resolving import QueryRun, query_table, run_queries
from stalls import StallRun, run_stalls, stall_table

IDLE_LEVELS = (1000, 9000)
CASES = (*LOADS, "latency", "idle", "content", "checks", "stalls", "dns")

Row: TypeAlias = LoadRun | LatencyRun | IdleRun | ChecksRun | StallRun | QueryRun | RcptRun | MemoryRun


class Bench:
    """The peers, what was measured, and where it is written."""

    def __init__(self, commands: dict[str, Command | None], rounds: int, seconds: float, raw: IO[str] | None) -> None:
        self._commands, self._rounds, self._seconds, self._raw = commands, rounds, seconds, raw
        self._base = Path(tempfile.mkdtemp(prefix="mwall-bench-"))
        self._base.chmod(0o755)  # the jailed user has to reach the folder below
        self._peers: list[Peer] = []
        self.results = Results()

    def start(self) -> None:
        """The peers of the loads and of latency, unless they run. Raises DidNotStart."""
        if self._peers:
            return
        for name, command in self._commands.items():
            self._peers.append(Peer(name, command, self._base))

    def stop(self) -> None:
        """All peers, and their work folders."""
        self.stop_peers()
        shutil.rmtree(self._base, ignore_errors=True)

    def stop_peers(self) -> None:
        """What start() started."""
        while self._peers:
            self._peers.pop().stop()

    def _write(self, row: Row) -> None:
        if self._raw:
            self._raw.write(json.dumps({"what": type(row).__name__, **asdict(row)}) + "\n")
            self._raw.flush()

    def _interleaved(self, names: list[str], do: Callable[[str, int], None]) -> None:
        for number in range(self._rounds):
            for name in random.sample(names, len(names)):
                do(name, number)

    def loads(self, case: str) -> list[str]:
        """One load case; its table."""
        self.start()
        peers, load = {peer.name: peer for peer in self._peers}, LOADS[case]
        messages = {}
        for name, peer in peers.items():

            def warm(number: int, peer: Peer = peer) -> LoadRun:
                return run_load(peer, case, load, number, -1)

            messages[name] = messages_for(warm, SESSIONS, self._seconds)
        runs: list[LoadRun] = []

        def do(name: str, number: int) -> None:
            runs.append(run_load(peers[name], case, load, messages[name], number))
            self._write(runs[-1])

        self._interleaved(list(peers), do)
        self.results.loads += runs
        return load_table(case, sorted(runs, key=lambda run: list(peers).index(run.peer)))

    def latencies(self) -> list[str]:
        """All kinds of latency; their tables."""
        self.start()
        ports = {peer.name: peer.port for peer in self._peers}
        lines: list[str] = []
        for case in KINDS:
            runs: list[LatencyRun] = []

            def do(name: str, number: int, case: str = case, runs: list[LatencyRun] = runs) -> None:
                runs.append(run_latency(name, ports[name], case, number))
                self._write(runs[-1])

            self._interleaved(list(ports), do)
            self.results.latencies += runs
            lines += latency_table(case, sorted(runs, key=lambda run: list(ports).index(run.peer)))
        return lines

    def idles(self) -> list[str]:
        """Idle clients; each run has a peer freshly started, whose memory no load has stretched before."""
        names = [name for name, command in self._commands.items() if command]
        runs: list[IdleRun] = []

        def do(name: str, number: int) -> None:
            peer = Peer(name, self._commands[name], self._base)
            try:
                time.sleep(1.0)
                none = peer.pss_mib()
                for clients in IDLE_LEVELS:
                    runs.append(_sit(peer, number, clients, none))
                    self._write(runs[-1])
                    time.sleep(1.0)
            finally:
                peer.stop()

        self._interleaved(names, do)
        self.results.idles += runs
        return idle_table(sorted(runs, key=lambda run: names.index(run.peer)))

    def contents(self) -> list[str]:
        """The three messages; their tables."""
        self.stop_peers()
        content = Content(self._base)
        try:
            peers = {peer.name: peer for peer in content.peers}
            loads = content.loads(self._seconds)
            lines: list[str] = []
            for case in MESSAGES:
                runs: list[LoadRun] = []

                def do(name: str, number: int, case: str = case, runs: list[LoadRun] = runs) -> None:
                    runs.append(peers[name].run(case, *loads[case, name], number))
                    self._write(runs[-1])

                self._interleaved(list(peers), do)
                self.results.loads += runs
                lines += content_table(case, sorted(runs, key=lambda run: list(peers).index(run.peer)), content.missing)
            return lines
        finally:
            content.stop()

    def checks(self) -> list[str]:
        """Judging alone; its table."""
        self.results.checks = run_checks()
        for run in self.results.checks:
            self._write(run)
        return checks_table(self.results.checks)

    def stalls(self) -> list[str]:
        """Hostile messages; their table."""
        self.stop_peers()
        self.results.stalls = run_stalls(self._base, self._write)
        return stall_table(self.results.stalls)

    def dns(self) -> list[str]:
        """Lists of client addresses; the tables of one query, of load, of RCPT and of memory."""
        self.stop_peers()
        self.results.queries = [run_queries()]
        dns = Dns(self._base)
        try:
            runs: list[LoadRun] = []
            for case in DNS_CASES:
                messages = {name: dns.messages(case, name, self._seconds) for name in dns.peers}

                def do(name: str, number: int, case: str = case, messages: dict[str, int] = messages) -> None:
                    runs.append(dns.load(case, name, messages[name], number))
                    self._write(runs[-1])

                self._interleaved(list(dns.peers), do)
            self.results.loads += runs
            rcpts, memory = dns.rcpts(self._rounds, self._seconds), dns.memory()
            self.results.rcpts, self.results.memories = rcpts, [memory]
            for run in (*self.results.queries, *rcpts, memory):
                self._write(run)
            lines = query_table(self.results.queries[0]) + dns_load_table(runs)
            return [*lines, *rcpt_table(rcpts), *memory_table(memory)]
        finally:
            dns.stop()

    def case(self, case: str) -> list[str]:
        """Any of CASES; its tables."""
        others = {
            "latency": self.latencies,
            "idle": self.idles,
            "content": self.contents,
            "checks": self.checks,
            "stalls": self.stalls,
            "dns": self.dns,
        }
        return others[case]() if case in others else self.loads(case)


def _sit(peer: Peer, number: int, clients: int, none: float) -> IdleRun:
    began = time.perf_counter()
    idle = Idle(peer.port, clients)
    seconds = time.perf_counter() - began
    try:
        time.sleep(0.5)
        over_none = peer.pss_mib() - none
        dead = idle.dead()
    finally:
        idle.close()
    return IdleRun(peer.name, number, clients, idle.held, idle.refused, idle.silent, dead, none, over_none, seconds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description="Measures messagewall beside HAProxy and a sink.")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds of every case (default 5)")
    parser.add_argument("--seconds", type=float, default=1.5, help="about how long one load takes (default 1.5)")
    parser.add_argument("--only", action="append", choices=CASES, metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--peers", default=",".join(PEERS), help="names with commas (default %(default)s)")
    parser.add_argument(
        "--add",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="one more peer; {port}, {sink}, {work} are put in, and it has to stay in the foreground",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="every run as a line of JSON, appended")
    return parser.parse_args()


def _commands(arguments: argparse.Namespace) -> dict[str, Command | None]:
    commands = {name: PEERS[name] for name in PEERS if name in arguments.peers.split(",")}
    for addition in arguments.add:
        name, _, template = addition.partition("=")
        commands[name] = added(template)
    return commands


def _run(bench: Bench, cases: list[str]) -> bool:
    """Prints a table after each case; whether no demand is short."""
    for case in cases:
        print("\n".join(bench.case(case)), flush=True)
    lines, good = demand_table(bench.results)
    print("\n".join(lines), flush=True)
    return good


def main() -> int:
    """0: measured and no demand short; 1: one is short; 69: a peer did not start; 77: not root."""
    arguments = _arguments()
    if os.geteuid() != 0:
        print("bench/run has to be root: messagewall is measured in its jail", file=sys.stderr)
        return 77
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    descriptors, ports = raise_descriptor_limit(), local_ports()
    print("\n".join(machine()))
    if descriptors < 2 * max(IDLE_LEVELS) + 1000 or ports < 2 * max(IDLE_LEVELS):
        print(f"{descriptors} descriptors, {ports} local ports: too few for {max(IDLE_LEVELS)} idle clients of HAProxy")
    raw = arguments.out.open("a") if arguments.out else None
    bench = Bench(_commands(arguments), arguments.rounds, arguments.seconds, raw)
    try:
        return 0 if _run(bench, arguments.only or list(CASES)) else 1
    except DidNotStart as error:
        print(error, file=sys.stderr)
        return 69
    finally:
        bench.stop()
        if raw:
            raw.close()


if __name__ == "__main__":
    sys.exit(main())
