"""What averaged generators draw: truncated, of one class, with standing statistics."""

import jax
import numpy as np
import pytest

from genjax import rng, runs
from genjax.errors import UserError
from genjax.gan import dcgan
from tests.tiny import tiny, with_values

INDEX = np.arange(4, dtype=np.int32)


def _trained(finished, name, **values):
    keys = {f"sample.{key}": value for key, value in values.items()}
    return runs.open_trained(tiny(name, **keys), finished(name))


def test_at_psi_0_all_latents_give_the_picture_of_the_mean_style(finished):
    trained = _trained(finished, "stylegan2", psi=0.0)
    pictures = runs.draw(trained, 4, seed=0)
    np.testing.assert_array_equal(pictures, pictures[:1].repeat(4, 0))
    latents, key = trained.run.task.latents, rng.stream(0, rng.Stream.SAMPLE)
    mean = np.asarray(trained.state.average["batch_stats"]["mapping"]["mean"])
    points = jax.jit(latents.points)
    at, whole, half = (
        np.asarray(points(trained.state, key, INDEX, psi)) for psi in (0.0, 1.0, 0.5)
    )
    np.testing.assert_array_equal(at, np.tile(mean, (4, 1)))
    np.testing.assert_allclose(half, (whole + mean) / 2, rtol=1e-5, atol=1e-6)


def test_truncated_latents_are_what_samples_are_of(finished):
    trained = _trained(finished, "dcgan", threshold=0.5)
    latents, key = trained.run.task.latents, rng.stream(0, rng.Stream.SAMPLE)
    z = latents.points(trained.state, key, np.arange(8), latents.level)
    assert np.abs(z).max() <= 0.5
    decoded = jax.jit(trained.run.task.decode)(trained.state, z, np.arange(8))
    np.testing.assert_allclose(runs.draw(trained, 8, seed=0) / 255, decoded, atol=1 / 127.5)


def test_samples_of_one_class(finished):
    one = _trained(finished, "cgan", label=3)
    sampler = runs.sampler(one.run, 5, seed=0)
    np.testing.assert_array_equal(sampler.labels, [3] * 5)
    assert sampler.classes == 0
    # Sample 3 is of class 3 where classes are in turn, and so the same.
    in_turn = runs.draw(_trained(finished, "cgan"), 5, seed=0)
    found = sampler(one.state)
    np.testing.assert_array_equal(found[3], in_turn[3])
    assert (found[2] != in_turn[2]).any()


def test_standing_statistics_are_means_of_batches(finished):
    """Of two batches of 8, from what one pass in training mode makes of the running ones."""
    trained = _trained(finished, "dcgan", standing=2)
    config, average = trained.run.config, trained.state.average
    settled = runs.settler(trained.run, seed=5)(trained.state).average
    generator = dcgan.networks(config.model, (8, 8, 1))[0]
    key = jax.random.fold_in(rng.stream(5, rng.Stream.SAMPLE), 2**32 - 1)

    @jax.jit
    def kept(index):
        z = rng.normal(key, index, (config.model.latent,))
        return generator.apply(average, z, index, train=True, mutable=["batch_stats"])[1]

    passes = [kept(np.arange(first, first + 8))["batch_stats"] for first in (0, 8)]

    def compare(found, old, *new):
        expected = sum((x - 0.9 * old) / 0.1 for x in new) / 2
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-5)

    jax.tree.map(compare, settled["batch_stats"], average["batch_stats"], *passes)
    for a, b in zip(*map(jax.tree.leaves, (settled["params"], average["params"])), strict=True):
        np.testing.assert_array_equal(a, b)
    # Samples are drawn by them.
    plain = _trained(finished, "dcgan")
    replaced = trained.state.replace(average=settled)
    np.testing.assert_array_equal(
        runs.draw(trained, 4, seed=5), runs.draw(plain._replace(state=replaced), 4, seed=5)
    )


@pytest.mark.parametrize(
    ("name", "key", "value", "said"),
    [
        ("dcgan", "psi", 0.7, "needs a generator with a mapping .* set sample.psi=1 and"),
        ("stylegan2", "threshold", 0.7, "set sample.threshold=0 and sample.psi"),
        ("stylegan2", "standing", 4, "needs a generator with BatchNorm.* sample.standing=0"),
        ("cgan", "label", 10, "knows the classes 0 to 9; -1 is for each in turn"),
        ("dcgan", "label", 0, "knows no classes"),
        ("dcgan", "label", -2, "at least -1"),
        ("dcgan", "threshold", -0.5, "at least 0"),
    ],
)
def test_what_a_generator_has_not_is_one_line(name, key, value, said):
    with pytest.raises(UserError, match=f"^sample.{key}={value}.*{said}"):
        runs.build(with_values(tiny(name), **{f"sample.{key}": value}))
