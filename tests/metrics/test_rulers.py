"""Rulers: what is known of a feature network as it measures."""

import jax
import numpy as np
import pytest

from genjax import images
from genjax.metrics import rulers
from genjax.metrics.rulers import Ruler
from tests.scores.stub import pictures, ruler


def test_the_fingerprint_is_of_names_shapes_and_numbers():
    net = ruler()
    assert net.fingerprint == ruler().fingerprint
    kernel = net.weights["kernel"]
    for weights in (
        {"kernel": kernel + np.float32(1e-3)},
        {"other": kernel},
        {"kernel": kernel.reshape(2, -1, 6)},
    ):
        assert net._replace(weights=weights).fingerprint != net.fingerprint


def test_pictures_come_as_rgb_in_0_to_1_whatever_their_number():
    def apply(weights, x):
        return {"features": x.mean((1, 2)), "logits": x.max((1, 2))}

    meter = rulers.Meter(Ruler("plain", {"x": np.zeros(1)}, "none", None, apply))
    grey = pictures(70, channels=1)  # more than one batch
    found = meter(grey)
    expected = np.repeat(grey.astype(np.float64) / 255, 3, -1)
    np.testing.assert_allclose(found["features"], expected.mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(found["logits"], expected.max((1, 2)), atol=1e-6)


@pytest.mark.parametrize("name", ["cnn", pytest.param("cnn-airbench", marks=pytest.mark.slow)])
def test_a_classifier_trained_here_is_a_ruler(name, finished):
    workdir = finished(name)
    found = rulers.load(f"cnn:{workdir}")
    assert (found.name, found.resizer, found.side) == ("cnn", "none", None)
    array = pictures(9, size=8)
    values = rulers.Meter(found)(array)
    assert values["logits"].shape == (9, 10)
    assert values["features"].ndim == 2
    again = jax.jit(found.apply)(found.weights, array.astype(np.float32) / 255)
    np.testing.assert_allclose(values["logits"], again["logits"], atol=1e-5)


@pytest.mark.slow
def test_vgg_tells_a_photograph_from_its_negative():
    photograph = images.fit(images.load("astronaut"), 64)
    both = np.stack([photograph, photograph, 255 - photograph])
    first, same, other = rulers.Meter(rulers.load("vgg16"))(both)["features"]
    assert first.shape == (512,)
    np.testing.assert_allclose(first, same, rtol=1e-5, atol=1e-6)
    assert np.linalg.norm(first - other) > 0.1 * np.linalg.norm(first)
