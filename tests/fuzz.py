"""How many cases Hypothesis tries: few by default, MWALL_FUZZ times as many when that is set.

MWALL_FUZZ=500 makes of a property that asks for 200 cases one of 100,000.
"""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

MULTIPLIER = float(os.environ.get("MWALL_FUZZ", "1"))


def cases(number: int) -> Callable[[Any], Any]:
    """A decorator: `number` cases, times MWALL_FUZZ. No deadline: a loaded machine is no fault of the code."""
    decorate: Callable[[Any], Any] = settings(
        max_examples=max(1, int(number * MULTIPLIER)),
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
    return decorate
