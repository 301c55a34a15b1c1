"""Use of codes, by hand."""

import numpy as np
import pytest

from genjax.metrics import codes


def test_entropy_by_hand():
    """Shares 1/2, 1/4 and 1/4: 3/2 bits; all alike: the logarithm; one alone: none."""
    assert codes.entropy(np.array([0, 2, 1, 0, 1])) == pytest.approx(1.5)
    assert codes.entropy(np.full(512, 7)) == pytest.approx(9)
    assert str(codes.entropy(np.array([0, 3]))) == "0.0"


def test_dead_codes_are_those_never_chosen():
    assert codes.dead(np.array([0, 2, 1, 0, 1])) == 2
