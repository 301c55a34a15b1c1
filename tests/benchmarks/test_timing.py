"""Statistics on numbers that were worked out by hand."""

import pytest

from benchmarks.timing import fastest, pairwise, spread, steps_for


def test_spread():
    assert spread([3.0, 1.0, 2.0]) == {"median": 2.0, "low": 1.0, "high": 3.0}
    assert spread([1.0, 4.0, 2.0, 3.0]) == {"median": 2.5, "low": 1.0, "high": 4.0}
    assert spread([5.0]) == {"median": 5.0, "low": 5.0, "high": 5.0}


def test_pairwise_ratios_forget_what_hit_both():
    # The machine was half as fast in the second round: the ratio of medians would be 200 / 100.
    ours, theirs = [200.0, 100.0, 240.0], [100.0, 50.0, 160.0]
    assert pairwise(ours, theirs) == {"median": 2.0, "low": 1.5, "high": 2.0}
    with pytest.raises(ValueError):
        pairwise([1.0, 2.0], [1.0])


def test_fastest_is_by_the_median():
    assert fastest({"lucky": [1.0, 1.0, 9.0], "steady": [2.0, 2.0, 2.0]}) == "steady"
    assert fastest({}) is None


@pytest.mark.parametrize(
    "seconds, per_step, steps", [(0.5, 0.125, 4), (0.5, 0.2, 3), (0.5, 2.0, 1)]
)
def test_steps_for(seconds, per_step, steps):
    assert steps_for(seconds, per_step) == steps
