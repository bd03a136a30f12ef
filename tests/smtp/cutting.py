"""Ways to cut octets into pieces, as a network may: whole, byte by byte, at random."""

import random
from collections.abc import Callable
from itertools import pairwise

from hypothesis import strategies as st

Cut = Callable[[bytes], list[bytes]]


def whole(octets: bytes) -> list[bytes]:
    return [octets]


def byte_by_byte(octets: bytes) -> list[bytes]:
    return [octets[i : i + 1] for i in range(len(octets))]


def at(octets: bytes, *places: int) -> list[bytes]:
    bounds = [0, *sorted(places), len(octets)]
    return [octets[start:end] for start, end in pairwise(bounds)]


def at_random(seed: int) -> Cut:
    """Cuts the same octets at the same places each time; `seed` chooses them."""
    chance = random.Random(seed)

    def cut(octets: bytes) -> list[bytes]:
        return at(octets, *(chance.randrange(len(octets) + 1) for _ in range(chance.randrange(1, 6))))

    return cut


def ways() -> dict[str, Cut]:
    return {"whole": whole, "byte by byte": byte_by_byte, **{f"random {n}": at_random(n) for n in range(4)}}


# For properties: Hypothesis shrinks a cut to `whole`.
cuts = st.one_of(st.just(whole), st.just(byte_by_byte), st.integers(0, 2**32).map(at_random))
