import jax
import jax.numpy as jnp
import numpy as np

from genjax.cnn.classifier import Classifier, layer_names


def test_shapes_and_taps():
    net = Classifier(classes=7, width=2, blocks=3)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 12, 12, 3)), jnp.float32)
    variables = jax.jit(lambda: net.init(jax.random.key(0), x, train=True))()
    logits = jax.jit(lambda: net.apply(variables, x, train=False))()
    assert logits.shape == (2, 7)
    taps = jax.jit(lambda: net.apply(variables, x, train=False, taps=layer_names(3)))()
    assert {name: tap.shape for name, tap in taps.items()} == {
        "relu1_1": (2, 12, 12, 2),
        "relu1_2": (2, 12, 12, 2),
        "relu2_1": (2, 6, 6, 4),
        "relu2_2": (2, 6, 6, 4),
        "relu3_1": (2, 3, 3, 8),
        "relu3_2": (2, 3, 3, 8),
        "pool": (2, 8),
        "logits": (2, 7),
    }
    # The classifier reads the last layer and nothing else.
    dense = variables["params"]["Dense_0"]
    np.testing.assert_allclose(taps["pool"], taps["relu3_2"].mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(taps["logits"], logits, rtol=1e-4, atol=1e-6)
    expected = taps["pool"] @ dense["kernel"] + dense["bias"][None]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-6)
