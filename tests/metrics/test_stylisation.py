"""The ruler of stylised pictures against NumPy and SciPy, and what it says of doing nothing."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from skimage import data

from genjax.cnn import vgg
from genjax.metrics import stylisation

pytestmark = pytest.mark.slow  # VGG16 and AlexNet, whole


def picture(image, side=48):
    return jnp.asarray(image[:side, :side, :3] / 255, jnp.float32)


def test_scores_as_written_out_in_numpy():
    weights = stylisation.load()
    content, painting = picture(data.astronaut()), picture(data.coffee())
    result = 0.7 * content + 0.3 * painting
    style = stylisation.style_of(weights, [painting])
    found = stylisation.scores(weights, content, style, result)
    layers = (*stylisation.STYLE_LAYERS, "relu4_2")
    a, b, c = (
        {
            k: np.asarray(v, np.float64)[0]
            for k, v in vgg.apply(weights.vgg, x[None], layers).items()
        }
        for x in (content, painting, result)
    )
    error = np.square(a["relu4_2"] - c["relu4_2"]).mean() / np.square(a["relu4_2"]).mean()
    assert found["content_loss"] == pytest.approx(error, rel=1e-4)
    gram, distance = [], []
    for layer in stylisation.STYLE_LAYERS:
        x, y = (f[layer].reshape(-1, f[layer].shape[-1]) for f in (c, b))
        g, g_wanted = x.T @ x / len(x), y.T @ y / len(y)
        gram.append(np.square(g - g_wanted).sum() / np.square(g_wanted).sum())
        between = np.square(x.mean(0) - y.mean(0)).sum()
        s, t = np.cov(x.T), np.cov(y.T)
        eye = 1e-9 * np.eye(len(s))
        root = scipy.linalg.sqrtm((s + eye) @ (t + eye)).real
        between += np.trace(s + t - 2 * root)
        distance.append(between / np.trace(g_wanted))
    assert found["style_loss"] == pytest.approx(np.mean(gram), rel=1e-4)
    assert found["style_frechet"] == pytest.approx(np.mean(distance), rel=1e-2)
    # Doing nothing keeps the content whole and is as far from the style as before.
    unchanged = stylisation.scores(weights, content, style, content)
    assert unchanged["content_loss"] == 0
    assert unchanged["lpips"] == 0
    assert unchanged["ssim"] == pytest.approx(1)
    assert unchanged["style_loss"] > found["style_loss"] > 0
    # The style itself has no distance to itself, and nothing of the content.
    whole = stylisation.scores(weights, content, style, painting)
    assert whole["style_loss"] == pytest.approx(0, abs=1e-10)
    assert whole["style_frechet"] == pytest.approx(0, abs=1e-4)
    assert whole["content_loss"] > found["content_loss"]


def test_several_pictures_are_one_style():
    weights = stylisation.load()
    one, other = picture(data.astronaut(), 32), picture(data.coffee(), 32)
    both = stylisation.style_of(weights, [one, other])["relu2_1"]
    each = [
        np.asarray(vgg.apply(weights.vgg, x[None], ("relu2_1",))["relu2_1"]) for x in (one, other)
    ]
    together = np.concatenate([x.reshape(-1, 128) for x in each])
    assert both.n == len(together)
    assert both.mean == pytest.approx(together.mean(0), abs=1e-5)
