import numpy as np
import pytest

from genjax import runs
from genjax.errors import UserError
from genjax.explore import drawn
from tests.tiny import tiny


def test_calls_of_one_size_give_every_picture_once():
    run = runs.build(tiny("dcgan"))  # 8 images a step
    sizes = []

    def draw(offset, x):
        sizes.append(x.shape[0])
        return x[:, None, None, None] + offset

    found = drawn.pictures(run, draw, np.arange(11))(100)
    np.testing.assert_array_equal(found.ravel(), 100 + np.arange(11))
    assert sizes == [8]  # traced once


def test_a_task_without_latents_is_one_line():
    with pytest.raises(UserError, match="task='cnn' has no latents"):
        drawn.latents_of(runs.build(tiny("cnn")))
