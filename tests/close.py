"""Runs that agree up to the order of sums, whatever number of devices shared them."""

import numpy as np

from tests.tiny import VARIANTS, metrics_of, state_of

# Sums over the batch are added in another order, which changes them by 1e-7 of their size; the
# steps make up to 3e-6 of that, relative to the largest number of an array (or to a metric).
TOLERANCE = dict.fromkeys(VARIANTS, 2e-5) | {"style-lbfgs": 1e-4}


def assert_close(name: str, workdir, reference):
    """The metrics and the newest parameters of two runs of the variant `name`."""
    tolerance = TOLERANCE[name]
    ours, theirs = metrics_of(workdir), metrics_of(reference)
    assert [line.keys() for line in ours] == [line.keys() for line in theirs]
    for line, expected in zip(ours, theirs, strict=True):
        for metric, value in line.items():
            np.testing.assert_allclose(value, expected[metric], tolerance, 1e-6, err_msg=metric)
    state, expected = state_of(workdir), state_of(reference)
    assert state.keys() == expected.keys()
    for key, value in expected.items():
        if "params" in key or "image" in key or "average" in key:
            size = np.abs(value).max()
            np.testing.assert_allclose(state[key], value, 0, tolerance * size, err_msg=key)
