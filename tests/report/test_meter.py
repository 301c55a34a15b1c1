import json
import math

import numpy as np
import pytest

from genjax.errors import NonFiniteError
from genjax.report import Meter, as_computed
from genjax.report import meter as meter_module


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


def test_what_failed_first_is_named():
    """The earliest step; there a loss before its gradient's norm, and both before what follows."""
    metrics = {
        "d_grad_norm": _f32(1, 1, math.nan),
        "d_loss": _f32(1, 1, math.inf),
        "g_grad_norm": _f32(1, math.nan, math.nan),
        "g_loss": _f32(1, math.inf, math.nan),
    }
    with pytest.raises(NonFiniteError, match=r"^train/g_loss is inf at step 9$"):
        Meter().add(10, metrics, 8)
    last = {name: values[2:] for name, values in metrics.items()}
    with pytest.raises(NonFiniteError, match=r"^train/d_loss is inf at step 10$"):
        Meter().add(10, last, 8)
    with pytest.raises(NonFiniteError, match=r"^train/d_grad_norm is nan at step 10$"):
        Meter().add(10, last | {"d_loss": _f32(1)}, 8)


def test_norms_come_after_the_losses_that_they_are_of():
    gan = ["d_fake", "d_loss", "d_real", "d_grad_norm", "g_loss", "g_grad_norm"]
    vae = ["kl", "negative_elbo", "reconstruction", "grad_norm"]
    assert as_computed(sorted(gan)) == gan and as_computed(sorted(vae)) == vae


def test_skipped_steps_are_counted_and_left_out_of_the_means():
    meter = Meter(max_skipped=2)
    meter.add(4, {"loss": _f32(1, math.nan, 3, 2), "d": _f32(1, 9, math.inf, 3)}, 8)
    taken = meter.take()
    assert taken["train/skipped"] == 2
    assert taken["train/loss"] == 1.5 and taken["train/d"] == 2
    meter.add(5, {"loss": _f32(4), "d": _f32(4)}, 8)
    assert meter.take()["train/skipped"] == 0


def test_a_run_that_skips_nothing_does_not_count():
    meter = Meter()
    meter.add(1, {"loss": _f32(1)}, 8)
    assert "train/skipped" not in meter.take()


def test_there_is_no_mean_of_nothing():
    meter = Meter(max_skipped=4)
    meter.add(2, {"loss": _f32(math.nan, math.inf)}, 8)
    taken = meter.take()
    assert not any(x.startswith("train/") for x in taken.keys() - {"train/skipped"})
    assert taken["train/skipped"] == 2 and taken["perf/images_per_sec"] > 0
    meter.add(4, {"loss": _f32(math.nan, 7)}, 8)
    assert meter.take()["train/loss"] == 7


def test_the_limit_is_of_skipped_steps_in_a_row():
    bad = math.nan
    meter = Meter(max_skipped=2)
    meter.add(6, {"loss": _f32(bad, bad, 1, bad, bad, 1)}, 8)
    meter.add(8, {"loss": _f32(bad, bad)}, 8)
    meter.take()  # a line does not begin a new row
    with pytest.raises(NonFiniteError) as error:
        meter.add(9, {"loss": _f32(-math.inf)}, 8)
    message = "train/loss is -inf at step 9, and train.max_skipped=2 steps before it were skipped"
    assert str(error.value) == message


def test_a_limit_of_zero_stops_at_the_first():
    with pytest.raises(NonFiniteError, match=r"at step 2, and train.max_skipped=0"):
        Meter(max_skipped=0).add(3, {"loss": _f32(1, math.nan, 1)}, 8)


def test_counts_of_skipped_steps_survive_an_interruption():
    first = Meter(max_skipped=2)
    first.add(4, {"loss": _f32(3, math.nan, 5, math.nan)}, 8)
    second = Meter(json.loads(json.dumps(first.saved())), max_skipped=2)
    second.add(5, {"loss": _f32(math.nan)}, 8)
    with pytest.raises(NonFiniteError, match="at step 6, and"):
        second.add(6, {"loss": _f32(math.nan)}, 8)
    third = Meter(first.saved(), max_skipped=2)
    third.add(5, {"loss": _f32(7)}, 8)
    taken = third.take()
    assert taken["train/skipped"] == 2 and taken["train/loss"] == 5
