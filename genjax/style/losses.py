"""The losses of Gatys, Ecker and Bethge 2016 (CVPR, "Image style transfer using convolutional
neural networks"), one value per picture."""

import jax
import jax.numpy as jnp

GRAM_NORMS = ("hw", "chw")


def gram(features, norm: str = "hw", weights=None):
    """The Gram matrix f32[B, C, C] of features f[B, h, w, C]: their second moments over the pixels.

    Args:
      norm: what the sums are divided by: "hw", the number of pixels (Gatys' code), or "chw", the
        number of values (Johnson's neural-style).
      weights: f32[B, h, w, 1], how much each pixel counts; None for 1.
    """
    b, h, w, c = features.shape
    if weights is not None:
        weights = weights.reshape(b, h * w, 1).astype(features.dtype)
    sums = _second_moments(features.reshape(b, h * w, c), weights)
    return sums / (h * w * (c if norm == "chw" else 1))


@jax.custom_vjp
def _second_moments(x, weights):
    """The sums f32[B, C, C] over n of w[n] x[n] x[n]ᵀ, for x f[B, N, C] and w f[B, N, 1] or None.

    The gradient by x is one product, w x (Ḡ + Ḡᵀ). JAX would derive two, whose sum it then
    transposes: a pass over the features that takes longer than the products. And it would keep w x
    for it, as much as the features. There is none by w.
    """
    return jnp.einsum("bnc,bnd->bcd", _times(weights, x), x, preferred_element_type=jnp.float32)


def _times(weights, x):
    return x if weights is None else weights * x


def _second_moments_backward(kept, g):
    x, weights = kept
    both = (g + g.swapaxes(1, 2)).astype(x.dtype)
    found = _times(weights, jnp.einsum("bnc,bcd->bnd", x, both))
    return found, None if weights is None else jnp.zeros_like(weights)


_second_moments.defvjp(lambda *x: (_second_moments(*x), x), _second_moments_backward)


def mean_squared_error(a, b):
    """f32[B]: the mean of (a - b)^2 over all but the first axis."""
    return jnp.square(a - b).astype(jnp.float32).reshape(a.shape[0], -1).mean(axis=1)


@jax.custom_vjp
def nine_point_variation(image):
    """The mean squared length of the slope, f32[B], of images f32[B, H, W, C].

    2 (dx²/3 + dy²/3 + d²/12 + e²/12): the mean squared differences to the right and down, and along
    both diagonals, of a picture with its border repeated once (Crowson's style-transfer-pytorch).
    On a slope, that is dx² + dy² whatever its direction, where two neighbours alone prefer some.
    """
    x = jnp.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")

    def mean(a, b):
        return jnp.square(a - b).mean(axis=(1, 2, 3))

    straight = mean(x[:, 1:-1, 2:], x[:, 1:-1, 1:-1]) + mean(x[:, 2:, 1:-1], x[:, 1:-1, 1:-1])
    diagonal = mean(x[:, 1:, 1:], x[:, :-1, :-1]) + mean(x[:, 1:, :-1], x[:, :-1, 1:])
    return 2 * (straight / 3 + diagonal / 12)


def _nine_point_gradient(image, gradient):
    """Twice the differences to all neighbours, each times the share that its squares have.

    Written out, it is one loop over the pixels. Derived, it would be a sum of eight arrays of the
    picture's size, which take more memory than the tiles of a large picture.
    """
    _, height, width, channels = image.shape
    x = jnp.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")

    def to(rows: int, columns: int):
        """Differences to the neighbours in this direction; 0 beyond the border."""
        return image - x[:, 1 + rows :, 1 + columns :][:, :height, :width]

    straight = 2 / 3 / (height * width * channels)
    diagonal = 1 / 6 / ((height + 1) * (width + 1) * channels)
    # The repeated border has diagonals too: those from its pixels lead along the picture's edge.
    across = straight + diagonal * _on_edges(height)[None, :, None, None]
    down = straight + diagonal * _on_edges(width)[None, None, :, None]
    diagonals = to(-1, -1) + to(-1, 1) + to(1, -1) + to(1, 1)
    slopes = down * (to(-1, 0) + to(1, 0)) + across * (to(0, -1) + to(0, 1)) + diagonal * diagonals
    return (2 * gradient[:, None, None, None] * slopes,)


def _on_edges(length: int):
    """f32[length], at how many ends each place is."""
    place = jnp.arange(length)
    return jnp.float32(place == 0) + jnp.float32(place == length - 1)


nine_point_variation.defvjp(
    lambda image: (nine_point_variation(image), image), _nine_point_gradient
)


def total_variation(image):
    """Half the sum of squared differences between neighbours, f32[B], of images f32[B, H, W, C].

    The loss whose gradient neural-style uses. It is a sum and not a mean, so its gradient at a
    pixel does not depend on the picture's size.
    """
    down = jnp.square(image[:, 1:] - image[:, :-1]).sum(axis=(1, 2, 3))
    right = jnp.square(image[:, :, 1:] - image[:, :, :-1]).sum(axis=(1, 2, 3))
    return 0.5 * (down + right)


VARIATIONS = {"sum": total_variation, "nine-point": nine_point_variation}
