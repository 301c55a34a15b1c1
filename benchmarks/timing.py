"""The statistics of a measurement: rates, medians with their spread, and ratios pair by pair."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Round(NamedTuple):
    """What one side did without a pause: so many steps in so many seconds."""

    steps: int
    seconds: float


class Spread(NamedTuple):
    """The middle of repeated measurements and how far they lie apart."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """The median of at least one value, with the smallest and the largest."""
    return Spread(statistics.median(values), min(values), max(values))


def rates(rounds: Sequence[Round], images_per_step: int) -> list[float]:
    """Images per second of each round."""
    return [each.steps * images_per_step / each.seconds for each in rounds]


def pairwise(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """ours[i] / theirs[i]: of rates that were measured one right after the other.

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
