import jax.numpy as jnp
import numpy as np

from configs import cnn as cnn_config
from genjax.cnn import views

X = np.random.default_rng(0).uniform(-1, 1, (2, 4, 5, 1)).astype(np.float32)


def _network(x):
    """Weighs each pixel differently, so that views differ."""
    weights = jnp.arange(20.0).reshape(1, 4, 5, 1) ** 2
    return jnp.stack([(weights * x).sum((1, 2, 3)), jnp.tanh(x[:, 0, 0, 0])], axis=-1)


def _moved(x, rows: int, border: str):
    """Moved down and right by so many pixels, pixel by pixel."""
    moved = np.empty_like(x)
    for i in range(4):
        for j in range(5):
            y, z = i - rows, j - rows
            inside = 0 <= y < 4 and 0 <= z < 5
            if border == "reflect":
                y, z = (abs(y) if y < 4 else 6 - y), (abs(z) if z < 5 else 8 - z)
                inside = True
            moved[:, i, j] = x[:, y, z] if inside else -1
    return moved


def test_the_mean_over_six_views():
    for border in ("black", "reflect"):
        total = 0
        for rows, share in ((0, 1 / 2), (-1, 1 / 4), (1, 1 / 4)):
            view = _moved(X, rows, border)
            total += share * (_network(view) + _network(view[:, :, ::-1])) / 2
        found = views.mean_logits(True, 1, border, _network, X)
        np.testing.assert_allclose(found, total, rtol=1e-5)


def test_views_are_those_of_the_training():
    config = cnn_config.get_config("arch=airbench,data=folder:PATH,size=32")
    assert views.of(config) == (True, 1, "reflect")
    config.data.flip, config.data.shift = False, 0
    assert views.of(config) == (False, 0, "reflect")
    found = views.mean_logits(*views.of(config), _network, X)
    np.testing.assert_allclose(found, _network(X), rtol=1e-6)
