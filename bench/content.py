"""The content cases: CPU for three honest messages, beside no look into them, and beside another filter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import rspamd
from harness import Command, DidNotStart, Peer, haproxy, messagewall_with
from load import Load, LoadRun, messages_for, run_load
from messages import MESSAGES
from report import OURS, OURS_NONE, cell, median, peers_of, ratio

_TITLES = {
    "text-5k": "5 KiB text",
    "multipart-50k": "50 KiB multipart: text, HTML, picture",
    "attachment-5m": "5 MB attachment",
}
_SESSIONS = {"text-5k": 20, "multipart-50k": 10, "attachment-5m": 2}

_PEERS: dict[str, Command | None] = {
    "direct": None,
    "haproxy": haproxy,
    OURS: messagewall_with("Medium"),
    OURS_NONE: messagewall_with("None"),
}


class _Loaded(Protocol):
    @property
    def name(self) -> str: ...
    def run(self, case: str, load: Load, messages: int, number: int) -> LoadRun: ...
    def stop(self) -> None: ...


class _Smtp:
    """A peer that takes mail."""

    def __init__(self, name: str, base: Path) -> None:
        self.name = name
        self._peer = Peer(name, _PEERS[name], base)

    def run(self, case: str, load: Load, messages: int, number: int) -> LoadRun:
        return run_load(self._peer, case, load, messages, number)

    def stop(self) -> None:
        self._peer.stop()


class Content:
    """The peers, running. `missing`: why rspamd does not take part, '' if it does. Raises DidNotStart."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self.peers: list[_Loaded] = []
        self.missing = ""
        try:
            for name in _PEERS:
                self.peers.append(_Smtp(name, base))
            self._start_rspamd()
        except BaseException:
            self.stop()
            raise

    def _start_rspamd(self) -> None:
        try:
            self.peers.append(rspamd.Rspamd(self._base, "Medium"))
        except DidNotStart as error:
            self.missing = str(error)

    def loads(self, seconds: float) -> dict[tuple[str, str], tuple[Load, int]]:
        """By case and peer: what is sent, and how often, to take about so long."""
        wanted = {}
        for case, make in MESSAGES.items():
            file = self._base / f"{case}.eml"
            file.write_bytes(make().replace(b"\r\n", b"\n"))  # smtp-source puts the CR there
            load = Load(_TITLES[case], file.stat().st_size, True, file, _SESSIONS[case])
            for peer in self.peers:

                def run(messages: int, case: str = case, load: Load = load, peer: _Loaded = peer) -> LoadRun:
                    return peer.run(case, load, messages, -1)

                wanted[case, peer.name] = load, messages_for(run, load.sessions, seconds)
        return wanted

    def stop(self) -> None:
        """Ends them all."""
        for peer in self.peers:
            peer.stop()


def _checks(runs: Sequence[LoadRun], peer: str) -> float:
    """CPU over that of None in the same round; all of it where the peer does nothing but look."""
    mine = {run.round: run.cpu for run in runs if run.peer == peer}
    if peer == rspamd.NAME:
        return median(mine.values())
    none = {run.round: run.cpu for run in runs if run.peer == OURS_NONE}
    return median(mine[number] - none[number] for number in mine if number in none)


def content_table(case: str, runs: Sequence[LoadRun], missing: str) -> list[str]:
    """One case, the peers under each other."""
    heads = ("msg/s", "CPU-s/1k", "x None", "x Medium", "checks", "sink CPU", "lost", "doubled")
    lines = [f"\nContent, {_TITLES[case]}: median of {len({run.round for run in runs})} rounds"]
    lines += [f"{'':17}" + "".join(f"{head:>10}" for head in heads)]
    nothing = float("nan")
    for peer in peers_of(runs):
        mine = [run for run in runs if run.peer == peer]
        looks = peer in (OURS, rspamd.NAME)
        computes = peer != "direct"
        cells = [
            cell(median(run.per_second for run in mine), ".0f"),
            cell(median(run.cpu for run in mine) if computes else nothing, ".3f"),
            cell(ratio(runs, peer, OURS_NONE, lambda run: run.cpu) if computes else nothing, ".2f"),
            cell(ratio(runs, peer, OURS, lambda run: run.cpu) if computes else nothing, ".2f"),
            cell(_checks(runs, peer) if looks else nothing, ".3f"),
            cell(median(run.sink_cpu for run in mine), ".3f"),
            cell(sum(run.lost for run in mine), ".0f"),
            cell(sum(run.doubled for run in mine), ".0f"),
        ]
        lines.append(f"{peer:17} " + " ".join(cells))
        lines += [f"    round {run.round}: {run.failure}" for run in mine if run.failure]
    if missing:
        lines.append(f"{rspamd.NAME:17} not measured: {missing.strip().splitlines()[0]}")
    return lines
