import math

import numpy as np
import pytest

from genjax import meter as meter_module
from genjax.errors import NonFiniteError
from genjax.meter import Meter


@pytest.fixture
def clock(monkeypatch):
    """`clock.append(t)` sets the time."""
    times = [100.0]
    monkeypatch.setattr(meter_module.time, "monotonic", lambda: times[-1])
    return times


def _f32(*values):
    return np.array(values, np.float32)


def test_means_are_of_all_steps_since_the_last_line():
    meter = Meter()
    meter.add(3, {"loss": _f32(1, 2, 3), "d": _f32(0, 0, 1)}, 8)
    meter.add(4, {"loss": _f32(6), "d": _f32(1)}, 8)
    taken = meter.take()
    assert taken["train/loss"] == 3 and taken["train/d"] == 0.5
    meter.add(5, {"loss": _f32(7), "d": _f32(1)}, 8)
    assert meter.take()["train/loss"] == 7


def test_what_is_saved_goes_on_as_if_nothing_had_happened():
    values = np.random.default_rng(0).normal(size=12).astype(np.float32)
    whole, first = Meter(), Meter()
    whole.add(12, {"loss": values}, 1)
    first.add(5, {"loss": values[:5]}, 1)
    second = Meter(first.saved())
    second.add(12, {"loss": values[5:]}, 1)
    assert second.saved()["steps"] == 12
    np.testing.assert_allclose(second.take()["train/loss"], whole.take()["train/loss"], rtol=1e-15)


def test_a_saved_meter_is_not_changed_by_what_follows():
    meter = Meter()
    meter.add(1, {"loss": _f32(1)}, 1)
    saved = meter.saved()
    meter.add(2, {"loss": _f32(1)}, 1)
    assert saved["sums"] == {"loss": 1.0} and saved["steps"] == 1
    Meter(saved).add(2, {"loss": _f32(5)}, 1)
    assert saved["sums"] == {"loss": 1.0}


def test_seconds_leave_out_the_interruption(clock):
    meter = Meter()
    clock.append(107.0)
    saved = meter.saved()
    assert saved["seconds"] == 7
    clock.append(500.0)
    resumed = Meter(saved)
    clock.append(502.0)
    assert resumed.seconds == 9


def test_speed_counts_only_the_time_since_the_clock_resumed(clock):
    meter = Meter()
    clock.append(150.0)  # compiling
    meter.resume_clock()
    clock.append(152.0)
    meter.add(4, {"loss": _f32(1, 1, 1, 1)}, 8)
    assert meter.images_per_second() == 16
    clock.append(190.0)  # evaluating
    meter.resume_clock()
    clock.append(194.0)
    meter.add(8, {"loss": _f32(1, 1, 1, 1)}, 8)
    assert meter.take()["perf/images_per_sec"] == 64 / 6
    assert meter.images_per_second() == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_named_with_its_step(bad):
    meter = Meter()
    with pytest.raises(NonFiniteError) as error:
        meter.add(23, {"g_loss": _f32(1, 1, 1, 1), "d_loss": _f32(1, 1, bad, bad)}, 8)
    assert str(error.value) == f"train/d_loss is {bad} at step 22"
