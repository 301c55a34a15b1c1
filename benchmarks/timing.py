"""The statistics of a measurement: medians with their spread, and ratios pair by pair."""

import math
import statistics
from collections.abc import Mapping, Sequence


def spread(values: Sequence[float]) -> dict[str, float]:
    """`median`, `low` and `high`: the middle of at least one value, and how far they lie apart."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def pairwise(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """The spread of ours[i] / theirs[i], of rates that were measured one right after the other.

    A disturbance that outlasts a round hits both of a pair, and leaves their ratio.

    Raises:
      ValueError: they are not equally many.
    """
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])


def fastest(rates_of: Mapping[str, Sequence[float]]) -> str | None:
    """The name with the highest median rate, the first of equals; None of none."""
    return max(rates_of, key=lambda name: statistics.median(rates_of[name]), default=None)


def steps_for(seconds: float, seconds_per_step: float) -> int:
    """The fewest whole steps, at least one, that take `seconds`."""
    return max(1, math.ceil(seconds / seconds_per_step))
