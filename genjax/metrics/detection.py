"""How well a score tells anomalous examples from normal ones: AUROC, average precision.

A score is a number that is larger the more anomalous an example seems: of a picture, or of each of
its pixels. Only the order of scores counts.
"""

from typing import NamedTuple

import numpy as np

# Of a float32's 32 bits, in the order of its values: the sign, 8 of the exponent, and 11 of the
# mantissa, so that scores in one bin agree to one part in 2,048.
_KEPT = 20
BINS = 2**_KEPT


class Pixels(NamedTuple):
    """How well pixels' scores tell those of faults from all others.

    Attributes:
      auroc: as `auroc`, scores of one bin taken for ties.
      auroc_uncertainty: how far from `auroc` it may be without bins, at most.
      average_precision: as `average_precision`, scores of one bin taken for ties.
    """

    auroc: float
    auroc_uncertainty: float
    average_precision: float


def auroc(scores, anomalous) -> float:
    """The area under the receiver operating characteristic, in [0, 1]; 0.5 is chance.

    The share of the pairs of a normal and an anomalous example in which the anomalous one has the
    larger score; a tie counts half. That is the Mann-Whitney statistic over the number of pairs
    (Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve", Radiology 143).

    Args:
      scores: f[N], of any type of floats; infinite ones have their order, too.
      anomalous: bool[N].

    Raises:
      ValueError: a score is NaN, or one of both kinds is missing.
    """
    return _area(_at_each_score(scores, anomalous))


def auroc_error(scores, anomalous) -> float:
    """The standard error of `auroc`, as of a sample of examples of each kind.

    DeLong, DeLong and Clarke-Pearson 1988, "Comparing the areas under two or more correlated
    receiver operating characteristic curves", Biometrics 44: an example's placement is the share of
    the other kind that it is on the right side of, and the squared error is the variance of
    placements over the number of examples, added up over both kinds. Unlike the formula of Hanley
    and McNeil 1982 it assumes nothing of how scores are distributed. It is 0 where the kinds do not
    overlap.

    Args: as `auroc`, with two examples of each kind or more.

    Raises:
      ValueError: as `auroc`, or a kind has one example only.
    """
    counts = _at_each_score(scores, anomalous)
    if counts.sum(axis=1).min() < 2:
        raise ValueError("a standard error takes two normal and two anomalous examples")
    squared = 0.0
    for here, others in (counts, counts[::-1]):
        placement = (np.cumsum(others) - others / 2) / others.sum()
        mean = (here * placement).sum() / here.sum()
        variance = (here * (placement - mean) ** 2).sum() / (here.sum() - 1)
        squared += variance / here.sum()
    return float(np.sqrt(squared))


def average_precision(scores, anomalous) -> float:
    """The average precision, in (0, 1]; chance is the share of anomalous examples.

    The sum over thresholds, from the largest score down, of the precision times what the recall
    rises by: Σ (Rₖ - Rₖ₋₁) Pₖ, without interpolation (scikit-learn's definition). Examples of equal
    scores pass a threshold together.

    Args and Raises: as `auroc`.
    """
    return _average_precision(_at_each_score(scores, anomalous))


def pixel_counts(scores, faulty, onto: np.ndarray | None = None) -> np.ndarray:
    """How many pixels of each kind have scores in each of `BINS` bins, i64[2, BINS].

    The counts of several pictures add up, so that memory does not grow with their number. Bins
    follow from the scores' bits: no range has to be known, and those of one bin differ by at most
    1/2,048 of themselves.

    Args:
      scores: f[...], which become float32.
      faulty: bool[...] of the same shape, a mask: where there is a fault. Row 1 of the counts is of
        those pixels, row 0 of all others.
      onto: counts of other pictures, to which these are added in place; None to begin. So a small
        picture costs its pixels, and not `BINS`.

    Raises:
      ValueError: a score is NaN, or the shapes differ.
    """
    scores, faulty = _alike(scores, faulty)
    bits = (scores.astype(np.float32) + 0).view(np.uint32)  # + 0 makes -0 into 0
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    places = (ordered >> np.uint32(32 - _KEPT)).astype(np.int64) + BINS * faulty
    counts = np.zeros((2, BINS), np.int64) if onto is None else onto
    np.add.at(counts.reshape(-1), places, 1)
    return counts


def of_pixel_counts(counts: np.ndarray) -> Pixels:
    """Scores of the sum of `pixel_counts`.

    Raises:
      ValueError: no pixel is faulty, or none is not.
    """
    _check_both(counts)
    normal, anomalous = counts.astype(np.float64)
    tied = (normal * anomalous).sum() / (normal.sum() * anomalous.sum())
    return Pixels(_area(counts), float(tied / 2), _average_precision(counts))


def _at_each_score(scores, anomalous) -> np.ndarray:
    """i64[2, T]: how many normal and anomalous examples have each of T scores, which rise."""
    scores, anomalous = _alike(scores, anomalous)
    distinct, place = np.unique(scores, return_inverse=True)
    counts = np.bincount(place + len(distinct) * anomalous, minlength=2 * len(distinct))
    counts = counts.reshape(2, len(distinct))
    _check_both(counts)
    return counts


def _alike(scores, anomalous) -> tuple[np.ndarray, np.ndarray]:
    """(f[N], bool[N]) of arrays of any shape."""
    scores, anomalous = np.asarray(scores), np.asarray(anomalous)
    if scores.shape != anomalous.shape or anomalous.dtype != bool:
        raise ValueError(
            f"scores {scores.shape} need bool{list(scores.shape)}, not"
            f" {anomalous.dtype}{list(anomalous.shape)}"
        )
    if np.isnan(scores).any():
        raise ValueError("a score is not a number, so that it has no place in their order")
    return scores.ravel(), anomalous.ravel()


def _check_both(counts: np.ndarray) -> None:
    normal, anomalous = counts.sum(axis=1)
    if not (normal and anomalous):
        raise ValueError(f"{normal} normal and {anomalous} anomalous: at least one of each")


def _area(counts: np.ndarray) -> float:
    normal, anomalous = counts.astype(np.float64)
    below = np.cumsum(normal) - normal / 2
    return float((anomalous * below).sum() / (normal.sum() * anomalous.sum()))


def _average_precision(counts: np.ndarray) -> float:
    normal, anomalous = counts[:, counts.any(axis=0)][:, ::-1].astype(np.float64)
    found = np.cumsum(anomalous)
    precision = found / (found + np.cumsum(normal))
    return float((precision * anomalous).sum() / anomalous.sum())
