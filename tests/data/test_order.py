import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genjax.data.order import indices

sizes, positions = st.integers(1, 50), st.integers(0, 200)


@settings(deadline=None, derandomize=True, max_examples=50)
@given(seed=st.integers(0, 2**31), size=sizes, epoch=st.integers(0, 5))
def test_every_epoch_visits_each_example_once(seed, size, epoch):
    part = indices(seed, size, epoch * size, size)
    assert part.dtype == np.int32
    assert sorted(part.tolist()) == list(range(size))


@settings(deadline=None, derandomize=True, max_examples=50)
@given(seed=st.integers(0, 9), size=sizes, start=positions, first=positions, second=positions)
def test_a_request_may_be_cut_anywhere(seed, size, start, first, second):
    whole = indices(seed, size, start, first + second)
    parts = indices(seed, size, start, first), indices(seed, size, start + first, second)
    np.testing.assert_array_equal(whole, np.concatenate(parts))


def test_the_order_is_pinned():
    # Part of every result that names a seed: change these numbers only on purpose.
    assert indices(0, 8, 0, 16).tolist() == [3, 6, 4, 0, 7, 5, 2, 1, 1, 4, 6, 5, 7, 3, 2, 0]
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence((0, 1))))
    assert indices(0, 8, 8, 8).tolist() == generator.permutation(8).tolist()


def test_epochs_and_seeds_differ():
    assert (indices(0, 100, 0, 100) != indices(0, 100, 100, 100)).any()
    assert (indices(0, 100, 0, 100) != indices(1, 100, 0, 100)).any()


@pytest.mark.parametrize("wrong", [(0, 0, 1), (5, -1, 1), (5, 0, -1)])
def test_impossible_positions(wrong):
    with pytest.raises(ValueError, match="no such positions"):
        indices(0, *wrong)
