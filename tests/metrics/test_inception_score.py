import numpy as np
import pytest

from genjax.metrics import inception_score


def test_certain_and_even_is_the_number_of_classes():
    logits = 1000 * np.eye(5)[np.arange(100) % 5]
    assert inception_score.score(logits) == pytest.approx((5, 0))


def test_one_answer_for_all_is_1():
    logits = np.tile(np.random.default_rng(0).standard_normal(7), (30, 1))
    assert inception_score.score(logits) == pytest.approx((1, 0))


def test_by_hand():
    # p = (3/4, 1/4) and (1/4, 3/4): exp of log 2 minus the entropy of (3/4, 1/4).
    logits = np.log([[3.0, 1.0], [1.0, 3.0]])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert inception_score.score(logits, splits=1)[0] == pytest.approx(2 / np.exp(entropy))
