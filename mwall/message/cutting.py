"""Parts cut out of a message, so that what is left is a valid message (RFC 2046 5.1.1).

A part goes with the delimiter before it. A multipart or an attached message of which nothing is left goes as a whole.
A part that is not where it is for every reader (in a multipart with two boundaries, in an encoded message) cannot be
cut out alone: what it lies in goes.
"""

from collections.abc import Callable
from typing import NamedTuple

from mwall.message.structure import Part, walk


class Cuts(NamedTuple):
    """What goes. `ranges`: (start, end) in the octets of the message, in their order; None where nothing would stay."""

    parts: list[Part]
    ranges: list[tuple[int, int]] | None


def cut_out(root: Part, goes: Callable[[Part], bool]) -> Cuts:
    """Find what has to be taken away so that no part is left that `goes`; `parts`: those that do."""
    parts = [part for part in walk(root) if part.role == "part"]
    unwanted = [part for part in parts if goes(part)]
    gone: set[Part] = set()
    if any(not _take(part, gone) for part in unwanted):
        return Cuts(unwanted, None)
    for part in reversed(parts) if gone else ():
        below = [child for child in part.children if child.role == "part"]
        if part not in gone and below and gone.issuperset(below) and not _take(part, gone):
            return Cuts(unwanted, None)
    ranges: list[tuple[int, int]] = []
    for part in parts:
        if part in gone and (not ranges or part.cut >= ranges[-1][1]):
            # Where nothing comes behind, the last line end stays: mail data ends in one.
            octets = part.source.octets
            is_last = part.end == len(octets) and octets.endswith(b"\r\n")
            ranges.append((part.cut, part.end - 2 * is_last))
    return Cuts(unwanted, ranges)


def _take(part: Part, gone: set[Part]) -> bool:
    """Mark the smallest that can be cut out and holds the part; whether there is one below the message itself."""
    smallest: Part | None = part
    while smallest is not None and not (smallest.sure and smallest.cut >= 0):
        smallest = smallest.parent
    if smallest is None:
        return False
    gone.add(smallest)
    return True
