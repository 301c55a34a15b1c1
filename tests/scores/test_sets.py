"""What is picked of a set, and how much of the set is read for it."""

import numpy as np
import pytest

from genjax.scores import sets
from genjax.scores.pictures import Pictures
from tests.scores.stub import pictures


def test_no_more_is_drawn_than_is_shown():
    array = pictures(20)

    def batches():
        yield from (array[:5], array[5:10])
        pytest.fail("all that was asked for is there")

    some = Pictures("set", "", 20, (12, 12, 3), batches)
    np.testing.assert_array_equal(
        sets._picked(some, np.array([7, 2, 7]), channels=3), array[[7, 2, 7]]
    )
