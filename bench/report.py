"""Tables of medians, and what is demanded of MessageWall beside what was measured."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from client import KINDS, LatencyRun
from load import LOADS, LoadRun

REFERENCE = "haproxy"
OURS = "messagewall"


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


@dataclass
class Results:
    """All runs, in the order they were made."""

    loads: list[LoadRun] = field(default_factory=list)
    latencies: list[LatencyRun] = field(default_factory=list)
    idles: list[IdleRun] = field(default_factory=list)


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


def _peers(runs: Sequence[_Run]) -> list[str]:
    return list(dict.fromkeys(run.peer for run in runs))


def _cell(value: float, form: str) -> str:
    return format("-" if value != value else format(value, form), ">9")


def load_table(case: str, runs: Sequence[LoadRun]) -> list[str]:
    """One case, the peers under each other."""
    heads = ("msg/s", "x direct", "x haproxy", "CPU-s/1k", "x haproxy", "sink CPU", "lost", "doubled")
    lines = [f"\n{LOADS[case].title}: median of {len({run.round for run in runs})} rounds"]
    lines += [f"{'':14}" + "".join(f"{head:>10}" for head in heads)]
    for peer in _peers(runs):
        mine = [run for run in runs if run.peer == peer]
        cells = [
            _cell(median(run.per_second for run in mine), ".0f"),
            _cell(ratio(runs, peer, "direct", lambda run: run.per_second), ".2f"),
            _cell(ratio(runs, peer, REFERENCE, lambda run: run.per_second), ".2f"),
            _cell(median(run.cpu for run in mine) if peer != "direct" else float("nan"), ".3f"),
            _cell(ratio(runs, peer, REFERENCE, lambda run: run.cpu) if peer != "direct" else float("nan"), ".2f"),
            _cell(median(run.sink_cpu for run in mine), ".3f"),
            _cell(sum(run.lost for run in mine), ".0f"),
            _cell(sum(run.doubled for run in mine), ".0f"),
        ]
        lines.append(f"{peer:14} " + " ".join(cells))
        lines += [f"    round {run.round}: {run.failure}" for run in mine if run.failure]
    return lines


def latency_table(case: str, runs: Sequence[LatencyRun]) -> list[str]:
    """The same for latency."""
    heads = ("p50 ms", "x haproxy", "p99 ms", "x haproxy", "errors")
    lines = [f"\nLatency, {KINDS[case].title}, connect to 250: median of {len({run.round for run in runs})} rounds"]
    lines += [f"{'':14}" + "".join(f"{head:>10}" for head in heads)]
    for peer in _peers(runs):
        mine = [run for run in runs if run.peer == peer]
        cells = [
            _cell(median(run.p50 for run in mine), ".2f"),
            _cell(ratio(runs, peer, REFERENCE, lambda run: run.p50), ".2f"),
            _cell(median(run.p99 for run in mine), ".2f"),
            _cell(ratio(runs, peer, REFERENCE, lambda run: run.p99), ".2f"),
            _cell(sum(run.errors for run in mine), ".0f"),
        ]
        lines.append(f"{peer:14} " + " ".join(cells))
        lines += [f"    round {run.round}: {run.first_error}" for run in mine if run.errors]
    return lines


def idle_table(runs: Sequence[IdleRun]) -> list[str]:
    """Memory as a median; held is the least of the rounds, what went wrong their sum."""
    heads = ("asked", "held", "refused", "silent", "dead", "PSS none", "over none", "open s")
    lines = [f"\nIdle clients, memory in MiB of PSS: {len({run.round for run in runs})} rounds"]
    lines += [f"{'':14}" + "".join(f"{head:>10}" for head in heads)]
    for peer in _peers(runs):
        for asked in dict.fromkeys(run.asked for run in runs):
            mine = [run for run in runs if run.peer == peer and run.asked == asked]
            cells = [
                _cell(asked, ".0f"),
                _cell(min((run.held for run in mine), default=float("nan")), ".0f"),
                _cell(sum(run.refused for run in mine), ".0f"),
                _cell(sum(run.silent for run in mine), ".0f"),
                _cell(sum(run.dead for run in mine), ".0f"),
                _cell(median(run.none for run in mine), ".1f"),
                _cell(median(run.over_none for run in mine), ".1f"),
                _cell(median(run.seconds for run in mine), ".2f"),
            ]
            lines.append(f"{peer:14} " + " ".join(cells))
    return lines


class Demand(NamedTuple):
    """sign is '>=' or '<='. figure is not a number where nothing was measured."""

    what: str
    sign: str
    bound: float
    figure: Callable[[Results], float]


def _per_second(case: str) -> Callable[[Results], float]:
    return lambda all: ratio(
        [run for run in all.loads if run.case == case], OURS, REFERENCE, lambda run: run.per_second
    )


def _cpu(case: str) -> Callable[[Results], float]:
    return lambda all: ratio([run for run in all.loads if run.case == case], OURS, REFERENCE, lambda run: run.cpu)


def _ours(asked: int, results: Results) -> list[IdleRun]:
    return [run for run in results.idles if run.peer == OURS and run.asked == asked]


def _total(values: Iterable[int]) -> float:
    """The sum, or not a number if nothing was measured."""
    values = list(values)
    return sum(values) if values else float("nan")


DEMANDS = (
    Demand("new-1k    messages/s over HAProxy's", ">=", 1.0, _per_second("new-1k")),
    Demand("new-1k    CPU over HAProxy's", "<=", 1.0, _cpu("new-1k")),
    Demand("new-10k   messages/s over HAProxy's", ">=", 1.0, _per_second("new-10k")),
    Demand("new-10k   CPU over HAProxy's", "<=", 1.0, _cpu("new-10k")),
    Demand("kept-1k   messages/s over HAProxy's", ">=", 0.8, _per_second("kept-1k")),
    Demand("kept-10k  messages/s over HAProxy's", ">=", 0.8, _per_second("kept-10k")),
    Demand(
        "kept-1m   CPU seconds per 1,000 messages",
        "<=",
        4.0,
        lambda all: median(run.cpu for run in all.loads if run.case == "kept-1m" and run.peer == OURS),
    ),
    Demand(
        "idle      MiB over none, 1,000 clients",
        "<=",
        5.0,
        lambda all: median(run.over_none for run in _ours(1000, all)),
    ),
    Demand(
        "idle      held of 9,000, the worst round",
        ">=",
        9000,
        lambda all: min((run.held for run in _ours(9000, all)), default=float("nan")),
    ),
    Demand(
        "idle      refused or dead, all rounds",
        "<=",
        0,
        lambda all: _total(run.refused + run.silent + run.dead for run in all.idles if run.peer == OURS),
    ),
    Demand(
        "all loads messages lost or doubled",
        "<=",
        0,
        lambda all: _total(run.lost + run.doubled for run in all.loads if run.peer == OURS),
    ),
    Demand(
        "all       failed runs and sessions",
        "<=",
        0,
        lambda all: _total(
            [run.failure != "" for run in all.loads if run.peer == OURS]
            + [run.errors for run in all.latencies if run.peer == OURS]
        ),
    ),
)


def demand_table(results: Results) -> tuple[list[str], bool]:
    """Each demand beside what was measured; whether none is short."""
    lines, good = ["\nDemanded of messagewall, and measured"], True
    for demand in DEMANDS:
        value = demand.figure(results)
        held = value >= demand.bound if demand.sign == ">=" else value <= demand.bound
        said = "not measured" if value != value else "ok" if held else "short"
        good = good and said != "short"
        lines.append(f"{demand.what:42}{demand.sign:>3}{demand.bound:>7g}{_cell(value, '.2f'):>10}  {said}")
    return lines, good
