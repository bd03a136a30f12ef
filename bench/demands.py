"""What is demanded of MessageWall, beside what was measured."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from checks import ChecksRun
from client import LatencyRun
from dns import DELAY_MS, RCPT_BOUND_MS, MemoryRun, RcptRun
from load import LoadRun
from report import OURS, OURS_NONE, REFERENCE, IdleRun, cell, median, ratio
from resolving import QueryRun
from stalls import BOUND_MIB, StallRun


@dataclass
class Results:
    """All runs, in the order they were made; those of the content cases are loads, too."""

    loads: list[LoadRun] = field(default_factory=list)
    latencies: list[LatencyRun] = field(default_factory=list)
    idles: list[IdleRun] = field(default_factory=list)
    checks: list[ChecksRun] = field(default_factory=list)
    stalls: list[StallRun] = field(default_factory=list)
    queries: list[QueryRun] = field(default_factory=list)
    rcpts: list[RcptRun] = field(default_factory=list)
    memories: list[MemoryRun] = field(default_factory=list)


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


def _milliseconds(case: str) -> Callable[[Results], float]:
    return lambda all: median(run.milliseconds for run in all.checks if run.case == case and run.profile == "Medium")


def _worst(values: Iterable[float]) -> float:
    """The greatest, or not a number if nothing was measured."""
    return max(values, default=float("nan"))


def _total(values: Iterable[int]) -> float:
    """The sum, or not a number if nothing was measured."""
    values = list(values)
    return sum(values) if values else float("nan")


# The cache's bound is 8 MiB by its own estimate; the allocator's share is not in that.
_CACHE_MIB = 16

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
        lambda all: _total(run.lost + run.doubled for run in all.loads if run.peer in (OURS, OURS_NONE)),
    ),
    Demand(
        "all       failed runs and sessions",
        "<=",
        0,
        lambda all: _total(
            [run.failure != "" for run in all.loads if run.peer in (OURS, OURS_NONE)]
            + [run.errors for run in all.latencies if run.peer == OURS]
        ),
    ),
    Demand("checks    ms, 5 KiB text, Medium", "<=", 0.3, _milliseconds("text-5k")),
    Demand("checks    ms, 50 KiB multipart, Medium", "<=", 1.0, _milliseconds("multipart-50k")),
    Demand(
        "stalls    CPU seconds, the worst bomb",
        "<=",
        1.0,
        lambda all: _worst(run.cpu for run in all.stalls if run.bomb),
    ),
    Demand("stalls    CPU ms, the longest wait", "<=", 100.0, lambda all: _worst(run.wait_cpu for run in all.stalls)),
    Demand(
        "stalls    MiB over idle, fresh worker",
        "<=",
        BOUND_MIB,
        lambda all: _worst(run.peak for run in all.stalls if run.before == 0),
    ),
    Demand("stalls    MiB over idle, any worker", "<=", BOUND_MIB, lambda all: _worst(run.peak for run in all.stalls)),
    Demand(
        "stalls    without a final reply",
        "<=",
        0,
        lambda all: _total([run.reply[:1] not in ("2", "5") for run in all.stalls]),
    ),
    Demand(
        "dns       us to build and read a query",
        "<=",
        30,
        lambda all: _worst(run.build_and_parse for run in all.queries),
    ),
    Demand("dns       us with its socket", "<=", 60, lambda all: _worst(run.with_socket for run in all.queries)),
    Demand(
        f"dns       RCPT's p99 in ms, answers in {DELAY_MS}",
        "<=",
        RCPT_BOUND_MS,
        lambda all: median(run.p99 for run in all.rcpts),
    ),
    Demand(
        "dns       MiB that a worker grows by",
        "<=",
        _CACHE_MIB,
        lambda all: _worst(run.worker_after - run.worker_before for run in all.memories),
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
        lines.append(f"{demand.what:42}{demand.sign:>3}{demand.bound:>7g}{cell(value, '.2f'):>10}  {said}")
    return lines, good
