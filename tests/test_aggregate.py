"""A prior that is fitted after training: of which latents, by whom it is used, and what says so."""

import math
import shutil

import numpy as np
import pytest
from etils import epath

from genjax import aggregate, data, mixtures, rng, runs
from genjax.errors import UserError
from genjax.sample import sample
from genjax.scores import pictures
from tests.tiny import tiny

_MIXED = {"sample.prior": "mixture", "sample.n": 4}


@pytest.fixture
def workdir(finished, tmp_path):
    return epath.Path(shutil.copytree(finished("vae"), tmp_path / "run"))


def _latent(trained, n=2000):
    """f32[n, L], the latents of a run's samples."""
    key, places = rng.stream(0, rng.Stream.SAMPLE), np.arange(n)
    return np.asarray(trained.run.task.latents.points(trained.state, key, places, math.inf))


def test_samples_follow_the_latents_of_the_training_pictures(workdir):
    trained = runs.open_trained(tiny("vae", **_MIXED), workdir, with_data=False)
    plain = runs.open_trained(tiny("vae"), workdir)
    batches = lambda split: data.evaluation_batches(split, 8, np.arange(8))  # noqa: E731
    encoded = aggregate.posteriors(plain.run, plain.state, plain.run.dataset.train, batches)
    found = _latent(trained)
    np.testing.assert_allclose(found.mean(0), encoded.draws.mean(0), atol=0.1)
    np.testing.assert_allclose(np.cov(found.T), np.cov(encoded.draws.T), atol=0.15)
    about = pictures.of_trained(trained, "run", 4, 0).about
    assert about["prior"] == "mixture"
    assert "prior" not in pictures.of_trained(plain, "run", 4, 0).about
    assert trained.run.task.decode is None  # whose latents are taken for normal


def test_what_is_kept_is_fitted_once_for_a_state(workdir, monkeypatch):
    sample(tiny("vae", **_MIXED), workdir)
    first = np.load(workdir / "samples.npz")["images"]
    sample(tiny("vae", **{"sample.n": 4}), workdir)
    assert (np.load(workdir / "samples.npz")["images"] != first).any()
    fit, fitted = mixtures.fit, []
    monkeypatch.setattr(mixtures, "fit", lambda points: fitted.append(len(points)) or fit(points))
    sample(tiny("vae", **_MIXED), workdir)
    np.testing.assert_array_equal(np.load(workdir / "samples.npz")["images"], first)
    assert not fitted
    runs.open_trained(tiny("vae", **_MIXED), workdir, "8")  # another state
    assert fitted == [4500]


def test_runs_without_normal_posteriors_are_refused(finished, workdir):
    run = runs.build(tiny("vae", **_MIXED))
    run = run._replace(task=run.task._replace(posterior=None))
    with pytest.raises(UserError, match=r"needs normal posteriors: set sample\.prior=model"):
        aggregate.with_mixture(run, (), workdir)
