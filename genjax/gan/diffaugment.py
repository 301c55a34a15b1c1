"""DiffAugment: Zhao et al. 2020 (arXiv:2006.10738), as in mit-han-lab/data-efficient-gans.

Every image, real or generated, passes it before the discriminator sees it, and gradients pass
through it to the generator. Each function is `(images, numbers) -> images` with images
f32[B, H, W, C] in [-1, 1] and numbers f32[B, 7], uniform in [0, 1): brightness, saturation,
contrast, the shifts down and right, and the rows and columns of the box that is cut out.
"""

import jax
import jax.numpy as jnp

NUMBERS = 7  # that one image takes


def color(images, numbers):
    """Brightness, then saturation, then contrast: x + u - 1/2; the distance of a pixel from its
    grey times 2 u; that of the image from its mean times u + 1/2."""
    brightness, saturation, contrast = jnp.split(numbers[:, :3, None, None], 3, axis=1)
    images = images + brightness - 0.5
    if images.shape[-1] > 1:  # a grey pixel is its grey
        grey = images.mean(-1, keepdims=True)
        images = (images - grey) * (2 * saturation) + grey
    mean = images.mean((1, 2, 3), keepdims=True)
    return (images - mean) * (contrast + 0.5) + mean


def translation(images, numbers):
    """A shift by whole pixels, up to an eighth of the side each way; zeros come in."""
    for axis in (1, 2):
        size = images.shape[axis]
        shift = whole(numbers[:, 2 + axis], int(size / 8 + 0.5))
        images = taken(images, axis, jnp.arange(size)[None] + shift[:, None])
    return images


def cutout(images, numbers):
    """A square of half the side set to 0; its middle is any pixel, so that it may be cut off."""
    inside = []
    for axis, u in ((1, numbers[:, 5]), (2, numbers[:, 6])):
        size = images.shape[axis]
        length = int(size / 2 + 0.5)
        first = jnp.floor(u * (size + 1 - length % 2)).astype(jnp.int32) - length // 2
        place = jnp.arange(size)[None] - first[:, None]
        inside.append((place >= 0) & (place < length))
    box = inside[0][:, :, None, None] & inside[1][:, None, :, None]
    return jnp.where(box, 0, images)


def whole(u, most: int):
    """Numbers u f32[B], uniform in [0, 1), as whole numbers i32[B] from -most to most."""
    return jnp.floor(u * (2 * most + 1)).astype(jnp.int32) - most


def taken(images, axis: int, source):
    """Images whose row (axis 1) or column (axis 2) i is `source` i32[B, n] of the given ones; 0
    where those have none.

    A product with matrices that have a single 1 in a row, so that its gradient is one too, and no
    scatter.
    """
    place = jnp.arange(images.shape[axis])
    matrix = (source[:, :, None] == place[None, None]).astype(images.dtype)
    letters = {1: "bij,bjwc->biwc", 2: "bij,bhjc->bhic"}[axis]
    return jnp.einsum(letters, matrix, images, precision=jax.lax.Precision.HIGHEST)


PARTS = {"color": color, "translation": translation, "cutout": cutout}
