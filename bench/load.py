"""Loads by smtp-source: messages/s until the sink has them all, CPU seconds, messages lost and doubled."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from harness import HOST, Peer, cpu_seconds, tool

SESSIONS = 20
LIMIT_SECONDS = 60.0
MOST_MESSAGES = 20_000


class Load(NamedTuple):
    """What smtp-source sends; kept: many messages in one connection. file: the message, made up where there is none."""

    title: str
    octets: int
    kept: bool
    file: Path | None = None
    sessions: int = SESSIONS


LOADS = {
    "new-1k": Load("1 KiB, one message per connection", 1024, False),
    "new-10k": Load("10 KiB, one message per connection", 10240, False),
    "kept-1k": Load("1 KiB, many messages per connection", 1024, True),
    "kept-10k": Load("10 KiB, many messages per connection", 10240, True),
    "kept-1m": Load("1 MiB, many messages per connection (smtp-sink is the limit: only CPU counts)", 2**20, True),
}


@dataclass(frozen=True)
class LoadRun:
    """One run. per_second counts until the last message is at the sink; CPU is in seconds per 1,000 messages."""

    case: str
    peer: str
    round: int
    sent: int
    arrived: int
    per_second: float
    cpu: float
    sink_cpu: float
    failure: str

    @property
    def lost(self) -> int:
        """Messages that never came to the sink."""
        return max(0, self.sent - self.arrived)

    @property
    def doubled(self) -> int:
        """Messages the sink has over those sent."""
        return max(0, self.arrived - self.sent)


def _smtp_source(peer: Peer, load: Load, messages: int) -> str:
    """Runs smtp-source; why it failed, or an empty text."""
    command = [tool("smtp-source"), "-4", "-C", "5", "-s", str(load.sessions), "-m", str(messages)]
    command += ["-F", str(load.file)] if load.file else ["-l", str(load.octets)]
    command += ["-M", "client.example", "-f", "a@example.org", "-t", "b@example.org"]
    command += ["-d"] if load.kept else []
    try:
        done = subprocess.run(
            [*command, f"{HOST}:{peer.port}"], capture_output=True, timeout=LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"smtp-source took over {LIMIT_SECONDS:.0f} s"
    return done.stderr.decode(errors="replace").strip()[-160:] if done.returncode else ""


def run_load(peer: Peer, case: str, load: Load, messages: int, number: int) -> LoadRun:
    """One load of one peer; returns when the sink has every message, or soon after smtp-source has failed."""
    before, cpu, sink_cpu = peer.sink.arrived(), peer.cpu_seconds(), cpu_seconds(peer.sink.process.pid)
    began = time.perf_counter()
    failure = _smtp_source(peer, load, messages)
    # Whoever passes mail on inside the conversation has nothing left to deliver now; a failed run is not waited for.
    end = time.perf_counter() + (1.0 if failure else 10.0)
    while peer.sink.arrived() - before < messages and time.perf_counter() < end:
        time.sleep(0.002)
    seconds = time.perf_counter() - began
    time.sleep(0.05)  # a doubled message would come now
    arrived = peer.sink.arrived() - before
    thousands = max(arrived, 1) / 1000
    return LoadRun(
        case=case,
        peer=peer.name,
        round=number,
        sent=messages,
        arrived=arrived,
        per_second=arrived / seconds,
        cpu=(peer.cpu_seconds() - cpu) / thousands,
        sink_cpu=(cpu_seconds(peer.sink.process.pid) - sink_cpu) / thousands,
        failure=failure,
    )


def messages_for(run: Callable[[int], LoadRun], sessions: int, seconds: float) -> int:
    """How many messages, which `run` sends, take about so long. Warms the peer up on the way."""
    few = run(2 * sessions)
    more = run(min(400, max(2 * sessions, int(few.per_second * 0.3))))
    return min(MOST_MESSAGES, max(3 * sessions, int(more.per_second * seconds)))
