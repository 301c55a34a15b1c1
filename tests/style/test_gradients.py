"""Normalised gradients, against what they are of features that are linear in the pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import style as style_config
from genjax import runs
from genjax.cnn.features import FeatureNet
from genjax.errors import UserError
from genjax.style import gradients
from genjax.style import objective as style_objective
from tests.tiny import tiny


def test_a_gradient_gets_a_size_in_each_picture_and_zero_stays_zero():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 2, 2, 4)), jnp.float32)
    x = x.at[2].set(0.0)

    def loss(x):
        found = gradients.normalised(x, 5.0)
        return jnp.sum(found**2) * 1e-6

    value, found = jax.value_and_grad(loss)(x)
    np.testing.assert_allclose(value, 1e-6 * jnp.sum(x**2), rtol=1e-6)
    np.testing.assert_allclose(jnp.abs(found).sum((1, 2, 3)), [5.0, 5.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(found[0], 5 * x[0] / jnp.abs(x[0]).sum(), rtol=1e-6)


def test_each_layer_counts_by_its_weights():
    """Worked out in NumPy: each layer's own gradient by its features, normalised, and put back."""
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(3, 5)), rng.normal(size=(3, 4))
    picture, content, style = rng.uniform(size=(3, 1, 6, 7, 3))

    def apply(weights, x, layers):
        return {name: x @ weights[name] for name in layers}

    weights = {"relu1_1": jnp.float32(first), "relu2_1": jnp.float32(second)}
    net = FeatureNet("linear", tuple(weights), weights, apply)
    config = style_config.get_config()
    config.content_loss.update(layers=("relu2_1",), weight=3.0)
    config.style_loss.update(layers=("relu1_1", "relu2_1"), weights=(2.0, 0.25), weight=7.0)
    objective = style_objective.make(config, net, normalize=True)
    target = objective.content_target(weights, jnp.float32(content))
    grams = objective.style_target(weights, [jnp.float32(style)])

    def total(x):
        return objective.pieces(weights, x, target, grams)["total"][0]

    def unit(gradient):
        return gradient / np.abs(gradient).sum()

    def gram(features):
        flat = features.reshape(-1, features.shape[-1])
        return flat.T @ flat / len(flat)

    def by_style(matrix):
        features = picture @ matrix
        return features @ (gram(features) - gram(style @ matrix))

    # Torchvision's features are made 68 to 196 times as large, and so is what comes back from them.
    expected = (
        3.0 * 158 * unit((picture - content) @ second) @ second.T
        + 7.0 * 2.0 * 70 * unit(by_style(first)) @ first.T
        + 7.0 * 0.25 * 196 * unit(by_style(second)) @ second.T
    )
    found = jax.grad(total)(jnp.float32(picture))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer.name": "lbfgs"}, r"line search of 'lbfgs' .*optimizer.name=adam"),
        ({"tile": "16"}, r"which no tile has: .*tile=0"),
    ],
)
def test_what_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        runs.build(tiny("style-adam", **{"normalize_gradients": True} | changes))
