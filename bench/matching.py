"""How fast many patterns are looked for: the engine of mwall.policy.matching beside libraries that could replace it.

    .venv/bin/python bench/matching.py [NUMBER OF PATTERNS ...]

google-re2, daachorse and hyperscan are measured where they are installed (pip install NAME). Patterns are random, of
20 to 200 octets; one in five has `??`, one in ten a `*`; daachorse knows neither and is given the literals alone. Each
engine runs in a process of its own, since memory is measured: what it takes, and how much of it a child must copy
after a fork, having searched everything once.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mwall.policy.matching import Matcher
from mwall.policy.patterns import Pattern, Segment, parse_patterns

try:
    import re2
except ImportError:
    re2 = None
try:
    import daachorse
except ImportError:
    daachorse = None
try:
    import hyperscan
except ImportError:
    hyperscan = None

WINDOW = 65_536
WINDOWS = 16
Search = Callable[[bytes], int]

TEXT = b"""Dear all, the minutes of the meeting are attached. Please read them before Thursday, since the board
will want to hear about the delivery; the second lorry has arrived at the harbour, and %d boxes are missing.\r\n"""


def pattern_file(number: int) -> bytes:
    at = random.Random(number)
    lines = []
    for index in range(number):
        digits = at.randbytes(at.randint(20, 200)).hex()
        if index % 5 == 0:
            digits = digits[:16] + "??" * 4 + digits[24:]
        if index % 10 == 1:
            digits = digits[:20] + "*" + digits[20:]
        lines.append(f"Pattern.{index}={digits}\n")
    return "".join(lines).encode()


def data_kinds(patterns: Sequence[Pattern]) -> dict[str, bytes]:
    """Windows by name; the last is the worst for mwall that somebody can send who knows the patterns."""
    at = random.Random(1)
    size = WINDOW
    matcher = Matcher(patterns)
    numbers = sorted(matcher.tables[0].numbers)
    hits = [at.choice(numbers).to_bytes(8, sys.byteorder) for _ in range(size // 8)]
    # Behind the octets kept of the window before, each number stands where the array has one.
    hits.insert(0, bytes(-matcher.overlap % 8))
    return {
        "random": at.randbytes(size),
        "text": b"".join(TEXT % number for number in range(size // 200 + 1))[:size],
        "zeros": bytes(size),
        "hostile": b"".join(hits)[:size],
    }


def expression(pattern: Pattern) -> bytes:
    parts = []
    for segment in pattern.segments:
        octets = [b"\\x%02x" % octet for octet in segment.octets]
        for start, end in segment.holes:
            octets[start:end] = [b"."] * (end - start)
        parts.append(b"".join(octets))
    return b".*".join(parts)


def of_mwall(patterns: Sequence[Pattern]) -> Search:
    matcher = Matcher(patterns)

    def search(window: bytes) -> int:
        scan = matcher.scan()
        for _ in range(WINDOWS):
            scan.feed(window)
        return len(scan.found)

    return search


def of_re2(patterns: Sequence[Pattern]) -> Search:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = 1 << 31
    options.log_errors = False
    options.dot_nl = True
    options.never_capture = True
    made = re2.Set.SearchSet(options)
    for pattern in patterns:
        made.Add(expression(pattern))
    made.Compile()
    return lambda window: max(len(made.Match(window) or ()) for _ in range(WINDOWS))


def of_daachorse(patterns: Sequence[Pattern]) -> Search:
    automaton = daachorse.DoubleArrayAhoCorasick([pattern.segments[0].octets for pattern in patterns])
    return lambda window: max(len(automaton.find_overlapping_no_suffix(window)) for _ in range(WINDOWS))


def of_hyperscan(patterns: Sequence[Pattern]) -> Search:
    database = hyperscan.Database(mode=hyperscan.HS_MODE_STREAM)
    flags = hyperscan.HS_FLAG_DOTALL | hyperscan.HS_FLAG_SINGLEMATCH
    number = len(patterns)
    database.compile(expressions=list(map(expression, patterns)), ids=list(range(number)), flags=[flags] * number)
    database.scratch = hyperscan.Scratch(database)

    def search(window: bytes) -> int:
        found: set[int] = set()

        def note(index: int, start: int, end: int, flags: int, context: object) -> None:
            found.add(index)

        with database.stream(match_event_handler=note) as stream:
            for _ in range(WINDOWS):
                stream.scan(window)
        return len(found)

    return search


ENGINES: dict[str, Callable[[Sequence[Pattern]], Search]] = {"mwall": of_mwall}
ENGINES |= {"re2": of_re2} if re2 else {}
ENGINES |= {"daachorse": of_daachorse} if daachorse else {}
ENGINES |= {"hyperscan": of_hyperscan} if hyperscan else {}


def megabytes(field: str) -> float:
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1000
    return 0.0


def in_child(work: Callable[[], None]) -> None:
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            sys.stdout.flush()
            os._exit(0)
    os.waitpid(child, 0)


def measure(name: str, number: int) -> None:
    patterns = parse_patterns(pattern_file(number), "patterns", [])
    kinds = data_kinds(patterns)
    before, begun = megabytes("Rss"), time.perf_counter()
    search = ENGINES[name](patterns)
    print(f"{name:10}{number:8,}{time.perf_counter() - begun:8.2f} s{megabytes('Rss') - before:8.1f} MB", end="")

    def copied() -> None:
        start = megabytes("Private_Dirty")
        for window in kinds.values():
            search(window)
        print(f"{megabytes('Private_Dirty') - start:8.1f} MB", end="")

    in_child(copied)
    for window in kinds.values():
        best = min(seconds(search, window) for _ in range(3))
        print(f"{WINDOW * WINDOWS / best / 1e6:10.1f}", end="")
    print()


def seconds(search: Search, window: bytes) -> float:
    begun = time.perf_counter()
    search(window)
    return time.perf_counter() - begun


def measure_reading(number: int) -> None:
    text = pattern_file(number)
    begun = time.perf_counter()
    parse_patterns(text, "patterns", [])
    print(f"reading a file of {number:,} patterns: {time.perf_counter() - begun:.2f} s")


def measure_few(number: int) -> None:
    """Short literals on a window of 5 KiB, as the text keys of a profile are."""
    at = random.Random(2)
    patterns = [
        Pattern(str(index), (Segment(bytes(at.choice(b"etaoinshr dlu") for _ in range(at.randint(5, 25)))),))
        for index in range(number)
    ]
    matcher = Matcher(patterns)
    window = b"".join(TEXT % number for number in range(40))[:5120]
    best = float("inf")
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(100):
            matcher.scan().feed(window)
        best = min(best, (time.perf_counter() - begun) / 100)
    print(f"{number:4} text keys, 5 KiB of text: {best * 1e6:6.1f} µs")


def main() -> None:
    numbers = [int(argument.replace(",", "")) for argument in sys.argv[1:]] or [1, 20, 1_000, 50_000]
    print(f"{'engine':10}{'patterns':>8}{'made in':>10}{'memory':>11}{'copied':>11}", end="")
    print("".join(f"{kind:>10}" for kind in ("random", "text", "zeros", "hostile")), " MB/s")
    for number in numbers:
        for name in ENGINES:
            in_child(lambda name=name, number=number: measure(name, number))  # type: ignore[misc]
    in_child(lambda: measure_reading(max(numbers)))
    for number in (1, 10, 30, 100, 300):
        measure_few(number)


if __name__ == "__main__":
    main()
