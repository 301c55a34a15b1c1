"""Scores of codes, from an encoder that is known: it says the factors themselves."""

import shutil

import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from ml_collections import ConfigDict

from genjax import aggregate, data, runs
from genjax.data.dataset import Factors, Split
from genjax.errors import UserError
from genjax.evaluate import Evaluator, evaluate
from genjax.scores import factors, record
from tests.tiny import tiny


class _Pairs(Split):
    """All combinations of two factors, 6 x 4 times over, as the brightness of two pixels."""

    name, shape = "pairs", (28, 28, 1)
    labels = np.zeros(96, np.int32)

    def __len__(self):
        return 96

    def __getitem__(self, i):
        image = np.zeros(self.shape, np.uint8)
        image[0, :2, 0] = 10 * _values(np.array([i]))[0]
        return {"image": image, "label": np.int32(0)}


def _values(index):
    return np.stack([index % 6, index // 6 % 4], -1).astype(np.int32)


def _posterior(state, batch, key):
    """Means that are the pixels, scaled, in another order, and a third that says nothing."""
    pixels = batch["image"][:, 0, 1::-1, 0].astype(jnp.float32)
    mean = jnp.concatenate([pixels / 10, jnp.zeros((len(pixels), 1))], axis=1)
    return mean, jnp.full(mean.shape, -16.0)


@pytest.fixture
def trained():
    run = runs.build(tiny("vae"))
    known = Factors(("a", "b"), (6, 4), _values, _Pairs())
    dataset = run.dataset._replace(factors=known, test=_Pairs())
    task = run.task._replace(posterior=_posterior)
    return runs.Trained(run._replace(dataset=dataset, task=task), (), 0)


def test_the_code_comes_in_the_order_of_the_pictures(trained):
    evaluator = Evaluator(trained.run)
    found = aggregate.posteriors(trained.run, trained.state, _Pairs(), evaluator.batches)
    np.testing.assert_array_equal(found.means[:, :2], _values(np.arange(96))[:, ::-1])
    assert np.abs(found.draws - found.means).max() < 0.01 and (found.log_variances == -16).all()


def test_a_code_of_the_factors_scores_full_marks(trained):
    found = factors.gaps(trained, Evaluator(trained.run).batches)
    assert found["mig_dlib"][0].value == pytest.approx(1, abs=1e-9)
    assert found["mig_chen"][0].value == pytest.approx(1, abs=0.02)
    assert found["factor_vae"][0].value == 1


def test_units_that_are_active(trained):
    ((value, setting),) = factors.active_units(trained, Evaluator(trained.run).batches).values()
    assert (value.value, setting) == (2, {"of": 3})


def test_the_divergence_of_each_latent_largest_first(trained):
    """Half of the mean of mu^2 + v - 1 - log v: of values 0 to 5, 0 to 3 and 0, v = exp(-16)."""
    found = factors.kl_per_dimension(trained, Evaluator(trained.run).batches)
    value, setting = found["kl_per_dimension"]
    nats = [(x + 15) / 2 for x in (55 / 6, 14 / 4, 0)]
    assert value.about["latents"] == [1, 0, 2] and setting == {}
    assert value.about["nats"] == pytest.approx(nats, rel=1e-6)
    assert value.value == pytest.approx(sum(nats), rel=1e-6)


def test_the_divergences_of_all_latents_are_that_of_the_bound(finished, tmp_path, capsys):
    workdir = epath.Path(shutil.copytree(finished("vae"), tmp_path / "run"))
    evaluate(tiny("vae", **{"score.metrics": ("kl_per_dimension",)}), workdir)
    records = {each["metric"]: each for each in record.read(workdir)}
    found = records["kl_per_dimension"]
    assert found["value"] == pytest.approx(records["eval/kl"]["value"], rel=1e-5)
    assert sum(found["nats"]) == pytest.approx(found["value"])
    assert found["nats"] == sorted(found["nats"], reverse=True) and len(found["latents"]) == 4


def test_the_divergence_from_a_prior_of_all_latents_is_one_line():
    trained = runs.Trained(runs.build(tiny("vamp")), (), 0)
    with pytest.raises(UserError, match="leave kl_per_dimension out of score"):
        factors.kl_per_dimension(trained, None)


def test_what_has_no_factors_or_no_code(finished):
    trained = runs.open_trained(tiny("vae"), finished("vae"))
    with pytest.raises(UserError, match=r"set data\.name=shapes"):
        factors.gaps(trained, None)
    trained = runs.open_trained(tiny("dcgan"), finished("dcgan"))
    with pytest.raises(UserError, match="task='gan' has no posteriors"):
        factors.active_units(trained, None)


def test_sprites_can_be_asked():
    assert data.open_dataset(ConfigDict({**tiny("vae").data, "name": "shapes", "size": 64})).factors
