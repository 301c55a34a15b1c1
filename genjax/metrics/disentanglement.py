"""How well single dimensions of a code stand for single factors of variation.

A code is f32[N, D], for N examples whose factors are known, i32[N, F]; D and F are at least 2. One
name stands for several definitions in the literature. Here DLIB is
github.com/google-research/disentanglement_lib, the code of Locatello et al. 2019, arXiv:1811.12359,
whose settings are the defaults; where the authors of a score have another definition, both are here
under different names. Information is in nats; each score lies in [0, 1], and 1 is the best.

What a code may reach depends on the data as well: of `data=shapes`, docs/vae.md says it.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from genjax.metrics import posteriors
from genjax.metrics.posteriors import DRAWS, Posteriors

POINTS = 10_000  # examples that DLIB takes for a MIG, and for training a DCI
TEST_POINTS = 5_000  # and for testing a DCI
BINS = 20

# Factors that Chen et al. leave out: of dSprites, the one whose values have no order.
LEFT_OUT = ("shape",)

# DLIB's FactorVAE score.
_BATCH, _VOTES, _TEST_VOTES = 64, 10_000, 5_000
_LEAST_DEVIATION = 0.05


def mig_dlib(means: np.ndarray, factors: np.ndarray, bins: int = BINS) -> float:
    """The mutual information gap in the definition of DLIB (`mig.py`).

    Of each factor, the information of the dimension that tells most of it less that of the second,
    over the entropy of the factor among the examples; the mean over all factors. DLIB takes
    `POINTS` examples.

    Args:
      means: f32[N, D], the means of q(z | x).
      factors: i32[N, F], each of at least two values.
      bins: into how many of equal width a dimension is divided, from its least to its greatest
        value. A factor of more values than bins cannot reach a gap of 1.
    """
    entropies = np.array([_entropy(np.bincount(values)) for values in factors.T])
    if not entropies.all():
        raise ValueError("a factor that has one value in all examples tells nothing of a code")
    return _gap(information(means, factors, bins), entropies)


def mig_chen(
    encoded: Posteriors,
    factors: np.ndarray,
    names: Sequence[str],
    sizes: Sequence[int],
    seed: int,
    n: int = DRAWS,
) -> float:
    """The mutual information gap in the definition of its authors, who train β-TCVAE with it.

    Chen et al. 2018, arXiv:1802.04942, equation 6 and their `disentanglement_metrics.py`: the
    information is that of samples of q(z | x) under the aggregated posterior (`posteriors`), what
    is below 0 counts as 0, the entropy is the logarithm of the factor's size, and the mean is over
    all factors but those of `LEFT_OUT`. The authors take every example of the set.

    Args:
      encoded: f32[N, D] each, of examples that have each value of each factor equally often.
      factors: i32[N, F].
      names, sizes: of the factors.
      seed, n: of `posteriors.information`.
    """
    counted = [j for j, name in enumerate(names) if name not in LEFT_OUT]
    for j in counted:
        if (found := len(np.unique(factors[:, j]))) != sizes[j]:
            raise ValueError(f"the examples have {found} of the {sizes[j]} values of {names[j]}")
    found = posteriors.information(encoded, factors[:, counted], seed, n)
    return _gap(np.maximum(found, 0), np.log([sizes[j] for j in counted]))


def information(means: np.ndarray, factors: np.ndarray, bins: int = BINS) -> np.ndarray:
    """f64[D, F]: mutual information of dimensions in bins and factors, in nats.

    Args: as of `mig_dlib`.
    """
    found = np.empty((means.shape[1], factors.shape[1]))
    for i, code in enumerate(means.T.astype(np.float64)):
        binned = np.digitize(code, np.histogram_bin_edges(code, bins)[1:-1])
        for j, values in enumerate(factors.T):
            joint = np.bincount(values * bins + binned)
            apart = _entropy(np.bincount(binned)) + _entropy(np.bincount(values))
            found[i, j] = apart - _entropy(joint)
    return found


def _entropy(counts: np.ndarray) -> float:
    """The entropy in nats of a distribution that has given so many examples of each value."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _gap(information: np.ndarray, entropies: np.ndarray) -> float:
    """The mean over factors of (largest - second largest of f64[D, F]) / entropy f64[F]."""
    ordered = np.sort(information, axis=0)
    return float(((ordered[-1] - ordered[-2]) / entropies).mean())


def dci(
    means: np.ndarray,
    factors: np.ndarray,
    test_means: np.ndarray,
    test_factors: np.ndarray,
    seed: int,
) -> dict[str, float]:
    """`disentanglement`, `completeness` and `informativeness`, as DLIB has them (`dci.py`).

    Eastwood and Williams 2018, openreview.net/forum?id=By-7dz-AZ. Of each factor, scikit-learn's
    GradientBoostingClassifier with its defaults predicts the value from the code; its importances
    make R f64[D, F]. `informativeness` is the mean accuracy for test examples,
    `informativeness_train` that for those trained on. (The paper predicts by lasso and random
    forests, and reports errors.)

    It takes a core some minutes for each factor of 40 values, of `POINTS` examples to train on;
    factors are trained for at the same time, one a core.

    Args:
      means, factors: f32[N, D] and i32[N, F], to train on; DLIB takes `POINTS` examples.
      test_means, test_factors: of other examples; DLIB takes `TEST_POINTS`.
      seed: of the trees, which look at dimensions in random order.
    """

    def of_factor(j: int):
        from sklearn.ensemble import GradientBoostingClassifier

        model = GradientBoostingClassifier(random_state=seed)
        model.fit(means, factors[:, j])
        right = model.score(test_means, test_factors[:, j]), model.score(means, factors[:, j])
        return abs(model.feature_importances_), *right

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(of_factor, range(factors.shape[1]))
        importances, right, right_train = (np.stack(x, -1) for x in zip(*found, strict=True))
    return {
        "disentanglement": disentanglement(importances),
        "completeness": completeness(importances),
        "informativeness": float(right.mean()),
        "informativeness_train": float(right_train.mean()),
    }


def disentanglement(importances: np.ndarray) -> float:
    """Whether each dimension is important for one factor alone, from R f64[D, F], at least 0.

    Σ_i w_i (1 - H_F(R_i)), w_i being the share of row i in the sum of R, and H_F the entropy of the
    row's shares with the logarithm to base F. To each entry 1e-11 is added first, as DLIB does.
    """
    shares = importances + 1e-11
    shares = shares / shares.sum(1, keepdims=True)
    entropies = -(shares * np.log(shares)).sum(1) / np.log(importances.shape[1])
    # Where nothing is important at all, all rows weigh alike.
    weights = importances.sum(1) if importances.any() else np.ones(len(importances))
    return float((1 - entropies) @ weights / weights.sum())


def completeness(importances: np.ndarray) -> float:
    """Whether one dimension alone is important for each factor: of R's columns what
    `disentanglement` is of its rows, with the logarithm to base D."""
    return disentanglement(importances.T)


def factor_vae(means: np.ndarray, factors: np.ndarray, seed: int) -> dict[str, float]:
    """`factor_vae`, the accuracy of Kim and Mnih 2018, arXiv:1802.05983, section 4, for votes that
    it was not made from; `factor_vae_train`, for those that it was.

    A vote: one factor is held at a random value while 64 examples are drawn; of the dimension that
    varies least among them, in units of its variance over 10,000 examples, the classifier says
    which factor it was. It says what most of 10,000 votes with this dimension had, and 5,000 new
    votes judge it. A dimension whose standard deviation is below 0.05 has no vote: DLIB's code
    (`factor_vae.py`) compares the deviation, although the threshold is often told as one of the
    variance. Without any dimension left, both are 0.

    Args:
      means, factors: f32[N, D] and i32[N, F] of the examples to draw from, with replacement: all
        combinations of the factors for the published definition.
      seed: of what is drawn.
    """
    rng = np.random.default_rng(seed)
    drawn = means[rng.integers(len(means), size=POINTS)]
    variances = drawn.var(0, ddof=1, dtype=np.float64)
    kept = np.sqrt(variances) >= _LEAST_DEVIATION
    if not kept.any():
        return {"factor_vae": 0.0, "factor_vae_train": 0.0}
    scaled = means[:, kept] / np.sqrt(variances[kept]).astype(np.float32)
    votes, new = (_votes(scaled, factors, rng, n) for n in (_VOTES, _TEST_VOTES))
    says = votes.argmax(0), np.arange(votes.shape[1])
    return {
        "factor_vae": float(new[says].sum() / new.sum()),
        "factor_vae_train": float(votes[says].sum() / votes.sum()),
    }


def _votes(scaled: np.ndarray, factors: np.ndarray, rng, n: int) -> np.ndarray:
    """i64[F, D]: of n votes, how many had this factor held and this dimension varying least."""
    votes = np.zeros((factors.shape[1], scaled.shape[1]), np.int64)
    held = rng.integers(len(votes), size=n)
    for j, values in enumerate(factors.T):
        times = np.count_nonzero(held == j)
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        value = rng.choice(np.unique(values), size=times)
        start, end = (np.searchsorted(ordered, value, side) for side in ("left", "right"))
        place = rng.integers(start[:, None], end[:, None], size=(times, _BATCH))
        variances = scaled[order[place]].var(1, ddof=1)
        votes[j] = np.bincount(variances.argmin(1), minlength=scaled.shape[1])
    return votes
