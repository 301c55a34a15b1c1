"""Scores of codes that are made by hand: one to one, twice, turned, and of noise."""

import numpy as np
import pytest
import scipy.stats
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import mutual_info_score

from genjax.metrics import disentanglement
from genjax.metrics.disentanglement import completeness, dci, factor_vae, mig_chen, mig_dlib
from genjax.metrics.posteriors import Posteriors


def combinations(*sizes: int) -> np.ndarray:
    """i64[N, F]: all values of factors of these sizes."""
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), 1)


def drawn(means, deviation, seed=0) -> Posteriors:
    noise = deviation * np.random.default_rng(seed).standard_normal(means.shape)
    parts = means + noise, means, np.full(means.shape, 2 * np.log(deviation))
    return Posteriors(*(np.asarray(x, np.float32) for x in parts))


NAMES = ("shape", "scale", "x")


class TestMigDlib:
    def test_one_to_one(self):
        factors = combinations(2, 3, 5)
        code = np.stack([*(factors * [3.0, -1, 0.1]).T, np.full(30, 7)], 1)[:, [2, 0, 3, 1]]
        assert mig_dlib(code.astype(np.float32), factors) == pytest.approx(1)

    def test_twice(self):
        factors = combinations(2, 3)
        assert mig_dlib(np.repeat(factors, 2, 1) / 1.0, factors) == pytest.approx(0, abs=1e-12)

    def test_turned(self):
        """Of a + b and a - b, bits, each has log 2 / 2 of information of each. Beside a alone,
        a + b leaves a gap of a half for both: log 2 and log 2 / 2 of a, 0 and log 2 / 2 of b."""
        factors = combinations(2, 2)
        a, b = factors.T / 1.0
        turned = np.stack([a + b, a - b], 1)
        assert disentanglement.information(turned, factors) == pytest.approx(np.log(2) / 2)
        assert mig_dlib(turned, factors) == pytest.approx(0, abs=1e-12)
        assert mig_dlib(np.stack([a, a + b], 1), factors) == pytest.approx(0.5)

    def test_noise(self):
        rng = np.random.default_rng(0)
        noise = rng.standard_normal((10_000, 4)).astype(np.float32)
        assert mig_dlib(noise, np.arange(10_000)[:, None] % 4) < 2e-3

    def test_more_values_than_bins(self):
        """40 values in 20 bins, two in each: log 20 of log 40."""
        factors = combinations(40, 2)
        found = mig_dlib(factors / 1.0, factors)
        assert found == pytest.approx((np.log(20) / np.log(40) + 1) / 2)

    def test_as_dlib_writes_it(self):
        rng = np.random.default_rng(0)
        factors = rng.integers(0, (3, 6), (400, 2))
        code = (factors @ rng.standard_normal((2, 3)) + rng.standard_normal((400, 3))).T
        binned = [np.digitize(z, np.histogram(z, 20)[1][:-1]) for z in code]
        m = np.array([[mutual_info_score(y, z) for y in factors.T] for z in binned])
        entropies = [mutual_info_score(y, y) for y in factors.T]
        ordered = np.sort(m, 0)[::-1]
        expected = np.mean((ordered[0] - ordered[1]) / entropies)
        assert mig_dlib(code.T, factors) == pytest.approx(expected, rel=1e-9)
        assert expected > 0.05

    def test_a_factor_of_one_value(self):
        with pytest.raises(ValueError, match="one value in all examples"):
            mig_dlib(np.ones((4, 2)), combinations(4, 1))


class TestMigChen:
    def test_one_to_one(self):
        """Narrow posteriors apart from each other: the information is log 3 and log 4; the shape,
        of which the code knows nothing, does not count."""
        factors = combinations(2, 3, 4)
        encoded = drawn(factors[:, [2, 1, 0]] * [1.0, 1, 0], 0.01)
        assert mig_chen(encoded, factors, NAMES, (2, 3, 4), seed=0) == pytest.approx(1, abs=1e-4)

    def test_twice(self):
        factors = combinations(2, 3, 4)
        encoded = drawn(np.tile(factors, 2) / 1.0, 0.01)
        found = mig_chen(encoded, factors, NAMES, (2, 3, 4), seed=0)
        assert found == pytest.approx(0, abs=1e-4)

    def test_without_information(self):
        factors = combinations(1, 20, 20)
        found = mig_chen(drawn(np.zeros((400, 3)), 1.0), factors, NAMES, (1, 20, 20), seed=0)
        assert found == pytest.approx(0, abs=1e-5)

    def test_turned(self):
        """As of `mig_dlib`: log 2 and log 2 / 2 of one bit, 0 and log 2 / 2 of the other."""
        factors = combinations(3, 2, 2)
        _, a, b = factors.T / 1.0
        encoded = drawn(np.stack([a, a + b], 1), 0.01)
        assert mig_chen(encoded, factors, NAMES, (3, 2, 2), 0) == pytest.approx(0.5, abs=1e-4)

    def test_examples_that_lack_a_value(self):
        factors = combinations(2, 3, 4)[:-4]
        with pytest.raises(ValueError, match="have 3 of the 4 values of x"):
            some = factors[factors[:, 2] != 1]
            mig_chen(drawn(some / 1.0, 0.1), some, NAMES, (2, 3, 4), seed=0)


class TestDci:
    def test_importances_by_hand(self):
        """Rows (1, 0) and (½, ½) weigh alike and score 1 and 0. Columns have (⅔, ⅓), whose entropy
        is 0.918 bits, with three quarters of the weight, and (0, 1) with a quarter."""
        r = np.array([[1, 0], [0.5, 0.5]])
        assert disentanglement.disentanglement(r) == pytest.approx(0.5)
        bits = -(2 / 3 * np.log2(2 / 3) + 1 / 3 * np.log2(1 / 3))
        assert completeness(r) == pytest.approx(0.75 * (1 - bits) + 0.25)
        for each in (disentanglement.disentanglement, completeness):
            assert each(np.eye(4)) == pytest.approx(1)
            assert each(np.ones((4, 3))) == pytest.approx(0, abs=1e-9)
            assert each(np.zeros((4, 3))) == pytest.approx(0, abs=1e-9)

    def test_as_dlib_writes_it(self):
        rng = np.random.default_rng(0)
        factors = rng.integers(0, (2, 3), (80, 2))
        code = np.stack([factors.sum(1), factors[:, 1], rng.standard_normal(80)], 1)
        code = (code + 0.3 * rng.standard_normal(code.shape)).astype(np.float32)
        r, right = np.zeros((3, 2)), []
        for j in range(2):
            model = GradientBoostingClassifier(random_state=3).fit(code[:50], factors[:50, j])
            r[:, j] = model.feature_importances_
            right.append(np.mean(model.predict(code[50:]) == factors[50:, j]))
        rows = 1 - scipy.stats.entropy(r.T + 1e-11, base=2)
        columns = 1 - scipy.stats.entropy(r + 1e-11, base=3)
        found = dci(code[:50], factors[:50], code[50:], factors[50:], seed=3)
        assert found == pytest.approx(
            {
                "disentanglement": rows @ r.sum(1) / r.sum(),
                "completeness": columns @ r.sum(0) / r.sum(),
                "informativeness": np.mean(right),
                "informativeness_train": 1,
            }
        )
        assert 0.1 < found["disentanglement"] < 0.9

    def test_one_to_one(self):
        factors = np.tile(combinations(2, 2), (5, 1))
        found = dci(factors[:, ::-1] / 1.0, factors, factors[:4, ::-1] / 1.0, factors[:4], seed=0)
        assert list(found.values()) == pytest.approx([1, 1, 1, 1])


class TestFactorVae:
    def test_one_to_one(self):
        factors = combinations(3, 4, 5)
        code = np.concatenate([factors[:, ::-1] * [0.1, 1, 30], np.zeros((60, 1))], 1)
        assert factor_vae(code, factors, 0) == {"factor_vae": 1, "factor_vae_train": 1}

    def test_twice_is_as_good(self):
        """The score asks what a dimension stands for, not whether it is the only one."""
        factors = combinations(3, 4)
        assert factor_vae(np.tile(factors, 2) / 1.0, factors, 0)["factor_vae"] == 1

    def test_noise_is_guessing(self):
        noise = np.random.default_rng(0).standard_normal((2000, 2)).astype(np.float32)
        found = factor_vae(noise, combinations(4, 5, 5, 20), 0)
        assert found["factor_vae"] == pytest.approx(0.25, abs=0.03)

    def test_dimensions_below_a_deviation_have_no_vote(self):
        """The threshold is one of the deviation: a variance of 0.06² would be far below 0.05."""
        factors = combinations(20, 20)
        code = factors / factors.std(0)
        assert factor_vae(0.06 * code, factors, 0)["factor_vae"] == 1
        assert factor_vae(0.04 * code, factors, 0) == {"factor_vae": 0, "factor_vae_train": 0}

    def test_as_dlib_writes_it(self):
        rng = np.random.default_rng(0)
        factors = combinations(4, 6)
        code = factors @ np.array([[1, 0.6, 0], [0.3, 1, 0.1]]) + rng.standard_normal((24, 3))
        spread, votes = code.var(0, ddof=1), np.zeros((2, 3))
        for _ in range(1500):
            j, drawn = rng.integers(2), rng.integers((4, 6), size=(64, 2))
            drawn[:, j] = drawn[0, j]
            index = np.ravel_multi_index(drawn.T, (4, 6))
            votes[j, np.argmin(code[index].var(0, ddof=1) / spread)] += 1
        expected = votes.max(0).sum() / votes.sum()
        found = factor_vae(code, factors, 0)["factor_vae"]
        assert found == pytest.approx(expected, abs=0.04) and 0.6 < expected < 0.98
