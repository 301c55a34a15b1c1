import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from genjax.metrics import detection

# By hand: of six pairs the anomalous one is larger in four, and 2 ties with 2.
SCORES, ANOMALOUS = np.array([1.0, 2, 3, 2, 4]), np.array([False, False, False, True, True])


def examples(seed, n=400, levels=None):
    """Scores and kinds that overlap; of few `levels`, so that many tie."""
    generator = np.random.default_rng(seed)
    anomalous = generator.random(n) < 0.3
    scores = generator.standard_normal(n) + anomalous
    return (np.round(scores * levels) / levels if levels else scores), anomalous


def test_auroc_by_hand():
    assert detection.auroc(SCORES, ANOMALOUS) == 4.5 / 6
    assert detection.auroc(-SCORES, ANOMALOUS) == 1.5 / 6
    assert detection.auroc(np.zeros(5), ANOMALOUS) == 0.5
    assert detection.auroc([1, 2, 3, 3.5, np.inf], ANOMALOUS) == 1.0
    assert detection.auroc([0.0, -np.inf], np.array([True, False])) == 1.0


def test_the_error_of_auroc_by_hand():
    """Placements of the anomalous ones 0.5 and 1, of the normal ones 1, 0.75 and 0.5."""
    expected = 0.125 / 2 + 0.0625 / 3
    assert detection.auroc_error(SCORES, ANOMALOUS) == pytest.approx(expected**0.5, rel=1e-12)
    assert detection.auroc_error([1, 2, 3, 4, 5], ANOMALOUS) == 0


def test_average_precision_by_hand():
    """4 alone, precision 1; then 2 with a normal 2, beside 3: precision 2/4."""
    assert detection.average_precision(SCORES, ANOMALOUS) == 0.5 * 1 + 0.5 * 0.5
    assert detection.average_precision(np.zeros(5), ANOMALOUS) == 0.4
    assert detection.average_precision([0, 0, 0, 1, 1], ANOMALOUS) == 1


@pytest.mark.parametrize("levels", [None, 3])
def test_against_scikit_learn_and_the_definition(levels):
    scores, anomalous = examples(0, levels=levels)
    assert detection.auroc(scores, anomalous) == pytest.approx(roc_auc_score(anomalous, scores))
    expected = average_precision_score(anomalous, scores)
    assert detection.average_precision(scores, anomalous) == pytest.approx(expected)
    # Every pair, as DeLong et al. write it.
    apart = scores[anomalous][:, None] - scores[~anomalous]
    kernel = (np.sign(apart) + 1) / 2
    rows, columns = kernel.mean(axis=1), kernel.mean(axis=0)
    expected = rows.var(ddof=1) / len(rows) + columns.var(ddof=1) / len(columns)
    assert detection.auroc_error(scores, anomalous) == pytest.approx(expected**0.5)


def test_the_error_is_how_far_auroc_scatters():
    found = [detection.auroc(*examples(seed)) for seed in range(300)]
    errors = [detection.auroc_error(*examples(seed)) for seed in range(300)]
    assert np.std(found) == pytest.approx(np.mean(errors), rel=0.1)


def test_pixels_of_many_pictures_add_up():
    scores, faulty = examples(1, 6 * 16 * 16)
    scores, faulty = (scores**3).reshape(6, 16, 16), faulty.reshape(6, 16, 16)
    counts = sum(detection.pixel_counts(*each) for each in zip(scores, faulty, strict=True))
    onto = None
    for each in zip(scores, faulty, strict=True):
        onto = detection.pixel_counts(*each, onto)
    assert (onto == counts).all()
    assert counts.shape == (2, detection.BINS) and counts.sum() == scores.size
    assert counts[1].sum() == faulty.sum()
    found = detection.of_pixel_counts(counts)
    exact = detection.auroc(scores, faulty)
    assert abs(found.auroc - exact) <= found.auroc_uncertainty < 1e-3
    expected = detection.average_precision(scores, faulty)
    assert found.average_precision == pytest.approx(expected, abs=1e-3)


def test_bins_are_in_the_order_of_scores():
    """From minus to plus infinity, and both zeros in one."""
    rising = np.array([-np.inf, -1e30, -1.5, -1, -1e-30, 0, 1e-30, 1, 1.5, 1e30, np.inf])
    counts = [detection.pixel_counts(x, np.array(False))[0].argmax() for x in rising]
    assert counts == sorted(set(counts)) and counts[-1] < detection.BINS
    zeros = detection.pixel_counts(np.array([0.0, -0.0]), np.array([True, False]))
    assert detection.of_pixel_counts(zeros) == (0.5, 0.5, 0.5)
    near = detection.pixel_counts(np.array([1, 1 + 2**-12, 9]), np.array([False, True, True]))
    assert detection.of_pixel_counts(near)[:2] == (0.75, 0.25)


def test_what_has_no_score():
    both = np.array([True, False])
    for function in (detection.auroc, detection.auroc_error, detection.average_precision):
        with pytest.raises(ValueError, match="0 normal and 2 anomalous: at least one of each"):
            function([1.0, 2.0], np.array([True, True]))
        with pytest.raises(ValueError, match="not a number"):
            function([1.0, np.nan], both)
        with pytest.raises(ValueError, match=r"scores \(3,\) need bool\[3\], not bool\[2\]"):
            function([1.0, 2.0, 3.0], both)
        with pytest.raises(ValueError, match=r"not int64\[2\]"):
            function([1.0, 2.0], np.array([0, 1]))
    with pytest.raises(ValueError, match="two normal and two anomalous"):
        detection.auroc_error([1.0, 2.0], both)
    with pytest.raises(ValueError, match="0 anomalous"):
        detection.of_pixel_counts(detection.pixel_counts(np.ones(3), np.zeros(3, bool)))
