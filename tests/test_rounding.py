"""The bound on what rounding may do, where it can be known; test_devices.py makes real errors."""

import json

import numpy as np
import pytest
from etils import epath

from genjax.train import train
from tests import rounding
from tests.rounding import Bound
from tests.tiny import ROOT, metrics_of, tiny


def test_moved_by_a_last_place():
    x = np.array([1.0, -2.0, 0.0], np.float32)
    moved = np.stack(
        [rounding.moved_by_a_last_place(x, np.random.default_rng(i)) for i in range(20)]
    )
    for value, found in zip(x, moved.T, strict=True):
        assert set(found) == {np.nextafter(value, np.float32(to)) for to in (-np.inf, np.inf)}


def test_the_bound_is_a_multiple_of_what_moving_changed():
    eps = np.finfo(np.float32).eps
    expected = rounding.MULTIPLE * 3e-4 + rounding.FLOOR * eps * 5
    assert rounding.allowed([1e-4, 3e-4], 5.0) == pytest.approx(expected)


def test_what_is_beyond_is_named():
    bound = Bound([{"train/loss": 0.5, "train/n": 0.0}], {})
    ours, theirs = ([{"step": 6, "images": 8, "train/loss": x, "train/n": 2}] for x in (1.0, 2.0))
    found = rounding.lines_excess(bound, ours, theirs)
    assert found == {"train/loss at step 6": 2.0, "train/n at step 6": 0.0}
    with pytest.raises(AssertionError, match="train/loss at step 6"):
        rounding.assert_within(found)


def test_what_is_nearly_the_same_is_within_any_bound():
    """A few units in the last place; of other metrics, steps or larger differences it is not."""
    eps = float(np.finfo(np.float32).eps)
    line = {"step": 6, "images": 8, "train/loss": -2.0, "train/zero": 0.0}
    assert rounding.is_nearly([line], [line | {"train/loss": -2.0 - 8 * eps}])
    for other in ({"train/loss": -2.0 - 32 * eps}, {"train/zero": 1e-30}, {"step": 7}, {"more": 1}):
        assert not rounding.is_nearly([line], [line | other])
    assert not rounding.is_nearly([line], [line | {"train/loss": float("nan")}])
    assert rounding.FLOOR / 2 * eps * 2.0 < rounding.allowed([0.0], 2.0 - 8 * eps)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_beyond(value):
    with pytest.raises(AssertionError):
        rounding.assert_within({"loss": value})


def test_the_measured_run_is_the_one_that_was_trained(bound, finished):
    """Its own lines are within, and its bounds are of rounding's size."""
    lines = metrics_of(finished("vae"))
    for line, limits in zip(lines, bound("vae").lines, strict=True):
        assert limits.keys() == line.keys() - {"step", "images"}
        for name, limit in limits.items():
            assert 0 < limit < 1e-4 * abs(line[name]), name


def test_a_constant_that_is_off_by_a_hundredth_is_far_beyond(bound, tmp_path, finished):
    """Golden numbers would tell: a learning rate of 1.01e-3 for 1e-3."""
    rate = 1.01 * tiny("vae").optimizer.learning_rate
    train(tiny("vae", **{"optimizer.learning_rate": rate}), epath.Path(tmp_path))
    golden = json.loads((ROOT / "tests" / "golden" / "vae.json").read_text())
    beyond = rounding.lines_excess(bound("vae"), metrics_of(tmp_path), golden)
    assert beyond["eval/negative_elbo at step 12"] > 100
