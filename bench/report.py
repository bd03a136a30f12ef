"""Tables of medians."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from client import KINDS, LatencyRun
from load import LOADS, LoadRun

REFERENCE = "haproxy"
OURS = "messagewall"
OURS_NONE = "messagewall-None"


@dataclass(frozen=True)
class IdleRun:
    """Clients that only sit there. over_none: PSS of the tree less that with no client, MiB."""

    peer: str
    round: int
    asked: int
    held: int
    refused: int
    silent: int
    dead: int
    none: float
    over_none: float
    seconds: float


class _Run(Protocol):
    @property
    def peer(self) -> str: ...
    @property
    def round(self) -> int: ...


R = TypeVar("R", bound=_Run)
Figure = Callable[[R], float]


def median(values: Iterable[float]) -> float:
    """Not a number where there are none."""
    values = [value for value in values if value == value]
    return statistics.median(values) if values else float("nan")


def ratio(runs: Sequence[R], peer: str, reference: str, figure: Figure[R]) -> float:
    """Median over the rounds of peer / reference in the same round."""
    base = {run.round: figure(run) for run in runs if run.peer == reference}
    mine = [(run.round, figure(run)) for run in runs if run.peer == peer]
    return median(value / base[number] for number, value in mine if base.get(number))


def peers_of(runs: Sequence[_Run]) -> list[str]:
    """Their names, in the order of the runs."""
    return list(dict.fromkeys(run.peer for run in runs))


def cell(value: float, form: str) -> str:
    """A figure, nine wide."""
    return format("-" if value != value else format(value, form), ">9")


def load_table(case: str, runs: Sequence[LoadRun]) -> list[str]:
    """One case, the peers under each other."""
    heads = ("msg/s", "x direct", "x haproxy", "CPU-s/1k", "x haproxy", "sink CPU", "lost", "doubled")
    lines = [f"\n{LOADS[case].title}: median of {len({run.round for run in runs})} rounds"]
    lines += [f"{'':14}" + "".join(f"{head:>10}" for head in heads)]
    for peer in peers_of(runs):
        mine = [run for run in runs if run.peer == peer]
        cells = [
            cell(median(run.per_second for run in mine), ".0f"),
            cell(ratio(runs, peer, "direct", lambda run: run.per_second), ".2f"),
            cell(ratio(runs, peer, REFERENCE, lambda run: run.per_second), ".2f"),
            cell(median(run.cpu for run in mine) if peer != "direct" else float("nan"), ".3f"),
            cell(ratio(runs, peer, REFERENCE, lambda run: run.cpu) if peer != "direct" else float("nan"), ".2f"),
            cell(median(run.sink_cpu for run in mine), ".3f"),
            cell(sum(run.lost for run in mine), ".0f"),
            cell(sum(run.doubled for run in mine), ".0f"),
        ]
        lines.append(f"{peer:14} " + " ".join(cells))
        lines += [f"    round {run.round}: {run.failure}" for run in mine if run.failure]
    return lines


def latency_table(case: str, runs: Sequence[LatencyRun]) -> list[str]:
    """The same for latency."""
    heads = ("p50 ms", "x haproxy", "p99 ms", "x haproxy", "errors")
    lines = [f"\nLatency, {KINDS[case].title}, connect to 250: median of {len({run.round for run in runs})} rounds"]
    lines += [f"{'':14}" + "".join(f"{head:>10}" for head in heads)]
    for peer in peers_of(runs):
        mine = [run for run in runs if run.peer == peer]
        cells = [
            cell(median(run.p50 for run in mine), ".2f"),
            cell(ratio(runs, peer, REFERENCE, lambda run: run.p50), ".2f"),
            cell(median(run.p99 for run in mine), ".2f"),
            cell(ratio(runs, peer, REFERENCE, lambda run: run.p99), ".2f"),
            cell(sum(run.errors for run in mine), ".0f"),
        ]
        lines.append(f"{peer:14} " + " ".join(cells))
        lines += [f"    round {run.round}: {run.first_error}" for run in mine if run.errors]
    return lines


def idle_table(runs: Sequence[IdleRun]) -> list[str]:
    """Memory as a median; held is the least of the rounds, what went wrong their sum."""
    heads = ("asked", "held", "refused", "silent", "dead", "PSS none", "over none", "open s")
    lines = [f"\nIdle clients, memory in MiB of PSS: {len({run.round for run in runs})} rounds"]
    lines += [f"{'':14}" + "".join(f"{head:>10}" for head in heads)]
    for peer in peers_of(runs):
        for asked in dict.fromkeys(run.asked for run in runs):
            mine = [run for run in runs if run.peer == peer and run.asked == asked]
            cells = [
                cell(asked, ".0f"),
                cell(min((run.held for run in mine), default=float("nan")), ".0f"),
                cell(sum(run.refused for run in mine), ".0f"),
                cell(sum(run.silent for run in mine), ".0f"),
                cell(sum(run.dead for run in mine), ".0f"),
                cell(median(run.none for run in mine), ".1f"),
                cell(median(run.over_none for run in mine), ".1f"),
                cell(median(run.seconds for run in mine), ".2f"),
            ]
            lines.append(f"{peer:14} " + " ".join(cells))
    return lines
