"""Scores that need a run's latents."""

import numpy as np
import pytest

from genjax import rng, runs
from genjax.errors import UserError
from genjax.scores import generators
from tests.tiny import tiny


def test_pictures_too_small_and_runs_without_latents_are_refused(finished):
    with pytest.raises(UserError, match="pictures of 16 px or more, not of 8"):
        generators.of(runs.open_trained(tiny("dcgan"), finished("dcgan")), 4)
    with pytest.raises(UserError, match="task='cnn' has no latents"):
        generators.of(runs.open_trained(tiny("cnn"), finished("cnn")), 4)


@pytest.mark.parametrize(("name", "low"), [("dcgan", 1 / 127.5), ("vae", 1 / 255)])
def test_what_is_decoded_is_what_is_sampled(name, low, finished):
    """To a level: samples are rounded."""
    trained = runs.open_trained(tiny(name), finished(name))
    task, key = trained.run.task, rng.stream(0, rng.Stream.SAMPLE)
    index = np.arange(6, dtype=np.int32)
    z = rng.normal(key, index, (trained.run.config.model.latent,))
    found = task.decode(trained.state, z, index)
    pictures = np.asarray(task.sample(trained.state, key, index)) / 255
    np.testing.assert_allclose(found, pictures, atol=low)


@pytest.mark.slow
def test_the_record_of_a_path_length(finished):
    trained = runs.open_trained(tiny("vae"), finished("vae"))
    found = generators.of(trained, 40)
    assert found["value"] > 0 and found["error"] > 0 and found["n_fake"] == 40
    assert (found["metric"], found["parameters"]) == ("path_length", "raw")
    assert generators.of(trained, 40)["value"] == found["value"]
